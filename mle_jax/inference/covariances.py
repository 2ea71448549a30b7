"""Covariance matrices of the estimates, on the natural scale by the exact Jacobian.

With A the information of the total in free coordinates, s_i the score of row i there, B = sum s_i s_i', and J the
Jacobian of the flat natural parameters:

observed        J A^-1 J' with A the observed information
expected        J A^-1 J' with A the expected information of the model
outer_product   J B^-1 J' (Berndt et al. 1974, Annals of Economic and Social Measurement 3, 653-665)
sandwich        J A^-1 B A^-1 J' with A the observed information, no small-sample factor
                (Huber 1967; White 1982, Econometrica 50, 1-25, theorem 3.3)
clustered       the sandwich with the scores summed within clusters first (Liang and Zeger 1986, Biometrika 73, 13-22)

Every function is traceable. A matrix that is not positive definite beyond rounding gives NaN, never a repaired one.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax import _lapack
from mle_jax._branches import cond_any
from mle_jax._linalg import rounding_floor, scaled_eigen
from mle_jax._side_by_side import cholesky, dot, half_solve, total
from mle_jax._text import listing
from mle_jax.fitting.choosing import DENSE_UP_TO
from mle_jax.fitting.information import (
    expected_free_information,
    information_factor,
    is_blurred,
    observed_free_information,
)
from mle_jax.fitting.rotation import basis_of, declared
from mle_jax.likelihood.evaluation import sample, theta_scores

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

NEED_OBSERVED = ("observed", "sandwich", "clustered")
WRITTEN_OUT = 8
"""Parameters up to which a factorization is written out entry by entry."""
KINDS = ("observed", "expected", "outer_product", "sandwich", "clustered")


def covariance_matrix(
    model: "Model",
    place: Any,
    theta: Array,
    information: Array,
    data: Any,
    weights: Array | None,
    *,
    clusters: Array | None = None,
    kind: str,
    frequency: bool = True,
    partly: bool = False,
) -> Array:
    """Return the covariance of the flat natural parameters, shape (k, k).

    Args:
        model: the model.
        place: what the free coordinates mean.
        theta: the estimate in free coordinates, (m,).
        information: observed information of the total in free coordinates, (m, m); no square to have it computed.
        data: the dataset.
        weights: (n,) or None.
        clusters: (n,) codes 0, 1, ... for the kind "clustered".
        kind: one of `KINDS`.
        frequency: a weight counts equal rows (else it is the importance of one row).
        partly: of a singular information, invert what is not singular (kinds "observed" and "expected").
    """
    if kind in NEED_OBSERVED and information.shape[0] != information.shape[1]:
        information = observed_free_information(model, place, theta, data, weights)
    if kind == "expected":
        place, theta = declared(place, theta)
        free = inverse_expected(model, place, theta, data, weights, partly=partly)
    elif kind == "observed":
        free = identified_inverse(information) if partly else inverse(information)
    else:
        scores = theta_scores(model, place, theta, sample(model, data, weights))
        if clusters is not None:
            # There are at most as many clusters as rows; the empty ones add nothing.
            scores, weights = jax.ops.segment_sum(scores, clusters, len(scores)), None
        products = outer_products(scores, weights if frequency else None)
        bread = inverse(products if kind == "outer_product" else information)
        free = bread if kind == "outer_product" else bread @ products @ bread
    jacobian = place.jacobian(theta)
    return jacobian @ free @ jacobian.T


def inverse_expected(
    model: "Model", place: Any, theta: Array, data: Any, weights: Array | None, *, partly: bool
) -> Array:
    """Invert the expected information, by its factor where the matrix has lost half of its digits.

    Args:
        model: the model.
        place: what the free coordinates mean; not rotated.
        theta: the estimate, (m,).
        data: the dataset.
        weights: (n,) or None.
        partly: invert on the identified directions only; else a singular information gives NaN.
    """
    information = expected_free_information(model, place, theta, data, weights)
    by_matrix = identified_inverse(information) if partly else inverse(information)
    if model.is_joint or not theta.size:
        return by_matrix

    def by_factor(place: Any, theta: Array, data: Any, weights: Array | None) -> Array:
        basis = basis_of(information_factor(model, place, theta, data, weights))
        half = jnp.where(basis.determined, basis.basis, 0.0)
        return jnp.where(jnp.all(basis.determined) | partly, half @ half.T, jnp.nan)

    return cond_any(is_blurred(information), by_factor, by_matrix, place, theta, data, weights)


def inverse(information: Array) -> Array:
    """Invert a positive definite matrix on its own diagonal scale; NaN where it is singular beyond rounding."""
    size = information.shape[0]
    if size == 0:
        return information
    if size > DENSE_UP_TO:  # where eigenvectors would take minutes
        scale = jnp.sqrt(jnp.abs(jnp.diagonal(information)))
        factor = _lapack.cholesky(information / scale[:, None] / scale)
        definite = jnp.min(jnp.diagonal(factor)) ** 2 > rounding_floor(size, factor.dtype)
        half = _lapack.solve_lower(factor, jnp.diag(1.0 / scale))
        return jnp.where(definite, half.T @ half, jnp.nan)
    half = _root(information)
    return half @ half.T


def inverse_root(information: Array) -> Array:
    """Return M with ``M M'`` the inverse of a positive definite matrix; NaN where it is singular beyond rounding.

    For lanes of a batch: small matrices that are clearly definite are factored side by side, without eigenvectors.
    """
    size = information.shape[0]
    if not 0 < size <= WRITTEN_OUT:
        return _root(information)
    scale = jnp.sqrt(jnp.where(jnp.diagonal(information) > 0, jnp.diagonal(information), 1.0))
    scaled = information / scale[:, None] / scale[None, :]
    factor = cholesky({(i, j): scaled[i, j] for i in range(size) for j in range(i + 1)})
    one, zero = jnp.ones_like(scale[0]), jnp.zeros_like(scale[0])
    # The columns of the inverse of the factor; its squares add up to the trace of the inverse.
    columns = [half_solve(factor, [one if i == j else zero for i in range(size)]) for j in range(size)]
    trace = total(dot(column, column) for column in columns)
    clear = factor.definite & (trace * size * jnp.sqrt(jnp.finfo(trace.dtype).eps) < 1)
    root = jnp.stack([jnp.stack(column) for column in columns]) / scale[:, None]
    return cond_any(~clear, _root, root, information)


def _root(information: Array) -> Array:
    eigen = scaled_eigen(information)
    half = eigen.vectors / eigen.scale[:, None] / jnp.sqrt(jnp.maximum(eigen.values, eigen.floor))
    definite = (eigen.smallest > eigen.floor) & jnp.all(jnp.diagonal(information) > 0)
    return jnp.where(definite, half, jnp.nan)


def identified_inverse(information: Array) -> Array:
    """Invert on the identified directions only: right for every quantity that the null directions do not touch."""
    eigen = scaled_eigen(information)
    half = eigen.vectors / eigen.scale[:, None]
    reciprocal = jnp.where(eigen.values > eigen.floor, 1.0 / jnp.maximum(eigen.values, eigen.floor), 0.0)
    return (half * reciprocal) @ half.T


def outer_products(scores: Array, frequencies: Array | None) -> Array:
    """Return sum_i s_i s_i', (m, m), from weighted scores w_i s_i; a frequency weight counts a row w times."""
    if frequencies is None:
        return scores.T @ scores
    # The scores are w s: dividing one factor by w leaves w s s'.
    once = scores / jnp.where(frequencies > 0, frequencies, 1.0)[:, None]
    return once.T @ scores


def check_kind(model: "Model", kind: str, *, has_contributions: bool = True) -> None:
    """Raise where a covariance of this kind does not exist for the model.

    Raises:
        ValueError: unknown, or without meaning for this model.
    """
    if kind not in KINDS:
        raise ValueError(f"covariance kind is {kind!r}, but it must be one of {listing(KINDS)}")
    if kind == "expected" and model.expected_information is None:
        raise ValueError(
            f"{model.label} has no expected information; declare it with Model(..., expected_information=...) or use "
            "kind='observed'"
        )
    if kind in ("observed", "sandwich", "clustered") and not model.smooth:
        raise ValueError(
            f"kind='{kind}' needs second derivatives, but {model.label} is declared smooth=False; use kind='expected'"
        )
    if kind == "outer_product" and model.is_joint and not has_contributions:
        raise ValueError(
            f"kind='outer_product' needs contributions, but the log-likelihood of {model.label} returns one number; "
            "return an array (n,) of contributions, or use kind='observed'"
        )
    if kind in ("sandwich", "clustered") and model.is_joint:
        raise ValueError(
            f"kind='{kind}' needs independent rows, but {model.label} is a joint likelihood; use kind='observed'"
        )

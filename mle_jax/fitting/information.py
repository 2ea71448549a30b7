"""The information of a dataset in free coordinates; the expected one also as a factor that keeps all digits.

A matrix X'X has lost the combinations of columns that are smaller than sqrt(eps) of its diagonal. The information of
one row has lost nothing: it is a sum of few outer products f f', and the vectors f can be taken out of it entry by
entry. All of them below each other are a matrix F with F'F = I, of which a QR decomposition keeps the triangle R.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._lapack import triangle as qr_triangle
from mle_jax._linalg import rounding_floor, scaled_eigen
from mle_jax._text import listing
from mle_jax.likelihood.evaluation import sample
from mle_jax.likelihood.loss import loss_objective, loss_scale, to_information

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

BLOCK = 1024  # rows whose expected information is held at once


def expected_free_information(
    model: "Model", place: Any, theta: Array, data: Any, weights: Array | None = None
) -> Array:
    """Return the expected information of the weighted total in free coordinates: J' I J, shape (k, k)."""
    assert model.expected_information is not None
    jacobian, params = place.jacobian(theta), place.params(theta)
    if weights is None:
        natural = jnp.asarray(model.expected_information(params, data), jacobian.dtype)
    else:
        natural = _weighted_information(model, params, data, weights).astype(jacobian.dtype)
    size = jacobian.shape[0]
    if natural.shape != (size, size):
        raise ValueError(
            f"expected_information of {model.label} returned shape {natural.shape}, but the model has {size} flat "
            f"parameters ({listing(place.space.names)}); return shape ({size}, {size}) in that order"
        )
    return jacobian.T @ natural @ jacobian


def observed_free_information(
    model: "Model", place: Any, theta: Array, data: Any, weights: Array | None = None
) -> Array:
    """Return the observed information of the weighted total in free coordinates, (k, k): where a fit did without."""
    here = loss_objective(model, place, data, weights=weights).with_hessian(theta)
    return to_information(here.hessian, loss_scale(model, data, weights))


def is_blurred(information: Array) -> Array:
    """Say whether the scaled matrix is so nearly singular, below k sqrt(eps), that half of its digits are gone."""
    finite = jnp.all(jnp.isfinite(information))
    size = information.shape[0]
    limit = size * jnp.sqrt(jnp.finfo(information.dtype).eps)
    return finite & (scaled_eigen(jnp.where(finite, information, 0.0)).smallest < limit)


def information_factor(model: "Model", place: Any, theta: Array, data: Any, weights: Array | None = None) -> Array:
    """Return R with R'R the expected information of the weighted total in free coordinates, (k, k).

    The columns of R are accurate each on its own scale, so singular values of R, its columns scaled to one length, mean
    something down to k eps, where the eigenvalues of the matrix end at the square root of that.

    Reference:
        Higham (2002), Accuracy and Stability of Numerical Algorithms, section 10.3 (the pivoted Cholesky
        decomposition of a semidefinite matrix) and theorem 19.4 (QR, column by column).
    """
    jacobian, params = place.jacobian(theta), place.params(theta)
    rows = _rows(model, params, data, weights)

    def add(triangle: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
        matrices = jax.vmap(rows.of_row)(*block).astype(jacobian.dtype)
        original = jnp.diagonal(matrices, axis1=1, axis2=2)

        def unfinished(now: tuple[Array, Array, Array]) -> Array:
            rest, _, taken = now
            return jnp.any(rest != 0) & (taken < original.shape[1])

        def take(now: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            rest, triangle, taken = now
            rest, vectors = jax.vmap(_without_largest)(rest, original)
            triangle = qr_triangle(jnp.concatenate([triangle, vectors @ jacobian]))
            return rest, triangle, taken + 1

        return jax.lax.while_loop(unfinished, take, (matrices, triangle, jnp.int32(0)))[1], None

    size = jacobian.shape[1]
    return jax.lax.scan(add, jnp.zeros((size, size), jacobian.dtype), rows.blocks)[0]


def _without_largest(rest: Array, original: Array) -> tuple[Array, Array]:
    """Split a positive semidefinite matrix into f f' and what is left of it; f belongs to its largest share.

    Shares are taken of the original diagonal; what falls below rounding of it is left out.
    """
    floor = rounding_floor(original.size, original.dtype)
    whole = jnp.where(original > 0, original, jnp.inf)
    pivot = jnp.argmax(jnp.diagonal(rest) / whole)
    value = rest[pivot, pivot]
    vector = jnp.where(value > 0, rest[pivot] / jnp.sqrt(jnp.where(value > 0, value, 1.0)), 0.0)
    left = rest - vector[:, None] * vector
    kept = jnp.diagonal(left) > floor * whole
    return jnp.where(kept[:, None] & kept, left, 0.0), vector


def _weighted_information(model: "Model", params: Any, data: Any, weights: Array) -> Array:
    """Return sum_i w_i I_i: rows are independent, so the information of each is that of a dataset of one row."""
    rows = _rows(model, params, data, weights)

    def add(total: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
        return total + jnp.sum(jax.vmap(rows.of_row)(*block), axis=0), None

    numbers, shares = rows.blocks
    shape = jax.eval_shape(rows.of_row, numbers[0, 0], shares[0, 0])
    return jax.lax.scan(add, jnp.zeros(shape.shape, shape.dtype), rows.blocks)[0]


class Rows(NamedTuple):
    """The weighted information row by row, in blocks, so that never more than `BLOCK` matrices are in memory."""

    of_row: Callable[[Array, Array], Array]  # (number, weight) -> (k_flat, k_flat)
    blocks: tuple[Array, Array]  # numbers and weights, (blocks, rows); the last block is filled up by weight zero


def _rows(model: "Model", params: Any, data: Any, weights: Array | None) -> Rows:
    layout, information = sample(model, data, weights).layout, model.expected_information
    assert layout is not None and information is not None
    size = min(layout.size, BLOCK)
    places = jnp.arange(-(-layout.size // size) * size)
    rows = jnp.minimum(places, layout.size - 1)
    shares = jnp.where(places < layout.size, 1 if weights is None else jnp.asarray(weights)[rows], 0)

    def of_row(row: Array, weight: Array) -> Array:
        return weight * jnp.asarray(information(params, layout.with_rows([leaf[row][None] for leaf in layout.rows])))

    return Rows(of_row, (rows.reshape(-1, size), shares.reshape(-1, size)))

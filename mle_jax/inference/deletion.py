"""What each row does to the estimates: one Newton step with the row's own information taken out.

With I the observed information of the total at the maximum, s the score of a row there and I_i its own information,
leaving the row out moves the free coordinates by

    d = -(I - I_i)^-1 s

up to the order of d^2. For a Gaussian regression with known variance this is exact: I_i = x x' / variance gives the
closed form -(X'X)^-1 x e / (1 - h). The first order alone, -I^-1 s, would lack the factor 1 / (1 - h).

Source: Pregibon (1981), Annals of Statistics 9, 705-724, section 4 (the one-step estimate); Cook and Weisberg (1982),
Residuals and Influence in Regression, sections 3.5 and 5.2 (distances in the metric of the information).
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._lapack import cholesky, solve_factored
from mle_jax.fitting.rotation import whitening_basis
from mle_jax.likelihood.evaluation import sample

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

BLOCK = 2**18  # entries of the information matrices of single rows that exist at the same time


class Deletions(NamedTuple):
    """What happens without each of n rows (k flat parameters)."""

    changes: Array  # (n, k) of the flat parameters
    distance: Array  # (n,) d' I d / (number of free coordinates)
    leverage: Array  # (n,) trace of I^-1 I_i: the share of the row in the information, summed over the coordinates
    leave_one_out: Array  # (n,) log density of the row without it
    standard_errors: Array  # (k,) from I


def delete_each_row(
    model: "Model",
    place: Any,
    theta: Array,
    information: Array,
    data: Any,
    weights: Array | None,
    *,
    frequency: bool = True,
    block: int = BLOCK,
) -> Deletions:
    """Leave out every row, one at a time; traceable.

    Numbers of a row are NaN where the others determine no maximum: where they lack all but rounding of the information
    on some combination of parameters.

    Args:
        model: a smooth model of independent rows.
        place: what the free coordinates mean.
        theta: the maximum, (m,).
        information: observed information of the total there, (m, m), positive definite.
        data: the dataset.
        weights: (n,) or None.
        frequency: a weight counts equal rows, of which one is left out; else the row is left out with its whole weight.
        block: entries of matrices that may exist at the same time.
    """
    layout = sample(model, data, weights).layout
    assert layout is not None
    basis, size = whitening_basis(information), theta.size
    here = place.flat(theta)

    def without(row: tuple[list[Array], Array]) -> tuple[Array, Array, Array, Array]:
        leaves, amount = row

        def density(at: Array) -> Array:
            return model.log_density(place.params(at), layout.with_rows(leaves))

        own = -amount * basis.T @ jax.hessian(density)(theta) @ basis  # in coordinates where I is the identity
        factor = cholesky(jnp.eye(size, dtype=own.dtype) - own)
        enough = jnp.min(jnp.diagonal(factor)) ** 2 > jnp.sqrt(jnp.finfo(own.dtype).eps)  # False for NaN
        step = -solve_factored(factor, amount * basis.T @ jax.grad(density)(theta))
        step = jnp.where(enough, step, jnp.nan)
        there = theta + basis @ step
        changes = jnp.where(amount > 0, place.flat(there) - here, 0.0)
        return changes, step @ step / size, jnp.trace(own), jnp.where(amount > 0, density(there), jnp.nan)

    rows = [jnp.asarray(leaf) for leaf in layout.rows]
    amounts = _amounts(layout.size, weights, theta.dtype, frequency)
    changes, distance, leverage, alone = jax.lax.map(without, (rows, amounts), batch_size=max(block // size**2, 1))
    errors = jnp.sqrt(jnp.sum((place.jacobian(theta) @ basis) ** 2, axis=1))
    return Deletions(changes, distance, leverage, alone, errors)


def _amounts(size: int, weights: Array | None, dtype: Any, frequency: bool) -> Array:
    """Return how much of the weight of each row is left out, (n,)."""
    if weights is None:
        return jnp.ones(size, dtype)
    return jnp.minimum(jnp.asarray(weights, dtype), 1.0) if frequency else jnp.asarray(weights, dtype)

"""Standard errors of thousands of parameters, without their covariance matrix.

With I the observed information in free coordinates and J_i the row of the Jacobian that belongs to parameter i, its
variance is J_i I^-1 J_i': one system of equations per parameter, solved by conjugate gradients on products of the
Hessian with vectors, some parameters side by side. Memory goes with the rows and the parameters, never with k^2; where
the matrix has room, `covariance_matrix` is the faster the more iterations the equations take.
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._krylov import solve_by_products
from mle_jax.fitting.by_products import scale_of, scaled_product
from mle_jax.likelihood.layout import count_rows
from mle_jax.likelihood.loss import loss_objective, loss_scale, to_information

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

AT_ONCE = 64
"""Parameters side by side at most."""
NUMBERS = 2**24
"""That these may take on the way."""


def standard_errors_by_products(
    model: "Model", place: Any, theta: Array, wanted: Array, data: Any, weights: Array | None
) -> Array:
    """Return standard errors of flat natural parameters from the observed information, (m,).

    NaN where the equations of a parameter cannot be solved: the information is not positive definite along the way, or
    so nearly singular that conjugate gradients do not get to their end.

    Args:
        model: the model.
        place: what the free coordinates mean.
        theta: the estimate in free coordinates, (m,).
        wanted: positions of m parameters; those that are not identified take long and come to nothing.
        data: the dataset.
        weights: (n,) or None.

    Reference:
        Golub and Van Loan (2013), Matrix Computations, 4th edition, section 11.3.
    """
    objective, scale = loss_objective(model, place, data, weights=weights), loss_scale(model, data, weights)
    units = scale_of(objective.diagonal(theta))
    product = scaled_product(objective, theta, units)
    flat, pull = jax.vjp(place.flat, theta)

    def variance(i: Array) -> Array:
        row = pull(jnp.zeros_like(flat).at[i].set(1.0))[0] / units
        found = solve_by_products(product, row)
        complete = ~found.bent & (jnp.sum(found.residual**2) <= 1e-12 * jnp.sum(row**2))
        return jnp.where(complete, row @ found.solution, jnp.nan)

    at_once = max(1, min(AT_ONCE, NUMBERS // (count_rows(model, data) + theta.size)))
    variances = jax.lax.map(variance, wanted, batch_size=at_once)
    return jnp.sqrt(variances / to_information(jnp.ones((), variances.dtype), scale))

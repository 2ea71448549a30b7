"""The multivariate normal distribution, by the Cholesky factor of its covariance.

log f(y; mean, L) = -|L^-1 (y - mean)|^2/2 - log(det L) - k log(2 pi)/2,  covariance = L L'

Source: Mardia, Kent and Bibby (1979), Multivariate Analysis, equation 2.5.1.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.typing import ArrayLike

from mle_jax.densities._gamma_functions import HALF_LOG_2_PI
from mle_jax.densities._partials import floats

WRITTEN_OUT = 12
"""Up to this size forward substitution is written out, k (k + 1)/2 operations."""


@jax.jit
def log_density(y: ArrayLike, mean: ArrayLike, cholesky: ArrayLike) -> Array:
    """Return the log density of the multivariate normal distribution.

    Args:
        y: observations, shape (..., k).
        mean: shape (..., k).
        cholesky: L, lower triangular with a positive diagonal, shape (..., k, k); what stands above the diagonal is
            not looked at. ``jnp.linalg.cholesky(covariance)`` makes it.

    Example:
        >>> import mle_jax as mle
        >>> value = mle.densities.multivariate_normal.log_density([1.0, 0.0], [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
        >>> round(float(value), 4)  # -1/2 - log(2 pi)
        -2.3379
    """
    y, mean, cholesky = floats(y, mean, cholesky)
    scores = _forward(cholesky, y - mean)
    log_det = jnp.sum(jnp.log(jnp.diagonal(cholesky, axis1=-2, axis2=-1)), axis=-1)
    return -0.5 * jnp.sum(scores**2, axis=-1) - log_det - scores.shape[-1] * HALF_LOG_2_PI


def _forward(lower: Array, right: Array) -> Array:
    """Return ``lower^-1 right`` by forward substitution."""
    size = right.shape[-1]
    if size > WRITTEN_OUT:
        shape = jnp.broadcast_shapes(right.shape, lower.shape[:-1])
        if lower.ndim == 2:  # one matrix for all
            flat = solve_triangular(lower, jnp.broadcast_to(right, shape).reshape(-1, size).T, lower=True)
            return flat.T.reshape(shape)
        factors = jnp.broadcast_to(lower, (*shape, size))
        return solve_triangular(factors, jnp.broadcast_to(right, shape)[..., None], lower=True)[..., 0]
    # Entry by entry: no call of a library for each of many small matrices.
    found: list[Array] = []
    for i in range(size):
        known = sum((lower[..., i, j] * found[j] for j in range(i)), jnp.zeros_like(right[..., i]))
        found.append((right[..., i] - known) / lower[..., i, i])
    return jnp.stack(jnp.broadcast_arrays(*found), axis=-1)

"""The multivariate normal distribution, by the Cholesky factor of its covariance.

log f(y; mean, L) = -|L^-1 (y - mean)|^2/2 - log(det L) - k log(2 pi)/2,  covariance = L L'

Source: Mardia, Kent and Bibby (1979), Multivariate Analysis, equation 2.5.1.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax._lapack import inverse_lower
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI
from mle_jax.densities._partials import floats

WRITTEN_OUT = 8
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
    shape = jnp.broadcast_shapes(y.shape, mean.shape, cholesky.shape[:-1])
    jnp.broadcast_shapes(
        cholesky.shape, (*shape, shape[-1])
    )  # raises where the matrix is not square or of another size
    scores = _forward(cholesky, jnp.broadcast_to(y - mean, shape))
    log_det = jnp.sum(jnp.log(jnp.diagonal(cholesky, axis1=-2, axis2=-1)), axis=-1)
    return -0.5 * jnp.sum(scores**2, axis=-1) - log_det - shape[-1] * HALF_LOG_2_PI


def _forward(lower: Array, right: Array) -> Array:
    """Return ``lower^-1 right``."""
    size = right.shape[-1]
    if not 0 < size <= WRITTEN_OUT:
        inverses = jnp.vectorize(inverse_lower, signature="(k,k)->(k,k)")(jnp.tril(lower))
        return jnp.matmul(inverses, right[..., None], precision=jax.lax.Precision.HIGHEST)[..., 0]
    # By forward substitution, entry by entry: no call of a library for each of many small matrices.
    found: list[Array] = []
    for i in range(size):
        known = sum((lower[..., i, j] * found[j] for j in range(i)), jnp.zeros_like(right[..., i]))
        found.append((right[..., i] - known) / lower[..., i, i])
    return jnp.stack(found, axis=-1)

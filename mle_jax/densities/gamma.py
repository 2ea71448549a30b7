"""The gamma distribution, by its mean and shape: the variance is mean^2/shape.

log f(y; mean, shape) = shape log(shape/mean) + (shape - 1) log(y) - shape y/mean - log(Gamma(shape))
                      = -shape D(y/mean - 1) - log(y) + log(shape/(2 pi))/2 - error(shape)

with D(x) = x - log(1 + x) and the error of Stirling's formula; the second form loses no digits for large shapes.

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 8.2.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import ratio_excess
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI, stirling_error
from mle_jax.densities._partials import floats, supported


def log_density(y: ArrayLike, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return the log density of the gamma distribution, elementwise; minus infinity for y <= 0.

    Args:
        y: observations.
        mean: above 0; this is not checked. The scale is mean/shape, the rate shape/mean.
        shape: above 0; this is not checked. 1 is the exponential distribution.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gamma.log_density(3.0, 2.0, 1.0)), 4)  # -3/2 - log(2)
        -2.1931
    """
    y, mean, shape = floats(y, mean, shape)
    inside = y > 0
    safe = jnp.where(inside, y, 1.0)
    kernel = -shape * ratio_excess(safe - mean, safe, mean) - jnp.log(safe)
    return supported(inside, kernel + 0.5 * jnp.log(shape) - HALF_LOG_2_PI - stirling_error(shape))

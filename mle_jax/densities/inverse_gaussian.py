"""The inverse Gaussian distribution, by its mean and shape: the variance is mean^3/shape.

log f(y; mean, shape) = log(shape/(2 pi y^3))/2 - shape (y - mean)^2/(2 mean^2 y)

Source: Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, equation 15.4a.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._gamma_functions import HALF_LOG_2_PI
from mle_jax.densities._partials import floats, supported, with_partials


def log_density(y: ArrayLike, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return the log density of the inverse Gaussian distribution, elementwise; minus infinity for y <= 0.

    Args:
        y: observations.
        mean: above 0; this is not checked.
        shape: above 0; this is not checked. The dispersion of a generalized linear model is 1/shape.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.inverse_gaussian.log_density(1.0, 1.0, 1.0)), 4)  # -log(2 pi)/2
        -0.9189
    """
    y, mean, shape = floats(y, mean, shape)
    inside = y > 0
    safe = jnp.where(inside, y, 1.0)
    kernel = 0.5 * jnp.log(shape) - HALF_LOG_2_PI - 1.5 * jnp.log(safe)
    return supported(inside, kernel - 0.5 * shape * _deviance(safe, mean))


# (y - mean)^2/(mean^2 y) = y/mean^2 - 2/mean + 1/y, by the first form in the value and the second in the derivatives
_deviance = with_partials(
    lambda y, mean: ((y - mean) / mean) ** 2 / y,
    with_partials(
        lambda y, mean: (y - mean) / mean**2 * ((y + mean) / y**2),
        lambda y, mean: 2 / y**3 + 0 * mean,
        lambda y, mean: -2 / mean**3 + 0 * y,
    ),
    with_partials(
        lambda y, mean: -2 * (y - mean) / mean**3,
        lambda y, mean: -2 / mean**3 + 0 * y,
        lambda y, mean: (6 * y - 4 * mean) / mean**4,
    ),
)

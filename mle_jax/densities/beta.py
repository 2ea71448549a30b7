"""The beta distribution, by its mean and precision: a = mean precision, b = (1 - mean) precision.

log f(y; mean, precision) = log(Gamma(a + b)/(Gamma(a) Gamma(b))) + (a - 1) log(y) + (b - 1) log(1 - y)
   = -precision (mean D(y/mean - 1) + (1 - mean) D((1 - y)/(1 - mean) - 1)) - log(y (1 - y))
     + log(precision mean (1 - mean)/(2 pi))/2 + error(precision) - error(a) - error(b)

with D(x) = x - log(1 + x) and the error of Stirling's formula; the second form loses no digits for large precision.

Source: Ferrari and Cribari-Neto (2004), Beta regression for modelling rates and proportions, equation 4.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import ratio_excess
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI, stirling_error
from mle_jax.densities._partials import floats, supported


def log_density(y: ArrayLike, mean: ArrayLike, precision: ArrayLike) -> Array:
    """Return the log density of the beta distribution, elementwise; minus infinity outside 0 < y < 1.

    The variance is mean (1 - mean)/(1 + precision).

    Args:
        y: observations.
        mean: a/(a + b), between 0 and 1; this is not checked.
        precision: a + b, above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.beta.log_density(0.5, 0.5, 4.0)), 4)  # 6 y (1 - y): log(3/2)
        0.4055
    """
    y, mean, precision = floats(y, mean, precision)
    inside = (y > 0) & (y < 1)
    safe = jnp.where(inside, y, 0.5)
    rest, rest_mean = 1 - safe, 1 - mean
    off = safe - mean  # for (1 - y) - (1 - mean) as well: it has more digits where y and mean are small
    deviance = mean * ratio_excess(off, safe, mean) + rest_mean * ratio_excess(-off, rest, rest_mean)
    kernel = -precision * deviance - jnp.log(safe) - jnp.log1p(-safe)
    a, b = mean * precision, rest_mean * precision
    errors = stirling_error(precision) - stirling_error(a) - stirling_error(b)
    return supported(inside, kernel + 0.5 * jnp.log(a * rest_mean) - HALF_LOG_2_PI + errors)

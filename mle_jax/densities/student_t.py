"""Student's t distribution with location and scale; df -> infinity is the normal distribution.

log f(y; location, scale, df) = log(Gamma((df + 1)/2)/Gamma(df/2)) - log(pi df)/2 - log(scale)
                                - (df + 1)/2 log(1 + z^2/df),  z = (y - location)/scale

With k = 1/df and x = k z^2 the last term is -(z^2/2) log(1 + x)/x - log(1 + x)/2, and the gamma functions are, by
Stirling's formula, log(df/2)/2 plus terms that are smooth in k: no digits are lost as df grows.

Source: Johnson, Kotz and Balakrishnan (1995), Continuous Univariate Distributions, vol. 2, equation 28.2.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import log1p_curvature, log1p_ratio
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI, stirling_error_of_inverse
from mle_jax.densities._partials import floats


def log_density(y: ArrayLike, location: ArrayLike, scale: ArrayLike, *, df: ArrayLike) -> Array:
    """Return the log density of Student's t distribution, elementwise.

    Accurate for every df, also in the derivative with respect to it; df = 1 is the Cauchy distribution and df = inf the
    normal.

    Args:
        y: observations.
        location: any real number.
        scale: above 0; this is not checked.
        df: degrees of freedom, above 0, not necessarily whole; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.student_t.log_density(1.0, 0.0, 1.0, df=1.0)), 4)  # Cauchy: -log(2 pi)
        -1.8379
    """
    y, location, scale, df = floats(y, location, scale, df)
    square, k = ((y - location) / scale) ** 2, 1 / df
    x = k * square
    small = x < 0.5
    power = jnp.where(small, square * log1p_ratio(jnp.where(small, x, 0.0)), df * jnp.log1p(jnp.where(small, 0.0, x)))
    kernel = -0.5 * (power + jnp.log1p(x))
    # log(Gamma(a + 1/2)/Gamma(a)) - log(a)/2 at a = df/2, in terms of v = 1/a
    v = 2 * k
    ratio = stirling_error_of_inverse(v / (1 + k)) - stirling_error_of_inverse(v) - 0.25 * v * log1p_curvature(k, 1 + k)
    return kernel + ratio - HALF_LOG_2_PI - jnp.log(scale)

"""The lognormal distribution: the logarithm of y is normal.

log f(y; location, scale) = -z^2/2 - log(2 pi)/2 - log(scale) - log(y),  z = (log(y) - location)/scale

Source: Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, chapter 14.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities import normal
from mle_jax.densities._intervals import Ends, between, log_difference
from mle_jax.densities._partials import floats, supported


@jax.jit
def log_density(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return the log density of the lognormal distribution, elementwise; minus infinity for y <= 0.

    Args:
        y: observations.
        location: mean of log(y).
        scale: standard deviation of log(y), above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.lognormal.log_density(1.0, 0.0, 1.0)), 4)  # -log(2 pi)/2
        -0.9189
    """
    y, location, scale = floats(y, location, scale)
    inside, log_y = _log(y)
    return supported(inside, normal.log_density(log_y, location, scale) - log_y)


@jax.jit
def log_cdf(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(Y <= y))``; minus infinity for y <= 0.

    Args:
        y: the limit.
        location: mean of log(y).
        scale: standard deviation of log(y), above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.lognormal.log_cdf(1.0, 0.0, 1.0)), 4)  # log(1/2)
        -0.6931
    """
    y, location, scale = floats(y, location, scale)
    inside, log_y = _log(y)
    return supported(inside, normal.log_cdf(log_y, location, scale))


@jax.jit
def log_survival(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(Y > y))``; 0 for y <= 0.

    Args:
        y: the limit.
        location: mean of log(y).
        scale: standard deviation of log(y), above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.lognormal.log_survival(1.0, 0.0, 3.0)), 4)  # log(1/2)
        -0.6931
    """
    y, location, scale = floats(y, location, scale)
    inside, log_y = _log(y)
    return jnp.where(inside, normal.log_survival(log_y, location, scale), 0.0)


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``, accurate in both tails and for narrow intervals.

    Args:
        low: the lower end, 0 or below if there is none.
        high: the upper end, inf if there is none; minus infinity is returned where it is not above low.
        location: mean of log(y).
        scale: standard deviation of log(y), above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.lognormal.log_interval(0.0, 1.0, location=0.0, scale=1.0)), 4)  # log(1/2)
        -0.6931
    """
    low, high, location, scale = floats(low, high, location, scale)

    def both(a: Array, b: Array) -> Array:
        left, right = (jnp.log(a) - location) / scale, (jnp.log(b) - location) / scale
        return log_difference(left, right, width=jnp.log1p((b - a) / a) / scale, line=normal.LINE)

    ends = Ends(both, lambda b: log_cdf(b, location, scale), lambda a: log_survival(a, location, scale))
    return between(low, high, ends=ends, support=(0.0, jnp.inf), safe=(jnp.ones_like(low), 2 * jnp.ones_like(low)))


def _log(y: Array) -> tuple[Array, Array]:
    inside = y > 0
    return inside, jnp.log(jnp.where(inside, y, 1.0))

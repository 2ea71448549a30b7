"""The Cauchy distribution with location and scale.

log f(y; location, scale) = -log(1 + z^2) - log(pi scale),  P(Y <= y) = 1/2 + arctan(z)/pi,  z = (y - location)/scale

Source: Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, chapter 16.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._intervals import Ends, Line, between, log_difference
from mle_jax.densities._partials import floats

LOG_PI = 1.1447298858494002


@jax.jit
def log_density(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return the log density of the Cauchy distribution, elementwise, for |z| up to 1e150.

    Args:
        y: observations.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.cauchy.log_density(1.0, 0.0, 1.0)), 4)  # -log(2 pi)
        -1.8379
    """
    y, location, scale = floats(y, location, scale)
    return -jnp.log1p(((y - location) / scale) ** 2) - jnp.log(scale) - LOG_PI


@jax.jit
def log_cdf(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(Y <= y))``.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.cauchy.log_cdf(-1.0, 0.0, 1.0)), 4)  # log(1/4)
        -1.3863
    """
    y, location, scale = floats(y, location, scale)
    return _log_lower(y - location, scale)


@jax.jit
def log_survival(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(Y > y))``.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.cauchy.log_survival(0.0, 0.0, 3.0)), 4)  # log(1/2)
        -0.6931
    """
    y, location, scale = floats(y, location, scale)
    return _log_lower(location - y, scale)


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``, accurate in both tails and for narrow intervals.

    Args:
        low: the lower end, -inf if there is none.
        high: the upper end, inf if there is none; minus infinity is returned where it is not above low.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.cauchy.log_interval(-1.0, 1.0, location=0.0, scale=1.0)), 4)  # log(1/2)
        -0.6931
    """
    low, high, location, scale = floats(low, high, location, scale)

    def both(a: Array, b: Array) -> Array:
        return log_difference((a - location) / scale, (b - location) / scale, width=(b - a) / scale, line=LINE)

    ends = Ends(both, lambda b: log_cdf(b, location, scale), lambda a: log_survival(a, location, scale))
    return between(low, high, ends=ends, support=(-jnp.inf, jnp.inf), safe=(location, location + scale))


def _log_lower(off: Array, scale: Array) -> Array:
    """Return the log probability below; the angle is taken of two numbers because it has no cancelling derivatives."""
    below = off < 0
    tail = jnp.arctan2(scale, jnp.where(below, -off, off)) / jnp.pi
    return jnp.where(below, jnp.log(tail), jnp.log1p(-tail))


LINE = Line(
    lambda z: -jnp.log1p(z**2) - LOG_PI,
    lambda z: _log_lower(z, jnp.ones_like(z)),
    lambda z: _log_lower(-z, jnp.ones_like(z)),
)

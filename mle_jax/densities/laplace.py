"""The Laplace distribution with location and scale.

log f(y; location, scale) = -|z| - log(2 scale),  z = (y - location)/scale

Source: Johnson, Kotz and Balakrishnan (1995), Continuous Univariate Distributions, vol. 2, chapter 24.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import LOG_2, expm1, log1mexp
from mle_jax.densities._intervals import Ends, between
from mle_jax.densities._partials import floats


@jax.jit
def log_density(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return the log density of the Laplace distribution, elementwise; at its corner the derivative is 0.

    Args:
        y: observations.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.laplace.log_density(1.0, 1.0, 0.5)), 4)
        0.0
    """
    y, location, scale = floats(y, location, scale)
    return -jnp.abs((y - location) / scale) - jnp.log(scale) - LOG_2


@jax.jit
def log_cdf(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(Y <= y))``.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.laplace.log_cdf(-40.0, 0.0, 1.0)), 4)  # -40 - log(2)
        -40.6931
    """
    y, location, scale = floats(y, location, scale)
    return _log_lower((y - location) / scale)


@jax.jit
def log_survival(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(Y > y))``.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.laplace.log_survival(2.0, 2.0, 3.0)), 4)  # log(1/2)
        -0.6931
    """
    y, location, scale = floats(y, location, scale)
    return _log_lower((location - y) / scale)


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
        >>> round(float(mle.densities.laplace.log_interval(0.0, 0.6931472, location=0.0, scale=1.0)), 4)  # log(1/4)
        -1.3863
    """
    low, high, location, scale = floats(low, high, location, scale)

    def both(a: Array, b: Array) -> Array:
        left, right = (a - location) / scale, (b - location) / scale
        around = (left < 0) & (right > 0)
        one_side = log1mexp((b - a) / scale) + jnp.where(right <= 0, right, -left) - LOG_2
        near_left, near_right = jnp.where(around, left, -1.0), jnp.where(around, right, 1.0)
        middle = jnp.log(-expm1(near_left) - expm1(-near_right)) - LOG_2
        return jnp.where(around, middle, one_side)

    ends = Ends(both, lambda b: log_cdf(b, location, scale), lambda a: log_survival(a, location, scale))
    return between(low, high, ends=ends, support=(-jnp.inf, jnp.inf), safe=(location, location + scale))


def _log_lower(z: Array) -> Array:
    below = z < 0
    return jnp.where(below, jnp.where(below, z, 0.0) - LOG_2, jnp.log1p(-0.5 * jnp.exp(-jnp.where(below, 0.0, z))))

"""The Weibull distribution.

log f(y; scale, shape) = log(shape) - log(y) + w - exp(w),  log P(Y > y) = -exp(w),  w = shape log(y/scale)

Source: Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, chapter 21.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import log1mexp, log1mexp_of_exp, log_ratio
from mle_jax.densities._intervals import Ends, between
from mle_jax.densities._partials import floats, supported


@jax.jit
def log_density(y: ArrayLike, scale: ArrayLike, shape: ArrayLike) -> Array:
    """Return the log density of the Weibull distribution, elementwise; minus infinity for y <= 0.

    Args:
        y: observations.
        scale: above 0; this is not checked.
        shape: above 0; this is not checked. 1 is the exponential distribution.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.weibull.log_density(1.0, 1.0, 2.0)), 4)  # log(2) - 1
        -0.3069
    """
    y, scale, shape = floats(y, scale, shape)
    inside, safe = _positive(y)
    w = shape * log_ratio(safe, scale)
    return supported(inside, jnp.log(shape) - jnp.log(safe) + w - jnp.exp(w))


@jax.jit
def log_cdf(y: ArrayLike, scale: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(Y <= y)) = log(1 - exp(-(y/scale)^shape))``; minus infinity for y <= 0.

    Args:
        y: the limit.
        scale: above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.weibull.log_cdf(1.0, 1.0, 5.0)), 4)  # log(1 - exp(-1))
        -0.4587
    """
    y, scale, shape = floats(y, scale, shape)
    inside, safe = _positive(y)
    return supported(inside, log1mexp_of_exp(shape * log_ratio(safe, scale)))


@jax.jit
def log_survival(y: ArrayLike, scale: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(Y > y)) = -(y/scale)^shape``; 0 for y <= 0.

    Args:
        y: the limit.
        scale: above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.weibull.log_survival(6.0, 2.0, 2.0)), 4)
        -9.0
    """
    y, scale, shape = floats(y, scale, shape)
    inside, safe = _positive(y)
    return jnp.where(inside, -jnp.exp(shape * log_ratio(safe, scale)), 0.0)


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, scale: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``, accurate in both tails and for narrow intervals.

    Args:
        low: the lower end, 0 or below if there is none.
        high: the upper end, inf if there is none; minus infinity is returned where it is not above low.
        scale: above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.weibull.log_interval(0.0, 1.0, scale=1.0, shape=3.0)), 4)  # log(1 - exp(-1))
        -0.4587
    """
    low, high, scale, shape = floats(low, high, scale, shape)

    def both(a: Array, b: Array) -> Array:
        # log of the difference of the accumulated hazards exp(shape log(y/scale)) at both ends
        log_gap = shape * log_ratio(b, scale) + log1mexp(shape * jnp.log1p((b - a) / a))
        return log1mexp_of_exp(log_gap) - jnp.exp(shape * log_ratio(a, scale))

    ends = Ends(both, lambda b: log_cdf(b, scale, shape), lambda a: log_survival(a, scale, shape))
    return between(low, high, ends=ends, support=(0.0, jnp.inf), safe=(0.5 * scale, scale))


def _positive(y: Array) -> tuple[Array, Array]:
    inside = y > 0
    return inside, jnp.where(inside, y, 1.0)

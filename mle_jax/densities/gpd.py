"""The generalized Pareto distribution of excesses over a threshold; shape -> 0 is the exponential distribution.

log f(y; scale, shape) = -(1 + shape) t - log(scale),  log P(Y > y) = -t,  t = log(1 + shape z)/shape,  z = y/scale

The support is y >= 0 and shape z > -1. y is the excess: subtract the threshold first.

Source: Coles (2001), An Introduction to Statistical Modeling of Extreme Values, section 4.2.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import log1mexp, log1p_ratio
from mle_jax.densities._intervals import Ends, between
from mle_jax.densities._partials import floats, supported


@jax.jit
def log_density(y: ArrayLike, scale: ArrayLike, shape: ArrayLike) -> Array:
    """Return the log density of the generalized Pareto distribution, elementwise; minus infinity outside the support.

    Args:
        y: observations.
        scale: above 0; this is not checked.
        shape: any real number; 0 is the exponential distribution.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gpd.log_density(1.0, 1.0, 1.0)), 4)  # log(1/4)
        -1.3863
    """
    y, scale, shape = floats(y, scale, shape)
    inside, t = _reduced(y / scale, shape)
    return supported(inside & (y >= 0), -(1 + shape) * t - jnp.log(scale))


@jax.jit
def log_cdf(y: ArrayLike, scale: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(Y <= y)) = log(1 - exp(-t))``; minus infinity for y <= 0, 0 above the support.

    Args:
        y: the limit.
        scale: above 0; this is not checked.
        shape: any real number; 0 is the exponential distribution.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gpd.log_cdf(1.0, 1.0, 1.0)), 4)  # log(1/2)
        -0.6931
    """
    y, scale, shape = floats(y, scale, shape)
    inside, t = _reduced(y / scale, shape)
    some = inside & (y > 0)
    return jnp.where(some, log1mexp(jnp.where(some, t, 1.0)), jnp.where(y > 0, 0.0, -jnp.inf))


@jax.jit
def log_survival(y: ArrayLike, scale: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(Y > y)) = -t``; 0 for y <= 0, minus infinity above the support.

    Args:
        y: the limit.
        scale: above 0; this is not checked.
        shape: any real number; 0 is the exponential distribution.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gpd.log_survival(2.0, 1.0, 0.0)), 4)  # exponential
        -2.0
    """
    y, scale, shape = floats(y, scale, shape)
    inside, t = _reduced(y / scale, shape)
    return jnp.where(inside, -t, -jnp.inf)


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, scale: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``, accurate in both tails and for narrow intervals.

    Args:
        low: the lower end, 0 or below if there is none.
        high: the upper end, inf if there is none; minus infinity is returned where it is not above low.
        scale: above 0; this is not checked.
        shape: any real number; 0 is the exponential distribution.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gpd.log_interval(1.0, 3.0, scale=1.0, shape=1.0)), 4)  # log(1/2 - 1/4)
        -1.3863
    """
    low, high, scale, shape = floats(low, high, scale, shape)
    edge = -scale / jnp.where(shape == 0, 1.0, shape)

    def both(a: Array, b: Array) -> Array:
        inside, left = _reduced(a / scale, shape)
        step = (b - a) / jnp.where(inside, scale + shape * a, 1.0)
        return log1mexp(step * log1p_ratio(shape * step)) - left

    width = scale / (2 + 2 * jnp.abs(shape))
    ends = Ends(both, lambda b: log_cdf(b, scale, shape), lambda a: log_survival(a, scale, shape))
    return between(
        low,
        high,
        ends=ends,
        support=(jnp.zeros_like(edge), jnp.where(shape < 0, edge, jnp.inf)),
        safe=(0.5 * width, width),
    )


def _reduced(z: Array, shape: Array) -> tuple[Array, Array]:
    """Return where z is below the upper end, and ``t = log(1 + shape z)/shape`` (0 above it and below 0)."""
    inside = shape * z > -1
    safe = jnp.where(inside & (z >= 0), z, 0.0)
    return inside | (z < 0), safe * log1p_ratio(shape * safe)

"""The generalized extreme value distribution of largest values; shape -> 0 is the Gumbel distribution.

log f(y; location, scale, shape) = -(1 + shape) t - exp(-t) - log(scale),  log P(Y <= y) = -exp(-t),
t = log(1 + shape z)/shape,  z = (y - location)/scale

The support is shape z > -1. The shape is xi of Coles (k of Hosking is -xi).

Source: Coles (2001), An Introduction to Statistical Modeling of Extreme Values, section 3.1.3.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import exp_excess, log1mexp, log1mexp_of_exp, log1p_ratio
from mle_jax.densities._intervals import Ends, between
from mle_jax.densities._partials import floats, supported


@jax.jit
def log_density(y: ArrayLike, location: ArrayLike, scale: ArrayLike, *, shape: ArrayLike) -> Array:
    """Return the log density of the generalized extreme value distribution; minus infinity outside the support.

    Args:
        y: observations.
        location: any real number.
        scale: above 0; this is not checked.
        shape: any real number; 0 is the Gumbel distribution.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gev.log_density(0.0, 0.0, 1.0, shape=0.0)), 4)
        -1.0
    """
    y, location, scale, shape = floats(y, location, scale, shape)
    inside, t = _reduced((y - location) / scale, shape)
    return supported(inside, -1 - exp_excess(-t) - shape * t - jnp.log(scale))


@jax.jit
def log_cdf(y: ArrayLike, location: ArrayLike, scale: ArrayLike, *, shape: ArrayLike) -> Array:
    """Return ``log(P(Y <= y)) = -exp(-t)``; minus infinity below the support, 0 above it.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.
        shape: any real number; 0 is the Gumbel distribution.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gev.log_cdf(1.0, 0.0, 1.0, shape=1.0)), 4)
        -0.5
    """
    y, location, scale, shape = floats(y, location, scale, shape)
    inside, t = _reduced((y - location) / scale, shape)
    return jnp.where(inside, -jnp.exp(-t), jnp.where(shape > 0, -jnp.inf, 0.0))


@jax.jit
def log_survival(y: ArrayLike, location: ArrayLike, scale: ArrayLike, *, shape: ArrayLike) -> Array:
    """Return ``log(P(Y > y)) = log(1 - exp(-exp(-t)))``; 0 below the support, minus infinity above it.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.
        shape: any real number; 0 is the Gumbel distribution.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gev.log_survival(1.0, 0.0, 1.0, shape=-1.0)), 4)  # the end of the support
        -inf
    """
    y, location, scale, shape = floats(y, location, scale, shape)
    inside, t = _reduced((y - location) / scale, shape)
    return jnp.where(inside, log1mexp_of_exp(-t), jnp.where(shape > 0, 0.0, -jnp.inf))


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, location: ArrayLike, scale: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``, accurate in both tails and for narrow intervals.

    Args:
        low: the lower end, -inf if there is none.
        high: the upper end, inf if there is none; minus infinity is returned where it is not above low.
        location: any real number.
        scale: above 0; this is not checked.
        shape: any real number; 0 is the Gumbel distribution.

    Example:
        >>> import mle_jax as mle
        >>> value = mle.densities.gev.log_interval(0.0, 9.0, location=0.0, scale=1.0, shape=-1.0)
        >>> round(float(value), 4)  # the support ends at 1: log(1 - exp(-1))
        -0.4587
    """
    low, high, location, scale, shape = floats(low, high, location, scale, shape)
    edge = location - scale / jnp.where(shape == 0, 1.0, shape)

    def both(a: Array, b: Array) -> Array:
        z = (a - location) / scale
        inside, left = _reduced(z, shape)
        step = (b - a) / scale / jnp.where(inside, 1 + shape * z, 1.0)
        log_gap = log1mexp(step * log1p_ratio(shape * step)) - left
        return log1mexp_of_exp(log_gap) - jnp.exp(-_reduced((b - location) / scale, shape)[1])

    def below(b: Array) -> Array:
        return log_cdf(b, location, scale, shape=shape)

    def above(a: Array) -> Array:
        return log_survival(a, location, scale, shape=shape)

    width = scale / (2 + 2 * jnp.abs(shape))
    support = (jnp.where(shape > 0, edge, -jnp.inf), jnp.where(shape < 0, edge, jnp.inf))
    return between(low, high, ends=Ends(both, below, above), support=support, safe=(location, location + width))


def _reduced(z: Array, shape: Array) -> tuple[Array, Array]:
    """Return where z is in the support, and ``t = log(1 + shape z)/shape`` (0 elsewhere)."""
    inside = shape * z > -1
    safe = jnp.where(inside, z, 0.0)
    return inside, safe * log1p_ratio(shape * safe)

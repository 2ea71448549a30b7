"""The gamma distribution, by its mean and shape: the variance is mean^2/shape.

log f(y; mean, shape) = shape log(shape/mean) + (shape - 1) log(y) - shape y/mean - log(Gamma(shape))
                      = -shape D(y/mean - 1) - log(y) + log(shape/(2 pi))/2 - error(shape)

with D(x) = x - log(1 + x) and the error of Stirling's formula; the second form loses no digits for large shapes.
Probabilities are integrals over the tail without the mode.

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 8.2.
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import excess, exp_excess, log_ratio, ratio, ratio_excess, rest_of
from mle_jax.densities._gamma_functions import HALF_LOG_2_PI, stirling_error
from mle_jax.densities._intervals import Ends, Line, between, log_difference
from mle_jax.densities._partials import floats, supported
from mle_jax.densities._tail_integrals import log_tail


@jax.jit
def log_density(y: ArrayLike, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return the log density of the gamma distribution, elementwise; minus infinity for y <= 0.

    Also where y/mean is too large a number.

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
    inside = (y > 0) & (y / mean < jnp.inf)
    y, mean = jnp.where(inside, y, 1.0), jnp.where(inside, mean, 1.0)
    kernel = -shape * ratio_excess(y - mean, y, mean) - jnp.log(y)
    return supported(inside, kernel + 0.5 * jnp.log(shape) - HALF_LOG_2_PI - stirling_error(shape))


@jax.jit
def log_cdf(y: ArrayLike, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(Y <= y))``, with derivatives in the shape as well; minus infinity for y <= 0.

    Args:
        y: the limit.
        mean: above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gamma.log_cdf(1.0, 1.0, 1.0)), 4)  # log(1 - exp(-1))
        -0.4587
    """
    y, mean, shape = floats(y, mean, shape)
    inside = y > 0
    return supported(inside, _tails(log_ratio(jnp.where(inside, y, mean), mean), shape)[0])


@jax.jit
def log_survival(y: ArrayLike, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(Y > y))``, with derivatives in the shape as well; 0 for y <= 0.

    Args:
        y: the limit.
        mean: above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gamma.log_survival(90.0, 1.0, 1.0)), 3)
        -90.0
    """
    y, mean, shape = floats(y, mean, shape)
    inside = y > 0
    return jnp.where(inside, _tails(log_ratio(jnp.where(inside, y, mean), mean), shape)[1], 0.0)


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, mean: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``, accurate in both tails and for narrow intervals.

    Args:
        low: the lower end, 0 or below if there is none.
        high: the upper end, inf if there is none; minus infinity is returned where it is not above low.
        mean: above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gamma.log_interval(2.0, 2.6931472, mean=1.0, shape=1.0)), 4)  # -2 - log(2)
        -2.6931
    """
    low, high, mean, shape = floats(low, high, mean, shape)

    def both(a: Array, b: Array) -> Array:
        line = Line(
            lambda t: _log_density_of_log(t, shape[..., None]),
            lambda t: _tails(t, shape)[0],
            lambda t: _tails(t, shape)[1],
        )
        return log_difference(log_ratio(a, mean), log_ratio(b, mean), width=jnp.log1p(ratio(b - a, a)), line=line)

    ends = Ends(both, lambda b: log_cdf(b, mean, shape), lambda a: log_survival(a, mean, shape))
    return between(low, high, ends=ends, support=(0.0, jnp.inf), safe=(0.5 * mean, mean))


def _log_constant(shape: Array) -> Array:
    return 0.5 * jnp.log(shape) - HALF_LOG_2_PI - stirling_error(shape)


def _log_density_of_log(t: Array, shape: Array) -> Array:
    """Return the log density of ``t = log(y/mean)``, ``-shape (exp(t) - 1 - t)`` plus a constant."""
    return _log_constant(shape) - shape * exp_excess(t)


def _tails(t: Array, shape: Array) -> tuple[Array, Array]:
    """Return the log probabilities below and above ``t = log(y/mean)``.

    Minus infinity and 0 where the exponent of the density is too large a number.
    """
    largest = jnp.finfo(t.dtype).max
    top = math.log(largest) - 2
    right, size = t >= 0, jnp.where(t >= 0, jnp.exp(jnp.minimum(t, top)), -t)
    within = (t < top) & (shape < largest / 4 / size)
    below, above = _tails_within(jnp.where(within, t, 0.0), shape)
    below = jnp.where(within, below, jnp.where(right, 0.0, -jnp.inf))
    return below, jnp.where(within, above, jnp.where(right, -jnp.inf, 0.0))


def _tails_within(t: Array, shape: Array) -> tuple[Array, Array]:
    """Return the log probabilities below and above t.

    The tail without the mode is integrated, in t below it (where the density falls like exp(shape t)) and in y/mean
    above it (like exp(-shape y/mean)); the other is its complement.
    """
    right = t >= 0
    rate = jnp.minimum(shape, jnp.sqrt(shape))
    left_at, right_at = jnp.where(right, -1.0, t), jnp.exp(jnp.where(right, t, 0.0))
    constant, wide = _log_constant(shape)[..., None], shape[..., None]
    below = log_tail(lambda nodes: _log_density_of_log(nodes, wide), left_at, -1 / (rate - shape * jnp.expm1(left_at)))
    above = log_tail(
        lambda r: constant - wide * excess(r - 1, r) - jnp.log(r),
        right_at,
        1 / (rate + shape * (right_at - 1) / right_at),
    )
    tail = jnp.where(right, above, below)
    rest = rest_of(tail)
    return jnp.where(right, rest, tail), jnp.where(right, tail, rest)

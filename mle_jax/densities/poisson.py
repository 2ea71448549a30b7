"""The Poisson distribution.

log f(y; mean) = y log(mean) - mean - log(y!)

For y > 0 the three terms, which may be much larger than their sum, are combined by Stirling's formula into
-(y log(y/mean) + mean - y) - log(2 pi y)/2 - error(y).

Source: Loader (2000), Fast and accurate computation of binomial probabilities; Johnson, Kemp and Kotz (2005),
Univariate Discrete Distributions, chapter 4.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._counts import is_count, log_stirling_ratio
from mle_jax.densities._elementary import excess, exponential_excess
from mle_jax.densities._partials import floats, supported, with_partials


@jax.jit
def log_density(y: ArrayLike, mean: ArrayLike) -> Array:
    """Return the log density of the Poisson distribution, elementwise.

    ``log f = y log(mean) - mean - log(y!)``; minus infinity unless y is a whole number from 0 on.

    Args:
        y: counts; constants as far as derivatives are concerned.
        mean: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.poisson.log_density(2, 3.0)), 4)  # 2 log(3) - 3 - log(2)
        -1.4959
    """
    y, mean = floats(y, mean)
    y = jax.lax.stop_gradient(y)
    positive = is_count(y) & (y > 0)
    count = jnp.where(positive, y, 1.0)
    near = jnp.where(positive, mean, 1.0)
    some = -count * excess((near - count) / count, near / count) - log_stirling_ratio(count)
    return supported(is_count(y), jnp.where(positive, some, -mean))


@jax.jit
def log_density_log_mean(y: ArrayLike, log_mean: ArrayLike) -> Array:
    """Return the log density of the Poisson distribution given the logarithm of its mean, as in a log-linear model.

    ``log f = y eta - exp(eta) - log(y!)``; its derivatives are ``y - exp(eta)`` and ``-exp(eta)`` to the last digit,
    which the chain rule through the mean does not give for large counts.

    Args:
        y: counts; constants as far as derivatives are concerned.
        log_mean: eta, any real number.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.poisson.log_density_log_mean(2, 0.0)), 4)  # -1 - log(2)
        -1.6931
    """
    y, log_mean = floats(y, log_mean)
    y = jax.lax.stop_gradient(y)
    valid = is_count(y)
    known = jnp.where(valid, y, 0.0)
    count = jnp.where(known > 0, known, 1.0)
    # What depends on the count alone stays outside of the function with its own derivatives: batches compute it once.
    by_count = jnp.where(known > 0, log_stirling_ratio(count), 0.0)
    return supported(valid, _of_log_mean(known, jnp.log(count), log_mean) - by_count)


def _value(y: Array, log_y: Array, log_mean: Array) -> Array:
    """Return -(exp(t) - 1 - t) y, t the logarithm of mean/y, and for y = 0 minus the mean."""
    t, mean = log_mean - log_y, jnp.exp(log_mean)
    near = (jnp.abs(t) < 1) & (y > 0)
    # Of an infinite mean nothing is subtracted, for a huge y t may be infinite as well.
    far = jnp.where((y > 0) & (mean < jnp.inf), y + y * t, 0.0) - mean
    return jnp.where(near, -y * exponential_excess(jnp.where(near, t, 0.0)), far)


def _slope(y: Array, log_y: Array, log_mean: Array) -> Array:
    return y - jnp.exp(log_mean)


def _bend(y: Array, log_y: Array, log_mean: Array) -> Array:
    return -jnp.exp(log_mean)


_of_log_mean = with_partials(_value, None, None, with_partials(_slope, None, None, _bend))

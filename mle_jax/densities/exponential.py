"""The exponential distribution, by its mean.

log f(y; mean) = -y/mean - log(mean), y >= 0;  log P(Y > y) = -y/mean

Source: Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, chapter 19.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import log1mexp_of_ratio, ratio
from mle_jax.densities._intervals import Ends, between
from mle_jax.densities._partials import floats, supported


@jax.jit
def log_density(y: ArrayLike, mean: ArrayLike) -> Array:
    """Return the log density of the exponential distribution, elementwise; minus infinity for y < 0.

    Args:
        y: observations.
        mean: above 0; this is not checked. The rate is 1/mean.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.exponential.log_density(2.0, 1.0)), 4)
        -2.0
    """
    y, mean = floats(y, mean)
    inside = y >= 0
    return supported(inside, -ratio(jnp.where(inside, y, 0.0), mean) - jnp.log(mean))


@jax.jit
def log_cdf(y: ArrayLike, mean: ArrayLike) -> Array:
    """Return ``log(P(Y <= y)) = log(1 - exp(-y/mean))``; minus infinity for y <= 0.

    Args:
        y: the limit.
        mean: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.exponential.log_cdf(0.6931472, 1.0)), 4)  # log(1/2)
        -0.6931
    """
    y, mean = floats(y, mean)
    inside = y > 0
    return supported(inside, log1mexp_of_ratio(jnp.where(inside, y, mean), mean))


@jax.jit
def log_survival(y: ArrayLike, mean: ArrayLike) -> Array:
    """Return ``log(P(Y > y)) = -y/mean``; 0 for y <= 0.

    Args:
        y: the limit.
        mean: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.exponential.log_survival(3.0, 2.0)), 4)
        -1.5
    """
    y, mean = floats(y, mean)
    return -ratio(jnp.where(y >= 0, y, 0.0), mean)


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, mean: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high)) = -low/mean + log(1 - exp(-(high - low)/mean))``.

    Args:
        low: the lower end, 0 or below if there is none.
        high: the upper end, inf if there is none; minus infinity is returned where it is not above low.
        mean: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.exponential.log_interval(2.0, 2.6931472, mean=1.0)), 4)  # -2 - log(2)
        -2.6931
    """
    low, high, mean = floats(low, high, mean)
    ends = Ends(
        lambda a, b: log1mexp_of_ratio(b - a, mean) - ratio(a, mean),
        lambda b: log_cdf(b, mean),
        lambda a: log_survival(a, mean),
    )
    return between(low, high, ends=ends, support=(0.0, jnp.inf), safe=(mean, 2 * mean))

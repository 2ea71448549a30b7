"""The Gumbel distribution of largest values, with location and scale.

log f(y; location, scale) = -z - exp(-z) - log(scale),  log P(Y <= y) = -exp(-z),  z = (y - location)/scale

For smallest values give -y and -location.

Source: Johnson, Kotz and Balakrishnan (1995), Continuous Univariate Distributions, vol. 2, chapter 22.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import exp_excess, log1mexp, log1mexp_of_exp
from mle_jax.densities._intervals import Ends, between
from mle_jax.densities._partials import floats


@jax.jit
def log_density(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return the log density of the Gumbel distribution, elementwise.

    Args:
        y: observations.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gumbel.log_density(0.0, 0.0, 1.0)), 4)
        -1.0
    """
    y, location, scale = floats(y, location, scale)
    z = (y - location) / scale
    return -1 - exp_excess(-z) - jnp.log(scale)  # -z - exp(-z), whose derivative cancels at the mode


@jax.jit
def log_cdf(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(Y <= y)) = -exp(-z)``.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gumbel.log_cdf(0.0, 0.0, 1.0)), 4)
        -1.0
    """
    y, location, scale = floats(y, location, scale)
    return -jnp.exp((location - y) / scale)


@jax.jit
def log_survival(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(Y > y)) = log(1 - exp(-exp(-z)))``.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.gumbel.log_survival(100.0, 0.0, 1.0)), 4)
        -100.0
    """
    y, location, scale = floats(y, location, scale)
    return log1mexp_of_exp((location - y) / scale)


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
        >>> value = mle.densities.gumbel.log_interval(0.0, float("inf"), location=0.0, scale=1.0)
        >>> round(float(value), 4)  # log(1 - exp(-1))
        -0.4587
    """
    low, high, location, scale = floats(low, high, location, scale)

    def both(a: Array, b: Array) -> Array:
        log_gap = (location - a) / scale + log1mexp((b - a) / scale)
        return log1mexp_of_exp(log_gap) - jnp.exp((location - b) / scale)

    ends = Ends(both, lambda b: log_cdf(b, location, scale), lambda a: log_survival(a, location, scale))
    return between(low, high, ends=ends, support=(-jnp.inf, jnp.inf), safe=(location, location + scale))

"""The logistic distribution with location and scale.

log f(y; location, scale) = -z - 2 log(1 + exp(-z)) - log(scale),
P(Y <= y) = 1/(1 + exp(-z)),  z = (y - location)/scale

The probability of an interval a < z <= b is the product P(b) (1 - P(a)) (1 - exp(a - b)).

Source: Johnson, Kotz and Balakrishnan (1995), Continuous Univariate Distributions, vol. 2, chapter 23.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import log1mexp, sigmoid, softplus
from mle_jax.densities._intervals import Ends, between
from mle_jax.densities._partials import floats, with_partials


@jax.jit
def log_density(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return the log density of the logistic distribution, elementwise.

    Args:
        y: observations.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.logistic.log_density(3.0, 3.0, 1.0)), 4)  # log(1/4)
        -1.3863
    """
    y, location, scale = floats(y, location, scale)
    z = (y - location) / scale
    return -_both_tails(z) - jnp.log(scale)


@jax.jit
def log_cdf(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(Y <= y)) = -log(1 + exp(-z))``.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.logistic.log_cdf(-500.0, 0.0, 1.0)), 4)
        -500.0
    """
    y, location, scale = floats(y, location, scale)
    return -softplus((location - y) / scale)


@jax.jit
def log_survival(y: ArrayLike, location: ArrayLike, scale: ArrayLike) -> Array:
    """Return ``log(P(Y > y)) = -log(1 + exp(z))``.

    Args:
        y: the limit.
        location: any real number.
        scale: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.logistic.log_survival(0.0, 0.0, 1.0)), 4)  # log(1/2)
        -0.6931
    """
    y, location, scale = floats(y, location, scale)
    return -softplus((y - location) / scale)


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
        >>> round(float(mle.densities.logistic.log_interval(0.0, 1.0986123, location=0.0, scale=1.0)), 4)  # log(1/4)
        -1.3863
    """
    low, high, location, scale = floats(low, high, location, scale)

    def both(a: Array, b: Array) -> Array:
        return log1mexp((b - a) / scale) + log_cdf(b, location, scale) + log_survival(a, location, scale)

    ends = Ends(both, lambda b: log_cdf(b, location, scale), lambda a: log_survival(a, location, scale))
    return between(low, high, ends=ends, support=(-jnp.inf, jnp.inf), safe=(location, location + scale))


def _half_tanh(z: Array) -> Array:
    e = jnp.abs(z)
    return jnp.sign(z) * -jnp.expm1(-e) / (1 + jnp.exp(-e))


# Its slope, as sigmoid(z) - sigmoid(-z), would lose the digits of a small z.
_both_tails = with_partials(
    lambda z: jnp.abs(z) + 2 * softplus(-jnp.abs(z)),
    with_partials(_half_tanh, lambda z: 2 * sigmoid(z) * sigmoid(-z)),
)
"""``log(1 + exp(z)) + log(1 + exp(-z))``; its derivative is tanh(z/2)."""

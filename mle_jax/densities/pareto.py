"""The Pareto distribution with a known or unknown smallest value.

log f(y; minimum, shape) = log(shape) - shape log(y/minimum) - log(y), y >= minimum;  P(Y > y) = (minimum/y)^shape

Source: Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, equation 20.3.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._elementary import log1mexp
from mle_jax.densities._intervals import Ends, between
from mle_jax.densities._partials import floats, supported


@jax.jit
def log_density(y: ArrayLike, minimum: ArrayLike, shape: ArrayLike) -> Array:
    """Return the log density of the Pareto distribution, elementwise; minus infinity for y below the minimum.

    Args:
        y: observations.
        minimum: the smallest value, above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.pareto.log_density(2.0, 1.0, 1.0)), 4)  # log(1/4)
        -1.3863
    """
    y, minimum, shape = floats(y, minimum, shape)
    inside = y >= minimum
    safe = jnp.where(inside, y, minimum)
    return supported(inside, jnp.log(shape) - shape * jnp.log(safe / minimum) - jnp.log(safe))


@jax.jit
def log_cdf(y: ArrayLike, minimum: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(Y <= y))``; minus infinity up to the minimum.

    Args:
        y: the limit.
        minimum: the smallest value, above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.pareto.log_cdf(2.0, 1.0, 1.0)), 4)  # log(1/2)
        -0.6931
    """
    y, minimum, shape = floats(y, minimum, shape)
    inside = y > minimum
    safe = jnp.where(inside, y, 2 * minimum)
    return supported(inside, log1mexp(shape * _log_ratio(safe, minimum)))


@jax.jit
def log_survival(y: ArrayLike, minimum: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(Y > y)) = -shape log(y/minimum)``; 0 up to the minimum.

    Args:
        y: the limit.
        minimum: the smallest value, above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.pareto.log_survival(2.0, 1.0, 3.0)), 4)  # -3 log(2)
        -2.0794
    """
    y, minimum, shape = floats(y, minimum, shape)
    inside = y >= minimum
    return jnp.where(inside, -shape * jnp.log(jnp.where(inside, y, minimum) / minimum), 0.0)


@jax.jit
def log_interval(low: ArrayLike, high: ArrayLike, *, minimum: ArrayLike, shape: ArrayLike) -> Array:
    """Return ``log(P(low < Y <= high))``, accurate in both tails and for narrow intervals.

    Args:
        low: the lower end, the minimum or below if there is none.
        high: the upper end, inf if there is none; minus infinity is returned where it is not above low.
        minimum: the smallest value, above 0; this is not checked.
        shape: above 0; this is not checked.

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.pareto.log_interval(2.0, 4.0, minimum=1.0, shape=1.0)), 4)  # log(1/2 - 1/4)
        -1.3863
    """
    low, high, minimum, shape = floats(low, high, minimum, shape)

    def both(a: Array, b: Array) -> Array:
        return log1mexp(shape * _log_ratio(b, a)) - shape * jnp.log(a / minimum)

    ends = Ends(both, lambda b: log_cdf(b, minimum, shape), lambda a: log_survival(a, minimum, shape))
    return between(low, high, ends=ends, support=(minimum, jnp.inf), safe=(2 * minimum, 4 * minimum))


def _log_ratio(a: Array, b: Array) -> Array:
    """Return ``log(a/b)`` by the difference."""
    return jnp.log1p((a - b) / b)

"""Truncation of any family that has `log_interval`: only values between two limits are observed.

log f(y | low < Y <= high) = log f(y) - log(P(low < Y <= high))

Source: Johnson, Kotz and Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, section 10.1.
"""

from typing import Protocol

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities._partials import floats


class Family(Protocol):
    """A module of `mle_jax.densities` with the probability of an interval."""

    def log_density(self, y: ArrayLike, /, **parameters: ArrayLike) -> Array:
        """Return the log density."""

    def log_interval(self, low: ArrayLike, high: ArrayLike, /, **parameters: ArrayLike) -> Array:
        """Return the log probability of an interval."""


def log_density(
    y: ArrayLike, family: Family, *, low: ArrayLike = -jnp.inf, high: ArrayLike = jnp.inf, **parameters: ArrayLike
) -> Array:
    """Return the log density of a variable that is observed only between two limits, elementwise.

    Minus infinity, with a zero derivative, outside the limits.

    Args:
        y: observations.
        family: a module of `mle_jax.densities` with `log_interval`, such as ``mle_jax.densities.normal``.
        low: the lower limit, -inf if there is none.
        high: the upper limit, inf if there is none.
        parameters: of the family, before truncation, by name.

    Example:
        >>> import mle_jax as mle
        >>> normal, truncated = mle.densities.normal, mle.densities.truncated
        >>> round(float(truncated.log_density(0.5, normal, low=0.0, mean=0.0, sd=1.0)), 4)  # log(2 phi(1/2))
        -0.3508
    """
    y, low, high = floats(y, low, high)
    probability = family.log_interval(low, high, **parameters)
    inside = (y >= low) & (y <= high) & (probability > -jnp.inf)
    value = family.log_density(y, **parameters) - jnp.where(inside, probability, 0.0)
    return jnp.where(inside, value, -jnp.inf)

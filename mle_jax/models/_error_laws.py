"""Error distributions on the whole line: their kernels, and the derivatives that gradients by hand are made of.

A response is t = location + scale * z with a standard error z. For each law three functions of z are written by hand:
the slope d log f/dz of the log density, the hazard f/(1 - F), and the reversed hazard f/F; they are the derivatives of
what an exact, a right-censored and a left-censored observation contribute.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import gumbel, logistic, normal
from mle_jax.densities._elementary import sigmoid
from mle_jax.densities._normal_tails import hazard as normal_hazard

EULER = 0.5772156649015329


class Errors(NamedTuple):
    """A distribution of errors; `log_density`, `log_cdf` and `log_survival` take (t, location, scale)."""

    log_density: Callable[..., Array]
    log_cdf: Callable[..., Array]
    log_survival: Callable[..., Array]
    log_interval: Callable[..., Array]
    """(low, high, location, scale): the log probability of low < t <= high."""
    slope: Callable[[Array], Array]
    hazard: Callable[[Array], Array]
    reversed_hazard: Callable[[Array], Array]
    mean: float
    """Of a standard error."""
    sd: float
    draw: Callable[..., Array]
    """(key, dtype=...): a standard error."""


NORMAL = Errors(
    log_density=normal.log_density,
    log_cdf=normal.log_cdf,
    log_survival=normal.log_survival,
    log_interval=lambda low, high, location, scale: normal.log_interval(low, high, mean=location, sd=scale),
    # log f = -z^2/2 + constant
    slope=lambda z: -z,
    hazard=normal_hazard,
    # phi(z)/Phi(z) = phi(-z)/(1 - Phi(-z)), by symmetry
    reversed_hazard=lambda z: normal_hazard(-z),
    mean=0.0,
    sd=1.0,
    draw=lambda key, dtype: jax.random.normal(key, dtype=dtype),
)
"""Standard normal."""

LOGISTIC = Errors(
    log_density=logistic.log_density,
    log_cdf=logistic.log_cdf,
    log_survival=logistic.log_survival,
    log_interval=lambda low, high, location, scale: logistic.log_interval(low, high, location=location, scale=scale),
    # log f = z - 2 log(1 + exp(z)); with F = sigmoid(z) the slope is 1 - 2 F = (1 - F) - F
    slope=lambda z: sigmoid(-z) - sigmoid(z),
    # f = F (1 - F)
    hazard=sigmoid,
    reversed_hazard=lambda z: sigmoid(-z),
    mean=0.0,
    sd=math.pi / math.sqrt(3.0),
    draw=lambda key, dtype: jax.random.logistic(key, dtype=dtype),
)
"""Standard logistic."""


def _smallest_reversed_hazard(z: Array) -> Array:
    # F = 1 - exp(-x) with x = exp(z), so f/F = x exp(-x)/(1 - exp(-x)) = x/(exp(x) - 1). Below z = -40 it is 1 to the
    # last digit, above 4.4 (float32) or 6.5 it is 0 to the range of the numbers.
    x = jnp.exp(jnp.clip(z, -40.0, 4.4 if z.dtype == jnp.float32 else 6.5))
    return x / jnp.expm1(x)


SMALLEST = Errors(
    # -t is Gumbel (largest values) around -location; below and above change places.
    log_density=lambda t, location, scale: gumbel.log_density(-t, -location, scale),
    log_cdf=lambda t, location, scale: gumbel.log_survival(-t, -location, scale),
    log_survival=lambda t, location, scale: gumbel.log_cdf(-t, -location, scale),
    log_interval=lambda low, high, location, scale: gumbel.log_interval(-high, -low, location=-location, scale=scale),
    # log f = z - exp(z), log(1 - F) = -exp(z)
    slope=lambda z: -jnp.expm1(z),
    hazard=jnp.exp,
    reversed_hazard=_smallest_reversed_hazard,
    mean=-EULER,
    sd=math.pi / math.sqrt(6.0),
    draw=lambda key, dtype: -jax.random.gumbel(key, dtype=dtype),
)
"""Standard smallest extreme value: the logarithm of an exponential variable of mean 1."""


def pulls(errors: Errors, low: Array, high: Array) -> tuple[Array, Array]:
    """Return f(low)/P and f(high)/P, with P = F(high) - F(low): what moving an end of an interval changes in log(P).

    An infinite end has none; that leaves the hazard of the other one, which is accurate however far out.

    Args:
        errors: the law.
        low: the lower end in standard units, -inf if there is none.
        high: the upper end, inf if there is none; above low.
    """
    no_low, no_high = jnp.isneginf(low), jnp.isposinf(high)
    safe_low, safe_high = jnp.where(no_low, high - 1, low), jnp.where(no_high, low + 1, high)
    log_p = errors.log_interval(safe_low, safe_high, jnp.zeros_like(low), jnp.ones_like(low))

    def share(z: Array) -> Array:
        return jnp.exp(errors.log_density(z, jnp.zeros_like(z), jnp.ones_like(z)) - log_p)

    at_low = jnp.where(no_high, errors.hazard(low), share(safe_low))
    at_high = jnp.where(no_low, errors.reversed_hazard(high), share(safe_high))
    return jnp.where(no_low, 0.0, at_low), jnp.where(no_high, 0.0, at_high)


def times(z: Any, pull: Array) -> Array:
    """Return ``z * pull``, 0 where there is no pull however far out z lies."""
    return jnp.where(pull == 0, 0.0, jnp.where(pull == 0, 0.0, z) * pull)

"""What the densities of counts have in common."""

import math

import jax.numpy as jnp
from jax import Array

from mle_jax.densities._gamma_functions import HALF_LOG_2_PI, SHIFT, stirling_series

LOG_FACTORIALS = tuple(math.log(math.factorial(n)) for n in range(SHIFT + 1))
STIRLING_ERRORS = (
    *(0.081061466795327258, 0.041340695955409294, 0.027677925684998339, 0.020790672103765093),
    *(0.016644691189821192, 0.013876128823070748, 0.01189670994589177),
)
"""Of Stirling's formula at 1, 2, ..., 7."""


def is_count(y: Array) -> Array:
    """Say where y is a whole number from 0 on."""
    return (y >= 0) & (y == jnp.floor(y)) & (y < jnp.inf)


def is_share(y: Array, trials: Array) -> Array:
    """Say where y is one of 0, 1, ..., trials; nowhere if the trials are no whole number from 0 on."""
    return is_count(y) & is_count(trials) & (y <= trials)


def log_stirling_ratio(y: Array) -> Array:
    """Return ``log(y! / (y^y exp(-y)))`` for whole numbers y >= 1."""
    return 0.5 * jnp.log(y) + HALF_LOG_2_PI + stirling_error_of_count(y)


def stirling_error_of_count(y: Array) -> Array:
    """Return the error of Stirling's formula for the logarithm of Gamma(y), y a whole number from 1 on."""
    small = y < SHIFT
    return jnp.where(small, _listed(y, 1, STIRLING_ERRORS), stirling_series(1 / jnp.where(small, 1.0, y)))


def log_small_factorial(y: Array) -> Array:
    """Return ``log(y!)`` for a whole number y from 0 to 8."""
    return _listed(y, 0, LOG_FACTORIALS)


def _listed(y: Array, first: int, values: tuple[float, ...]) -> Array:
    """Return the value that belongs to y: the first to `first`, the second to `first` + 1, ..."""
    found = jnp.full_like(y, values[0])
    for number, value in enumerate(values[1:], start=first + 1):
        found = jnp.where(y == number, value, found)
    return found


def split(y: Array, trials: Array) -> tuple[Array, Array, Array]:
    """Return where 0 < y < trials, and successes and failures made harmless (1) elsewhere."""
    mixed = (y > 0) & (y < trials)
    return mixed, jnp.where(mixed, y, 1.0), jnp.where(mixed, trials - y, 1.0)


def log_stirling_choose(successes: Array, failures: Array) -> Array:
    """Return ``log(n!/(s! f!)) - n log(n) + s log(s) + f log(f)``, n = s + f, for whole s, f >= 1."""
    trials = successes + failures
    scale = 0.5 * jnp.log(trials / successes / failures) - HALF_LOG_2_PI
    return (
        scale + stirling_error_of_count(trials) - stirling_error_of_count(successes) - stirling_error_of_count(failures)
    )

"""What the densities of counts have in common."""

import jax.numpy as jnp
from jax import Array

from mle_jax.densities._gamma_functions import HALF_LOG_2_PI, stirling_error


def is_count(y: Array) -> Array:
    """Say where y is a whole number from 0 on."""
    return (y >= 0) & (y == jnp.floor(y)) & (y < jnp.inf)


def is_share(y: Array, trials: Array) -> Array:
    """Say where y is one of 0, 1, ..., trials; nowhere if the trials are no whole number from 0 on."""
    return is_count(y) & is_count(trials) & (y <= trials)


def log_stirling_ratio(y: Array) -> Array:
    """Return ``log(y! / (y^y exp(-y)))`` for y >= 1."""
    return 0.5 * jnp.log(y) + HALF_LOG_2_PI + stirling_error(y)


def split(y: Array, trials: Array) -> tuple[Array, Array, Array]:
    """Return where 0 < y < trials, and successes and failures made harmless (1) elsewhere."""
    mixed = (y > 0) & (y < trials)
    return mixed, jnp.where(mixed, y, 1.0), jnp.where(mixed, trials - y, 1.0)


def log_stirling_choose(successes: Array, failures: Array) -> Array:
    """Return ``log(n!/(s! f!)) - n log(n) + s log(s) + f log(f)``, n = s + f, for s, f >= 1."""
    trials = successes + failures
    scale = 0.5 * jnp.log(trials / successes / failures) - HALF_LOG_2_PI
    return scale + stirling_error(trials) - stirling_error(successes) - stirling_error(failures)

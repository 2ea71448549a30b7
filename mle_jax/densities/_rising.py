"""Logarithms of rising factorials of counts, smooth where they become powers: the heart of overdispersed counts."""

import jax.numpy as jnp
from jax import Array

from mle_jax.densities._elementary import log1p_curvature
from mle_jax.densities._gamma_functions import SHIFT, stirling_error_of_inverse
from mle_jax.densities._partials import with_partials

FACTORS = range(1, 4), range(4, SHIFT)


def first_factors(count: Array, a: Array) -> Array:
    """Return the sum of log(1 + j a) over j < min(count, 8), as log1p of products minus 1: all terms positive.

    In two products, for seven factors of 1e6 are too large a number for float32.
    """
    low, high = (excess_product(count, a, factors) for factors in FACTORS)
    return jnp.log1p(low) + jnp.log1p(high)


def excess_product(count: Array, a: Array, factors: range) -> Array:
    """Return the product of 1 + j a, j < count, over these j, minus 1."""
    excess = jnp.zeros_like(count * a)
    for j in factors:
        excess = excess + jnp.where(count > j, j * a, 0.0) * (1 + excess)
    return excess


def first_slope(count: Array, a: Array) -> Array:
    """Return the derivative of `first_factors` in a."""
    return sum((jnp.where(count > j, j / (1 + j * a), 0.0) for j in range(1, SHIFT)), jnp.zeros_like(count * a))


def first_bend(count: Array, a: Array) -> Array:
    """Return the second derivative of `first_factors` in a."""
    terms = (jnp.where(count > j, -((j / (1 + j * a)) ** 2), 0.0) for j in range(1, SHIFT))
    return sum(terms, jnp.zeros_like(count * a))


log_rising_few = with_partials(
    first_factors, None, with_partials(first_slope, None, with_partials(first_bend, None, None))
)
"""The sum of log(1 + j a) over j = 0 .. count - 1 for counts up to 8, above which only the first eight are taken."""


def log_rising(count: Array, a: Array) -> Array:
    """Return the sum of log(1 + j a) over j = 0 .. count - 1: ``log(Gamma(count + 1/a)/Gamma(1/a)) + count log(a)``.

    The first eight factors are multiplied out; what is left is the same sum for a smaller a/(1 + 8 a) <= 1/8, by
    Stirling's formula in a form that is smooth at a = 0:

        n ((1 + x) log(1 + x) - x)/x - log(1 + x)/2 + error(1/a + n) - error(1/a),  x = n a,

    of which the first is n z C(-z), z = x/(1 + x), C(t) = (t - log(1 + t))/t^2.

    Args:
        count: whole numbers, constants as far as derivatives are concerned.
        a: at least 0.
    """
    rest = jnp.maximum(count - SHIFT, 0)
    start = 1 + SHIFT * a
    scaled = a / start
    x = rest * scaled
    power = rest * (x / (1 + x)) * log1p_curvature(-x / (1 + x), 1 / (1 + x)) - 0.5 * jnp.log1p(x)
    errors = stirling_error_of_inverse(scaled / (1 + x)) - stirling_error_of_inverse(scaled)
    return log_rising_few(count, a) + rest * jnp.log1p(SHIFT * a) + power + errors

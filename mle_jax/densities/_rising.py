"""Logarithms of rising factorials of counts, smooth where they become powers: the heart of overdispersed counts."""

import jax.numpy as jnp
from jax import Array

from mle_jax.densities._elementary import log1p_curvature
from mle_jax.densities._gamma_functions import SHIFT, stirling_error_of_inverse
from mle_jax.densities._partials import with_partials


def first_factors(count: Array, a: Array) -> Array:
    """Return the sum of log(1 + j a) over j < min(count, 8).

    The seven logarithms depend on a alone: where all counts share it, they are worked out once for all of them.
    """
    return _up_to(count, [jnp.log1p(j * a) for j in range(1, SHIFT)])


def first_slope(count: Array, a: Array) -> Array:
    """Return the derivative of `first_factors` in a."""
    return _up_to(count, [j / (1 + j * a) for j in range(1, SHIFT)])


def first_bend(count: Array, a: Array) -> Array:
    """Return the second derivative of `first_factors` in a."""
    return _up_to(count, [-((j / (1 + j * a)) ** 2) for j in range(1, SHIFT)])


def _up_to(count: Array, terms: list[Array]) -> Array:
    """Return the sum of the terms 1, 2, ..., count - 1, as far as there are any."""
    total = jnp.zeros_like(terms[0])
    found = jnp.zeros_like(count * total)
    for j, term in enumerate(terms, start=1):
        total = total + term
        found = jnp.where(count > j, total, found)
    return found


log_rising_few = with_partials(
    first_factors, None, with_partials(first_slope, None, with_partials(first_bend, None, None))
)
"""The sum of log(1 + j a) over j = 0 .. count - 1 for counts up to 8, above which only the first eight are taken."""


def log_rising(count: Array, a: Array) -> Array:
    """Return the sum of log(1 + j a) over j = 0 .. count - 1: ``log(Gamma(count + 1/a)/Gamma(1/a)) + count log(a)``.

    The logarithms of the first eight factors are added up; what is left is the same sum for a smaller
    a/(1 + 8 a) <= 1/8, by Stirling's formula in a form that is smooth at a = 0:

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

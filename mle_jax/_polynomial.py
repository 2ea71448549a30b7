"""Polynomials by their coefficients."""

import jax.numpy as jnp
from jax import Array


def polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Return ``c[0] + c[1] x + c[2] x^2 + ...`` by Horner's rule."""
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total

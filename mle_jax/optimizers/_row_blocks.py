"""Sums over many rows, block by block so that what is made on the way stays in a core's cache; scattered numbers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

BLOCK = 8192


def normal_matrix(x: Array, weights: Array) -> Array:
    """Return ``X' diag(weights) X``, shape (k, k)."""
    return _sum_over_blocks(lambda part, shares: (part * shares[:, None]).T @ part, x, weights)


def combine(weights: Array, x: Array) -> Array:
    """Return ``X' weights``, shape (k,); a long thin product at once is ten times slower."""
    return _sum_over_blocks(lambda part, shares: shares @ part, x, weights)


def _sum_over_blocks(function: Callable[[Array, Array], Array], x: Array, weights: Array) -> Array:
    count, block = weights.size, BLOCK
    if count <= 2 * block:
        return function(x, weights)

    def add(i: Array, total: Array) -> Array:
        # The last block begins early enough to be whole; its rows that were counted before get weight 0.
        start = jnp.minimum(i * block, count - block)
        shares = jax.lax.dynamic_slice_in_dim(weights, start, block)
        shares = jnp.where(start + jnp.arange(block) >= i * block, shares, 0.0)
        return total + function(jax.lax.dynamic_slice_in_dim(x, start, block), shares)

    shape = jax.eval_shape(function, x[:1], weights[:1])
    return jax.lax.fori_loop(0, -(-count // block), add, jnp.zeros(shape.shape, shape.dtype))


def spread(count: int, dtype: jnp.dtype) -> Array:
    """Return numbers in [0, 1) that no pattern in the rows follows, (count,): the multiples of the golden ratio mod 1.

    Reference:
        Knuth (1998), The Art of Computer Programming, volume 3, section 6.4.
    """
    multiples = jnp.arange(count, dtype=jnp.uint32) * jnp.uint32(2_654_435_769)  # mod 2^32, as wanted
    return (multiples >> 8).astype(dtype) / 2**24

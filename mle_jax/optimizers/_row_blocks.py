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
    count = weights.size
    if count <= 2 * BLOCK:
        return function(x, weights)

    def add(i: Array, total: Array) -> Array:
        part, new = block_of(x, i)
        return total + function(part, jnp.where(new, block_of(weights, i)[0], 0.0))

    shape = jax.eval_shape(function, x[:1], weights[:1])
    return jax.lax.fori_loop(0, -(-count // BLOCK), add, jnp.zeros(shape.shape, shape.dtype))


def block_of(leaf: Array, i: Array) -> tuple[Array, Array]:
    """Return the i-th block of rows, and which of them are new: the last block begins early enough to be whole."""
    start = jnp.minimum(i * BLOCK, leaf.shape[0] - BLOCK)
    return jax.lax.dynamic_slice_in_dim(leaf, start, BLOCK), start + jnp.arange(BLOCK) >= i * BLOCK


def spread(count: int, dtype: jnp.dtype) -> Array:
    """Return numbers in [0, 1) that no pattern in the rows follows, (count,): the multiples of the golden ratio mod 1.

    Reference:
        Knuth (1998), The Art of Computer Programming, volume 3, section 6.4.
    """
    multiples = jnp.arange(count, dtype=jnp.uint32) * jnp.uint32(2_654_435_769)  # mod 2^32, as wanted
    return (multiples >> 8).astype(dtype) / 2**24

"""Arithmetic on L small problems side by side: every number is a vector over these lanes, matrices are written out.

Each operation on a block of rows is then a short vector operation, without a library call and without a matrix
product: what a native loop can be made of (`optimizers._one_kernel`).
"""

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._linalg import rounding_floor

T = TypeVar("T")

TOGETHER = 128
"""Numbers of a vector operation of a native loop, at most: rows of a block times lanes."""
PLAIN_TOGETHER = 2**15
"""The same where operations of usual size are compiled one by one, each of which costs some microseconds by itself."""

FEW = 16
"""Rows that are written out, one after the other; of more there is a loop, or a sum over an axis."""

Vector = list[Array]
"""Entries, each a vector over the lanes."""
Entries = dict[tuple[int, int], Array]
"""The lower triangle of a symmetric matrix."""


class Factor(NamedTuple):
    """The Cholesky factor of a symmetric matrix, written out; of no use where `definite` does not hold."""

    lower: Entries  # the diagonal holds reciprocals
    definite: Array


def total(terms: Iterable[Array]) -> Array:
    """Return the sum, in the order given."""
    return functools.reduce(operator.add, terms)


def height_of_block(rows: int, lanes: int, together: int) -> int:
    """Return how many rows are summed at once: without a rest if that can be had by half or twice as many numbers."""
    most = max(min(together // lanes, rows), 1)
    heights = *range(most, most // 2, -1), *range(most + 1, 2 * most)
    return next((height for height in heights if rows % height == 0), most)


def sum_blocks(
    function: Callable[[T], list[Array]], rows: T, like: Array, together: int, blocks: Array | None = None
) -> list[Array]:
    """Sum a function of a block of rows over all blocks, or the first of them.

    Args:
        function: of a block, which returns arrays (height, L).
        rows: pytree of arrays (n, ...).
        like: (L,), which shows the type.
        together: numbers of a vector operation, at most: rows of a block times lanes.
        blocks: how many, a scalar; None for all rows. The last of them begins earlier where it would go beyond the end.
    """
    return sum_blocks_keeping(lambda block, _: function(block), rows, like, together, blocks)


def sum_blocks_keeping(
    function: Callable[[T, "Keeper"], list[Array]], rows: T, like: Array, together: int, blocks: Array | None
) -> list[Array]:
    """Do the same, the function taking in addition what writes intermediate results to memory, if `blocks` is given."""
    size = jax.tree_util.tree_leaves(rows)[0].shape[0]
    height = height_of_block(size, like.shape[0], together)
    once = jnp.int32(1) if blocks is None else jnp.minimum(blocks, 1)
    block = lambda leaf, i: jax.lax.dynamic_slice_in_dim(leaf, i * height, height)  # noqa: E731

    def add(sums: list[Array], some: T, height: int, keep: "Keeper") -> list[Array]:
        every = [jnp.broadcast_to(more, (height, *like.shape)) for more in function(some, keep)]
        # Row by row: of a sum over an axis the compiler makes vectors across rows, which are not side by side.
        written_out = lambda one: total(one[r] for r in range(height))  # noqa: E731 - of every sum
        over_rows = written_out if height <= FEW else functools.partial(jnp.sum, axis=0)
        return [so_far + over_rows(one) for so_far, one in zip(sums, every, strict=True)]

    def add_block(i: Array, now: tuple[list[Array], list[Array]]) -> tuple[list[Array], list[Array]]:
        sums, room = now
        keep = Keeper(once, room)
        return add(sums, jax.tree_util.tree_map(lambda leaf: block(leaf, i), rows), height, keep), keep.written

    def found(some: T) -> tuple[list[Array], list[Array]]:
        keep = Keeper(once)
        return function(some, keep), keep.written

    shapes = jax.eval_shape(found, jax.tree_util.tree_map(lambda leaf: leaf[:height], rows))
    first = [jnp.zeros_like(like)] * len(shapes[0]), [jnp.zeros(leaf.shape, leaf.dtype) for leaf in shapes[1]]
    sums, _ = repeat(size // height if blocks is None else blocks, add_block, first)
    rest = 0 if blocks is not None else size % height
    return (
        add(sums, jax.tree_util.tree_map(lambda leaf: leaf[size - rest :], rows), rest, Keeper(once)) if rest else sums
    )


def repeat(times: int | Array, step: Callable[[Array, T], T], first: T) -> T:
    """Do what `jax.lax.fori_loop` does, as a plain loop: that makes a `scan` of it, which a native loop cannot hold."""

    def one(now: tuple[Array, T]) -> tuple[Array, T]:
        return now[0] + 1, step(now[0], now[1])

    last: tuple[Array, T] = jax.lax.while_loop(lambda now: now[0] < times, one, (jnp.int32(0), first))
    return last[1]


class Keeper:
    """Works things out for one block of rows after another, such that the results are written to memory; see `kept`.

    What is to be kept is the same for every block, in the same order, so that each finds the arrays of the one before.

    Args:
        once: as for `kept`.
        room: what the block before has written, one array after the other; None to find out what is needed.
    """

    def __init__(self, once: Array, room: Sequence[Array] | None = None) -> None:
        self._once, self._room = once, None if room is None else iter(room)
        self.written: list[Array] = []

    def __call__(self, work_out: Callable[[], T]) -> T:
        """Return what the function does, a pytree of arrays."""
        first = None
        if self._room is not None:
            shapes, tree = jax.tree_util.tree_flatten(jax.eval_shape(work_out))
            first = jax.tree_util.tree_unflatten(tree, itertools.islice(self._room, len(shapes)))
        found = kept(work_out, self._once, first)
        self.written += jax.tree_util.tree_leaves(found)
        return found


def kept(work_out: Callable[[], T], once: Array, first: T | None = None) -> T:
    """Work something out such that the results are written to memory.

    They are in a loop of one trip, which the compiler cannot look through. Otherwise it works them out again for each
    sum that they go into, and vectors of numbers across rows, which are not side by side.

    Args:
        work_out: returns a pytree of arrays.
        once: 1, in a way that the compiler cannot see through; 0 only where there are no rows.
        first: what was there before; None for zeros, of which the compiler makes a copy for each array.
    """
    if first is None:
        first = jax.tree_util.tree_map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(work_out))
    return repeat(once, lambda _, __: work_out(), first)


def never_true(array: Array) -> Array:
    """Return False, in a way that the compiler cannot see through."""
    first = jax.lax.slice(array, (0,) * array.ndim, (1,) * array.ndim).reshape(()).astype(float)
    return (first > 2) & (first < -2)


def cholesky(matrix: Entries) -> Factor:
    """Factor symmetric matrices given by their lower triangles, on the diagonal scale."""
    size = max(i for i, _ in matrix) + 1
    lower: Entries = {}
    definite = matrix[0, 0] == matrix[0, 0]
    for j in range(size):
        pivot = matrix[j, j] - sum(lower[j, m] ** 2 for m in range(j))
        good = pivot > rounding_floor(size, pivot.dtype)
        definite = definite & good
        lower[j, j] = 1.0 / jnp.sqrt(jnp.where(good, pivot, 1.0))
        for i in range(j + 1, size):
            lower[i, j] = (matrix[i, j] - sum(lower[i, m] * lower[j, m] for m in range(j))) * lower[j, j]
    return Factor(lower, definite)


def half_solve(factor: Factor, right: Vector) -> Vector:
    """Solve with the factors alone, the first half of `solve`."""
    lower = factor.lower
    half: Vector = []
    for i in range(len(right)):
        half.append((right[i] - sum(lower[i, m] * half[m] for m in range(i))) * lower[i, i])
    return half


def solve(factor: Factor, right: Vector) -> Vector:
    """Solve with the factored matrices."""
    lower, size = factor.lower, len(right)
    half = half_solve(factor, right)
    found: Vector = [half[0]] * size
    for i in reversed(range(size)):
        found[i] = (half[i] - sum(lower[m, i] * found[m] for m in range(i + 1, size))) * lower[i, i]
    return found


def dot(left: Vector, right: Vector) -> Array:
    """Return the scalar products."""
    return total(one * other for one, other in zip(left, right, strict=True))

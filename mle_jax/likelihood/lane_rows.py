"""Rows of many datasets side by side: where they lie, which of them count, and how they are filled up to whole blocks.

Everything is laid out rows first and datasets (lanes) last; see `likelihood.lane_sums`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Rows(NamedTuple):
    """Rows of L datasets; rows first, lanes last."""

    leaves: tuple[Array | None, ...]  # (n, ..., L), those that are still read
    computed: tuple[Array, ...]  # (n, ..., L): worked out from the data alone
    through: Array | None  # (n, a, m, L): J, without columns of nothing but zeros
    offset: Array | None  # (n, a, L): c; None where it is 0
    weights: Array | None  # (n, L) or, only to leave out what was filled in, (n, 1)


class Ends(NamedTuple):
    """Where each dataset ends: rows after that do not count, whatever they hold."""

    counts: Array  # (L,), at least 1

    def weights(self, size: int) -> Array:
        """Return weights of 1 and 0, (L, size)."""
        return jnp.where(jnp.arange(size, dtype=jnp.int32) < self.counts[:, None], 1.0, 0.0)


ReadRows = Callable[[Array | int, int], list[Array]]
"""Reads so many rows of L datasets, from one on: ``(first, how many) -> leaves (L, how many, ...)``."""


class LaneRows(NamedTuple):
    """The rows of L datasets, ready to be summed, filled up to whole blocks."""

    rows: Rows
    total_weight: Array  # () or (L,): or their number
    blocks: Array  # () int32: those after them have no row of positive weight


def some_rows(leaves: Sequence[Array], first: Array | int, count: int) -> list[Array]:
    """Read some rows of leaves (L, n, ...), as `ReadRows` does."""
    return [jax.lax.dynamic_slice_in_dim(leaf, first, count, axis=1) for leaf in leaves]


def with_valid_rows(leaf: Array, weights: Array, valid: Array) -> Array:
    """Put a valid row, (L, 1, ...), in place of every row of weight zero, of (L, n, ...)."""
    masked = (weights <= 0).reshape(*weights.shape, *(1,) * (leaf.ndim - 2))
    return jnp.where(masked, valid, leaf)


def in_whole_blocks(rows: Rows, height: int, never: Array) -> Rows:
    """Give weights to rows whose number is no multiple of the height.

    The last block begins earlier, as a slice does that goes beyond the end; what the one before had weighs nothing.
    `never` is False: weights that the compiler knows become a constant, which ends the process where it is long and
    read by a native loop.
    """
    size = jax.tree_util.tree_leaves(rows)[0].shape[0]
    rest = size % height
    if rest == 0:
        return rows
    whole = size - rest + height
    place = jnp.arange(whole)
    again = (place >= whole - height) & (place < whole - rest)
    return rows._replace(weights=jnp.where(again | never, 0.0, 1.0)[:, None])

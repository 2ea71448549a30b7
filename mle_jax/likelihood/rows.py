"""Which leaves of a dataset belong to the rows, and which are shared by all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._text import listing
from mle_jax._trees import NamedLeaves, named_leaves


class RowLayout(NamedTuple):
    """A dataset taken apart: every leaf by name, and which of them carry the row axis."""

    named: NamedLeaves
    by_row: tuple[bool, ...]

    @property
    def rows(self) -> list[Any]:
        """The leaves whose first axis counts the rows."""
        return [leaf for leaf, by_row in zip(self.named.leaves, self.by_row, strict=True) if by_row]

    @property
    def size(self) -> int:
        """The number of rows n."""
        return shape_of(self.rows[0])[0]

    def with_rows(self, rows: list[Any]) -> Any:
        """Put other row leaves in place and return a dataset of the original layout."""
        remaining = iter(rows)
        return self.named.rebuild(
            [next(remaining) if by_row else leaf for leaf, by_row in zip(self.named.leaves, self.by_row, strict=True)]
        )


def row_layout(data: Any, constants: tuple[str, ...] = ()) -> RowLayout:
    """Take a dataset apart: 0-d leaves and those named in `constants` are shared, all others are by row.

    Raises:
        ValueError: a constant names no leaf, no leaf has rows, the rows differ in number, or there are none.
    """
    named = named_leaves(data, root="data")
    unknown = [name for name in constants if not _is_constant_of(name, named.names)]
    if unknown:
        raise ValueError(
            f"constants names {listing(unknown)}, which is no leaf of the data; the leaves are {listing(named.names)}"
        )
    by_row = tuple(
        len(shape_of(leaf)) > 0 and not any(name == c or name.startswith(c + ".") for c in constants)
        for name, leaf in zip(named.names, named.leaves, strict=True)
    )
    layout = RowLayout(named, by_row)
    lengths = {
        name: shape_of(leaf)[0] for name, leaf, rows in zip(named.names, named.leaves, by_row, strict=True) if rows
    }
    if not lengths:
        raise ValueError(
            f"the data have no rows: every leaf ({listing(named.names)}) is a single number or a constant; "
            "pass arrays whose first axis counts the observations"
        )
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"'{name}' has {length}" for name, length in lengths.items())
        raise ValueError(
            f"the data leaves differ in their number of rows: {counts}; the first axis of every leaf counts the "
            "observations; name a leaf that all rows share in Model(..., constants=(...))"
        )
    if layout.size == 0:
        raise ValueError("the data have 0 rows; pass at least one observation")
    return layout


def shape_of(leaf: Any) -> tuple[int, ...]:
    """Return the shape of an array, a number, or a description of an array."""
    return tuple(leaf.shape) if hasattr(leaf, "shape") else np.shape(leaf)


def _is_constant_of(name: str, leaves: tuple[str, ...]) -> bool:
    return any(leaf == name or leaf.startswith(name + ".") for leaf in leaves)


def map_rows(function: Callable[[Any], Any], layout: RowLayout) -> Any:
    """Evaluate a function of one row on every row: outputs get a leading axis of n."""
    return jax.vmap(lambda *rows: function(layout.with_rows(list(rows))))(*layout.rows)


def without_masked_rows(layout: RowLayout, weights: Array) -> RowLayout:
    """Put a row of positive weight in place of every row of weight zero.

    Multiplying by zero afterward is not enough: the gradient of a masked NaN is NaN (0 * NaN), so masked rows must
    be valid before they are evaluated.
    """
    valid = weights > 0
    return _picked(layout, jnp.where(valid, jnp.arange(weights.shape[0]), jnp.argmax(valid)))


def with_rows_in_turn(layout: RowLayout, weights: Array) -> RowLayout:
    """Put the rows of positive weight, one after the other, in place of the rows of weight zero.

    For functions that know nothing of weights, such as the start of a model: one row that is there many times would
    move their means and shrink their scales, but rows that are all there about equally often hardly do.
    """
    valid, size = weights > 0, weights.shape[0]
    number = jnp.arange(size)
    places = jnp.zeros(size, int).at[jnp.where(valid, jnp.cumsum(valid, axis=0) - 1, size)].set(number, mode="drop")
    turn = (jnp.cumsum(~valid) - 1) % jnp.maximum(jnp.sum(valid), 1)
    return _picked(layout, jnp.where(valid, number, places[turn]))


def _picked(layout: RowLayout, rows: Array) -> RowLayout:
    rebuilt = layout.with_rows([jnp.asarray(leaf)[rows] for leaf in layout.rows])
    return RowLayout(named_leaves(rebuilt, root="data"), layout.by_row)

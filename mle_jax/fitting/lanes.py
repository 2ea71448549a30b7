"""Many datasets side by side: which leaves differ from lane to lane, and how lanes are run in chunks.

A chunk runs until its slowest lane has finished, so on a CPU chunks are small; the streams above them are in `streams`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._text import listing
from mle_jax._trees import NamedLeaves, named_leaves
from mle_jax.data.arrays import widened
from mle_jax.likelihood.rows import shape_of

T = TypeVar("T")

CHUNK = 16  # lanes: few enough that a straggler holds up few others, enough to fill vector registers


def lane_axes(data: Any, shared: tuple[str, ...]) -> tuple[bool, ...]:
    """Say for every leaf (in JAX's order) whether it has the leading axis of the datasets.

    Raises:
        ValueError: `shared` names no leaf, or every leaf is shared, or a leaf has no axis to spare.
    """
    named = _in_jax_order(data)
    unknown = [name for name in shared if not any(n == name or n.startswith(name + ".") for n in named.names)]
    if unknown:
        raise ValueError(
            f"shared names {listing(unknown)}, which is no leaf of the data; the leaves are {listing(named.names)}"
        )
    axes = tuple(not any(n == name or n.startswith(name + ".") for name in shared) for n in named.names)
    if not any(axes):
        raise ValueError("every leaf is shared, so there is only one dataset; use fit, or leave out shared")
    flat = [n for n, leaf, own in zip(named.names, named.leaves, axes, strict=True) if own and not shape_of(leaf)]
    if flat:
        raise ValueError(
            f"data leaf {listing(flat)} is a single number, but every leaf needs a leading axis of the datasets; "
            "name it in shared=(...) if all datasets have it in common"
        )
    return axes


def _in_jax_order(data: Any) -> NamedLeaves:
    """Name the leaves in the order that they have inside a compiled function, where dictionary keys come sorted."""
    return named_leaves(jax.tree_util.tree_map(lambda leaf: leaf, data), root="data")


def count_lanes(data: Any, axes: tuple[bool, ...]) -> int:
    """Return the number of datasets B.

    Raises:
        ValueError: the leaves differ in it, or there is none.
    """
    named = _in_jax_order(data)
    counts = {n: shape_of(leaf)[0] for n, leaf, own in zip(named.names, named.leaves, axes, strict=True) if own}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"'{name}' has {count}" for name, count in counts.items())
        raise ValueError(
            f"the data leaves differ in their number of datasets (first axis): {listed}; name leaves that all "
            "datasets have in common in shared=(...)"
        )
    lanes = next(iter(counts.values()))
    if lanes == 0:
        raise ValueError("the batch has 0 datasets; pass at least one")
    return int(lanes)


def split_lanes(data: Any, axes: tuple[bool, ...]) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Return the leaves that differ between lanes, and the way back to a dataset from one lane of them."""
    named = _in_jax_order(data)
    own = [leaf for leaf, differs in zip(named.leaves, axes, strict=True) if differs]

    def join(lane: list[Any]) -> Any:
        rest = iter(lane)
        return named.rebuild([next(rest) if d else leaf for leaf, d in zip(named.leaves, axes, strict=True)])

    return own, join


@dataclass(frozen=True)
class FlatLanes:
    """B datasets, those of whose leaves that are not shared are rows of numbers.

    Attributes:
        data: the leaves.
        axes: from `lane_axes`.
        firsts: where the numbers of lane 0 begin in each of these rows.
        shapes: of a lane's part of each.
        columns: how many columns (B, n) a leaf consists of, one after the other; 0 where a lane follows another.
        lanes: B.
    """

    data: Any
    axes: tuple[bool, ...]
    firsts: tuple[Array | int, ...]
    shapes: tuple[tuple[int, ...], ...]
    columns: tuple[int, ...]
    lanes: int

    def some(self, first: Array | int, lanes: int) -> Any:
        """Return some lanes, from one on, as data with a leading axis."""
        flat, join = split_lanes(self.data, self.axes)

        def part(leaf: Array, begin: Array | int, shape: tuple[int, ...], columns: int) -> Array:
            if columns:
                apart = [begin + j * self.lanes * shape[0] for j in range(columns)]
                return jnp.stack([part(leaf, at, shape[:1], 0) for at in apart], axis=-1)
            size = math.prod(shape)
            return jax.lax.dynamic_slice_in_dim(leaf, begin + first * size, lanes * size).reshape(lanes, *shape)

        return join([part(*each) for each in zip(flat, self.firsts, self.shapes, self.columns, strict=True)])

    def rows(self, first: Array | int, lanes: int, begin: Array | int, count: int) -> Any:
        """Return some rows of some lanes, leaves (lanes, count, ...).

        The numbers of a leaf must be those of the lanes and no others, as those of groups are (`read_flat`).
        """
        flat, join = split_lanes(self.data, self.axes)

        def part(leaf: Array, shape: tuple[int, ...], columns: int) -> Array:
            whole = leaf.reshape(columns or 1, self.lanes, *(shape[:1] if columns else shape))
            sizes = whole.shape[0], lanes, count, *whole.shape[3:]
            begins = (0, first, begin, *(0 for _ in sizes[3:]))
            some = jax.lax.dynamic_slice(whole, [jnp.asarray(one, jnp.int32) for one in begins], sizes)
            return jnp.moveaxis(some, 0, -1) if columns else some[0]

        return join([part(*each) for each in zip(flat, self.shapes, self.columns, strict=True)])


def first_lane(data: Any, axes: tuple[bool, ...]) -> Any:
    """Return the dataset of lane 0."""
    own, join = split_lanes(data, axes)
    return join([leaf[0] for leaf in own])


def take_lanes(data: Any, axes: tuple[bool, ...], at: Any) -> Any:
    """Return one lane's dataset (`at` is its number), or those of some; out of mapped files, and widened."""
    own, join = split_lanes(data, axes)
    return join([widened(np.asarray(leaf[at])) for leaf in own])


def filled_up(lanes: np.ndarray, size: int) -> np.ndarray:
    """Return the numbers of some lanes, the last one repeated until there are so many."""
    return np.concatenate([lanes, np.repeat(lanes[-1:], size - lanes.size)])


def lane_of(stacked: T, lane: int) -> T:
    """Return one lane of a pytree whose arrays have the leading axis of the datasets."""
    one: T = jax.tree_util.tree_map(lambda leaf: leaf[lane], stacked)
    return one


def map_lanes(
    function: Callable[[Any, Any], Any], lanes: Any, data: Any, axes: tuple[bool, ...], *, whole: bool = False
) -> Any:
    """Evaluate ``function(lane, lane_data)`` for every lane; traceable.

    In chunks, on a CPU; an accelerator does all at once, and so it is done with `whole`, for results that are empty,
    which cannot be put in chunks.
    """
    own, join = split_lanes(data, axes)
    one = lambda both: function(both[0], join(both[1]))  # noqa: E731 - for two ways to map it
    if whole or jax.default_backend() != "cpu":
        return jax.vmap(one)((lanes, own))
    return jax.lax.map(one, (lanes, own), batch_size=CHUNK)


def lane_weights(weights: Any) -> tuple[Any, ...]:
    """Return the weights that differ between lanes, (B, n), as a tuple of one or none."""
    return (weights,) if weights is not None and len(shape_of(weights)) == 2 else ()


def common_weights(weights: Any) -> Any:
    """Return the weights (n,) that all lanes have in common, or None."""
    return None if lane_weights(weights) else weights

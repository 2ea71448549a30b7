"""Where the lanes of a chunk begin, worked out side by side in a native loop, as they are solved in one."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.fitting.batching import lane_starts
from mle_jax.fitting.lanes import common_weights, count_lanes, first_lane, lane_weights, split_lanes
from mle_jax.fitting.starts import start_theta, without_masked_rows
from mle_jax.likelihood.side_by_side import lanes_last, read_by
from mle_jax.likelihood.traced import trace
from mle_jax.optimizers._one_kernel import NotOneKernelError, only_in_one_kernel
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

Begin = Array | tuple[dict[str, Any], dict[str, Any]]
"""Points (B, k), or the start values given, by name: those that all lanes have in common, and those by lane."""
MOST = 2**20
"""Numbers in one array: those of a dataset's leaf, times the lanes."""


def begin_side_by_side(
    model: "Model",
    place: Coordinates,
    data: Any,
    weights: Array | None,
    begin: Begin,
    *,
    axes: tuple[bool, ...],
) -> Array:
    """Return the starts of L lanes, (k, L); NaN for those that cannot be begun in a native loop.

    Args:
        model: the model.
        place: the free coordinates, common to all lanes.
        data: L datasets; `axes` says which leaves have the leading axis of L.
        weights: (L, n), (n,) or None.
        begin: points of these lanes, or start values.
        axes: from `lane_axes`.

    Raises:
        NotOneKernelError: the model's start, or what leads from there to the coordinates, does what a native loop
            cannot do; or it reads nothing that differs between the lanes.
    """
    if isinstance(begin, Array):
        return begin.T
    common, by_lane = begin
    if model.start is not None and weights is not None:
        some, whole = split_lanes(data, axes)
        valid = lambda lane, own: without_masked_rows(model, whole(lane), own)  # noqa: E731 - of one dataset
        data = jax.vmap(valid, in_axes=(0, 0 if weights.ndim == 2 else None))(some, weights)
        axes = (True,) * len(axes)  # other rows are left out in every lane, also of leaves in common
    leaves, join = split_lanes(data, axes)
    given, tree = jax.tree_util.tree_flatten(by_lane)
    count = len(leaves)
    values = [jnp.moveaxis(jnp.asarray(leaf), 0, -1) for leaf in (*leaves, *given)]

    def one(*values: Array) -> Array:
        own = jax.tree_util.tree_unflatten(tree, values[count:])
        return start_theta(model, place, join(list(values[:count])), None, {**common, **own} or None)

    shapes = [jax.ShapeDtypeStruct(value.shape[:-1], value.dtype) for value in values]
    program = trace(one, *shapes, differentiable=False)
    read = read_by(program, range(len(values)))
    if not read:
        raise NotOneKernelError("all lanes begin at the same point")

    def all_lanes(*values: Array) -> Array:
        (theta,), sound = lanes_last(program, dict(zip(read, values, strict=True)))
        return jnp.where(sound, theta, jnp.nan)

    found: Array = only_in_one_kernel(all_lanes, *(values[i] for i in read), most=MOST)
    return found


def begins_side_by_side(
    model: "Model",
    place: Coordinates,
    data: Any,
    weights: Array | None,
    begin: Begin,
    *,
    axes: tuple[bool, ...],
) -> bool:
    """Say whether lanes can begin in this way; arguments as above, but weights and begin of B >= L lanes."""
    if isinstance(begin, Array):
        return True
    lanes, (common, by_lane) = count_lanes(data, axes), begin
    some_weights = weights[:lanes] if weights is not None and weights.ndim == 2 else weights
    values = common, {name: value[:lanes] for name, value in by_lane.items()}
    try:
        jax.eval_shape(lambda: begin_side_by_side(model, place, data, some_weights, values, axes=axes))
    except Exception:  # if it is the start itself that fails, `begin_apart` says so
        return False
    return True


def begin_apart(
    model: "Model", place: Coordinates, data: Any, weights: Array | None, begin: Begin, *, axes: tuple[bool, ...]
) -> Array:
    """Return the starts of B lanes, (B, k), by the means of a single fit; arguments as above."""
    if isinstance(begin, Array):
        return begin
    common, by_lane = begin
    if model.start is None and not by_lane:
        everywhere = start_theta(model, place, first_lane(data, axes), None, common or None)
        return jnp.broadcast_to(everywhere, (count_lanes(data, axes), *everywhere.shape))
    own = by_lane, *lane_weights(weights)
    return lane_starts(model, place, data, own, common_weights(weights), common, axes=axes)

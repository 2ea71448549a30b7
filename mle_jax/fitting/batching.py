"""One model on many datasets: the traceable core under `fit_batch`."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jax import Array

from mle_jax._trees import named_leaves
from mle_jax.fitting.lanes import map_lanes
from mle_jax.fitting.planning import solve_from_start
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.starts import start_theta
from mle_jax.likelihood.rows import shape_of
from mle_jax.optimizers._protocol import Optimizer
from mle_jax.parameters import Coordinates, ParameterSpace

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


def solve_lanes(
    model: "Model",
    place: Coordinates,
    data: Any,
    lanes: tuple[Any, ...],
    weights: Array | None,
    start: dict[str, Any],
    optimizer: Optimizer[Any],
    tolerance: Array | float,
    max_steps: Array | int,
    *,
    axes: tuple[bool, ...],
    closed_form: bool,
    compare: bool,
    handwritten: bool,
    whiten: bool,
) -> Solution:
    """Solve every lane from its start; all arrays of the result get a leading axis of B.

    Args:
        model: the model.
        place: the free coordinates, common to all lanes.
        data: the datasets; `axes` says which leaves have the leading axis of B.
        lanes: what else differs between lanes: (start values by name, weights (B, n) if there are any).
        weights: (n,) in common, or None.
        start: start values by name that all lanes have in common.
        optimizer: the algorithm.
        tolerance: of the decrement.
        max_steps: the most steps of every lane.
        axes: from `lane_axes`.
        closed_form: as in `Plan`.
        compare: as in `Plan`.
        handwritten: as in `Plan`.
        whiten: as in `Plan`.
    """

    def one(lane: tuple[Any, ...], lane_data: Any) -> Solution:
        own_start, *own_weights = lane
        return solve_from_start(
            model,
            place,
            lane_data,
            own_weights[0] if own_weights else weights,
            {**start, **own_start} or None,
            optimizer,
            tolerance,
            max_steps,
            closed_form=closed_form,
            compare=compare,
            handwritten=handwritten,
            whiten=whiten,
            record=None,
        )

    solution: Solution = map_lanes(one, lanes, data, axes, whole=place.size == 0)
    return solution


def lane_starts(
    model: "Model",
    place: Coordinates,
    data: Any,
    lanes: tuple[Any, ...],
    weights: Array | None,
    start: dict[str, Any],
    *,
    axes: tuple[bool, ...],
) -> Array:
    """Return the starts of all lanes in free coordinates, (B, k); arguments as in `solve_lanes`."""

    def one(lane: tuple[Any, ...], lane_data: Any) -> Array:
        own_start, *own_weights = lane
        given = {**start, **own_start} or None
        return start_theta(model, place, lane_data, own_weights[0] if own_weights else weights, given)

    starts: Array = map_lanes(one, lanes, data, axes, whole=place.size == 0)
    return starts


def split_start(space: ParameterSpace, start: Any, lanes: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate start values that all lanes have in common from those with a leading axis of B.

    Args:
        space: the parameters.
        start: start values by leaf or flat name, or laid out like params; each as declared or with a leading B.
        lanes: B.

    Returns:
        The common values and the values by lane, both by name.
    """
    if start is None:
        return {}, {}
    shapes = dict.fromkeys(space.names, ()) | {
        name: tuple(d.shape) for name, d in zip(space.leaf_names, space.declarations, strict=True)
    }
    named = named_leaves(start)
    common: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, leaf in zip(named.names, named.leaves, strict=True):
        declared = shapes.get(name, ())
        by_lane = shape_of(leaf) == (lanes, *declared) and name in shapes
        (own if by_lane else common)[name] = np.asarray(leaf) if by_lane else leaf
    return common, own

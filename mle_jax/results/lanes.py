"""The results of a batch: put together from all lanes, taken apart into single fits."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from mle_jax._precision import in_float64, to_numpy
from mle_jax._status import Status
from mle_jax._trees import in_order
from mle_jax.data.arrays import CleanData
from mle_jax.data.lane_arrays import Padded
from mle_jax.fitting.elsewhere import finite_elsewhere
from mle_jax.fitting.lanes import common_weights, lane_axes, lane_of, lane_weights, take_lanes
from mle_jax.fitting.refining import needs_second_look, second_look
from mle_jax.fitting.solution import Solution
from mle_jax.likelihood.programs import verb_program
from mle_jax.results.building import build_fit, count_observations, withheld_entries
from mle_jax.results.covariance_access import lane_inputs, unflatten_numpy
from mle_jax.results.fit_object import Fit
from mle_jax.results.record import Record

BLOCK = 64  # lanes that are looked at together
COUNTED = 256  # lanes whose weights are added up together


def build_batch(record: Record, solution: Solution, lane_data: Any) -> Fit:
    """Put the solutions of all lanes into people's hands.

    Args:
        record: the inputs; `solution` and `withheld` are filled in here.
        solution: stacked over the lanes.
        lane_data: the dataset of one lane, which tells the number of rows.
    """
    found = _with_second_looks(to_numpy(solution._replace(trace=None)), record.second_looks)
    space = record.place.space
    status = found.status.astype(int)
    texts = {code: Status(code).text for code in np.unique(status).tolist()}
    filled = replace(record, solution=found, withheld=withheld_entries(status, found.reliable))
    own = lane_weights(record.weights)
    one = None if own else count_observations(record.model, lane_data, record.weights, record.weight_kind)
    counts = _count_by_lane(own[0], record.weight_kind) if own else np.full(len(status), one)
    return Fit(
        params=in_order(found.params, space.leaf_names),
        names=space.names,
        log_likelihood=found.log_likelihood,
        status=status,
        message=tuple(map(texts.__getitem__, status.tolist())),
        reliable=unflatten_numpy(space, found.reliable),
        steps=found.steps.astype(int),
        decrement=found.decrement,
        n_observations=counts,
        n_parameters=record.place.size,
        history=None,
        _record=filled,
    )


def _count_by_lane(weights: Any, weight_kind: str) -> np.ndarray:
    """Return the number of observations of every lane, (B,), from weights (B, n), as `count_observations` does."""
    if isinstance(weights, Padded) and weights.rows is None:
        return weights.sizes
    blocks = (weights[first : first + COUNTED] for first in range(0, len(weights), COUNTED))
    importances = weight_kind == "importance"
    counts = np.concatenate([np.sum(block > 0 if importances else block, axis=1) for block in blocks])
    return counts.astype(int) if np.all(counts == np.rint(counts)) else counts


def _with_second_looks(stacked: Any, settled: dict[int, tuple[Any, Solution]]) -> Any:
    """Write the answers of some lanes into the stack; their derivatives stay apart, having other coordinates."""
    if not settled:
        return stacked
    lanes = list(settled)
    answers = [to_numpy(solution) for _, solution in settled.values()]

    def put(all_lanes: Any, *values: Any) -> np.ndarray:
        copy = np.array(all_lanes)
        copy[lanes] = np.stack(values)
        return copy

    names = ("log_likelihood", "status", "decrement", "steps", "reliable")
    updated: dict[str, Any] = {n: put(getattr(stacked, n), *(getattr(one, n) for one in answers)) for n in names}
    params = jax.tree_util.tree_map(put, stacked.params, *(one.params for one in answers))
    return stacked._replace(params=params, **updated)


def look_again(record: Record, solution: Solution, *, tolerance: float, max_steps: int, start_given: bool) -> Record:
    """Give the lanes that did not settle the second look that a single fit gets, one by one."""
    if not record.model.smooth:
        return record
    found = to_numpy(solution._replace(trace=None))
    unclear = np.flatnonzero(needs_second_look(found, record.place))
    if not start_given:
        unclear = np.union1d(unclear, _may_begin_elsewhere(record, found))
    settled = {}
    for lane in unclear.tolist():
        one = lane_of(found, lane)
        data, weights = lane_inputs(record, lane)
        seen, better = second_look(
            record.model,
            record.place,
            one,
            data,
            weights,
            tolerance=tolerance,
            max_steps=max_steps,
            start_given=start_given,
        )
        if better is not one:
            settled[lane] = (seen, better._replace(trace=None))
    return replace(record, second_looks=settled)


def _may_begin_elsewhere(record: Record, found: Solution) -> np.ndarray:
    """Return the lanes that ended where nothing is finite, but for those where nothing is elsewhere: NaN in their data.

    A second look costs as much as thousands of ordinary fits side by side.
    """
    lanes = np.flatnonzero(np.asarray(found.status) == int(Status.non_finite))
    if not lanes.size or not record.place.size:
        return lanes
    axes = lane_axes(record.data, record.shared)
    run = verb_program(record.model, finite_elsewhere, axes=axes)
    finite = []
    for first in range(0, lanes.size, BLOCK):
        some = lanes[first : first + BLOCK]
        block = np.resize(some, BLOCK if lanes.size > BLOCK else some.size)  # of one shape, so that one program fits
        weights = [each[block] for each in lane_weights(record.weights)]
        data, theta = take_lanes(record.data, axes, block), np.asarray(found.theta)[block]
        finite.append(np.asarray(run(record.place, data, (theta, *weights), common_weights(record.weights))))
    return lanes[np.concatenate(finite)[: lanes.size] | (np.asarray(found.steps)[lanes] > 0)]


@in_float64
def one_lane(fits: Fit, lane: int) -> Fit:
    """Return the single fit of one dataset of a batch, by its number from 0."""
    return fit_of_lane(fits._record, lane, *lane_inputs(fits._record, lane))


def fit_of_lane(record: Record, lane: int, data: Any, weights: Any) -> Fit:
    """Return the single fit of a lane whose data and weights are at hand."""
    place, solution = record.second_looks.get(lane, (record.place, lane_of(record.solution, lane)))
    return build_fit(
        record.model,
        place,
        solution,
        CleanData(data, {}, weights, None),
        weight_kind=record.weight_kind,
        clusters=None,
        optimizer=record.optimizer,
        kind=record.kind,
        searched=record.place,
        constraints=record.constraints,
    )

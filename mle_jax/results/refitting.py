"""`Fit.refit`: the failed lanes of a batch once more, by a ladder of which every rung is for those still failing.

1 given start     where somebody knows one
2 more steps      on from where the search stopped, for lanes whose steps ran out or that met rounding errors
3 neighbor        from the estimates of that certified lane whose estimates suit the lane's data best
4 other start     from the highest of points drawn around the start; for lanes that leave it open, then from the next
5 other optimizer L-BFGS from the highest point known

A rung is one small batch: its lanes are packed into blocks of few sizes, so that two or three programs serve them all,
and empty places are filled with certified lanes, which take no time. What counts as better is in `is_better`.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np

from mle_jax._precision import in_float64, to_numpy
from mle_jax._status import ConvergenceWarning, Status, are_certified
from mle_jax._text import plural
from mle_jax.fitting.batching import solve_lanes, split_start
from mle_jax.fitting.choosing import default_steps
from mle_jax.fitting.lanes import common_weights, first_lane, lane_axes, lane_weights
from mle_jax.fitting.planning import Plan, make_plan
from mle_jax.fitting.retrying import (
    HOPELESS,
    NEIGHBORS,
    SETTLED,
    Survey,
    block_size,
    draw_offsets,
    is_better,
    pick_neighbors,
    survey_lanes,
)
from mle_jax.fitting.solution import Solution
from mle_jax.likelihood.layout import count_rows
from mle_jax.likelihood.programs import verb_program
from mle_jax.optimizers import LBFGS
from mle_jax.results.beginnings import Beginnings, as_given, highest, highest_known, leaves_of, where_stopped
from mle_jax.results.covariance_access import lane_inputs
from mle_jax.results.fit_object import Fit
from mle_jax.results.guards import check_has_rows, check_is_batch, check_one_shape, checked_tolerance
from mle_jax.results.lanes import build_batch, look_again
from mle_jax.results.record import Record
from mle_jax.results.reports import STATUS_NAMES, with_keys
from mle_jax.tables import Table

STOPPED = (Status.max_steps, Status.precision_lost, Status.stopped_by_rule)
CODES_OF_SETTLED = [int(status) for status in SETTLED]
OTHER_STARTS = 3


class Retry(NamedTuple):
    """What was asked for."""

    plan: Plan
    last: Plan | None  # of the last rung
    start: tuple[dict[str, Any], dict[str, Any]]  # in common and by lane
    tolerance: float
    seed: int
    size: int  # lanes of a block


@dataclass
class Attempts:
    """The best answers so far to some lanes (n of them)."""

    lanes: np.ndarray  # (n,)
    found: Any  # Solution, stacked, NumPy
    looks: dict[int, Any]  # lane -> its second look
    rungs: np.ndarray  # (n,) which rung gave the answer; empty where it is the old one
    asked: np.ndarray  # bool (n,): settled from the beginning, but named in the mask: perhaps a lower maximum

    def among(self, statuses: tuple[Status, ...]) -> np.ndarray:
        """Say which lanes have one of these statuses, bool (n,)."""
        return np.isin(self.found.status, [int(s) for s in statuses])

    @property
    def unsettled(self) -> np.ndarray:
        """Which lanes are neither certified nor on the boundary, bool (n,)."""
        return ~np.isin(self.found.status, CODES_OF_SETTLED)

    @property
    def in_doubt(self) -> np.ndarray:
        """Which of these have a status that does not say why there is no maximum, bool (n,)."""
        return self.unsettled & ~self.among(HOPELESS)


@in_float64
def refit_lanes(
    fits: Fit, mask: Any, *, start: Any, optimizer: Any, max_steps: int | None, tolerance: float, seed: int
) -> Fit:
    """Try some lanes of a batch again; see `Fit.refit`."""
    check_is_batch(fits, "refit()")
    check_has_rows(fits, "refit()")
    check_one_shape(fits, "refit()")
    record = fits._record
    lanes = _chosen(fits, mask)
    if not len(lanes):
        return fits
    retry = _checked(fits, start, optimizer, max_steps, tolerance, seed, len(lanes))
    attempts = [_climb(record, lanes[first : first + retry.size], retry) for first in range(0, len(lanes), retry.size)]
    result = _rebuilt(fits, attempts)
    failing = int((~result.converged[lanes]).sum())
    if failing:
        message = f"{failing} of the {plural(len(lanes), 'dataset')} tried again are not certified"
        warnings.warn(f"{record.model.label}: {message}; failed() says why", ConvergenceWarning, stacklevel=4)
    return result


def _chosen(fits: Fit, mask: Any) -> np.ndarray:
    """Return the lanes to try again: those of the mask, or those that are open and may be certified at all."""
    status = np.asarray(fits.status)
    if mask is None:
        return np.flatnonzero(~np.isin(status, [*CODES_OF_SETTLED, int(Status.uncertified)]))
    array = np.asarray(mask)
    if array.dtype != bool or array.shape != status.shape:
        raise ValueError(
            f"mask is of type {array.dtype} and shape {array.shape}, but must be bool with one entry for each of the "
            f"{len(fits)} datasets; pass ~fits.converged, say, or leave it out"
        )
    return np.flatnonzero(array)


def _checked(
    fits: Fit, start: Any, optimizer: Any, max_steps: int | None, tolerance: float, seed: int, lanes: int
) -> Retry:
    """Check what was asked for, and plan the rungs."""
    record = fits._record
    space = record.place.space
    common, own = split_start(space, start, len(fits))
    space.check(space.merge(space.default_start(), common or None))

    def planned(how: Any) -> Plan:
        plan = make_plan(record.model, record.place, optimizer=how, start={}, max_steps=max_steps, many=True)
        return plan if max_steps is not None else replace(plan, max_steps=default_steps(plan.optimizer))

    plan = planned("auto" if optimizer is None else optimizer)
    last = planned(LBFGS()) if optimizer is None and record.model.smooth else None
    return Retry(plan, last, (common, own), checked_tolerance(tolerance), seed, block_size(lanes))


def _climb(record: Record, lanes: np.ndarray, retry: Retry) -> Attempts:
    """Take the lanes of one block up the ladder."""
    looks = {int(lane): record.second_looks[lane] for lane in lanes.tolist() if lane in record.second_looks}
    found = _rows(record.solution, lanes)
    best = Attempts(lanes, found, looks, np.full(len(lanes), "", "<U15"), np.isin(found.status, CODES_OF_SETTLED))
    if retry.plan.closed_form:  # the exact maximizer of a model with kinks: no start matters to it
        return best
    space = record.place.space
    survey = _surveyed(record, lanes, retry) if any(retry.start) else None
    if survey is not None:
        everyone = np.ones(len(lanes), bool)
        _try(record, retry, best, "given start", everyone, as_given(space, survey, lanes, retry.start))
    stopped = best.unsettled & best.among(STOPPED)
    _try(record, retry, best, "more steps", stopped, where_stopped(space, best.found.params))
    if not (best.unsettled | best.asked).any():
        return best
    survey = _surveyed(record, lanes, retry) if survey is None else survey
    _try(record, retry, best, "neighbor", best.unsettled | best.asked, highest(space, survey, 0, NEIGHBORS))
    for turn in range(OTHER_STARTS):
        among = best.asked | (best.in_doubt if turn else best.unsettled)
        _try(record, retry, best, "other start", among, highest(space, survey, NEIGHBORS, turn=turn))
    if retry.last is not None:
        begin = highest_known(space, survey, best.found.params, best.found.log_likelihood)
        _try(record, retry._replace(plan=retry.last), best, "other optimizer", best.in_doubt, begin)
    return best


def _rows(tree: Any, rows: np.ndarray) -> Any:
    return jax.tree_util.tree_map(lambda leaf: np.array(leaf[rows]), tree)


def _surveyed(record: Record, lanes: np.ndarray, retry: Retry) -> Survey:
    """Evaluate points around which the lanes may begin, in one block padded with its first lane."""
    solution = record.solution
    certified = _certified_lanes(record)
    padded = np.resize(lanes, retry.size)
    if len(certified):
        neighbors = np.asarray(solution.theta)[pick_neighbors(padded, certified)]
    else:
        neighbors = np.full((retry.size, NEIGHBORS, record.place.size), np.nan)
    data, axes, weights = _inputs(record, padded)
    rows = 1.0 if record.model.is_joint else count_rows(record.model, first_lane(data, axes))
    offsets = draw_offsets(solution, certified, rows=rows, seed=retry.seed)
    run = verb_program(record.model, survey_lanes, axes=axes)
    survey = run(record.place, data, (neighbors, *lane_weights(weights)), common_weights(weights), offsets)
    return Survey(*_rows(to_numpy(tuple(survey)), np.arange(len(lanes))))


def _inputs(record: Record, lanes: np.ndarray) -> tuple[Any, tuple[bool, ...], Any]:
    """Return data, axes and weights of some lanes."""
    data, weights = lane_inputs(record, lanes)
    return data, lane_axes(record.data, record.shared), weights


def _try(record: Record, retry: Retry, best: Attempts, rung: str, among: np.ndarray, begin: Beginnings) -> None:
    """Search from these beginnings for some of the lanes, bool (n,), and keep what is better."""
    positions = np.flatnonzero(among & begin.known)
    if not len(positions):
        return
    filler, filling = _filler(record, best.lanes[positions[0]], {n: v[positions[0]] for n, v in begin.values.items()})
    empty = retry.size - len(positions)
    lanes = np.concatenate([best.lanes[positions], np.full(empty, filler)])
    start = {
        name: np.concatenate([leaf[positions], np.broadcast_to(filling[name], (empty, *leaf.shape[1:]))])
        for name, leaf in begin.values.items()
    }
    found, looks = _solve(record, retry, lanes, start)
    rows = np.arange(len(positions))
    won = is_better(_rows(found, rows), _rows(best.found, positions))
    winners, places = rows[won], positions[won]

    def put(old: np.ndarray, new: np.ndarray) -> None:
        old[places] = new[winners]

    jax.tree_util.tree_map(put, best.found, found)
    best.rungs[places] = rung
    for row, lane in zip(winners.tolist(), best.lanes[places].tolist(), strict=True):
        best.looks.pop(lane, None)
        if row in looks:
            best.looks[lane] = looks[row]


def _filler(record: Record, lane: int, start: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return a lane that is done at once, with its start: a certified one, or the given one where there is none."""
    certified = _certified_lanes(record)
    if not len(certified):
        return lane, start
    return int(certified[0]), leaves_of(record.place.space, _rows(record.solution.params, certified[0]))


def _certified_lanes(record: Record) -> np.ndarray:
    """Return the certified lanes whose solution is in the coordinates of the stack."""
    certified = np.flatnonzero(are_certified(np.asarray(record.solution.status)))
    return np.setdiff1d(certified, [*record.second_looks])


def _solve(record: Record, retry: Retry, lanes: np.ndarray, start: dict[str, Any]) -> tuple[Solution, dict[int, Any]]:
    """Search for a block of lanes, with second looks; return the stacked solutions and these looks by position."""
    data, axes, weights = _inputs(record, lanes)
    plan, tolerance = retry.plan, retry.tolerance
    static = {name: value for name, value in plan.static.items() if name != "record"}
    run = verb_program(record.model, solve_lanes, axes=axes, **static)
    solution = run(
        *(record.place, data, (start, *lane_weights(weights)), common_weights(weights), {}),
        *(plan.optimizer, tolerance, plan.max_steps),
    )
    block = replace(record, data=data, weights=weights, n_lanes=len(lanes), second_looks={}, keys=None)
    block = look_again(block, solution, tolerance=tolerance, max_steps=plan.max_steps, start_given=True)
    built = build_batch(block, solution, first_lane(data, axes))
    return built._record.solution, built._record.second_looks


def _rebuilt(fits: Fit, attempts: list[Attempts]) -> Fit:
    """Put the new answers among those of the other lanes."""
    record = fits._record
    stack = jax.tree_util.tree_map(np.array, record.solution)
    looks = dict(record.second_looks)
    for block in attempts:
        jax.tree_util.tree_map(lambda old, new, at=block.lanes: old.__setitem__(at, new), stack, block.found)
        for lane in block.lanes.tolist():
            looks.pop(lane, None)
        looks |= block.looks
    lanes = np.concatenate([block.lanes for block in attempts])
    rungs = np.concatenate([block.rungs for block in attempts])
    settled_by = record.settled_by | {int(i): str(rung) for i, rung in zip(lanes, rungs, strict=True) if rung}
    sample = first_lane(record.data, lane_axes(record.data, record.shared))
    changed = replace(record, second_looks=looks, settled_by=settled_by, precisions_agree=None)
    again = build_batch(changed, stack, sample)
    return replace(again, refitted=_report(fits, again, lanes))


def _report(before: Fit, after: Fit, lanes: np.ndarray) -> Table:
    """Tell what became of the lanes that were tried, those of earlier calls included."""
    old = before.refitted
    lanes = lanes if old is None else np.union1d(old["lane"], lanes)
    status, height = STATUS_NAMES[np.asarray(before.status)][lanes], np.array(before.log_likelihood)[lanes]
    if old is not None:
        earlier = np.searchsorted(lanes, old["lane"])
        status[earlier], height[earlier] = old["status_before"], old["log_likelihood_before"]
    columns = {
        "lane": lanes,
        "status_before": status,
        "status": STATUS_NAMES[np.asarray(after.status)][lanes],
        "log_likelihood_before": height,
        "log_likelihood": np.asarray(after.log_likelihood)[lanes],
        "settled_by": np.array([after._record.settled_by.get(lane, "-") for lane in lanes.tolist()], np.str_),
    }
    return Table(with_keys(after, lanes, columns))

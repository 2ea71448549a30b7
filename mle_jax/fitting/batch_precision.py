"""Batches searched in single precision: the speed of float32, the verdict of float64, lane by lane."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from mle_jax._precision import to_numpy
from mle_jax._status import are_certified
from mle_jax._trees import named_leaves
from mle_jax.fitting.batch_engine import merged, solve_batch, solve_some
from mle_jax.fitting.evaluating import judged_to_rounding, solve_at
from mle_jax.fitting.lanes import common_weights, lane_weights, map_lanes
from mle_jax.fitting.planning import Plan
from mle_jax.fitting.precision import in_double_precision
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.streams import Batch, Streams
from mle_jax.fitting.verdicts import ROUNDING_DECREMENT
from mle_jax.likelihood.programs import verb_program
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

APART = 1e-2
"""Standard errors between the two estimates from which on the precisions disagree: what single precision may claim."""


class Rough(NamedTuple):
    """What a search in single precision found, B lanes."""

    theta: np.ndarray  # (B, k)
    certified: np.ndarray  # (B,) bool


def solve_batch_in(
    dtype: str,
    model: "Model",
    plan: Plan,
    batch: Batch,
    *,
    tolerance: float,
    memory: int | None,
    progress: bool,
) -> tuple[Solution, Rough | None]:
    """Solve every lane in the precision asked for.

    "float32" searches in single precision, and may only claim `converged_to_rounding`; "mixed" then searches on in
    float64, from there where the lane was certified in single precision, and else from its own start.

    Returns:
        Solutions stacked over the lanes, and what was found in single precision; None where there is one precision.
    """
    options: dict[str, Any] = {"tolerance": tolerance, "memory": memory}
    if dtype == "float64":
        return solve_batch(model, plan, batch, progress=progress, **options), None
    with jax.enable_x64(False):
        rough = solve_batch(model, plan, batch, progress=progress, **options | {"tolerance": max(tolerance, APART)})
    params = rough.params
    if plan.coordinates.dependent:  # keep the constraints to double precision
        params = to_numpy(jax.vmap(in_double_precision(plan.coordinates))(params))
    found = are_certified(np.asarray(rough.status))
    if dtype == "float32":
        solution = _judged(model, plan, batch, params, tolerance, memory)
    else:
        solution = _searched_on(model, plan, batch, params, found, options)
    solution = solution._replace(steps=np.asarray(rough.steps) + np.asarray(solution.steps))
    return solution, Rough(np.asarray(rough.theta), found)


def _searched_on(
    model: "Model", plan: Plan, batch: Batch, params: Any, found: np.ndarray, options: dict[str, Any]
) -> Solution:
    """Search in float64: the lanes that were `found` from their params, the others from the beginning."""
    on = replace(plan, closed_form=plan.closed_form and not model.smooth)
    named = named_leaves(params)
    begin = {name: np.asarray(leaf) for name, leaf in zip(named.names, named.leaves, strict=True)}
    parts = []
    if found.any():
        parts += solve_some(model, on, replace(batch, start=({}, begin)), np.flatnonzero(found), **options)
    if not found.all():
        parts += solve_some(model, plan, batch, np.flatnonzero(~found), **options)
    return merged(batch.size, parts)


def _judged(model: "Model", plan: Plan, batch: Batch, params: Any, tolerance: float, memory: int | None) -> Solution:
    """Say in float64 what the points of a search in single precision are worth."""
    run = verb_program(model, judge_lanes, axes=batch.axes)
    streams = Streams(model, plan.coordinates, batch, how=plan.kind, memory=memory)

    def judge(piece: Batch, lanes: np.ndarray) -> Solution:
        at = jax.tree_util.tree_map(lambda leaf: leaf[lanes], params)
        own = at, *lane_weights(piece.weights)
        solution: Solution = run(plan.coordinates, piece.data, own, common_weights(piece.weights), tolerance)
        return solution

    return merged(batch.size, streams.run(judge, np.arange(batch.size), name="judged"))


def judge_lanes(
    model: "Model",
    place: Coordinates,
    data: Any,
    lanes: tuple[Any, ...],
    weights: Any,
    tolerance: Any,
    *,
    axes: tuple[bool, ...],
) -> Solution:
    """Return the solutions of no steps at given points, judged as those of single precision.

    Args:
        model: the model.
        place: the free coordinates, common to all lanes.
        data: the datasets; `axes` says which leaves have the leading axis of B.
        lanes: what differs between lanes beside the data: (params, weights (B, n) if there are any).
        weights: (n,) in common, or None.
        tolerance: of the decrement.
        axes: from `lane_axes`.
    """

    def one(lane: tuple[Any, ...], lane_data: Any) -> Solution:
        params, *own = lane
        at = solve_at(model, place, lane_data, own[0] if own else weights, params, tolerance)
        return judged_to_rounding(at, below=ROUNDING_DECREMENT)

    solution: Solution = map_lanes(one, lanes, data, axes, whole=place.size == 0)
    return solution


def agreeing(rough: Rough, solution: Solution, certified: np.ndarray) -> np.ndarray:
    """Say for which lanes both precisions found the same maximum, to a hundredth of a standard error, or none, (B,).

    Args:
        rough: of single precision.
        solution: of double precision, in the same coordinates.
        certified: the lanes that are certified in the end, (B,).
    """
    move, certificate = np.asarray(solution.theta) - rough.theta, solution.certificate
    with np.errstate(invalid="ignore", over="ignore"):  # of lanes that are not certified
        if certificate.is_dense:
            distance = np.einsum("bi,bij,bj->b", move, np.asarray(certificate.information), move)
        else:
            distance = np.einsum("bi,bi,bi->b", move, np.asarray(certificate.diagonal), move)
        near = distance < APART**2
    return np.where(rough.certified & certified, near, rough.certified == certified)

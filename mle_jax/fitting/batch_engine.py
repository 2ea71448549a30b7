"""The engine under `fit_batch`: all lanes in streams of pieces, and only the difficult lanes once more.

1. The lanes are cut into pieces that streams take one after another (`streams`).
2. Where the model allows it, a piece is first tried by native loops (`native_lanes`), a few steps each: a chunk of
   lanes waits for its slowest. Lanes that need more steps are packed together and go on from where they are, if they
   are so many that loops for them are worth compiling.
3. What is left, which is everything where the model does not allow it, is solved by the means of a single fit, at
   first for some steps; lanes that need more are packed together and begin again. Where that is not much, the code
   for it is compiled in a hurry.

A lane's answer does not depend on the lanes beside it, so neither pieces nor streams change it.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mle_jax._status import Status
from mle_jax._trees import named_leaves
from mle_jax.fitting.batching import solve_lanes
from mle_jax.fitting.choosing import search_again
from mle_jax.fitting.elsewhere import REST, better_scaled, may_rescale
from mle_jax.fitting.lanes import common_weights, first_lane, lane_weights, split_lanes
from mle_jax.fitting.native_lanes import LANES, Settled, settle_lanes, suits_native, to_solution
from mle_jax.fitting.planning import Plan, is_soon_done
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.streams import Batch, Streams
from mle_jax.likelihood.programs import native_program, verb_program
from mle_jax.likelihood.workload import is_brief
from mle_jax.optimizers.newton import Newton

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

FIRST_STEPS = 12  # of a native loop
FIRST_CAREFUL_STEPS = 25
WORTH = 20_000_000  # numbers in the data: below, it takes longer to compile a native loop than it saves
BRIEF_WORTH = 1_000_000  # the same for a brief log density: below, other code is ready sooner
LANE_WORTH = 1000  # numbers: what a native loop saves of a dataset however small it is, by the same measure
_DECIDED: ContextVar[bool | None] = ContextVar("native loops", default=None)


@contextlib.contextmanager
def decided_on_native_loops(worth: bool) -> Iterator[None]:
    """Solve batches here by native loops or not, as somebody has decided who knows how many more there will be."""
    token = _DECIDED.set(worth)
    try:
        yield
    finally:
        _DECIDED.reset(token)


def is_worth_compiling(model: "Model", data: Any, lanes: int, numbers: int) -> bool:
    """Say whether native loops, which take longer to compile, save that time.

    Args:
        model: the model.
        data: one of the datasets.
        lanes: how many.
        numbers: in all of them.
    """
    saved = lanes * LANE_WORTH + numbers
    return saved >= WORTH or (saved >= BRIEF_WORTH and is_brief(model, data))


Part = tuple[np.ndarray, Solution]


def solve_batch(
    model: "Model",
    plan: Plan,
    batch: Batch,
    *,
    tolerance: float,
    memory: int | None = None,
    progress: bool = False,
) -> Solution:
    """Solve every lane; arguments as for `solve_some`.

    Returns:
        Solutions stacked over the lanes, NumPy.
    """
    options: dict[str, Any] = {"tolerance": tolerance, "memory": memory, "progress": progress}
    return merged(batch.size, solve_some(model, plan, batch, np.arange(batch.size), **options))


def solve_some(
    model: "Model",
    plan: Plan,
    batch: Batch,
    lanes: np.ndarray,
    *,
    tolerance: float,
    memory: int | None = None,
    progress: bool = False,
) -> list[Part]:
    """Solve some of the lanes (the numbers are those of the module's docstring).

    Args:
        model: the model.
        plan: how to climb.
        batch: the datasets.
        lanes: which of them, ascending.
        tolerance: of the decrement.
        memory: bytes that the engine may use beside what it is given and returns; None for what suits the device.
        progress: show a bar.

    Returns:
        Lanes with their solutions; `merged` puts them together.
    """
    # 1
    shown = lanes.size if progress else None
    streams = Streams(model, plan.coordinates, batch, how=plan.kind, memory=memory, shown=shown)
    try:
        # 2
        native = suits_native(model, plan, batch.data, batch.axes) and _is_worth(model, batch)
        soon_done = cache(partial(_is_soon_done, model, plan, batch))  # which counts: the same lanes only once
        parts, left = _natively(model, plan, streams, lanes, tolerance, soon_done) if native else ([], lanes)
        # 3
        if left.size:
            hurry = soon_done(left.size)
            parts += _carefully(model, plan, streams, left, tolerance, hurry=hurry, shown=not native)
    finally:
        streams.close()
    return parts


def _is_worth(model: "Model", batch: Batch) -> bool:
    decided = _DECIDED.get()
    if decided is not None:
        return decided
    numbers = batch.size * batch.bytes_per_lane // 8
    return is_worth_compiling(model, first_lane(batch.data, batch.axes), batch.size, numbers)


def _is_soon_done(model: "Model", plan: Plan, batch: Batch, lanes: int) -> bool:
    if _DECIDED.get() is not None:  # a chunk of many, by the same program
        return False
    return is_soon_done(model, plan, first_lane(batch.data, batch.axes), lanes)


def _natively(
    model: "Model",
    plan: Plan,
    streams: Streams,
    lanes: np.ndarray,
    tolerance: float,
    soon_done: Callable[[int], bool],
) -> tuple[list[Part], np.ndarray]:
    """Return what native loops settle, and the lanes that they leave.

    Of lanes that need more steps they leave as many as are soon done by any code: loops of another length would have
    to be compiled for them.
    """
    axes, optimizer, names = streams.batch.axes, plan.optimizer, len(plan.coordinates.fixed)
    assert isinstance(optimizer, Newton)
    shapes = tuple(leaf.shape[1:] for leaf in split_lanes(streams.batch.data, axes)[0])

    def settle(piece: Batch, begin: Any, most: int) -> Settled:
        static: dict[str, Any] = {"shapes": shapes, "columns": piece.columns, "lanes": piece.size}
        run = native_program(model, settle_lanes, axes=axes, **static)
        limits = optimizer.initial_radius, tolerance, most
        found: Settled = run(plan.coordinates, piece.data, piece.firsts, piece.weights, begin, *limits)
        return found

    first = lambda piece, _: settle(piece, piece.start, min(FIRST_STEPS, plan.max_steps))  # noqa: E731
    some, told = _joined(streams.run(first, lanes, name="native", least=LANES, shown=True, flat=True))
    parts, left = [_part(some, told, names)], some[~told.settled]
    late = some[told.unfinished] if plan.max_steps > FIRST_STEPS else some[:0]
    if late.size and not soon_done(left.size):
        reached = np.zeros((streams.batch.size, plan.coordinates.size))
        reached[late] = told.theta[told.unfinished]
        again = lambda piece, some: settle(piece, reached[some], plan.max_steps - FIRST_STEPS)  # noqa: E731
        some, told = _joined(streams.run(again, late, name="native, on", least=LANES, flat=True))
        parts.append(_part(some, told._replace(steps=told.steps + FIRST_STEPS), names))
        left = np.setdiff1d(left, some[told.settled])
    return [part for part in parts if part[0].size], np.sort(left)


def _joined(found: Sequence[tuple[np.ndarray, Settled]]) -> tuple[np.ndarray, Settled]:
    """Put the lanes of all pieces together."""
    lanes, told = zip(*found, strict=True)
    return np.concatenate(lanes), jax.tree_util.tree_map(lambda *leaf: np.concatenate(leaf), *told)


def _part(lanes: np.ndarray, told: Settled, names: int) -> Part:
    """Return the lanes that are settled, and their solutions."""
    if told.settled.all():
        return lanes, to_solution(told, names)
    return lanes[told.settled], to_solution(jax.tree_util.tree_map(lambda leaf: leaf[told.settled], told), names)


def _carefully(
    model: "Model", plan: Plan, streams: Streams, lanes: np.ndarray, tolerance: float, *, hurry: bool, shown: bool
) -> list[Part]:
    """Solve lanes by the means of a single fit; `hurry` where the code for it shall soon be ready."""
    static = {name: value for name, value in plan.static.items() if name != "record"}
    run = verb_program(model, solve_lanes, hurry=hurry, axes=streams.batch.axes, **static)

    def careful(piece: Batch, most: int, optimizer: Any = plan.optimizer) -> Any:
        common, own = piece.start
        by_lane = own, *lane_weights(piece.weights)
        weights = common_weights(piece.weights)
        return run(plan.coordinates, piece.data, by_lane, weights, common, optimizer, tolerance, most)

    few = min(plan.max_steps, FIRST_CAREFUL_STEPS) if isinstance(plan.optimizer, Newton) else plan.max_steps
    parts: list[Part] = streams.run(lambda piece, _: careful(piece, few), lanes, name="careful", shown=shown)
    late = np.concatenate([some[found.status == int(Status.max_steps)] for some, found in parts])
    last = parts
    if late.size and few < plan.max_steps:
        last = streams.run(lambda piece, _: careful(piece, plan.max_steps), late, name="careful")
        parts = parts + last
    return parts if plan.handwritten else parts + _from_better_scales(model, plan, streams, last, careful)


def _from_better_scales(
    model: "Model", plan: Plan, streams: Streams, parts: list[Part], careful: Callable[..., Solution]
) -> list[Part]:
    """Return the lanes whose steps ran out on the way from a start that nobody gave, and get higher from another."""
    out = [(some, found, found.status == int(Status.max_steps)) for some, found in parts]
    late = np.concatenate([some[ran_out] for some, _, ran_out in out])
    if not late.size or any(streams.batch.start) or not may_rescale(plan.coordinates, plan.max_steps):
        return []
    begin = verb_program(model, better_scaled, axes=streams.batch.axes)

    def rescale(piece: Batch, _: np.ndarray) -> Any:
        return begin(plan.coordinates, piece.data, lane_weights(piece.weights), common_weights(piece.weights))

    rescaled = [found for _, found in streams.run(rescale, late, name="scales")]
    starts, heights = jax.tree_util.tree_map(lambda *leaf: np.concatenate(leaf), *rescaled)
    before = np.concatenate([found.log_likelihood[ran_out] for _, found, ran_out in out])
    steps = np.concatenate([found.steps[ran_out] for _, found, ran_out in out])
    higher = np.flatnonzero(heights > before)
    if not higher.size:
        return []
    named = named_leaves(starts)

    def again(piece: Batch, some: np.ndarray) -> Solution:
        at = np.searchsorted(late, some)
        own = {name: leaf[at] for name, leaf in zip(named.names, named.leaves, strict=True)}
        return careful(replace(piece, start=({}, own)), plan.max_steps // REST, search_again(plan.coordinates.size))

    better: list[Part] = []
    for some, solution in streams.run(again, late[higher], name="careful, from better scales"):
        at = np.searchsorted(late, some)
        up = solution.log_likelihood > before[at]
        solution = solution._replace(steps=solution.steps + steps[at])
        better.append((some[up], jax.tree_util.tree_map(lambda leaf, up=up: leaf[up], solution)))
    return better


def merged(size: int, parts: Sequence[Part]) -> Solution:
    """Put the parts together; of a lane that is in two of them the later one counts."""
    alone = len(parts) == 1 and np.array_equal(parts[0][0], np.arange(size))

    def put(*leaves: np.ndarray) -> np.ndarray:
        if all(_is_repeated(leaf) for leaf in leaves) and all(np.array_equal(leaf[0], leaves[0][0]) for leaf in leaves):
            return np.broadcast_to(leaves[0][0], (size, *leaves[0].shape[1:]))
        if alone:  # as it is, without a copy
            whole = leaves[0].view()
        else:
            whole = np.empty((size, *leaves[0].shape[1:]), leaves[0].dtype)
            for (lanes, _), leaf in zip(parts, leaves, strict=True):
                whole[lanes] = leaf
        whole.flags.writeable = False
        return whole

    solution: Solution = jax.tree_util.tree_map(put, *(found for _, found in parts))
    return solution


def _is_repeated(leaf: np.ndarray) -> bool:
    return leaf.strides[0] == 0

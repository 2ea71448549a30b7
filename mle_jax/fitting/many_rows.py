"""Newton's method on more rows than one loop should hold: driven from Python, the rows summed piece by piece.

Each step needs one pass over the rows, for value, gradient and Hessian together. A pass is cut into pieces, which
threads sum side by side, a core each (XLA's CPU runtime would leave the blocks of one sum to a single core), or read
from a disk as they go, so that no more than a few pieces are in memory. The search, its rules and the certificate are
the same as everywhere: only who asks for the evaluations differs.

1. A few percent of the rows, spread over all of them, are fitted first, from the model's own start: their maximum is
   so near to that of all rows that two or three passes are left to do.
2. Newton's method, one pass per step.
3. The certificate: one pass for all of its moves, first with the eigenvectors added up (`along_sums`).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._machine import cores
from mle_jax._objective import Evaluation, Objective
from mle_jax.data.pieces import Fetch, Rows, RowsInMemory
from mle_jax.fitting.certificate import (
    Certificate,
    ahead,
    all_moves,
    along_sums,
    curve,
    judged,
    judged_by_sums,
)
from mle_jax.fitting.climbing import newton_rules
from mle_jax.fitting.planning import Plan
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.solving import solution_of
from mle_jax.fitting.starts import start_theta
from mle_jax.likelihood.layout import count_rows
from mle_jax.likelihood.loss import evaluation_of, part_derivatives, part_values
from mle_jax.likelihood.programs import native_program, program, quick_program, verb_program
from mle_jax.optimizers._loop import NON_FINITE, Run, advance, begin, goes_on
from mle_jax.optimizers._one_kernel import NotOneKernelError, is_known, only_in_one_kernel
from mle_jax.optimizers.newton import Newton

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

T = TypeVar("T")

MANY_ROWS = 20_000
"""Rows from which on a fit is driven from Python: a pass then takes longer than to ask for it."""
SAMPLE_STEPS = 30
NEAR = 1.0
"""Standard errors of a sample within which its maximum is sought."""


def suits_pieces(model: "Model", plan: Plan, dtype: str) -> bool:
    """Say whether a fit can be driven from here: independent rows, a smooth model, and Newton's method in float64."""
    newton = isinstance(plan.optimizer, Newton) and plan.optimizer.curvature == "observed"
    usual = model.smooth and not model.is_joint and not plan.handwritten and not plan.closed_form
    return newton and usual and dtype == "float64"


def gains_by_pieces(model: "Model", data: Any) -> bool:
    """Say whether arrays in memory are better gone through in pieces: many rows, on a CPU with its cores."""
    return jax.default_backend() == "cpu" and count_rows(model, data) >= MANY_ROWS


def solve_in_pieces(model: "Model", plan: Plan, rows: Rows, start: Any, tolerance: float) -> Solution:
    """Search from the start values, certify, judge and polish (the numbers are those of the module's docstring).

    Args:
        model: a smooth model with independent rows.
        plan: how to climb: by `Newton` with the observed curvature.
        rows: the dataset.
        start: start values, partial or None.
        tolerance: of the decrement, in standard errors.
    """
    begin_at = lambda *some: verb_program(model, start_theta, hurry=True)(plan.coordinates, *some, start)  # noqa: E731
    threads = max(cores(), len(rows.devices) if isinstance(rows, RowsInMemory) else 1)
    place, newton = plan.coordinates, plan.optimizer
    assert isinstance(newton, Newton)
    with ThreadPoolExecutor(threads) as pool:
        native = is_known()
        few = Passes(model, place, rows.sample(), pool, native=native)
        many = Passes(model, place, rows.pieces(), pool, native=native)
        # 1
        theta = begin_at(*rows.some_rows())
        searches = few.pieces and theta.size and plan.max_steps > 0
        first = _maximum_of(few, newton, theta) if searches else theta
        # 2
        record = plan.max_steps if plan.record else None
        search = partial(_search, many, newton, tolerance=tolerance, max_steps=plan.max_steps, record=record)
        run = search(first)
        # Some rows do not tell where the support of all ends.
        if int(run.outcome) == NON_FINITE and first is not theta:
            run = search(theta)
        if int(run.outcome) == NON_FINITE and isinstance(rows, RowsInMemory):
            run = search(begin_at(rows.data, rows.weights))
        # 3
        certificate = _certified(many, run.state.evaluation)
    return _finish(place, run, certificate, many.total_weight, tolerance)


class Passes:
    """Passes over the pieces of a dataset.

    Args:
        model: the model.
        place: the free coordinates.
        pieces: functions that fetch the pieces.
        pool: the threads that do so and sum them.
        native: try native loops. All pieces are summed by one program, those of a sample included.
    """

    def __init__(
        self, model: "Model", place: Any, pieces: Sequence[Fetch], pool: ThreadPoolExecutor, *, native: bool
    ) -> None:
        self.pieces = pieces
        self.total_weight = 0.0
        self._place = place
        self._pool = pool
        compiled = native_program if native else program
        self._derivatives = compiled(model, _part_derivatives, native=native)
        self._values = compiled(model, _part_values, native=native)

    def derivatives(self, point: Array) -> tuple[Any, ...]:
        """Return the sums of `part_derivatives` at a point, over all rows."""
        return tuple(self._summed(self._derivatives, point))

    def losses(self, points: Array) -> Array:
        """Return the loss at several points (m, k), times the total weight, (m,)."""
        return jnp.asarray(self._summed(self._values, points)[0])

    def _summed(self, function: Callable[..., Any], at: Array) -> Any:
        def one(fetch: Fetch) -> Any:
            with jax.enable_x64(True):  # threads do not inherit it
                data, weights, part, valid, weight = fetch()
                return *jax.device_get(function(self._place, at, data, weights, part, valid)), weight

        # In extended precision where the machine has it, so that the number of pieces does not matter.
        total: Any = None
        for part in map(one, self.pieces) if len(self.pieces) == 1 else self._pool.map(one, self.pieces):
            wide = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.longdouble), part)
            total = wide if total is None else jax.tree_util.tree_map(np.add, total, wide)
        *sums, weight = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.float64), total)
        self.total_weight = float(weight)
        return sums


def _part_derivatives(model: "Model", place: Any, theta: Array, *piece: Any, native: bool) -> tuple[Array, ...]:
    return _natively_if(partial(part_derivatives, model, place, theta, *piece), native)


def _part_values(model: "Model", place: Any, thetas: Array, *piece: Any, native: bool) -> tuple[Array]:
    return (_natively_if(partial(part_values, model, place, thetas, *piece), native),)


def _natively_if(sums: Callable[..., T], native: bool) -> T:
    """Sum by native loops over the rows, on a CPU and where the log density can be part of one, or as usual."""
    try:
        return sums(call=only_in_one_kernel if native else None)
    except NotOneKernelError:
        return sums()


def _search(
    passes: Passes,
    newton: Newton,
    theta: Array,
    *,
    tolerance: float,
    max_steps: int,
    record: int | None = None,
    polish: bool = True,
) -> Run:
    """Take steps until the rules of Newton's method end the search."""
    run = _begin(newton, theta, record=record)
    while True:
        sums = passes.derivatives(run.state.trial.point)
        run, more = _advance(newton, run, sums, passes.total_weight, tolerance, max_steps, polish)
        if not bool(more):
            return run


def _start(newton: Newton, theta: Array, *, record: int | None) -> Run:
    return begin(Objective(_unknown), newton, theta, record=record)


_begin = quick_program(_start, static_argnames=("record",))


@quick_program
def _advance(
    newton: Newton, run: Run, sums: tuple[Any, ...], scale: Array, tolerance: Array, max_steps: Array, polish: Array
) -> tuple[Run, Array]:
    """Take the step whose sums are there, and say whether another one is wanted."""
    found = evaluation_of(run.state.trial.point, sums, scale)
    objective = Objective(_unknown, second=lambda _: (found.value, found.magnitude, found.gradient, found.hessian))
    rules = newton_rules(scale=scale, tolerance=tolerance, polish=polish if found.point.size else False)
    after = advance(objective, newton, run, **rules)
    return after, goes_on(after, max_steps=max_steps, last_step_from=rules["last_step_from"])


def _unknown(_: Array) -> tuple[Array, Array]:
    raise AssertionError("a search over pieces asks for the Hessian at every step and for nothing else")


def _maximum_of(passes: Passes, newton: Newton, theta: Array) -> Array:
    """Return the maximum of a sample, nearly, or the start where the sample seems to have none.

    It lies some ten standard errors (of all rows) from that of all rows, so one of its own is near enough; the step
    from there, which is already known, leaves a small part of that.
    """
    state = _search(passes, newton, theta, tolerance=NEAR, max_steps=SAMPLE_STEPS, polish=False).state
    near = float(state.decrement) * np.sqrt(passes.total_weight) < NEAR
    arrived = near and np.isfinite(state.evaluation.value) and float(state.eigen.values[0]) > float(state.eigen.floor)
    return state.trial.point if arrived else theta


def _certified(passes: Passes, here: Evaluation) -> Certificate:
    """Evaluate the certificate, along sums of the eigenvectors if that is enough."""
    scale = passes.total_weight
    if here.point.size == 0:
        return curve(here, scale)
    curvature, points = _first_look(here, scale)
    certificate, enough = _judge_sums(curvature, here, passes.losses(points), scale)
    if not bool(enough):
        certificate = _judge_all(curvature, here, passes.losses(_everywhere(curvature, here)), scale)
    return certificate


@quick_program
def _first_look(here: Evaluation, scale: Array) -> tuple[Certificate, Array]:
    """Return what the derivatives say, and the points to try: the maximum, ahead, and along the sums."""
    curvature = curve(here, scale)
    return curvature, _points(here, jnp.concatenate([ahead(curvature), along_sums(curvature)]))


@quick_program
def _judge_sums(curvature: Certificate, here: Evaluation, losses: Array, scale: Array) -> tuple[Certificate, Array]:
    return judged_by_sums(curvature, here, _falls(losses), scale)


@quick_program
def _everywhere(curvature: Certificate, here: Evaluation) -> Array:
    """Return all points of the certificate, the maximum first."""
    return _points(here, all_moves(curvature))


@quick_program
def _judge_all(curvature: Certificate, here: Evaluation, losses: Array, scale: Array) -> Certificate:
    return judged(curvature, here, _falls(losses), scale)


def _points(here: Evaluation, moves: Array) -> Array:
    return here.point + jnp.concatenate([jnp.zeros_like(here.point)[None], moves])


def _falls(losses: Array) -> Array:
    """Return by how much the log-likelihood falls from the first point to the others."""
    change = losses[1:] - losses[0]
    # Outside the support the log-likelihood is -inf or not a number: that counts as a fall.
    return jnp.where(jnp.isnan(change), jnp.inf, change)


@quick_program
def _finish(place: Any, run: Run, certificate: Certificate, scale: Array, tolerance: Array) -> Solution:
    return solution_of(place, run, run.state.evaluation, certificate, scale=scale, tolerance=tolerance)

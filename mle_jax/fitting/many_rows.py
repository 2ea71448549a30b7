"""Newton's method on more rows than one loop should hold: driven from Python, the rows summed piece by piece.

Each step needs one pass over the rows, for value, gradient and Hessian together. A pass is cut into pieces, which
threads sum side by side, a core each (XLA's CPU runtime would leave the blocks of one sum to a single core), or read
from a disk as they go, so that no more than a few pieces are in memory. The search, its rules and the certificate are
the same as everywhere: only who asks for the evaluations differs.

1. A few percent of the rows, spread over all of them, are fitted first, from the model's own start: their maximum is
   so near to that of all rows that two or three passes are left to do.
2. Newton's method, one pass per step. Second derivatives are most of the work of a native loop, so the first pass does
   without them: those of the sample are as good, so far from the maximum. So does a later one, by those of the pass
   before it, if the pass after it arrives all the same. A last step that no longer changes them is not looked at.
3. The certificate: one pass for all of its moves, first with the eigenvectors added up (`along_sums`).
"""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._machine import cores
from mle_jax._objective import Evaluation, Objective
from mle_jax.data.pieces import Rows, RowsInMemory
from mle_jax.fitting.certificate import (
    Certificate,
    ahead,
    all_moves,
    along_sums,
    curve,
    judged,
    judged_by_sums,
)
from mle_jax.fitting.climbing import QUADRATIC, newton_rules
from mle_jax.fitting.passes import Passes, Sums
from mle_jax.fitting.planning import Plan
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.solving import solution_of
from mle_jax.fitting.starts import start_theta
from mle_jax.likelihood.layout import count_rows
from mle_jax.likelihood.loss import evaluation_of
from mle_jax.likelihood.programs import quick_program, verb_program
from mle_jax.optimizers._loop import NON_FINITE, RUNNING, Run, advance, begin, goes_on
from mle_jax.optimizers._one_kernel import is_known
from mle_jax.optimizers.newton import Newton, NewtonState, first_trial

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

MANY_ROWS = 20_000
"""Rows from which on a fit is driven from Python: a pass then takes longer than to ask for it."""
SAMPLE_STEPS = 30
NEAR = 1.0
"""Standard errors of a sample within which its maximum is sought."""
UNCHANGED = 2e-13
"""A relative change of the curvature that standard errors show in their last digits only."""


class Climb(NamedTuple):
    """Where a search is, and what is known of the Hessian there."""

    run: Run
    borrowed: Array  # () bool: it is that of another point
    bend: Array  # () its relative change by a step, over the decrement before it; about 1 where no row stands out


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
        first, hessian = _maximum_of(few, newton, theta) if searches else (theta, None)
        # 2
        record = plan.max_steps if plan.record else None
        search = partial(_search, many, newton, tolerance=tolerance, max_steps=plan.max_steps, record=record)
        run = search(first, hessian=hessian)
        # Some rows do not tell where the support of all ends.
        if int(run.outcome) == NON_FINITE and first is not theta:
            run = search(theta)
        if int(run.outcome) == NON_FINITE and isinstance(rows, RowsInMemory):
            run = search(begin_at(rows.data, rows.weights))
        # 3
        certificate = _certified(many, run.state.evaluation)
    return _finish(place, run, certificate, many.total_weight, tolerance)


def _search(
    passes: Passes,
    newton: Newton,
    theta: Array,
    *,
    tolerance: float,
    max_steps: int,
    record: int | None = None,
    polish: bool = True,
    hessian: Array | None = None,
) -> Run:
    """Take steps until the rules of Newton's method end the search.

    Args:
        passes: over the rows.
        newton: the optimizer.
        theta: the start, (k,).
        tolerance: of the decrement, in standard errors.
        max_steps: the most steps.
        record: room for the history, or None.
        polish: take one more step from a maximum.
        hessian: a good guess of that of the loss at the start: the first pass leaves it out.
    """
    curved = hessian is None
    run = _begin(newton, theta, jnp.eye(theta.size) if curved else hessian, record=record)
    climb = Climb(run, borrowed=jnp.asarray(not curved), bend=jnp.asarray(1.0))
    while True:
        sums = passes.derivatives(climb.run.state.trial.point, curved=curved)
        climb, more, borrows = _advance(newton, climb, sums, passes.total_weight, tolerance, max_steps, polish)
        if not bool(more):
            return climb.run
        curved = not bool(borrows)


def _start(newton: Newton, theta: Array, hessian: Array, *, record: int | None) -> Run:
    run = begin(Objective(_unknown), newton, theta, record=record)
    nowhere = run.state.evaluation._replace(hessian=hessian)
    return run._replace(state=run.state._replace(evaluation=nowhere))


_begin = quick_program(_start, static_argnames=("record",))


@quick_program
def _advance(
    newton: Newton, climb: Climb, sums: Sums, scale: Array, tolerance: Array, max_steps: Array, polish: Array
) -> tuple[Climb, Array, Array]:
    """Take the step whose sums are there, and say whether another one is wanted, and whether it borrows the Hessian."""
    run, asked = climb.run, climb.run.state.trial.point
    found = evaluation_of(asked, sums[:4], scale)
    hessian = jnp.where(sums.curved > 0, found.hessian, run.state.evaluation.hessian)
    objective = Objective(_unknown, second=lambda _: (found.value, found.magnitude, found.gradient, hessian))
    rules = newton_rules(scale=scale, tolerance=tolerance, polish=polish if found.point.size else False)
    after = advance(objective, newton, run, **rules)
    borrowed = jnp.where(jnp.all(after.state.evaluation.point == asked), sums.curved <= 0, climb.borrowed)
    more = goes_on(after, max_steps=max_steps, last_step_from=rules["last_step_from"])
    # A verdict wants the Hessian of the point itself, and so does a search whose step by another led nowhere.
    again = borrowed & ~(more & after.state.accepted) & (after.outcome != NON_FINITE)
    after = jax.tree_util.tree_map(partial(jnp.where, again), _anew(newton, after), after)
    change, bend = _change_to_come(climb, after.state)
    last = more & rules["last_step_from"](after.state)
    # Two steps from here it is the square of that, three from here its third power.
    borrows = polish & more & ~last & ~borrowed & (change**2 > UNCHANGED) & (change**3 < UNCHANGED)
    arrived = last & ~borrowed & (change < UNCHANGED)
    here = after.state.evaluation
    here = here._replace(point=jnp.where(arrived, after.state.trial.point, here.point))
    after = after._replace(state=after.state._replace(evaluation=here))
    known = jnp.all(jnp.isfinite(here.hessian))  # it may not be where a borrowed one led
    return Climb(after, borrowed, bend), (more | again) & ~arrived & known, borrows


def _change_to_come(before: Climb, state: NewtonState) -> tuple[Array, Array]:
    """Return the relative change of the Hessian by the next step, and `Climb.bend`.

    It is infinite where convergence is not quadratic. A step by its own Hessian leaves half of what that changes,
    one by that of another point tells nothing.
    """
    step, was = before.run.state.trial, before.run.state.decrement
    seen = 2.0 * state.shrinkage / was
    bend = jnp.where(before.borrowed | step.first | ~jnp.isfinite(seen), before.bend, jnp.maximum(seen, 1.0))
    steady = (state.trial.damping <= 0) & (state.eigen.smallest > state.eigen.floor) & (state.shrinkage < QUADRATIC)
    return jnp.where(steady, bend * state.decrement, jnp.inf), bend


def _anew(newton: Newton, run: Run) -> Run:
    """Plan to evaluate the accepted point once more, which is no step."""
    state = run.state
    state = state._replace(
        trial=first_trial(state.evaluation.point),
        radius=jnp.full_like(state.radius, newton.initial_radius),
        stalls=jnp.zeros_like(state.stalls),
    )
    return run._replace(state=state, steps=run.steps - 1, outcome=jnp.full_like(run.outcome, RUNNING))


def _unknown(_: Array) -> tuple[Array, Array]:
    raise AssertionError("a search over pieces asks for the Hessian at every step and for nothing else")


def _maximum_of(passes: Passes, newton: Newton, theta: Array) -> tuple[Array, Array | None]:
    """Return the maximum of a sample, nearly, with its Hessian, or the start where the sample seems to have none.

    It lies some ten standard errors (of all rows) from that of all rows, so one of its own is near enough; the step
    from there, which is already known, leaves a small part of that.
    """
    state = _search(passes, newton, theta, tolerance=NEAR, max_steps=SAMPLE_STEPS, polish=False).state
    near = float(state.decrement) * np.sqrt(passes.total_weight) < NEAR
    arrived = near and np.isfinite(state.evaluation.value) and float(state.eigen.values[0]) > float(state.eigen.floor)
    return (state.trial.point, state.evaluation.hessian) if arrived else (theta, None)


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

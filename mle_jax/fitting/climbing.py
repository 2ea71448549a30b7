"""The climb to the top, by whichever optimizer, until the decrement says that it is reached."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._objective import Objective
from mle_jax.fitting import by_products
from mle_jax.fitting.certificate import curve
from mle_jax.fitting.choosing import forms_hessian
from mle_jax.optimizers._loop import NON_FINITE, RUNNING, STOPPED, Run, begin, proceed
from mle_jax.optimizers._protocol import Optimizer
from mle_jax.optimizers.lbfgs import LBFGS, LBFGSState
from mle_jax.optimizers.newton import Newton, NewtonState
from mle_jax.optimizers.newton_cg import NewtonCGState

STALLS = 2  # successive full Newton steps without any gain: the decrement cannot be made smaller
QUADRATIC = 0.1  # a step that shrinks the decrement to less than this is one of quadratic convergence
LAST_DIGITS = 256  # rounding units of a coordinate: a step that changes no more of any is not worth its evaluation
AGE = 200  # steps of L-BFGS in one scale
TIGHTEN = 0.3  # of the cheap threshold, each time the certificate disagrees with it


def search(
    objective: Objective,
    optimizer: Optimizer[Any],
    theta: Array,
    *,
    scale: Array | float,
    tolerance: Array | float,
    max_steps: Array | int,
    record: int | None,
    polish: bool = False,
) -> Run:
    """Run an optimizer until the decrement is below the tolerance or the steps run out.

    Newton's method knows its decrement at every step. First-order methods stop on a cheap estimate (the gradient
    scaled by the diagonal information), are then held against the true decrement, and go on if that fails.

    Args:
        objective: the loss.
        optimizer: the algorithm.
        theta: the start, (k,).
        scale: of the loss.
        tolerance: of the decrement, in standard errors.
        max_steps: the most steps.
        record: room for the history, or None.
        polish: let Newton's method take one more step from where it arrived (8 digits become 13). It is not counted.
    """
    first = begin(objective, optimizer, theta, record=record)
    if isinstance(optimizer, Newton):
        rules = newton_rules(scale=scale, tolerance=tolerance, polish=polish)
        return proceed(objective, optimizer, first, max_steps=max_steps, **rules)
    look = _look(objective, scale, dense=forms_hessian(optimizer, theta.size))
    return _in_rounds(objective, optimizer, first, look, scale=scale, tolerance=tolerance, max_steps=max_steps)


def stalled(run: Run) -> Array:
    """Say whether Newton's method ended because no step gains anything."""
    return _idles(run.state)


def _idles(state: Any) -> Array:
    known = isinstance(state, NewtonState | NewtonCGState | LBFGSState)
    return state.stalls >= STALLS if known else jnp.asarray(False)


def _is_old(state: Any) -> Array:
    """Say whether the scale of the coordinates was taken so far from here that it should be taken again."""
    return state.age >= AGE if isinstance(state, LBFGSState) else jnp.asarray(False)


def _look(objective: Objective, scale: Array | float, *, dense: bool) -> Callable[[Array], tuple[Array, Array]]:
    """Return what tells of a point the diagonal of the Hessian, for a cheap estimate, and the true decrement."""

    def look(point: Array) -> tuple[Array, Array]:
        if dense:
            there = objective.with_hessian(point)
            diagonal, decrement = jnp.diagonal(there.hessian), curve(there, scale).decrement
        else:
            diagonal = objective.diagonal(point)
            decrement = by_products.distance(objective, objective.with_gradient(point), diagonal, scale)
        size = jnp.abs(diagonal)
        return jnp.where(size > 0, size, 1.0), decrement

    return look


def newton_rules(
    *, scale: Array | float, tolerance: Array | float, polish: Array | bool
) -> dict[str, Callable[..., Array]]:
    """Return when Newton's method stops, from where one more step is its last, and whether that is kept.

    It stops where the decrement is below the tolerance or nothing is gained; a maximum is polished by a last step, if
    that brings it nearer: where rounding errors are larger than the decrement, it may lead away.
    """

    def near(state: NewtonState) -> Array:
        decrement = state.decrement * jnp.sqrt(jnp.asarray(scale, state.decrement.dtype))
        curved_up = state.eigen.smallest < -state.eigen.floor
        return (decrement < tolerance) & ~curved_up

    def at_maximum(state: NewtonState) -> Array:
        # Toward a maximum at infinity the decrement shrinks by the same factor in every step, exp(-1/2).
        if polish is False:
            return jnp.asarray(False)
        point, planned = state.evaluation.point, state.trial.point
        changes = jnp.any(jnp.abs(planned - point) > LAST_DIGITS * jnp.finfo(point.dtype).eps * jnp.abs(point))
        return polish & near(state) & (state.shrinkage < QUADRATIC) & changes

    def stop(_: Any, state: NewtonState) -> Array:
        return (state.stalls >= STALLS) | (near(state) & ~at_maximum(state))

    def nearer(before: NewtonState, after: NewtonState) -> Array:
        return after.decrement <= before.decrement

    return {"stop": stop, "last_step_from": at_maximum, "gains": nearer}


def _in_rounds(
    objective: Objective,
    optimizer: Optimizer[Any],
    first: Run,
    look: Callable[[Array], tuple[Array, Array]],
    *,
    scale: Array | float,
    tolerance: Array | float,
    max_steps: Array | int,
) -> Run:
    """Alternate between a run to a cheap threshold and a look at the true decrement."""

    # A round begins with the look, so that the program holds it once; the last one takes no step.
    def unfinished(now: tuple[Run, Array, Array, Array, Array]) -> Array:
        run, _, arrived, moved, _ = now
        return ~arrived & moved & (run.outcome != NON_FINITE)

    def round_(now: tuple[Run, Array, Array, Array, Array]) -> tuple[Run, Array, Array, Array, Array]:
        run, threshold, _, _, again = now
        diagonal, decrement = look(run.state.evaluation.point)
        arrived = decrement < tolerance

        def cheap(_: Any, state: Any) -> Array:
            near = jnp.sum(state.evaluation.gradient**2 / diagonal) * scale < threshold**2
            return near | _idles(state) | _is_old(state)

        ended = arrived | (_idles(run.state) & ~again)
        waiting = run._replace(outcome=jnp.where(ended, STOPPED, RUNNING).astype(jnp.int32))
        if isinstance(optimizer, LBFGS):  # begins anew: what it had learned brought it nowhere, or is of other units
            fresh = optimizer.init(objective, run.state.evaluation.point)
            waiting = waiting._replace(state=jax.tree_util.tree_map(partial(jnp.where, ended), run.state, fresh))
        after = proceed(objective, optimizer, waiting, max_steps=max_steps, stop=cheap)
        rounding = 10 * jnp.finfo(threshold.dtype).eps * after.state.evaluation.magnitude
        gained = run.state.evaluation.value - after.state.evaluation.value > rounding
        return after, threshold * TIGHTEN, arrived, after.steps > run.steps, gained & isinstance(optimizer, LBFGS)

    threshold = jnp.asarray(tolerance, first.state.evaluation.point.dtype)
    start = first, threshold, jnp.asarray(False), jnp.asarray(True), jnp.asarray(False)
    run, _, arrived, _, _ = jax.lax.while_loop(unfinished, round_, start)
    ended = jnp.where(run.outcome == NON_FINITE, NON_FINITE, jnp.where(arrived, STOPPED, RUNNING))
    return run._replace(outcome=ended.astype(jnp.int32))

"""The one loop: every optimizer runs in it, on one problem or on many under `vmap`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._objective import Evaluation, Objective
from mle_jax.optimizers._protocol import Optimizer, Stop

RUNNING, STOPPED, NON_FINITE = 0, 1, 2


class Trace(NamedTuple):
    """What happened step by step, the start included; rows beyond the last step are NaN."""

    value: Array  # (max_steps + 1,)
    gradient_norm: Array  # (max_steps + 1,)
    point: Array  # (max_steps + 1, k)


class Run(NamedTuple):
    """Where a run arrived."""

    state: Any
    steps: Array  # int32
    outcome: Array  # int32: RUNNING (the steps ran out), STOPPED (the rule held) or NON_FINITE
    best_value: Array  # the smallest value seen, and where: what counts when a method does not settle
    best_point: Array  # (k,)
    trace: Trace | None


def begin(objective: Objective, optimizer: Optimizer[Any], point: Array, *, record: int | None = None) -> Run:
    """Evaluate the start, or leave that to the first step (see `Optimizer.begins_at`).

    Args:
        objective: the function.
        optimizer: the algorithm.
        point: the start, shape (k,).
        record: room for the trace (static: the largest number of steps), or None to keep none.
    """
    state = optimizer.init(objective, point)
    here = state.evaluation
    known = here.is_finite | (optimizer.begins_at < 0)
    outcome = jnp.where(known, RUNNING, NON_FINITE).astype(jnp.int32)
    trace = None if record is None else _note(_empty(here, record), jnp.int32(0), here)
    return Run(state, jnp.int32(optimizer.begins_at), outcome, here.value, here.point, trace)


def proceed(
    objective: Objective,
    optimizer: Optimizer[Any],
    first: Run,
    *,
    max_steps: Array | int,
    stop: Stop | None = None,
    last_step_from: Callable[[Any], Array] | None = None,
    gains: Callable[[Any, Any], Array] | None = None,
) -> Run:
    """Step on until the rule holds, the steps run out, or the objective is no longer finite.

    A step to a point where value or gradient is not finite is undone, so the state returned is always the last
    finite one (or the start itself).

    Args:
        objective: the function.
        optimizer: the algorithm.
        first: from `begin`, or an earlier run to go on with.
        max_steps: the most steps, counted from the start; traced, so another number does not recompile.
        stop: rule on two successive states.
        last_step_from: says of a state whether it needs no more than one last step, which is neither counted nor noted.
        gains: says of the states before and after that last step whether it is kept.
    """

    def unfinished(now: Run) -> Array:
        return goes_on(now, max_steps=max_steps, last_step_from=last_step_from)

    def one(now: Run) -> Run:
        return advance(objective, optimizer, now, stop=stop, last_step_from=last_step_from, gains=gains)

    return jax.lax.while_loop(unfinished, one, first)


def goes_on(now: Run, *, max_steps: Array | int, last_step_from: Callable[[Any], Array] | None) -> Array:
    """Say whether a run wants another step; arguments as in `proceed`."""
    last = jnp.asarray(False) if last_step_from is None else last_step_from(now.state)
    return (now.outcome == RUNNING) & ((now.steps < max_steps) | last)


def advance(
    objective: Objective,
    optimizer: Optimizer[Any],
    now: Run,
    *,
    stop: Stop | None,
    last_step_from: Callable[[Any], Array] | None,
    gains: Callable[[Any, Any], Array] | None = None,
) -> Run:
    """Take one step; arguments as in `proceed`."""
    last = jnp.asarray(False) if last_step_from is None else last_step_from(now.state)
    room = 0 if now.trace is None else now.trace.value.size  # what is noted beyond it is dropped
    trial = optimizer.step(objective, now.state)
    there = trial.evaluation
    kept = there.is_finite | (now.steps < 0)  # nothing is older than the start
    if gains is not None:
        kept = kept & (~last | gains(now.state, trial))
    state = jax.tree_util.tree_map(lambda new, old: jnp.where(kept, new, old), trial, now.state)
    done = last if stop is None else last | stop(now.state, trial)
    outcome = jnp.where(there.is_finite, jnp.where(done, STOPPED, RUNNING), NON_FINITE).astype(jnp.int32)
    better = there.is_finite & (there.value < now.best_value)
    return Run(
        state,
        now.steps + jnp.where(last, 0, 1).astype(jnp.int32),
        outcome,
        jnp.where(better, there.value, now.best_value),
        jnp.where(better, there.point, now.best_point),
        None if now.trace is None else _note(now.trace, jnp.where(last, room, now.steps + 1), there),
    )


def hurry(
    objective: Objective, optimizer: Optimizer[Any], point: Array, *, max_steps: Array | int, stop: Stop | None = None
) -> tuple[Any, Array, Array]:
    """Do what `begin` and `proceed` do, but leave the last step as it is where the objective is no longer finite.

    Nothing is kept for an undo, so the body of the loop is less than half as long: on small data, where dispatching its
    kernels takes the time, this is 2 to 3 times as fast. (XLA's CPU runtime runs up to 8 kernels one after the other,
    and hands more than that to a scheduler, which costs more than they do.)

    Returns:
        The state, the steps, and the outcome. Where that is NON_FINITE the state is of no use: use `proceed`.
    """

    def unfinished(now: tuple[Any, Array, Array]) -> Array:
        state, steps, done = now
        return (state.evaluation.is_finite | (steps < 0)) & (steps < max_steps) & ~done

    def advance(now: tuple[Any, Array, Array]) -> tuple[Any, Array, Array]:
        state, steps, done = now
        trial = optimizer.step(objective, state)
        return trial, steps + 1, done if stop is None else stop(state, trial)

    state, steps, done = jax.lax.while_loop(
        unfinished, advance, (optimizer.init(objective, point), jnp.int32(optimizer.begins_at), jnp.asarray(False))
    )
    outcome = jnp.where(state.evaluation.is_finite, jnp.where(done, STOPPED, RUNNING), NON_FINITE)
    return state, steps, outcome.astype(jnp.int32)


def _empty(evaluation: Evaluation, room: int) -> Trace:
    dtype = evaluation.point.dtype
    line = jnp.full(room + 1, jnp.nan, dtype)
    return Trace(line, line, jnp.full((room + 1, evaluation.point.size), jnp.nan, dtype))


def _note(trace: Trace, step: Array, evaluation: Evaluation) -> Trace:
    norm = jnp.sqrt(jnp.sum(evaluation.gradient**2))
    return Trace(
        trace.value.at[step].set(evaluation.value),
        trace.gradient_norm.at[step].set(norm),
        trace.point.at[step].set(evaluation.point),
    )

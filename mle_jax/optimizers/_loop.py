"""The one loop: every optimizer runs in it, on one problem or on many under `vmap`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._objective import Evaluation, Objective
from mle_jax.optimizers._protocol import Optimizer, Stop

RUNNING, STOPPED, NON_FINITE = 0, 1, 2


class Trace(NamedTuple):
    """What happened step by step, the start included; rows beyond the last step repeat nothing and are NaN."""

    value: Array  # (max_steps + 1,)
    gradient_norm: Array  # (max_steps + 1,)
    point: Array  # (max_steps + 1, k)


class Run(NamedTuple):
    """Where a run arrived."""

    state: Any
    steps: Array  # int32
    outcome: Array  # int32: RUNNING (the steps ran out), STOPPED (the rule held) or NON_FINITE
    trace: Trace | None


def run(
    objective: Objective,
    optimizer: Optimizer[Any],
    state: Any,
    *,
    max_steps: Array | int,
    stop: Stop | None = None,
    stopped: Array | bool = False,
    record: int | None = None,
) -> Run:
    """Step until the rule holds, the steps run out, or the objective is no longer finite.

    A step to a point where value or gradient is not finite is undone, so the state returned is always the last
    finite one (or the start itself).

    Args:
        objective: the function.
        optimizer: the algorithm.
        state: from ``optimizer.init``.
        max_steps: the most steps; traced, so another number does not recompile.
        stop: rule on two successive states.
        stopped: True where there is nothing to do, by a rule that looks at the start alone.
        record: room for the trace (static: the largest number of steps), or None to keep none.
    """
    outcome = jnp.where(stopped, STOPPED, jnp.where(state.evaluation.is_finite, RUNNING, NON_FINITE))
    trace = None if record is None else _note(_empty(state.evaluation, record), jnp.int32(0), state.evaluation)
    first = Run(state, jnp.int32(0), outcome.astype(jnp.int32), trace)

    def unfinished(now: Run) -> Array:
        return (now.outcome == RUNNING) & (now.steps < max_steps)

    def advance(now: Run) -> Run:
        trial = optimizer.step(objective, now.state)
        finite = trial.evaluation.is_finite
        state = jax.tree_util.tree_map(lambda new, old: jnp.where(finite, new, old), trial, now.state)
        done = jnp.asarray(False) if stop is None else stop(now.state, trial)
        outcome = jnp.where(finite, jnp.where(done, STOPPED, RUNNING), NON_FINITE).astype(jnp.int32)
        steps = now.steps + 1
        trace = None if now.trace is None else _note(now.trace, steps, trial.evaluation)
        return Run(state, steps, outcome, trace)

    return jax.lax.while_loop(unfinished, advance, first)


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

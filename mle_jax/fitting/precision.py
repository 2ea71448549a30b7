"""Searches in single precision: the speed of float32, the verdict of float64."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._precision import to_numpy
from mle_jax.fitting.evaluating import judged_to_rounding, solve_at
from mle_jax.fitting.planning import Plan, is_soon_done, solve_from_start
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.verdicts import ROUNDING_DECREMENT
from mle_jax.likelihood.programs import verb_program
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

DTYPES = ("float64", "float32", "mixed")


def check_dtype(dtype: Any) -> str:
    """Return the name of the precision, or raise where it is none of `DTYPES`."""
    if dtype not in DTYPES:
        raise ValueError(
            f"dtype is {dtype!r}, but it must be 'float64', 'float32' (search in single precision, certificate in "
            "double) or 'mixed' (then search on in double)"
        )
    return str(dtype)


def solve_in(
    dtype: str,
    model: "Model",
    plan: Plan,
    data: Any,
    weights: Any,
    start: Any,
    tolerance: float,
    *,
    also: Callable[[Any, Solution], Array] | None = None,
) -> tuple[Solution, Array | None]:
    """Solve in the precision asked for.

    "float32" may only claim `converged_to_rounding`; "mixed" searches on in float64 from where float32 arrived.

    Args:
        dtype: one of `DTYPES`.
        model: the model.
        plan: how to climb.
        data: the dataset.
        weights: (n,) or None.
        start: start values, partial or None.
        tolerance: of the decrement.
        also: what else to work out by the same compiled program, if that is float64: a function of the
            coordinates and the solution.

    Returns:
        The solution, and what `also` returned.
    """
    inputs = plan.coordinates, data, weights, start, plan.optimizer, tolerance, plan.max_steps
    hurry = is_soon_done(model, plan, data)
    if dtype == "float64":
        whole = verb_program(model, _solve_and, hurry=hurry, also=also, **plan.static)
        both: tuple[Solution, Array | None] = whole(*inputs)
        return both
    run = verb_program(model, solve_from_start, hurry=hurry, **plan.static)
    with jax.enable_x64(False):
        rough = run(*jax.tree_util.tree_map(_single, inputs[:4]), *inputs[4:])
        params, steps, trace = to_numpy(rough.params), int(rough.steps), rough.trace
    if plan.coordinates.dependent:  # keep the constraints to double precision
        params = to_numpy(in_double_precision(plan.coordinates)(params))
    solution: Solution
    if dtype == "mixed":
        again = {**plan.static, "closed_form": plan.closed_form and not model.smooth, "record": None}
        solution = verb_program(model, solve_from_start, hurry=hurry, **again)(*inputs[:3], params, *inputs[4:])
    else:
        at = verb_program(model, solve_at)(plan.coordinates, data, weights, params, tolerance)
        solution = judged_to_rounding(at, below=ROUNDING_DECREMENT)
    taken = steps + (int(solution.steps) if dtype == "mixed" else 0)
    return solution._replace(steps=jnp.int32(taken), trace=trace), None


def _solve_and(model: "Model", place: Coordinates, *args: Any, also: Any, **static: Any) -> tuple[Solution, Any]:
    solution = solve_from_start(model, place, *args, **static)
    return solution, None if also is None else also(place, solution)


def in_double_precision(place: Coordinates) -> Callable[[Any], Any]:
    """Return the way from params that satisfy the constraints in float32 to those that do in float64."""
    return lambda params: place.params(place.theta(params))


def _single(leaf: Any) -> Any:
    array = np.asarray(leaf)
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32)
    return array.astype(np.int32) if np.issubdtype(array.dtype, np.integer) else array

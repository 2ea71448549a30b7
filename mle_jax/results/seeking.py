"""From a plan to a solution: which way the maximum is sought, by how many rows there are and where they lie."""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from mle_jax.data.arrays import CleanData
from mle_jax.data.pieces import RowsInMemory
from mle_jax.fitting.many_rows import gains_by_pieces, solve_in_pieces, suits_pieces
from mle_jax.fitting.multistart import Maxima, solve_from_many
from mle_jax.fitting.planning import Plan
from mle_jax.fitting.precision import solve_in
from mle_jax.fitting.refining import second_look
from mle_jax.fitting.solution import Solution

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


FEW = 32
"""Parameters up to which their covariance is worked out whether it will be asked for or not."""


class Sought(NamedTuple):
    """A solution, and the coordinates to read it in."""

    place: Any
    solution: Solution
    maxima: Maxima | None = None  # of a search from many starts
    covariance: Any = None  # of the kind "observed", where it was worked out on the way


class How(NamedTuple):
    """What `fit` was asked for beyond the plan."""

    dtype: str  # the precision of the search
    starts: int | None  # how many, or None for one
    seed: int  # of their draws
    devices: tuple[Any, ...]  # to share the rows among; empty for the usual one


def seek(model: "Model", plan: Plan, clean: CleanData, start: Any, tolerance: float, how: How) -> Sought:
    """Solve, from one start or from many, and look again where that can change the verdict.

    Args:
        model: the model.
        plan: how to climb.
        clean: the dataset, in memory or in files.
        start: start values, partial or None.
        tolerance: of the decrement.
        how: what else was asked for.
    """
    if clean.files is not None:
        return Sought(plan.coordinates, solve_in_pieces(model, plan, clean.files, start, tolerance))
    problem, maxima, covariance = (clean.data, clean.weights), None, None
    if how.starts is not None:
        solution, maxima = solve_from_many(model, plan, *problem, start, tolerance, starts=how.starts, seed=how.seed)
    elif how.devices or (suits_pieces(model, plan, how.dtype) and gains_by_pieces(model, clean.data)):
        pieces = RowsInMemory(*problem, tuple(model.constants), how.devices)
        solution = solve_in_pieces(model, plan, pieces, start, tolerance)
    else:
        # Standard errors would take a program of their own otherwise, and who fits wants them.
        also = _covariance if model.smooth and 0 < plan.coordinates.size <= FEW else None
        solution, covariance = solve_in(how.dtype, model, plan, *problem, start, tolerance, also=also)
    if not model.smooth or how.dtype == "float32" or plan.handwritten:
        return Sought(plan.coordinates, solution, maxima, covariance)
    # Of JAX's arrays every comparison below would be a program to compile.
    solution = solution._replace(certificate=jax.device_get(solution.certificate))
    place, found = second_look(
        model,
        plan.coordinates,
        solution,
        *problem,
        tolerance=tolerance,
        max_steps=plan.max_steps,
        start_given=start is not None,
    )
    return Sought(place, found, maxima, covariance if found is solution else None)


def _covariance(place: Any, solution: Solution) -> jax.Array:
    """Return what `covariance_matrix` does of the kind "observed", by the eigenvectors of the certificate."""
    certificate = solution.certificate
    half = place.jacobian(solution.theta) @ certificate.directions
    return jnp.where(certificate.is_definite, half @ half.T, jnp.nan)

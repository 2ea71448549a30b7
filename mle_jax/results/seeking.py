"""From a plan to a solution: which way the maximum is sought, by how many rows there are and where they lie."""

from typing import TYPE_CHECKING, Any, NamedTuple

from mle_jax.data.arrays import CleanData
from mle_jax.data.pieces import RowsInMemory
from mle_jax.fitting.many_rows import gains_by_pieces, solve_in_pieces, suits_pieces
from mle_jax.fitting.multistart import Maxima, solve_from_many
from mle_jax.fitting.planning import Plan
from mle_jax.fitting.precision import solve_in
from mle_jax.fitting.refining import second_look
from mle_jax.fitting.solution import Solution
from mle_jax.results.from_files import FileRows

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


class Sought(NamedTuple):
    """A solution, and the coordinates to read it in."""

    place: Any
    solution: Solution
    maxima: Maxima | None  # of a search from many starts


def seek(
    model: "Model",
    plan: Plan,
    rows: CleanData | FileRows,
    start: Any,
    tolerance: float,
    *,
    dtype: str,
    starts: int | None,
    seed: int,
    devices: tuple[Any, ...],
) -> Sought:
    """Solve, from one start or from many, and look again where that can change the verdict.

    Args:
        model: the model.
        plan: how to climb.
        rows: the dataset, in memory or in files.
        start: start values, partial or None.
        tolerance: of the decrement.
        dtype: the precision of the search.
        starts: how many, or None for one.
        seed: of their draws.
        devices: to share the rows among; empty for the usual one.
    """
    if not isinstance(rows, CleanData):
        return Sought(plan.coordinates, solve_in_pieces(model, plan, rows, start, tolerance), None)
    problem, maxima = (rows.data, rows.weights), None
    if starts is not None:
        solution, maxima = solve_from_many(model, plan, *problem, start, tolerance, starts=starts, seed=seed)
    elif devices or (suits_pieces(model, plan, dtype) and gains_by_pieces(model, rows.data)):
        pieces = RowsInMemory(*problem, tuple(model.constants), devices)
        solution = solve_in_pieces(model, plan, pieces, start, tolerance)
    else:
        solution = solve_in(dtype, model, plan, *problem, start, tolerance)
    if not model.smooth or dtype == "float32" or plan.handwritten:
        return Sought(plan.coordinates, solution, maxima)
    place, solution = second_look(
        model, plan.coordinates, solution, *problem, tolerance=tolerance, max_steps=plan.max_steps
    )
    return Sought(place, solution, maxima)

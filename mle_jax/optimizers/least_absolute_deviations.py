"""Least absolute deviations and quantile regression, exactly: plain functions that a model's `closed_form` calls.

0 subtract a level of y that is far above its spread; 1 rotate the columns to an orthonormal basis; 2 interior point, to
many digits; 3 simplex, from the nearest rows to a vertex that proves itself. Beyond `PREPROCESS_ABOVE` rows steps 2 and
3 see only the rows whose residuals may change their sign (see `_levels`), and one pass over all rows checks that no
other did.

Source: Portnoy and Koenker (1997), Statistical Science 12, 279-300; Koenker (2005), Quantile Regression, chapter 6.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._precision import at_highest_precision, is_traced
from mle_jax.optimizers._active_rows import Problem
from mle_jax.optimizers._exact_quantile import Exact, rounding_of, solve_at_once
from mle_jax.optimizers._levels import solve_by_levels

PREPROCESS_ABOVE = 50_000  # rows: below, it costs more compilation than it saves
DOUBTFUL = 1e-6  # of the objective: the rounding errors of its zero residuals must stay below
NEGLIGIBLE = 1e-12  # of sum w |y|: no sum of many rows is much better known


class LeastAbsoluteDeviations(NamedTuple):
    """The solution of a quantile regression and its proof (n rows, p columns).

    Attributes:
        coefficients: b, (p,).
        objective: sum_i w_i rho(y_i - <x_i, b>) at b, where rho(r) = r (quantile - [r < 0]): for the median half the
            sum of absolute residuals.
        gap: an upper bound on what the objective could still fall: 0 where the subgradient condition was verified, of
            the vertex before its coefficients are rounded to their last digit; NaN where a weight is negative or NaN,
            or a traced quantile is not between 0 and 1.
        edge: a move to another solution, (p,): zero where none was found; b + t edge is optimal for t in [0, 1]. There
            may be more directions than this one.
        rank: the number of linearly independent columns; below p, b is one of infinitely many solutions.

    Example:
        >>> import jax.numpy as jnp
        >>> from mle_jax.optimizers import solve_least_absolute_deviations
        >>> solution = solve_least_absolute_deviations(jnp.ones((4, 1)), jnp.array([1.0, 2.0, 5.0, 9.0]))
        >>> b, edge = float(solution.coefficients[0]), float(solution.edge[0])
        >>> sorted([round(b, 4), round(b + edge, 4)])  # every number between is a median
        [2.0, 5.0]
    """

    coefficients: Array
    objective: Array
    gap: Array
    edge: Array
    rank: Array


@at_highest_precision
def solve_least_absolute_deviations(
    x: Array,
    y: Array,
    weights: Array | None = None,
    *,
    quantile: float | Array = 0.5,
    preprocess: bool | None = None,
) -> LeastAbsoluteDeviations:
    """Minimize ``sum_i w_i rho(y_i - <x_i, b>)`` over b, with ``rho(r) = r (quantile - [r < 0])``; exactly.

    The result is proved, by the subgradient condition; as a rule it lies on a vertex, where p residuals are 0. Ties,
    duplicated rows and collinear columns are allowed. Where columns are collinear to rounding the proof is about those
    that are kept. Traceable; works in the floating dtype of its arguments. Under `vmap` all lanes take every branch, so
    preprocessing does not pay there.

    Args:
        x: the design, shape (n, p).
        y: the response, shape (n,).
        weights: shape (n,), at least 0, or None; rows of weight zero are left out, whatever they contain.
        quantile: strictly between 0 and 1; 0.5 is the median: least absolute deviations.
        preprocess: look at a subsample first and then only at rows whose sign is in doubt; by default above
            50 000 rows. The solution is the same.

    Returns:
        A `LeastAbsoluteDeviations`.

    Raises:
        ValueError: shapes do not fit, or quantile is not strictly between 0 and 1.

    Reference:
        Portnoy and Koenker (1997), Statistical Science 12, 279-300; Koenker (2005), Quantile Regression, chapter 6.

    Example:
        >>> import jax.numpy as jnp
        >>> from mle_jax.optimizers import solve_least_absolute_deviations
        >>> x = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0], [1.0, 4.0]])
        >>> solution = solve_least_absolute_deviations(x, jnp.array([1.0, 3.0, 5.0, 7.0, 100.0]))
        >>> [round(float(b), 4) for b in solution.coefficients], float(solution.gap)
        ([1.0, 2.0], 0.0)
    """
    x, y, weights = _checked(x, y, weights, quantile)
    valid = (quantile > 0) & (quantile < 1) & jnp.all(weights >= 0 if weights is not None else True)
    problem, counts = Problem(x, y, jnp.ones_like(y), quantile), jnp.ones(y.shape, bool)
    if weights is not None:
        counts = weights > 0
        # A row of zeros is without influence, so it may have any weight.
        problem = Problem(
            jnp.where(counts[:, None], x, 0.0), jnp.where(counts, y, 0.0), jnp.where(counts, weights, 1.0), quantile
        )
    problem, level = _without_level(problem, counts)
    large = x.shape[0] > PREPROCESS_ABOVE if preprocess is None else preprocess
    exact = solve_by_levels(problem) if large else solve_at_once(problem)
    residuals = problem.residuals(exact.b)
    noise = rounding_of(problem, exact.b)
    # A residual counts as 0 when it is below its rounding error. Where those errors are no longer small beside the
    # data (a design singular to almost all digits), they are what could still be gained.
    doubt = jnp.sum(jnp.where(jnp.abs(residuals) <= noise, problem.weights * noise, 0.0))
    size = jnp.sum(problem.weights * jnp.abs(problem.y))
    gap = exact.gap + jnp.where(doubt > jnp.maximum(DOUBTFUL * exact.objective, NEGLIGIBLE * size), doubt, 0.0)
    gap = jnp.where(valid, gap, jnp.nan)
    edge = jax.lax.cond(jnp.any(exact.edge != 0), lambda: _on_all_rows(problem, exact, size), lambda: exact.edge)
    return LeastAbsoluteDeviations(exact.b + level, exact.objective, gap, edge, exact.rank)


def _without_level(problem: Problem, counts: Array) -> tuple[Problem, Array]:
    """Subtract from y a level that a constant column takes up, where y is farther from 0 than its values from another.

    Nothing is rounded: the difference of two numbers of which neither is twice the other is exact (Sterbenz 1974,
    Floating-Point Computation, theorem 4.3.1), and the constant is a power of two. So y = 1e9 with deviations of 1e-3
    is solved, and proved, with all digits that these have.

    Args:
        problem: n rows.
        counts: which of them have influence, (n,).

    Returns:
        The problem that is left, and the coefficients that were taken out of it, (p,); zeros where there is no level.
    """
    y = problem.y
    low, high = jnp.min(jnp.where(counts, y, jnp.inf)), jnp.max(jnp.where(counts, y, -jnp.inf))
    level = jnp.where(jnp.abs(low) < jnp.abs(high), low, high)
    row = problem.x[jnp.argmax(counts)]

    def take_out() -> tuple[Array, Array]:
        mantissa, _ = jnp.frexp(row)
        constant = jnp.all((problem.x == row) | ~counts[:, None], axis=0) & (jnp.abs(mantissa) == 0.5)
        first = constant & (jnp.cumsum(constant) == 1)
        coefficients = jnp.where(first, level / jnp.where(first, row, 1.0), 0.0)
        return jnp.where(counts & jnp.any(constant), y - level, y), coefficients

    far = (jnp.abs(level) >= high - low) & jnp.isfinite(level)
    y, coefficients = jax.lax.cond(far, take_out, lambda: (y, jnp.zeros_like(row)))
    return problem._replace(y=y), coefficients


def _on_all_rows(problem: Problem, exact: Exact, size: Array) -> Array:
    """Shorten an edge to where the first of all rows changes its sign, and drop it if the objective rises along it."""
    residuals, speeds = problem.residuals(exact.b), problem.x @ exact.edge
    meets = (residuals * speeds > 0) & (jnp.abs(residuals) > rounding_of(problem, exact.b))
    reach = jnp.min(jnp.where(meets, residuals / jnp.where(meets, speeds, 1.0), jnp.inf))
    edge = jnp.minimum(reach, 1.0) * exact.edge
    rise = problem.objective(problem.residuals(exact.b + edge)) - exact.objective
    return jnp.where(rise <= 0.01 * NEGLIGIBLE * size, edge, 0.0)


def _checked(x: Any, y: Any, weights: Any, quantile: float | Array) -> tuple[Array, Array, Array | None]:
    """Return the arguments as arrays of one floating type, their shapes checked."""
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.ndim != 2 or y.ndim != 1 or x.shape[0] != y.shape[0] or 0 in x.shape:
        raise ValueError(
            f"x has shape {x.shape} and y {y.shape}, but they must be (n, p) and (n,) with at least one row and column"
        )
    if not is_traced(quantile) and not 0 < float(quantile) < 1:
        raise ValueError(f"quantile is {quantile}, but it must lie strictly between 0 and 1; 0.5 is the median")
    dtype = jnp.result_type(x, y, float)
    if weights is None:
        return x.astype(dtype), y.astype(dtype), None
    weights = jnp.asarray(weights)
    if weights.shape != y.shape:
        raise ValueError(f"weights have shape {weights.shape}, but y has {y.shape}; pass one weight per row")
    return x.astype(dtype), y.astype(dtype), weights.astype(dtype)

"""Least absolute deviations and quantile regression, exactly: plain functions that a model's `closed_form` calls.

1 rotate the columns to an orthonormal basis; 2 interior point, to many digits; 3 simplex, from the nearest rows to a
vertex that proves itself. Beyond `PREPROCESS_ABOVE` rows steps 2 and 3 see only the rows whose residuals may change
their sign (see `_collapse`), and one pass over all rows checks that no other did.

Source: Portnoy and Koenker (1997), Statistical Science 12, 279-300; Koenker (2005), Quantile Regression, chapter 6.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mle_jax._precision import at_highest_precision, is_traced
from mle_jax.optimizers._active_rows import Problem
from mle_jax.optimizers._exact_quantile import solve_at_once
from mle_jax.optimizers._levels import solve_by_levels

PREPROCESS_ABOVE = 50_000  # rows: below, it costs more compilation than it saves


class LeastAbsoluteDeviations(NamedTuple):
    """The solution of a quantile regression and its proof (n rows, p columns).

    Attributes:
        coefficients: b, (p,).
        objective: sum_i w_i rho(y_i - <x_i, b>) at b, where rho(r) = r (quantile - [r < 0]): for the median half the
            sum of absolute residuals.
        gap: an upper bound on what the objective could still fall: 0 where the subgradient condition was verified.
        edge: a move to another solution, (p,): zero where none was found; b + t edge is optimal for t in [0, 1].
        rank: the number of linearly independent columns; below p, b is one of infinitely many solutions.

    Example:
        >>> import jax.numpy as jnp
        >>> from mle_jax.optimizers import solve_least_absolute_deviations
        >>> solution = solve_least_absolute_deviations(jnp.ones((4, 1)), jnp.array([1.0, 2.0, 5.0, 9.0]))
        >>> b, edge = float(solution.coefficients[0]), float(solution.edge[0])
        >>> sorted([b, b + edge])  # every number between is a median
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

    The result lies on a vertex (p residuals are 0) and is proved: the subgradient condition holds there. Ties,
    duplicated rows and collinear columns are allowed. Traceable; works in the floating dtype of its arguments.

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
        ValueError: quantile is not strictly between 0 and 1.

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
    _check(x, y, quantile)
    problem = Problem(x, y, jnp.ones_like(y), quantile)
    if weights is not None:
        counts = weights > 0
        # A row of zeros is without influence, so it may have any weight.
        problem = Problem(
            jnp.where(counts[:, None], x, 0.0), jnp.where(counts, y, 0.0), jnp.where(counts, weights, 1.0), quantile
        )
    large = x.shape[0] > PREPROCESS_ABOVE if preprocess is None else preprocess
    exact = solve_by_levels(problem) if large else solve_at_once(problem)
    rounding = 10 * jnp.finfo(y.dtype).eps * exact.objective
    gap = jnp.where(exact.optimal, 0.0, jnp.maximum(exact.objective - exact.bound, rounding))
    return LeastAbsoluteDeviations(exact.b, exact.objective, gap, exact.edge, exact.rank)


def _check(x: Array, y: Array, quantile: float | Array) -> None:
    if x.ndim != 2 or y.ndim != 1 or x.shape[0] != y.shape[0]:
        raise ValueError(f"x has shape {x.shape} and y {y.shape}, but they must be (n, p) and (n,)")
    if not is_traced(quantile) and not 0 < float(quantile) < 1:
        raise ValueError(f"quantile is {quantile}, but it must lie strictly between 0 and 1; 0.5 is the median")

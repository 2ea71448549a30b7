"""Preprocessing for many rows: most of them are looked at only to see which side of the fit they are on.

1 solve a small scattered sample roughly; 2 in a larger sample, and then among all rows, solve for the rows near the
fit only, the others summed into one; 3 solve exactly for the few of them that are nearer still, and look whether any
other row changed sides; if so, take the rows nearest to the fit as it is now, and do 3 again.

Source: Portnoy and Koenker (1997), Statistical Science 12, 279-300, section 5.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.optimizers._active_rows import Problem, Reduction, in_lengths, keeps_signs, nearest, within
from mle_jax.optimizers._exact_quantile import Exact, approximate, least_squares_start, solve_at_once, solve_exactly
from mle_jax.optimizers._interior_point import typical_residual
from mle_jax.optimizers._row_blocks import spread
from mle_jax.optimizers.least_squares import column_basis

FIRST = 500  # rows of the first sample per column
LEAST = 2000  # rows of the first sample
RATIO = 30  # from one level to the next at most
BAND = 4.0  # standard errors of a fitted value on either side of the fit: one row in 30 000 lies beyond
ROUGH = 0.02  # of the sample's own error of the objective, p / m, may remain at a level that only prepares
CLOSER = 6  # of the rows near the fit, the share that the last digits depend on
UNEVEN = 2.5  # times the typical length: beyond, rows are measured by their lengths
ROUNDS = 6


def solve_by_levels(problem: Problem) -> Exact:
    """Solve exactly, looking at most rows only a few times.

    Args:
        problem: n rows; where they are hardly more than the first sample would take, they are solved at once.
    """
    count, columns = problem.x.shape
    if count < 4 * max(LEAST, FIRST * columns):
        return solve_at_once(problem)
    sizes = _sizes(count, columns)
    sample = _part(problem, (spread(sizes[-2], problem.y.dtype) * count).astype(jnp.int32))
    first = _part(sample, slice(sizes[0]))
    basis = _basis(problem, first)
    uneven = _is_uneven(first, basis)
    b = least_squares_start(first, basis)
    b = approximate(first, basis, b, ROUGH * columns / sizes[0]).b
    typical = typical_residual(first.residuals(b), first.weights)
    for before, size in itertools.pairwise(sizes[:-1]):
        part = _part(sample, slice(size))
        near = _nearest(part, part.residuals(b), basis, uneven, _places(size, before, columns))
        b = approximate(near.problem, basis, b, ROUGH * columns / size, typical * jnp.sum(part.weights)).b
    places, total = _places(count, sizes[-2], columns), typical * jnp.sum(problem.weights)
    near = _nearest(problem, problem.residuals(b), basis, uneven, places)
    b = approximate(near.problem, basis, b, _tolerance(places // CLOSER, count), total).b
    closer = _nearest(near.problem, near.problem.residuals(b), basis, uneven, places // CLOSER)
    return _among_nearest(problem, basis, b, uneven, within(near, closer), total)


def _among_nearest(problem: Problem, basis: Array, b: Array, uneven: Array, near: Reduction, size: Array) -> Exact:
    """Solve with the rows nearest to the fit, look at the signs of all others, and repeat until none was wrong."""
    places = near.rows.size - 1

    def unfinished(now: tuple[Exact, Reduction, Array]) -> Array:
        exact, _, rounds = now
        return ~exact.optimal & (rounds < ROUNDS)

    def solve(now: tuple[Exact, Reduction, Array]) -> tuple[Exact, Reduction, Array]:
        before, near, rounds = now
        exact = solve_exactly(near.problem, basis, before.b, size)
        residuals = problem.residuals(exact.b)
        optimal = exact.optimal & keeps_signs(near, residuals)
        exact = exact._replace(objective=problem.objective(residuals), optimal=optimal)
        again = jax.lax.cond(optimal, lambda: near, lambda: _nearest(problem, residuals, basis, uneven, places))
        return exact, again, rounds + 1

    rank = jnp.sum(jnp.any(basis != 0, axis=0))
    unknown = jnp.asarray(jnp.inf, b.dtype)
    begin = Exact(b, unknown, jnp.asarray(False), unknown, jnp.zeros_like(b), rank)
    exact, _, _ = jax.lax.while_loop(unfinished, solve, (begin, near, jnp.int32(0)))
    return jax.lax.cond(exact.optimal, lambda: exact, lambda: solve_at_once(problem))


def _sizes(count: int, columns: int) -> list[int]:
    """Return the numbers of rows of the levels, the last of which is all."""
    first = max(LEAST, FIRST * columns)
    steps = max(1, math.ceil(math.log(count / first) / math.log(RATIO)))
    return [round(first * (count / first) ** (step / steps)) for step in range(steps)] + [count]


def _places(size: int, before: int, columns: int) -> int:
    """Return how many of so many rows lie within `BAND` standard errors of a fit to `before` rows.

    A fitted value has the standard error sqrt(p / m) sqrt(t (1 - t)) / f, with f the density of the errors at their
    t-quantile, which also says how many rows lie near: f cancels, and sqrt(t (1 - t)) is at most 1/2.
    """
    return min(size, math.ceil(BAND * size * math.sqrt(columns / before)))


def _tolerance(places: int, count: int) -> float:
    """Return the relative gap at which so many rows are enough to contain the solution.

    A gap of e times the objective leaves the fitted values about sqrt(2 e) standard deviations away, so the signs of
    about 4 n sqrt(2 e) rows are open, with room for fits that lie twice as far away.
    """
    return (places / count / 4) ** 2 / 2


def _part(problem: Problem, rows: Array | slice) -> Problem:
    return problem._replace(x=problem.x[rows], y=problem.y[rows], weights=problem.weights[rows])


def _basis(problem: Problem, sample: Problem) -> Array:
    """Return the basis of the sample's columns, or where these lack rank, that of all rows."""
    basis = column_basis(sample.x)
    lacking = jnp.any(jnp.all(basis == 0, axis=0))
    return jax.lax.cond(lacking, lambda: column_basis(problem.x), lambda: basis)


def _is_uneven(sample: Problem, basis: Array) -> Array:
    """Say whether the lengths of the rows in the basis differ much, such as with rare categories."""
    lengths = _lengths(sample, basis)
    return jnp.max(lengths) > UNEVEN * jnp.mean(lengths)


def _lengths(problem: Problem, basis: Array) -> Array:
    return jnp.sqrt(jnp.sum(problem.x**2 * jnp.sum(basis**2, axis=1), axis=1))


def _nearest(problem: Problem, residuals: Array, basis: Array, uneven: Array, places: int) -> Reduction:
    """Keep the rows nearest to the fit, measured in units of their lengths where these differ much."""
    distances = jax.lax.cond(
        uneven, lambda: in_lengths(residuals, _lengths(problem, basis)), lambda: jnp.abs(residuals)
    )
    return nearest(problem, residuals, distances, places=places)

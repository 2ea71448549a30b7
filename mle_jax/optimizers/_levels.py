"""Preprocessing for many rows: a subsample says which signs are certain, and one pass over all rows checks them.

1 solve a small scattered sample roughly; 2 in a larger sample, solve for the rows near the fit only, the others summed
into one; 3 do the same with all rows, exactly; 4 look at the signs of all rows; where one differs, go on from 3, now
with a better fit.

Source: Portnoy and Koenker (1997), Statistical Science 12, 279-300, section 5.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.optimizers._active_rows import Problem, keeps_signs, nearest
from mle_jax.optimizers._exact_quantile import Exact, approximate, least_squares_start, solve_at_once, solve_exactly
from mle_jax.optimizers._row_blocks import spread
from mle_jax.optimizers.least_squares import column_basis

FIRST = 500  # rows of the first sample per column
LEAST = 2000  # rows of the first sample
RATIO = 30  # from one level to the next at most
BAND = 3.5  # standard errors of a fitted value on either side of the fit
ROUGH = 0.02  # of the sample's own error of the objective, p / m, may remain at a level that only prepares
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
    numbers = (spread(sizes[-2], problem.y.dtype) * count).astype(jnp.int32)
    sample = _part(problem, numbers)
    first = _part(sample, slice(sizes[0]))
    basis = _basis(problem, first)
    b = least_squares_start(first, basis)
    b = approximate(first, basis, b, ROUGH * columns / sizes[0]).b
    for before, size in itertools.pairwise(sizes[:-1]):
        part = _part(sample, slice(size))
        near = nearest(part, part.residuals(b), None, places=_places(size, before, columns))
        b = approximate(near.problem, basis, b, ROUGH * columns / size).b
    lengths = _lengths(problem, first, basis)
    places = _places(count, sizes[-2], columns)
    return _all_rows(problem, basis, b, lengths, places)


def _all_rows(problem: Problem, basis: Array, b: Array, lengths: Array, places: int) -> Exact:
    """Solve with the rows near the fit, look at the signs of all, and repeat until none was wrong."""

    def unfinished(now: tuple[Exact, Array, Array]) -> Array:
        exact, _, rounds = now
        return ~exact.optimal & (rounds < ROUNDS)

    def solve(now: tuple[Exact, Array, Array]) -> tuple[Exact, Array, Array]:
        before, residuals, rounds = now
        near = nearest(problem, residuals, lengths, places=places)
        exact = solve_exactly(near.problem, basis, before.b)
        after = problem.residuals(exact.b)
        return exact._replace(optimal=exact.optimal & keeps_signs(near, residuals, after)), after, rounds + 1

    rank = jnp.sum(jnp.any(basis != 0, axis=0))
    begin = Exact(b, jnp.asarray(False), -jnp.asarray(jnp.inf, b.dtype), jnp.zeros_like(b), rank)
    exact, _, _ = jax.lax.while_loop(unfinished, solve, (begin, problem.residuals(b), jnp.int32(0)))
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


def _part(problem: Problem, rows: Array | slice) -> Problem:
    return problem._replace(x=problem.x[rows], y=problem.y[rows], weights=problem.weights[rows])


def _basis(problem: Problem, sample: Problem) -> Array:
    """Return the basis of the sample's columns, or where these lack rank, that of all rows."""
    basis = column_basis(sample.x)
    lacking = jnp.any(jnp.all(basis == 0, axis=0))
    return jax.lax.cond(lacking, lambda: column_basis(problem.x), lambda: basis)


def _lengths(problem: Problem, sample: Problem, basis: Array) -> Array:
    """Return the lengths of the rows in the basis where they differ much, such as with rare categories; else ones."""
    squares = jnp.sum(basis**2, axis=1)
    typical = jnp.sum(sample.x**2 * squares, axis=1)
    uneven = jnp.max(typical) > UNEVEN**2 * jnp.mean(typical)
    ones = jnp.ones(problem.y.shape, problem.y.dtype)
    return jax.lax.cond(uneven, lambda: jnp.sqrt(jnp.sum(problem.x**2 * squares, axis=1)), lambda: ones)

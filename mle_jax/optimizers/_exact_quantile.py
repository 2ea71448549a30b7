"""Interior point, then simplex: the exact solution of a quantile regression that is held in memory at once."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.linalg
from jax import Array

from mle_jax.optimizers._active_rows import Problem, keeps_signs, nearest
from mle_jax.optimizers._interior_point import interior_point
from mle_jax.optimizers._row_blocks import combine, normal_matrix
from mle_jax.optimizers._vertex import ROUNDINGS, Rows, Vertex, descend_to_vertex
from mle_jax.optimizers.least_squares import column_basis

TOLERANCE = 1e-10  # relative duality gap at which the simplex method takes over
PLACES = 1024  # the most rows that the simplex method sees
ROUNDS = 8  # of the simplex method and a look at all rows
PIVOTS = 1000


class Exact(NamedTuple):
    """An exact solution."""

    b: Array  # (p,)
    objective: Array
    optimal: Array  # the subgradient condition was verified
    bound: Array  # a lower bound of the objective, from the interior point
    edge: Array  # (p,), a move to another solution
    rank: Array  # of the columns


class Approximate(NamedTuple):
    """A solution up to a small duality gap."""

    b: Array  # (p,)
    bound: Array  # a lower bound of the objective
    duals: Array  # (n,), strictly inside their bounds


def approximate(problem: Problem, basis: Array, b: Array, tolerance: Array | float) -> Approximate:
    """Solve up to a relative duality gap.

    Args:
        problem: the rows.
        basis: (p, k), so that the columns of X basis are about orthonormal, or 0.
        b: where to begin, (p,).
        tolerance: of the gap, relative to the objective.
    """
    z, residuals = problem.x @ basis, problem.residuals(b)
    weights, quantile = problem.weights, problem.quantile
    eps = jnp.finfo(residuals.dtype).eps
    # The last row may stand for many others: it is no measure of a typical residual.
    scale = jnp.sum(weights[:-1] * jnp.abs(residuals[:-1])) / jnp.sum(weights[:-1])
    found = interior_point(
        z,
        residuals,
        weights,
        quantile,
        scale=scale,
        tolerance=tolerance,
        rounding=eps * jnp.sum(weights * jnp.abs(problem.y)),
    )
    objective = jnp.sum(weights * (quantile * found.over + (1 - quantile) * found.under))
    return Approximate(b + basis @ found.beta, objective - found.gap, found.lower - (1 - quantile) * weights)


def least_squares_start(problem: Problem, basis: Array) -> Array:
    """Return the weighted least-squares coefficients, to the few digits that a start needs, (p,)."""
    z = problem.x @ basis
    matrix = normal_matrix(z, problem.weights)
    diagonal = jnp.diagonal(matrix)
    factor = jnp.linalg.cholesky(matrix + jnp.diag(jnp.where(diagonal > 0, 1e-10 * diagonal, 1.0)))
    return basis @ jax.scipy.linalg.cho_solve((factor, True), combine(problem.weights * problem.y, z))


def solve_at_once(problem: Problem) -> Exact:
    """Solve exactly, from least squares."""
    basis = column_basis(problem.x)
    return solve_exactly(problem, basis, least_squares_start(problem, basis))


def solve_exactly(problem: Problem, basis: Array, b: Array) -> Exact:
    """Solve to a vertex that proves itself, from coefficients b."""
    near = approximate(problem, basis, b, TOLERANCE)
    z = problem.x @ basis

    def unfinished(now: tuple[Exact, Array, Array]) -> Array:
        exact, _, rounds = now
        # At least twice: the second look starts from the residuals of the vertex, in the columns as they were given.
        return (rounds < 2) | (~exact.optimal & (rounds < ROUNDS))

    def look(now: tuple[Exact, Array, Array]) -> tuple[Exact, Array, Array]:
        exact, first, rounds = now
        vertex = _look(problem, z, exact.b)
        b = exact.b + basis @ vertex.beta
        objective = problem.objective(problem.residuals(b))
        moved = exact._replace(b=b, objective=objective, optimal=vertex.optimal, edge=basis @ vertex.edge)
        return moved, jnp.where(rounds == 0, exact.b + basis @ vertex.first, first), rounds + 1

    rank = jnp.sum(jnp.any(basis != 0, axis=0))
    begin = Exact(near.b, near.bound, jnp.asarray(False), near.bound, jnp.zeros_like(b), rank)
    exact, first, _ = jax.lax.while_loop(unfinished, look, (begin, near.b, jnp.int32(0)))
    return jax.lax.cond(exact.optimal, lambda: exact, lambda: _by_duals(problem, z, exact, first, near))


def _by_duals(problem: Problem, z: Array, exact: Exact, first: Array, near: Approximate) -> Exact:
    """Prove the vertex next to the interior point by the duals found there.

    Where more rows have residual 0 than the simplex method sees, their signs decide nothing, but the interior point
    gives each of them a dual well inside its bounds. What is missing to Z'd = 0, all other rows at their bounds, is
    shared out among them in proportion to their room.
    """
    weights, quantile = problem.weights, problem.quantile
    candidates = jnp.stack([first, near.b, exact.b])
    values = jax.lax.map(lambda b: problem.objective(problem.residuals(b)), candidates)
    least = jnp.min(jnp.where(jnp.isfinite(values), values, jnp.inf))
    b = candidates[jnp.argmax(values <= least * (1 + 10 * jnp.finfo(z.dtype).eps))]  # the vertex, but for rounding
    residuals = problem.residuals(b)
    tied = jnp.abs(residuals) <= rounding_of(problem, b)
    low, high = weights * (quantile - 1), weights * quantile
    duals = jnp.where(tied, near.duals, jnp.where(residuals < 0, low, high))

    def share(_: int, duals: Array) -> Array:
        room = jnp.where(tied, jnp.minimum(high - duals, duals - low), 0.0)
        missing = combine(duals, z)
        matrix = normal_matrix(z, room)
        diagonal = jnp.diagonal(matrix)
        factor = jnp.linalg.cholesky(matrix + jnp.diag(jnp.where(diagonal > 0, 0.0, 1.0)))
        return duals - room * (z @ jax.scipy.linalg.cho_solve((factor, True), missing))

    duals = jax.lax.fori_loop(0, 3, share, duals)
    rounding = ROUNDINGS * jnp.finfo(z.dtype).eps * combine(weights, jnp.abs(z))
    inside = jnp.all((duals >= low) & (duals <= high)) & jnp.all(jnp.abs(combine(duals, z)) <= rounding)
    return exact._replace(b=b, objective=problem.objective(residuals), optimal=inside, edge=jnp.zeros_like(b))


def rounding_of(problem: Problem, b: Array) -> Array:
    """Return a bound of the rounding errors of the residuals at b, (n,)."""
    return ROUNDINGS * jnp.finfo(b.dtype).eps * (jnp.abs(problem.y) + jnp.abs(problem.x) @ jnp.abs(b))


def _look(problem: Problem, z: Array, b: Array) -> Vertex:
    """Walk to the best vertex near b, whose distance from b is returned in the basis."""
    residuals, noise = problem.residuals(b), rounding_of(problem, b)
    around = Problem(z, residuals, problem.weights, problem.quantile)
    start = jnp.zeros(z.shape[1], z.dtype)
    if residuals.size <= PLACES:
        return descend_to_vertex(Rows(z, residuals, problem.weights, noise, problem.quantile), start, max_pivots=PIVOTS)
    lengths = jnp.sqrt(jnp.sum(z**2, axis=1))
    distances = jnp.where(lengths > 0, jnp.abs(residuals) / jnp.where(lengths > 0, lengths, 1.0), jnp.inf)
    near = nearest(around, residuals, distances, places=PLACES)
    few = near.problem
    few_noise = noise.at[near.rows].get(mode="fill", fill_value=0.0)
    vertex = descend_to_vertex(Rows(few.x, few.y, few.weights, few_noise, few.quantile), start, max_pivots=PIVOTS)
    unchanged = keeps_signs(near, residuals - z @ vertex.beta)
    return vertex._replace(optimal=vertex.optimal & unchanged)

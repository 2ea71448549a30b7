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
    optimal: Array  # the subgradient condition was verified
    bound: Array  # a lower bound of the objective, from the interior point
    edge: Array  # (p,), a move to another solution
    rank: Array  # of the columns


def approximate(problem: Problem, basis: Array, b: Array, tolerance: Array | float) -> tuple[Array, Array]:
    """Return coefficients (p,) of a small relative duality gap, and the lower bound of the objective.

    Args:
        problem: the rows.
        basis: (p, k), so that the columns of X basis are about orthonormal, or 0.
        b: where to begin, (p,).
        tolerance: of the gap, relative to the objective.
    """
    z, residuals = problem.x @ basis, problem.residuals(b)
    weights = problem.weights
    eps = jnp.finfo(residuals.dtype).eps
    # The last row may stand for many others: it is no measure of a typical residual.
    scale = jnp.sum(weights[:-1] * jnp.abs(residuals[:-1])) / jnp.sum(weights[:-1])
    found = interior_point(
        z,
        residuals,
        weights,
        problem.quantile,
        scale=scale,
        tolerance=tolerance,
        rounding=eps * jnp.sum(weights * jnp.abs(problem.y)),
    )
    parts = weights * (problem.quantile * found.over + (1 - problem.quantile) * found.under)
    return b + basis @ found.beta, jnp.sum(parts) - found.gap


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
    b, bound = approximate(problem, basis, b, TOLERANCE)
    z = problem.x @ basis

    def unfinished(now: tuple[Exact, Array]) -> Array:
        exact, rounds = now
        # At least twice: the second look starts from the residuals of the vertex, in the columns as they were given.
        return (rounds < 2) | (~exact.optimal & (rounds < ROUNDS))

    def look(now: tuple[Exact, Array]) -> tuple[Exact, Array]:
        exact, rounds = now
        vertex = _look(problem, z, exact.b)
        b, edge = exact.b + basis @ vertex.beta, basis @ vertex.edge
        return exact._replace(b=b, optimal=vertex.optimal, edge=edge), rounds + 1

    rank = jnp.sum(jnp.any(basis != 0, axis=0))
    begin = Exact(b, jnp.asarray(False), bound, jnp.zeros_like(b), rank)
    return jax.lax.while_loop(unfinished, look, (begin, jnp.int32(0)))[0]


def _look(problem: Problem, z: Array, b: Array) -> Vertex:
    """Walk to the best vertex near b, whose distance from b is returned in the basis."""
    residuals = problem.residuals(b)
    eps = jnp.finfo(residuals.dtype).eps
    noise = ROUNDINGS * eps * (jnp.abs(problem.y) + jnp.abs(problem.x) @ jnp.abs(b))
    around = Problem(z, residuals, problem.weights, problem.quantile)
    start = jnp.zeros(z.shape[1], z.dtype)
    if residuals.size <= PLACES:
        return descend_to_vertex(Rows(z, residuals, problem.weights, noise, problem.quantile), start, max_pivots=PIVOTS)
    near = nearest(around, residuals, jnp.sqrt(jnp.sum(z**2, axis=1)), places=PLACES)
    few = near.problem
    few_noise = noise.at[near.rows].get(mode="fill", fill_value=0.0)
    vertex = descend_to_vertex(Rows(few.x, few.y, few.weights, few_noise, few.quantile), start, max_pivots=PIVOTS)
    unchanged = keeps_signs(near, residuals, residuals - z @ vertex.beta)
    return vertex._replace(optimal=vertex.optimal & unchanged)

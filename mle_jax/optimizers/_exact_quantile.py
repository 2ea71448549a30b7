"""Interior point, then simplex: the exact solution of a quantile regression that is held in memory at once."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_batching import custom_vmap

from mle_jax._branches import cond_any
from mle_jax._lapack import cholesky, solve_factored
from mle_jax.optimizers._active_rows import Problem, in_lengths, keeps_signs, nearest
from mle_jax.optimizers._interior_point import interior_point, typical_residual
from mle_jax.optimizers._quantile_lanes import solve_side_by_side, suits_lanes
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
    gap: Array  # what the objective could still fall, at most
    edge: Array  # (p,), a move to another solution
    rank: Array  # of the columns


class Approximate(NamedTuple):
    """A solution up to a small duality gap."""

    b: Array  # (p,)
    duals: Array  # (n,), within their bounds, with Z'd = 0


def approximate(
    problem: Problem, basis: Array, b: Array, tolerance: Array | float, size: Array | None = None
) -> Approximate:
    """Solve up to a small duality gap.

    Args:
        problem: the rows.
        basis: (p, k), so that the columns of X basis are about orthonormal, or 0.
        b: where to begin, (p,).
        tolerance: of the gap, relative to `size`.
        size: a typical objective; by default that of these rows, outliers apart.
    """
    residuals, weights = problem.residuals(b), problem.weights
    found = interior_point(
        problem.x @ basis,
        residuals,
        weights,
        problem.quantile,
        scale=typical_residual(residuals[:-1], weights[:-1]),  # the last row may stand for many others
        size=size,
        tolerance=tolerance,
        rounding=jnp.finfo(residuals.dtype).eps * jnp.sum(weights * jnp.abs(problem.y)),
    )
    there = b + basis @ found.beta
    # With weights of very different sizes the iteration can lose its way.
    nearer = problem.objective(problem.residuals(there)) <= problem.objective(residuals)
    return Approximate(jnp.where(nearer, there, b), found.lower - (1 - problem.quantile) * weights)


def least_squares_start(problem: Problem, basis: Array) -> Array:
    """Return the weighted least-squares coefficients, to the few digits that a start needs, (p,)."""
    z = problem.x @ basis
    right = combine(problem.weights * problem.y, z)
    return basis @ _solve_normal(z, problem.weights, right, ridge=1e-10)


def _solve_normal(z: Array, weights: Array, right: Array, *, ridge: float = 0.0) -> Array:
    """Solve ``Z' diag(weights) Z v = right``, (k,); empty columns get 0, and the diagonal a share of itself on top."""
    matrix = normal_matrix(z, weights)
    diagonal = jnp.diagonal(matrix)
    factor = cholesky(matrix + jnp.diag(jnp.where(diagonal > 0, ridge * diagonal, 1.0)))
    return solve_factored(factor, right)


@custom_vmap
def solve_at_once(problem: Problem) -> Exact:
    """Solve exactly, from least squares; lanes under `vmap` side by side, as far as that settles them."""
    basis = column_basis(problem.x)
    return solve_exactly(problem, basis, least_squares_start(problem, basis))


@solve_at_once.def_vmap
def _of_lanes(size: int, batched: list[Problem], problem: Problem) -> tuple[Exact, Exact]:
    everywhere = lambda leaf, own: leaf if own else jnp.broadcast_to(leaf, (size, *jnp.shape(leaf)))  # noqa: E731
    problem = jax.tree_util.tree_map(everywhere, problem, batched[0])
    one = solve_at_once.fun
    everything = Exact(True, True, True, True, True, True)  # type: ignore[arg-type]
    if not suits_lanes(problem.x):
        return jax.vmap(one)(problem), everything
    quick = solve_side_by_side(problem)
    zero = jnp.zeros_like(quick.objective)
    rank = jnp.full(size, problem.x.shape[2], jnp.sum(jnp.ones(1, bool)).dtype)
    usual = Exact(quick.b, quick.objective, quick.sure, zero, jnp.zeros_like(quick.b), rank)

    def the_others(usual: Exact, problem: Problem) -> Exact:
        found = jax.vmap(one)(problem)
        pick = lambda own, new: jnp.where(usual.optimal.reshape(-1, *[1] * (own.ndim - 1)), own, new)  # noqa: E731
        return jax.tree_util.tree_map(pick, usual, found)

    return cond_any(~jnp.all(quick.sure), the_others, usual, usual, problem), everything


def solve_exactly(problem: Problem, basis: Array, b: Array, size: Array | None = None) -> Exact:
    """Solve to a vertex that proves itself, from coefficients b; `size` is a typical objective."""
    near = approximate(problem, basis, b, TOLERANCE, size)
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
        falls = objective <= exact.objective * (1 + rounding)
        found = Exact(b, objective, vertex.optimal & falls, exact.gap, basis @ vertex.edge, exact.rank)
        kept = jax.tree_util.tree_map(lambda new, old: jnp.where(falls, new, old), found, exact)
        first = jnp.where(rounds == 0, exact.b + basis @ vertex.first, first)
        return kept, first, jnp.where(falls, rounds + 1, ROUNDS)

    rank = jnp.sum(jnp.any(basis != 0, axis=0))
    unknown = jnp.asarray(jnp.inf, b.dtype)
    rounding = 100 * jnp.finfo(b.dtype).eps * math.sqrt(z.shape[0])
    noise = jnp.sum(problem.weights * rounding_of(problem, near.b))
    reached = problem.objective(problem.residuals(near.b)) + noise
    begin = Exact(near.b, reached, jnp.asarray(False), unknown, jnp.zeros_like(b), rank)
    exact, first, _ = jax.lax.while_loop(unfinished, look, (begin, near.b, jnp.int32(0)))
    exact = jax.lax.cond(exact.optimal, lambda: exact, lambda: _by_duals(problem, basis, exact, first, near))
    residuals = problem.residuals(exact.b)
    return exact._replace(objective=problem.objective(residuals), gap=jnp.where(exact.optimal, 0.0, exact.gap))


def _by_duals(problem: Problem, basis: Array, exact: Exact, first: Array, near: Approximate) -> Exact:
    """Prove the vertex next to the interior point by the duals found there.

    Where more rows have residual 0 than the simplex method sees, their signs decide nothing, but the interior point
    gives each of them a dual well inside its bounds. What is missing to Z'd = 0, all other rows at their bounds, is
    shared out among them in proportion to their room.
    """
    weights, quantile, z = problem.weights, problem.quantile, problem.x @ basis
    eps = jnp.finfo(z.dtype).eps
    first = _centered(problem, basis, z, first, near.b)
    candidates = jnp.stack([first, near.b, exact.b])
    values = jax.lax.map(lambda b: problem.objective(problem.residuals(b)), candidates)
    least = jnp.min(jnp.where(jnp.isfinite(values), values, jnp.inf))
    b = candidates[jnp.argmax(values <= least * (1 + 100 * eps * math.sqrt(z.shape[0])))]  # the vertex, if it may be
    residuals = problem.residuals(b)
    tied = jnp.abs(residuals) <= rounding_of(problem, jnp.abs(b) + jnp.abs(near.b))
    low, high = weights * (quantile - 1), weights * quantile
    duals = jnp.where(tied, near.duals, jnp.where(residuals < 0, low, high))

    def share(_: int, duals: Array) -> Array:
        room = jnp.where(tied, jnp.minimum(high - duals, duals - low), 0.0)
        return duals - room * (z @ _solve_normal(z, room, combine(duals, z)))

    duals = jax.lax.fori_loop(0, 3, share, duals)
    rounding = ROUNDINGS * eps * combine(weights, jnp.abs(z))

    def balanced(duals: Array) -> Array:
        return jnp.all(jnp.abs(combine(duals, z)) <= rounding)

    inside = jnp.all((duals >= low) & (duals <= high)) & balanced(duals)
    # Term by term, so that nothing cancels; where the duals do not balance they bound nothing.
    gap = jnp.sum(jnp.where(residuals < 0, low - near.duals, high - near.duals) * residuals)
    gap = jnp.where(balanced(near.duals), jnp.maximum(gap, 10 * eps * least), jnp.inf)
    return exact._replace(b=b, optimal=inside, gap=gap, edge=jnp.zeros_like(b))


def _centered(problem: Problem, basis: Array, z: Array, b: Array, near: Array) -> Array:
    """Move b into the middle of the rows that it fits but for rounding: k of them alone determine it less well."""
    residuals = problem.residuals(b)
    tied = jnp.abs(residuals) <= 1000 * rounding_of(problem, jnp.abs(b) + jnp.abs(near))
    step = _solve_normal(z, jnp.where(tied, 1.0, 0.0), combine(jnp.where(tied, residuals, 0.0), z))
    return jnp.where(jnp.all(jnp.isfinite(step)), b + basis @ step, b)


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
    distances = in_lengths(residuals, jnp.sqrt(jnp.sum(z**2, axis=1)))
    near = nearest(around, residuals, distances, places=PLACES)
    few = near.problem
    few_noise = noise.at[near.rows].get(mode="fill", fill_value=0.0)
    vertex = descend_to_vertex(Rows(few.x, few.y, few.weights, few_noise, few.quantile), start, max_pivots=PIVOTS)
    unchanged = keeps_signs(near, residuals - z @ vertex.beta)
    return vertex._replace(optimal=vertex.optimal & unchanged)

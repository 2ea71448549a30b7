"""The simplex method for quantile regression: from near the solution to a vertex that proves itself.

At a vertex k rows (the basis) are fitted exactly. With d_i = w_i (quantile - [r_i < 0]) for all other rows, the basis
gets the duals that make Z'd = 0; the vertex is optimal if and only if they lie within w_i [quantile - 1, quantile]
(the subgradient condition). Otherwise the objective falls along the edge that frees the worst of them, up to the first
row that it meets, which takes the free place.

Rows whose residual is 0 although they are not in the basis (ties, duplicates) have no sign. They are given one as if
each y_i were moved by an infinitesimal amount of its own, carried along symbolically as a second right-hand side: the
perturbed problem has no ties, so the method cannot cycle, and no digit of the data is touched.

Source: Barrodale and Roberts (1973), SIAM Journal on Numerical Analysis 10, 839-848; Koenker and d'Orey (1987), Applied
Statistics 36, 383-393; Charnes (1952), Econometrica 20, 160-170, for the perturbation.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._lapack import solve_lower
from mle_jax.optimizers._row_blocks import spread

INDEPENDENT = 1e-6  # of a row's length must be left after projection for the row to count as independent
ROUNDINGS = 8  # times eps: the error allowed for one short sum
SLACK = 1e-6  # of a row's weight: the most that rounding may excuse of a dual beyond its bound


class Rows(NamedTuple):
    """A quantile regression: minimize ``sum_i w_i rho(y_i - <z_i, beta>)``; rows of zeros are without influence."""

    z: Array  # (m, k)
    y: Array  # (m,)
    weights: Array  # (m,), at least 0
    noise: Array  # (m,), the rounding error of y
    quantile: Array | float


class Vertex(NamedTuple):
    """A vertex and its proof.

    Attributes:
        beta: the coefficients, (k,).
        first: those of the first basis, (k,): the vertex next to where the walk began.
        optimal: whether the subgradient condition holds.
        pivots: edges walked.
        edge: a move to another optimal vertex, (k,); zero where the solution is unique.
    """

    beta: Array
    first: Array
    optimal: Array
    pivots: Array
    edge: Array


class Place(NamedTuple):
    """All that is known at one basis."""

    basis: Array  # (k,) row numbers
    inverse: Array  # (k, k), of the rows of the basis; a column for each
    beta: Array  # (k,)
    residuals: Array  # (m,), exactly 0 within rounding
    moved: Array  # (m,), residuals of the infinitesimal shifts
    duals: Array  # (k,), those of the basis
    excess: Array  # (k,), how far these lie beyond their bounds: above (+) or below (-)
    slack: Array  # (k,), what rounding may excuse of it


class Walk(NamedTuple):
    """The last place and the way on from there."""

    place: Place
    first: Array  # (k,), beta at the first
    basis: Array  # the next one
    inverse: Array
    goes_on: Array
    pivots: Array


def descend_to_vertex(rows: Rows, beta: Array, *, max_pivots: int) -> Vertex:
    """Walk from the rows nearest to beta to an optimal vertex.

    Args:
        rows: the problem.
        beta: near the solution, (k,).
        max_pivots: the most edges to walk.
    """
    rows = _with_anchors(rows, beta)
    shifts = 0.5 + spread(rows.y.size, rows.y.dtype)

    def walk(now: Walk) -> Walk:
        place = _settle(rows, shifts, now.basis, now.inverse)
        basis, inverse, bounded = _pivot(rows, place)
        arrived = jnp.all(jnp.abs(place.excess) <= place.slack)
        first = jnp.where(now.pivots == 0, place.beta, now.first)
        return Walk(place, first, basis, inverse, ~arrived & bounded & (now.pivots < max_pivots), now.pivots + ~arrived)

    basis, inverse = _nearest_basis(rows, beta)
    nowhere = jax.tree_util.tree_map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(_settle, rows, shifts, basis, inverse)
    )
    begin = Walk(nowhere, beta, basis, inverse, jnp.asarray(True), jnp.int32(0))
    place, first, *_, pivots = jax.lax.while_loop(lambda now: now.goes_on, walk, begin)
    own = rows.weights[place.basis]
    slack = jnp.minimum(place.slack, SLACK * jnp.where(own > 0, own, jnp.max(rows.weights)))
    optimal = jnp.all(jnp.abs(place.excess) <= slack) & jnp.all(jnp.isfinite(place.beta))
    return Vertex(place.beta, first, optimal, pivots, jnp.where(optimal, _flat_edge(rows, place), 0.0))


def _with_anchors(rows: Rows, beta: Array) -> Rows:
    """Append the k rows <e_j, beta> = beta_j of weight 0: they complete the basis where the rows lack rank."""
    size = beta.size
    return Rows(
        z=jnp.concatenate([rows.z, jnp.eye(size, dtype=rows.z.dtype)]),
        y=jnp.concatenate([rows.y, beta]),
        weights=jnp.concatenate([rows.weights, jnp.zeros(size, rows.weights.dtype)]),
        noise=jnp.concatenate([rows.noise, jnp.zeros(size, rows.noise.dtype)]),
        quantile=rows.quantile,
    )


def _nearest_basis(rows: Rows, beta: Array) -> tuple[Array, Array]:
    """Return k independent rows, the nearest to beta first, anchors last; and the inverse of their matrix."""
    count, size = rows.z.shape
    lengths = jnp.sqrt(jnp.sum(rows.z**2, axis=1))
    distances = jnp.abs(rows.y - rows.z @ beta) / jnp.where(lengths > 0, lengths, 1.0)
    distances = jnp.where(jnp.arange(count) < count - size, distances, jnp.finfo(beta.dtype).max)

    def choose(j: Array, now: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        basis, directions, left = now
        remaining = jnp.sqrt(jnp.sum(left**2, axis=1))
        chosen = jnp.argmin(jnp.where(remaining > INDEPENDENT * lengths, distances, jnp.inf))
        direction = left[chosen] / jnp.where(remaining[chosen] > 0, remaining[chosen], 1.0)
        left = (left - (left @ direction)[:, None] * direction).at[chosen].set(0.0)
        return basis.at[j].set(chosen.astype(basis.dtype)), directions.at[:, j].set(direction), left

    begin = jnp.zeros(size, jnp.int32), jnp.zeros((size, size), rows.z.dtype), rows.z
    basis, directions, _ = jax.lax.fori_loop(0, size, choose, begin)
    # Each row lies in the span of the directions up to its own, so the product is a triangle.
    triangle = jnp.tril(rows.z[basis] @ directions)
    identity = jnp.eye(size, dtype=rows.z.dtype)
    return basis, directions @ solve_lower(triangle, identity)


def _settle(rows: Rows, shifts: Array, basis: Array, inverse: Array) -> Place:
    """Compute coefficients, residuals and duals at a basis, whose inverse is known about."""
    eps = jnp.finfo(rows.z.dtype).eps
    square, right = rows.z[basis], rows.y[basis]
    inverse = inverse + inverse @ (jnp.eye(basis.size, dtype=inverse.dtype) - square @ inverse)
    beta = inverse @ right
    beta = beta + inverse @ (right - square @ beta)
    moved = rows.y - rows.z @ beta, shifts - rows.z @ (inverse @ shifts[basis])
    in_basis = jnp.zeros(rows.y.shape, bool).at[basis].set(True)
    # Componentwise bound of the rounding error of beta, and of the residuals with it (Higham 2002, section 7.2).
    doubt = jnp.abs(inverse) @ (jnp.abs(right) + jnp.abs(square) @ jnp.abs(beta))
    noise = rows.noise + jnp.abs(rows.z) @ (ROUNDINGS * eps * doubt + jnp.abs(inverse) @ rows.noise[basis])
    residuals = jnp.where(in_basis | (jnp.abs(moved[0]) <= noise), 0.0, moved[0])
    shifted = jnp.where(in_basis, 0.0, moved[1])

    duals = jnp.where(in_basis, 0.0, rows.weights * (rows.quantile - (_signs(residuals, shifted) < 0)))
    needed = -(duals @ rows.z) @ inverse
    own = rows.weights[basis]
    above, below = needed - own * rows.quantile, needed + own * (1 - rows.quantile)
    slack = ROUNDINGS * eps * ((rows.weights @ jnp.abs(rows.z)) @ jnp.abs(inverse))
    return Place(
        basis=basis,
        inverse=inverse,
        beta=beta,
        residuals=residuals,
        moved=shifted,
        duals=needed,
        excess=jnp.maximum(above, 0.0) + jnp.minimum(below, 0.0),
        slack=slack,
    )


def _signs(residuals: Array, moved: Array) -> Array:
    """Return the signs of the residuals, for those of 0 the signs of their infinitesimal shifts."""
    return jnp.sign(jnp.where(residuals != 0, residuals, moved))


def _pivot(rows: Rows, place: Place) -> tuple[Array, Array, Array]:
    """Free the worst row of the basis; return the next basis, its inverse, and whether there is one.

    The first row met takes the free place. The slope may still be negative there: then the next pivot goes on.
    """
    leaving = jnp.argmax(jnp.abs(place.excess) - place.slack)
    side = jnp.sign(place.excess[leaving])  # of the residual that the leaving row gets
    speeds = side * (rows.z @ place.inverse[:, leaving])
    meets = _meeting(rows, place, speeds)
    safe = jnp.where(meets, speeds, 1.0)
    times = jnp.where(meets, -place.residuals / safe, jnp.inf)
    later = jnp.where(meets & (times == jnp.min(times)), -place.moved / safe, jnp.inf)
    entering = jnp.argmin(later).astype(place.basis.dtype)
    bounded = jnp.any(meets)
    basis = jnp.where(bounded, place.basis.at[leaving].set(entering), place.basis)
    # Exchange of one row: every column but the leaving row's becomes orthogonal to the entering row.
    products = rows.z[entering] @ place.inverse
    column = place.inverse[:, leaving] / products[leaving]
    inverse = (place.inverse - column[:, None] * products).at[:, leaving].set(column)
    return basis, jnp.where(bounded, inverse, place.inverse), bounded


def _meeting(rows: Rows, place: Place, speeds: Array) -> Array:
    """Say which residuals move toward zero at these speeds, whose extra axes come last."""
    extra = (slice(None),) + (None,) * (speeds.ndim - 1)
    signs = _signs(place.residuals, place.moved)[extra]
    smallest = 1e-10 * jnp.sqrt(jnp.sum(rows.z**2, axis=1))[extra] * jnp.max(jnp.abs(place.inverse))
    return (signs * speeds < 0) & (jnp.abs(speeds) > smallest) & (rows.weights > 0)[extra]


def _flat_edge(rows: Rows, place: Place) -> Array:
    """Return the longest edge along which the objective does not change, (k,); zero if every edge rises."""
    own = rows.weights[place.basis]
    # Both ways along each of the k edges: the residual of its row becomes positive, or negative.
    sides = jnp.repeat(jnp.array([1.0, -1.0], own.dtype), own.size)
    distance = jnp.concatenate([own * rows.quantile - place.duals, place.duals + own * (1 - rows.quantile)])
    level = (jnp.abs(distance) <= jnp.tile(jnp.minimum(place.slack, SLACK * own), 2)) & jnp.tile(own > 0, 2)
    edges = sides * jnp.tile(place.inverse, 2)
    speeds = rows.z @ edges
    meets = _meeting(rows, place, speeds)
    times = jnp.where(meets, jnp.abs(place.residuals)[:, None] / jnp.where(meets, jnp.abs(speeds), 1.0), jnp.inf)
    reach = jnp.min(times, axis=0)
    moves = -edges * jnp.where(level & jnp.isfinite(reach), reach, 0.0)
    return moves[:, jnp.argmax(jnp.sum(moves**2, axis=0))]

"""Quantile regressions side by side: a path that ends at the vertex, and the proof of it; for lanes that have no ties.

A row's |r| is replaced by what a logarithmic barrier of its dual leaves of it: with s = sqrt(r^2 + m^2), the slope is
r/(s + m), the curvature m/(s (s + m)), and the slope changes with m by -r/(s (s + m)). Newton's method follows the
minimizer while m goes to zero, one look at the rows per step: where the Newton decrement is below 1, m falls to two
fifths and the step leads to where the minimizer will be; else a damped step leads back. Then p rows have residuals near
0; if these determine a vertex, whose multipliers are within their bounds, it is the minimizer, whatever led there.

Source: Nesterov and Nemirovskii (1994), Interior-Point Polynomial Algorithms in Convex Programming, section 2.2 (damped
steps) and 3.2 (paths); Koenker (2005), Quantile Regression, section 2.2.2, for the proof.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_batching import custom_vmap

from mle_jax import _lapack
from mle_jax._side_by_side import (
    PLAIN_TOGETHER,
    TOGETHER,
    Entries,
    Vector,
    cholesky,
    dot,
    height_of_block,
    repeat,
    solve,
    sum_blocks,
)
from mle_jax.optimizers._active_rows import Problem
from mle_jax.optimizers._one_kernel import NotOneKernelError, only_in_one_kernel

MOST_COLUMNS = 8
SHRINK = 0.4
END = 1e-8  # of the first m, which is a typical residual
MOST_STEPS = 80
CLEAR = 1e-9  # what multipliers stay away from their bounds, at least
APART = 1e-9  # what the other residuals stay away from 0, of a typical one
CONDITION = 1e7  # of the rows of a vertex
SMALL_LEVEL = 1e6  # typical residuals that y and <|x|, |b|> may be large


class LaneVertices(NamedTuple):
    """Vertices of L problems, and which of them are proved to be the only solution."""

    b: Array  # (L, p)
    objective: Array  # (L,)
    sure: Array  # (L,) bool


class Path(NamedTuple):
    """Where the lanes are on their paths."""

    b: Vector
    width: Array  # m
    running: Array  # bool
    steps: Array  # () int32


def suits_lanes(x: Array) -> bool:
    """Say whether this is made for designs (L, n, p) of so many columns, and of this precision."""
    return 0 < x.shape[2] <= MOST_COLUMNS and x.shape[1] > x.shape[2] and x.dtype == jnp.float64


def solve_side_by_side(problem: Problem) -> LaneVertices:
    """Solve L problems, x (L, n, p), y and weights (L, n), the quantile in common or (L,)."""
    tilt = 2 * jnp.broadcast_to(jnp.asarray(problem.quantile, problem.y.dtype), problem.y.shape[:1]) - 1
    return _prove(problem, tilt, _end_of_path(problem.x, problem.y, problem.weights, tilt))


@custom_vmap
def _end_of_path(x: Array, y: Array, weights: Array, tilt: Array) -> Array:
    inputs = x, y, weights, tilt
    try:
        return only_in_one_kernel(*_path_and_start(inputs, TOGETHER)).T
    except NotOneKernelError:
        path, *start = _path_and_start(inputs, PLAIN_TOGETHER)
        return path(*start).T


@_end_of_path.def_vmap
def _of_batches(size: int, batched: Any, *inputs: Array) -> tuple[Array, bool]:
    # A native loop must not be mapped again.
    def plain(*inputs: Array) -> Array:
        path, *start = _path_and_start(inputs, PLAIN_TOGETHER)
        return path(*start).T

    return jax.vmap(plain, in_axes=[0 if own else None for own in batched], axis_size=size)(*inputs), True


def _path_and_start(inputs: tuple[Array, ...], together: int) -> tuple[Any, ...]:
    """Return the path as a function, and what it takes: all that is prepared by operations of usual size."""
    x, y, weights, tilt = inputs
    # Least squares, by a ridge that is nothing but for collinear columns: others look at those.
    transposed = jnp.swapaxes(x * weights[..., None], 1, 2)
    gram = transposed @ x
    ridge = 1e-12 * jnp.trace(gram, axis1=1, axis2=2)[:, None, None] * jnp.eye(x.shape[2], dtype=x.dtype)
    b = jax.vmap(_lapack.solve)(gram + ridge, transposed @ y[..., None])[..., 0]
    residuals = jnp.abs(y - (x @ b[..., None])[..., 0])
    width = jnp.sum(weights * residuals, axis=1) / jnp.sum(weights, axis=1)
    height = height_of_block(x.shape[1], x.shape[0], together)
    rows = tuple(_rows_first(leaf, height) for leaf in (x, y, weights))
    return (lambda *given: _follow(*given, together=together)), rows, b.T, width, tilt


def _rows_first(leaf: Array, height: int) -> Array:
    """Turn (L, n, ...) into (n, ..., L), filled up with rows of zeros, which are without influence."""
    moved = jnp.moveaxis(leaf, 0, -1)
    return jnp.concatenate([moved, jnp.zeros((-moved.shape[0] % height, *moved.shape[1:]), leaf.dtype)])


def _follow(rows: tuple[Array, ...], b: Array, first: Array, tilt: Array, *, together: int) -> Array:
    """Follow the paths to where m is `END` of the first; return b, (p, L)."""

    def step(now: Path) -> Path:
        slope, drift, bend = _sums(rows, now.b, now.width, tilt, together)
        scales = [jnp.sqrt(jnp.where(bend[i, i] > 0, bend[i, i], 1.0)) for i in range(len(now.b))]
        factor = cholesky({(i, j): entry / (scales[i] * scales[j]) for (i, j), entry in bend.items()})
        back = _in_units(solve(factor, _in_units(slope, scales)), scales)
        onward = _in_units(solve(factor, _in_units(drift, scales)), scales)
        decrement = jnp.sqrt(jnp.maximum(dot(slope, back), 0.0) / now.width)
        near = decrement < 1.0
        last = near & (now.width <= END * first)
        narrower = jnp.where(last, 0.0, jnp.where(near, SHRINK * now.width, now.width))
        damped = jnp.where(near, 1.0, 1.0 / (1.0 + decrement))
        move = [damped * m + (narrower - now.width) * d for m, d in zip(back, onward, strict=True)]
        usable = factor.definite & jnp.isfinite(dot(move, move)) & now.running
        return Path(
            [jnp.where(usable, old + m, old) for old, m in zip(now.b, move, strict=True)],
            jnp.where(usable & ~last, narrower, now.width),
            usable & ~last,
            now.steps + 1,
        )

    begin = Path([b[i] for i in range(b.shape[0])], first, first > 0, jnp.int32(0))
    end = jax.lax.while_loop(lambda now: (now.steps < MOST_STEPS) & jnp.any(now.running), step, begin)
    return jnp.stack(end.b)


def _in_units(vector: Vector, scales: Vector) -> Vector:
    return [entry / scale for entry, scale in zip(vector, scales, strict=True)]


def _sums(
    rows: tuple[Array, ...], b: Vector, width: Array, tilt: Array, together: int
) -> tuple[Vector, Vector, Entries]:
    """Return X' of the slopes, of their changes with m, and X' diag(curvatures) X."""
    size = len(b)
    triangle = [(i, j) for i in range(size) for j in range(i + 1)]

    def of_block(block: tuple[Array, ...]) -> list[Array]:
        x, y, weights = block
        residual = y
        for i in range(size):
            residual = residual - x[:, i] * b[i]
        length = jnp.sqrt(residual * residual + width * width)
        unit = weights / (length * (length + width))
        slope, drift, bend = residual * length * unit + tilt * weights, -residual * unit, width * unit
        bent = [bend * x[:, i] for i in range(size)]
        return [
            *(slope * x[:, i] for i in range(size)),
            *(drift * x[:, i] for i in range(size)),
            *(bent[i] * x[:, j] for i, j in triangle),
        ]

    found = sum_blocks(of_block, rows, width, together)
    return found[:size], found[size : 2 * size], dict(zip(triangle, found[2 * size :], strict=True))


def _prove(problem: Problem, tilt: Array, near: Array) -> LaneVertices:
    """Go to the vertex beside every point and prove it, or not."""
    return jax.vmap(_prove_one)(problem.x, problem.y, problem.weights, tilt, near)


def _prove_one(x: Array, y: Array, weights: Array, tilt: Array, near: Array) -> LaneVertices:
    """Do so for one lane: sum_N w (sign + tilt) x + sum_B w (a + tilt) x = 0 with |a| < 1 (B: rows of the vertex)."""
    size, counts = near.size, (weights > 0) & jnp.any(x != 0, axis=1)
    distances = jnp.where(counts, jnp.abs(y - x @ near), jnp.inf)
    basic = jnp.zeros(size, jnp.int32)

    def pick(i: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        basic, distances = now
        row = jnp.argmin(distances)
        return basic.at[i].set(row.astype(jnp.int32)), distances.at[row].set(jnp.inf)

    basic, distances = repeat(size, pick, (basic, distances))
    corner, aim, own = x[basic], y[basic], weights[basic]
    inverse = _lapack.inverse(corner)
    b = inverse @ aim
    b = b + inverse @ (aim - corner @ b)
    residuals = (y - x @ b).at[basic].set(0.0)
    pull = weights * (jnp.sign(residuals) + tilt)
    multipliers = -(inverse.T @ (pull.at[basic].set(0.0) @ x)) / own - tilt
    total = jnp.sum(weights)
    typical = jnp.sum(weights * jnp.abs(residuals)) / total
    apart = jnp.min(jnp.where(counts, jnp.abs(residuals), jnp.inf).at[basic].set(jnp.inf))
    condition = jnp.max(jnp.sum(jnp.abs(corner), axis=1)) * jnp.max(jnp.sum(jnp.abs(inverse), axis=1))
    sure = (
        (jnp.max(jnp.abs(multipliers)) < 1.0 - CLEAR)
        & (apart > APART * typical)
        & (condition < CONDITION)
        & (jnp.max(jnp.abs(y) + jnp.abs(x) @ jnp.abs(b)) < SMALL_LEVEL * typical)
        & jnp.all(jnp.isfinite(b))
    )
    objective = 0.5 * jnp.sum(weights * (jnp.abs(residuals) + tilt * residuals))
    return LaneVertices(b, objective, sure)

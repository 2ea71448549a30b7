"""Sums over the rows of one large dataset as native loops over tiles, a few rows each: what a CPU does fastest.

The sums are those of `row_sums`. Operation by operation, a block of some hundred rows costs as much to hand around as
to work on, and the product J' h'' J of few columns goes to a library that copies its factors first. Here one native
function goes through the rows: of a tile it works out the derivatives in the predictors, a vector over its rows, and
then adds J' h'' J row by row to the lower triangle, in strips as wide as a vector register.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._equations import apply_equation
from mle_jax._side_by_side import never_true, repeat
from mle_jax.likelihood.affine import Split
from mle_jax.likelihood.evaluation import weigh
from mle_jax.likelihood.row_sums import RowSums, Terms, plus
from mle_jax.likelihood.stages import derivatives_by_row, values_by_row
from mle_jax.likelihood.traced import trace, work_out

T = TypeVar("T")
Call = Callable[..., Any]
"""``call(loop, *args) -> loop(*args)``, as one native function."""

TILE = 32
"""Rows whose derivatives are worked out together: some vectors, but all of them in the nearest cache."""
TOGETHER = 8
"""Rows added to the Hessian at once, predictors of their own times rows: their factors fill half of the registers."""
STRIP = 4
"""Rows of the Hessian that end in the same column."""
BLOCK = 4096
"""Rows whose sums are plain ones; those of blocks are carried in twice the precision."""
MOST_COORDINATES = 64
"""With more the Hessian leaves the nearest cache, and the copies of a library pay."""
MOST_POINTS = 8
"""Points at which the sums are evaluated in one pass; each is written out."""


class TileSums(RowSums):
    """The same sums; what a native loop is not for is left to `RowSums`.

    Args:
        call: how a loop becomes a native function.
    """

    def __init__(self, *args: Any, call: Call, **options: Any) -> None:
        super().__init__(*args, **options)
        self._call = call

    def values(self, thetas: Array) -> Array:
        """Return the totals at several points (m, k), shape (m,)."""
        split = self._split(thetas[0]) if len(thetas) else None
        if split is None or len(thetas) > MOST_POINTS or not self._suits(split, thetas[0]):
            return super().values(thetas)
        stages = values_by_row(split, *self._descriptions(split, thetas.dtype))
        points = list(thetas)
        ahead = [stages.first(_numbers(split.shared(point))) for point in points]

        def of_tile(
            begin: Array, weights: Array, sums: list[Array], tools: tuple[Any, ...], once: Array
        ) -> list[Array]:
            rows, points, ahead = tools
            leaves = self._tile(rows, begin, TILE, weights)
            found = [_of_rows(split, stages, *at, leaves) for at in zip(ahead, points, strict=True)]
            return [so_far + weigh(weights, value) for so_far, value in zip(sums, found, strict=True)]

        nothing = [jnp.zeros(TILE, thetas.dtype) for _ in points]
        found = self._in_tiles(of_tile, nothing, points, ahead)
        return jnp.stack([jnp.sum(total) for total in found])

    def _terms(self, split: Split, theta: Array, common: Array | None) -> Terms:
        if not self._suits(split, theta):
            return super()._terms(split, theta, common)
        own, size = split.sizes
        stages = derivatives_by_row(split, *self._descriptions(split, theta.dtype))
        ahead = stages.first([] if common is None else _numbers(common))
        # Rows that end in the same column: the lower triangle, and a little of what is above it.
        strips = [(low, min(low + STRIP, theta.size)) for low in range(0, theta.size, STRIP)]
        height = max(TOGETHER // own, 1)
        place = lambda i, j: max(i, j) * (max(i, j) + 1) // 2 + min(i, j)  # noqa: E731 - in a lower triangle

        def of_tile(begin: Array, weights: Array, sums: Any, tools: tuple[Any, ...], once: Array) -> Any:
            rows, theta, ahead = tools

            def work_out() -> list[Array]:
                leaves = self._tile(rows, begin, TILE, weights)
                value, slopes, bends = _of_rows(split, stages, ahead, theta, leaves)
                return [weigh(weights, jnp.broadcast_to(leaf, TILE)) for leaf in (value, *slopes, *bends)]

            found = _kept(work_out, once)
            slopes, bends = found[1 : 1 + own + size], found[1 + own + size :]
            in_common = [*slopes[own:], *(bends[place(own + c, own + d)] for c in range(size) for d in range(c + 1))]
            plain = [s + v for s, v in zip(sums[0], [found[0], jnp.abs(found[0]), *in_common], strict=True)]

            def add(part: Array, sums: tuple[list[Array], list[Array]]) -> tuple[list[Array], list[Array]]:
                some = lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, part * height, height)  # noqa: E731
                leaves = self._tile(rows, begin + part * height, height, some(weights))
                through = _jacobians(split, theta, leaves)
                slope, bend = [some(leaf) for leaf in slopes], [some(leaf) for leaf in bends]
                each = [(r, a) for r in range(height) for a in range(own)]
                by = lambda factors: sum(through[a][r] * factors[a][r] for r, a in each)  # noqa: E731
                vectors = [by(slope[:own]), *(by([bend[place(own + c, a)] for a in range(own)]) for c in range(size))]

                def strip(low: int, high: int) -> Any:
                    bent = [sum(bend[place(a, b)][r] * through[b][r, low:high] for b in range(own)) for r, a in each]
                    pairs = zip(bent, each, strict=True)
                    return sum(left[:, None] * through[a][r, :high] for left, (r, a) in pairs)

                strips_here = [total + strip(*edges) for total, edges in zip(sums[1], strips, strict=True)]
                return [total + vector for total, vector in zip(sums[0], vectors, strict=True)], strips_here

            return plain, repeat(jnp.int32(TILE // height), add, sums[1])

        zeros = lambda *shape: jnp.zeros(shape, theta.dtype)  # noqa: E731 - of one type
        plain = [zeros(TILE) for _ in range(2 + size + size * (size + 1) // 2)]
        nothing = (
            plain,
            ([zeros(theta.size) for _ in range(1 + size)], [zeros(high - low, high) for low, high in strips]),
        )
        sums, (vectors, found) = self._in_tiles(of_tile, nothing, theta, ahead)
        value, magnitude, *in_common = [jnp.sum(total) for total in sums]
        whole = jnp.concatenate([jnp.pad(strip, ((0, 0), (0, theta.size - strip.shape[1]))) for strip in found])
        hessian = jnp.tril(whole) + jnp.tril(whole, -1).T
        if not size:
            return Terms(value, magnitude, vectors[0], hessian, None)
        second = [[in_common[size + place(c, d)] for d in range(size)] for c in range(size)]
        shared = jnp.stack(in_common[:size]), jnp.stack(vectors[1:]), jnp.asarray(second)
        return Terms(value, magnitude, vectors[0], hessian, shared)

    def _suits(self, split: Split, theta: Array) -> bool:
        """Say whether native loops are for this: few coordinates, in double precision, seen through few predictors."""
        own = split.sizes[0]
        usual = 0 < own <= TOGETHER and theta.dtype == jnp.float64 and theta.size <= MOST_COORDINATES
        return usual and self._size >= TILE

    def _descriptions(self, split: Split, dtype: Any) -> tuple[list[Any], Any]:
        """Describe what a row has in common with the others, and what is its own."""
        own, size = split.sizes
        number = jax.ShapeDtypeStruct((), dtype)
        one = [jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in self._rows]
        return [number] * size, ([number] * own, one, jax.eval_shape(split.of_data, one))

    def _tile(self, rows: Any, begin: Array, height: int, weights: Array) -> list[Array]:
        """Return some rows, those that do not count being replaced where there may be anything in them."""
        leaves, spare = rows
        taken = [jax.lax.dynamic_slice_in_dim(leaf, begin, height) for leaf in leaves]
        if spare is None:
            return taken
        masked = weights <= 0
        return [
            jnp.where(masked.reshape(-1, *(1,) * (leaf.ndim - 1)), one, leaf)
            for leaf, one in zip(taken, spare, strict=True)
        ]

    def _in_tiles(self, of_tile: Callable[..., T], nothing: T, *tools: Any) -> T:
        """Sum over all rows that are meant.

        Args:
            of_tile: ``(first row, weights, sums so far, (rows, *tools), 1) -> sums``; the 1 is none to the compiler.
            nothing: the sums of no rows.
            tools: what a tile needs beside the rows, pytrees of arrays.
        """
        begin, end = (jnp.asarray(edge, jnp.int32) for edge in self._part)
        tiles = jnp.int32(BLOCK // TILE)

        def loop(first: Array, end: Array, own: Array | None, rows: Any, *tools: Any) -> T:
            once = jnp.int32(1) + never_true(rows[0][0])

            def one(i: Array, sums: T) -> T:
                # The last tile begins early enough to be whole; rows that the one before had are left out by weight 0.
                at = first + i * TILE
                start = jnp.clip(at, 0, self._size - TILE)
                places = start + jnp.arange(TILE, dtype=jnp.int32)
                weights = ((places >= at) & (places < end)).astype(float)
                if own is not None:
                    weights = weights * jax.lax.dynamic_slice_in_dim(own, start, TILE)
                return of_tile(start, weights, sums, (rows, *tools), once)

            return repeat(jnp.minimum(tiles, (end - first + TILE - 1) // TILE), one, nothing)

        def block(i: Array, sums: tuple[T, T]) -> tuple[T, T]:
            rows = self._rows, self._spare
            return plus(*sums, self._call(loop, begin + i * BLOCK, end, self._weights, rows, *tools))

        high, low = jax.lax.fori_loop(0, (end - begin + BLOCK - 1) // BLOCK, block, (nothing, nothing))
        total: T = jax.tree_util.tree_map(jnp.add, high, low)
        return total


def _kept(work_out: Callable[[], T], once: Array) -> T:
    """Work something out such that it is written to memory, and not again for every sum that it goes into."""
    nothing = jax.tree_util.tree_map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(work_out))
    return repeat(once, lambda _, __: work_out(), nothing)


def _of_rows(split: Split, stages: Any, ahead: list[Array], theta: Array, leaves: list[Array]) -> Any:
    """Evaluate the second stage for some rows."""

    def of_row(*row: Array) -> Any:
        return stages.second(ahead, (_numbers(split.of_row(theta, row)), list(row), split.of_data(row)))

    return jax.vmap(of_row)(*leaves)


def _jacobians(split: Split, theta: Array, leaves: list[Array]) -> list[Array]:
    """Return the Jacobians of the rows' own predictors, (rows, k) each."""

    def of_row(theta: Array, *row: Array) -> tuple[Array, ...]:
        predictors, pull = jax.vjp(lambda at: split.of_row(at, row), theta)
        return tuple(pull(direction)[0] for direction in jnp.eye(split.sizes[0], dtype=predictors.dtype))

    program = trace(of_row, theta, *(jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in leaves))

    def simply(*row: Array) -> list[Array]:
        return work_out(program, dict(enumerate((theta, *row))), program.results, apply=_multiplying)

    return jax.vmap(simply)(*leaves)


def _multiplying(equation: Any, values: Sequence[Any]) -> list[Any]:
    """Apply an equation; a product with a number, which is what a scalar product is backward, as a multiplication."""
    if equation.primitive.name == "dot_general" and min(jnp.ndim(value) for value in values) == 0:
        return [values[0] * values[1]]
    return apply_equation(equation, values)


def _numbers(vector: Array) -> list[Array]:
    return [vector[i] for i in range(vector.shape[0])]

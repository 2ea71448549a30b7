"""Sums over the rows of one large dataset as native loops over tiles, a few rows each: what a CPU does fastest.

The sums are those of `row_sums`. Operation by operation, a block of some hundred rows costs as much to hand around as
to work on, and the product J' h'' J of few columns goes to a library that copies its factors first. Here one native
function goes through the rows: of a tile it works out the derivatives in the predictors, a vector over its rows, and
then adds J' h'' J row by row to the lower triangle, in strips as wide as a vector register.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeGuard, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._equations import apply_equation
from mle_jax._side_by_side import kept, never_true, repeat, total
from mle_jax.likelihood.affine import Split
from mle_jax.likelihood.evaluation import weigh
from mle_jax.likelihood.parts import Part
from mle_jax.likelihood.stages import derivatives_by_row, values_by_row, work_out_between
from mle_jax.likelihood.terms import Terms, plus
from mle_jax.likelihood.tile_products import (
    along,
    assembled,
    columns_of,
    no_products,
    place_of,
    width_of,
    with_products,
)
from mle_jax.likelihood.traced import trace, work_out

T = TypeVar("T")
Call = Callable[..., Any]
"""``call(loop, *args) -> loop(*args)``, as one native function."""

TILE = 32
"""Rows whose derivatives are worked out together: some vectors, but all of them in the nearest cache."""
TOGETHER = 8
"""Rows added to the Hessian at once, predictors of their own times rows: their factors fill half of the registers."""
APART = 4
"""Sums that a scalar product of a row consists of: each number waits for the one before only within its own sum."""
BLOCK = 16384
"""Rows whose sums are plain ones; those of blocks are carried in twice the precision."""
MOST_COORDINATES = 32
"""With more the loop takes several seconds to compile, and the copies that a library makes of its factors pay."""
MOST_IN_COMMON = 4
"""Predictors in common: with each of them and all coordinates there are as many more sums, and seconds to compile."""
LONGEST = 9000
"""Operations for a row and its derivatives, guessed from those for its log density alone: they take seconds to trace,
and more to compile than they save."""
POINTS = 8
"""Points at which the sums are evaluated in one pass, side by side: a vector."""


class Tiles:
    """The rows of a dataset, to be summed tile by tile.

    Args:
        rows: the leaves that count rows.
        spare: a row of positive weight, put in place of those of weight 0; None without weights.
        weights: (n,) or None.
        size: n.
        part: the rows that are meant.
        call: how a loop becomes a native function.
    """

    def __init__(
        self,
        rows: tuple[Array, ...],
        spare: tuple[Array, ...] | None,
        weights: Array | None,
        size: int,
        part: Part,
        call: Call,
    ) -> None:
        self._rows, self._spare, self._weights, self._size = rows, spare, weights, size
        self._part = part
        self._call = call

    def suits(self, split: Split | None, theta: Array) -> TypeGuard[Split]:
        """Say whether native loops are for this: few coordinates, in double precision, seen through few predictors."""
        if split is None or self._size < TILE or theta.dtype != jnp.float64 or theta.size > MOST_COORDINATES:
            return False
        own, common = split.sizes
        if not 0 < own <= TOGETHER or common > MOST_IN_COMMON or not any(leaf.size for leaf in self._rows):
            return False
        derivatives = math.comb(own + common + 2, 2)  # the value, the first, and the triangle of the second
        return derivatives * values_by_row(split, *self._descriptions(split, theta.dtype)).length <= LONGEST

    def values(self, split: Split, thetas: Array) -> Array:
        """Return the log-likelihoods at several points (m, k), shape (m,)."""
        many, size = thetas.shape
        stages = values_by_row(split, *self._descriptions(split, thetas.dtype))

        def of_tile(begin: Array, weights: Array, sums: Array, tools: Any, once: Array) -> Array:
            rows, points, ahead = tools
            leaves = _some(rows, begin, TILE, weights)
            computed = kept(lambda: jax.vmap(lambda *row: split.of_data(row))(*leaves), once)
            seen = kept(partial(_predictors_at_points, split, points, leaves), once)

            def of_rows(stage: Callable[..., Any], known: list[Array]) -> Any:
                def of_row(ahead: Any, known: Any, own: Any, *rest: Any) -> Any:
                    return stage([*ahead, *known], (own, *rest))

                of_points = jax.vmap(of_row, in_axes=(-1, -1, -1, None, None), out_axes=-1)
                return jax.vmap(of_points, in_axes=(None, 0, 0, 0, 0))(ahead, known, seen, leaves, computed)

            known = work_out_between(stages, of_rows, partial(kept, once=once))
            return sums + weigh(weights, of_rows(stages.second, known))

        def of_group(points: Array) -> Array:
            ahead = jax.vmap(lambda point: stages.first(_numbers(split.shared(point))), out_axes=-1)(points)
            nothing = jnp.zeros((TILE, POINTS), thetas.dtype)
            return jnp.sum(self._summed(of_tile, nothing, points.T, ahead), axis=0)

        missing = -many % POINTS
        groups = jnp.pad(thetas, ((0, missing), (0, 0)), mode="edge").reshape(-1, POINTS, size)
        return jax.lax.map(of_group, groups).reshape(-1)[:many]

    def terms(self, split: Split, theta: Array, common: Array | None, curved: Array | bool = True) -> Terms:
        """Return all sums; the arguments are those of `RowSums`.

        Products with the Jacobians of both sides take most of the time of a pass: without them, where `curved` is
        False, the Hessian is of no use.
        """
        own, size = split.sizes
        stages = derivatives_by_row(split, *self._descriptions(split, theta.dtype))
        ahead = stages.first([] if common is None else _numbers(common))
        height = max(TOGETHER // own, 1)
        trips = jnp.where(curved, jnp.array([TILE // height, 0]), jnp.array([0, TILE // height])).astype(jnp.int32)
        shared = [(own + c, own + d) for c in range(size) for d in range(c + 1)]

        def of_tile(begin: Array, weights: Array, sums: Any, tools: Any, once: Array) -> Any:
            rows, theta, ahead, trips = tools
            some = _some(rows, begin, TILE, weights)
            seen = kept(partial(_predictors, split, theta, some, once), once)
            known = work_out_between(stages, partial(_of_rows, split, ahead, seen, some), partial(kept, once=once))

            def work_out() -> list[Array]:
                found = _of_rows(split, ahead, seen, some, stages.second, known)
                leaves = jax.tree_util.tree_leaves(found)
                return [weigh(weights, jnp.broadcast_to(leaf, TILE)) for leaf in leaves]

            value, *rest = kept(work_out, once)
            slopes, bends = rest[: own + size], rest[own + size :]
            found = [value, jnp.abs(value), *slopes[own:], *(bends[place_of(*pair)] for pair in shared)]

            def few(part: Array, *factors: list[Array]) -> tuple[list[Array], ...]:
                of = lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, part * height, height)  # noqa: E731
                through = _jacobians(split, theta, _some(rows, begin + part * height, height, of(weights)))
                return through, *(list(map(of, leaves)) for leaves in factors)

            products = repeat(trips[0], lambda i, sums: with_products(sums, *few(i, slopes, bends)), sums[1])
            gradient, *mixed = products.vectors
            gradient = repeat(trips[1], lambda i, gradient: gradient + along(*few(i, slopes)), gradient)
            plain = [so_far + more for so_far, more in zip(sums[0], found, strict=True)]
            return plain, products._replace(vectors=[gradient, *mixed])

        columns = columns_of(split.active)
        nothing = [jnp.zeros(TILE, theta.dtype)] * (2 + size + len(shared)), no_products(columns, size, theta.dtype)
        sums, products = self._summed(of_tile, nothing, theta, ahead, trips)
        return assembled([jnp.sum(one) for one in sums], products, columns, theta.size)

    def _descriptions(self, split: Split, dtype: Any) -> tuple[list[Any], Any]:
        """Describe what a row has in common with the others, and what is its own."""
        own, size = split.sizes
        number = jax.ShapeDtypeStruct((), dtype)
        one = [jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in self._rows]
        return [number] * size, ([number] * own, one, jax.eval_shape(split.of_data, one))

    def _summed(self, of_tile: Callable[..., T], nothing: T, *tools: Any) -> T:
        """Sum over all rows that are meant.

        Args:
            of_tile: ``(first row, weights, sums so far, (rows, *tools), 1) -> sums``; the 1 is none to the compiler.
            nothing: the sums of no rows.
            tools: what a tile needs beside the rows, pytrees of arrays.
        """
        tiles = jnp.int32(BLOCK // TILE)

        def loop(first: Array, end: Array, own: Array | None, rows: Any, *tools: Any) -> T:
            once = jnp.int32(1) + never_true(next(leaf for leaf in rows[0] if leaf.size))

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
            first, end = (jnp.asarray(edge, jnp.int32) for edge in self._part.block(i, BLOCK))
            return plus(*sums, self._call(loop, first, end, self._weights, rows, *tools))

        high, low = jax.lax.fori_loop(0, self._part.blocks(BLOCK), block, (nothing, nothing))
        found: T = jax.tree_util.tree_map(jnp.add, high, low)
        return found


def _some(rows: Any, begin: Array, height: int, weights: Array) -> list[Array]:
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


def _predictors(split: Split, theta: Array, leaves: list[Array], once: Array) -> list[Array]:
    """Return the rows' own predictors, (rows,) each."""
    of_row = _multiplying(lambda theta, *row: _numbers(split.of_row(theta, row)), theta, leaves, partial(_dot, once))
    return jax.vmap(partial(of_row, theta))(*leaves)


def _predictors_at_points(split: Split, points: Array, leaves: list[Array]) -> list[Array]:
    """Return the same at several points (k, m), (rows, m) each."""
    every = [None] * len(leaves)
    of_row = _multiplying(lambda theta, *row: _numbers(split.of_row(theta, row)), points[:, 0], leaves, _term_by_term)
    of_points = jax.vmap(of_row, in_axes=(-1, *every), out_axes=-1)
    return jax.vmap(of_points, in_axes=(None, *[0] * len(leaves)))(points, *leaves)


def _of_rows(
    split: Split,
    ahead: list[Array],
    own: list[Array],
    leaves: list[Array],
    stage: Callable[[list[Array], Any], Any],
    known: list[Array],
) -> Any:
    """Evaluate a stage for some rows, given what they have in common, what is known of them and their predictors."""

    def of_row(known: list[Array], own: list[Array], row: list[Array]) -> Any:
        return stage([*ahead, *known], (own, row, split.of_data(row)))

    return jax.vmap(of_row)(known, own, leaves)


def _jacobians(split: Split, theta: Array, leaves: list[Array]) -> list[Array]:
    """Return the columns of the Jacobians of the rows' own predictors, filled up, (rows, width) each."""
    columns = columns_of(split.active)
    filled = lambda row: jnp.pad(row[columns.start : columns.stop], (0, width_of(len(columns)) - len(columns)))  # noqa: E731

    def of_row(theta: Array, *row: Array) -> tuple[Array, ...]:
        predictors, pull = jax.vjp(lambda at: split.of_row(at, row), theta)
        return tuple(filled(pull(direction)[0]) for direction in jnp.eye(split.sizes[0], dtype=predictors.dtype))

    return jax.vmap(partial(_multiplying(of_row, theta, leaves, _scaled), theta))(*leaves)


def _multiplying(
    function: Callable[..., Any], theta: Array, leaves: list[Array], product: Callable[[Array, Array], Array | None]
) -> Callable[..., list[Array]]:
    """Return a function of a point and a row, in which products are done in another way.

    Args:
        function: ``(theta, *row) -> arrays``.
        theta: a point, which shows the type.
        leaves: some rows.
        product: of two factors, a scalar product or one with a number; returns None where it leaves that to JAX.
    """
    program = trace(function, theta, *(jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in leaves))

    def apply(equation: Any, values: Sequence[Any]) -> list[Any]:
        found = product(*values) if _is_plain_product(equation) else None
        return apply_equation(equation, values) if found is None else [found]

    return lambda *at: work_out(program, dict(enumerate(at)), program.results, apply=apply)


def _is_plain_product(equation: Any) -> bool:
    """Say whether this is a scalar product of two vectors or a product with a number, in one type."""
    if equation.primitive.name != "dot_general":
        return False
    contracted, batched = equation.params["dimension_numbers"]
    sizes = [variable.aval.ndim for variable in equation.invars]
    types = {variable.aval.dtype for variable in (*equation.invars, *equation.outvars)}
    scalar = sizes == [1, 1] and contracted == ((0,), (0,))
    return len(types) == 1 and not any(batched) and (scalar or min(sizes) == 0)


def _scaled(left: Array, right: Array) -> Array | None:
    """Multiply by a number, which is what a scalar product is backward."""
    return left * right if min(jnp.ndim(left), jnp.ndim(right)) == 0 else None


def _term_by_term(left: Array, right: Array) -> Array | None:
    """Return a scalar product written out."""
    if jnp.ndim(left) != 1 or jnp.ndim(right) != 1:
        return None
    return total(left[i] * right[i] for i in range(left.shape[0]))


def _dot(once: Array, left: Array, right: Array) -> Array | None:
    """Return a scalar product as some sums that do not wait for each other."""
    size = jnp.size(left)
    if jnp.ndim(left) != 1 or jnp.ndim(right) != 1 or size < 2 * APART:
        return _term_by_term(left, right)
    some = lambda leaf, i: jax.lax.slice(leaf, (i,), (i + APART,))  # noqa: E731 - of both
    rest = size - size % APART
    sums = kept(lambda: total(some(left, i) * some(right, i) for i in range(0, rest, APART)), once)
    return total([*_numbers(sums), *(left[i] * right[i] for i in range(rest, size))])


def _numbers(vector: Array) -> list[Array]:
    return [vector[i] for i in range(vector.shape[0])]

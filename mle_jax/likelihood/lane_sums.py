"""The log-likelihoods of many datasets of one shape side by side: every number a vector over the datasets (lanes).

Everything is laid out rows first and lanes last, so that each operation on a block of rows is a short vector operation
over the lanes, without a library call and without a matrix product: what a native loop over the rows can be made of
(`fitting.native`). What a row's log density computes from the data alone, the logarithm of y! for example, is worked
out once, and so are the Jacobians of its affine predictors (`likelihood.affine`), which do not depend on the point.
What it computes from the parameters alone, the gamma function of a dispersion for example, is worked out once for all
rows (`likelihood.stages`).

With the predictors z = (u, s), u = J theta + c of a row's own and s = S theta + d in common, and the derivatives h' and
h'' of its log density in z, the sums are those of `likelihood.row_sums`, written out entry by entry.
"""

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._side_by_side import (
    TOGETHER,
    Entries,
    Keeper,
    Vector,
    height_of_block,
    never_true,
    sum_blocks,
    sum_blocks_keeping,
    total,
)
from mle_jax.likelihood.affine import Split, split_always
from mle_jax.likelihood.evaluation import weigh
from mle_jax.likelihood.lane_rows import Ends, LaneRows, ReadRows, Rows, in_whole_blocks, some_rows, with_valid_rows
from mle_jax.likelihood.rows import row_layout
from mle_jax.likelihood.stages import Stages, derivatives_by_row, values_by_row, work_out_between
from mle_jax.likelihood.vector_functions import with_gamma_functions, with_vector_functions

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model

T = TypeVar("T")

LAID_OUT = 2**11
"""Rows of all lanes that are laid out together where there are weights: those after the last of them never are."""


class LaneSums(NamedTuple):
    """Sums over the rows: each a vector over the lanes."""

    value: Array  # (L,)
    magnitude: Array  # (L,)
    gradient: list[Array]  # k of (L,)
    hessian: Entries


class LaneLikelihood:
    """The log-likelihoods of L datasets as functions of L points.

    Args:
        model: a model with independent rows.
        place: what the free coordinates mean; the same for all lanes.
        data: one dataset, which shows the layout; leaves that do not count rows are meant for all lanes.
        point: one point (k,), which shows the type.
    """

    def __init__(self, model: "Model", place: Any, data: Any, point: Array) -> None:
        self._together, self._plain = TOGETHER, False
        self._layout = row_layout(data, tuple(model.constants))

        def density(theta: Array, *leaves: Array) -> Array:
            return jnp.asarray(model.log_density(place.params(theta), self._layout.with_rows(list(leaves))))

        one = [jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in self._layout.rows]
        self.split: Split = split_always(with_gamma_functions(density), point, one)
        self.size = point.size
        own, common = self.split.sizes
        self._same = own == 0 and common == point.size
        self._slopes = jax.jacfwd(self.split.shared)(point) if common else None  # S, (c, k)
        self._level = self.split.shared(jnp.zeros_like(point)) if common else None  # d, (c,)
        computed = jax.eval_shape(self.split.of_data, one)
        kept = [leaf if i in self._reads(computed) else None for i, leaf in enumerate(one)]
        number = jax.ShapeDtypeStruct((), point.dtype)
        by_row = [number] * own, kept, computed
        self._derivatives = derivatives_by_row(self.split, [number] * common, by_row)
        self._values = values_by_row(self.split, [number] * common, by_row)

    def in_blocks_of(self, together: int) -> "LaneLikelihood":
        """Return the same with so many numbers in a vector operation, at most: rows of a block times lanes.

        With more than a native loop has, operations are compiled one by one, and every loop costs time by itself: then
        all that depends on the point is worked out in one.
        """
        other = copy(self)
        other._together = together
        other._plain = together > TOGETHER
        if other._plain:
            other._derivatives = self._derivatives._replace(between=())
            other._values = self._values._replace(between=())
        return other

    def prepare(
        self, leaves: Sequence[Array] | ReadRows, weights: Array | Ends | None, room: Rows | None = None
    ) -> LaneRows:
        """Lay the rows of L datasets out, and work out what does not depend on the point.

        Args:
            leaves: those that count rows, (L, n, ...), or what reads some rows of them: rows after the last one of
                positive weight are not asked for.
            weights: (L, n), `Ends` or None.
            room: where to, if there are weights: from `make_room`, or as other datasets have left it; None to make one.
        """
        read = leaves if callable(leaves) else partial(some_rows, leaves)
        size, lanes = self._layout.size, jax.eval_shape(lambda: read(0, 1))[0].shape[0]
        height = height_of_block(size, lanes, self._together)
        if weights is None:
            whole = read(0, size)
            # Their number is no secret, but a loop of one trip (`Keeper`) must stay one for the compiler.
            never = never_true(next(leaf for leaf in whole if leaf.size))
            rows = in_whole_blocks(self._laid_out(whole, None), height, never)
            return LaneRows(rows, jnp.asarray(float(size)), jnp.int32(-(-size // height)) + never)
        # Groups of several sizes are filled up at the end: what no lane of these has need not be gone through.
        if isinstance(weights, Ends):
            used, total_weight = jnp.max(weights.counts).astype(jnp.int32), weights.counts.astype(float)
            valid = read(0, 1)
        else:
            place, there = jnp.arange(size, dtype=jnp.int32), weights > 0
            used, total_weight = jnp.max(jnp.where(there, place + 1, 0)), jnp.sum(weights, axis=1)
            spare = jnp.min(jnp.where(there, place, size - 1), axis=1)
            valid = [jax.vmap(lambda one, at: one[at])(leaf, spare)[:, None] for leaf in read(0, size)]
        step = min(max(LAID_OUT // lanes, 1), size)

        def lay(number: Array, rows: Rows) -> Rows:
            first = jnp.minimum(number * step, size - step)
            if isinstance(weights, Ends):
                own = Ends(weights.counts - first).weights(step)
            else:
                own = jax.lax.dynamic_slice_in_dim(weights, first, step, axis=1)
            some = [with_valid_rows(leaf, own, one) for leaf, one in zip(read(first, step), valid, strict=True)]
            put = lambda to, new: jax.lax.dynamic_update_slice_in_dim(to, new, first, axis=0)  # noqa: E731 - of all
            return jax.tree_util.tree_map(put, rows, self._laid_out(some, own))

        # All rows of the blocks that are gone through, or there would be those of other datasets. Where the last block
        # ends behind the last row, there are the zeros of a new room: `weigh` leaves out whatever is found for them.
        blocks = (used + height - 1) // height
        room = self.make_room(read(0, 1)) if room is None else room
        rows = jax.lax.fori_loop(0, (blocks * height + step - 1) // step, lay, room)
        return LaneRows(rows, total_weight, blocks)

    def make_room(self, leaves: Sequence[Any]) -> Rows:
        """Return zeros where rows like these, (L, ...) of them, with weights, can be laid out: whole blocks of them."""
        lanes, size = leaves[0].shape[0], self._layout.size
        height = height_of_block(size, lanes, self._together)
        one = [jax.ShapeDtypeStruct((lanes, 1, *leaf.shape[2:]), leaf.dtype) for leaf in leaves]
        shapes = jax.eval_shape(self._laid_out, one, jax.ShapeDtypeStruct((lanes, 1), jnp.result_type(float)))
        whole = -(-size // height) * height
        return jax.tree_util.tree_map(lambda leaf: jnp.zeros((whole, *leaf.shape[1:]), leaf.dtype), shapes)

    def _laid_out(self, leaves: Sequence[Array], weights: Array | None) -> Rows:
        """Return rows (L, n, ...) with the lanes last, and what is worked out from them; all of them valid."""
        own = self.split.sizes[0]
        nowhere = jnp.zeros(self.size, jnp.result_type(float))

        def of_row(*row: Array) -> tuple[Any, ...]:
            computed = tuple(self.split.of_data(row))
            if not own:
                return computed, None, None
            offset, pull = jax.vjp(lambda at: self.split.of_row(at, row), nowhere)
            directions = jnp.eye(own, dtype=offset.dtype)
            through = jax.vmap(pull)(directions)[0]
            through = jnp.stack([through[:, i] for i in self.split.active], axis=1)
            return computed, through, None if self.split.linear else offset

        turned = [jnp.moveaxis(leaf, 0, -1) for leaf in leaves]
        of_rows = with_vector_functions(jax.vmap(jax.vmap(of_row, in_axes=-1, out_axes=-1)))
        computed, through, offset = of_rows(*turned)
        reads = self._reads(computed)
        kept = tuple(leaf if i in reads else None for i, leaf in enumerate(turned))
        return Rows(kept, computed, through, offset, None if weights is None else weights.T)

    def sums(self, rows: LaneRows, at: Sequence[Array]) -> LaneSums:
        """Return the log-likelihoods at L points (k vectors over the lanes) with gradients and Hessians."""
        own, common = self.split.sizes
        ahead = self._ahead(self._derivatives, at)
        slope = range(1, 1 + own + common)
        bend = {place: i for i, place in enumerate(_triangle(own + common), start=1 + own + common)}
        # What goes into many sums is written to memory before.
        everything = range(1 + len(slope) + len(bend))
        often = [0, *slope[:own], *(i for (_, j), i in bend.items() if j < own)]
        often = list(everything) if self._plain else often
        rarely = [i for i in everything if i not in often]

        def of_block(block: Rows, keep: Keeper) -> list[Array]:
            evaluate = self._between(self._derivatives, ahead, at, block, keep)
            entries = dict(zip(often, keep(lambda: evaluate(often)), strict=True))
            entries |= dict(zip(rarely, evaluate(rarely), strict=True))
            found = [entries[0], jnp.abs(entries[0])]
            found += self._through(block, [entries[i] for i in slope], {place: entries[i] for place, i in bend.items()})
            found += [entries[i] for i in slope[own:]]
            found += [entries[i] for (_, j), i in bend.items() if j >= own]
            return found

        return self._assembled(iter(sum_blocks_keeping(of_block, rows.rows, at[0], self._together, rows.blocks)))

    def value(self, rows: LaneRows, at: Sequence[Array]) -> Array:
        """Return the log-likelihoods alone at L points, (L,)."""
        ahead = self._ahead(self._values, at)

        def of_block(block: Rows, keep: Keeper) -> list[Array]:
            evaluate = self._between(self._values, ahead, at, block, keep)
            return keep(lambda: evaluate([0]))

        return sum_blocks_keeping(of_block, rows.rows, at[0], self._together, rows.blocks)[0]

    def squares(self, rows: LaneRows, like: Array) -> list[Array]:
        """Return the sums of squared slopes of the rows' own predictors, k of (L,); [] if there is none."""
        own = range(self.split.sizes[0])
        if not own:
            return []

        def of_block(block: Rows) -> list[Array]:
            assert block.through is not None
            through = block.through
            return _weighted(block, [total(through[:, a, m] ** 2 for a in own) for m in range(len(self.split.active))])

        sums = iter(sum_blocks(of_block, rows.rows, like, self._together, rows.blocks))
        return [next(sums) if i in self.split.active else jnp.zeros_like(like) for i in range(self.size)]

    def slopes_in_common(self, like: Array) -> list[Vector]:
        """Return the gradients of the predictors in common (scales, shapes), each k vectors over the lanes."""
        places, ahead = range(self.size), range(self.split.sizes[1])
        if self._same:
            return [[jnp.full_like(like, i == c) for i in places] for c in ahead]
        return [] if self._slopes is None else [[like * 0 + self._slopes[c, i] for i in places] for c in ahead]

    def _reads(self, computed: Sequence[Any]) -> tuple[int, ...]:
        """Return which leaves are kept: something has to show how many rows there are."""
        return self.split.reads or (() if self.split.sizes[0] or computed else (0,))

    def _ahead(self, stages: Stages, at: Sequence[Array]) -> list[Array]:
        """Return what all rows of a dataset have in common, (..., L) each."""
        common = self._common(at)
        return jax.vmap(stages.first, in_axes=-1, out_axes=-1)(common) if common else []

    def _between(
        self, stages: Stages, ahead: list[Array], at: Sequence[Array], block: Rows, keep: Keeper
    ) -> Callable[[Sequence[int]], list[Array]]:
        """Work out for a block what several results need; return a function that does the rest, by weight.

        It is asked for some of the results, by number.
        """
        own = self._own(block, at)
        if stages.between:
            own = keep(lambda: own)
        known = work_out_between(stages, lambda level, known: _over_rows(level, ahead, known, own, block), keep)

        def evaluate(which: Sequence[int]) -> list[Array]:
            found: list[Array] = _over_rows(partial(stages.second, only=which), ahead, known, own, block)
            return _weighted(block, found)

        return evaluate

    def _common(self, at: Sequence[Array]) -> list[Array]:
        """Return the predictors in common, vectors over the lanes."""
        if self._same:
            return list(at)
        if self._slopes is None or self._level is None:
            return []
        ahead = range(self.split.sizes[1])
        return [self._level[c] + sum(self._slopes[c, i] * at[i] for i in range(self.size)) for c in ahead]

    def _own(self, block: Rows, at: Sequence[Array]) -> list[Array]:
        """Return the predictors of the rows of a block, (rows, L) each."""
        through, offset = block.through, block.offset
        if through is None:
            return []
        active = list(enumerate(self.split.active))
        slopes = [total(through[:, a, m] * at[i] for m, i in active) for a in range(self.split.sizes[0])]
        return slopes if offset is None else [offset[:, a] + slope for a, slope in enumerate(slopes)]

    def _through(self, block: Rows, slopes: Sequence[Array], bends: Entries) -> list[Array]:
        """Return what the own predictors add: J' h'_u, J' h''_uu J (lower triangle) and h''_su J, row by row."""
        own, common = self.split.sizes
        if block.through is None:
            return []
        through = block.through
        bend = lambda i, j: bends[max(i, j), min(i, j)]  # noqa: E731 - reads a symmetric matrix
        places = range(len(self.split.active))
        gradient = [total(through[:, a, i] * slopes[a] for a in range(own)) for i in places]
        bent = [[total(bend(a, b) * through[:, b, i] for b in range(own)) for i in places] for a in range(own)]
        hessian = [total(through[:, a, i] * bent[a][j] for a in range(own)) for i in places for j in range(i + 1)]
        mixed = [total(bend(own + c, a) * through[:, a, i] for a in range(own)) for c in range(common) for i in places]
        return gradient + hessian + mixed

    def _assembled(self, found: Any) -> LaneSums:
        """Put the sums together: gradient = J' h'_u + S' h'_s, and the Hessian likewise."""
        common, places = self.split.sizes[1], range(self.size)
        value, magnitude = next(found), next(found)
        zero = jnp.zeros_like(value)
        active = set(self.split.active)
        gradient = [next(found) if i in active else zero for i in places]
        hessian = {(i, j): next(found) if {i, j} <= active else zero for i, j in _triangle(self.size)}
        mixed = [[next(found) if i in active else zero for i in places] for _ in range(common)]
        first = [next(found) for _ in range(common)]
        second = {(c, d): next(found) for c in range(common) for d in range(c + 1)}
        if self._same:
            return LaneSums(value, magnitude, first, second)
        slopes = self._slopes
        if slopes is not None:
            bend = lambda c, d: second[max(c, d), min(c, d)]  # noqa: E731 - reads a symmetric matrix
            # Half of S' Q S + S' C + C' S, which is then added to its transpose.
            inner = [
                [mixed[c][j] + 0.5 * sum(bend(c, d) * slopes[d, j] for d in range(common)) for j in places]
                for c in range(common)
            ]
            gradient = [g + sum(slopes[c, i] * first[c] for c in range(common)) for i, g in enumerate(gradient)]
            hessian = {
                (i, j): h + sum(slopes[c, i] * inner[c][j] + slopes[c, j] * inner[c][i] for c in range(common))
                for (i, j), h in hessian.items()
            }
        return LaneSums(value, magnitude, gradient, hessian)


def _triangle(size: int) -> list[tuple[int, int]]:
    """Return the places of a lower triangle, in the order of its entries."""
    return [(i, j) for i in range(size) for j in range(i + 1)]


def _over_rows(
    stage: Callable[[list[Array], Any], Any],
    ahead: list[Array],
    known: list[Array],
    own: Sequence[Array],
    block: Rows,
) -> Any:
    """Evaluate a stage for a block, given what the rows have in common, what is known of them and their predictors."""
    of_row = lambda ahead, known, late: stage([*ahead, *known], late)  # noqa: E731
    # Rows outside, lanes inside: the other way round JAX lays the lanes out first, and everything is turned around.
    of_lanes = jax.vmap(of_row, in_axes=-1, out_axes=-1)
    of_rows = jax.vmap(of_lanes, in_axes=(None, 0, 0), axis_size=_height(block))
    return of_rows(ahead, known, (list(own), list(block.leaves), list(block.computed)))


def _weighted(block: Rows, found: list[Array]) -> list[Array]:
    """Multiply what was found of every row by its weight."""
    weights = block.weights
    if weights is None:
        return found
    return [weigh(jnp.broadcast_to(weights, leaf.shape), leaf) for leaf in found]


def _height(block: Rows) -> int:
    return int(jax.tree_util.tree_leaves(block)[0].shape[0])

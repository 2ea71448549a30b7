"""Sums over the rows: the log-likelihood with its gradient and Hessian in one pass over blocks that stay in cache.

A row enters through the few affine predictors that `affine` finds, z = (u, s): u = J theta + c of its own, s = S theta
+ d in common. With the first and second derivatives h' and h'' of its log density in z, summed over the rows,

    gradient = sum J' h'_u + S' sum h'_s
    Hessian  = sum J' h''_uu J + S' C + C' S + S' (sum h''_ss) S,    C = sum h''_su J

so that a regression costs one matrix product of its columns with themselves, and nothing of the size of the data is
written on the way. A log density without such predictors is differentiated as it is. From `MANY` rows on the sums go
block by block, the totals being carried in twice the precision: the rounding errors of the blocks do not add up.

Source: Ogita, Rump and Oishi (2005), Accurate sum and dot product, SIAM J. Sci. Comput. 26, algorithm 4.4, for the sum.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.likelihood.affine import Split, split_affine
from mle_jax.likelihood.evaluation import weigh
from mle_jax.likelihood.parts import Part, every_row
from mle_jax.likelihood.rows import row_layout
from mle_jax.likelihood.terms import Terms, plus
from mle_jax.likelihood.tile_sums import Call, Tiles

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model

MANY = 16_384
"""Rows up to which all are summed at once."""
BLOCK = 2**14
"""Numbers that the rows of a block and their predictors hold, at most: 128 kilobytes, within the cache of one core."""
BLOCK_OF_ACCELERATOR = 2**26
"""The same where a whole device sums a block: half a gigabyte, enough to keep it busy."""
LEAST = 64
"""Rows of a block at least; with few the matrix products are too small to be shared among cores that are all busy."""
LEAST_OF_MANY = 32
"""The same where each makes thousands of numbers."""
MOST = 2**22
"""Numbers that all rows may make where the Hessian is not wanted for want of room."""


class RowSums:
    """The log-likelihood of independent rows as a function of free coordinates, with derivatives.

    Args:
        model: the model, not a joint one.
        coordinates: what the free coordinates mean (`params(theta)`).
        data: the dataset.
        weights: (n,) or None; a row of weight 0 is left out, whatever it contains.
        part: which rows, where not all are meant.
        valid: a row of positive weight, where that is known; may be traced.
        call: how a loop over tiles of rows becomes a native function, where that may be done.
    """

    def __init__(
        self,
        model: "Model",
        coordinates: Any,
        data: Any,
        weights: Array | None,
        *,
        part: Part | None = None,
        valid: Array | int | None = None,
        call: Call | None = None,
    ) -> None:
        layout = row_layout(data, tuple(model.constants))

        def density(theta: Array, *leaves: Array) -> Array:
            return jnp.asarray(model.log_density(coordinates.params(theta), layout.with_rows(list(leaves))))

        self._density = density
        self._rows = tuple(jnp.asarray(leaf) for leaf in layout.rows)
        self._weights = weights
        self._size = layout.size
        self._every = part is None
        self._part = every_row(0, layout.size) if part is None else part
        self._block = BLOCK if jax.default_backend() == "cpu" else BLOCK_OF_ACCELERATOR
        # A masked row must be a valid one before it is evaluated: 0 times the gradient of a NaN is NaN.
        self._spare = None
        if weights is not None:
            self._spare = tuple(leaf[jnp.argmax(weights > 0) if valid is None else valid] for leaf in self._rows)
        rows = self._rows, self._spare, weights
        self._tiles = None if call is None else Tiles(*rows, layout.size, self._part, call)

    def value(self, theta: Array) -> tuple[Array, Array]:
        """Return the total and the sum of the absolute contributions, scalars."""
        return self._sum(lambda rows, weights: self._total(theta, rows, weights), width=0)

    def values(self, thetas: Array) -> Array:
        """Return the totals at several points (m, k), shape (m,)."""
        if self._tiles is not None and len(thetas):
            split = self._split(thetas[0])
            if self._tiles.suits(split, thetas[0]):
                return self._tiles.values(split, thetas)

        def of_block(rows: tuple[Array, ...], weights: Array | None) -> Array:
            return jax.vmap(lambda theta: self._total(theta, rows, weights)[0])(thetas)

        return self._sum(of_block, width=thetas.shape[0])

    def with_gradient(self, theta: Array) -> tuple[tuple[Array, Array], Array]:
        """Return the same, and the gradient (k,)."""

        def of_block(rows: tuple[Array, ...], weights: Array | None) -> Any:
            return jax.value_and_grad(lambda at: self._total(at, rows, weights), has_aux=True)(theta)

        return self._sum(of_block, width=0)

    def with_hessian(self, theta: Array) -> tuple[tuple[Array, Array], Array, Array]:
        """Return the same, the gradient (k,) and the Hessian (k, k)."""
        return self.with_hessian_if(theta, True)[:3]

    def with_hessian_if(
        self, theta: Array, curved: Array | bool
    ) -> tuple[tuple[Array, Array], Array, Array, Array | bool]:
        """Return the same, and whether the Hessian is one: where it is not wanted it is left out if that saves time."""
        split = self._split(theta)
        if split is None:
            return *self._sum(lambda rows, weights: self._twice(theta, rows, weights), width=theta.size), True
        common, slopes = self._common(split, theta)
        terms, curved = self._terms(split, theta, common, curved)
        if terms.common is None:
            gradient, hessian = terms.gradient, terms.hessian
        else:
            first, mixed, second = terms.common
            cross = slopes.T @ mixed
            gradient = terms.gradient + slopes.T @ first
            hessian = terms.hessian + cross + cross.T + slopes.T @ second @ slopes
        # A density may compute in another type than that of theta, which its derivatives have all the same.
        return (terms.value, terms.magnitude), gradient.astype(theta.dtype), hessian.astype(theta.dtype), curved

    def diagonal(self, theta: Array) -> Array | None:
        """Return the diagonal of the Hessian, (k,); None where there are no predictors to have it by."""
        split = self._split(theta)
        if split is None:
            return None
        common, slopes = self._common(split, theta)
        own, size = split.sizes

        def of_block(rows: tuple[Array, ...], weights: Array | None) -> Any:
            bends, through = _bends(split, theta, common, rows, weights)[1:]
            squares, mixed = jnp.zeros_like(theta), jnp.zeros((size, theta.size), theta.dtype)
            if own:
                squares = jnp.einsum("nab,nak,nbk->k", bends[:, :own, :own], through, through)
            if own and size:
                mixed = jnp.einsum("nac,nak->ck", bends[:, :own, own:], through)
            return squares, (mixed, jnp.sum(bends[:, own:, own:], axis=0)) if size else None

        tight = own * theta.size * self._size > MOST
        squares, shared = self._sum(of_block, width=own * theta.size, tight=tight)
        if shared is not None:
            mixed, both = shared
            squares = squares + jnp.sum(slopes * (2 * mixed + both @ slopes), axis=0)
        diagonal: Array = squares.astype(theta.dtype)
        return diagonal

    def _terms(
        self, split: Split, theta: Array, common: Array | None, curved: Array | bool
    ) -> tuple[Terms, Array | bool]:
        """Return the sums of all rows in terms of the predictors, and whether the Hessian is among them."""
        if self._tiles is not None and self._tiles.suits(split, theta):
            return self._tiles.terms(split, theta, common, curved), curved

        def of_block(rows: tuple[Array, ...], weights: Array | None) -> Terms:
            return _terms(split, theta, common, rows, weights)

        return self._sum(of_block, width=split.sizes[0] * theta.size), True

    def _split(self, theta: Array) -> Split | None:
        one = [jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in self._rows]
        return split_affine(self._density, theta, one)

    def _common(self, split: Split, theta: Array) -> tuple[Any, Any]:
        """Return the predictors in common, (c,), and their Jacobian (c, k); None where there are none."""
        if split.sizes[1] == 0:
            return None, None
        return split.shared(theta), jax.jacrev(split.shared)(theta)

    def _total(self, theta: Array, rows: tuple[Array, ...], weights: Array | None) -> tuple[Array, Array]:
        values = jax.vmap(lambda *row: self._density(theta, *row))(*rows)
        values = values if weights is None else weigh(weights, values)
        return jnp.sum(values), jnp.sum(jnp.abs(values))

    def _twice(self, theta: Array, rows: tuple[Array, ...], weights: Array | None) -> Any:
        """Differentiate the total of a block twice, forward over reverse, the primal work shared."""

        def gradient_first(at: Array) -> tuple[Array, tuple[Array, Array]]:
            values, gradient = jax.value_and_grad(lambda to: self._total(to, rows, weights), has_aux=True)(at)
            return gradient, values

        gradient, push, values = jax.linearize(gradient_first, theta, has_aux=True)
        return values, gradient, jax.vmap(push)(jnp.eye(theta.size, dtype=theta.dtype))

    def _sum(
        self, function: Callable[[tuple[Array, ...], Array | None], Any], *, width: int, tight: bool = False
    ) -> Any:
        """Sum a function of a block of rows, all at once or block by block.

        Args:
            function: ``(rows, weights) -> pytree of sums``.
            width: the numbers per row that it makes on the way.
            tight: keep these few, whatever the number of rows.
        """
        if self._every and self._size <= MANY and not tight:
            return function(self._valid(self._rows, self._weights), self._weights)
        numbers = width + sum(leaf[0].size for leaf in self._rows)
        height = min(max(self._block // numbers, LEAST_OF_MANY if tight else LEAST), self._size)

        def add(i: Array, sums: tuple[Any, Any]) -> tuple[Any, Any]:
            leaves, own, meant = self._rows_of_block(i, height)
            weights = meant.astype(dtype)
            if own is not None:
                weights = weights * own
                leaves = self._valid(leaves, weights)
            return plus(*sums, function(leaves, weights))

        one = tuple(leaf[:height] for leaf in self._rows)
        shapes = jax.eval_shape(function, one, None)
        dtype = jax.tree_util.tree_leaves(shapes)[0].dtype
        if self._weights is not None and jnp.result_type(dtype, self._weights.dtype) != dtype:
            dtype = jnp.result_type(dtype, self._weights.dtype)
            shapes = jax.eval_shape(function, one, jax.ShapeDtypeStruct((height,), dtype))
        nothing = jax.tree_util.tree_map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        high, low = jax.lax.fori_loop(0, (self._part.count + height - 1) // height, add, (nothing, nothing))
        return jax.tree_util.tree_map(jnp.add, high, low)

    def _rows_of_block(self, i: Array, height: int) -> tuple[tuple[Array, ...], Array | None, Array]:
        """Return the rows of a block with their weights, and which of them are meant.

        The last block begins early enough to be whole; rows that the one before had are not meant.
        """
        part = self._part

        def following(arrays: Any) -> tuple[Any, Array]:
            first = part.begin + i * height
            start = jnp.clip(first, 0, self._size - height)
            rows = start + jnp.arange(height)
            block = lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, height)  # noqa: E731 - of every leaf
            return jax.tree_util.tree_map(block, arrays), (rows >= first) & (rows < part.end)

        def apart(arrays: Any) -> tuple[Any, Array]:
            number = i * height + jnp.arange(height)
            rows = jnp.clip(part.place(number), 0, self._size - 1)
            return jax.tree_util.tree_map(lambda leaf: leaf[rows], arrays), number < part.count

        arrays = self._rows, self._weights
        if self._every:
            found, meant = following(arrays)
        else:
            found, meant = jax.lax.cond(part.length == part.step, following, apart, arrays)
        return *found, meant

    def _valid(self, leaves: tuple[Array, ...], weights: Array | None) -> tuple[Array, ...]:
        """Put a row of positive weight in place of every row of weight zero."""
        if weights is None or self._spare is None:
            return leaves
        masked = weights <= 0
        return tuple(
            jnp.where(masked.reshape(-1, *(1,) * (leaf.ndim - 1)), spare, leaf)
            for leaf, spare in zip(leaves, self._spare, strict=True)
        )


def _terms(split: Split, theta: Array, common: Array | None, rows: tuple[Array, ...], weights: Array | None) -> Terms:
    """Return the sums of a block of rows in terms of the predictors."""
    own, size = split.sizes
    (value, slopes), bends, through = _bends(split, theta, common, rows, weights)
    gradient, hessian = jnp.zeros_like(theta), jnp.zeros((theta.size, theta.size), theta.dtype)
    mixed = jnp.zeros((size, theta.size), theta.dtype)
    # No empty arrays: beside some of them XLA forgets how LAPACK is to be called (jaxlib 0.10).
    if own:
        flat = through.reshape(through.shape[0] * own, theta.size)
        bent = jnp.einsum("nab,nbk->nak", bends[:, :own, :own], through)
        gradient = slopes[:, :own].reshape(flat.shape[0]) @ flat
        hessian = bent.reshape(flat.shape).T @ flat
    if own and size:
        mixed = bends[:, :own, own:].reshape(flat.shape[0], size).T @ flat
    shared = (jnp.sum(slopes[:, own:], axis=0), mixed, jnp.sum(bends[:, own:, own:], axis=0)) if size else None
    return Terms(jnp.sum(value), jnp.sum(jnp.abs(value)), gradient, hessian, shared)


def _bends(
    split: Split, theta: Array, common: Array | None, rows: tuple[Array, ...], weights: Array | None
) -> tuple[tuple[Array, Array], Array, Any]:
    """Return the derivatives of b rows in terms of the predictors, weighted, and the Jacobians of those of the row.

    Returns:
        values (b,) and slopes (b, a + c); second derivatives (b, a + c, a + c); Jacobians (b, a, k), not weighted, or
        None.
    """
    own, size = split.sizes
    directions = jnp.eye(own + size, dtype=theta.dtype)
    # What is in common stays apart, so that it is not worked out anew for every row.
    parts = [part for part, count in ((slice(0, own), own), (slice(own, None), size)) if count]

    def derivatives(z: Array | None, *row: Array) -> tuple[Array, Array, Array]:
        at = [value for value in (z, common) if value is not None]

        def density(*some: Array) -> Array:
            both = iter(some)
            return split.outer(next(both) if own else None, next(both) if size else None, row)

        def gradient_first(*some: Array) -> tuple[Array, Array]:
            value, slopes = jax.value_and_grad(density, tuple(range(len(some))))(*some)
            return jnp.concatenate(slopes), value

        # A density with a rule of its own (`jax.custom_vjp`) knows no `jvp`, which would be traced sooner.
        slopes, push, value = jax.linearize(gradient_first, *at, has_aux=True)
        basis = (directions[:, part].astype(value_at.dtype) for part, value_at in zip(parts, at, strict=True))
        return value, slopes, jax.vmap(push)(*basis)

    def jacobian(*row: Array) -> Array:
        predictors, pull = jax.vjp(lambda at: split.of_row(at, row), theta)
        through: Array = jax.vmap(pull)(directions[:own, :own].astype(predictors.dtype))[0]
        return through

    through = None
    if own:
        predictors = jax.vmap(lambda *row: split.of_row(theta, row))(*rows)
        found = jax.vmap(derivatives)(predictors, *rows)
        through = jax.vmap(jacobian)(*rows)
    else:
        found = jax.vmap(lambda *row: derivatives(None, *row))(*rows)
    value, slopes, bends = found if weights is None else (weigh(weights, leaf) for leaf in found)
    return (value, slopes), bends, through

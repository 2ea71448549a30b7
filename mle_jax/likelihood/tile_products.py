"""Products of few rows with the Jacobians of their own predictors, added up by vectors: J' h'_u, h''_su J, J' h''_uu J.

Of a product only the lower triangle is summed, in strips of rows, each as wide as its last row needs and filled up to
whole vectors. Coordinates on which no predictor of a row depends, a scale say, have no column (`columns_of`), unless
there are so many coordinates that `likelihood.affine` does not tell them apart.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from mle_jax._side_by_side import total
from mle_jax.likelihood.terms import Terms

VECTOR = 4
"""Columns are filled up by zeros to a multiple: parts of vectors are slow to read and write."""
STRIP = 4
"""Rows of the Hessian that end in the same column."""


class Products(NamedTuple):
    """Sums of products with the Jacobians of the rows' own predictors.

    Attributes:
        vectors: J' h'_u, and h''_su J for every predictor in common, (width,) each.
        strips: the lower triangle of J' h''_uu J, as `_strips` cuts it.
    """

    vectors: list[Array]
    strips: list[Array]


def columns_of(active: Sequence[int]) -> range:
    """Return the coordinates that have a column: from the first to the last on which a predictor depends, in a piece.

    One between them on which none does is rare: it has a column of zeros.
    """
    return range(active[0], active[-1] + 1)


def width_of(columns: int) -> int:
    """Return how many columns are read and written for so many: whole vectors, or as few as a shorter one has."""
    return -(-columns // VECTOR) * VECTOR if columns > 2 else columns


def place_of(i: int, j: int) -> int:
    """Return where an entry of a symmetric matrix is in the list of its lower triangle."""
    return max(i, j) * (max(i, j) + 1) // 2 + min(i, j)


def no_products(columns: range, common: int, dtype: Any) -> Products:
    """Return the sums of no rows, with these columns and so many predictors in common."""
    strips = [jnp.zeros((high - low, width_of(high)), dtype) for low, high in _strips(len(columns))]
    return Products([jnp.zeros(width_of(len(columns)), dtype)] * (1 + common), strips)


def with_products(sums: Products, through: list[Array], slopes: list[Array], bends: list[Array]) -> Products:
    """Add what some rows' own predictors contribute: J' h'_u, h''_su J and J' h''_uu J.

    Args:
        sums: so far.
        through: J of every predictor of their own, (rows, width) each.
        slopes: h' in all predictors, those in common last, (rows,) each.
        bends: the lower triangle of h'', likewise.
    """
    own = len(through)
    each = _each(through)
    mixed = [along(through, [bends[place_of(c, a)] for a in range(own)]) for c in range(own, len(slopes))]

    def strip(low: int, high: int) -> Array:
        bent = [total(bends[place_of(a, b)][r] * through[b][r, low:high] for b in range(own)) for r, a in each]
        return total(left[:, None] * through[a][r, : width_of(high)] for left, (r, a) in zip(bent, each, strict=True))

    vectors = [so_far + more for so_far, more in zip(sums.vectors, [along(through, slopes), *mixed], strict=True)]
    edges = _strips(sum(so_far.shape[0] for so_far in sums.strips))
    return Products(vectors, [so_far + strip(*at) for so_far, at in zip(sums.strips, edges, strict=True)])


def along(through: list[Array], factors: list[Array]) -> Array:
    """Return J' times a factor for every predictor of some rows, (width,)."""
    return total(through[a][r] * factors[a][r] for r, a in _each(through))


def assembled(sums: list[Array], products: Products, columns: range, size: int) -> Terms:
    """Put the sums together: among zeros, where a coordinate has no column.

    Args:
        sums: of the values, their sizes, the slopes in the predictors in common, and the triangle of their bends.
        products: with the Jacobians of the others.
        columns: of these.
        size: the number of all coordinates.
    """
    value, magnitude, *in_common = sums
    around = columns.start, size - columns.stop
    gradient, *mixed = (jnp.pad(vector[: len(columns)], around) for vector in products.vectors)
    width = width_of(len(columns))
    whole = [jnp.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in products.strips]
    lower = jnp.tril(jnp.concatenate(whole)[:, : len(columns)])
    hessian = jnp.pad(lower + jnp.tril(lower, -1).T, (around, around))
    common = len(mixed)
    if not common:
        return Terms(value, magnitude, gradient, hessian, None)
    second = [[in_common[common + place_of(c, d)] for d in range(common)] for c in range(common)]
    first = jnp.stack(in_common[:common])
    return Terms(value, magnitude, gradient, hessian, (first, jnp.stack(mixed), jnp.asarray(second)))


def _strips(size: int) -> list[tuple[int, int]]:
    """Return which rows of the Hessian are taken together; all of them end in the last one's column."""
    return [(low, min(low + STRIP, size)) for low in range(0, size, STRIP)]


def _each(through: list[Array]) -> list[tuple[int, int]]:
    """Return every row with each of its own predictors."""
    return [(r, a) for r in range(through[0].shape[0]) for a in range(len(through))]

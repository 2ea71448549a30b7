"""Symmetric matrices known by their products with vectors: linear equations, and the smallest eigenvalues.

No matrix is stored. Both methods expect a matrix that is scaled by its diagonal, so that the units of the coordinates
do not matter and no other preconditioner is needed.

What they can tell: a Ritz value of Lanczos' method is a Rayleigh quotient, so it is never below the smallest
eigenvalue, and some eigenvalue is within its residual. That no other eigenvalue is smaller follows from no number of
products; a start without a pattern makes it unlikely. The energy x'Ax of conjugate gradients never exceeds that of the
solution, and lacks at most the squared residual over the smallest eigenvalue.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._lapack import eigh

BASIS = 48
"""Vectors that Lanczos' method keeps, orthogonal to each other to rounding."""
KEPT = 12
"""Of those, the ones that belong to the smallest eigenvalues, with which it begins again."""
ROUNDS = 30
"""How often it begins at most: 48 products the first time, 36 every other, 1092 in all."""
ACCURACY = 0.01
"""Of the smallest eigenvalue: an error that is small enough."""
RESIDUAL = 1e-9
"""Of the right side: where conjugate gradients end."""
MOST_PRODUCTS = 3000
"""Of conjugate gradients; the residual tells what is missing then."""

Product = Callable[[Array], Array]


class Lowest(NamedTuple):
    """The lower end of the spectrum of a k-by-k matrix, by Lanczos' method (r vectors)."""

    values: Array  # (r,) Ritz values, ascending: each at least the eigenvalue of its rank
    vectors: Array  # (k, r) of length 1, orthogonal
    error: Array  # () an eigenvalue is within this of the first
    root: Array  # (k,) about A^-1/2 z, z without a pattern and of length 1: all eigenvectors take part about alike
    products: Array  # () int32


class Solved(NamedTuple):
    """An approximate solution of A x = b by conjugate gradients."""

    solution: Array  # (k,)
    residual: Array  # (k,) b - A x
    bent: Array  # () bool: a direction was met in which the matrix is not positive, and the search ended there
    direction: Array  # (k,) the last direction
    curvature: Array  # () its Rayleigh quotient
    products: Array  # () int32


class _Basis(NamedTuple):
    vectors: Array  # (k, m + 1), columns; those not yet known are 0
    projected: Array  # (m, m)
    beyond: Array  # () how far the product of the last vector reaches out of the others


class _Ritz(NamedTuple):
    basis: _Basis
    values: Array  # (m,)
    inner: Array  # (m, m)
    error: Array
    root: Array
    rounds: Array


def lowest_eigenvalues(product: Product, size: int, dtype: jnp.dtype, *, floor: float) -> Lowest:
    """Return the lower end of a spectrum: Lanczos' method with full reorthogonalization and thick restarts.

    It ends where the error of the smallest Ritz value is below a hundredth of it or below the floor, or after `ROUNDS`.

    Args:
        product: of the symmetric matrix with a vector (k,).
        size: k.
        dtype: of the vectors.
        floor: eigenvalues of this size are nothing but rounding.

    Reference:
        Wu and Simon (2000), Thick-restart Lanczos method for large symmetric eigenvalue problems, SIAM J. Matrix
        Anal. Appl. 22; Parlett (1998), The Symmetric Eigenvalue Problem, theorem 4.5.1, for the residual.
    """
    wide, kept = min(BASIS, size), min(KEPT, size)
    most = ROUNDS if wide < size else 1  # then the vectors span everything

    def unfinished(now: _Ritz) -> Array:
        return (now.error > jnp.maximum(ACCURACY * jnp.abs(now.values[0]), floor)) & (now.rounds < most)

    def round_(now: _Ritz) -> _Ritz:
        first = now.rounds == 0
        grown = jax.lax.fori_loop(
            jnp.where(first, 0, kept), wide, lambda j, basis: _extend(product, basis, j), _begun_again(now, kept)
        )
        values, inner = eigh(grown.projected)
        shares = jnp.where(values > floor, inner[0] / jnp.sqrt(jnp.maximum(values, floor)), 0.0)
        root = jnp.where(first, grown.vectors[:, :wide] @ (inner @ shares), now.root)
        return _Ritz(grown, values, inner, grown.beyond * jnp.abs(inner[-1, 0]), root, now.rounds + 1)

    begin = jnp.zeros((size, wide + 1), dtype).at[:, 0].set(_unit(_arbitrary(size, jnp.zeros((), dtype))))
    nothing = jnp.zeros((wide, wide), dtype)
    unknown = jnp.zeros((), dtype) + jnp.inf
    start = _Ritz(_Basis(begin, nothing, unknown), nothing[0], nothing, unknown, jnp.zeros(size, dtype), jnp.int32(0))
    found: _Ritz = jax.lax.while_loop(unfinished, round_, start)
    vectors = found.basis.vectors[:, :wide] @ found.inner[:, :kept]
    return Lowest(found.values[:kept], vectors, found.error, found.root, wide + (found.rounds - 1) * (wide - kept))


def _begun_again(now: _Ritz, kept: int) -> _Basis:
    """Keep the lowest Ritz vectors and the vector that would have been next; before the first round change nothing."""
    old, wide = now.basis, now.values.size
    vectors = jnp.zeros_like(old.vectors).at[:, :kept].set(old.vectors[:, :wide] @ now.inner[:, :kept])
    vectors = vectors.at[:, min(kept, wide)].set(old.vectors[:, wide])
    projected = jnp.diag(jnp.where(jnp.arange(wide) < kept, now.values, 0.0))
    again = _Basis(vectors, projected, old.beyond)
    return jax.tree_util.tree_map(lambda one, other: jnp.where(now.rounds == 0, one, other), old, again)


def _extend(product: Product, basis: _Basis, j: Array) -> _Basis:
    """Multiply the j-th vector, project what comes out on all vectors, and make the rest the next one."""
    vectors = basis.vectors
    image = product(vectors[:, j])
    inside = vectors.T @ image
    rest = image - vectors @ inside
    again = vectors.T @ rest  # what rounding has left in
    rest = rest - vectors @ again
    inside = (inside + again)[:-1]
    beyond = jnp.sqrt(jnp.sum(rest**2))
    # The vectors so far span what the matrix makes of them: go on with any other.
    closed = beyond <= 10 * jnp.finfo(rest.dtype).eps * jnp.sqrt(jnp.sum(image**2))
    rest = jnp.where(closed, _arbitrary(rest.size, (j + 1).astype(rest.dtype)), rest)
    for _ in range(2):
        rest = _unit(rest - vectors @ (vectors.T @ rest))
    projected = basis.projected.at[j].set(inside).at[:, j].set(inside)
    return _Basis(vectors.at[:, j + 1].set(rest), projected, jnp.where(closed, 0.0, beyond))


def _arbitrary(size: int, number: Array) -> Array:
    """Return a vector (k,) of numbers without a pattern between -1/2 and 1/2, the same in every run."""
    mixed = jnp.sin((jnp.arange(size) + 1.0).astype(number.dtype) * (12.9898 + number)) * 43758.5453
    return mixed - jnp.floor(mixed) - 0.5


def solve_by_products(
    product: Product, right: Array, *, residual: float = RESIDUAL, most: int = MOST_PRODUCTS
) -> Solved:
    """Solve A x = b by conjugate gradients, from 0.

    Args:
        product: of the symmetric matrix with a vector (k,).
        right: b, (k,).
        residual: of the length of b, where to end.
        most: products at most.

    Reference:
        Golub and Van Loan (2013), Matrix Computations, 4th edition, algorithm 11.3.3.
    """
    enough = residual**2 * jnp.sum(right**2)

    def unfinished(now: tuple[Solved, Array]) -> Array:
        return ~now[0].bent & (now[1] > enough) & (now[0].products < most)

    def iterate(now: tuple[Solved, Array]) -> tuple[Solved, Array]:
        known, square = now
        image = product(known.direction)
        bend = known.direction @ image
        bent = ~(bend > 0)
        length = jnp.where(bent, 0.0, square / jnp.where(bent, 1.0, bend))
        rest = known.residual - length * image
        after = jnp.sum(rest**2)
        direction = jnp.where(bent, known.direction, rest + after / square * known.direction)
        curvature = bend / jnp.sum(known.direction**2)
        solution = known.solution + length * known.direction
        return Solved(solution, rest, bent, direction, curvature, known.products + 1), after

    still = jnp.zeros_like(right)
    begin = Solved(still, right, jnp.asarray(False), right, jnp.ones((), right.dtype), jnp.int32(0))
    return jax.lax.while_loop(unfinished, iterate, (begin, jnp.sum(right**2)))[0]


def _unit(vector: Array) -> Array:
    length = jnp.sqrt(jnp.sum(vector**2))
    return vector / jnp.where(length > 0, length, 1.0)

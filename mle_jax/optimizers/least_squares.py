"""Least squares, exactly: a plain function that a model's `closed_form` calls."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._lapack import one_by_one, qr, svd, triangle
from mle_jax._linalg import rounding_floor
from mle_jax._precision import at_highest_precision
from mle_jax._side_by_side import TOGETHER, Entries, Vector, cholesky, solve, sum_blocks, total
from mle_jax.optimizers._row_blocks import BLOCK, block_of

MOST_COLUMNS = 10
"""Up to so many the normal equations are written out entry by entry."""
OF_RANGE = 0.65
"""Sums of squares have all their digits between these powers of the smallest and the largest number."""


@at_highest_precision
def solve_least_squares(x: Array, y: Array, weights: Array | None = None) -> Array:
    """Minimize ``sum_i w_i (y_i - <x_i, b>)^2`` over b; of several minimizers return the shortest.

    A single problem never forms X'X, which would square the condition: the columns are scaled by powers of two (exact),
    the rows by sqrt(w_i), then X = QR and R = U diag(s) V'. Singular values below 100 p eps s_1 are rounding errors of
    zero, and their directions stay at zero (in the scaled columns). One step of iterative refinement with recomputed
    residuals follows. Traceable; works in the floating dtype of its arguments. Of many designs under `vmap`, those that
    are far from collinear are solved side by side, by X'X and one such step, where that step shows that no digits are
    lost.

    Args:
        x: the design, shape (n, p).
        y: the response, shape (n,).
        weights: shape (n,), at least 0, or None; rows of weight zero are left out, whatever they contain.

    Returns:
        The coefficients b, shape (p,); always finite for finite input, also where columns are collinear.

    Reference:
        Higham (2002), Accuracy and Stability of Numerical Algorithms, sections 20.1-20.5; Golub and Van Loan (2013),
        Matrix Computations, section 5.5 (the minimum-norm solution).

    Example:
        >>> import jax.numpy as jnp
        >>> from mle_jax.optimizers.least_squares import solve_least_squares
        >>> x = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
        >>> [round(float(b), 4) for b in solve_least_squares(x, jnp.array([1.0, 2.0, 6.0]))]
        [0.5, 2.5]
    """
    dtype = jnp.result_type(x, y)
    dtype = dtype if jnp.issubdtype(dtype, jnp.floating) else jnp.dtype(float)
    x, y = jnp.asarray(x, dtype), jnp.asarray(y, dtype)
    if weights is not None:
        rows = jnp.sqrt(weights)
        x = jnp.where(weights[:, None] > 0, x, 0.0) * rows[:, None]
        y = jnp.where(weights > 0, y, 0.0) * rows
    # Beyond that the factorizations alone look after lanes.
    return (_solve_few_columns if 0 < x.shape[1] <= MOST_COLUMNS else _orthogonally)(x, y)


def _many(x: Array, y: Array) -> Array:
    """Solve many problems, (B, n, p) and (B, n): by their normal equations where that costs no digits."""
    found, sound = jax.vmap(_by_normal_equations)(x, y)
    solution: Array = jax.lax.cond(
        jnp.all(sound), lambda sound, found, x, y: found, jax.vmap(_orthogonally_unless), sound, found, x, y
    )
    return solution


@one_by_one  # so that, on a CPU, only those lanes are solved that have to be
def _orthogonally_unless(sound: Array, found: Array, x: Array, y: Array) -> Array:
    solution: Array = jax.lax.cond(sound, lambda: found, lambda: _orthogonally(x, y))
    return solution


@at_highest_precision
def _by_normal_equations(x: Array, y: Array) -> tuple[Array, Array]:
    """Solve X'X b = X'y, refined once, and say whether that is as good as `_orthogonally`."""
    columns = range(x.shape[1])
    unit = _power_of_two_above(jnp.max(jnp.abs(x), axis=0))  # squares must neither overflow nor vanish
    x = x / unit
    gram = x.T @ x
    found, sound = _refined(
        {(i, j): gram[i, j] for i in columns for j in range(i + 1)},
        list(y @ x),
        lambda first: list((y - x @ jnp.stack(first)) @ x),
    )
    return jnp.stack(found) / unit, sound


@at_highest_precision
def _in_native_loop(x: Array, y: Array) -> tuple[Array, Array]:
    """Do what `_by_normal_equations` does to many problems with the lanes last, (n, p, L) and (n, L)."""
    columns = range(x.shape[1])
    places = [(i, j) for i in columns for j in range(i + 1)]

    def summed(function: Callable[[Array, Array], list[Array]]) -> list[Array]:
        return sum_blocks(lambda block: function(*block), (x, y), y[0], TOGETHER)

    def products(x: Array, y: Array) -> list[Array]:
        return [x[:, i] * x[:, j] for i, j in places] + [x[:, i] * y for i in columns]

    def of_residuals(first: Vector) -> Vector:
        def of_block(x: Array, y: Array) -> list[Array]:
            residual = y - total(x[:, i] * first[i] for i in columns)
            return [x[:, i] * residual for i in columns]

        return summed(of_block)

    sums = summed(products)
    gram = dict(zip(places, sums, strict=False))
    found, sound = _refined(gram, sums[len(places) :], of_residuals)
    limits = jnp.finfo(x.dtype)
    for i in columns:
        sound &= (gram[i, i] > limits.tiny**OF_RANGE) & (gram[i, i] < limits.max**OF_RANGE)
    return jnp.stack(found), sound


def _refined(gram: Entries, right: Vector, of_residuals: Callable[[Vector], Vector]) -> tuple[Vector, Array]:
    """Solve the normal equations, refined once, and say whether that is as good as `_orthogonally`.

    The pivots of X'X, scaled by its diagonal, have to be above eps^0.4 (5e-7), and the refinement, which is the error
    of the first solution, below sqrt(eps) of it: that of the second is its square.

    Args:
        gram: X'X.
        right: X'y.
        of_residuals: returns X'(y - X b) of a solution b.
    """
    columns, eps = range(len(right)), jnp.finfo(right[0].dtype).eps
    sizes = [jnp.sqrt(gram[i, i]) for i in columns]
    scales = [jnp.where(size > 0, size, 1.0) for size in sizes]
    factor = cholesky({(i, j): entry / scales[i] / scales[j] for (i, j), entry in gram.items()})

    def step(right: Vector) -> Vector:
        scaled = solve(factor, [entry / scale for entry, scale in zip(right, scales, strict=True)])
        return [entry / scale for entry, scale in zip(scaled, scales, strict=True)]

    first = step(right)
    second = step(of_residuals(first))
    largest = lambda entries: functools.reduce(jnp.maximum, entries)  # noqa: E731 - of several vectors
    scaled = lambda vector: largest(jnp.abs(entry * scale) for entry, scale in zip(vector, scales, strict=True))  # noqa: E731
    small = scaled(second) <= eps**0.5 * scaled(first)
    found = [one + other for one, other in zip(first, second, strict=True)]
    # The diagonal of the factor holds 1/sqrt(pivot).
    regular = factor.definite & (largest(factor.lower[i, i] for i in columns) < eps**-0.2)
    return found, regular & small & jnp.isfinite(total(found))


@at_highest_precision
def _orthogonally(x: Array, y: Array) -> Array:
    scale = _power_of_two_above(jnp.sqrt(jnp.sum(x**2, axis=0)))
    scaled = x / scale
    q, r = qr(scaled)
    u, inverse, vt = _pseudo_inverse(r)

    def step(right: Array) -> Array:
        return vt.T @ (inverse * (u.T @ (q.T @ right)))

    first = step(y)
    return (first + step(y - scaled @ first)) / scale


_solve_few_columns = one_by_one(_orthogonally, together=_many, native=_in_native_loop)


def column_basis(x: Array) -> Array:
    """Return T, shape (p, min(n, p)), such that the columns of X T are orthonormal, or 0 where X lacks rank.

    Every vector of coefficients b = T beta is the shortest (in columns of equal length) of all that give the same X b.
    """
    scale = _power_of_two_above(jnp.sqrt(jnp.sum(x**2, axis=0)))
    _, inverse, vt = _pseudo_inverse(_triangle(x, scale))
    return vt.T * inverse / scale[:, None]


def _triangle(x: Array, scale: Array) -> Array:
    """Return R of X / scale = QR; of many rows block by block, each below the R of those before it.

    Besides saving memory, this keeps the column order that LAPACK wants away from the whole of X.

    Reference:
        Golub and Van Loan (2013), Matrix Computations, section 5.1.
    """
    count, columns = x.shape
    if count <= 2 * BLOCK:
        return triangle(x / scale)

    def add(i: Array, r: Array) -> Array:
        part, new = block_of(x, i)
        return triangle(jnp.concatenate([r, jnp.where(new[:, None], part, 0.0) / scale]))

    return jax.lax.fori_loop(0, -(-count // BLOCK), add, jnp.zeros((columns, columns), x.dtype))


def _pseudo_inverse(r: Array) -> tuple[Array, Array, Array]:
    """Return U, 1 / s and V' of R = U diag(s) V', with 0 for 1 / s where s is a rounding error of zero."""
    u, values, vt = svd(r)
    kept = values > rounding_floor(r.shape[1], r.dtype) * jnp.max(values)
    return u, jnp.where(kept, 1.0 / jnp.where(kept, values, 1.0), 0.0), vt


def _power_of_two_above(sizes: Array) -> Array:
    """Return 2^k with sizes in [2^(k-1), 2^k), by which one may divide without rounding; 1 for a size of zero."""
    _, exponents = jnp.frexp(sizes)
    return jnp.ldexp(jnp.ones_like(sizes), exponents)

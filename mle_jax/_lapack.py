"""Factorizations of matrices that may be under `vmap`: there, on a CPU, one matrix after another.

Of a batch of matrices jaxlib 0.10 makes tasks for XLA's threads, and lets the thread that it runs on, one of them, wait
until they are done. Where two programs, or two operations of one, do so at once on two cores, every thread waits and
nothing goes on: the process hangs. One matrix at a time needs no tasks. On a GPU a batch is fast, and stays one.

Derivatives are those of JAX, which work on batches again, but for `cholesky`, `inverse` and `inverse_lower`.

Source: jaxlib/cpu/lapack_kernels.cc of JAX 0.10.2, `ParallelBatchMap`; that of 0.11.2 does without threads.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import jax.scipy.linalg
from jax import Array
from jax.custom_batching import custom_vmap

R = TypeVar("R")
_NATIVE = "in_native_loops"


def one_by_one(
    function: Callable[..., R], *, together: Callable[..., R] | None = None, native: Callable[..., Any] | None = None
) -> jax.custom_jvp[R]:
    """Return the function of arrays such that lanes under `vmap` are taken one after another on a CPU.

    Its derivative is JAX's, which works on batches again; `defjvp` puts another in its place.

    Args:
        function: of arrays.
        together: the same of many lanes, for where all arguments differ between them, if there is a better way.
        native: the same of many lanes, which are the last axis of everything, for native loops, which can call no
            library; with it, it returns which of the lanes are done as well (`native_form` finds this function).
    """
    alone: Any = custom_vmap(function)

    def rule(size: int, batched: list[bool], *arguments: Array) -> tuple[Any, Any]:
        own = [argument for argument, mapped in zip(arguments, batched, strict=True) if mapped]
        if not own:
            found = alone(*arguments)
            return found, jax.tree_util.tree_map(lambda _: False, found)
        if together is not None and len(own) == len(arguments):
            found = together(*arguments)
            return found, jax.tree_util.tree_map(lambda _: True, found)

        def join(own: list[Array]) -> list[Array]:
            lanes = iter(own)
            return [next(lanes) if mapped else a for a, mapped in zip(arguments, batched, strict=True)]

        found = jax.lax.platform_dependent(
            own,
            cpu=lambda own: jax.lax.map(lambda one: alone(*join(one)), own),
            default=lambda own: jax.vmap(lambda one: function(*join(one)))(own),
        )
        return found, jax.tree_util.tree_map(lambda _: True, found)

    vars(rule)[_NATIVE] = native
    alone.def_vmap(rule)

    @jax.custom_jvp
    def call(*arguments: Array) -> R:
        found: R = alone(*arguments)
        return found

    @call.defjvp
    def derivative(primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[R, R]:
        return jax.jvp(function, primals, tangents)

    return call


def native_form(equation: Any) -> Callable[..., Any] | None:
    """Return what an equation does to many lanes, the last axis, in a native loop; None if that is not known."""
    # custom_vmap keeps what the rule carries along.
    return getattr(equation.params.get("rule"), _NATIVE, None)


@one_by_one
def eigh(matrix: Array) -> tuple[Array, Array]:
    """Return the eigenvalues (k,), ascending, and eigenvectors (k, k), columns, of a symmetric matrix."""
    values, vectors = jnp.linalg.eigh(matrix)
    return values, vectors


@one_by_one
def qr(matrix: Array) -> tuple[Array, Array]:
    """Return Q (m, r) and R (r, n), r = min(m, n), of a matrix (m, n)."""
    q, r = jnp.linalg.qr(matrix)
    return q, r


@one_by_one
def triangle(matrix: Array) -> Array:
    """Return R (min(m, n), n) of a matrix (m, n) = Q R."""
    return jnp.linalg.qr(matrix, mode="r")


@one_by_one
def svd(matrix: Array) -> tuple[Array, Array, Array]:
    """Return U (m, r), singular values (r,), descending, and V' (r, n), r = min(m, n), of a matrix (m, n)."""
    u, values, vt = jnp.linalg.svd(matrix, full_matrices=False)
    return u, values, vt


@one_by_one
def solve(matrix: Array, right: Array) -> Array:
    """Return the solution of ``matrix @ solution = right``."""
    return jnp.linalg.solve(matrix, right)


@one_by_one
def solve_lower(factor: Array, right: Array) -> Array:
    """Return the solution of ``factor @ solution = right``, for a lower triangle."""
    return jax.scipy.linalg.solve_triangular(factor, right, lower=True)


@one_by_one
def solve_factored(factor: Array, right: Array) -> Array:
    """Return the solution of ``factor @ factor.T @ solution = right``, for a lower triangle."""
    return jax.scipy.linalg.cho_solve((factor, True), right)


@one_by_one
def inverse(matrix: Array) -> Array:
    """Return the inverse of a matrix (k, k), differentiable in both modes."""
    return jnp.linalg.inv(matrix)


@inverse.defjvp
def _inverse_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    found = inverse(*primals)
    return found, -found @ tangents[0] @ found


@one_by_one
def cholesky(matrix: Array) -> Array:
    """Return the lower Cholesky factor (k, k), differentiable in both modes; NaN where there is none."""
    return jnp.linalg.cholesky(matrix)


@cholesky.defjvp
def _cholesky_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # L^-1 dA L^-T = L^-1 dL + (L^-1 dL)', of which the first is a lower triangle.
    factor, change = cholesky(*primals), 0.5 * (tangents[0] + tangents[0].T)
    back = inverse(factor)
    both = back @ change @ back.T
    return factor, factor @ (jnp.tril(both, -1) + 0.5 * jnp.diag(jnp.diagonal(both)))


@one_by_one
def inverse_lower(lower: Array) -> Array:
    """Return the inverse of a lower triangle (k, k)."""
    return jax.scipy.linalg.solve_triangular(lower, jnp.eye(len(lower), dtype=lower.dtype), lower=True)


@inverse_lower.defjvp
def _inverse_lower_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    found = inverse_lower(*primals)
    return found, -found @ jnp.tril(tangents[0]) @ found

"""Conjugate gradients and Lanczos' method against NumPy's dense decompositions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mle_jax._krylov import BASIS, lowest_eigenvalues, solve_by_products

K = 200


def scaled(matrix):
    units = np.sqrt(np.abs(np.diag(matrix)))
    return matrix / units / units[:, None]


def products_of_rows(rows, size=K):
    x = np.random.default_rng(0).normal(size=(rows, size))
    return scaled(x.T @ x)


def chain(size=K):
    """The second differences, whose eigenvalues are 2 sin(j pi / (2 k + 2))^2."""
    return np.eye(size) - 0.5 * np.eye(size, k=1) - 0.5 * np.eye(size, k=-1)


@jax.jit
def lowest_of(matrix):
    return lowest_eigenvalues(lambda vector: matrix @ vector, matrix.shape[0], matrix.dtype, floor=1e-12)


@jax.jit
def solve(matrix, right):
    return solve_by_products(lambda vector: matrix @ vector, right)


MATRICES = {
    "many rows": products_of_rows(2000),
    "few more rows than columns": products_of_rows(230),
    "fewer rows than columns": products_of_rows(150),
    "slowly varying": chain(),
    "one coordinate without effect": np.diag(np.r_[0.0, np.ones(K - 1)]),
    "identity": np.eye(K),
    "indefinite": products_of_rows(2000) - 0.6 * np.eye(K),
}


@pytest.mark.parametrize("name", MATRICES)
def test_the_smallest_eigenvalue_is_bounded_on_both_sides(name):
    matrix = MATRICES[name]
    with jax.enable_x64(True):
        found = jax.tree_util.tree_map(np.asarray, lowest_of(matrix))
    exact = np.linalg.eigvalsh(matrix)
    rounding = 1e-13  # of a matrix with norm about 2, times some digits
    ranks = exact[: found.values.size]
    assert np.all(found.values >= ranks - rounding)  # Cauchy's interlacing
    assert np.min(np.abs(exact - found.values[0])) <= found.error + rounding
    assert found.error <= max(0.01 * abs(found.values[0]), 1e-12)
    assert found.values[0] == pytest.approx(exact[0], rel=0.01, abs=1e-12)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(found.values.size), atol=1e-12)
    lowest = found.vectors[:, 0]
    assert np.linalg.norm(matrix @ lowest - found.values[0] * lowest) <= found.error + rounding


def test_few_coordinates_are_decomposed_completely():
    matrix = products_of_rows(9, size=5)
    with jax.enable_x64(True):
        found = lowest_of(matrix)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(matrix), rtol=1e-12)
    assert int(found.products) == 5


def test_the_root_gives_all_eigenvectors_a_share():
    matrix = MATRICES["many rows"]
    with jax.enable_x64(True):
        root = np.asarray(lowest_of(matrix).root)
    values, vectors = np.linalg.eigh(matrix)
    shares = (vectors.T @ root) ** 2 * values
    # |z|^2 = 1 in coordinates without a pattern: every share is that of a squared uniform number, 1/k on average.
    assert shares.sum() == pytest.approx(1.0, rel=1e-8)
    assert np.mean(shares > 0.01 / K) > 0.8


def test_equations_are_solved():
    matrix, solution = MATRICES["few more rows than columns"], np.random.default_rng(1).normal(size=K)
    with jax.enable_x64(True):
        found = solve(matrix, matrix @ solution)
    assert not found.bent
    condition = np.linalg.cond(matrix)
    np.testing.assert_allclose(found.solution, solution, atol=1e-9 * condition)
    np.testing.assert_allclose(found.residual, matrix @ (solution - np.asarray(found.solution)), atol=1e-12)


def test_consistent_equations_without_full_rank_are_solved_by_the_shortest_solution():
    matrix = MATRICES["fewer rows than columns"]
    right = matrix @ np.random.default_rng(2).normal(size=K)
    with jax.enable_x64(True):
        found = solve(matrix, right)
    np.testing.assert_allclose(found.solution, np.linalg.pinv(matrix, rcond=1e-10) @ right, atol=1e-6)


def test_negative_curvature_is_reported_with_its_direction():
    matrix = MATRICES["indefinite"]
    with jax.enable_x64(True):
        found = solve(matrix, np.ones(K))
    direction = np.asarray(found.direction)
    assert bool(found.bent) and float(found.curvature) < 0
    assert float(found.curvature) == pytest.approx(direction @ matrix @ direction / (direction @ direction), rel=1e-10)


def test_the_memory_is_a_few_dozen_vectors():
    size = 10_000
    with jax.enable_x64(True):
        traced = jax.make_jaxpr(lambda d: lowest_eigenvalues(lambda v: d * v, size, d.dtype, floor=1e-12))(
            np.ones(size)
        )
    sizes = [variable.aval.size for equation in jaxprs(traced.jaxpr) for variable in equation.outvars]
    assert max(sizes) <= (BASIS + 1) * size


def jaxprs(jaxpr):
    """Yield all equations of a program, those of its loops included."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree_util.tree_leaves(list(equation.params.values()), is_leaf=is_program):
            if is_program(inner):
                yield from jaxprs(getattr(inner, "jaxpr", inner))


def is_program(value):
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


def test_a_vector_of_zeros_solves_equations_with_right_sides_of_zeros():
    with jax.enable_x64(True):
        found = solve(MATRICES["identity"], np.zeros(K))
    assert int(found.products) == 0 and not found.bent
    np.testing.assert_array_equal(found.solution, jnp.zeros(K))

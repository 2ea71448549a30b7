"""Factorizations under vmap: the numbers of jnp.linalg, and no call of LAPACK for a batch on a CPU, which may hang."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax
from mle_jax import _lapack, densities
from mle_jax.optimizers import solve_least_squares

LANES, SIZE = 5, 3
MATRICES = np.random.default_rng(3).standard_normal((LANES, SIZE, SIZE))
DEFINITE = MATRICES @ MATRICES.transpose(0, 2, 1) + np.eye(SIZE)
RIGHT = np.random.default_rng(4).standard_normal((LANES, SIZE))
LOWER = np.linalg.cholesky(DEFINITE)
CASES = {
    "cholesky": (_lapack.cholesky, (DEFINITE,), LOWER),
    "eigh": (lambda a: _lapack.eigh(a)[0], (DEFINITE,), np.linalg.eigvalsh(DEFINITE)),
    "qr": (lambda a: jnp.matmul(*_lapack.qr(a)), (MATRICES,), MATRICES),
    "triangle": (lambda a: _lapack.triangle(a).T @ _lapack.triangle(a), (LOWER.transpose(0, 2, 1),), DEFINITE),
    "svd": (lambda a: _lapack.svd(a)[1], (MATRICES,), np.linalg.svd(MATRICES)[1]),
    "solve": (_lapack.solve, (MATRICES, RIGHT), np.linalg.solve(MATRICES, RIGHT[..., None])[..., 0]),
    "solve_lower": (_lapack.solve_lower, (LOWER, RIGHT), np.linalg.solve(LOWER, RIGHT[..., None])[..., 0]),
    "solve_factored": (_lapack.solve_factored, (LOWER, RIGHT), np.linalg.solve(DEFINITE, RIGHT[..., None])[..., 0]),
    "inverse": (_lapack.inverse, (MATRICES,), np.linalg.inv(MATRICES)),
    "inverse_lower": (_lapack.inverse_lower, (LOWER,), np.linalg.inv(LOWER)),
}


def batches(function, *arguments):
    """Return the largest number of matrices that one call of LAPACK in the compiled program takes."""
    text = jax.jit(function).lower(*arguments).compile().as_text()
    calls = [line for line in text.splitlines() if "lapack_" in line]
    shapes = [shape.split(",") for line in calls for shape in re.findall(r"f64\[([\d,]+)\]", line)]
    return max((int(np.prod([int(d) for d in shape[:-2]])) for shape in shapes), default=0)


@jax.enable_x64(True)
@pytest.mark.parametrize("name", CASES)
def test_lanes_are_taken_one_by_one(name):
    function, arguments, expected = CASES[name]
    lanes = jax.vmap(function)
    # 3 x 3 matrices with a condition below 100.
    assert np.allclose(lanes(*arguments), expected, rtol=0, atol=1e-13 * max(1.0, np.abs(expected).max()))
    assert batches(lanes, *arguments) == 1
    twice = [np.stack([argument, argument[::-1]]) for argument in arguments]
    found = jax.vmap(lanes)(*twice)
    assert np.allclose(
        found, np.stack([expected, expected[::-1]]), rtol=0, atol=1e-13 * max(1.0, np.abs(expected).max())
    )
    assert batches(jax.vmap(lanes), *twice) == 1


@jax.enable_x64(True)
def test_what_has_no_lanes_is_shared():
    found = jax.vmap(_lapack.solve, in_axes=(None, 0))(MATRICES[0], RIGHT)
    assert np.allclose(found, np.linalg.solve(MATRICES[0], RIGHT.T).T, rtol=0, atol=1e-13)


@jax.enable_x64(True)
def test_the_inverse_has_derivatives_in_both_modes():
    matrix, step = MATRICES[0], DEFINITE[1]
    inverse = np.linalg.inv(matrix)
    expected = -inverse @ step @ inverse  # of A^-1 along the step
    forward = jax.jvp(_lapack.inverse, (matrix,), (step,))[1]
    backward = jax.jacrev(_lapack.inverse)(matrix)
    assert np.allclose(forward, expected, rtol=1e-12, atol=1e-13)
    assert np.allclose(np.einsum("ijkl,kl->ij", backward, step), expected, rtol=1e-12, atol=1e-13)


@jax.enable_x64(True)
def test_the_cholesky_factor_has_derivatives_in_both_modes():
    step = 0.5 * (MATRICES[1] + MATRICES[1].T)
    expected = jax.jvp(jnp.linalg.cholesky, (DEFINITE[0],), (step,))[1]
    forward = jax.jvp(_lapack.cholesky, (DEFINITE[0],), (MATRICES[1],))[1]  # what is not symmetric counts by half
    backward = jax.jacrev(_lapack.cholesky)(DEFINITE[0])
    assert np.allclose(forward, expected, rtol=1e-12, atol=1e-13)
    assert np.allclose(np.einsum("ijkl,kl->ij", backward, step), expected, rtol=1e-12, atol=1e-13)


def problems(columns, dtype=float):
    """Designs from harmless to collinear: an exact copy of a column, a column of zeros, one of size 1e-150, NaN."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(40, 30, columns))
    for lane, power in enumerate(range(0, 15), start=5):  # the last two columns apart by 10^-power of their size
        x[lane, :, -1] = x[lane, :, -2] + 10.0**-power * x[lane, :, -1]
    x[20, :, 0], x[21, :, 1], x[22, :, 0] = x[20, :, 1], 0.0, 1e-150 * x[22, :, 0]
    return x.astype(dtype), rng.normal(size=(40, 30)).astype(dtype)


@jax.enable_x64(True)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("columns", [2, 5, 12])  # 12: beyond what is written out entry by entry
def test_least_squares_of_lanes_are_those_of_each(columns, weighted):
    x, y = problems(columns)
    weights = np.random.default_rng(12).integers(0, 3, y.shape).astype(float) if weighted else np.ones(y.shape)
    x[30, 3], y[31, 4] = np.nan, np.nan
    found = np.asarray(jax.jit(jax.vmap(solve_least_squares))(x, y, weights))
    alone = jax.jit(solve_least_squares)
    for lane in range(len(x)):
        expected = np.asarray(alone(x[lane], y[lane], weights[lane]))
        # As errors of the predictors: those of the coefficients grow with the condition, in both ways of solving.
        miss = np.max(np.abs(x[lane] @ (found[lane] - expected))) if np.isfinite(expected).all() else 0.0
        assert miss <= 1e-12, lane
        assert np.array_equal(np.isfinite(found[lane]), np.isfinite(expected)), lane
    # Collinear, so that the shortest of many solutions is asked for: it is the same one.
    for lane in (20, 21):
        np.testing.assert_allclose(found[lane], alone(x[lane], y[lane], weights[lane]), rtol=1e-10, atol=1e-12)


@jax.enable_x64(True)
def test_least_squares_of_lanes_keep_their_digits_at_the_ends_of_the_numbers():
    x, y = problems(2)
    x = x[:5]  # harmless but for their sizes: squares that are no numbers, or lose digits
    for size in (1e-160, 1.5e-154, 1e-100, 1e150, 1e200):
        expected = np.stack([np.linalg.lstsq(one, other, rcond=None)[0] for one, other in zip(x, y, strict=False)])
        found = jax.jit(jax.vmap(solve_least_squares))(x * [1.0, size], y[:5]) * np.array([1.0, size])
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@jax.enable_x64(True)
def test_least_squares_of_integers():
    x, y = np.array([[[1, 0], [1, 1], [1, 2]]] * 3), np.array([[1, 2, 6]] * 3)
    np.testing.assert_allclose(jax.vmap(solve_least_squares)(x, y), [[0.5, 2.5]] * 3, rtol=1e-14)


def test_least_squares_of_lanes_keep_matrix_products_precise():
    x, y = problems(2, np.float32)
    text = str(jax.make_jaxpr(jax.vmap(jax.jit(solve_least_squares)))(x, y))
    assert text.count("dot_general") == text.count("Precision.HIGHEST, Precision.HIGHEST")


def test_least_squares_of_lanes_in_single_precision():
    x, y = problems(3, np.float32)
    x[22] = x[23]  # 1e-150 is no number of this precision
    found = jax.vmap(solve_least_squares)(x, y)
    for lane in range(len(x)):
        gap = x[lane].astype(float) @ (
            np.asarray(found[lane], float) - np.asarray(solve_least_squares(x[lane], y[lane]))
        )
        assert np.max(np.abs(gap)) < 2e-5, lane  # some dozens of roundings


@jax.enable_x64(True)
def test_least_squares_have_derivatives_in_both_modes():
    # b = (X'X)^-1 X'y, so db = (X'X)^-1 (dX' r - X' dX b), r = y - X b.
    x, y, step = MATRICES[:, :, 0], RIGHT[:, 0], RIGHT[:, :1] * [1.0, -0.5, 0.3]
    b = np.linalg.lstsq(x, y, rcond=None)[0]
    expected = np.linalg.solve(x.T @ x, step.T @ (y - x @ b) - x.T @ (step @ b))
    found = jax.jacfwd(solve_least_squares)(x, y), jax.jacrev(solve_least_squares)(x, y)
    for slopes in found:
        assert np.allclose(np.einsum("ijk,jk->i", slopes, step), expected, rtol=1e-10, atol=1e-12)


def test_this_file_sees_a_batch():
    with jax.enable_x64(True):
        assert batches(jax.vmap(jnp.linalg.cholesky), DEFINITE) == LANES


def test_nothing_else_of_the_library_calls_lapack():
    # But for what has no lanes: `keeping` works on constraints.
    allowed = {"_lapack.py", "parameters/keeping.py"}
    calls = re.compile(r"(jnp|lax|scipy)\.linalg\.(?!block_diag)\w+\(|from jax\.(scipy|lax)\.linalg import")
    root = Path(mle_jax.__file__).parent
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for line in path.read_text().splitlines()
        if calls.search(line)
        and ">>>" not in line
        and "``" not in line
        and "np.linalg" not in line.replace("jnp.linalg", "")
    }
    assert found <= allowed, f"under vmap these may hang: take the functions of mle_jax/_lapack.py in {found - allowed}"


@jax.enable_x64(True)
@pytest.mark.parametrize("size", [1, 3, 9, 20])
def test_multivariate_normal_of_any_size_and_shape(size):
    rng = np.random.default_rng(size)
    factors = np.tril(rng.standard_normal((2, size, size)), -1) + 2 * np.eye(size)
    y = rng.standard_normal((4, 2, size))
    found = densities.multivariate_normal.log_density(y, np.ones(size), factors)
    off = np.linalg.solve(factors, (y - 1)[..., None])[..., 0]
    expected = -0.5 * np.sum(off**2 + np.log(2 * np.pi) + 2 * np.log(2), axis=-1)
    assert np.allclose(found, expected, rtol=1e-12, atol=0)
    one = densities.multivariate_normal.log_density(y, np.ones(size), factors[0])
    assert np.allclose(one[:, 0], expected[:, 0], rtol=1e-12, atol=0)
    # What stands above the diagonal is not looked at.
    full = factors + np.triu(np.full((size, size), np.nan), 1)
    assert np.array_equal(densities.multivariate_normal.log_density(y, np.ones(size), full), found)
    slopes = jax.vmap(jax.grad(lambda factor, y: densities.multivariate_normal.log_density(y, np.ones(size), factor)))
    # d/dL of -z'z/2 - log det L, L z = y - 1: tril(L^-T z z') - diag(1/L_ii).
    z = np.linalg.solve(factors, (y[0] - 1)[..., None])
    back = np.linalg.solve(factors.transpose(0, 2, 1), z) @ z.transpose(0, 2, 1)
    expected = np.tril(back) - 0.5 * np.eye(size)  # the diagonal is 2
    assert np.allclose(slopes(factors, y[0]), expected, rtol=1e-11, atol=1e-11)
    assert batches(slopes, factors, y[0]) <= 1


@pytest.mark.parametrize(("y", "mean", "factor"), [((2,), (2,), (3, 3)), ((4,), (4,), (3, 3)), ((3,), (3,), (4, 3))])
def test_a_multivariate_normal_of_shapes_that_do_not_fit_is_refused(y, mean, factor):
    with pytest.raises(ValueError, match=r"[Ii]ncompatible shapes"):
        densities.multivariate_normal.log_density(np.ones(y), np.zeros(mean), np.ones(factor))

"""`solve_least_squares`: exact scaling, rank deficiency, weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mle_jax.optimizers.least_squares import solve_least_squares


def problem(n: int = 30, p: int = 4, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, p)), rng.normal(size=n)


@jax.enable_x64(True)
def test_agrees_with_numpy():
    x, y = problem()
    np.testing.assert_allclose(solve_least_squares(x, y), np.linalg.lstsq(x, y, rcond=None)[0], rtol=1e-13)


@jax.enable_x64(True)
def test_powers_of_two_in_the_columns_change_no_bit():
    x, y = problem()
    factors = 2.0 ** np.array([0, 40, -70, 3])
    plain, scaled = solve_least_squares(x, y), solve_least_squares(x * factors, y)
    np.testing.assert_array_equal(np.asarray(scaled) * factors, np.asarray(plain))


@jax.enable_x64(True)
def test_units_do_not_matter():
    x, y = problem()
    factors = np.array([1e-8, 1e8, 1.0, 1e3])
    plain, scaled = solve_least_squares(x, y), solve_least_squares(x * factors, y)
    np.testing.assert_allclose(np.asarray(scaled) * factors, plain, rtol=1e-13)


@jax.enable_x64(True)
@pytest.mark.parametrize("kind", ["copy", "combination", "zero", "more columns than rows"])
def test_rank_deficient_designs_give_the_shortest_solution(kind):
    x, y = problem(4, 6) if kind == "more columns than rows" else problem()
    if kind == "copy":
        x[:, 3] = x[:, 0]
    if kind == "combination":
        x[:, 3] = x[:, 0] - 2 * x[:, 1]
    if kind == "zero":
        x[:, 3] = 0.0
    found = np.asarray(solve_least_squares(x, y))
    # The shortest in columns scaled by powers of two, those just above their lengths.
    lengths = np.linalg.norm(x, axis=0)
    scale = np.where(lengths > 0, 2.0 ** np.ceil(np.log2(np.where(lengths > 0, lengths, 1.0))), 1.0)
    expected = np.linalg.lstsq(x / scale, y, rcond=1e-12)[0] / scale
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@jax.enable_x64(True)
def test_nearly_collinear_columns_are_not_thrown_away():
    # Condition 1e9: 1e-16 * 1e9 leaves 7 digits, and treating the columns as collinear would leave none.
    rng = np.random.default_rng(4)
    base = rng.normal(size=(50, 2))
    x = np.column_stack([base[:, 0], base[:, 0] + 1e-9 * base[:, 1]])
    y = x @ np.array([1.0, 2.0])
    np.testing.assert_allclose(solve_least_squares(x, y), [1.0, 2.0], rtol=1e-6)


@jax.enable_x64(True)
def test_weights():
    x, y = problem()
    weights = np.random.default_rng(8).uniform(0.1, 4.0, y.size)
    weights[::5] = 0.0
    expected = np.linalg.solve(x.T * weights @ x, x.T @ (weights * y))
    y[::5] = np.inf  # a row of weight zero is left out, whatever it contains
    np.testing.assert_allclose(solve_least_squares(x, y, weights), expected, rtol=1e-12)


@jax.enable_x64(True)
def test_dtype_is_kept():
    x, y = problem()
    assert solve_least_squares(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)).dtype == jnp.float32

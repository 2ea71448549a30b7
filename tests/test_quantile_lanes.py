"""Quantile regressions side by side: the answers of one at a time, and no proof of what is no solution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax._branches import cond_any
from mle_jax.optimizers import solve_least_absolute_deviations
from mle_jax.optimizers._active_rows import Problem
from mle_jax.optimizers._quantile_lanes import _prove, solve_side_by_side

LANES, ROWS, COLUMNS = 16, 40, 3


def datasets(seed, *, integers=False):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((LANES, ROWS, COLUMNS))
    x[..., 0] = 1.0
    y = (x @ rng.standard_normal((LANES, COLUMNS, 1)))[..., 0] + rng.laplace(size=(LANES, ROWS))
    if integers:  # ties in plenty
        x, y = np.round(x), np.round(y)
    return x, y


@pytest.fixture(scope="module")
def solvers():
    """The function of all lanes, and of one."""
    solve = lambda x, y, w, q: solve_least_absolute_deviations(x, y, w, quantile=q)  # noqa: E731 - to be mapped
    return jax.jit(jax.vmap(solve)), jax.jit(solve)


@pytest.mark.slow
@pytest.mark.parametrize("quantile", [0.5, 0.1, 0.93])
@pytest.mark.parametrize("kind", ["usual", "weights", "ties", "collinear", "level", "outlier"])
def test_lanes_are_solved_as_one_at_a_time(solvers, quantile, kind):
    """Unique solutions agree to rounding; of ties and collinear columns the objective does, and the proof."""
    many, one = solvers
    with jax.enable_x64(True):
        x, y = datasets(3, integers=kind == "ties")
        w = np.ones_like(y)
        if kind == "weights":
            w = np.random.default_rng(4).integers(0, 4, y.shape).astype(float)
            y = np.where(w == 0, np.nan, y)
        if kind == "collinear":
            x[5, :, 2] = 2 * x[5, :, 1]
        if kind == "level":
            y[2] += 1e9
        if kind == "outlier":
            y[7, 3] = 1e12
        q = np.full(LANES, quantile)
        found = many(x, y, w, q)
        for lane in range(LANES):
            alone = one(x[lane], y[lane], w[lane], q[lane])
            assert float(found.gap[lane]) == float(alone.gap) == 0.0
            assert int(found.rank[lane]) == int(alone.rank)
            np.testing.assert_allclose(found.objective[lane], alone.objective, rtol=1e-12)
            if not np.any(alone.edge) and int(alone.rank) == COLUMNS:
                np.testing.assert_allclose(found.coefficients[lane], alone.coefficients, rtol=1e-10, atol=1e-11)


def test_ordinary_lanes_need_nobody_else():
    """Forty rows, twenty seeds: a failure of the path would cost time and nothing else, but it should be rare."""
    with jax.enable_x64(True):
        sure = []
        solve = jax.jit(solve_side_by_side)
        for seed in range(20):
            x, y = datasets(100 + seed)
            sure.append(solve(Problem(x, y, np.ones_like(y), jnp.float64(0.5))).sure)
    assert np.mean(sure) > 0.99


def test_what_is_no_solution_is_not_proved():
    """Beside random points lie vertices that are no solution: their multipliers are beyond the bounds."""
    with jax.enable_x64(True):
        x, y = datasets(6)
        problem = Problem(*map(jnp.asarray, (x, y, np.ones_like(y), 0.5)))
        best = solve_side_by_side(problem)
        assert best.sure.all()
        rng = np.random.default_rng(0)
        for _ in range(5):
            other = _prove(problem, jnp.zeros(LANES), best.b + rng.standard_normal(best.b.shape))
            assert not (other.sure & (other.objective > best.objective * (1 + 1e-12))).any()
            assert (other.objective >= best.objective * (1 - 1e-12)).all()


@pytest.mark.slow
def test_maps_within_maps():
    """A native loop is not mapped again: batches of batches take the ordinary way."""
    with jax.enable_x64(True):
        x, y = datasets(8)
        solve = lambda x, y: solve_least_absolute_deviations(x, y).coefficients  # noqa: E731 - to be mapped
        flat = jax.vmap(solve)(x, y)
        nested = jax.jit(jax.vmap(jax.vmap(solve)))(x.reshape(4, 4, ROWS, COLUMNS), y.reshape(4, 4, ROWS))
        np.testing.assert_allclose(nested.reshape(LANES, COLUMNS), flat, rtol=1e-12, atol=1e-13)
        shared = jax.vmap(solve, in_axes=(None, 0))(x[0], y)
        np.testing.assert_allclose(shared[3], solve(x[0], y[3]), rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_single_precision():
    x, y = datasets(9)
    found = jax.vmap(solve_least_absolute_deviations)(x.astype(np.float32), y.astype(np.float32))
    with jax.enable_x64(True):
        exact = jax.vmap(solve_least_absolute_deviations)(x.astype(np.float32).astype(float), y.astype(np.float32))
    assert found.coefficients.dtype == np.float32
    np.testing.assert_allclose(found.objective, exact.objective, rtol=1e-5)


@pytest.mark.slow
def test_batches_of_laplace_and_quantile_regressions_are_those_of_single_fits():
    x, y = datasets(12)
    for model in (mle.models.laplace_regression(), mle.models.quantile_regression(0.25)):
        fits = mle.fit_batch(model, {"x": x, "y": y})
        assert fits.converged.all()
        for lane in (0, 9):
            alone = mle.fit(model, {"x": x[lane], "y": y[lane]})
            np.testing.assert_allclose(fits.params["w"][lane], alone.params["w"], rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(fits.log_likelihood[lane], alone.log_likelihood, rtol=1e-12)
            np.testing.assert_allclose(fits.standard_errors()["w"][lane], alone.standard_errors()["w"], rtol=1e-10)


def test_a_branch_that_no_lane_needs_is_left_out():
    calls = []

    def costly(x):
        jax.debug.callback(lambda value: calls.append(float(value)), x)
        return 10 * x

    choose = jax.jit(jax.vmap(lambda x: cond_any(x > 2, costly, x, x)))
    np.testing.assert_array_equal(choose(jnp.array([0.0, 1.0, 2.0])), [0, 1, 2])
    jax.effects_barrier()
    assert calls == []
    np.testing.assert_array_equal(choose(jnp.array([0.0, 3.0, 2.0])), [0, 30, 2])
    jax.effects_barrier()
    assert sorted(calls) == [0.0, 2.0, 3.0]
    nested = jax.vmap(jax.vmap(lambda x, y: cond_any(x > y, lambda x: -x, x, x), in_axes=(0, None)))
    np.testing.assert_array_equal(
        nested(jnp.array([[1.0, 5.0], [1.0, 5.0]]), jnp.array([2.0, 0.0])), [[1, -5], [-1, -5]]
    )
    assert cond_any(jnp.asarray(True), lambda x: {"a": -x}, {"a": jnp.asarray(1.0)}, jnp.asarray(2.0))["a"] == -2

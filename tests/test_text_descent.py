"""T11's two runs: where NumPy's own loop ends, and near least squares as far as the theory says."""

import numpy as np
import pytest

import mle_jax as mle
from mle_jax import text


def numpy_descent(x, y, w, *, rate, steps, change=0.0):
    """Return the end of w <- w - rate * grad R(w), its steps and all values of R, written without the library."""
    values = [np.sum((y - x @ w) ** 2) / len(y)]
    for _ in range(steps):
        gradient = -2.0 / len(y) * (x.T @ (y - x @ w))
        w = w - rate * gradient
        values.append(np.sum((y - x @ w) ** 2) / len(y))
        if abs(values[-1] - values[-2]) < change:
            break
    return w, len(values) - 1, np.array(values)


def test_the_data_are_those_of_the_chapter():
    x, y = text.line_data(seed=4)
    np.testing.assert_allclose(x[:, 1], -2.0 + 0.04 * np.arange(101), atol=1e-15)
    assert np.all(x[:, 0] == 1.0) and y.shape == (101,)
    # Noise of variance 1 around 0 + 2 x: its mean square is 1 within four standard errors, sqrt(2 / 101).
    assert abs(np.mean((y - 2.0 * x[:, 1]) ** 2) - 1.0) < 4 * np.sqrt(2 / 101)
    x, y = text.features_data(seed=4)
    assert x.shape == (100, 6) and np.all(x[:, 0] == 1.0)
    residuals = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    # sum r^2 / 0.25 is chi-squared with 94 degrees of freedom: within four standard deviations.
    assert abs(np.sum(residuals**2) / 0.25 - 94) < 4 * np.sqrt(2 * 94)
    assert not np.array_equal(text.line_data(0)[1], text.line_data(1)[1])


def test_the_line_ends_where_numpy_ends():
    run = text.descend_line(record=True)
    x, y = text.line_data()
    w, steps, values = numpy_descent(x, y, np.ones(2), rate=0.05, steps=100)
    assert run.steps == steps == 100 and run.status is mle.Status.max_steps
    np.testing.assert_allclose(run.params["w"], w, rtol=1e-12)
    np.testing.assert_allclose(run.history.value, values, rtol=1e-12)
    assert run.history.params["w"].shape == (101, 2)
    assert run.value == run.history.value[-1]


def test_the_line_ends_near_least_squares_as_100_steps_leave_it():
    # x is centered, so X'X/n = diag(1, s_xx), s_xx = mean(x^2) = 1.36, and each coordinate contracts on its own:
    # w_100 - w_ols = (1 - 2 a s)^100 (w_0 - w_ols), a factor of 2.7e-5 for the intercept and 4.5e-7 for the slope.
    run, (x, y) = text.descend_line(), text.line_data()
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    spread = np.array([1.0, np.mean(x[:, 1] ** 2)])
    assert spread[1] == pytest.approx(1.36, rel=1e-12)
    left = (1 - 2 * 0.05 * spread) ** 100 * (np.ones(2) - best)
    np.testing.assert_allclose(run.params["w"], best + left, rtol=1e-12)
    assert np.all(np.abs(run.params["w"] - best) < 1e-4)


def test_the_features_end_where_numpy_ends():
    run = text.descend_features(record=True)
    x, y = text.features_data()
    w, steps, values = numpy_descent(x, y, np.zeros(6), rate=0.01, steps=10_000, change=1e-6)
    assert run.steps == steps < 10_000 and run.status is mle.Status.stopped_by_rule
    np.testing.assert_allclose(run.params["w"], w, rtol=1e-12)
    np.testing.assert_allclose(run.history.value, values, rtol=1e-12)


def test_the_features_end_near_least_squares_as_the_rule_leaves_them():
    # A step of rate a on a quadratic with Hessian H lowers it by at least a (1 - a L / 2) |g|^2, with L the largest
    # eigenvalue of H; the rule saw less than 1e-6, so |g|^2 < 1e-6 / (a (1 - a L / 2)), and the distance |H^-1 g|
    # before that step is at most |g| / mu, with mu the smallest eigenvalue; the step makes it smaller still.
    run, (x, y) = text.descend_features(), text.features_data()
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    curvature = np.linalg.eigvalsh(2 * x.T @ x / 100)
    gradient = np.sqrt(1e-6 / (0.01 * (1 - 0.01 * curvature[-1] / 2)))
    distance = np.linalg.norm(run.params["w"] - best)
    assert 0 < distance < gradient / curvature[0]
    # The rule is no certificate: the run ends close, and yet far from what float64 can do.
    assert distance > 1e-6


def test_other_seeds_give_other_runs():
    assert not np.array_equal(text.descend_line(0).params["w"], text.descend_line(1).params["w"])
    assert text.descend_line(0).history is None

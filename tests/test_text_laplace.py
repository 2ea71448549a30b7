"""T12's descent: what a fixed learning rate reaches on a likelihood with corners, and a linear program's maximum."""

import numpy as np
import pytest
from scipy.optimize import linprog

import mle_jax as mle
from mle_jax import text


def least_absolute_deviations(x, y):
    """Return w, and the sum of absolute residuals, by SciPy's HiGHS: minimize sum (u + v) with X w + u - v = y."""
    n, p = x.shape
    cost = np.concatenate([np.zeros(p), np.ones(2 * n)])
    bounds = [(None, None)] * p + [(0, None)] * (2 * n)
    program = linprog(cost, A_eq=np.hstack([x, np.eye(n), -np.eye(n)]), b_eq=y, bounds=bounds, method="highs")
    assert program.success
    return program.x[:p], program.fun


def log_likelihood(w, scale, data):
    x, y = data
    return -y.size * np.log(2 * scale) - np.sum(np.abs(y - x @ w)) / scale


@pytest.fixture(scope="module")
def run():
    return text.descend_laplace()


def test_the_data_are_a_line_with_laplace_noise_and_five_outliers():
    x, y = text.laplace_data(seed=4)
    np.testing.assert_allclose(x[:, 1], -2.0 + 0.04 * np.arange(101), atol=1e-15)
    noise = y - 2.0 * x[:, 1]
    far = noise < -6.0  # P(Laplace(0.5) < -6) = exp(-12) / 2
    assert np.sum(far) == 5 and np.all(x[far, 1] > 1.6)
    # mean |noise| is 0.5 with standard error 0.5 / sqrt(96): within four of these.
    assert abs(np.mean(np.abs(noise[~far])) - 0.5) < 4 * 0.5 / np.sqrt(96)
    assert not np.array_equal(text.laplace_data(0)[1], text.laplace_data(1)[1])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_exact_maximum_is_that_of_a_linear_program(seed):
    data = text.laplace_data(seed)
    w, total = least_absolute_deviations(*data)
    run = text.descend_laplace(seed, learning_rates=(0.1,), max_steps=100)
    assert run.exact.status is mle.Status.converged
    # b_hat = mean |r|, so L = -n log(2 b_hat) - n. HiGHS holds its constraints to 1e-7 by default, usually to rounding.
    n = data[1].size
    assert run.exact.log_likelihood == pytest.approx(-n * np.log(2 * total / n) - n, rel=1e-9)
    np.testing.assert_allclose(run.exact.params["w"], w, atol=1e-6)


def test_every_gap_is_counted_from_the_maximum_and_none_is_negative(run):
    top = run.exact.log_likelihood
    table = run.table
    rounding = 1e-12 * abs(top)  # a sum of 101 terms in float64
    for rate, history in run.histories.items():
        assert np.all(history.value <= top + rounding), rate
    for name in ("gap", "late_gap", "best_gap"):
        assert np.all(table[name] >= -rounding)
    assert np.all(table["best_gap"] <= table["gap"]) and np.all(table["gap"] <= table["late_gap"])
    np.testing.assert_array_equal(table["gap"], top - table["log_likelihood"])
    np.testing.assert_array_equal(table["best_gap"], top - table["best"])


def test_the_rows_say_what_the_histories_hold(run):
    data = text.laplace_data()
    for row in run.table:
        history = run.histories[row["learning_rate"]]
        assert history.value.shape == (text.laplace_descent.STEPS + 1,)
        assert row["best_step"] == np.argmax(history.value)
        for name, step in (("log_likelihood", -1), ("best", row["best_step"])):
            there = history.params["w"][step], history.params["scale"][step]
            assert row[name] == pytest.approx(log_likelihood(*there, data), rel=1e-12)
        assert row["late_gap"] == run.exact.log_likelihood - history.value[-500:].min()


def test_the_distance_is_in_standard_errors_of_the_expected_information(run):
    # With the covariance V = b^2 (X'X)^-1 of w the distance is sqrt(d' V^-1 d); the library's own "expected" V.
    covariance = run.exact.covariance("expected")[:2, :2]
    for row in run.table:
        away = run.histories[row["learning_rate"]].params["w"][-1] - run.exact.params["w"]
        assert row["distance"] == pytest.approx(np.sqrt(away @ np.linalg.solve(covariance, away)), rel=1e-9)


def test_the_descents_are_those_of_a_plain_loop(run):
    x, y = text.laplace_data()
    n, rate, steps = y.size, 0.1, 40
    w, logarithm = np.zeros(2), 0.0
    history = run.histories[rate]
    for step in range(steps):
        scale, r = np.exp(logarithm), y - x @ w
        np.testing.assert_allclose(history.params["w"][step], w, rtol=1e-11, atol=1e-13)
        assert history.params["scale"][step] == pytest.approx(scale, rel=1e-11)
        w = w + rate * x.T @ np.sign(r) / (n * scale)
        logarithm += rate * (-1.0 + np.mean(np.abs(r)) / scale)  # b times dL/db, per observation


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_smaller_rates_rattle_nearer_to_the_maximum(seed):
    table = text.descend_laplace(seed).table
    assert table["learning_rate"].tolist() == [1.0, 0.3, 0.1, 0.03, 0.01]
    assert np.all(np.diff(table["late_gap"]) < 0.0)
    # None has settled: in the last tenth each still goes away from the best that it has seen.
    assert np.all(table["late_gap"] > 1.5 * table["best_gap"])
    assert np.all(table["best_gap"] > 0.0) and table["distance"][0] > 10 * table["distance"][-1]


def test_the_table_prints_with_its_maximum_and_its_columns_explained(run):
    printed = str(run)
    assert "fixed learning rate" in printed and f"exact maximum: {run.exact.log_likelihood:.6f} (converged)" in printed
    for name in run.table.columns[1:]:
        assert name in printed.split("exact maximum")[1], f"{name} is not explained"


def test_a_rate_far_too_large_is_shown_as_it_goes():
    run = text.descend_laplace(learning_rates=(1e4,), max_steps=50)
    assert not run.table["gap"][0] < 1.0  # NaN where the run left the numbers
    assert np.isfinite(run.table["best"][0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"learning_rates": ()}, r"learning_rates is empty, but .* at least one; pass"),
        ({"learning_rates": (0.1, -1.0)}, r"learning_rate is -1\.0, but it must be a number above 0"),
        ({"max_steps": -1}, r"max_steps is -1, but it must be a whole number of at least 0"),
    ],
    ids=["no rate", "a negative rate", "negative steps"],
)
def test_bad_input(options, said):
    with pytest.raises(ValueError, match=said):
        text.descend_laplace(**options)

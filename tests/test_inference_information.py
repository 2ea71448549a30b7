"""Declared expected informations against simulation: right ones pass, wrong ones fail and are named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from ready_made_models import READY
from simulated_models import DRAWS, RIGHT, N, categorical, draw_categorical, model

import mle_jax as mle

pytestmark = pytest.mark.slow  # simulates a thousand datasets per model: minutes

SHIPPED = [name for name, row in READY.items() if row.model.expected_information is not None]
POINT = {"m": 2.0, "k": 0.4}


def proportional(p, row):
    """A normal whose standard deviation is k times its mean."""
    return norm.logpdf(row["y"], p["m"], p["k"] * p["m"])


def draw_proportional(key, p, row):
    return p["m"] * (1 + p["k"] * jax.random.normal(key))


def information(p, data):
    """Return J' diag(1, 2) J / s^2 with s = k m, so that ds/dm = k and ds/dk = m; times n."""
    m, k = p["m"], p["k"]
    cross = 2 * k * m
    return data["y"].shape[0] * jnp.array([[1 + 2 * k**2, cross], [cross, 2 * m**2]]) / (k * m) ** 2


def declared(expected_information):
    return model(
        proportional,
        {"m": mle.Positive(), "k": mle.Positive()},
        draw_proportional,
        expected_information=expected_information,
    )


RIGHT_ONE = declared(information)
DATA = {"y": np.ones(N)}


def one(p):
    return information(p, {"y": np.ones(1)})


WRONG = {
    "minus the simulated one: it is the expected Hessian": lambda p, data: -information(p, data),
    "twice the simulated one": lambda p, data: 2 * information(p, data),
    "half of the simulated one": lambda p, data: information(p, data) / 2,
    f"1/n = 1/{N} of the simulated one": lambda p, data: one(p),
    "zero where the simulated one is not: 'm, k'": lambda p, data: jnp.diag(jnp.diagonal(information(p, data))),
    "it is the covariance": lambda p, data: jnp.linalg.inv(information(p, data)),
    "with respect to the logarithm of 'k'": lambda p, data: (
        information(p, data) * jnp.outer(jnp.array([1.0, p["k"]]), jnp.array([1.0, p["k"]]))
    ),
    "not symmetric": lambda p, data: information(p, data).at[1, 0].multiply(1.5),
    "": lambda p, data: information(p, data).at[0, 0].multiply(1.1),
}


def quick(names, fast):
    return [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", quick(SHIPPED, ["linear_gaussian"]))
def test_the_informations_of_shipped_models_are_right(name):
    case = RIGHT[name]
    report = mle.check_information(case.model, case.data, case.params, draws=DRAWS)
    assert report.passed, str(report)
    assert report.diagnosis == ""


def test_a_right_information_passes_within_stated_errors():
    report = mle.check_information(RIGHT_ONE, DATA, POINT)
    assert report.passed, str(report)
    assert [row.name for row in report.rows] == ["m, m", "m, k", "k, k"]
    truth = np.asarray(information(POINT, DATA))
    for row, exact in zip(report.rows, (truth[0, 0], truth[0, 1], truth[1, 1]), strict=True):
        assert row.declared == pytest.approx(exact, rel=1e-6)  # the expectation in float32, where the flag is off
        assert abs(row.simulated - exact) < 5 * row.std_error
        assert 0 < row.std_error < 0.01 * exact


@pytest.mark.parametrize("words", quick(WRONG, ["half of the simulated one", "not symmetric"]))
def test_wrong_informations_are_found_and_named(words):
    report = mle.check_information(declared(WRONG[words]), DATA, POINT)
    assert not report.passed
    assert words in report.diagnosis
    assert bool(report.diagnosis) == bool(words)
    assert "FAILED" in str(report)
    with pytest.raises(AssertionError, match="Information check FAILED"):
        report.assert_passed()


def test_what_does_not_vary_is_compared_exactly():
    """The information of a line in its coefficients is X'X / variance in every draw."""
    case = RIGHT["linear_gaussian"]

    def off(p, data):
        return mle.models.linear_gaussian().expected_information(p, data).at[0, 1].multiply(1 + 1e-6)

    line = mle.models.linear_gaussian()
    wrong = mle.Model(line.log_density, line.parameters, expected_information=off, simulate=line.simulate)
    report = mle.check_information(wrong, case.data, case.params, draws=30)
    assert [row.name for row in report.rows if row.verdict == "wrong"] == ["w[0], w[1]"]


def test_parameters_whose_entries_move_together_are_compared_in_free_coordinates():
    def multinomial(p, data):
        return data["y"].shape[0] * jnp.diag(1 / p["p"])

    data, point = {"y": np.zeros(N, int)}, {"p": np.array([0.2, 0.5, 0.3])}
    right = model(categorical, {"p": mle.Simplex(3)}, draw_categorical, expected_information=multinomial)
    report = mle.check_information(right, data, point)
    assert report.passed, str(report)
    assert report.rows[0].name == "p~0, p~0"
    shape = model(categorical, {"p": mle.Simplex(3)}, draw_categorical, expected_information=lambda p, d: jnp.eye(2))
    with pytest.raises(ValueError, match=r"returned shape \(2, 2\), but the model has 3 flat"):
        mle.check_information(shape, data, point)


def test_false_alarms_are_as_rare_as_the_level_says():
    """At level 0.1 at most 10 % of the seeds fail; 21 or more of 100 have a chance below 0.001."""
    alarms = [
        not mle.check_information(RIGHT_ONE, DATA, POINT, seed=seed, draws=200, level=0.1).passed for seed in range(100)
    ]
    assert sum(alarms) < 21


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="has no expected information"):
        mle.check_information(model(proportional, RIGHT_ONE.parameters, draw_proportional), DATA)
    with pytest.raises(ValueError, match="has no simulate"):
        mle.check_information(mle.Model(proportional, RIGHT_ONE.parameters, expected_information=information), DATA)
    with pytest.raises(ValueError, match="draws is 1"):
        mle.check_information(RIGHT_ONE, DATA, draws=1)

"""Censored models: every status against SciPy's distributions, rows that cannot be, and what `simulate` censors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import mle_jax as mle
from mle_jax import models

W, SCALE = np.array([0.3, -0.5]), 0.7
X = np.column_stack([np.ones(12), np.linspace(-1.5, 1.5, 12)])
LINE = X @ W
Y = np.exp(LINE + np.array([-3.0, -1.0, 0.5, 1.2] * 3))
UPPER = Y * np.array([1.001, 1.5, 9.0] * 4)
STATUS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])

LAWS = {
    "weibull_aft": (stats.weibull_min(1 / SCALE, scale=np.exp(LINE)), "scale"),
    "lognormal_aft": (stats.lognorm(SCALE, scale=np.exp(LINE)), "scale"),
    "loglogistic_aft": (stats.fisk(1 / SCALE, scale=np.exp(LINE)), "scale"),
    "exponential_aft": (stats.expon(scale=np.exp(LINE)), None),
    "censored_gaussian_regression": (stats.norm(LINE, SCALE), "sd"),
}
"""The distribution of y in every row, by its textbook parametrization, and what the scale is called."""


def params_of(name):
    spread = LAWS[name][1]
    return {"w": W, **({spread: np.asarray(SCALE)} if spread else {})}


def contributions(name, data):
    return np.asarray(getattr(models, name)().contributions(params_of(name), data))


@jax.enable_x64(True)
@pytest.mark.parametrize("name", LAWS)
def test_every_status_contributes_what_the_distribution_says(name):
    law = LAWS[name][0]
    found = {
        status: contributions(name, {"x": X, "y": Y, "status": np.full(12, status), "upper": UPPER})
        for status in range(4)
    }
    # SciPy's own formulas are good to 1e-13, but differences of two tails lose three digits and more.
    for status, exact in enumerate((law.logsf(Y), law.logpdf(Y), law.logcdf(Y))):
        assert np.allclose(found[status], exact, rtol=1e-12, atol=1e-14)
    above = law.cdf(Y) > 0.5
    inside = np.where(above, law.sf(Y) - law.sf(UPPER), law.cdf(UPPER) - law.cdf(Y))
    assert np.allclose(found[3], np.log(inside), rtol=1e-9)
    plain = contributions(name, {"x": X, "y": Y})
    assert np.allclose(plain, found[1], rtol=1e-13)
    mixed = contributions(name, {"x": X, "y": Y, "status": STATUS})
    assert np.allclose(mixed, np.choose(STATUS, [found[0], found[1], found[2]]), rtol=1e-13)


@pytest.mark.slow
@jax.enable_x64(True)
@pytest.mark.parametrize("name", ["weibull_aft", "censored_gaussian_regression"])
def test_upper_is_not_looked_at_where_it_is_not_needed(name):
    model = getattr(models, name)()

    def of(upper):
        data = {"x": X, "y": Y, "status": STATUS, "upper": np.full(12, upper)}
        parts = (model.log_likelihood, model.score, model.hessian, model.gradient)
        return jax.tree_util.tree_leaves([part(params_of(name), data) for part in parts])

    plain = of(5.0)
    assert all(np.all(np.isfinite(leaf)) for leaf in plain)
    for upper in (np.nan, np.inf, -np.inf, 0.0):
        assert all(np.array_equal(a, b) for a, b in zip(of(upper), plain, strict=True)), upper


def test_a_limit_that_is_not_used_must_be_finite_all_the_same():
    """The verbs refuse NaN wherever it stands, so documentation and message ask for a number, not for fewer rows."""
    for name in LAWS:
        described = " ".join(getattr(models, name).__doc__.split())
        assert "``upper`` (n,), any finite number, such as y, where status is not 3" in described
    data = {"x": X, "y": Y, "status": STATUS, "upper": np.full(12, np.nan)}
    with pytest.raises(
        ValueError, match=r"'upper' has NaN .*\(any finite number will do where the model does not use "
    ):
        mle.fit(models.weibull_aft(), data)


@jax.enable_x64(True)
@pytest.mark.parametrize("name", LAWS)
def test_rows_that_cannot_be_are_minus_infinity_without_nan(name):
    model = getattr(models, name)()
    rows = [  # y, status, upper
        *((2.0, 7, 3.0), (2.0, -1, 3.0), (2.0, 3, 2.0), (2.0, 3, 1.0)),
        *((np.inf, 1, 3.0), (np.inf, 0, 3.0), (1e300, 3, 1e300)),
    ]
    times = name != "censored_gaussian_regression"
    rows += [(-1.0, 1, 3.0), (0.0, 2, 3.0), (-2.0, 2, 3.0), (-2.0, 3, -1.0)] * times
    rows += [(0.0, 1, 3.0)] * (times and name != "exponential_aft")
    y, status, upper = map(np.array, zip(*rows, strict=True))
    data = {"x": np.tile(X[:1], (len(rows), 1)), "y": y, "status": status, "upper": upper}
    assert np.all(contributions(name, data) == -np.inf)
    scores = model.scores(params_of(name), data)
    assert all(np.all(leaf == 0) for leaf in jax.tree_util.tree_leaves(scores))
    if times:  # above 0 is no news, and so is an interval that begins there
        sure = contributions(name, {"x": X[:2], "y": [0.0, -3.0], "status": [0, 0]})
        assert np.all(sure == 0)
        both = {"x": X[:1], "y": [0.0], "status": [3], "upper": Y[:1]}
        assert np.array_equal(contributions(name, both), contributions(name, {"x": X[:1], "y": Y[:1], "status": [2]}))


@jax.enable_x64(True)
def test_an_exponential_time_may_be_zero():
    model = models.exponential_aft()
    data = {"x": X[:1], "y": [0.0]}
    assert float(model.log_likelihood({"w": W}, data)) == pytest.approx(-LINE[0], rel=1e-14)
    assert np.allclose(model.score({"w": W}, data)["w"], -X[0])
    assert np.allclose(model.gradient({"w": W}, {"x": X[:1], "y": np.zeros(1)})["w"], -X[0])


def test_whole_numbers_and_single_precision_are_understood():
    data = {"x": X.astype(np.float32), "y": np.arange(1, 13), "status": STATUS, "upper": np.arange(2, 14)}
    with jax.enable_x64(False):
        value = models.weibull_aft().log_likelihood(jax.tree_util.tree_map(np.float32, params_of("weibull_aft")), data)
    assert value.dtype == jnp.float32
    assert float(value) == pytest.approx(contributions("weibull_aft", data).sum(), rel=1e-5)


@pytest.mark.parametrize("name", ["weibull_aft", "censored_gaussian_regression"])
def test_simulate_censors_at_the_limits_of_each_row(name):
    """Frequencies of the statuses against the distribution, each with a chance of 6e-5 to be off by four errors."""
    law, draws = LAWS[name][0], 4000
    low, high = law.ppf(0.3), law.ppf(0.8)
    for status, outcomes in {
        0: {0: 0.7, 1: 0.3},
        1: {1: 1.0},
        2: {2: 0.3, 1: 0.7},
        3: {2: 0.3, 3: 0.5, 0: 0.2},
    }.items():
        data = {"x": X, "y": low, "status": np.full(12, status), "upper": high}
        drawn = mle.simulate(
            getattr(models, name)(), {k: np.repeat(v, draws, 0) for k, v in data.items()}, params_of(name), seed=4
        )
        limits = np.repeat(low, draws), np.repeat(high, draws)
        assert np.array_equal(drawn["upper"], limits[1])
        for outcome in range(4):
            share = outcomes.get(outcome, 0.0)
            seen = drawn["status"] == outcome
            assert abs(seen.mean() - share) <= 4 * np.sqrt(share * (1 - share) / seen.size)
            y = drawn["y"][seen]
            if outcome == 1:
                assert np.all((y < limits[0][seen]) if status == 0 else True)
                assert np.all((y > limits[0][seen]) if status == 2 else True)
            else:
                beyond = status == 3 and outcome == 0
                assert np.array_equal(y, limits[1][seen] if beyond else limits[0][seen])


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_a_right_censored_response_has_probability_one(name):
    """Within a fixed design the status follows from y, and what remains is a density with an atom at the limit."""
    ready = getattr(models, name)()
    limits = LAWS[name][0].ppf(0.6)

    def row_of(row):
        return {"x": row["x"], "y": row["y"], "status": jnp.where(row["y"] < row["limit"], 1, 0)}

    def simulate(key, params, row):
        censored = {"x": row["x"], "y": row["limit"], "status": jnp.asarray(0)}
        return {**row, "y": ready.simulate(key, params, censored)["y"]}

    cut = mle.Model(
        lambda params, row: jnp.where(row["y"] > row["limit"], -jnp.inf, ready.log_density(params, row_of(row))),
        ready.parameters,
        simulate=simulate,
    )
    support = (-np.inf if name == "censored_gaussian_regression" else 0.0, "limit")
    report = mle.check_likelihood(cut, {"x": X, "y": limits, "limit": limits}, params_of(name), support=support)
    assert report.passed, str(report)
    assert sum(row.check == "normalization" for row in report.rows) == 8

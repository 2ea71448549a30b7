"""Right likelihoods pass their self-test, wrong ones fail it with the reason; `simulate` draws what the model says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from simulated_models import ALONE, DRAWS, RIGHT, SPREAD, WRONG, N, draw_normal, model, normal

import mle_jax as mle
from mle_jax.inference.counts import BLOCK, probabilities_of_counts
from mle_jax.inference.normalization import CLOSE
from mle_jax.inference.quadrature import REACH, Domain, integrate

pytestmark = pytest.mark.slow  # simulates and integrates for every model: minutes

OTHER_LINKS = {
    name
    for name in RIGHT
    if name.endswith(("(identity)", "(sqrt)", "(log)", "(inverse)", "(inverse_squared)", "(probit)", "(cloglog)"))
}
"""The density and the draw are those of the usual link at another mean, and more of a link no check here can see. That
slope and mean belong together is held in tests/test_models_ready_made.py, by the gradients and by fits of draws."""

FAST_RIGHT = {"linear_gaussian", "logit", "tobit", "truncated normal"}
SUPPORTS = {"tobit_regression(-0.5, 1)": (-0.5, 1.0), "tobit_regression(None, 0.5)": (-np.inf, 0.5)}
"""Where the density does not show the support: what lies beyond a limit counts as being there."""
FAST_WRONG = {"a constant was left out", "truncated and not normalized", "heavier tails are simulated"}


def quick(table, fast):
    return [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in table]


@pytest.mark.parametrize("name", quick([name for name in RIGHT if name not in OTHER_LINKS], FAST_RIGHT))
def test_right_likelihoods_pass(name):
    case = RIGHT[name]
    report = mle.check_likelihood(case.model, case.data, case.params, support=SUPPORTS.get(name), draws=DRAWS)
    assert report.passed, str(report)
    assert report.diagnosis == ""
    totals = [row.found for row in report.rows if row.check == "normalization"]
    # A censored response is two leaves; tests/test_models_censoring.py adds it up over both.
    assert len(totals) == (0 if case.model.is_joint or "status" in case.data else 8)
    # The quadrature asks 1e-10 of every interval; a hundred of them are 1e-8. Sums over counts may leave CLOSE.
    counted = np.asarray(case.data["y"]).dtype.kind == "i"
    assert np.allclose(totals, 1.0, rtol=0, atol=CLOSE if counted else 1e-8)
    assert any(row.check == "information equality" for row in report.rows) == case.model.smooth


@pytest.mark.parametrize("name", quick(WRONG, FAST_WRONG))
def test_wrong_likelihoods_fail_with_the_reason(name):
    case, checks, words = WRONG[name]
    report = mle.check_likelihood(case.model, case.data, case.params)
    assert {row.check for row in report.rows if row.verdict == "wrong"} == checks, str(report)
    assert words in report.diagnosis
    with pytest.raises(AssertionError, match="Likelihood check FAILED"):
        report.assert_passed()
    lines = str(report).splitlines()
    assert len(lines) <= 20
    assert lines[5].endswith("wrong")


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_the_level_says():
    """At level 0.1 at most 10 % of the seeds fail; 21 or more of 100 have a chance below 0.001."""
    skewed = RIGHT["exponential"]
    plain = RIGHT["gaussian"]
    for case in (skewed, plain):
        alarms = [
            not mle.check_likelihood(case.model, case.data, case.params, seed=seed, draws=400, level=0.1).passed
            for seed in range(100)
        ]
        assert sum(alarms) < 21


def test_a_score_that_is_cut_off_altogether_is_remarked():
    def cut_off(p, row):
        return norm.logpdf(row["y"], p["m"], jax.lax.stop_gradient(p["s"]))

    report = mle.check_likelihood(model(cut_off, SPREAD, draw_normal), ALONE, {"m": 0.4, "s": 1.3}, draws=100)
    assert "the mean score in 's', which is 0 whatever is drawn" in report.notes[0]


def test_a_density_that_cannot_be_normalized_fails():
    def upside_down(p, row):
        return (row["y"] - p["m"]) ** 2 / 2

    parameters = {"m": mle.Real()}
    report = mle.check_likelihood(
        model(upside_down, parameters, lambda key, p, row: p["m"] + jax.random.normal(key)), ALONE, draws=100
    )
    assert not report.passed
    assert "integrates to inf instead of 1" in report.diagnosis


def test_draws_outside_the_support_fail():
    """Half of the draws of an exponential variable are negative, where the log density is not a number."""

    def log_density(p, row):
        return jnp.log(p["rate"]) - p["rate"] * jnp.where(row["y"] > 0, row["y"], jnp.nan)

    declared = model(log_density, {"rate": mle.Positive()}, lambda key, p, row: jax.random.laplace(key) / p["rate"])
    report = mle.check_likelihood(declared, ALONE, {"rate": 0.5}, support=(0.0, np.inf), draws=100)
    assert not report.passed
    assert report.failed("mean score")
    assert "The score is not finite in 'rate'" in report.diagnosis


def test_the_support_may_be_given_in_three_ways():
    def shifted(p, row):
        return jnp.log(p["rate"]) - p["rate"] * (row["y"] - row["from"])

    def draw(key, p, row):
        return row["from"] + jax.random.exponential(key) / p["rate"]

    data = {"y": np.full(N, 9.0), "from": np.linspace(1.0, 2.0, N)}
    declared = model(shifted, {"rate": mle.Positive()}, draw)
    for support in (("from", np.inf), lambda params, row: (row["from"], np.inf)):
        report = mle.check_likelihood(declared, data, {"rate": 2.0}, support=support, draws=100)
        assert report.passed, str(report)
    too_much = mle.check_likelihood(declared, data, {"rate": 2.0}, support=(0.0, np.inf), draws=100)
    # In row 0 the density is e^2 too large: e^(2 * 1) by the distance of 1 from 0.
    assert too_much.rows[0].found == pytest.approx(np.exp(2.0), rel=1e-8)
    with pytest.raises(ValueError, match="lower end must be below"):
        mle.check_likelihood(declared, data, {"rate": 2.0}, support=(1.0, 0.0), draws=100)
    with pytest.raises(ValueError, match=r"it must be \(low, high\)"):
        mle.check_likelihood(declared, data, {"rate": 2.0}, support=3.0, draws=100)
    with pytest.raises(ValueError, match="kind is 'count'"):
        mle.check_likelihood(declared, data, {"rate": 2.0}, kind="count")
    with pytest.raises(ValueError, match="response is 'from', but simulate of shifted changes 'y'"):
        mle.check_likelihood(declared, data, {"rate": 2.0}, response="from")


def test_what_has_no_scalar_response_is_tested_by_its_scores():
    def pair(p, row):
        return norm.logpdf(row["y"], p["m"]).sum()

    def draw(key, p, row):
        return p["m"] + jax.random.normal(key, (2,))

    report = mle.check_likelihood(model(pair, {"m": mle.Real()}, draw), {"y": np.zeros((N, 2))}, draws=200)
    assert report.passed
    assert "'y' has shape (40, 2)" in report.notes[0]
    assert {row.check for row in report.rows} == {"mean score", "information equality"}
    with pytest.raises(ValueError, match="has no simulate"):
        mle.check_likelihood(mle.Model(pair, {"m": mle.Real()}), {"y": np.zeros((N, 2))})


@pytest.mark.parametrize("ends", ["line", "half-line", "interval"])
def test_cells_are_integrated_to_closed_forms(ends):
    """Cauchy, exponential and beta(1/2, 1/2): a heavy tail, a boundary, and two poles at the ends."""
    log_density, distribution, low, high, center = {
        "line": (
            lambda t: -np.log(np.pi) - np.log1p((t - 1e3) ** 2),
            lambda t: np.arctan(t - 1e3) / np.pi + 0.5,
            -np.inf,
            np.inf,
            1e3,
        ),
        "half-line": (lambda t: np.log(5.0) - 5.0 * t, lambda t: -np.expm1(-5.0 * t), 0.0, np.inf, 0.1),
        "interval": (
            lambda t: -np.log(np.pi) - np.log(t * (1 - t)) / 2,
            lambda t: 2 * np.arcsin(np.sqrt(t)) / np.pi,
            0.0,
            1.0,
            0.5,
        ),
    }[ends]
    edges = np.array([[center - 0.05, center, center + 0.2]])
    domain = Domain(*(np.array([number]) for number in (low, high, center, 0.5)))
    found = integrate(lambda rows, t: log_density(t), domain, edges)
    below = np.concatenate([[0.0], distribution(edges[0]), [1.0]])
    # 1e-10 an interval, and 1e-16 / sqrt(eps) where the pole at 1 is cut off by rounding.
    assert np.allclose(found.value[0], np.diff(below), rtol=0, atol=2e-8)
    assert np.all(found.error < 1e-7)
    assert REACH > 100


def test_sums_over_counts_end_where_nothing_is_left_or_extrapolate_what_is():
    def zeta(rows, y):  # Zipf with exponent 3; zeta(3) to 16 digits
        with np.errstate(divide="ignore"):
            return np.where(y > 0, -3.0 * np.log(y) - np.log(1.2020569031595942), -np.inf)

    rows = np.ones(1), np.full(1, np.inf)
    found = probabilities_of_counts(zeta, np.array([[1.0, 2.0, 5.0]]), *rows)
    total = found.value.sum() + found.tail[0]
    assert abs(total - 1.0) <= found.error[0] < 1e-9

    def harmonic(rows, y):  # does not converge
        return -np.log(y)

    assert probabilities_of_counts(harmonic, np.array([[1.0, 2.0]]), *rows).tail[0] == np.inf

    def far_out(rows, y):  # uniform over 1000 counts around a million, from no end
        return np.where(np.abs(y - 10**6) < 500, -np.log(999.0), -np.inf)

    unbounded = np.full(1, -np.inf), np.full(1, np.inf)
    found = probabilities_of_counts(far_out, np.array([[10.0**6, 10.0**6 + 3]]), *unbounded)
    assert found.value.sum() == pytest.approx(1.0, abs=1e-12)
    assert found.value.shape[1] <= 8 * BLOCK


def test_simulate_draws_rows_that_depend_on_seed_and_place_alone():
    case = RIGHT["linear_gaussian"]
    first = mle.simulate(case.model, case.data, case.params, seed=3)
    again = mle.simulate(case.model, case.data, case.params, seed=3)
    other = mle.simulate(case.model, case.data, case.params, seed=4)
    assert np.array_equal(first["y"], again["y"])
    assert not np.any(first["y"] == other["y"])
    assert np.array_equal(first["x"], case.data["x"])
    head = mle.simulate(case.model, {key: leaf[:5] for key, leaf in case.data.items()}, case.params, seed=3)
    assert np.allclose(head["y"], first["y"][:5], rtol=1e-12)
    assert len(set(first["y"])) == N


def test_simulate_keeps_shared_leaves_and_turns_whole_numbers_into_fractions():
    def log_density(p, row):
        return norm.logpdf(row["y"], p["m"] + row["grid"].sum() + row["shift"], 1.0)

    shared = mle.Model(
        log_density,
        {"m": mle.Real()},
        constants=("grid",),
        simulate=lambda key, p, row: {**row, "y": row["grid"].sum() + row["shift"] + jax.random.normal(key)},
    )
    data = {"y": [1, 2, 3], "grid": np.arange(4.0), "shift": 100.0}
    drawn = mle.simulate(shared, data, {"m": 0.0})
    assert np.array_equal(drawn["grid"], data["grid"])
    assert float(drawn["shift"]) == 100.0
    assert np.all(np.abs(drawn["y"] - 106.0) < 6.0)
    assert np.all(drawn["y"] != np.round(drawn["y"]))
    assert mle.check_likelihood(shared, data, {"m": 0.0}, draws=100).passed


def test_simulate_says_what_is_wrong():
    with pytest.raises(ValueError, match="normal has no simulate; declare it with"):
        mle.simulate(mle.Model(normal, SPREAD), ALONE)
    short = mle.Model(normal, SPREAD, simulate=lambda key, p, row: {"z": row["y"]})
    with pytest.raises(ValueError, match=r"returned the leaves 'z \(\)', but a row has 'y \(\)'"):
        mle.simulate(short, ALONE)
    with pytest.raises(TypeError, match="it must be a Model"):
        mle.simulate(ALONE, mle.models.gaussian())

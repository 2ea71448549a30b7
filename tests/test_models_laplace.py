"""Laplace regression through the verbs: exact, proved, and honest about everything else."""

from pathlib import Path

import jax
import numpy as np
import pytest
from test_least_absolute_deviations import STACKLOSS

import mle_jax as mle
from mle_jax import Status

MODEL = mle.models.laplace_regression()
ENGEL = Path(__file__).resolve().parents[1] / "examples" / "data" / "engel.csv"


@pytest.fixture(scope="module")
def engel():
    income, food = np.loadtxt(ENGEL, delimiter=",", skiprows=1, unpack=True)
    return {"x": np.column_stack([np.ones(income.size), income]), "y": food}


@pytest.fixture(scope="module")
def exact(engel):
    return mle.fit(MODEL, engel)


def test_engel_by_exact_arithmetic(exact, engel):
    assert exact.status is Status.converged and exact.decrement == 0 and exact.steps == 0
    # The line through households 75 and 219, in exact rational arithmetic; 1e-12: rounding times the condition.
    w = [1784909194846269296811843031 / 21905497840690050000000000, 245420677098290 / 438109956813801]
    scale = np.mean(np.abs(engel["y"] - engel["x"] @ w))
    np.testing.assert_allclose(exact.params["w"], w, rtol=1e-12)
    assert exact.params["scale"] == pytest.approx(scale, rel=1e-12)
    assert exact.log_likelihood == pytest.approx(-235 * np.log(2 * scale) - 235, rel=1e-13)
    assert exact.message == Status.converged.text


def test_standard_errors_are_those_of_the_expected_information(exact, engel):
    information = engel["x"].T @ engel["x"] / exact.params["scale"] ** 2
    expected = np.sqrt(np.diag(np.linalg.inv(information)))
    np.testing.assert_allclose(exact.standard_errors()["w"], expected, rtol=1e-9)  # condition of X'X: 4e6
    assert exact.standard_errors()["scale"] == pytest.approx(exact.params["scale"] / np.sqrt(235), rel=1e-12)


def test_stackloss_by_exact_arithmetic():
    fit = mle.fit(MODEL, {"x": np.column_stack([np.ones(21), STACKLOSS[:, :3]]), "y": STACKLOSS[:, 3]})
    np.testing.assert_allclose(fit.params["w"], [-13693 / 345, 287 / 345, 66 / 115, -7 / 115], rtol=1e-12)
    assert fit.log_likelihood == pytest.approx(-50.15272213664892, rel=1e-13)  # from the exact residuals
    assert fit.converged


def test_the_exact_point_is_recognized_and_others_are_measured(exact, engel):
    again = mle.evaluate(MODEL, engel, exact.params)
    assert again.status is Status.converged and again.decrement == 0
    away = mle.evaluate(MODEL, engel, {"w": 1.01 * exact.params["w"], "scale": exact.params["scale"]})
    missing = exact.log_likelihood - away.log_likelihood
    assert away.status is Status.max_steps
    assert away.decrement == pytest.approx(np.sqrt(2 * missing), rel=1e-9)
    assert "below its exact maximum" in away.message


def test_gradient_descent_is_told_how_far_it_stays(exact, engel):
    scaled = {"x": engel["x"] / [1, 1000], "y": engel["y"] / 1000}
    with pytest.warns(mle.ConvergenceWarning, match="below its exact maximum"):
        descent = mle.fit(MODEL, scaled, optimizer=mle.optimizers.GradientDescent(0.01), max_steps=500)
    # In thousands of francs the density is 1000 times as high.
    missing = exact.log_likelihood + 235 * np.log(1000) - descent.log_likelihood
    assert missing > 0 and descent.status is Status.max_steps
    assert descent.decrement == pytest.approx(np.sqrt(2 * missing), rel=1e-9)


def test_a_start_is_of_no_account_to_the_exact_solver(exact, engel):
    fit = mle.fit(MODEL, engel, start={"w": [0.0, 0.0], "scale": 1.0})
    assert fit.converged and fit.log_likelihood == exact.log_likelihood


def test_non_uniqueness_is_said():
    fit = mle.fit(MODEL, {"x": np.ones((4, 1)), "y": np.array([1.0, 2.0, 5.0, 9.0])})
    assert fit.converged and 2 <= fit.params["w"][0] <= 5
    assert fit.log_likelihood == pytest.approx(-4 * np.log(2 * 11 / 4) - 4, rel=1e-14)  # the sum of |r| is 11
    assert "not unique" in fit.message and "not unique" in str(fit.summary())
    assert "2.00000" in fit.message and "5.00000" in fit.message
    # The stretch belongs to the exact maximizer: it says nothing at another point.
    other = mle.evaluate(MODEL, {"x": np.ones((4, 1)), "y": [1.0, 2.0, 5.0, 9.0]}, {"w": [3.0], "scale": 11 / 4})
    assert other.converged and other.message == Status.converged.text


def test_collinear_columns_are_not_identified(engel):
    twice = np.column_stack([engel["x"], 2 * engel["x"][:, 1]])
    with pytest.warns(mle.ConvergenceWarning, match="not_identified"):
        fit = mle.fit(MODEL, {"x": twice, "y": engel["y"]})
    assert "w[1]" in fit.message and "w[2]" in fit.message and "w[0]" not in fit.message
    assert fit.reliable["w"].tolist() == [True, False, False]
    errors = fit.standard_errors()
    alone = mle.fit(MODEL, engel).standard_errors()
    assert errors["w"][0] == pytest.approx(alone["w"][0], rel=1e-8) and np.isnan(errors["w"][1:]).all()


def test_a_perfect_fit_has_no_scale(engel):
    with pytest.warns(mle.ConvergenceWarning, match="scale_collapsed"):
        fit = mle.fit(MODEL, {"x": engel["x"], "y": engel["x"] @ [1.0, 2.0]})
    assert fit.status is Status.scale_collapsed


def test_every_lane_of_a_batch_is_exact(engel, exact):
    x, y = engel["x"], engel["y"]
    collinear = np.column_stack([np.ones(235), np.ones(235)])
    many = {"x": np.stack([x, x, collinear]), "y": np.stack([y, 2 * y, y])}
    with pytest.warns(mle.ConvergenceWarning, match="1 of 3"):
        fits = mle.fit_batch(MODEL, many)
    assert fits.status.tolist() == [Status.converged, Status.converged, Status.not_identified]
    np.testing.assert_allclose(fits.params["w"][:2], [exact.params["w"], 2 * exact.params["w"]], rtol=1e-12)
    assert np.isnan(fits.standard_errors()["w"][2]).all() and np.isfinite(fits.standard_errors()["scale"][2])


def test_maximize_is_exact_under_jit(engel, exact):
    with jax.enable_x64(True):
        solution = jax.jit(lambda data: mle.maximize(MODEL, data))(engel)
    np.testing.assert_allclose(solution.params["w"], exact.params["w"], rtol=1e-12)
    assert int(solution.status) == Status.converged


def test_single_precision_claims_no_more_than_rounding(engel, exact):
    fit = mle.fit(MODEL, engel, dtype="float32")
    assert fit.status is Status.converged_to_rounding and 0 < fit.decrement < 1e-2
    assert mle.fit(MODEL, engel, dtype="mixed").log_likelihood == exact.log_likelihood


def test_a_closed_form_without_proof_certifies_nothing():
    model = mle.Model(
        MODEL.log_density, MODEL.parameters, smooth=False, closed_form=lambda data, weights: {"w": [2.0], "scale": 2.4}
    )
    data = {"x": np.ones((5, 1)), "y": np.array([0.0, 1.0, 2.0, 4.0, 9.0])}
    with pytest.warns(mle.ConvergenceWarning, match="uncertified"):
        fit = mle.fit(model, data)
    assert fit.steps == 0 and fit.params["w"][0] == 2.0 and np.isnan(fit.decrement)

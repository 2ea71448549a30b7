"""Closed forms where some entries are fixed: exact, proved, and compiled once for a whole profile."""

import jax
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import Status

LAPLACE, LINE, SAMPLE = mle.models.laplace_regression(), mle.models.linear_gaussian(), mle.models.gaussian()
N = 41
RNG = np.random.default_rng(17)
X = np.column_stack([np.ones(N), RNG.exponential(size=N)])
Y = X @ [1.0, 2.0] + RNG.laplace(size=N)
DATA = {"x": X, "y": Y}


def slope_through(intercept, weights=None):
    """Return the exact slope: the median of (y - intercept) / x with the weights w x."""
    x = X[:, 1]
    shares = x if weights is None else weights * x
    ratios = (Y - intercept) / x
    order = np.argsort(ratios)
    return ratios[order][np.searchsorted(np.cumsum(shares[order]), shares.sum() / 2)]


def best(w, weights=None):
    """Return the best scale for a line, and the log-likelihood with it."""
    scale = np.average(np.abs(Y - X @ w), weights=weights)
    total = N if weights is None else weights.sum()
    return scale, -total * (np.log(2 * scale) + 1)


def check_line(fit, intercept, weights=None):
    w = [intercept, slope_through(intercept, weights)]
    scale, total = best(w, weights)
    assert fit.status is Status.converged and fit.decrement == 0 and fit.steps == 0
    assert fit.params["w"][0] == intercept
    assert fit.params["w"][1] == pytest.approx(w[1], rel=1e-13)  # a subtraction and a division
    assert fit.params["scale"] == pytest.approx(scale, rel=1e-13)
    assert fit.log_likelihood == pytest.approx(total, rel=1e-13)


def test_a_fixed_coefficient_leaves_an_exact_problem():
    fit = mle.fit(LAPLACE, DATA, fixed={"w[0]": 0.5})
    check_line(fit, 0.5)
    assert fit.n_parameters == 2
    errors = fit.standard_errors()
    assert errors["w"][0] == 0
    assert errors["w"][1] == pytest.approx(fit.params["scale"] / np.linalg.norm(X[:, 1]), rel=1e-12)
    weights = RNG.integers(0, 4, size=N).astype(float)
    check_line(mle.fit(LAPLACE, DATA, fixed={"w[0]": 0.5}, weights=weights), 0.5, weights)


def test_a_fixed_scale_does_not_move_the_line():
    free, fit = mle.fit(LAPLACE, DATA), mle.fit(LAPLACE, DATA, fixed={"scale": 2.5})
    assert fit.status is Status.converged and fit.decrement == 0
    np.testing.assert_array_equal(fit.params["w"], free.params["w"])
    assert fit.params["scale"] == 2.5
    total = -N * np.log(5.0) - np.abs(Y - X @ fit.params["w"]).sum() / 2.5
    assert fit.log_likelihood == pytest.approx(total, rel=1e-13)
    errors = 2.5 * np.sqrt(np.diag(np.linalg.inv(X.T @ X)))
    np.testing.assert_allclose(fit.standard_errors()["w"], errors, rtol=1e-12)


def test_a_fixed_line_leaves_the_mean_deviation():
    fit = mle.fit(LAPLACE, DATA, fixed={"w": [0.5, 2.0]})
    scale, total = best([0.5, 2.0])
    assert fit.status is Status.converged and fit.decrement == 0
    assert fit.params["scale"] == pytest.approx(scale, rel=1e-13)
    assert fit.log_likelihood == pytest.approx(total, rel=1e-13)


def test_a_profile_is_exact_and_compiles_once():
    traces = []

    def counted(data, weights, fixed=None):
        traces.append(1)
        return LAPLACE.closed_form(data, weights, fixed)

    model = mle.Model(LAPLACE.log_density, LAPLACE.parameters, smooth=False, closed_form=counted)
    for intercept in (-1.0, 0.0, 3.0):
        check_line(mle.fit(model, DATA, fixed={"w[0]": intercept}), intercept)
    seen = len(traces)
    assert seen == 1
    mle.fit(model, {"x": X[:-1], "y": Y[:-1]}, fixed={"w[0]": 0.5})
    assert len(traces) > seen  # the counter counts


def test_other_points_are_measured_against_the_exact_maximum():
    fit = mle.fit(LAPLACE, DATA, fixed={"w[0]": 0.5})
    again = mle.evaluate(LAPLACE, DATA, fit.params, fixed={"w[0]": 0.5})
    assert again.status is Status.converged and again.decrement == 0
    away = mle.evaluate(LAPLACE, DATA, {"w": [0.5, 1.0], "scale": 1.5}, fixed={"w[0]": 0.5})
    missing = fit.log_likelihood - away.log_likelihood
    assert away.decrement == pytest.approx(np.sqrt(2 * missing), rel=1e-9)


def test_every_lane_is_exact():
    y = np.stack([Y, 2 * Y])
    fits = mle.fit_batch(LAPLACE, {"x": X, "y": y}, shared="x", fixed={"w[0]": 0.5})
    assert (fits.status == Status.converged).all() and (fits.decrement == 0).all()
    check_line(fits[0], 0.5)
    np.testing.assert_allclose(fits.params["w"][1], [0.5, 2 * slope_through(0.25)], rtol=1e-12)


@pytest.mark.slow
def test_traced_values_are_exact():
    with jax.enable_x64(True):
        at = jax.jit(jax.vmap(lambda value: mle.maximize(LAPLACE, DATA, fixed={"w[0]": value}).params["w"][1]))
        slopes = at(np.array([-1.0, 2.0]))
    np.testing.assert_allclose(slopes, [slope_through(-1.0), slope_through(2.0)], rtol=1e-12)


def test_the_gaussian_models_begin_at_their_closed_form():
    line = mle.fit(LINE, DATA, fixed={"w[0]": 0.5})
    slope = X[:, 1] @ (Y - 0.5) / (X[:, 1] @ X[:, 1])
    assert line.status is Status.converged and line.steps == 0
    np.testing.assert_allclose(line.params["w"], [0.5, slope], rtol=1e-13)
    assert line.params["variance"] == pytest.approx(np.mean((Y - X @ [0.5, slope]) ** 2), rel=1e-13)
    known = mle.fit(LINE, DATA, fixed={"variance": 2.0})
    assert known.converged and known.steps == 0
    np.testing.assert_allclose(known.params["w"], np.linalg.lstsq(X, Y, rcond=None)[0], rtol=1e-12)
    sample = mle.fit(SAMPLE, {"y": Y}, fixed={"mu": 1.0})
    assert sample.converged and sample.steps == 0
    assert sample.params["variance"] == pytest.approx(np.mean((Y - 1.0) ** 2), rel=1e-13)


def told(kept):
    """Return a model whose closed form keeps what it is told."""

    def closed_form(data, weights, fixed=None):
        kept.append(fixed)
        return {"p": np.array([0.2, 0.3, 0.5]), "w": np.array([7.0, 7.0]), "s": 1.5}

    space = {"p": mle.Simplex(3), "w": mle.Real(2), "s": mle.Positive()}
    return mle.Model(
        lambda params, row: -jax.numpy.abs(row["y"] - params["w"].sum()) / params["s"], space, closed_form=closed_form
    )


def test_a_closed_form_is_told_what_is_fixed():
    kept = []
    with jax.enable_x64(True):
        solution = mle.maximize(told(kept), {"y": Y}, fixed={"w[1]": -2.0, "p": [0.25, 0.25, 0.5]}, max_steps=0)
    entries = kept[-1].entries
    assert entries["p"].tolist() == [True] * 3 and entries["w"].tolist() == [False, True] and not entries["s"]
    np.testing.assert_array_equal(solution.params["w"], [7.0, -2.0])
    np.testing.assert_array_equal(solution.params["p"], [0.25, 0.25, 0.5])
    with jax.enable_x64(True):
        mle.maximize(told(kept), {"y": Y}, max_steps=0)
    assert kept[-1] is None


def test_a_closed_form_that_does_not_ask_is_left_out():
    model = mle.Model(
        LAPLACE.log_density,
        LAPLACE.parameters,
        start=LAPLACE.start,
        smooth=False,
        closed_form=lambda data, weights: LAPLACE.closed_form(data, weights),
    )
    with pytest.warns(mle.ConvergenceWarning, match="uncertified"):
        fit = mle.fit(model, DATA, fixed={"w[0]": 0.5})
    assert fit.steps > 0 and np.isnan(fit.decrement)

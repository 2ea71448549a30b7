"""Searches that used up all their steps: an end out of reach, and a start whose curvature says nothing of the way."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax.optimizers import LBFGS, NewtonCG

RNG = np.random.default_rng(0)
N = 60
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
W = np.array([0.5, 0.3, -0.3])
# Expected counts in the place of counts: the score of a Poisson regression is exactly 0 at W.
MEAN = np.exp(X @ W)
MODEL = mle.Model(lambda p, r: r["y"] * (r["x"] @ p["w"]) - jnp.exp(r["x"] @ p["w"]), {"w": mle.Real(columns="x")})


@pytest.mark.parametrize("optimizer", [pytest.param(NewtonCG(), marks=pytest.mark.slow), LBFGS()], ids=repr)
def test_a_search_ends_where_no_step_gains_anything(optimizer):
    found = mle.fit(MODEL, {"x": X, "y": MEAN}, optimizer=optimizer, tolerance=1e-300)
    assert found.converged and found.steps < 100
    np.testing.assert_allclose(found.params["w"], W, rtol=1e-12)
    # The same program from where the log-likelihood of some rows is -1e12.
    far = mle.fit(MODEL, {"x": X, "y": MEAN}, optimizer=optimizer, start={"w": np.array([28.0, 1.0, -1.0])})
    assert far.converged
    np.testing.assert_allclose(far.params["w"], W, rtol=1e-9)


def test_the_units_of_a_search_follow_it():
    """At the start the curvature is 1 and the slope 1e12; at the maximum the curvature is 1e12."""
    found = mle.fit(MODEL, {"x": X, "y": 1e12 * MEAN}, optimizer=LBFGS())
    assert found.converged and found.steps < 1000
    np.testing.assert_allclose(found.params["w"], W + np.array([np.log(1e12), 0.0, 0.0]), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", [NewtonCG(), LBFGS()], ids=["NewtonCG", "LBFGS"])
def test_single_precision_ends_at_its_rounding(optimizer):
    found = mle.fit(MODEL, {"x": X, "y": MEAN}, optimizer=optimizer, dtype="float32")
    assert found.status.name == "converged_to_rounding" and found.steps < 100
    np.testing.assert_allclose(found.params["w"], W, atol=1e-4)


@pytest.mark.slow
def test_separated_rows_among_thousands_are_seen_to_rise():
    """Beside so many rows the last part of the way is below the rounding errors of the log-likelihood."""
    n = 15_000
    x = np.column_stack([np.ones(n), RNG.normal(size=n), np.arange(n) < 20])
    y = np.where(x[:, 2] > 0, 0.0, RNG.poisson(np.exp(3.0 + 0.3 * x[:, 1])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        found = mle.fit(mle.models.poisson_regression(), {"x": x, "y": y})
        rest = mle.fit(mle.models.poisson_regression(), {"x": x[20:, :2], "y": y[20:]})
    assert found.status is mle.Status.rising and "-w[2]" in found.message
    assert found.reliable["w"].tolist() == [True, True, False]
    np.testing.assert_allclose(found.params["w"][:2], rest.params["w"], rtol=1e-7)
    np.testing.assert_allclose(found.standard_errors()["w"][:2], rest.standard_errors()["w"], rtol=1e-6)

"""Options of `fit_batch`: searches in single precision, tables without standard errors."""

import numpy as np
import pytest

import mle_jax as mle

LANES, ROWS = 40, 60
RNG = np.random.default_rng(5)
X = np.concatenate([np.ones((LANES, ROWS, 1)), RNG.standard_normal((LANES, ROWS, 2))], axis=2)
W = np.array([0.5, 0.3, -0.4]) + 0.1 * RNG.standard_normal((LANES, 3))
Y = RNG.poisson(np.exp(np.einsum("lnp,lp->ln", X, W))).astype(float)
DATA = {"x": X, "y": Y}
MODEL = mle.models.poisson_regression()


@pytest.fixture(scope="module")
def double():
    return mle.fit_batch(MODEL, DATA)


def distances(fits, reference):
    """Return how far the estimates of all lanes are from those of the reference, in its standard errors."""
    move = fits.params["w"] - reference.params["w"]
    return np.sqrt(np.einsum("bi,bij,bj->b", move, np.linalg.inv(reference.covariance()), move))


def test_mixed_precision_ends_where_double_precision_does(double):
    """The decrement is below 1e-6 before the last step, which squares it."""
    fits = mle.fit_batch(MODEL, DATA, dtype="mixed")
    assert (fits.status == mle.Status.converged).all()
    assert distances(fits, double).max() < 1e-8
    np.testing.assert_allclose(fits.standard_errors()["w"], double.standard_errors()["w"], rtol=1e-7)
    assert fits.to_pandas()["float32_agrees"].all()
    assert "float64 disagrees in 0 lanes of 40" in fits.summary()


def test_single_precision_claims_no_more_than_rounding(double):
    fits = mle.fit_batch(MODEL, DATA, dtype="float32")
    assert (fits.status == mle.Status.converged_to_rounding).all()
    assert distances(fits, double).max() < 1e-2  # what the status allows
    # Numbers at the point are those of float64: the information, and the height, flat at the top.
    np.testing.assert_allclose(fits.log_likelihood, double.log_likelihood, rtol=0, atol=1e-4)
    assert np.all(fits.log_likelihood <= double.log_likelihood + 1e-10)


def test_lanes_that_single_precision_cannot_do_are_counted_and_begin_anew(double):
    """Around 2e4 + y float32 keeps too few digits of y; float64 must not suffer from where float32 ended."""
    y = RNG.standard_normal((6, ROWS))
    y[3] = 1e12 + y[3]  # float32 sees a constant
    fits = mle.fit_batch(mle.models.gaussian(), {"y": y}, dtype="mixed", optimizer=mle.optimizers.Newton())
    assert fits.converged.all()
    # Of 1e12 float64 keeps four digits after the point; the mean of the rest is known to their rounding.
    np.testing.assert_allclose(
        fits.params["mu"] - np.where(np.arange(6) == 3, 1e12, 0.0),
        y.mean(1) - np.where(np.arange(6) == 3, 1e12, 0.0),
        rtol=0,
        atol=1e-3,
    )
    agrees = fits.to_pandas()["float32_agrees"].to_numpy()
    assert agrees.tolist() == [True, True, True, False, True, True]
    assert "float64 disagrees in 1 lane of 6" in fits.summary()


@pytest.mark.slow
def test_an_empty_lane_is_the_same_in_both_precisions():
    data = {"x": X[:4], "y": Y[:4].copy()}
    data["y"][2] = np.nan
    with pytest.warns(mle.ConvergenceWarning, match="1 of 4"):
        fits = mle.fit_batch(MODEL, data, dtype="mixed")
    assert fits.converged.tolist() == [True, True, False, True]
    assert fits.to_pandas()["float32_agrees"].all()


@pytest.mark.slow
def test_constraints_hold_in_double_precision():
    fits = mle.fit_batch(MODEL, DATA, dtype="float32", constraints=("w[0] + w[1] = 0.1",))
    np.testing.assert_allclose(fits.params["w"][:, 0] + fits.params["w"][:, 1], 0.1, rtol=0, atol=1e-15)


@pytest.mark.slow
def test_weights_and_starts_by_lane_go_with_their_lanes(double):
    weights = RNG.integers(0, 3, (LANES, ROWS)).astype(float)
    start = {"w": np.linspace(-0.1, 0.1, LANES)[:, None] + np.zeros(3)}
    reference = mle.fit_batch(MODEL, DATA, weights=weights)
    fits = mle.fit_batch(MODEL, DATA, weights=weights, start=start, dtype="mixed")
    assert distances(fits, reference).max() < 1e-8


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="dtype is 'half', but it must be 'float64', 'float32'"):
        mle.fit_batch(MODEL, DATA, dtype="half")


def test_tables_without_standard_errors(double, tmp_path):
    fits = mle.fit_batch(MODEL, DATA, standard_errors=False)
    names = list(fits.to_pandas())
    assert names == ["w[0]", "w[1]", "w[2]", "log_likelihood", "status", "decrement", "steps"]
    assert "median_error" in double.summary() and "median_error" not in fits.summary()
    np.testing.assert_array_equal(fits.standard_errors()["w"], double.standard_errors()["w"])
    fits.save(tmp_path / "fits.npz")
    assert list(mle.Fit.load(tmp_path / "fits.npz").to_pandas()) == names

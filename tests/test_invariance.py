"""What must not change an answer: units, origins, order, copies instead of weights, padding, how a scale is written.

Where the tolerances come from. A certified fit is within 1e-6 standard errors of the top, and a last full Newton step
squares that, so what is left is rounding: eps = 2e-16, magnified by the shift of a column over its spread (or of the
response over its residuals), with a factor of 100 for the sums, and 1e-11 for special functions. Each fit reports its
distance from the top (the decrement), which is allowed on top. Covariances magnify twice, but never lose more than half
of the digits: below that the library rotates the coordinates.
"""

import functools
import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

import mle_jax as mle
from mle_jax import Status, models
from tests.variations import RESPONSES, N, Variation, X, variations

EPS = np.finfo(float).eps


def gaussian(params, row):
    return norm.logpdf(row["y"], row["x"] @ params["w"], params["scale"])


def gumbel(params, row):
    z = (row["y"] - row["x"] @ params["w"]) / params["scale"]
    return -jnp.log(params["scale"]) - z - jnp.exp(-z)


def moments(data):
    """Mean and standard deviation: from 0 and 1, exp(-z) overflows for a response of -1000."""
    none = jnp.zeros(data["x"].shape[1])
    return {"w": none.at[0].set(jnp.mean(data["y"])), "scale": jnp.std(data["y"])}


class Kind(NamedTuple):
    """A model of <x, w>, and what follows w."""

    model: mle.Model
    others: int = 0
    scaled: bool = False


LOCATION_SCALE = {"w": mle.Real(columns="x"), "scale": mle.Positive()}
KINDS = {
    "gaussian": Kind(mle.Model(gaussian, LOCATION_SCALE), 1, scaled=True),
    "logistic": Kind(models.logistic_regression()),
    "poisson": Kind(models.poisson_regression()),
    "negative binomial": Kind(models.negative_binomial_regression(), 1),
    "student t": Kind(models.student_t_regression(), 2, scaled=True),
    "gumbel": Kind(mle.Model(gumbel, LOCATION_SCALE, start=moments), 1, scaled=True),
}
FAST = {"gaussian", "poisson"}
NEAR, FAR = (1e2,), (1e4, 1e6)


def quick(names, fast=FAST):
    return [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in names]


@functools.cache
def fitted(name: str, shifts: tuple[float, ...]) -> tuple[dict[str, Variation], Any]:
    """Fit all variations of a dataset in one batch."""
    kind = KINDS[name]
    found = variations(RESPONSES[name], kind.others, scaled=kind.scaled, shifts=shifts)
    x, y, weights = (np.stack([getattr(v, leaf) for v in found.values()]) for leaf in ("x", "y", "weights"))
    return found, mle.fit_batch(kind.model, {"x": x, "y": y}, weights=weights)


def flat(fits):
    return np.stack([fits.to_pandas()[name] for name in fits.names], axis=-1)


def check_variations(name, shifts):
    found, fits = fitted(name, shifts)
    assert fits.converged.all(), fits.failed()
    estimates, covariances, sandwiches = flat(fits), fits.covariance(), fits.covariance("sandwich")
    assert np.all(np.isfinite(covariances)) and fits.log_likelihood[0] < 0
    for lane, (what, v) in enumerate(found.items()):
        distance = fits.decrement[lane] + fits.decrement[0]
        rounding = 100 * EPS * v.magnified
        expected = v.matrix @ covariances[0] @ v.matrix.T / v.copies
        errors = np.sqrt(np.diag(expected))
        off = (estimates[lane] - v.matrix @ estimates[0] - v.offset) / errors
        assert np.max(np.abs(off)) <= 1.1 * distance + rounding + 1e-11, what
        twice = min(100 * EPS * v.magnified**2, np.sqrt(EPS)) + 1e-10
        for given, kind in ((covariances, expected), (sandwiches, v.matrix @ sandwiches[0] @ v.matrix.T / v.copies)):
            scale = np.sqrt(np.diag(kind))
            assert np.max(np.abs(given[lane] - kind) / np.outer(scale, scale)) <= twice + 2 * distance, what
        total = v.copies * (fits.log_likelihood[0] + v.jacobian)
        # N terms of about 1, each with the rounding of its residual; and the sum of N log c.
        assert abs(fits.log_likelihood[lane] - total) <= N * rounding + 10 * EPS * abs(total), what
        assert fits.n_observations[lane] == N * v.copies


@pytest.mark.parametrize("name", quick(KINDS))
def test_units_origins_order_copies_and_padding_change_nothing(name):
    check_variations(name, NEAR)
    assert (fitted(name, NEAR)[1].status == Status.converged).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian", "poisson"])
def test_far_origins_change_nothing_but_the_last_digits(name):
    check_variations(name, FAR)


def test_padding_and_weights_of_one_are_no_weights():
    data = {"x": X, "y": RESPONSES["poisson"]}
    fit, fits = mle.fit(KINDS["poisson"].model, data), fitted("poisson", NEAR)[1]
    errors = fit.standard_errors()["w"]
    # Rounding only: another number of rows is summed in another order.
    assert np.max(np.abs(fit.params["w"] - fits.params["w"][0]) / errors) <= 1e-12
    np.testing.assert_allclose(fit.covariance(), fits.covariance()[0], rtol=1e-12, atol=1e-14 * errors.max() ** 2)
    assert fit.log_likelihood == pytest.approx(fits.log_likelihood[0], rel=1e-14)


SPREADS = {
    "log sd": (mle.Real(), jnp.exp, np.log, lambda sd: 1 / sd),
    "precision": (mle.Positive(), lambda s: 1 / jnp.sqrt(s), lambda sd: sd**-2, lambda sd: -2 * sd**-3),
    "variance": (mle.Positive(), jnp.sqrt, np.square, lambda sd: 2 * sd),
    "sd on an interval": (mle.Interval(0, 50), lambda s: s, lambda sd: sd, lambda sd: 1.0),
    "sd on the real line": (mle.Real(start=1.0), lambda s: s, lambda sd: sd, lambda sd: 1.0),
}
"""How a spread is declared, its standard deviation, and the way back with its derivative."""


@pytest.mark.parametrize("what", quick(SPREADS, {"log sd"}))
def test_the_scale_on_which_a_parameter_is_written_changes_nothing(what):
    declared, to_sd, written, slope = SPREADS[what]
    model = mle.Model(
        lambda p, row: norm.logpdf(row["y"], row["x"] @ p["w"], to_sd(p["s"])),
        {"w": mle.Real(columns="x"), "s": declared},
    )
    y = RESPONSES["gaussian"]
    fit = mle.fit(model, {"x": X, "y": y})
    # The closed form is the independent answer: least squares, variance RSS / n, information blocks apart.
    w = np.linalg.lstsq(X, y, rcond=None)[0]
    sd = np.sqrt(np.mean((y - X @ w) ** 2))
    errors = sd * np.sqrt(np.diag(np.linalg.inv(X.T @ X)))
    assert fit.converged
    np.testing.assert_allclose(fit.params["w"], w, rtol=0, atol=1e-10 * errors.max())
    assert fit.params["s"] == pytest.approx(written(sd), rel=1e-10)
    np.testing.assert_allclose(fit.standard_errors()["w"], errors, rtol=1e-10)
    assert fit.standard_errors()["s"] == pytest.approx(abs(slope(sd)) * sd / np.sqrt(2 * N), rel=1e-9)
    assert fit.log_likelihood == pytest.approx(-N / 2 * (np.log(2 * np.pi * sd**2) + 1), rel=1e-13)


@pytest.mark.slow
def test_the_order_of_names_is_that_of_the_declaration_and_nothing_else():
    turned = mle.Model(gaussian, dict(reversed(LOCATION_SCALE.items())))
    fit, fits = mle.fit(turned, {"y": RESPONSES["gaussian"], "x": X}), fitted("gaussian", NEAR)[1]
    assert fits.names == ("w[0]", "w[1]", "w[2]", "scale") and fit.names == ("scale", "w[0]", "w[1]", "w[2]")
    order = [3, 0, 1, 2]
    covariance = fits.covariance()[0][np.ix_(order, order)]
    errors = np.sqrt(np.diag(covariance))
    assert np.max(np.abs(fit.tidy()["estimate"] - flat(fits)[0][order]) / errors) <= 1e-11
    assert np.max(np.abs(fit.covariance() - covariance) / np.outer(errors, errors)) <= 1e-11
    assert fit.log_likelihood == pytest.approx(fits.log_likelihood[0], rel=1e-13)


@pytest.mark.parametrize("name", quick(["poisson", "gaussian"], {"poisson"}))
def test_single_precision_is_as_far_off_as_it_says(name):
    """The decrement is the distance to the top in standard errors, and float64 says where the top is."""
    kind, (_, fits) = KINDS[name], fitted(name, NEAR)
    for units in (np.ones(3), np.array([1.0, 1e-4, 1e4])):
        fit = mle.fit(kind.model, {"x": X * units, "y": RESPONSES[name]}, dtype="float32")
        scale = np.append(1 / units, np.ones(kind.others))
        # The top of the batch is within 1e-10 standard errors: exact, here.
        off = fit.tidy()["estimate"] / scale - flat(fits)[0]
        distance = np.sqrt(off @ np.linalg.solve(fits.covariance()[0], off))
        assert fit.status is Status.converged_to_rounding, fit.message
        assert fit.params["w"].dtype == np.float64
        # Rounding of the estimates to float32 alone; the factor is the size of an estimate in standard errors.
        reach = np.sqrt(kind.others + 3) * np.max(np.abs(flat(fits)[0]) / np.sqrt(np.diag(fits.covariance()[0])))
        assert fit.decrement <= 1e-2
        assert distance == pytest.approx(fit.decrement, rel=0.05, abs=np.finfo(np.float32).eps * reach)
        assert fit.log_likelihood == pytest.approx(fits.log_likelihood[0] - distance**2 / 2, rel=1e-9)


LARGE = X[:, 2] > 1
WITH_GROUP = np.column_stack([X[:, :2], LARGE])
REPEATED = np.column_stack([X[:, :2], 2 * X[:, 1] - 1])
TROUBLES = {
    "separated": ("logistic", X, X[:, 1] > 0.1, Status.rising),
    "a separated group": ("logistic", WITH_GROUP, np.where(LARGE, 1.0, RESPONSES["logistic"]), Status.rising),
    "a group without counts": ("poisson", WITH_GROUP, np.where(LARGE, 0.0, RESPONSES["poisson"]), Status.rising),
    "collinear": ("poisson", REPEATED, RESPONSES["poisson"], Status.not_identified),
    "collinear with a scale": ("gaussian", REPEATED, RESPONSES["gaussian"], Status.not_identified),
    "a perfect line": ("gaussian", X, X @ [1.0, 2.0, 3.0], Status.scale_collapsed),
}


@pytest.mark.parametrize("what", quick(TROUBLES, {"a group without counts"}))
def test_units_do_not_change_a_verdict(what):
    name, x, y, status = TROUBLES[what]
    seen = []
    for c in (1.0, 1e-8, 1e-4, 1e4, 1e8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mle.ConvergenceWarning)
            fit = mle.fit(KINDS[name].model, {"x": x * [1.0, c, 1 / c], "y": y * 1.0})
        errors = fit.standard_errors()["w"] * [1.0, c, 1 / c]
        seen.append((fit.reliable["w"].tolist(), errors, fit.log_likelihood))
        assert fit.status is status, (c, fit.message)
    for reliable, errors, log_likelihood in seen[1:]:
        assert reliable == seen[0][0]
        np.testing.assert_allclose(errors, seen[0][1], rtol=1e-9)  # NaN where not reliable
        if status is not Status.scale_collapsed:  # there it is as large as the range of float64 allows
            assert log_likelihood == pytest.approx(seen[0][2], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("c", [1e-8, 1e8])
@pytest.mark.slow
def test_units_of_the_response_do_not_change_a_verdict(c):
    for what in ("collinear with a scale", "a perfect line"):
        name, x, y, status = TROUBLES[what]
        with pytest.warns(mle.ConvergenceWarning):
            fit = mle.fit(KINDS[name].model, {"x": x, "y": c * y})
        assert fit.status is status, fit.message

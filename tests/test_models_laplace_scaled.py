"""Columns of very different scales, and noise far below the level of the data: what is identified, what is noise."""

from fractions import Fraction

import jax
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import Status

pytestmark = pytest.mark.slow  # every shape of data compiles the exact solver again: minutes

LAPLACE, LINE, SAMPLE = mle.models.laplace_regression(), mle.models.linear_gaussian(), mle.models.gaussian()
N = 40
NOISE = np.random.default_rng(3).laplace(size=N)
T = np.linspace(1950.25, 2020.75, N)
U = np.linspace(0.0, 1.0, N)


def powers(t, degree):
    return np.column_stack([t**j for j in range(degree + 1)])


def exact_errors(x, scale, weights=None):
    """Return scale sqrt(diag((X'WX)^-1)), the matrix inverted in rational arithmetic: no digit is lost."""
    weights = [Fraction(1)] * len(x) if weights is None else [Fraction(float(w)) for w in weights]
    rows = [[Fraction(float(entry)) for entry in row] for row in x]
    p = len(rows[0])
    products = [[sum(w * r[i] * r[j] for w, r in zip(weights, rows, strict=True)) for j in range(p)] for i in range(p)]
    whole = [row + [Fraction(int(i == j)) for j in range(p)] for i, row in enumerate(products)]
    for i in range(p):  # Gauss and Jordan; X'WX is positive definite, so its pivots are not 0
        whole[i] = [entry / whole[i][i] for entry in whole[i]]
        for k in set(range(p)) - {i}:
            whole[k] = [a - whole[k][i] * b for a, b in zip(whole[k], whole[i], strict=True)]
    return np.array([scale * float(whole[i][p + i]) ** 0.5 for i in range(p)])


DESIGNS = {
    "cubic of calendar years": powers(T, 3),
    "offset": np.column_stack([np.ones(N), 1e8 + np.arange(N), np.cos(7 * U), 1e-12 * U**2]),
    "powers": np.column_stack([1 + 1e-7 * U, np.ones(N), U**2, U**3]),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_badly_scaled_columns_are_identified(name):
    x = DESIGNS[name]
    fit = mle.fit(LAPLACE, {"x": x, "y": np.sin(5 * U) + 0.3 * NOISE})
    assert fit.status is Status.converged and fit.decrement == 0
    errors = exact_errors(x, fit.params["scale"])
    # Rounding of size 4 eps over the smallest singular value, which is 1e-9 or more once the columns have length 1.
    np.testing.assert_allclose(fit.standard_errors()["w"], errors, rtol=1e-6)
    assert fit.standard_errors()["scale"] == pytest.approx(fit.params["scale"] / np.sqrt(N), rel=1e-12)


def test_collinear_columns_among_badly_scaled_ones_are_named():
    x = np.column_stack([powers(T, 2), 2 * T - 3000])
    y = np.sin(5 * U) + 0.3 * NOISE
    with pytest.warns(mle.ConvergenceWarning, match="not_identified"):
        fit = mle.fit(LAPLACE, {"x": x, "y": y})
    assert "+w[0] -0.00067 w[1] +0.00033 w[3] (" in fit.message  # 3000 w[0] - 2 w[1] + w[3]
    assert fit.reliable["w"].tolist() == [False, False, True, False] and fit.reliable["scale"]
    errors = fit.standard_errors()["w"]
    assert np.isnan(errors[[0, 1, 3]]).all()
    assert errors[2] == pytest.approx(exact_errors(x[:, :3], fit.params["scale"])[2], rel=1e-6)


def test_lanes_and_weights_are_judged_like_single_fits():
    years, y = powers(T, 3), np.sin(5 * U) + 0.3 * NOISE
    double = np.column_stack([powers(T, 2), 2 * T - 3000])
    weights = np.tile([1.0, 2.0, 0.0, 3.0], N // 4)
    with pytest.warns(mle.ConvergenceWarning, match="1 of 2"):
        fits = mle.fit_batch(LAPLACE, {"x": np.stack([years, double]), "y": np.stack([y, y])}, weights=weights)
    assert fits.status.tolist() == [Status.converged, Status.not_identified]
    errors = fits.standard_errors()["w"]
    scales = fits.params["scale"]
    np.testing.assert_allclose(errors[0], exact_errors(years, scales[0], weights), rtol=1e-6)
    assert errors[1][2] == pytest.approx(exact_errors(double[:, :3], scales[1], weights)[2], rel=1e-6)
    assert np.isnan(errors[1][[0, 1, 3]]).all()


@pytest.mark.slow
def test_badly_scaled_columns_are_identified_under_jit():
    data = {"x": DESIGNS["cubic of calendar years"], "y": np.sin(5 * U) + 0.3 * NOISE}
    with jax.enable_x64(True):
        solution = jax.jit(lambda d: mle.maximize(LAPLACE, d))(data)
    assert int(solution.status) == Status.converged and bool(solution.reliable.all())


def test_the_expected_information_of_a_rotated_fit_keeps_its_digits():
    fit = mle.fit(LINE, {"x": DESIGNS["cubic of calendar years"], "y": np.sin(5 * U) + 0.3 * NOISE})
    errors = exact_errors(DESIGNS["cubic of calendar years"], np.sqrt(fit.params["variance"]))
    np.testing.assert_allclose(fit.standard_errors(kind="expected")["w"], errors, rtol=1e-6)  # as above


LEVELS = [(1e9, 1e-3), (1e6, 1e-6), (-1e9, 1e-4)]


@pytest.mark.parametrize(("level", "noise"), LEVELS)
def test_noise_far_below_the_level_is_noise(level, noise):
    y = level + noise * (U + NOISE)
    x = powers(U, 1)
    below = y - y[0]  # exact: y and y[0] are within a factor of 2
    fit, shifted = (mle.fit(LAPLACE, {"x": x, "y": z}) for z in (y, below))
    assert fit.converged and fit.decrement == 0
    assert shifted.status is Status.converged
    # The coefficients are rounded to the last digit of the level.
    np.testing.assert_allclose(fit.params["w"] - [y[0], 0.0], shifted.params["w"], atol=2 * np.spacing(abs(level)))
    assert fit.params["scale"] == pytest.approx(shifted.params["scale"], rel=1e-12)
    np.testing.assert_allclose(
        fit.standard_errors()["w"], exact_errors(x, shifted.params["scale"]), rtol=1e-10
    )  # X'X has a condition of 20


@pytest.mark.parametrize(("level", "noise"), LEVELS)
def test_noise_far_below_the_level_is_noise_to_the_gaussian_models(level, noise):
    y = level + noise * NOISE
    below = y - y[0]
    line, sample = mle.fit(LINE, {"x": powers(U, 1), "y": y}), mle.fit(SAMPLE, {"y": y})
    assert line.converged and sample.converged
    w = np.linalg.lstsq(powers(U, 1), below, rcond=None)[0]
    # Every residual carries half a unit in the last place of the level, about 1e-4 of the noise.
    assert line.params["variance"] == pytest.approx(np.mean((below - powers(U, 1) @ w) ** 2), rel=1e-2)
    assert sample.params["variance"] == pytest.approx(below.var(), rel=1e-2)


def test_what_float64_cannot_hold_is_said():
    fit = mle.fit(LAPLACE, {"x": powers(U, 1), "y": 1e6 + 1e-8 * NOISE})
    # The last digit of 1e6, 1.2e-10, is more than 1 % of the standard errors, 1e-8 / sqrt(40) or a few times that.
    assert fit.status is Status.converged_to_rounding


@pytest.mark.parametrize("w", [[1 / 3, np.pi], [1e9 / 3, 1e-3], [1e-30 / 3, 1e-30], [0.1, 0.0]])
@pytest.mark.parametrize("model", [LAPLACE, LINE], ids=["laplace", "gaussian"])
def test_rounding_errors_are_no_noise(model, w):
    with pytest.warns(mle.ConvergenceWarning, match="scale_collapsed"):
        mle.fit(model, {"x": powers(U, 1), "y": powers(U, 1) @ w})


@pytest.mark.slow
def test_twenty_rounded_columns_are_no_noise():
    rng = np.random.default_rng(8)
    x = np.abs(rng.normal(size=(4, 100, 20)))
    x[:2, :, 1] += 1e4
    y = np.einsum("bij,bj->bi", x, rng.normal(size=(4, 20)))
    with pytest.warns(mle.ConvergenceWarning, match="4 of 4"):
        fits = mle.fit_batch(LINE, {"x": x, "y": y})
    assert (fits.status == Status.scale_collapsed).all()


def test_tiny_units_are_no_collapse():
    y = 1.0 + U + 0.3 * NOISE
    fit, tiny = (mle.fit(LAPLACE, {"x": powers(U, 1), "y": unit * y}) for unit in (1.0, 2.0**-120))
    assert tiny.status is Status.converged
    np.testing.assert_array_equal(tiny.params["w"], 2.0**-120 * fit.params["w"])  # a power of two rounds nothing

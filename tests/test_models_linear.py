"""`linear_gaussian` and `laplace_regression`, against NumPy, SciPy and their own definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

import mle_jax as mle
from mle_jax import models

TRUTH = np.array([1.0, -2.0, 0.5])


def line(n: int = 60, seed: int = 11) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    return {"x": x, "y": x @ TRUTH + 0.7 * rng.normal(size=n)}


@jax.enable_x64(True)
def test_log_densities_are_scipys():
    data, w = line(), np.array([0.3, 1.0, -1.0])
    center = data["x"] @ w
    gaussian = models.linear_gaussian().contributions({"w": w, "variance": 0.49}, data)
    laplace = models.laplace_regression().contributions({"w": w, "scale": 1.3}, data)
    # A few roundings of residuals of size 5 or less, and of the terms.
    np.testing.assert_allclose(gaussian, stats.norm.logpdf(data["y"], center, 0.7), rtol=1e-13)
    np.testing.assert_allclose(laplace, stats.laplace.logpdf(data["y"], center, 1.3), rtol=1e-13)


def test_constructors_return_the_same_object():
    assert models.linear_gaussian() is models.linear_gaussian()
    assert models.laplace_regression() is models.laplace_regression()


@jax.enable_x64(True)
def test_closed_form_is_least_squares():
    data = line()
    w = np.linalg.lstsq(data["x"], data["y"], rcond=None)[0]
    found = models.linear_gaussian().closed_form(data, None)
    np.testing.assert_allclose(found["w"], w, rtol=1e-13)
    np.testing.assert_allclose(found["variance"], np.mean((data["y"] - data["x"] @ w) ** 2), rtol=1e-13)


@jax.enable_x64(True)
def test_weights_are_repeated_rows():
    data = line(20)
    weights = np.tile([1, 2, 0, 3], 5)
    many = {name: np.repeat(leaf, weights, axis=0) for name, leaf in data.items()}
    expected = models.linear_gaussian().closed_form(many, None)
    data["x"][weights == 0] = np.nan  # a row of weight zero is left out, whatever it contains
    found = models.linear_gaussian().closed_form(data, weights.astype(float))
    np.testing.assert_allclose(found["w"], expected["w"], rtol=1e-12)
    np.testing.assert_allclose(found["variance"], expected["variance"], rtol=1e-12)


@pytest.mark.parametrize("optimizer", ["auto", mle.optimizers.Newton()], ids=["auto", "newton"])
def test_fit_leaves_out_rows_of_weight_zero(optimizer):
    data = line(20)
    weights = np.tile([1.0, 1.0, 0.0, 1.0], 5)
    kept = {name: leaf[weights > 0] for name, leaf in data.items()}
    expected = mle.fit(models.linear_gaussian(), kept)
    data["y"][weights == 0] = np.nan
    fit = mle.fit(models.linear_gaussian(), data, weights=weights, optimizer=optimizer)
    assert fit.converged
    np.testing.assert_allclose(fit.params["w"], expected.params["w"], rtol=1e-10)


@jax.enable_x64(True)
def test_expected_information_of_the_gaussian_line():
    # At the maximum X' r = 0 and mean r^2 = variance, so observed and expected information are equal.
    data, model = line(), models.linear_gaussian()
    params = model.closed_form(data, None)
    observed = -np.asarray(model.hessian(params, data))
    np.testing.assert_allclose(model.expected_information(params, data), observed, rtol=1e-12, atol=1e-10)


@jax.enable_x64(True)
def test_expected_information_of_the_laplace_line():
    data, scale = line(15), 1.7
    found = models.laplace_regression().expected_information({"w": TRUTH, "scale": scale}, data)

    def expectation(of) -> float:
        density = stats.laplace(scale=scale).pdf
        return 2 * integrate.quad(lambda r: of(r) * density(r), 0, np.inf)[0]  # the integrands are even

    # The scores of one row: x sign(r) / b and -1/b + |r| / b^2; their cross product is odd, so its mean is 0.
    w_part = expectation(lambda r: 1 / scale**2) * data["x"].T @ data["x"]
    last = 15 * expectation(lambda r: (-1 / scale + r / scale**2) ** 2)
    expected = np.block([[w_part, np.zeros((3, 1))], [np.zeros((1, 3)), np.array([[last]])]])
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)  # quad's own tolerance


@jax.enable_x64(True)
def test_start_is_finite_and_fits_the_data():
    data = line()
    flat = models.linear_gaussian().start(data)
    assert flat["w"].tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(flat["variance"], np.mean(data["y"] ** 2), rtol=1e-14)
    least = models.laplace_regression().start(data)
    w = np.linalg.lstsq(data["x"], data["y"], rcond=None)[0]
    np.testing.assert_allclose(least["w"], w, rtol=1e-12)
    np.testing.assert_allclose(least["scale"], np.mean(np.abs(data["y"] - data["x"] @ w)), rtol=1e-12)


@jax.enable_x64(True)
@pytest.mark.parametrize(
    ("model", "name", "noise"),
    [
        (models.linear_gaussian(), "variance", stats.norm(scale=0.8)),
        (models.laplace_regression(), "scale", stats.laplace(scale=0.8)),
    ],
    ids=["gaussian", "laplace"],
)
def test_simulated_rows_follow_the_model(model, name, noise):
    data = line(3000)
    params = {"w": TRUTH, name: 0.8 if name == "scale" else 0.64}
    keys = jax.random.split(jax.random.key(3), 3000)
    rows = jax.vmap(lambda key, row: model.simulate(key, params, row))(keys, data)
    predicted = jax.vmap(lambda row: model.predict(params, row))(data)
    np.testing.assert_array_equal(rows["x"], data["x"])
    np.testing.assert_allclose(predicted, data["x"] @ TRUTH, rtol=1e-13, atol=1e-13)
    assert stats.kstest(np.asarray(rows["y"] - predicted), noise.cdf).pvalue > 1e-3
    # The best scale at the true line lies within four standard errors of the truth.
    residuals = np.asarray(rows["y"] - predicted)
    best, error = (
        (np.mean(np.abs(residuals)), 0.8 / np.sqrt(3000))
        if name == "scale"
        else (np.mean(residuals**2), 0.64 * np.sqrt(2 / 3000))
    )
    assert abs(best - params[name]) < 4 * error


@jax.enable_x64(True)
def test_a_gaussian_fit_recovers_the_truth():
    data, params = line(2000), {"w": TRUTH, "variance": 0.64}
    keys = jax.random.split(jax.random.key(5), 2000)
    model = models.linear_gaussian()
    rows = jax.vmap(lambda key, row: model.simulate(key, params, row))(keys, data)
    fit = mle.fit(model, {name: np.asarray(leaf) for name, leaf in rows.items()})
    errors = fit.standard_errors()
    assert fit.converged
    assert np.all(np.abs(fit.params["w"] - TRUTH) < 4 * errors["w"])
    assert abs(fit.params["variance"] - 0.64) < 4 * errors["variance"]


SHIFTED = {
    "linear_gaussian": (models.linear_gaussian(), "variance"),
    "laplace_regression": (models.laplace_regression(), "scale"),
    "quantile_regression": (models.quantile_regression(0.3), "scale"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "linear_gaussian" else pytest.mark.slow) for name in SHIFTED]
)
def test_an_offset_is_subtracted_from_the_response(name):
    """<x, w> + offset explains y as <x, w> explains y - offset: same estimates, errors, log-likelihood."""
    (model, spread), data = SHIFTED[name], line()
    offset = np.linspace(-3.0, 5.0, data["y"].size)
    less = {"x": data["x"], "y": data["y"] - offset}
    for options in ({}, {"fixed": {"w[1]": -2.0}}, {"weights": np.arange(60) % 3 + 1.0}):
        given = mle.fit(model, {**data, "offset": offset}, **options)
        expected = mle.fit(model, less, **options)
        assert given.converged and expected.converged
        # y and y - offset are rounded differently: a few eps of numbers of size 5, divided by the curvature
        np.testing.assert_allclose(given.params["w"], expected.params["w"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(given.params[spread], expected.params[spread], rtol=1e-9)
        np.testing.assert_allclose(given.log_likelihood, expected.log_likelihood, rtol=1e-12)
        np.testing.assert_allclose(given.covariance(), expected.covariance(), rtol=1e-6, atol=1e-12)
    row = {"x": np.array([1.0, 2.0, 3.0]), "offset": np.array(10.0)}
    with jax.enable_x64(True):
        assert float(model.predict({"w": TRUTH, spread: 1.0}, row)) == pytest.approx(8.5)  # 1 - 4 + 1.5 + 10


def test_collinear_columns_are_named():
    data = line(30)
    data["x"][:, 2] = 2 * data["x"][:, 1]
    with pytest.warns(mle.ConvergenceWarning, match="not_identified"):
        fit = mle.fit(models.linear_gaussian(), data)
    assert fit.status is mle.Status.not_identified
    assert "w[1]" in fit.message and "w[2]" in fit.message and "w[0]" not in fit.message
    # The fitted values are determined all the same, and so is the intercept.
    w = np.linalg.lstsq(data["x"], data["y"], rcond=None)[0]
    np.testing.assert_allclose(data["x"] @ fit.params["w"], data["x"] @ w, rtol=1e-10)
    assert fit.reliable["w"].tolist() == [True, False, False]


def test_as_many_columns_as_rows():
    data = {"x": np.array([[1.0, 0.0], [1.0, 1.0]]), "y": np.array([1.0, 3.0])}
    with pytest.warns(mle.ConvergenceWarning):
        fit = mle.fit(models.linear_gaussian(), data)
    assert not fit.converged and np.isnan(fit.standard_errors()["variance"])


# Within one block of rows, and in three with a rest.
@pytest.mark.parametrize("n", [16, pytest.param(2500, marks=pytest.mark.slow)])
def test_laplace_weights_weigh_the_information(n):
    data = line(n)
    weights = np.tile([1, 2, 0, 1], n // 4)
    many = {name: np.repeat(leaf, weights, axis=0) for name, leaf in data.items()}
    model, params = models.laplace_regression(), {"w": TRUTH, "scale": 0.7}
    data["y"][weights == 0] = np.nan
    weighted = mle.evaluate(model, data, params, weights=weights.astype(float)).standard_errors()
    repeated = mle.evaluate(model, many, params).standard_errors()
    np.testing.assert_allclose(weighted["w"], repeated["w"], rtol=1e-12)
    np.testing.assert_allclose(weighted["scale"], repeated["scale"], rtol=1e-12)


def test_newton_is_refused_for_laplace():
    with pytest.raises(ValueError, match="laplace_regression is declared smooth=False"):
        mle.fit(models.laplace_regression(), line(), optimizer=mle.optimizers.Newton())


def test_closed_form_under_vmap_and_jit():
    data = line(25)
    many = {"x": jnp.stack([data["x"], 2 * data["x"]]), "y": jnp.stack([data["y"]] * 2)}
    found = jax.jit(jax.vmap(lambda one: models.linear_gaussian().closed_form(one, None)))(many)
    # float32: condition near 1, 25 rows.
    w = np.linalg.lstsq(data["x"], data["y"], rcond=None)[0]
    np.testing.assert_allclose(found["w"], np.stack([w, w / 2]), rtol=2e-5)

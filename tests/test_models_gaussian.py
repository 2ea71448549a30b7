"""The Gaussian sample: `gaussian_mean` and `gaussian`, against SciPy, exact arithmetic and their own definitions."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import mle_jax as mle
from mle_jax import models

RNG_SEED = 20240


def sample(n: int = 40) -> np.ndarray:
    return np.random.default_rng(RNG_SEED).normal(3.0, 2.0, n)


def exact_moments(y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Return the weighted mean and variance in rational arithmetic."""
    rows = [(Fraction(float(v)), Fraction(float(w))) for v, w in zip(y, weights, strict=True) if w > 0]
    total = sum(w for _, w in rows)
    mean = sum(v * w for v, w in rows) / total
    return float(mean), float(sum(w * (v - mean) ** 2 for v, w in rows) / total)


@jax.enable_x64(True)
def test_log_density_is_scipys():
    y = np.linspace(-30.0, 30.0, 41)
    # The values reach 2e3; a few roundings of each term.
    for mu, variance in ((0.0, 1.0), (-4.5, 0.25), (7.0, 9.0)):
        expected = stats.norm.logpdf(y, mu, np.sqrt(variance))
        known = models.gaussian_mean(variance).contributions({"mu": mu}, {"y": y})
        both = models.gaussian().contributions({"mu": mu, "variance": variance}, {"y": y})
        np.testing.assert_allclose(known, expected, rtol=1e-14)
        np.testing.assert_allclose(both, expected, rtol=1e-14)


@pytest.mark.parametrize("other", [1, 1.0, np.float64(1.0), np.float32(1.0), np.int64(1), np.array(1.0)])
def test_the_same_variance_is_the_same_model(other):
    assert models.gaussian_mean(other) is models.gaussian_mean(variance=1.0)


def test_constructors_return_the_same_object():
    assert models.gaussian() is models.gaussian()
    assert models.gaussian_mean(2.0) is not models.gaussian_mean(3.0)


@pytest.mark.parametrize("variance", [-1, 0, 0.0, float("nan"), float("inf"), np.float64(-2.0)])
def test_variance_outside_its_domain(variance):
    with pytest.raises(ValueError, match=r"gaussian_mean was given variance=.* above 0; pass .*variance=1\.0"):
        models.gaussian_mean(variance)


@pytest.mark.parametrize("variance", ["a", "1.0", None, True, 1j, [1.0], np.array([1.0, 2.0])])
def test_variance_that_is_no_number(variance):
    with pytest.raises(TypeError, match=r"gaussian_mean was given variance=.* must be a real number; pass "):
        models.gaussian_mean(variance)


def test_traced_variance():
    with pytest.raises(TypeError, match="must be a real number"):
        jax.jit(lambda v: models.gaussian_mean(v).log_likelihood({"mu": 0.0}, {"y": jnp.ones(2)}))(1.0)


@jax.enable_x64(True)
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e9])
def test_closed_form_is_exact_also_far_from_zero(offset):
    # Multiples of 1/8, so that offset + y is exact and the rational answer is that of the very same numbers.
    y = offset + np.round(8 * sample()) / 8
    mean, variance = exact_moments(y, np.ones(y.size))
    found = models.gaussian().closed_form({"y": y}, None)
    assert abs(found["mu"] - mean) <= 2 * np.spacing(abs(mean))
    # The mean is rounded by up to 2 ulp, which shifts the variance by its square; plus 40 roundings of the sum.
    rounding = (2 * np.spacing(abs(mean))) ** 2
    assert abs(found["variance"] - variance) <= rounding + 50 * np.finfo(float).eps * variance
    assert models.gaussian_mean(1.0).closed_form({"y": y}, None)["mu"] == found["mu"]


@jax.enable_x64(True)
def test_closed_form_with_weights():
    y, weights = sample(12), np.array([1.0, 2, 0, 3, 0.5, 1, 1, 0, 2, 1, 0.25, 4])
    mean, variance = exact_moments(y, weights)
    y[weights == 0] = np.nan  # a row of weight zero is left out, whatever it contains
    found = models.gaussian().closed_form({"y": y}, weights)
    np.testing.assert_allclose([found["mu"], found["variance"]], [mean, variance], rtol=1e-14)


@jax.enable_x64(True)
def test_weights_are_repeated_rows():
    y, weights = sample(9), np.array([1, 2, 1, 3, 1, 1, 4, 0, 2])
    found = models.gaussian().closed_form({"y": y}, weights.astype(float))
    repeated = np.repeat(y, weights)
    np.testing.assert_allclose([found["mu"], found["variance"]], [repeated.mean(), repeated.var()], rtol=1e-14)


@jax.enable_x64(True)
def test_expected_information_is_the_observed_one_of_a_typical_sample():
    # With sum (y - mu) = 0 and mean (y - mu)^2 = variance, observed and expected information are equal exactly.
    mu, variance, n = 1.5, 2.25, 10
    data = {"y": mu + np.sqrt(variance) * np.tile([1.0, -1.0], n // 2)}
    for model, params in (
        (models.gaussian(), {"mu": mu, "variance": variance}),
        (models.gaussian_mean(variance), {"mu": mu}),
    ):
        observed = -np.asarray(model.hessian(params, data))
        np.testing.assert_allclose(model.expected_information(params, data), observed, rtol=1e-13, atol=1e-13)


@jax.enable_x64(True)
def test_start_lies_inside_and_follows_the_data():
    y = sample() + 1e6
    begin = models.gaussian().start({"y": y})
    assert abs(begin["mu"] - 1e6) < 10 and 0.5 < begin["variance"] < 20


@jax.enable_x64(True)
@pytest.mark.parametrize(
    ("model", "params"),
    [(models.gaussian(), {"mu": 1.0, "variance": 4.0}), (models.gaussian_mean(4.0), {"mu": 1.0})],
    ids=["gaussian", "gaussian_mean"],
)
def test_simulated_rows_follow_the_model_and_fit_recovers_it(model, params):
    keys = jax.random.split(jax.random.key(7), 4000)
    rows = jax.vmap(lambda key: model.simulate(key, params, {"y": 0.0}))(keys)
    y = np.asarray(rows["y"])
    assert y.dtype == np.float64
    assert stats.kstest(y, stats.norm(1.0, 2.0).cdf).pvalue > 1e-3
    fit = mle.fit(model, {"y": y})
    errors = fit.standard_errors()
    assert fit.converged
    for name, truth in params.items():
        assert abs(fit.params[name] - truth) < 4 * errors[name]
    assert model.predict(fit.params, {}) == fit.params["mu"]


def test_closed_form_is_traceable_and_keeps_float32():
    y = jnp.asarray(np.stack([sample(), 2 * sample()]), jnp.float32)
    many = jax.jit(jax.vmap(lambda row: models.gaussian().closed_form({"y": row}, None)))(y)
    assert many["variance"].dtype == jnp.float32
    # float32: 40 terms, each with a few roundings of 6e-8.
    np.testing.assert_allclose(many["variance"], np.var(np.asarray(y, float), axis=1), rtol=5e-6)


@pytest.mark.parametrize("y", [[5.0], [0.1] * 5, [0.0, 0.0], [7, 7, 7]], ids=str)
def test_data_without_spread_are_reported(y):
    with pytest.warns(mle.ConvergenceWarning, match="scale_collapsed"):
        fit = mle.fit(models.gaussian(), {"y": y})
    assert fit.status is mle.Status.scale_collapsed and not fit.converged
    assert "variance" in fit.message
    assert np.isnan(fit.standard_errors()["mu"])


def test_newton_arrives_at_the_closed_form_from_elsewhere():
    y = sample()
    start = {"mu": -5.0, "variance": 100.0}
    fit = mle.fit(models.gaussian(), {"y": y}, optimizer=mle.optimizers.Newton(), start=start)
    assert fit.converged and fit.steps > 0
    np.testing.assert_allclose([fit.params["mu"], fit.params["variance"]], [y.mean(), y.var()], rtol=1e-10)

"""Derivatives through `maximize`, against closed forms and against fits of moved data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import models

RNG = np.random.default_rng(5)
Y = np.array([1.0, 2.0, 6.0, 3.0, 4.5])
N = Y.size
X = np.column_stack([np.ones(40), RNG.normal(size=40)])
COUNTS = RNG.poisson(2.0, size=40).astype(float)
SKEWED = RNG.gamma(2.0, size=40)


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def moments(y, weights=None):
    return mle.maximize(models.gaussian(), {"y": y}, weights=weights).params


@pytest.mark.parametrize("derivative", [jax.jacfwd, jax.jacrev])
def test_mean_and_variance_move_with_the_data_as_their_formulas_say(derivative):
    found = derivative(moments)(jnp.asarray(Y))
    np.testing.assert_allclose(found["mu"], np.full(N, 1 / N), rtol=1e-12)
    np.testing.assert_allclose(found["variance"], 2 * (Y - Y.mean()) / N, atol=1e-12)


def test_second_derivatives_are_right_too():
    found = jax.hessian(lambda y: moments(y)["variance"])(jnp.asarray(Y))
    np.testing.assert_allclose(found, 2 / N * (np.eye(N) - 1 / N), atol=1e-12)


def test_the_influence_of_a_weight_on_the_mean():
    weights = np.array([1.0, 2.0, 1.0, 3.0, 1.0])
    mean = np.average(Y, weights=weights)
    found = jax.grad(lambda w: moments(jnp.asarray(Y), w)["mu"])(jnp.asarray(weights))
    np.testing.assert_allclose(found, (Y - mean) / weights.sum(), atol=1e-12)


def test_the_profile_has_the_score_as_slope():
    def profile(variance):
        return mle.maximize(models.gaussian(), {"y": Y}, fixed={"variance": variance}).log_likelihood

    squares, at = np.sum((Y - Y.mean()) ** 2), 2.0
    assert jax.grad(profile)(at) == pytest.approx(-N / (2 * at) + squares / (2 * at**2), rel=1e-12)
    assert jax.grad(jax.grad(profile))(at) == pytest.approx(N / (2 * at**2) - squares / at**3, rel=1e-12)


def test_under_vmap_and_jit():
    slope = jax.jit(jax.vmap(jax.grad(lambda y: moments(y)["variance"])))
    many = jnp.stack([Y, Y**1.5])
    np.testing.assert_allclose(slope(many), 2 * (many - many.mean(axis=1, keepdims=True)) / N, atol=1e-12)


@pytest.mark.parametrize("argument", ["x", "weights"])
def test_a_regression_moves_as_refitted_ones_do(argument):
    def estimates(x, weights):
        return mle.maximize(models.poisson_regression(), {"x": x, "y": COUNTS}, weights=weights).params["w"]

    given = {"x": X, "weights": np.full(40, 1.5)}
    move = RNG.normal(size=np.shape(given[argument]))
    found = jax.jvp(
        lambda changed: estimates(**{**given, argument: changed}), (jnp.asarray(given[argument]),), (move,)
    )[1]
    h = 1e-4  # differences are off by h^2 and by the digits of a fit over h, both about 1e-8
    there, back = (estimates(**{**given, argument: given[argument] + side * h * move}) for side in (1, -1))
    np.testing.assert_allclose(found, (there - back) / (2 * h), rtol=1e-6)


def test_a_positive_response_counts_through_two_parameters():
    def shape(y):
        return mle.maximize(models.gamma_regression(), {"x": X, "y": y}).params["shape"]

    move, h = RNG.normal(size=40) * SKEWED, 1e-4
    found = jax.jvp(shape, (jnp.asarray(SKEWED),), (move,))[1]
    expected = (shape(SKEWED + h * move) - shape(SKEWED - h * move)) / (2 * h)
    assert found == pytest.approx(float(expected), rel=1e-6)


def test_no_derivatives_without_a_maximum():
    x, y = np.column_stack([np.ones(6), np.arange(6.0)]), np.array([0.0, 0, 0, 1, 1, 1])
    model = models.logistic_regression()
    found = jax.grad(lambda w: mle.maximize(model, {"x": x, "y": y}, weights=w).params["w"][1])(jnp.ones(6))
    assert np.isnan(found).all()


def test_kinks_are_refused_in_the_words_of_the_user():
    with pytest.raises(ValueError, match=r"derivatives of maximize were asked for, but laplace_regression has kinks"):
        jax.grad(lambda y: mle.maximize(models.laplace_regression(), {"x": X, "y": y}).params["scale"])(SKEWED)

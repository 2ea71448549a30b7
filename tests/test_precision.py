"""The smoke suite: the main verbs with the global 64-bit flag on, off, and in a thread, with the same answers."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mle_jax as mle

pytestmark = pytest.mark.smoke

Y = np.array([1.0, 2.0, 6.0, 3.5])
X = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])


def flag_off(work):
    return work()


def flag_on(work):
    with jax.enable_x64(True):
        return work()


def in_thread(work):
    found = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


SITUATIONS = pytest.mark.parametrize("situation", [flag_off, flag_on, in_thread])


@SITUATIONS
def test_fit(situation):
    fit = situation(lambda: mle.fit(mle.models.gaussian(), {"y": Y}))
    np.testing.assert_allclose(fit.params["mu"], Y.mean(), rtol=1e-14)
    np.testing.assert_allclose(fit.params["variance"], Y.var(), rtol=1e-14)
    errors = situation(fit.standard_errors)
    np.testing.assert_allclose(errors["mu"], np.sqrt(Y.var() / 4), rtol=1e-12)
    assert fit.params["mu"].dtype == np.float64 and fit.converged


@SITUATIONS
def test_fit_by_search(situation):
    fit = situation(lambda: mle.fit(mle.models.gaussian(), {"y": Y}, optimizer=mle.optimizers.Newton()))
    np.testing.assert_allclose([fit.params["mu"], fit.params["variance"]], [Y.mean(), Y.var()], rtol=1e-12)


@SITUATIONS
def test_fit_batch(situation):
    fits = situation(lambda: mle.fit_batch(mle.models.gaussian(), {"y": np.stack([Y, 2 * Y])}))
    np.testing.assert_allclose(fits.params["variance"], [Y.var(), 4 * Y.var()], rtol=1e-13)
    one = situation(lambda: fits[1])
    np.testing.assert_allclose(one.params["mu"], 2 * Y.mean(), rtol=1e-14)


@SITUATIONS
def test_evaluate_and_regression(situation):
    model, data = mle.models.linear_gaussian(), {"x": X, "y": Y}
    w = np.linalg.lstsq(X, Y, rcond=None)[0]
    point = {"w": w, "variance": np.mean((Y - X @ w) ** 2)}
    fit = situation(lambda: mle.evaluate(model, data, point))
    assert fit.converged and fit.params["variance"] == point["variance"]


@SITUATIONS
def test_minimize(situation):
    descent = mle.optimizers.GradientDescent(0.1)
    run = situation(lambda: mle.minimize(lambda w: jnp.sum((w - 1) ** 2), np.zeros(2), optimizer=descent, max_steps=30))
    np.testing.assert_allclose(run.params, 1 - 0.8**30, rtol=1e-13)


@SITUATIONS
def test_check_gradient(situation):
    assert situation(lambda: mle.models.linear_gaussian().check_gradient({"x": X, "y": Y})).passed
    function, gradient = (lambda w: w[0] ** 2 * jnp.sin(w[1])), (lambda w: jnp.array([2 * w[0], w[1]]))
    assert not situation(lambda: mle.check_gradient(function, gradient, np.array([1.0, 2.0]))).passed


@SITUATIONS
def test_text(situation):
    assert situation(lambda: mle.text.check(count=10)).passed


def test_methods_follow_the_flag_and_the_verbs_leave_it_alone():
    model = mle.models.gaussian()
    params = {"mu": 0.5, "variance": 2.0}
    off = model.log_likelihood(params, {"y": Y})
    mle.fit(model, {"y": Y})
    assert off.dtype == model.log_likelihood(params, {"y": Y}).dtype == jnp.float32
    with jax.enable_x64(True):
        on = model.log_likelihood(params, {"y": Y})
    assert on.dtype == jnp.float64
    exact = -2 * np.log(2 * np.pi * 2.0) - ((Y - 0.5) ** 2).sum() / 4
    np.testing.assert_allclose(on, exact, rtol=1e-14)
    np.testing.assert_allclose(off, exact, rtol=1e-6)


def test_the_users_own_single_precision_functions_are_unharmed():
    mine = jax.jit(lambda a: a * 2)
    before = mine(jnp.ones(2))
    mle.fit(mle.models.gaussian(), {"y": Y})
    assert before.dtype == mine(jnp.ones(2)).dtype == jnp.float32


def test_a_fit_inside_the_users_own_trace():
    model = mle.models.gaussian()

    @jax.jit
    def spread(y):
        return mle.maximize(model, {"y": y}).params["variance"]

    np.testing.assert_allclose(spread(Y), Y.var(), rtol=1e-5)
    with jax.enable_x64(True):
        np.testing.assert_allclose(spread(Y), Y.var(), rtol=1e-13)
        np.testing.assert_allclose(jax.vmap(spread)(np.stack([Y, 3 * Y])), [Y.var(), 9 * Y.var()], rtol=1e-12)

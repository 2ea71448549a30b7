"""Model's methods against formulas worked out by hand, in every calling situation."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import PROBLEMS, skewed_gamma_rate

import mle_jax as mle

T = np.array([0.5, 1.0, 1.5, 4.0, 8.0])
RATE = {"rate": 0.7}
GAMMA = PROBLEMS["gamma rate"].model


def by_hand(t, rate):
    """Return contributions, scores and Hessian of the gamma density with shape 2: 2 log r + log t - r t."""
    return 2 * np.log(rate) + np.log(t) - rate * t, 2 / rate - t, -2 * t.size / rate**2


def test_methods_equal_the_formulas_in_float64():
    values, slopes, curvature = by_hand(T, 0.7)
    with jax.enable_x64(True):
        data = {"t": T}
        np.testing.assert_allclose(GAMMA.contributions(RATE, data), values, rtol=1e-14)
        np.testing.assert_allclose(GAMMA.log_likelihood(RATE, data), values.sum(), rtol=1e-14)
        np.testing.assert_allclose(GAMMA.scores(RATE, data)["rate"], slopes, rtol=1e-14)
        np.testing.assert_allclose(GAMMA.score(RATE, data)["rate"], slopes.sum(), rtol=1e-13)
        np.testing.assert_allclose(GAMMA.hessian(RATE, data), [[curvature]], rtol=1e-14)


def test_methods_follow_the_callers_precision():
    assert GAMMA.log_likelihood(RATE, {"t": T}).dtype == jnp.float32
    with jax.enable_x64(True):
        assert GAMMA.log_likelihood(RATE, {"t": T}).dtype == jnp.float64
    np.testing.assert_allclose(GAMMA.log_likelihood(RATE, {"t": T}), by_hand(T, 0.7)[0].sum(), rtol=1e-6)


def test_methods_inside_the_users_own_jit_vmap_and_grad():
    rates = jnp.array([0.3, 0.7, 1.1])
    total = jax.jit(lambda rate: GAMMA.log_likelihood({"rate": rate}, {"t": T}))
    expected = [by_hand(T, float(r))[0].sum() for r in rates]
    np.testing.assert_allclose(jax.vmap(total)(rates), expected, rtol=1e-5)
    slope = jax.grad(total)(0.7)
    np.testing.assert_allclose(slope, by_hand(T, 0.7)[1].sum(), rtol=1e-5)


def test_methods_in_a_thread_enter_their_own_precision():
    found = {}

    def work():
        found["fit"] = mle.fit(GAMMA, {"t": T})
        found["dtype"] = GAMMA.log_likelihood(RATE, {"t": T}).dtype

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    np.testing.assert_allclose(found["fit"].params["rate"], 2 / T.mean(), rtol=1e-12)
    assert found["dtype"] == jnp.float32


def test_frequency_weights_repeat_rows():
    weights = np.array([1.0, 3.0, 0.0, 2.0, 1.0])
    repeated = np.repeat(T, weights.astype(int))
    with jax.enable_x64(True):
        for method in ("log_likelihood", "score", "hessian"):
            weighted = getattr(GAMMA, method)(RATE, {"t": T}, weights=weights)
            once = getattr(GAMMA, method)(RATE, {"t": repeated})
            jax.tree_util.tree_map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14), weighted, once)
        parts = GAMMA.contributions(RATE, {"t": T}, weights=weights)
        assert parts.shape == (5,) and parts[2] == 0.0
        np.testing.assert_allclose(parts.sum(), by_hand(repeated, 0.7)[0].sum(), rtol=1e-14)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -1.0])
def test_rows_of_weight_zero_may_hold_anything(poison):
    poisoned = np.array([poison, *T])
    weights = np.array([0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    with jax.enable_x64(True):
        for method in ("log_likelihood", "score", "hessian"):
            masked = getattr(GAMMA, method)(RATE, {"t": poisoned}, weights=weights)
            clean = getattr(GAMMA, method)(RATE, {"t": T})
            jax.tree_util.tree_map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14), masked, clean)
        assert GAMMA.scores(RATE, {"t": poisoned}, weights=weights)["rate"][0] == 0.0


def test_single_numbers_and_constants_are_shared_by_all_rows():
    def log_density(params, row):
        return -0.5 * (row["y"] - params["a"] * row["grid"].sum() - row["offset"]) ** 2

    model = mle.Model(log_density, {"a": mle.Real()}, constants=("grid",))
    data = {"y": np.array([1.0, 2.0]), "grid": np.array([1.0, 2.0, 3.0]), "offset": 0.5}
    value = model.log_likelihood({"a": 0.1}, data)
    np.testing.assert_allclose(value, -0.5 * ((1 - 0.6 - 0.5) ** 2 + (2 - 0.6 - 0.5) ** 2), rtol=1e-6)


def test_a_row_may_have_leaves_of_any_shape():
    def log_density(params, row):  # one person with three choices
        return jax.nn.log_softmax(params["b"] * row["price"])[row["chosen"]]

    model = mle.Model(log_density, {"b": mle.Real()})
    price = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 0.0]])
    chosen = np.array([0, 2])
    expected = sum(-p[c] - np.log(np.exp(-p).sum()) for p, c in zip(price, chosen, strict=True))
    np.testing.assert_allclose(model.log_likelihood({"b": -1.0}, {"price": price, "chosen": chosen}), expected, 1e-6)


def test_hessian_is_in_the_order_of_declaration_and_of_the_lower_triangle():
    def log_density(params, row):
        z, s = params["zeta"], params["alpha"]
        return -(z[0] ** 2) - 3 * z[1] ** 2 - 5 * z[0] * z[1] - 7 * s[0, 0] ** 2 - 11 * s[1, 0] * s[0, 1] + row["y"]

    model = mle.Model(log_density, {"zeta": mle.Real(2), "alpha": mle.Covariance(2)})
    params = {"zeta": np.zeros(2), "alpha": np.eye(2)}
    # s[0, 1] and s[1, 0] are one coordinate: -11 s^2 has second derivative -22.
    expected = np.zeros((5, 5))
    expected[:2, :2] = [[-2, -5], [-5, -6]]
    expected[2, 2], expected[3, 3] = -14, -22
    np.testing.assert_allclose(model.hessian(params, {"y": np.zeros(1)}), expected, atol=1e-5)


def test_joint_models_take_the_whole_dataset_and_refuse_what_needs_rows():
    def log_likelihood(params, data):
        r = data["y"][1:] - params["rho"] * data["y"][:-1]
        return -0.5 * r**2

    y = np.array([1.0, 0.5, 0.25, 0.5])
    model = mle.Model.joint(log_likelihood, {"rho": mle.Real()})
    np.testing.assert_allclose(model.contributions({"rho": 0.5}, {"y": y}), [0, 0, -0.5 * 0.375**2], atol=1e-7)
    np.testing.assert_allclose(model.scores({"rho": 0.5}, {"y": y})["rho"], [0, 0, 0.375 * 0.25], atol=1e-7)
    with pytest.raises(ValueError, match=r"weights were given, but .* is a joint likelihood"):
        model.log_likelihood({"rho": 0.5}, {"y": y}, weights=np.ones(4))
    fit = mle.fit(model, {"y": y})
    assert fit.n_observations == 3  # contributions, not values
    np.testing.assert_allclose(fit.params["rho"], (y[1:] @ y[:-1]) / (y[:-1] @ y[:-1]), rtol=1e-12)
    with pytest.raises(ValueError, match="needs independent rows"):
        fit.covariance("sandwich")
    total = mle.Model.joint(lambda p, d: log_likelihood(p, d).sum(), {"rho": mle.Real()}, n_observations=3)
    with pytest.raises(ValueError, match="returns one number, so it has no contributions"):
        total.contributions({"rho": 0.5}, {"y": y})
    of_total = mle.fit(total, {"y": y})
    assert of_total.n_observations == 3
    with pytest.raises(ValueError, match="needs contributions"):
        of_total.covariance("outer_product")


def test_the_same_shapes_never_compile_or_trace_again():
    traces = []

    def log_density(params, row):
        traces.append(1)
        return skewed_gamma_rate(params, row)

    model = mle.Model(log_density, {"rate": mle.Positive()})
    mle.fit(model, {"t": T}).summary()
    model.score({"rate": 1.0}, {"t": T})
    seen = len(traces)
    for factor in (2.0, 3.0):
        fit = mle.fit(model, {"t": factor * T}, tolerance=1e-7, max_steps=50)
        fit.summary()
        model.score({"rate": 2.0 * factor}, {"t": factor * T})
        np.testing.assert_allclose(fit.params["rate"], 2 / (factor * T.mean()), rtol=1e-12)
    assert len(traces) == seen
    mle.fit(model, {"t": T[:4]})
    assert len(traces) > seen  # the counter counts


def test_other_learning_rates_and_fixed_values_do_not_compile_again():
    traces = []

    def log_density(params, row):
        traces.append(1)
        return -0.5 * (row["y"] - params["a"] - params["b"]) ** 2 - 0.5 * params["a"] ** 2

    model = mle.Model(log_density, {"a": mle.Real(), "b": mle.Real()})
    data = {"y": np.array([1.0, 3.0])}
    descent = mle.optimizers.GradientDescent
    mle.fit(model, data, fixed={"b": 0.0}, optimizer=descent(0.1))
    seen = len(traces)
    fit = mle.fit(model, data, fixed={"b": 1.0}, optimizer=descent(0.2))
    assert len(traces) == seen
    np.testing.assert_allclose(fit.params["a"], 0.5, rtol=1e-6)  # minimizes (1-a)^2/2... : mean 2, a = (2 - 1) / 2
    assert fit.params["b"] == 1.0


def test_model_arguments_are_checked():
    with pytest.raises(TypeError, match="log_density=3, but it must be a function"):
        mle.Model(3, {"a": mle.Real()})
    with pytest.raises(TypeError, match='write constants=\\("knots",\\)'):
        mle.Model(skewed_gamma_rate, {"rate": mle.Positive()}, constants="knots")
    model = mle.Model(skewed_gamma_rate, {"rate": mle.Positive()}, constants=("knots",))
    with pytest.raises(ValueError, match="constants names 'knots', which is no leaf of the data; the leaves are 't'"):
        mle.fit(model, {"t": T})

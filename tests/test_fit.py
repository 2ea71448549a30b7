"""`fit` and `evaluate` against closed forms, in every mode."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from problems import PROBLEMS

import mle_jax as mle

LINE = PROBLEMS["normal regression"]


def assert_close(tree, expected, rtol, atol=0.0):
    jax.tree_util.tree_map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), tree, expected)


@pytest.mark.parametrize("name", PROBLEMS)
def test_estimates_standard_errors_and_log_likelihood(name):
    problem = PROBLEMS[name]
    fit = mle.fit(problem.model, problem.data)
    assert fit.status is mle.Status.converged and fit.converged
    # The certificate allows 1e-6 standard errors; the last Newton step leaves only rounding.
    assert_close(fit.params, problem.estimates, rtol=1e-11, atol=1e-12)
    assert_close(fit.standard_errors(), problem.standard_errors, rtol=1e-9)
    np.testing.assert_allclose(fit.log_likelihood, problem.log_likelihood, rtol=1e-13)
    assert fit.decrement < 1e-6


@pytest.mark.parametrize("name", PROBLEMS)
def test_one_step_from_the_answer_is_enough(name):
    problem = PROBLEMS[name]
    fit = mle.fit(problem.model, problem.data, start=problem.estimates)
    assert fit.converged and fit.steps <= 1
    assert_close(fit.params, problem.estimates, rtol=1e-11, atol=1e-12)


def test_names_order_and_types():
    fit = mle.fit(LINE.model, LINE.data)
    assert fit.names == ("w[0]", "w[1]", "w[2]", "sigma")
    assert list(fit.params) == ["w", "sigma"]
    assert fit.params["w"].dtype == np.float64 and isinstance(fit.params["sigma"], np.float64)
    assert isinstance(fit.log_likelihood, float) and isinstance(fit.steps, int)
    assert fit.covariance().shape == (4, 4)
    table = fit.tidy()
    assert list(table["term"]) == list(fit.names)
    np.testing.assert_allclose(table["estimate"], [*LINE.estimates["w"], LINE.estimates["sigma"]], rtol=1e-10)
    np.testing.assert_allclose(table["std_error"], np.sqrt(np.diag(fit.covariance())), rtol=1e-14)
    assert fit.n_observations == 60 and fit.n_parameters == 4
    np.testing.assert_allclose(fit.aic, 8 - 2 * LINE.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(fit.bic, 4 * np.log(60) - 2 * LINE.log_likelihood, rtol=1e-12)
    for word in ("w[0]", "sigma", "converged", "Log-likelihood", "observed information", "normal_regression"):
        assert word in fit.summary()
    interval = fit.confidence_intervals(level=0.9)
    half = 1.6448536269514722 * table["std_error"]  # the 95 % quantile of the normal distribution
    np.testing.assert_allclose(interval["conf_low"], table["estimate"] - half, rtol=1e-10)
    assert fit.glance()["status"][0] == "converged"


def test_a_simplex_has_one_free_coordinate_less_and_a_singular_covariance():
    fit = mle.fit(PROBLEMS["categorical simplex"].model, PROBLEMS["categorical simplex"].data)
    p = PROBLEMS["categorical simplex"].estimates["p"]
    assert fit.n_parameters == 2 and len(fit.names) == 3
    np.testing.assert_allclose(fit.covariance(), (np.diag(p) - np.outer(p, p)) / 10, atol=1e-14)


def test_fixed_values_are_kept_to_the_bit_and_have_no_variance():
    x, y = LINE.data["x"], LINE.data["y"]
    fit = mle.fit(LINE.model, LINE.data, fixed={"w[1]": -1.7})
    rest = np.linalg.lstsq(x[:, [0, 2]], y + 1.7 * x[:, 1], rcond=None)[0]
    assert fit.params["w"][1] == -1.7 and fit.n_parameters == 3 and fit.converged
    np.testing.assert_allclose(fit.params["w"][[0, 2]], rest, rtol=1e-10)
    assert np.all(fit.covariance()[1] == 0.0)
    assert "Held fixed: w[1]" in fit.summary()
    reduced = mle.Model(
        lambda p, r: norm.logpdf(r["y"], r["x"] @ jnp.array([p["a"], -1.7, p["b"]]), p["sigma"]),
        {"a": mle.Real(), "b": mle.Real(), "sigma": mle.Positive()},
    )
    same = mle.fit(reduced, LINE.data)
    np.testing.assert_allclose(fit.log_likelihood, same.log_likelihood, rtol=1e-13)
    np.testing.assert_allclose(fit.standard_errors()["w"][0], same.standard_errors()["a"], rtol=1e-9)


def test_everything_fixed_is_an_evaluation():
    problem = PROBLEMS["gamma rate"]
    fit = mle.fit(problem.model, problem.data, fixed={"rate": 0.7})
    assert fit.n_parameters == 0 and fit.params["rate"] == 0.7 and fit.steps == 0
    t = problem.data["t"]
    np.testing.assert_allclose(fit.log_likelihood, (2 * np.log(0.7) + np.log(t) - 0.7 * t).sum(), rtol=1e-13)


def test_declared_constants_do_not_move():
    model = mle.Model(
        lambda p, r: norm.logpdf(r["y"], p["mu"], p["sigma"]), {"mu": mle.Real(), "sigma": mle.Fixed(2.0)}
    )
    fit = mle.fit(model, {"y": np.array([1.0, 2.0, 6.0])})
    assert fit.params["sigma"] == 2.0 and fit.n_parameters == 1
    np.testing.assert_allclose(fit.standard_errors()["mu"], 2 / np.sqrt(3), rtol=1e-12)


@pytest.mark.parametrize("kind", ["frequency", "importance"])
def test_weights_repeat_rows(kind):
    weights = np.tile([1.0, 2.0, 0.0], 20)
    repeated = {name: np.repeat(leaf, weights.astype(int), axis=0) for name, leaf in LINE.data.items()}
    weighted = mle.fit(LINE.model, LINE.data, weights=weights, weight_kind=kind)
    once = mle.fit(LINE.model, repeated)
    assert_close(weighted.params, once.params, rtol=1e-10)
    np.testing.assert_allclose(weighted.log_likelihood, once.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(weighted.covariance(), once.covariance(), rtol=1e-8, atol=1e-15)
    sandwiches = weighted.covariance("sandwich"), once.covariance("sandwich")
    if kind == "frequency":
        assert weighted.n_observations == 60
        np.testing.assert_allclose(*sandwiches, rtol=1e-8, atol=1e-14)
    else:
        assert weighted.n_observations == 40
        assert np.max(np.abs(sandwiches[0] / sandwiches[1] - 1)) > 0.05


def test_permuted_rows_and_other_units_change_nothing():
    order = np.random.default_rng(1).permutation(60)
    fit = mle.fit(LINE.model, LINE.data)
    shuffled = mle.fit(LINE.model, {name: leaf[order] for name, leaf in LINE.data.items()})
    assert_close(shuffled.params, fit.params, rtol=1e-11)
    units = np.array([1e-6, 1e6, 1.0])
    scaled = mle.fit(LINE.model, {"x": LINE.data["x"] * units, "y": LINE.data["y"] * 1e3})
    np.testing.assert_allclose(scaled.params["w"] * units / 1e3, fit.params["w"], rtol=1e-8)
    np.testing.assert_allclose(scaled.standard_errors()["w"] * units / 1e3, fit.standard_errors()["w"], rtol=1e-8)
    np.testing.assert_allclose(scaled.log_likelihood, fit.log_likelihood - 60 * np.log(1e3), rtol=1e-12)


def test_history_speaks_of_the_log_likelihood():
    fit = mle.fit(LINE.model, LINE.data, optimizer=mle.optimizers.Newton(), record=True)
    history = fit.history
    assert history.value.shape == (fit.steps + 1,) and history.params["w"].shape == (fit.steps + 1, 3)
    assert np.all(np.diff(history.value) >= -1e-9) and abs(history.value[-1] - fit.log_likelihood) < 1e-6
    first = {"w": np.zeros(3), "sigma": 1.0}
    with jax.enable_x64(True):
        np.testing.assert_allclose(history.value[0], LINE.model.log_likelihood(first, LINE.data), rtol=1e-13)
        slope = LINE.model.score(first, LINE.data)
    # sigma = 1, so the derivative in log sigma is that in sigma
    np.testing.assert_allclose(
        history.gradient_norm[0], np.hypot(np.linalg.norm(slope["w"]), slope["sigma"]), rtol=1e-12
    )
    assert mle.fit(LINE.model, LINE.data).history is None


def test_max_steps_is_never_called_converged():
    with pytest.warns(mle.ConvergenceWarning, match="max_steps"):
        fit = mle.fit(LINE.model, LINE.data, max_steps=2)
    assert fit.status is mle.Status.max_steps and not fit.converged and fit.steps == 2
    assert not fit.reliable["sigma"] and np.isnan(fit.standard_errors()["sigma"])


def test_single_precision_claims_no_more_than_rounding():
    rough = mle.fit(LINE.model, LINE.data, dtype="float32")
    assert rough.status is mle.Status.converged_to_rounding and rough.decrement < 1e-2
    assert_close(rough.params, LINE.estimates, rtol=1e-4)
    assert np.abs(rough.params["w"] - LINE.estimates["w"]).max() > 1e-14  # it was a float32 search
    mixed = mle.fit(LINE.model, LINE.data, dtype="mixed")
    assert mixed.status is mle.Status.converged
    assert_close(mixed.params, LINE.estimates, rtol=1e-11, atol=1e-12)


def test_a_handwritten_gradient_drives_the_search_on_request():
    called = []

    def gradient(params, data):
        called.append(1)
        r = data["y"] - data["x"] @ params["w"]
        s = params["sigma"]
        return {"w": data["x"].T @ r / s**2, "sigma": -r.size / s + (r @ r) / s**3}

    model = mle.Model(LINE.model.log_density, LINE.model.parameters, gradient=gradient)
    mle.fit(model, LINE.data)
    assert not called
    fit = mle.fit(model, LINE.data, gradient="handwritten", optimizer=mle.optimizers.GradientDescent(0.03))
    assert called and fit.converged
    assert_close(fit.params, LINE.estimates, rtol=1e-9, atol=1e-10)
    with pytest.raises(ValueError, match="knows nothing of weights"):
        mle.fit(model, LINE.data, gradient="handwritten", weights=np.ones(60))
    assert mle.fit(model, LINE.data, gradient="handwritten", optimizer=mle.optimizers.Newton()).converged
    wrong = mle.Model(
        LINE.model.log_density,
        LINE.model.parameters,
        gradient=lambda p, d: jax.tree_util.tree_map(jnp.negative, gradient(p, d)),
    )
    with pytest.warns(mle.ConvergenceWarning, match=r"hold it against model.check_gradient\(data\)"):
        assert not mle.fit(wrong, LINE.data, gradient="handwritten", max_steps=50).converged


def test_evaluate_gives_the_inference_at_a_point():
    at_top = mle.evaluate(LINE.model, LINE.data, LINE.estimates)
    assert at_top.status is mle.Status.converged and at_top.steps == 0
    assert np.all(at_top.params["w"] == LINE.estimates["w"])
    assert_close(at_top.standard_errors(), LINE.standard_errors, rtol=1e-9)
    shifted = {"w": LINE.estimates["w"], "sigma": 1.1 * LINE.estimates["sigma"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        away = mle.evaluate(LINE.model, LINE.data, shifted)
    assert not away.converged and "not a certified maximum" in away.message
    assert np.isfinite(away.standard_errors()["sigma"])
    n, s2, v = 60, (1.1 * LINE.estimates["sigma"]) ** 2, LINE.estimates["sigma"] ** 2
    score, information = -n + n * v / s2, 2 * n * v / s2  # in log sigma
    np.testing.assert_allclose(away.decrement, abs(score) / np.sqrt(information), rtol=1e-9)


def test_the_result_does_not_depend_on_the_callers_flag():
    plain = mle.fit(LINE.model, LINE.data)
    with jax.enable_x64(True):
        inside = mle.fit(LINE.model, LINE.data)
    assert_close(plain.params, inside.params, rtol=0)
    assert plain.log_likelihood == inside.log_likelihood
    assert jnp.ones(1).dtype == jnp.float32  # nobody's settings were touched


def test_maximize_is_traceable_and_silent():
    problem = PROBLEMS["gamma rate"]
    times = jnp.asarray(np.stack([problem.data["t"], 2 * problem.data["t"]]))

    @jax.jit
    def rates(times):
        return jax.vmap(lambda t: mle.maximize(problem.model, {"t": t}, tolerance=1e-3).params["rate"])(times)

    np.testing.assert_allclose(rates(times), [2 / 3.0, 1 / 3.0], rtol=1e-5)
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = mle.maximize(problem.model, problem.data, max_steps=1)
        assert int(solution.status) == mle.Status.max_steps and solution.params["rate"].dtype == jnp.float64


def test_start_function_and_partial_starts():
    seen = {}

    def start(data):
        return {"w": jnp.zeros(3), "sigma": jnp.std(data["y"])}

    model = mle.Model(LINE.model.log_density, LINE.model.parameters, start=start)
    fit = mle.fit(model, LINE.data, record=True, start={"w[1]": -2.0})
    seen = fit.history.params
    np.testing.assert_allclose(seen["w"][0], [0, -2, 0], atol=0)
    np.testing.assert_allclose(seen["sigma"][0], LINE.data["y"].std(), rtol=1e-12)


def test_closed_form_is_certified_and_not_trusted():
    def closed_form(data, weights):
        return {"rate": 2.0 / jnp.mean(data["t"])}

    problem = PROBLEMS["gamma rate"]
    right = mle.Model(problem.model.log_density, problem.model.parameters, closed_form=closed_form)
    fit = mle.fit(right, problem.data)
    assert fit.converged and fit.steps == 0 and "closed form" in fit.summary()
    wrong = mle.Model(
        problem.model.log_density, problem.model.parameters, closed_form=lambda d, w: {"rate": 1.0 / jnp.mean(d["t"])}
    )
    mended = mle.fit(wrong, problem.data)
    assert mended.converged and mended.steps > 0
    assert_close(mended.params, problem.estimates, rtol=1e-12)


def test_lists_serve_as_arrays_everywhere():
    data = {"x": LINE.data["x"].tolist(), "y": LINE.data["y"].tolist()}
    point = {"w": LINE.estimates["w"].tolist(), "sigma": float(LINE.estimates["sigma"])}
    fit = mle.fit(LINE.model, data, start=point)
    assert_close(fit.params, LINE.estimates, rtol=1e-11, atol=1e-12)
    assert mle.evaluate(LINE.model, data, point).converged
    np.testing.assert_allclose(LINE.model.log_likelihood(point, data), LINE.log_likelihood, rtol=1e-5)


def test_closed_forms_never_see_masked_rows():
    model = mle.Model(
        PROBLEMS["gamma rate"].model.log_density,
        {"rate": mle.Positive()},
        closed_form=lambda d, w: {"rate": 2.0 * jnp.sum(w) / jnp.sum(w * d["t"])},
    )
    fit = mle.fit(model, {"t": np.array([np.nan, 1.0, 3.0])}, weights=[0.0, 1.0, 1.0])
    assert fit.steps == 0 and fit.params["rate"] == pytest.approx(1.0, rel=1e-14)


@pytest.mark.parametrize("dtype", [">f8", "<f4", ">i4", "longdouble", "float16"])
def test_numbers_of_any_byte_order_and_length_are_widened(dtype):
    y = np.array([1.0, 2.0, 6.0, 9.0]).astype(dtype)
    for fitted in (mle.fit(mle.models.gaussian(), {"y": y}), mle.fit_batch(mle.models.gaussian(), {"y": y[None]})[0]):
        assert fitted.params["mu"] == pytest.approx(4.5, rel=1e-12)

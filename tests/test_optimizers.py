"""The loop and the algorithms on plain functions, against NumPy loops and known minima."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import mle_jax as mle
from mle_jax.optimizers import LBFGS, GradientDescent, Newton, Optax


def squared_error(w, x, y):
    return jnp.mean((y - w[1] * x - w[0]) ** 2)


def numpy_descent(x, y, w, rate, steps, tolerance=None):
    """The text's loop, written with NumPy."""
    value = np.mean((y - w[1] * x - w[0]) ** 2)
    values = [value]
    for _ in range(steps):
        r = y - w[1] * x - w[0]
        w = w - rate * np.array([-2 * r.mean(), -2 * (x * r).mean()])
        previous, value = value, np.mean((y - w[1] * x - w[0]) ** 2)
        values.append(value)
        if tolerance is not None and abs(value - previous) < tolerance:
            break
    return w, len(values) - 1, np.array(values)


X = np.linspace(-2, 2, 101)
Y = 2 * X + np.random.default_rng(0).normal(size=101)
START = np.array([1.0, 1.0])


def test_gradient_descent_is_the_texts_loop():
    run = mle.minimize(squared_error, START, args=(X, Y), optimizer=GradientDescent(0.05), max_steps=100, record=True)
    w, _, values = numpy_descent(X, Y, START, 0.05, 100)
    np.testing.assert_allclose(run.params, w, rtol=1e-12)
    np.testing.assert_allclose(run.history.value, values, rtol=1e-12)
    assert run.steps == 100 and run.status is mle.Status.max_steps
    assert run.history.params.shape == (101, 2) and run.history.gradient_norm.shape == (101,)
    np.testing.assert_array_equal(run.history.params[0], START)
    r = Y - X - 1  # residuals at the start (1, 1)
    np.testing.assert_allclose(run.history.gradient_norm[0], 2 * np.hypot(r.mean(), (X * r).mean()), rtol=1e-12)


def test_the_texts_stopping_rule():
    rule = mle.stops.value_change(1e-6)
    run = mle.minimize(squared_error, START, args=(X, Y), optimizer=GradientDescent(0.01), max_steps=10_000, stop=rule)
    w, steps, values = numpy_descent(X, Y, START, 0.01, 10_000, 1e-6)
    assert run.status is mle.Status.stopped_by_rule and run.steps == steps
    np.testing.assert_allclose(run.params, w, rtol=1e-12)
    np.testing.assert_allclose(run.value, values[-1], rtol=1e-12)
    with pytest.raises(ValueError, match="tolerance 0, but it must be above 0"):
        mle.stops.value_change(0)


@pytest.mark.parametrize("shape", [(9, 8), (1000, 1), (8, 9), (9, 9), (1001, 2)])
def test_the_function_sees_its_data_as_given(shape):
    # Small tall matrices are stored by columns inside; no function may notice.
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)

    def distance(w, data):
        assert data["x"].shape == shape and data["labels"].shape == (9, 2)
        return jnp.sum((w - data["x"][1:2] @ data["x"][0]) ** 2) + 0 * jnp.sum(data["labels"])

    args = ({"x": x, "labels": np.ones((9, 2), int)},)
    run = mle.minimize(distance, 0.0, args=args, optimizer=GradientDescent(0.5), max_steps=1)
    np.testing.assert_allclose(run.params, x[1] @ x[0], rtol=1e-13)  # one step of 1/2 lands on the minimum


def test_a_diverging_descent_keeps_the_last_finite_point():
    run = mle.minimize(lambda w: w**2, 1.0, optimizer=GradientDescent(10.0), max_steps=1000)
    assert run.status is mle.Status.non_finite and run.steps < 1000
    assert np.isfinite(run.params) and np.isfinite(run.value)


@pytest.mark.parametrize("optimizer", [GradientDescent(0.3), GradientDescent(10.0), Optax(optax.adam(0.1)), Newton()])
def test_a_run_without_a_record_ends_where_a_recorded_one_ends(optimizer):
    # They go through different loops; both take the same steps of the same compiled arithmetic, up to its order.
    def run(record):
        return mle.minimize(
            lambda w, c: jnp.sum(jnp.cosh(w - c)),
            np.zeros(2),
            args=(np.array([1.0, -0.5]),),
            optimizer=optimizer,
            max_steps=60,
            stop=mle.stops.value_change(1e-9),
            record=record,
        )

    plain, recorded = run(False), run(True)
    assert (plain.status, plain.steps) == (recorded.status, recorded.steps)
    np.testing.assert_allclose(plain.params, recorded.params, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(plain.value, recorded.history.value[-1 if plain.status.name != "non_finite" else -2])


def rosenbrock(w):
    return (1 - w["a"]) ** 2 + 100 * (w["b"] - w["a"] ** 2) ** 2


@pytest.mark.parametrize(
    "optimizer",
    [Newton(), Newton(1e3), Newton(1e-2), LBFGS(), LBFGS(3)],
    ids=["Newton", "Newton 1e3", "Newton 1e-2", "L-BFGS", "L-BFGS of 3"],
)
def test_rosenbrock(optimizer):
    run = mle.minimize(rosenbrock, {"a": -1.2, "b": 1.0}, optimizer=optimizer, max_steps=60)
    np.testing.assert_allclose([run.params["a"], run.params["b"]], [1, 1], rtol=1e-8)


@pytest.mark.parametrize(
    "transformation",
    [optax.adam(0.05), optax.sgd(0.02, momentum=0.9), optax.polyak_sgd()],
    ids=["adam", "sgd", "polyak"],
)
def test_any_optax_transformation_runs_in_the_loop(transformation):
    run = mle.minimize(
        lambda w: jnp.sum(jnp.cosh(w - 1.0) - 1.0), np.zeros(3), optimizer=Optax(transformation), max_steps=800
    )
    np.testing.assert_allclose(run.params, 1.0, atol=1e-3)


def test_optax_updates_are_optaxs_own():
    transformation = optax.adam(0.1)
    run = mle.minimize(lambda w: jnp.sum((w - 3.0) ** 2), np.zeros(2), optimizer=Optax(transformation), max_steps=5)
    with jax.enable_x64(True):
        params = jnp.zeros(2)
        state = transformation.init(params)
        for _ in range(5):
            updates, state = transformation.update(2 * (params - 3.0), state, params)
            params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(run.params, params, rtol=1e-13)


def test_newton_solves_a_quadratic_in_one_full_step():
    matrix = np.array([[4.0, 1.0], [1.0, 3.0]])
    run = mle.minimize(
        lambda w: 0.5 * w @ matrix @ w - w.sum(), np.zeros(2), optimizer=Newton(100.0), max_steps=1, record=True
    )
    np.testing.assert_allclose(run.params, np.linalg.solve(matrix, [1, 1]), rtol=1e-12)


def test_newton_leaves_a_saddle_where_the_gradient_vanishes():
    run = mle.minimize(
        lambda w: (w["a"] ** 2 - 1) ** 2 + w["b"] ** 2, {"a": 0.0, "b": 1.0}, optimizer=Newton(), max_steps=40
    )
    np.testing.assert_allclose([abs(run.params["a"]), run.params["b"]], [1, 0], atol=1e-9)


def test_newton_never_climbs_and_does_not_mind_units():
    def function(w, unit):
        a, b = w[0] / unit, w[1] * unit
        return jnp.exp(a + b - 0.1) + jnp.exp(a - b - 0.1) + jnp.exp(-a - 0.1)

    least = 2 * np.sqrt(2) * np.exp(-0.1)  # Boyd and Vandenberghe, section 9.3: b = 0, a = -log(2) / 2
    for unit in (1.0, 1e-6, 1e6):
        start = np.array([-1.0 * unit, 1.0 / unit])
        run = mle.minimize(function, start, args=(unit,), optimizer=Newton(), max_steps=30, record=True)
        assert np.all(np.diff(run.history.value) <= 1e-14)
        np.testing.assert_allclose(run.value, least, rtol=1e-14)
        np.testing.assert_allclose(run.params[0] / unit, -np.log(2) / 2, rtol=1e-7)


def test_newton_survives_overflow_and_nan_on_the_way():
    run = mle.minimize(lambda w: jnp.exp(w) - 5 * w, 60.0, optimizer=Newton(), max_steps=90)
    np.testing.assert_allclose(run.params, np.log(5), rtol=1e-9)
    run = mle.minimize(lambda w: w - jnp.log(w), 40.0, optimizer=Newton(1e4), max_steps=40)  # NaN left of 0
    np.testing.assert_allclose(run.params, 1.0, rtol=1e-9)


def test_value_change_is_not_fooled_by_a_rejected_step():
    rule = mle.stops.value_change(1e-3)
    run = mle.minimize(lambda w: w - jnp.log(w), 40.0, optimizer=Newton(1e4), max_steps=40, stop=rule)
    assert abs(run.params - 1) < 0.1  # the first trial lies outside the domain: no change, and no reason to stop


def test_other_data_starts_and_rates_do_not_compile_again():
    traces = []

    def function(w, center):
        traces.append(1)
        return jnp.sum((w - center) ** 2)

    for rate, center in ((0.1, 1.0), (0.2, 2.0)):
        mle.minimize(function, np.zeros(2), args=(np.full(2, center),), optimizer=GradientDescent(rate), max_steps=9)
        if rate == 0.1:
            seen = len(traces)
    assert len(traces) == seen > 0


def test_no_steps_returns_the_start():
    run = mle.minimize(lambda w: w**2, 3, optimizer=GradientDescent(0.1), max_steps=0, record=True)
    assert (run.params, run.value, run.steps) == (3.0, 9.0, 0) and run.history.value.tolist() == [9.0]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"optimizer": GradientDescent}, TypeError, "is the class GradientDescent, but an object is needed"),
        ({"optimizer": "newton"}, TypeError, "of type str, but it must come from mle_jax.optimizers"),
        ({"max_steps": -3}, ValueError, "max_steps is -3"),
        ({"max_steps": True}, ValueError, "max_steps is True"),
    ],
)
def test_bad_arguments(arguments, kind, message):
    with pytest.raises(kind, match=message):
        mle.minimize(lambda w: w**2, 1.0, **{"optimizer": GradientDescent(0.1), "max_steps": 5, **arguments})


def test_a_function_that_returns_no_scalar_is_refused():
    with pytest.raises(TypeError, match=r"returned an array of shape \(2,\) .* sum over the data inside the function"):
        mle.minimize(lambda w: w**2, np.ones(2), optimizer=GradientDescent(0.1), max_steps=5)


def test_help_for_the_usual_slips():
    descent = GradientDescent(0.25)
    run = mle.minimize(lambda w: jnp.sum((w - 1) ** 2), [0.0, 4.0], optimizer=descent, max_steps=60)
    np.testing.assert_allclose(run.params, [1.0, 1.0], rtol=1e-12)
    with pytest.raises(TypeError, match="uses a Python condition"):
        mle.minimize(lambda w: w**2 if w > 0 else -w, 1.0, optimizer=descent, max_steps=5)
    with pytest.raises(TypeError, match=r"args is a ndarray, but it must be a tuple of data; write args=\(y,\)"):
        mle.minimize(lambda w, y: jnp.sum((y - w) ** 2), 1.0, args=np.ones(3), optimizer=descent, max_steps=5)
    with pytest.raises(TypeError, match=r"stop is 1e-06, but it must be a rule"):
        mle.minimize(lambda w: w**2, 1.0, optimizer=descent, max_steps=5, stop=1e-6)


def test_newton_in_a_fit_may_use_other_curvatures():
    rng = np.random.default_rng(3)
    x = np.column_stack([np.ones(80), rng.normal(size=80)])
    data = {"x": x, "y": rng.gamma(2.0, np.exp(x @ [0.5, 0.3]) / 2.0)}
    model = mle.models.gamma_regression()
    fits = [mle.fit(model, data, optimizer=Newton(curvature=c)) for c in ("observed", "expected", "outer_product")]
    assert all(fit.converged for fit in fits)
    for fit in fits[1:]:  # each is certified to 1e-6 standard errors, of which the estimates are about ten
        np.testing.assert_allclose(fit.params["w"], fits[0].params["w"], rtol=1e-6)
        np.testing.assert_allclose(fit.params["shape"], fits[0].params["shape"], rtol=1e-6)


def test_outer_products_count_weights_once_and_rows_of_weight_zero_not_at_all():
    y = np.array([1.0, 2.0, 6.0, 3.0, np.nan])
    model, newton = mle.models.gaussian(), Newton(curvature="outer_product")
    options = {"optimizer": newton, "start": {"mu": 2.0, "variance": 5.0}}
    doubled = mle.fit(model, {"y": [1.0, 1.0, 2.0, 6.0, 6.0, 6.0, 3.0]}, **options)
    weighted = mle.fit(model, {"y": y}, weights=[2.0, 1.0, 3.0, 1.0, 0.0], **options)
    assert weighted.converged and weighted.steps == doubled.steps > 0
    np.testing.assert_allclose(weighted.params["variance"], doubled.params["variance"], rtol=1e-10)


@pytest.mark.parametrize(
    ("newton", "told"),
    [
        (Newton(curvature="fisher"), r"curvature is 'fisher', but it must be one of 'observed'"),
        (Newton(curvature="expected"), r"has no expected information; declare it with .* or leave curvature out"),
    ],
)
def test_curvatures_that_are_not_there(newton, told):
    model = mle.Model(lambda p, r: -((r["y"] - p["m"]) ** 2), {"m": mle.Real()}, name="bowl")
    with pytest.raises(ValueError, match=told):
        mle.fit(model, {"y": [1.0, 2.0]}, optimizer=newton)
    with pytest.raises(ValueError, match=r"curvature"):
        mle.minimize(lambda w: w**2, 1.0, optimizer=newton, max_steps=5)


@pytest.mark.parametrize("memory", [0, 2.5, True])
def test_memory_of_lbfgs_is_a_count(memory):
    with pytest.raises(ValueError, match=r"LBFGS's memory is .*, but it must be a whole number of at least 1"):
        mle.minimize(lambda w: w**2, 1.0, optimizer=LBFGS(memory), max_steps=5)

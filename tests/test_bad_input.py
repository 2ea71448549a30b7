"""Bad input to the verbs: every message says what was given, what is allowed, what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.scipy.stats import norm

import mle_jax as mle

N = 30
RNG = np.random.default_rng(3)
X = np.column_stack([np.ones(N), RNG.normal(size=N)])
Y = X @ [1.0, 2.0] + 0.5 * RNG.normal(size=N)
DATA = {"x": X, "y": Y}
MODEL = mle.Model(
    lambda p, r: norm.logpdf(r["y"], r["x"] @ p["w"], p["sigma"]),
    {"w": mle.Real(columns="x"), "sigma": mle.Positive()},
    name="line",
)


def changed(leaf, index, value):
    copy = {name: array.copy() for name, array in DATA.items()}
    copy[leaf][index] = value
    return copy


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ({}, ValueError, "the data have no leaves; pass a dict of arrays"),
        ({"x": X[:0], "y": Y[:0]}, ValueError, "the data have 0 rows; pass at least one observation"),
        ({"x": X, "y": Y[:-1]}, ValueError, "differ in their number of rows: 'x' has 30, 'y' has 29"),
        ({"x": Y, "y": Y}, ValueError, r"'x' has shape \(30,\) and thus no columns; reshape it to \(30, 1\)"),
        ({"z": X, "y": Y}, ValueError, "declared with columns='x', but the data leaves are 'z' and 'y'"),
        ({"x": X, "y": ["a"] * N}, TypeError, "data leaf 'y' is of type .*data must be real numbers"),
        ({"x": X, "y": Y + 1j}, TypeError, "data leaf 'y' is of type complex128"),
        (changed("y", 7, np.nan), ValueError, "leaf 'y' has NaN values in 1 of its rows, the first in row 7"),
        (changed("x", (3, 1), np.inf), ValueError, "leaf 'x' has infinite values in 1 of .*row 3, column 1"),
        (changed("y", slice(4, 6), -np.inf), ValueError, "leaf 'y' has infinite values in 2 .*first in row 4"),
    ],
)
def test_bad_data(data, kind, message):
    with pytest.raises(kind, match=message):
        mle.fit(MODEL, data)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"start": {"sigma": -1.0}}, ValueError, "start value for 'sigma' is -1.0, but 'sigma' is Positive"),
        ({"start": {"sgima": 1.0}}, ValueError, "start names 'sgima', .*did you mean 'sigma'"),
        ({"start": {"w": np.ones(3)}}, ValueError, r"'w' has shape \(3,\)"),
        ({"fixed": {"w[9]": 1.0}}, ValueError, "fixed names 'w\\[9\\]', which is no parameter"),
        ({"fixed": {"sigma": 0.0}}, ValueError, "'sigma'.*above 0"),
        ({"optimizer": "newton"}, ValueError, "the only word allowed is 'auto'"),
        ({"optimizer": mle.optimizers.Newton}, TypeError, r"is the class Newton, .* write Newton\(...\)"),
        ({"optimizer": optax.adam(0.1)}, TypeError, r"wrap an optax optimizer as Optax\(...\)"),
        ({"optimizer": mle.optimizers.Optax(3)}, ValueError, "takes an optax transformation"),
        ({"optimizer": mle.optimizers.GradientDescent(0.0)}, ValueError, "learning_rate is 0.0, .* above 0"),
        ({"optimizer": mle.optimizers.Newton(-1.0)}, ValueError, "initial_radius is -1.0, .* above 0"),
        ({"max_steps": -1}, ValueError, "max_steps is -1, but it must be a whole number"),
        ({"max_steps": 2.5}, ValueError, "max_steps is 2.5"),
        ({"tolerance": 0.0}, ValueError, "tolerance is 0.0, but it must be above 0"),
        ({"tolerance": "a"}, ValueError, "tolerance is 'a', but it must be above 0"),
        ({"weights": np.ones((3, N))}, ValueError, r"weights have shape \(3, 30\), but the data have 30 rows"),
        ({"gradient": "handwritten"}, ValueError, "but line has none"),
        ({"gradient": "finite"}, ValueError, "must be 'autodiff' or 'handwritten'"),
        ({"weights": -np.ones(N)}, ValueError, "weight 0 is -1.0, but weights must be finite and at least 0"),
        ({"weights": np.ones(3)}, ValueError, r"weights have shape \(3,\), but the data have 30 rows"),
        ({"weights": np.zeros(N)}, ValueError, "all weights are 0"),
        ({"weights": ["a"] * N}, TypeError, "weights are of type"),
        ({"weight_kind": "sampling"}, ValueError, "must be 'frequency' or 'importance'"),
        ({"clusters": [1, 2]}, ValueError, r"clusters have shape \(2,\), but the data have 30 rows"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16', but it must be 'float64'"),
        ({"missing": "ignore"}, ValueError, "must be 'raise' or 'drop'"),
        ({"columns": {"y": "food"}}, TypeError, "columns= chooses columns of a table, but the data are a dict"),
    ],
)
def test_bad_options(options, kind, message):
    with pytest.raises(kind, match=message):
        mle.fit(MODEL, DATA, **options)


def test_one_row_fits_perfectly_and_is_told_so():
    with pytest.warns(mle.ConvergenceWarning, match="scale parameter shrinks to zero.*Look at 'sigma'"):
        fit = mle.fit(MODEL, {"x": X[:1], "y": Y[:1]})
    assert fit.status is mle.Status.scale_collapsed and not fit.converged
    assert np.isnan(fit.standard_errors()["sigma"])


def test_missing_rows_are_dropped_only_on_request_and_counted():
    data = changed("y", 7, np.nan)
    fit = mle.fit(MODEL, data, missing="drop")
    rest = mle.fit(MODEL, {"x": np.delete(X, 7, 0), "y": np.delete(Y, 7)})
    np.testing.assert_allclose(fit.params["w"], rest.params["w"], rtol=1e-12)
    assert fit.n_observations == N - 1 and "Left out for missing values: 1 row." in fit.summary()
    with pytest.raises(ValueError, match="every one of the 30 rows has a missing value"):
        mle.fit(MODEL, {"x": X, "y": np.full(N, np.nan)}, missing="drop")
    with pytest.raises(ValueError, match="infinite"):
        mle.fit(MODEL, changed("y", 7, np.inf), missing="drop")
    clusters = np.arange(N) // 3
    kept = mle.fit(MODEL, data, missing="drop", clusters=clusters)
    same = mle.fit(MODEL, {"x": np.delete(X, 7, 0), "y": np.delete(Y, 7)}, clusters=np.delete(clusters, 7))
    np.testing.assert_allclose(kept.covariance(), same.covariance(), rtol=1e-9, atol=1e-15)


def test_a_masked_row_may_hold_nan():
    weights = np.where(np.arange(N) == 7, 0.0, 1.0)
    fit = mle.fit(MODEL, changed("y", 7, np.nan), weights=weights)
    rest = mle.fit(MODEL, {"x": np.delete(X, 7, 0), "y": np.delete(Y, 7)})
    np.testing.assert_allclose(fit.params["w"], rest.params["w"], rtol=1e-12)
    np.testing.assert_allclose(fit.covariance(), rest.covariance(), rtol=1e-9, atol=1e-15)
    assert fit.n_observations == N - 1


def test_evaluate_refuses_points_outside_the_domain():
    with pytest.raises(ValueError, match=r"value for 'sigma' is -1\.0, but 'sigma' is Positive"):
        mle.evaluate(MODEL, DATA, {"w": np.zeros(2), "sigma": -1.0})
    with pytest.raises(ValueError, match="sigma"):
        mle.evaluate(MODEL, DATA, {"w": np.zeros(2)})


@pytest.mark.parametrize(
    ("name", "here"),
    [("bse", "standard_errors()"), ("llf", "log_likelihood"), ("coef_", "params"), ("vcov", "covariance()")],
)
def test_foreign_names_are_translated(name, here):
    fit = mle.evaluate(MODEL, DATA, {"w": np.zeros(2), "sigma": 1.0})
    with pytest.raises(AttributeError) as caught:
        getattr(fit, name)
    assert f"'{name}' is called {here} here" in str(caught.value)
    assert not hasattr(fit, "nonsense")


def test_verbs_say_what_their_first_arguments_are():
    with pytest.raises(TypeError, match=r"fit takes a Model and then the data, .* is a function; declare one with"):
        mle.fit(MODEL.log_density, DATA)
    with pytest.raises(TypeError, match="is a dict; swap the arguments"):
        mle.fit(DATA, MODEL)
    with pytest.raises(TypeError, match="is the class Model"):
        mle.fit_batch(mle.Model, DATA)
    with pytest.raises(TypeError, match=r"inside jax.jit, .* use mle_jax.maximize there"):
        jax.jit(lambda y: mle.fit(MODEL, {"x": X, "y": y}).params["w"])(Y)


def test_evaluate_refuses_two_values_for_one_parameter():
    point = {"w": np.zeros(2), "sigma": 1.0}
    with pytest.raises(ValueError, match=r"fixed holds 'sigma' at 5.0, but params gives it as 1.0"):
        mle.evaluate(MODEL, DATA, point, fixed={"sigma": 5.0})
    held = mle.evaluate(MODEL, DATA, point, fixed={"sigma": 1.0})
    assert held.n_parameters == 2 and held.standard_errors()["sigma"] == 0.0


def test_a_masked_array_is_missing_where_it_is_masked():
    masked = np.ma.masked_array(Y, np.arange(N) == 7)
    with pytest.raises(ValueError, match="'y' has NaN values in 1 of its rows, the first in row 7"):
        mle.fit(MODEL, {"x": X, "y": masked})
    assert mle.fit(MODEL, {"x": X, "y": masked}, missing="drop").n_observations == N - 1


def test_functions_of_the_user_with_the_wrong_layout():
    short = mle.Model(MODEL.log_density, MODEL.parameters, gradient=lambda p, d: {"w": p["w"]})
    with pytest.raises(ValueError, match=r"the handwritten gradient has the entries .* return one derivative per"):
        mle.fit(short, DATA, gradient="handwritten")
    flat = mle.Model(MODEL.log_density, MODEL.parameters, expected_information=lambda p, d: jnp.eye(2))
    with pytest.raises(ValueError, match=r"returned shape \(2, 2\), but the model has 3 flat parameters"):
        mle.fit(flat, DATA).covariance("expected")


def test_a_fit_is_true_and_cannot_be_changed():
    fit = mle.fit(MODEL, DATA)
    assert fit
    with pytest.raises(ValueError, match="read-only"):
        fit.params["w"][0] = 99.0
    with pytest.raises(AttributeError):
        fit.steps = 0


def test_outer_products_need_more_than_one_number():
    model = mle.Model.joint(lambda p, data: -jnp.sum((data["y"] - p["m"]) ** 2), {"m": mle.Real()}, name="sum")
    words = r"needs the scores of single rows, but the log-likelihood of sum returns one number"
    with pytest.raises(ValueError, match=words):
        mle.fit(model, {"y": np.ones(3)}, optimizer=mle.optimizers.Newton(curvature="outer_product"))

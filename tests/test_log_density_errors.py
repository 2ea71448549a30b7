"""The usual mistakes of a first log density: each message says what to change."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

import mle_jax as mle

DATA = {"x": np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 5.0]]), "y": np.array([1.0, 2.0, 4.0])}
PARAMETERS = {"w": mle.Real(columns="x"), "sigma": mle.Positive()}


def fit(log_density, data=None):
    return mle.fit(mle.Model(log_density, PARAMETERS), DATA if data is None else data)


def python_if(params, row):
    return -jnp.log(params["sigma"]) if row["y"] > 0 else 0.0


def numpy_inside(params, row):
    return np.log(params["sigma"]) + row["y"]


def math_inside(params, row):
    return math.log(params["sigma"]) + row["y"]


def list_index(params, row):
    return params["sigma"] * [1.0, 2.0, 3.0][row["y"].astype(int)]


def boolean_mask(params, row):
    return (row["x"] * params["w"])[row["x"] > 0].sum()


def vector_returned(params, row):
    return row["x"] * params["w"]


def tuple_returned(params, row):
    return params["sigma"], row["y"]


def integer_returned(params, row):
    return 1


def whole_dataset(params, row):
    return norm.logpdf(row["y"], row["x"][:, 0] * params["w"][0], params["sigma"]).sum()


def missing_leaf(params, row):
    return row["income"] * params["sigma"]


def missing_parameter(params, row):
    return row["y"] * params["scale"]


@pytest.mark.parametrize(
    ("log_density", "kind", "message"),
    [
        (python_if, TypeError, r"uses a Python condition .* write jnp.where\(condition, a, b\)"),
        (numpy_inside, TypeError, "hands a traced value to NumPy.* use the functions of jax.numpy"),
        (math_inside, TypeError, r"into a Python number \(float\(\), int\(\), a function of the math module\)"),
        (list_index, TypeError, "as a Python integer .* turn the list into an array"),
        (boolean_mask, TypeError, "selects with a boolean mask.* write jnp.where"),
        (
            vector_returned,
            TypeError,
            r"returned an array of shape \(2,\), but it must return one real number for one obs",
        ),
        (tuple_returned, TypeError, "returned a tuple, but it must return one real number"),
        (integer_returned, TypeError, "returned a value of type int.*floating-point"),
        (missing_leaf, KeyError, "reads 'income', which is not there; params has .* the data have 'x' and 'y'"),
        (missing_parameter, KeyError, "reads 'scale', which is not there"),
    ],
)
def test_mistakes_are_named(log_density, kind, message):
    with pytest.raises(kind, match=message):
        fit(log_density)


def test_the_line_of_the_mistake_is_shown():
    with pytest.raises(TypeError, match=r'line \d+: return -jnp.log\(params\["sigma"\]\) if row\["y"\] > 0 else 0.0'):
        fit(python_if)


def test_a_density_written_for_the_whole_dataset_is_told_the_shapes_of_one_row():
    with pytest.raises(IndexError) as caught:
        fit(whole_dataset)
    assert any("one row x (2,), y ()" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("model", "data", "told"),
    [
        (
            mle.models.poisson_regression(),
            {"y": np.ones((3, 1))},
            r"log_density of poisson_regression returned an array of shape \(1,\), but it must return one real number "
            r"for one observation; a row of 'y' has that shape: if it should be one number, pass 'y' with shape \(n,\) "
            r"in place of \(n, 1\), such as y\[:, 0\]; otherwise ",
        ),
        (
            mle.models.linear_gaussian(),
            {"y": np.ones((3, 4))},
            r"log_density of linear_gaussian returned an array of shape \(4,\).* a row of 'y' has that shape: if it "
            r"should be one number, pass 'y' with shape \(n,\) in place of \(n, 4\); otherwise ",
        ),
        (
            mle.models.binomial_regression(),
            {"y": np.ones((3, 1)), "trials": np.ones((3, 1))},
            r"log_density of binomial_regression returned .* a row of 'y' and 'trials' has that shape: if they should "
            r"be one number each, pass them with shape \(n,\)",
        ),
    ],
    ids=["one column", "four columns", "two leaves"],
)
def test_a_leaf_with_an_axis_too_many_is_named_together_with_the_model(model, data, told):
    with pytest.raises(TypeError, match=told):
        mle.fit(model, {"x": DATA["x"], **data})


def test_the_name_of_a_model_is_in_its_errors():
    with pytest.raises(
        KeyError, match="log_density of poisson_regression reads 'y', which is not there; params has 'w'"
    ):
        mle.fit(mle.models.poisson_regression(), {"x": DATA["x"]})
    unnamed = (
        r"log_density \(vector_returned\) returned an array of shape \(2,\), .*; the library calls it for every row"
    )
    with pytest.raises(TypeError, match=unnamed):  # x is meant to have columns, so nothing is said about its shape
        fit(vector_returned)
    total = mle.Model.joint(lambda p, data: data["y"][:, None] * p["a"], {"a": mle.Real()}, name="a series")
    with pytest.raises(TypeError, match=r"log_likelihood of a series returned an array of shape \(3, 1\)"):
        mle.fit(total, DATA)


def test_functions_of_the_dataset_tell_which_data_they_were_called_with():
    model, x = mle.models.poisson_regression(), DATA["x"]
    with pytest.raises(KeyError, match="start of poisson_regression reads 'y', which is not there; the data have 'x'"):
        mle.simulate(model, {"x": x}, {"w": np.zeros(2)})
    with pytest.raises(KeyError, match="start of poisson_regression reads 'y', which is not there"):
        model.check_gradient({"x": x})
    for fitted, role in ((model, "start"), (mle.models.linear_gaussian(), "closed_form")):
        with pytest.raises(ValueError, match="matmul") as caught:
            mle.fit(fitted, {"x": x, "y": 3.0})  # one number for all rows
        told = f"This happened inside {role} of {fitted.label}, called with data x (3, 2), y ()."
        assert told in caught.value.__notes__


def test_integer_parameters_are_named_by_the_methods_and_accepted_by_the_verbs():
    model = mle.Model(lambda p, row: -0.5 * (row["y"] - p["mu"]) ** 2, {"mu": mle.Real()})
    with pytest.raises(TypeError, match=r"parameter 'mu' is of type int32.*write mu=1.0 instead of mu=1"):
        model.score({"mu": 1}, {"y": DATA["y"]})
    assert mle.fit(model, {"y": DATA["y"]}, start={"mu": 1}).converged


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"w": np.ones(2)}, "params lacks 'sigma'; the model's parameters are 'w' and 'sigma'"),
        ({"w": np.ones(2), "sigma": 1.0, "tau": 1.0}, "params has unknown 'tau'"),
        ({"w": np.ones(3), "sigma": 1.0}, r"parameter 'w' has shape \(3,\), but its declaration has shape \(2,\)"),
    ],
)
def test_methods_name_what_is_wrong_with_params(params, message):
    model = mle.Model(lambda p, r: norm.logpdf(r["y"], r["x"] @ p["w"], p["sigma"]), PARAMETERS)
    with pytest.raises(ValueError, match=message):
        model.log_likelihood(params, DATA)

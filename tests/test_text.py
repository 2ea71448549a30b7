"""The worked examples: every formula retyped in NumPy, and `check`, which must pass and must be able to fail."""

import dataclasses
import math

import jax
import numpy as np
import pytest

import mle_jax as mle
from mle_jax import models, text
from mle_jax.text import checking
from mle_jax.text.example import Demonstration

IDS = [f"T{number}" for number in range(1, 13)]
WITH_GRADIENT = [name for name in IDS if name not in ("T1", "T10", "T11")]
PLACES = {
    "T1": "Definition 1",
    "T2": "Proposition 1, Example 1",
    "T3": "Definition 2, Example 3",
    "T4": "Examples 2 and 4",
    "T5": "Example 4",
    "T6": "The Gradient",
    "T7": "Gradient of the Linear-Gaussian Log-Likelihood",
    "T8": "Gradient of the Linear-Gaussian Log-Likelihood",
    "T9": "Deriving and Checking Gradient Formulas",
    "T10": "Critical Points and Local Extrema",
    "T11": "A First Look: Gradient Descent for Maximum Likelihood Estimation",
    "T12": "A Complete Example: Gradient Descent for Laplace Regression",
}


def gaussian_value(r, s2):
    return -r.size / 2 * math.log(2 * math.pi * s2) - np.sum(r**2) / (2 * s2)


def gaussian_slope(r, s2):
    return -r.size / (2 * s2) + np.sum(r**2) / (2 * s2**2)


def polynomial(x, y, z):
    return x**2 * math.sin(y) + y * z + z**3 * x


def partials(x, y, z):
    return [2 * x * math.sin(y) + z**3, x**2 * math.cos(y) + z, y + 3 * z**2 * x]


# The formulas of the text in plain NumPy: value, then the gradient as a flat list in the order of the parameters' names
# as JAX sorts them.
def retyped(name, params, args):
    if name == "T2":
        at = params["x"], params["y"], params["z"]
        return polynomial(*at), partials(*at)
    if name == "T3":
        return polynomial(*params), partials(*params)
    if name == "T4":
        r, s2 = args[0]["y"] - params["mu"], 2.25
        return gaussian_value(r, s2), [np.sum(r) / s2]
    if name == "T5":
        r, s2 = args[0]["y"] - params["mu"], params["variance"]
        return gaussian_value(r, s2), [np.sum(r) / s2, gaussian_slope(r, s2)]
    if name == "T6":
        x, y = args
        r = y - params["w1"] * x - params["w0"]
        return np.mean(r**2), [-2 * np.mean(r), -2 * np.mean(x * r)]
    if name in ("T7", "T12"):
        x, y = args[0]["x"], args[0]["y"]
        r = y - x @ params["w"]
        if name == "T12":
            b = params["scale"]
            value = -r.size * math.log(2 * b) - np.sum(np.abs(r)) / b
            return value, [-r.size / b + np.sum(np.abs(r)) / b**2, *(x.T @ np.sign(r) / b)]
        s2 = params["variance"]
        return gaussian_value(r, s2), [gaussian_slope(r, s2), *(x.T @ r / s2)]
    if name == "T8":
        x, y, s2 = args
        r = y - x @ params["w"]
        return gaussian_value(r, s2), list(-r.size / (2 * s2) * (2 / r.size * x.T @ (x @ params["w"] - y)))
    a, x, y = args
    u, v, w = params["u"], params["v"], params["w"]
    value = v @ v + np.sum((a @ u) ** 3) / 3 + np.mean((y - x @ w) ** 2)
    by_entries = [-2 / y.size * sum(x[i, k] * (y[i] - x[i] @ w) for i in range(y.size)) for k in range(w.size)]
    return value, [*(a.T @ (a @ u) ** 2), *(2 * v), *by_entries]


def flat(tree) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree_util.tree_leaves(tree)])


def test_the_examples_are_all_there_in_order():
    assert list(text.EXAMPLES) == IDS
    for name, example in text.EXAMPLES.items():
        assert example.id == name and PLACES[name] in example.title and example.statement


def test_the_examples_are_read_only():
    with pytest.raises(TypeError):
        text.EXAMPLES["T3"] = text.EXAMPLES["T2"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        text.EXAMPLES["T3"].title = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", IDS)
def test_only_derivatives_have_a_gradient(name):
    assert (text.EXAMPLES[name].gradient is not None) == (name in WITH_GRADIENT)
    assert (text.EXAMPLES[name].demonstrate is None) == (name in WITH_GRADIENT)


@pytest.mark.parametrize("name", IDS)
def test_cases_are_many_reproducible_float64_and_of_one_shape(name):
    example = text.EXAMPLES[name]
    cases = list(example.cases(5, 7))
    shapes = {str(jax.tree_util.tree_map(np.shape, case)) for case in cases}
    assert len(cases) == 7 and len(shapes) == 1
    assert all(np.asarray(leaf).dtype == np.float64 for leaf in jax.tree_util.tree_leaves(cases))
    np.testing.assert_array_equal(flat(cases), flat(list(example.cases(5, 7))))
    assert not np.array_equal(flat(cases), flat(list(example.cases(6, 7))))


@jax.enable_x64(True)
@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_formulas_against_numpy(name):
    example = text.EXAMPLES[name]
    for params, args in example.cases(17, 5):
        value, gradient = retyped(name, params, args)
        terms = np.asarray(example.terms(params, *args))
        # 30 terms and a few roundings each.
        assert abs(example.function(params, *args) - value) <= 1e-14 * np.sum(np.abs(terms))
        assert abs(np.sum(terms) - value) <= 1e-14 * np.sum(np.abs(terms))
        by_hand = example.gradient(params, *args)
        assert jax.tree_util.tree_structure(by_hand) == jax.tree_util.tree_structure(params)
        size = flat(example.magnitude(params, *args))
        assert np.all(size >= np.abs(flat(by_hand)) - 1e-12)
        for form in (example.gradient, *example.other_forms):
            assert np.all(np.abs(flat(form(params, *args)) - np.array(gradient)) <= 1e-14 * size)


@jax.enable_x64(True)
def test_t3_at_the_point_of_the_text():
    expected = [2 * math.sin(2) + 27, math.cos(2) + 3, 29]
    np.testing.assert_allclose(text.EXAMPLES["T3"].gradient(np.array([1.0, 2.0, 3.0])), expected, rtol=1e-15)
    named = text.EXAMPLES["T2"].gradient({"x": 1.0, "y": 2.0, "z": 3.0})
    np.testing.assert_allclose([named["x"], named["y"], named["z"]], expected, rtol=1e-15)


def test_models_are_reused():
    pairs = {
        "T4": models.gaussian_mean(2.25),
        "T5": models.gaussian(),
        "T7": models.linear_gaussian(),
        "T12": models.laplace_regression(),
    }
    for name, model in pairs.items():
        assert text.EXAMPLES[name].gradient is model.gradient
        assert text.EXAMPLES[name].function == model.log_likelihood


def test_t4_through_fit():
    _, (data,) = next(iter(text.EXAMPLES["T4"].cases(3, 1)))
    fit = mle.fit(models.gaussian_mean(2.25), data)
    mean = float(np.mean(data["y"].astype(np.longdouble)))
    assert fit.converged
    np.testing.assert_allclose(fit.params["mu"], mean, rtol=1e-10)
    np.testing.assert_allclose(text.EXAMPLES["T4"].closed_form(data)["mu"], mean, rtol=1e-14)
    np.testing.assert_allclose(fit.standard_errors()["mu"], math.sqrt(2.25 / data["y"].size), rtol=1e-10)


def test_t5_through_fit():
    _, (data,) = next(iter(text.EXAMPLES["T5"].cases(3, 1)))
    fit = mle.fit(models.gaussian(), data)
    y = data["y"].astype(np.longdouble)
    expected = [float(np.mean(y)), float(np.mean((y - np.mean(y)) ** 2))]
    assert fit.converged
    np.testing.assert_allclose([fit.params["mu"], fit.params["variance"]], expected, rtol=1e-10)
    closed = text.EXAMPLES["T5"].closed_form(data)
    np.testing.assert_allclose([closed["mu"], closed["variance"]], expected, rtol=1e-13)


@pytest.mark.parametrize("optimizer", ["auto", mle.optimizers.Newton()], ids=["auto", "newton"])
def test_t7_through_fit(optimizer):
    _, (data,) = next(iter(text.EXAMPLES["T7"].cases(3, 1)))
    fit = mle.fit(models.linear_gaussian(), data, optimizer=optimizer)
    w = np.linalg.lstsq(data["x"], data["y"], rcond=None)[0]
    variance = np.mean((data["y"] - data["x"] @ w) ** 2)
    assert fit.converged
    np.testing.assert_allclose([*fit.params["w"], fit.params["variance"]], [*w, variance], rtol=1e-10)
    closed = text.EXAMPLES["T7"].closed_form(data)
    np.testing.assert_allclose([*closed["w"], closed["variance"]], [*w, variance], rtol=1e-12)


def test_closed_forms_of_squared_errors():
    _, (x, y) = next(iter(text.EXAMPLES["T6"].cases(3, 1)))
    line = text.EXAMPLES["T6"].closed_form(x, y)
    np.testing.assert_allclose([line["w1"], line["w0"]], np.polyfit(x, y, 1), rtol=1e-12)
    _, (x, y, s2) = next(iter(text.EXAMPLES["T8"].cases(3, 1)))
    least = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(text.EXAMPLES["T8"].closed_form(x, y, s2)["w"], least, rtol=1e-12)
    np.testing.assert_allclose(text.EXAMPLES["T11"].closed_form(x, y)["w"], least, rtol=1e-12)


@pytest.mark.smoke
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_check_passes_at_a_hundred_points(dtype):
    before = jax.config.jax_enable_x64
    report = text.check(dtype=dtype)
    assert report.passed, str(report)
    assert [row.id for row in report.rows] == IDS
    assert all(row.points == 100 for row in report.rows if row.id in WITH_GRADIENT)
    printed = str(report)
    assert all(row.title in printed for row in report.rows) and "Everything agrees." in printed
    assert len(report.to_table()) == 12
    assert jax.config.jax_enable_x64 == before


def wrong(name: str, slip) -> dict:
    """Return the catalog with one example only, its gradient changed by `slip`."""
    example = text.EXAMPLES[name]
    mistaken = lambda *at: jax.tree_util.tree_map(slip, example.gradient(*at))  # noqa: E731 - one line is enough
    return {name: dataclasses.replace(example, gradient=mistaken)}


@pytest.mark.parametrize(
    ("dtype", "slip"),
    [
        ("float64", lambda g: -g),
        ("float64", lambda g: g * (1 + 1e-9)),
        ("float64", lambda g: g * np.nan),
        ("float32", lambda g: g / 30),
        ("float32", lambda g: g * (1 + 1e-3)),
    ],
    ids=["dropped minus", "one part in 1e9", "not a number", "mean for sum", "one part in 1e3"],
)
def test_check_fails_where_a_gradient_is_wrong(monkeypatch, dtype, slip):
    monkeypatch.setattr(checking, "EXAMPLES", wrong("T6", slip))
    report = text.check(dtype=dtype, count=20)
    assert not report.passed
    assert "DISAGREES" in str(report) and "DISAGREEMENT in T6." in str(report)
    assert "Everything agrees" not in str(report)


def test_check_fails_where_two_forms_of_a_gradient_differ(monkeypatch):
    example = text.EXAMPLES["T9"]
    other = lambda *at: {**example.gradient(*at), "w": example.gradient(*at)["w"] * (1 + 1e-9)}  # noqa: E731 - as above
    monkeypatch.setattr(checking, "EXAMPLES", {"T9": dataclasses.replace(example, other_forms=(other,))})
    assert not text.check(count=20).passed


def test_check_fails_where_function_and_autodiff_agree_on_the_wrong_thing(monkeypatch):
    # A function whose derivative rule lies: autodiff and the gradient by hand agree, finite differences do not.
    @jax.custom_jvp
    def lying(x):
        return x**2

    lying.defjvp(lambda primals, tangents: (lying(primals[0]), 3 * primals[0] * tangents[0]))
    example = dataclasses.replace(
        text.EXAMPLES["T3"],
        function=lambda w: lying(w[0]),
        gradient=lambda w: np.array([3.0, 0.0, 0.0]) * w,
        terms=lambda w: lying(w[:1]),
        magnitude=lambda w: abs(w),
    )
    monkeypatch.setattr(checking, "EXAMPLES", {"T3": example})
    report = text.check(count=5)
    assert not report.passed
    assert report.rows[0].discrepancy <= 1e-12 and report.rows[0].numeric > 0.1


def test_check_fails_where_a_statement_does_not_hold(monkeypatch):
    for discrepancy in (1.0, float("nan")):
        shown = Demonstration(3, discrepancy, 0.5, "seen")
        example = dataclasses.replace(text.EXAMPLES["T10"], demonstrate=lambda seed, shown=shown: shown)
        monkeypatch.setattr(checking, "EXAMPLES", {"T10": example})
        report = text.check()
        assert not report.passed and "T10: seen" in str(report)


@pytest.mark.parametrize("options", [{"dtype": "float16"}, {"count": 0}, {"count": 2.5}, {"count": True}], ids=str)
def test_check_says_what_it_takes(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is .* must be"):
        text.check(**options)

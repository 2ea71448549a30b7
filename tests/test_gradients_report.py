"""The report of a gradient check, and the errors for what cannot be checked."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mle_jax import check_gradient

RNG = np.random.default_rng(3)
X = RNG.normal(size=200)
Y = 1 + 2 * X + RNG.normal(size=200)


def squared_error(p, x, y):  # T6
    return jnp.mean((y - p["w1"] * x - p["w0"]) ** 2)


def squared_error_by_hand(p, x, y):
    r = y - p["w1"] * x - p["w0"]
    return {"w0": -2 * jnp.mean(r), "w1": -2 * jnp.mean(x * r)}


LINE = {"w0": 0.3, "w1": 0.7}


def test_report_prints_worst_first_and_on_one_screen():
    w = RNG.normal(size=300)
    report = check_gradient(lambda w: jnp.sum(w**3), lambda w: (3 * w**2).at[250].multiply(2.0), w)
    lines = str(report).splitlines()
    assert lines[0].startswith("Gradient check FAILED (wrong) in 1 of 300: 'params[250]'")
    table = [line for line in lines if line.startswith("params[")]
    assert table[0].startswith("params[250]") and "wrong" in table[0]
    assert len(lines) < 25 and "and 288 more: 288 ok" in str(report)


def test_report_is_a_frame_of_rows():
    report = check_gradient(squared_error, squared_error_by_hand, LINE, X, Y)
    frame = report.to_pandas()
    assert list(frame["name"]) == ["w0", "w1"] and list(frame["verdict"]) == ["ok", "ok"]
    np.testing.assert_allclose(frame["handwritten"], frame["autodiff"], rtol=1e-14)
    alone = check_gradient(squared_error, None, LINE, X, Y)
    assert alone.to_pandas()["handwritten"].isna().all() and "by hand" not in str(alone)


def test_missing_pandas_is_one_sentence(monkeypatch):
    report = check_gradient(squared_error, squared_error_by_hand, LINE, X, Y)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install 'mle-jax"):
        report.to_pandas()


def test_assert_passed_raises_with_the_report():
    check_gradient(squared_error, squared_error_by_hand, LINE, X, Y).assert_passed()
    wrong = check_gradient(squared_error, lambda p, x, y: {"w0": 1.0, "w1": 2.0}, LINE, X, Y)
    with pytest.raises(AssertionError, match="Gradient check FAILED") as caught:
        wrong.assert_passed()
    assert str(caught.value) == str(wrong)


def test_taylor_remainder_tells_its_order():
    right = check_gradient(squared_error, squared_error_by_hand, LINE, X, Y)
    assert right.directions[0].order == pytest.approx(2.0, abs=0.01)  # the remainder of a quadratic is h^2 exactly
    wrong = check_gradient(squared_error, lambda *a: jax.tree.map(jnp.negative, squared_error_by_hand(*a)), LINE, X, Y)
    assert wrong.directions[0].order == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"mu": 1}, TypeError, r"parameter 'mu' is an integer \(1\); gradients need floats: write 1.0 instead of 1"),
        ({"mu": np.arange(3)}, TypeError, r"'mu' is an array of integers \(int64, shape \(3,\)\)"),
        ({"mu": True}, TypeError, r"'mu' is a boolean"),
        ({"mu": 1j}, TypeError, "real numbers"),
        ({"mu": "one"}, TypeError, "pass floats"),
        ({"mu": np.nan}, ValueError, "'mu' is nan"),
        ({}, ValueError, "no entries"),
    ],
)
def test_params_that_have_no_gradient_are_refused(params, error, words):
    with pytest.raises(error, match=words):
        check_gradient(lambda p: 1.0, None, params)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda p: p, r"array of shape \(3,\).*return a scalar"),
        (lambda p: jnp.sum(p).astype(int), "floating-point"),
        (lambda p: jnp.sum(p) * 1j, "complex"),
        (lambda p: jnp.sum(p)[None], r"shape \(1,\)"),
    ],
)
def test_functions_that_have_no_gradient_are_refused(function, words):
    with pytest.raises(TypeError, match=words):
        check_gradient(function, None, np.ones(3))


def test_other_mistakes_are_explained():
    with pytest.raises(ValueError, match="'float64' or 'float32'"):
        check_gradient(jnp.sin, jnp.cos, 1.0, dtype="float16")
    with pytest.raises(ValueError, match=r"others\[0\] has the leaves 'c'"):
        check_gradient(lambda p: p["a"] ** 2, None, {"a": 1.0}, others=[{"c": 1.0}])
    with pytest.raises(ValueError, match="scale has shape"):
        check_gradient(lambda p: p["a"] ** 2, None, {"a": 1.0}, scale={"a": np.ones(3)})
    with pytest.raises(TypeError, match="returned str"):
        check_gradient(lambda p: p["a"] ** 2, lambda p: {"a": "2a"}, {"a": 1.0})
    with pytest.raises(jax.errors.TracerBoolConversionError):
        check_gradient(lambda p: p if p > 0 else -p, None, 1.0)

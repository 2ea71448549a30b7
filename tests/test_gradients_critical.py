"""The second-derivative test (T10): verdicts that do not depend on units, against closed forms."""

import jax.numpy as jnp
import numpy as np
import pytest

from mle_jax import critical_point

RNG = np.random.default_rng(3)
X = np.column_stack([np.ones(40), RNG.normal(size=(40, 2))])
Y = X @ np.array([1.0, -2.0, 0.5]) + RNG.normal(size=40)
W_HAT = np.linalg.lstsq(X, Y, rcond=None)[0]


def quadratic(p, a):
    return p @ a @ p / 2


def rosenbrock(p):
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def residuals(w, x, y):
    return jnp.mean((y - x @ w) ** 2)


def log_likelihood(p, x, y):  # T7
    r = y - x @ p["w"]
    return -r.size * jnp.log(2 * jnp.pi * p["s2"]) / 2 - r @ r / (2 * p["s2"])


CASES = {
    "bowl": (lambda p: p[0] ** 2 + 3 * p[1] ** 2, np.zeros(2), "minimum"),
    "hill": (lambda p: -(p[0] ** 2) - 3 * p[1] ** 2, np.zeros(2), "maximum"),
    "pass": (lambda p: p[0] ** 2 - p[1] ** 2, np.zeros(2), "saddle"),
    "pass across": (lambda p: p[0] * p[1], np.zeros(2), "saddle"),
    "valley": (lambda p: p[0] ** 2 + 0 * p[1], np.ones(2) * [0, 1], "undecided"),
    "slope in a valley": (lambda p: p[0] ** 2 + 1e-9 * p[1], np.zeros(2), "not critical"),
    "monkey saddle": (lambda p: p[0] ** 3 - 3 * p[0] * p[1] ** 2, np.zeros(2), "undecided"),
    "quartic": (lambda p: p[0] ** 4, np.zeros(1), "undecided"),
    "plane": (lambda p: p[0] - p[1], np.ones(2), "not critical"),
    "constant": (lambda p: 0 * p[0] + 1, np.ones(1), "undecided"),
    "kink": (lambda p: jnp.abs(p[0]), np.ones(1) * 0.5, "not critical"),
    "banana": (rosenbrock, np.ones(2), "minimum"),
    "near the banana": (rosenbrock, np.array([1.0, 1.001]), "not critical"),
    "pole of cosine": (lambda p: jnp.cos(p[0]), np.zeros(1), "maximum"),
    "raised": (lambda p: 1e9 + (p[0] - 3.0) ** 2, np.array([3.0 + 1e-9]), "minimum"),
    "tiny and steep": (lambda p: 1e-12 * (p[0] - 1.0) ** 2, np.array([3.0]), "not critical"),
}


@pytest.mark.parametrize("name", CASES)
def test_verdicts(name):
    function, point, verdict = CASES[name]
    found = critical_point(function, point)
    assert found.verdict == verdict, str(found)


@pytest.mark.parametrize("name", ["bowl", "hill", "pass", "pass across", "banana", "near the banana", "monkey saddle"])
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_units_of_the_function_do_not_matter(name, factor):
    function, point, verdict = CASES[name]
    assert critical_point(lambda p: factor * function(p), point).verdict == verdict


@pytest.mark.parametrize("name", ["bowl", "hill", "pass", "pass across", "banana", "near the banana"])
def test_units_of_the_coordinates_do_not_matter(name):
    function, point, verdict = CASES[name]
    units = np.array([1e8, 1e-8])
    found = critical_point(lambda p: function(p * units), point / units)
    assert found.verdict == verdict
    here = critical_point(function, point)
    # Equilibration makes the scaled Hessian, and with it its eigenvalues, the same for all units.
    np.testing.assert_allclose(found.scaled_eigenvalues, here.scaled_eigenvalues, rtol=1e-6)


def test_eigenvalues_are_those_of_the_hessian():
    a = np.array([[2.0, 1.0], [1.0, -3.0]])
    found = critical_point(quadratic, np.zeros(2), a)
    root = np.sqrt(25.0 + 4.0)  # eigenvalues (-1 +- sqrt(29)) / 2 of the matrix above
    np.testing.assert_allclose(found.eigenvalues, [(-1 - root) / 2, (-1 + root) / 2], rtol=1e-14)
    np.testing.assert_allclose(found.hessian, a, rtol=1e-14)
    assert found.verdict == "saddle" and found.names == ("params[0]", "params[1]")


def test_least_squares_is_a_minimum_where_the_normal_equations_hold():
    found = critical_point(residuals, W_HAT, X, Y)
    assert found.verdict == "minimum"
    np.testing.assert_allclose(found.hessian, 2 / len(Y) * X.T @ X, rtol=1e-12)
    off = critical_point(residuals, W_HAT * (1 + 1e-4), X, Y)
    assert off.verdict == "not critical"
    # The Newton step of a quadratic leads to its minimum.
    np.testing.assert_allclose(W_HAT * (1 + 1e-4) + off.newton_step, W_HAT, rtol=1e-10)


def test_likelihood_has_its_maximum_at_the_closed_form():
    top = {"w": W_HAT, "s2": np.mean((Y - X @ W_HAT) ** 2)}
    found = critical_point(log_likelihood, top, X, Y)
    assert found.verdict == "maximum" and found.names == ("w[0]", "w[1]", "w[2]", "s2")
    # The exact information: X'X / s2 and n / (2 s2^2).
    np.testing.assert_allclose(found.hessian[:3, :3], -X.T @ X / top["s2"], rtol=1e-12)
    assert found.hessian[3, 3] == pytest.approx(-len(Y) / (2 * top["s2"] ** 2), rel=1e-12)


def test_collinear_columns_leave_it_undecided():
    x = np.column_stack([X, X[:, 1] - 3 * X[:, 2]])
    w = np.append(W_HAT, 0.0)
    found = critical_point(residuals, w, x, Y)
    assert found.verdict == "undecided"
    assert np.sum(np.abs(found.scaled_eigenvalues) < 1e-12) == 1
    assert np.all(np.isnan(found.newton_step))


def test_tolerance_is_relative_to_the_point():
    found = [critical_point(residuals, W_HAT * 1.001, X, Y, tolerance=t).verdict for t in (1e-4, 1e-2)]
    assert found == ["not critical", "minimum"]
    with pytest.raises(ValueError, match="tolerance is -1"):
        critical_point(residuals, W_HAT, X, Y, tolerance=-1.0)


def test_what_is_not_finite_is_named():
    found = critical_point(lambda p: jnp.sqrt(p["a"]) + p["b"] ** 2, {"a": 0.0, "b": 0.0})
    assert found.verdict == "undecided" and "'a'" in found.message and "'b'" not in found.message
    outside = critical_point(lambda p: jnp.log(p["a"]), {"a": -1.0})
    assert outside.verdict == "undecided" and "function is nan" in outside.message


def test_record_prints_and_is_frozen():
    found = critical_point(lambda p: p["x"] ** 2 - p["y"] ** 2, {"x": 0.0, "y": 0.0})
    text = str(found)
    assert text.startswith("A saddle") and "-2.0" in text and "Newton step" in text
    with pytest.raises(AttributeError):
        found.verdict = "maximum"

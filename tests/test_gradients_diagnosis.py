"""What the gradient check says about a wrong gradient: shapes, layouts, patterns, and silence on thin evidence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mle_jax import check_gradient

RNG = np.random.default_rng(3)
X = RNG.normal(size=200)
MATRIX = RNG.normal(size=(4, 2))


def bilinear(b, a):
    return jnp.sum(jnp.sin(a @ b))


def bilinear_by_hand(b, a):
    return a.T @ jnp.cos(a @ b)


SHAPES = {
    "transposed": (
        lambda b, a: bilinear_by_hand(b, a).T,
        (2, 3),
        "has shape (3, 2) instead of (2, 3): it is transposed",
    ),
    "transposed square": (lambda b, a: bilinear_by_hand(b, a).T, (2, 2), "gradient of 'params' is transposed"),
    "column": (lambda b, a: bilinear_by_hand(b, a)[:, None], (2,), "(2, 1) instead of (2,): its values are right"),
    "wrong length": (lambda b, a: jnp.ones(5), (2,), "(5,) instead of (2,)."),
    "tuple": (lambda b, a: (1.0, 2.0), (2,), "returns the leaves '0' and '1'; like params it should be one array"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_part_of_the_diagnosis(name):
    gradient, shape, words = SHAPES[name]
    report = check_gradient(bilinear, gradient, RNG.normal(size=shape), MATRIX)
    assert not report.passed and words in report.diagnosis, report.diagnosis


LAYOUTS = {
    "missing leaf": (lambda p: {"a": 2 * p["a"]}, "has no 'b'"),
    "other leaf": (lambda p: {"a": 2 * p["a"], "b": jnp.ones(()), "c": 1.0}, "returns the leaves 'c'"),
    "renamed leaf": (lambda p: {"a": 2 * p["a"], "B": jnp.ones(())}, "has no 'b' and returns the leaves 'B'"),
    "bare array": (lambda p: jnp.stack([2 * p["a"], p["b"]]), "returns a bare array"),
    "nothing": (lambda p: None, "has no 'a' and 'b'"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_part_of_the_diagnosis(name):
    gradient, words = LAYOUTS[name]
    report = check_gradient(lambda p: p["a"] ** 2 + p["b"], gradient, {"a": 1.5, "b": 2.0})
    assert not report.passed and words in report.diagnosis, report.diagnosis
    assert "a pytree with the leaves 'a' and 'b'" in report.diagnosis


def test_slips_in_different_leaves_are_named_apart():
    report = check_gradient(
        lambda p, x: jnp.sum(jnp.sin(p["w"] * x)) + p["s"] ** 3,
        lambda p, x: {"w": -jnp.sum(x * jnp.cos(p["w"] * x)), "s": 6 * p["s"] ** 2},
        {"w": 0.3, "s": 0.7},
        X,
    )
    assert report.diagnosis == (
        "The sign of the handwritten gradient is flipped in 'w'. "
        "In 's' the handwritten gradient is 2 times the right one."
    )


def test_one_wrong_coordinate_among_many_is_named():
    w = RNG.normal(size=40)
    report = check_gradient(lambda w: jnp.sum(jnp.sin(w) ** 2), lambda w: jnp.sin(2 * w).at[17].multiply(1 + 1e-6), w)
    assert "'params[17]'" in report.diagnosis and "ratio 1.0000010" in report.diagnosis
    assert [row.name for row in report.rows if not row.verdict.passes] == ["params[17]"]
    assert report.rows[17].difference == pytest.approx(1e-6 * np.sin(2 * w[17]), rel=0.05)


def test_thin_evidence_is_not_named():
    # The derivative of a linear function is the same everywhere: three times too large or off by a constant?
    linear = check_gradient(lambda p, x: jnp.sum(p * x), lambda p, x: 3 * jnp.sum(x), 0.3, X)
    assert "times the right" not in linear.diagnosis and "ratio 3.0000000" in linear.diagnosis
    # The derivative with respect to log(sigma) is no constant factor.
    log = check_gradient(lambda p: jnp.sum(p**3), lambda p: p * 3 * p**2, np.array([1.0, 2.0]))
    assert not log.passed and "times the right" not in log.diagnosis and "sign" not in log.diagnosis


def test_what_is_almost_a_pattern_is_not_named():
    twice = check_gradient(lambda p: jnp.sum(p**3), lambda p: 6 * p**2 + 1e-3 * p, np.array([1.0, 2.0]))
    assert "2 times the right one" not in twice.diagnosis and not twice.passed
    # A symmetric gradient with one wrong entry on the diagonal equals its transpose, too.
    s = np.array([[2.0, 0.5], [0.5, 1.0]])
    for size in (4e-9, 1e-6):
        square = check_gradient(lambda s: jnp.sum(s * s.T) / 2, lambda s, size=size: s.T.at[0, 0].multiply(1 + size), s)
        assert "transposed" not in square.diagnosis and "'params[0,0]'" in square.diagnosis


def test_an_accident_at_one_point_does_not_pass():
    # At sigma = 1 the derivative with respect to log(sigma) is the same.
    for options in ({}, {"draw": lambda key: jax.random.uniform(key, (), minval=0.5, maxval=2.0)}, {"others": [1.5]}):
        report = check_gradient(lambda s: s**2, lambda s: 2 * s**2, 1.0, **options)
        assert not report.passed and report.rows[0].point > 0
    assert check_gradient(lambda s: s**2, lambda s: 2 * s**2, 1.0, points=0).passed


def test_symmetric_matrices_are_checked_at_symmetric_points():
    def log_density(s, y):
        return -0.5 * jnp.linalg.slogdet(s)[1] - 0.5 * y @ jnp.linalg.solve(s, y)

    def gradient(s, y):  # right for symmetric s only
        inverse = jnp.linalg.inv(s)
        return -0.5 * inverse + 0.5 * jnp.outer(inverse @ y, inverse @ y)

    s = np.array([[2.0, 0.5], [0.5, 1.0]])
    assert check_gradient(log_density, gradient, s, np.array([1.0, -2.0])).passed


def test_random_points_stay_in_the_domain():
    def function(p):
        return jnp.log(1e-3 - jnp.abs(p - 1.0))  # finite on a short interval around 1

    def gradient(p):
        return -jnp.sign(p - 1.0) / (1e-3 - jnp.abs(p - 1.0))

    report = check_gradient(function, gradient, 1.0001)
    assert report.passed and len(report.directions) == 3, str(report)

"""Behavior of the gradient check: two against one, kinks, shapes, diagnoses, points, precision, reports."""

import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mle_jax import check_gradient
from mle_jax.gradients.verdicts import Trio, Verdict, judge, judge_autodiff

RNG = np.random.default_rng(3)
X = RNG.normal(size=200)
Y = 1 + 2 * X + RNG.normal(size=200)


def verdicts(report):
    return [str(row.verdict) for row in report.rows]


def squared_error(p, x, y):  # T6
    return jnp.mean((y - p["w1"] * x - p["w0"]) ** 2)


def squared_error_by_hand(p, x, y):
    r = y - p["w1"] * x - p["w0"]
    return {"w0": -2 * jnp.mean(r), "w1": -2 * jnp.mean(x * r)}


LINE = {"w0": 0.3, "w1": 0.7}


def three(p):  # T2
    return p[0] ** 2 * jnp.sin(p[1]) + p[1] * p[2] + p[2] ** 3 * p[0]


def three_by_hand(p):  # T3
    first = 2 * p[0] * jnp.sin(p[1]) + p[2] ** 3
    return jnp.stack([first, p[0] ** 2 * jnp.cos(p[1]) + p[2], p[1] + 3 * p[2] ** 2 * p[0]])


# --- the text ---------------------------------------------------------------------------------------------------------


def test_gradient_of_three_variables():
    report = check_gradient(three, three_by_hand, np.array([1.0, 2.0, 3.0]))
    assert report.passed and report.diagnosis == ""
    exact = [2 * np.sin(2) + 27, np.cos(2) + 3, 29.0]
    for row, value in zip(report.rows, exact, strict=True):
        assert row.handwritten == pytest.approx(value, rel=1e-15)
        assert row.autodiff == pytest.approx(value, rel=1e-15)
        assert abs(row.numeric - value) <= row.numeric_error + 1e-15 * abs(value) and row.numeric_error < 1e-9 * value
    assert [row.name for row in report.rows] == ["params[0]", "params[1]", "params[2]"]


def test_dropped_minus_sign_is_named():
    report = check_gradient(squared_error, lambda *a: jax.tree.map(jnp.negative, squared_error_by_hand(*a)), LINE, X, Y)
    assert not report.passed and verdicts(report) == ["wrong", "wrong"]
    assert report.diagnosis == "The sign of the handwritten gradient is flipped in every coordinate."


@pytest.mark.parametrize(
    ("divide", "words"),
    [(True, "the sum over observations is missing"), (False, "the mean over observations is missing")],
)
@pytest.mark.parametrize("sign", [-2.0, 2.0])
def test_dropped_sum_is_named(divide, words, sign):
    def dropped(p, x, y):
        r = y - p["w1"] * x - p["w0"]
        return {"w0": sign * r / (r.size if divide else 1), "w1": sign * x * r / (r.size if divide else 1)}

    report = check_gradient(squared_error, dropped, LINE, X, Y)
    assert not report.passed and verdicts(report) == ["wrong shape", "wrong shape"]
    assert f"'w0' has shape (200,) instead of (), 'w1' has shape (200,) instead of (): {words}" in report.diagnosis
    assert ("sign is flipped" in report.diagnosis) == (sign > 0)


def test_vector_identities():
    a, v = RNG.normal(size=(5, 3)), RNG.normal(size=3)
    assert check_gradient(lambda v: v @ v, lambda v: 2 * v, v).passed  # T9, first
    right = check_gradient(lambda v, a: jnp.sum(jnp.sin(a @ v)), lambda v, a: a.T @ jnp.cos(a @ v), v, a)
    assert right.passed  # T9, second
    y = RNG.normal(size=5)
    entries = check_gradient(
        lambda w, x, y: jnp.mean((y - x @ w) ** 2), lambda w, x, y: 2 / y.size * x.T @ (x @ w - y), v, a, y
    )
    by_sums = [-2 / 5 * np.sum(a[:, k] * (y - a @ v)) for k in range(3)]
    np.testing.assert_allclose([row.handwritten for row in entries.rows], by_sums, rtol=1e-13)
    assert entries.passed


# --- two against one --------------------------------------------------------------------------------------------------


@jax.custom_jvp
def bad_sine(z):
    return jnp.sin(z)


bad_sine.defjvp(lambda primals, tangents: (bad_sine(primals[0]), 1.000001 * jnp.cos(primals[0]) * tangents[0]))

BROKEN = {
    "stop_gradient": (
        lambda p, x: jnp.sum((x - jax.lax.stop_gradient(p)) ** 2),
        lambda p, x: -2 * jnp.sum(x - p),
        0.3,
        "stop_gradient",
    ),
    "custom rule off by 1e-6": (
        lambda p, x: jnp.sum(bad_sine(p * x)),
        lambda p, x: jnp.sum(x * jnp.cos(p * x)),
        0.7,
        "finite differences",
    ),
    "NaN through where": (
        lambda p, x: jnp.sum(jnp.where(p > 0, jnp.sqrt(p), p * x)),
        lambda p, x: jnp.sum(x),
        -1.0,
        "jnp.where",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_autodiff_is_told_from_a_wrong_formula(name):
    function, gradient, point, words = BROKEN[name]
    report = check_gradient(function, gradient, point, X)
    assert verdicts(report) == ["autodiff wrong"] and not report.passed
    assert "the handwritten gradient and finite differences agree" in report.diagnosis and words in report.diagnosis
    alone = check_gradient(function, None, point, X)
    assert not alone.passed
    both = check_gradient(function, jax.grad(function), point, X)
    assert not both.passed


def test_without_digits_nobody_is_accused():
    def raised(p, x):
        return 1e12 + 1e-3 * jnp.sum(jnp.sin(p * x))

    report = check_gradient(raised, lambda p, x: 1.001e-3 * jnp.sum(x * jnp.cos(p * x)), 0.7, X)
    assert verdicts(report) == ["cannot tell"] and not report.passed
    assert "too few digits to tell which is wrong" in report.diagnosis
    assert check_gradient(raised, lambda p, x: 1e-3 * jnp.sum(x * jnp.cos(p * x)), 0.7, X).passed


OK, NAN, INF = Verdict.OK, float("nan"), float("inf")
TRIOS = [
    (Trio(1.0, 1.0, 1.0, 1e-9, 1e-12, 0.0), Verdict.OK),
    (Trio(1.0, 1.0, 5.0, INF, 1e-12, 0.0), Verdict.OK),
    (Trio(1.0, 1.0, 1.1, 1e-9, 1e-12, 0.0), Verdict.AUTODIFF),
    (Trio(1.1, 1.0, 1.0, 1e-9, 1e-12, 0.0), Verdict.WRONG),
    (Trio(1.0, 1.1, 1.0, 1e-9, 1e-12, 0.0), Verdict.AUTODIFF),
    (Trio(1.0, 1.1, 1.05, 1.0, 1e-12, 0.0), Verdict.UNCLEAR),
    (Trio(1.0, 1.1, NAN, INF, 1e-12, 0.0), Verdict.UNCLEAR),
    (Trio(1.0, 1.1, 7.0, 1e-9, 1e-12, 0.0), Verdict.UNCLEAR),
    (Trio(NAN, 1.0, 1.0, 1e-9, 1e-12, 0.0), Verdict.NOT_FINITE),
    (Trio(1.0, NAN, 1.0, 1e-9, 1e-12, 0.0), Verdict.AUTODIFF),
    (Trio(1.0, NAN, NAN, INF, 1e-12, 0.0), Verdict.NOT_FINITE),
    (Trio(0.3, 1.0, 0.0, 1e-9, 1e-12, 2.0), Verdict.KINK),
    (Trio(1.3, 1.0, 0.0, 1e-9, 1e-12, 2.0), Verdict.WRONG),
    (Trio(0.3, NAN, 0.0, 1e-9, 1e-12, 2.0), Verdict.AUTODIFF),
]


@pytest.mark.parametrize(("trio", "expected"), TRIOS, ids=str)
def test_judgement(trio, expected):
    assert judge(trio) is expected
    assert judge(trio).passes == (expected in (Verdict.OK, Verdict.KINK))


def test_judgement_of_autodiff_alone():
    assert judge_autodiff(Trio(NAN, 1.0, 1.0, 1e-9, 0.0, 0.0), 0.0) is Verdict.OK
    assert judge_autodiff(Trio(NAN, 1.0, 1.0, 0.5, 0.0, 0.0), 0.0) is Verdict.UNCLEAR
    assert judge_autodiff(Trio(NAN, 0.0, 0.0, 1e-9, 0.0, 0.0), 1e-8) is Verdict.OK
    assert judge_autodiff(Trio(NAN, 0.0, 0.0, 1e-9, 0.0, 0.0), 1e-10) is Verdict.UNCLEAR
    assert judge_autodiff(Trio(NAN, 1.0, 1.1, 1e-9, 0.0, 0.0), 0.0) is Verdict.AUTODIFF


# --- points where a gradient is zero, absent or undefined -------------------------------------------------------------


def test_a_kink_is_reported_and_is_no_error():
    def function(p):
        return jnp.abs(p["a"]) + p["b"] ** 2

    def gradient(p, at_zero=0.3):
        return {"a": jnp.where(p["a"] == 0, at_zero, jnp.sign(p["a"])), "b": 2 * p["b"]}

    report = check_gradient(function, gradient, {"a": 0.0, "b": 1.0})
    assert report.passed and verdicts(report) == ["not differentiable here", "ok"]
    assert "not differentiable here in 'a'" in report.diagnosis and "kink" in str(report)
    outside = check_gradient(function, lambda p: gradient(p, 1.3), {"a": 0.0, "b": 1.0})
    assert not outside.passed and verdicts(outside) == ["wrong", "ok"]
    assert check_gradient(function, None, {"a": 0.0, "b": 1.0}).passed


def test_laplace_at_a_zero_residual():  # T12
    x = np.column_stack([np.ones(200), X])
    w = np.array([Y[7], 0.0])  # the residual of row 7 is zero

    def function(p, x, y):
        return -y.size * jnp.log(2 * p["b"]) - jnp.sum(jnp.abs(y - x @ p["w"])) / p["b"]

    def gradient(p, x, y):
        r = y - x @ p["w"]
        return {"w": x.T @ jnp.sign(r) / p["b"], "b": -r.size / p["b"] + jnp.sum(jnp.abs(r)) / p["b"] ** 2}

    report = check_gradient(function, gradient, {"w": w, "b": 0.9}, x, Y)
    assert report.passed and report.rows[0].verdict == "not differentiable here"
    flipped = check_gradient(function, lambda *a: {**gradient(*a), "w": -gradient(*a)["w"]}, {"w": w, "b": 0.9}, x, Y)
    assert not flipped.passed


ZEROS = {
    "parameter without effect": (lambda p: p[0] ** 2 + 0 * p[1], lambda p: jnp.stack([2 * p[0], 0 * p[1]]), [1.0, 2.0]),
    "constant": (lambda p: 0 * p[0] + 3, lambda p: 0 * p, [1.0]),
    "minimum at zero": (lambda p: jnp.sum(p**4), lambda p: 4 * p**3, [0.0, 0.0]),
    "short length": (lambda p: jnp.sum(jnp.sin(1e8 * p)), lambda p: 1e8 * jnp.cos(1e8 * p), [0.0]),
    "long length": (lambda p: jnp.sum(jnp.sin(1e-8 * p)), lambda p: 1e-8 * jnp.cos(1e-8 * p), [0.0]),
    "almost zero": (lambda p: jnp.sum(jnp.sin(p)), jnp.cos, [1e-9]),
    "next to a pole": (lambda p: jnp.sum(p * jnp.log(p)), lambda p: jnp.log(p) + 1, [1e-12]),
    "end of a domain": (lambda p: jnp.where(p[0] >= 1, p[0] ** 2, jnp.nan), lambda p: 2 * p, [1.0]),
}


@pytest.mark.parametrize("name", ZEROS)
def test_right_gradients_at_odd_points(name):
    function, gradient, point = ZEROS[name]
    report = check_gradient(function, gradient, np.array(point))
    assert report.passed, str(report)
    wrong = check_gradient(function, lambda p: 1.000001 * gradient(p) + (gradient(p) == 0), np.array(point))
    assert not wrong.passed, str(wrong)


MANY = np.random.default_rng(2).poisson(1000, size=100_000).astype(float)

CANCELLING = {
    "sum of centered data": (lambda p, x: jnp.sum(p * x), lambda p, x: x.mean() * x.size, 0.7, X - X.mean()),
    "summed backward": (
        lambda p, x: jnp.sum(p * x),
        lambda p, x: np.sum(np.asarray(x)[::-1], dtype=x.dtype),
        0.7,
        X - X.mean(),
    ),
    "mean of large numbers": (
        lambda p, x: -jnp.sum((x - p) ** 2),
        lambda p, x: 2 * x.size * (x.mean() - p),
        float((X + 1e6).mean()),
        X + 1e6,
    ),
    "mean of counts": (
        lambda p, x: -jnp.sum((x - p) ** 2),
        lambda p, x: 2 * x.size * (x.mean() - p),
        float(np.round(10 * X).mean()),
        np.round(10 * X).astype(int),
    ),
    "mean of many counts": (
        lambda p, x: -jnp.sum((x - p) ** 2),
        lambda p, x: 2 * x.size * (x.mean() - p),
        float(MANY.mean()),
        MANY,
    ),
    "singles inside": (
        lambda p, x: jnp.sum(jnp.sin(jnp.asarray(p, jnp.float32) * jnp.asarray(x, jnp.float32))),
        lambda p, x: jnp.sum(x * jnp.cos(p * x)),
        0.7,
        X,
    ),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CANCELLING)
def test_rounding_is_not_taken_for_an_error(name, dtype):
    function, gradient, point, data = CANCELLING[name]
    report = check_gradient(function, gradient, point, data, dtype=dtype)
    assert report.passed, str(report)


def test_what_is_not_finite_is_named():
    report = check_gradient(
        lambda p: p["a"] ** 2 + p["b"], lambda p: {"a": 2 * p["a"], "b": jnp.nan}, {"a": 1.0, "b": 2.0}
    )
    assert verdicts(report) == ["ok", "not finite"] and "handwritten gradient is nan for 'b'" in report.diagnosis
    outside = check_gradient(jnp.log, lambda p: 1 / p, -1.0)
    assert not outside.passed and "The function is nan at params" in outside.diagnosis

    def peak(p, x):
        return jnp.log(jnp.sum(jnp.exp(p * x)))

    def weights(p, x):
        return jnp.sum(x * jnp.exp(p * x)) / jnp.sum(jnp.exp(p * x))

    assert check_gradient(peak, weights, 60.0, X).passed  # exp(150) overflows in float32 only
    single = check_gradient(peak, weights, 60.0, X, dtype="float32")
    assert verdicts(single) == ["not finite"] and "in float32 only" in single.diagnosis


# --- shapes and layout ------------------------------------------------------------------------------------------------

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


# --- diagnosis --------------------------------------------------------------------------------------------------------


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


# --- precision, tracing, cost -----------------------------------------------------------------------------------------


def test_float32_shows_its_own_numbers():
    report = check_gradient(squared_error, squared_error_by_hand, LINE, X, Y, dtype="float32")
    assert report.passed and report.dtype == "float32"
    for row in report.rows:
        assert row.handwritten == np.float32(row.handwritten) and row.autodiff == np.float32(row.autodiff)
        # The differences are those of float64 at the rounded point, so they keep more digits than the rest.
        assert row.numeric_error < 1e-9 * abs(row.numeric)


@pytest.mark.parametrize("flag", [False, True])
def test_the_flag_is_left_alone_also_in_a_thread(flag):
    seen = []

    def work():
        with jax.enable_x64(flag):
            report = check_gradient(squared_error, squared_error_by_hand, LINE, X, Y)
            seen.extend([report.passed, max(row.discrepancy for row in report.rows), jnp.ones(1).dtype])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen[0] and seen[1] < 1e-14
    assert seen[2] == (jnp.float64 if flag else jnp.float32)


def test_nothing_is_traced_twice():
    traces = []

    def function(p, x):
        traces.append(1)
        return jnp.sum(jnp.sin(p["w"] * x))

    def gradient(p, x):
        return {"w": jnp.sum(x * jnp.cos(p["w"] * x))}

    assert check_gradient(function, gradient, {"w": 0.3}, X).passed
    count = len(traces)
    assert check_gradient(function, gradient, {"w": 0.4}, X[::-1] + 1).passed
    assert not check_gradient(function, lambda p, x: {"w": jnp.sum(x)}, {"w": 0.4}, X[::-1] + 1).passed
    assert len(traces) == count > 0


def test_numpy_formulas_can_be_checked():
    report = check_gradient(
        lambda p, x: jnp.sum(jnp.sin(p["w"] * x)), lambda p, x: {"w": np.sum(x * np.cos(p["w"] * x))}, {"w": 0.3}, X
    )
    assert report.passed


@pytest.mark.slow
def test_a_thousand_coordinates_on_a_hundred_thousand_rows_take_seconds():
    groups = RNG.integers(0, 999, size=100_000)
    y = RNG.normal(size=100_000)

    def function(p, groups, y):
        return -jnp.sum((y - p["a"][groups] - p["b"]) ** 2)

    def gradient(p, groups, y):
        r = y - p["a"][groups] - p["b"]
        return {"a": 2 * jnp.zeros_like(p["a"]).at[groups].add(r), "b": 2 * r.sum()}

    def off(p, groups, y):
        found = gradient(p, groups, y)
        return {**found, "a": found["a"].at[500].multiply(1 + 1e-6)}

    params = {"a": RNG.normal(size=999), "b": 0.1}
    begin = time.perf_counter()
    assert check_gradient(function, gradient, params, groups, y).passed
    report = check_gradient(function, off, params, groups, y)
    assert (
        time.perf_counter() - begin < 60
    )  # about 8 s on two cores; a thousand Python calls a point would take minutes
    assert [row.name for row in report.rows if not row.verdict.passes] == ["a[500]"]
    assert len(str(report).splitlines()) < 25


# --- reports and errors -----------------------------------------------------------------------------------------------


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

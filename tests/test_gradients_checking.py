"""Behavior of the gradient check: two against one, kinks, shapes, diagnoses, points, precision, reports."""

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
    assert len(traces) == count > 0
    # A wrong gradient is diagnosed by further programs, each of them compiled once.
    assert not check_gradient(function, lambda p, x: {"w": jnp.sum(x)}, {"w": 0.4}, X[::-1] + 1).passed
    count = len(traces)
    assert not check_gradient(function, lambda p, x: {"w": 1 + jnp.sum(x)}, {"w": 0.3}, X).passed
    assert len(traces) == count


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

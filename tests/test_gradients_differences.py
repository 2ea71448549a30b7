"""Difference quotients, their error curves, the extrapolation with its error estimate, and the noise estimate."""

import math
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mle_jax import difference_curve, finite_difference
from mle_jax.gradients.coordinates import name_coordinates, typical_sizes
from mle_jax.gradients.evaluation import Probe, noise_level
from mle_jax.gradients.extrapolation import slopes
from mle_jax.gradients.footprint import batch_size

EPS = np.finfo(np.float64).eps
SINGLE = np.finfo(np.float32).eps


def three(p):  # T2: x^2 sin y + y z + z^3 x
    return p[0] ** 2 * jnp.sin(p[1]) + p[1] * p[2] + p[2] ** 3 * p[0]


POINT = np.array([1.0, 2.0, 3.0])
GRADIENT = np.array([2 * math.sin(2) + 27, math.cos(2) + 3, 29.0])  # T3


def slope_of(curve, low, high):
    """Return the exponent of the error as a power of the step between two steps."""
    inside = (curve.steps >= low) & (curve.steps <= high)
    return np.polyfit(np.log(curve.steps[inside]), np.log(curve.errors[inside]), 1)[0]


@pytest.mark.parametrize(("method", "tolerance"), [("forward", 1e-6), ("central", 1e-9)])
def test_gradient_of_the_text_at_one_two_three(method, tolerance):
    found = finite_difference(three, POINT, method=method)
    assert found.dtype == np.float64
    # 2 sqrt(noise f'') and (noise^2 f''')^(1/3), a few units each: f is about 36 and so are its derivatives.
    np.testing.assert_allclose(found, GRADIENT, rtol=tolerance)


def test_partials_treat_the_others_as_constants():
    for i in range(3):
        rest = POINT.copy()

        def partial(x, i=i, rest=rest):
            return three(jnp.asarray(rest).at[i].set(x))

        assert finite_difference(partial, POINT[i]) == pytest.approx(GRADIENT[i], rel=1e-9)


def test_layout_and_types_follow_params():
    params = {"b": np.float32(2.0), "a": (1.0, np.ones((2, 2)))}
    found = finite_difference(lambda p: p["b"] ** 2 + p["a"][0] + jnp.sum(p["a"][1] ** 3), params)
    assert list(found) == ["b", "a"]
    assert isinstance(found["b"], np.float64) and found["b"] == pytest.approx(4.0, rel=1e-10)
    np.testing.assert_allclose(found["a"][1], np.full((2, 2), 3.0), rtol=1e-9)
    assert found["a"][1].dtype == np.float64


@given(st.floats(-8, 8), st.floats(-8, 8))
def test_default_steps_suit_the_scale(exponent, size):
    # f(x) = c exp(x/s) at x = s: f' = c e/s whatever the units; errors relative to it are the same for all.
    c, s = 10.0**size, 10.0**exponent
    found = finite_difference(exponential, s, s, c)
    assert found == pytest.approx(c * math.e / s, rel=1e-9)


def exponential(x, s, c):
    return c * jnp.exp(x / s)


def test_default_steps_suit_the_precision():
    single = finite_difference(exponential, 1.0, 1.0, 1.0, dtype="float32")
    # The best a central quotient can do is about (3 eps)^(2/3); ten times that is granted.
    assert 0 < abs(single - math.e) < 10 * math.e * (3 * SINGLE) ** (2 / 3)
    double = finite_difference(exponential, 1.0, 1.0, 1.0)
    assert abs(double - math.e) < 10 * math.e * (3 * EPS) ** (2 / 3)


def test_large_constants_cost_the_digits_they_must():
    def raised(x):
        return jnp.sin(x) + 1e9

    # noise = 1e9 eps = 2e-7, so the best error is about noise^(2/3) = 4e-5.
    assert finite_difference(raised, 1.0) == pytest.approx(math.cos(1.0), abs=2e-4)


def test_given_steps_are_taken():
    x, h = 1.0, 0.125  # exact in binary
    assert finite_difference(lambda v: v**2, x, step=h, method="forward") == 2 * x + h
    assert finite_difference(lambda v: v**3, x, step=h) == pytest.approx(3 * x**2 + h**2, rel=1e-14)
    both = finite_difference(
        lambda p: p["a"] ** 2 + p["b"] ** 2, {"a": 1.0, "b": 1.0}, step={"a": 0.5, "b": 0.25}, method="forward"
    )
    assert both == {"a": 2.5, "b": 2.25}


@pytest.mark.parametrize("step", [0.0, -1e-3, math.nan, math.inf])
def test_impossible_steps_are_refused(step):
    with pytest.raises(ValueError, match="a step must be above 0"):
        finite_difference(jnp.sin, 1.0, step=step)


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="'forward' or 'central'"):
        finite_difference(jnp.sin, 1.0, method="backward")
    with pytest.raises(ValueError, match="'float64' or 'float32'"):
        finite_difference(jnp.sin, 1.0, dtype="float16")
    with pytest.raises(ValueError, match=r"coordinate is 'z'.*'params\[0\]'"):
        difference_curve(three, POINT, coordinate="z")
    with pytest.raises(ValueError, match="steps"):
        difference_curve(three, POINT, steps=[0.1, -0.1])


def test_many_coordinates_at_once():
    w = np.linspace(-1, 1, 700)
    found = finite_difference(lambda p, a: jnp.sum(a * jnp.sin(p)), w, np.arange(700.0))
    exact = np.arange(700.0) * np.cos(w)
    # noise 700^2/2 * eps against a third derivative of at least a few: about 1e-6 relative to the largest.
    np.testing.assert_allclose(found, exact, atol=1e-5 * exact.max())


@pytest.mark.parametrize("coordinate", [0, 1, 2])
def test_error_falls_and_rises_as_it_should(coordinate):
    forward = difference_curve(three, POINT, coordinate=coordinate)
    assert slope_of(forward, 1e-6, 1e-2) == pytest.approx(1.0, abs=0.02)
    central = difference_curve(three, POINT, coordinate=coordinate, method="central")
    # Here the third derivatives are 0, -1 x^2 cos y and 6 x: along the first only rounding is left.
    if coordinate > 0:
        assert slope_of(central, 1e-4, 1e-1) == pytest.approx(2.0, abs=0.02)
    for curve in (forward, central):
        rising = curve.steps <= 1e-9
        # Rounding of three values of size 36 and of x + h, each half a unit.
        assert np.all(curve.errors[rising] * curve.steps[rising] <= 8 * EPS * (36 + abs(curve.derivative) * 3))
        assert slope_of(curve, 1e-14, 1e-9) == pytest.approx(-1.0, abs=0.3)


def test_optimal_step_is_the_root_of_eps():
    forward = difference_curve(jnp.exp, 1.0)
    assert 1e-9 < forward.best < 1e-7  # 2 sqrt(eps) = 3e-8
    central = difference_curve(jnp.exp, 1.0, method="central")
    assert 1e-6 < central.best < 1e-4  # (3 eps)^(1/3) = 9e-6
    single = difference_curve(jnp.exp, 1.0, dtype="float32")
    at = dict(zip(np.round(np.log10(single.steps), 1), single.errors, strict=True))
    assert at[-3.0] < at[-1.0] and at[-3.0] < at[-7.0]  # 2 sqrt(eps) = 7e-4


def test_curve_is_named_and_printed():
    curve = difference_curve(lambda p: p["a"] ** 2 * p["b"][1], {"a": 3.0, "b": np.ones(2)}, coordinate="b[1]")
    assert curve.name == "b[1]" and curve.derivative == 9.0
    assert curve.steps.shape == curve.errors.shape == curve.forward.shape == curve.central.shape
    lines = str(curve).splitlines()
    assert "'b[1]'" in lines[0] and lines[2].split() == ["step", "forward", "central"]
    assert len(lines) == 4 + curve.steps.size
    with pytest.raises(AttributeError):
        curve.name = "other"


def test_data_are_arguments_and_nothing_is_traced_twice():
    traces = []

    def function(p, x):
        traces.append(1)
        return jnp.sum((x - p) ** 2)

    first = finite_difference(function, 1.0, np.arange(5.0))
    count = len(traces)
    assert first == pytest.approx(-10.0, rel=1e-9) and count > 0
    # -2 sum(x - p) with new data and a new point of the same shapes.
    assert finite_difference(function, 2.0, np.ones(5)) == pytest.approx(10.0, rel=1e-9)
    assert len(traces) == count


@pytest.mark.parametrize("flag", [False, True])
def test_float64_whatever_the_flag_and_in_a_thread(flag):
    results = []

    def work():
        with jax.enable_x64(flag):
            results.append(finite_difference(jnp.exp, 1.0))
            results.append(jnp.ones(1).dtype)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results[0] == pytest.approx(math.e, rel=1e-9)
    assert results[1] == (jnp.float64 if flag else jnp.float32)


CURVES = {
    "exp": (np.exp, np.exp, 1.0, 1.0),
    "fast": (lambda x: np.sin(1e4 * x), lambda x: 1e4 * np.cos(1e4 * x), 1.0, 1.0),
    "slow": (lambda x: np.sin(1e-6 * x), lambda x: 1e-6 * np.cos(1e-6 * x), 1.0, 1.0),
    "from zero": (lambda x: np.sin(1e5 * x), lambda x: 1e5 * np.cos(1e5 * x), 0.0, 1.0),
    "pole": (lambda x: x**-5.0, lambda x: -5 * x**-6.0, 0.01, 0.01),
    "edge": (lambda x: np.sqrt(x), lambda x: 0.5 / np.sqrt(x), 1e-8, 1e-8),
    "raised": (lambda x: np.sin(x) + 1e9, np.cos, 1.0, 1.0),
    "flat": (lambda x: 0 * x + 3.0, lambda x: 0.0, 2.0, 2.0),
    "cubic": (lambda x: x**3, lambda x: 3 * x**2, 0.0, 1.0),
}


@pytest.mark.parametrize("name", CURVES)
def test_extrapolated_slopes_keep_their_promise(name):
    function, derivative, x, size = CURVES[name]

    def line(numbers, offsets):
        with np.errstate(all="ignore"):
            return function(x + offsets), (x + offsets) - x

    centre = float(function(x))
    noise = EPS * (abs(centre) + abs(x * derivative(x)))  # of the value, and of the argument
    found = slopes(
        line,
        np.array([size]),
        centre=centre,
        noise=noise,
        reach=np.array([4 * EPS * abs(x)]),
        settled=lambda seen: np.zeros(seen.value.size, bool),
    )
    error = abs(found.value[0] - derivative(x))
    assert error <= found.error[0] + 4 * EPS * abs(derivative(x))
    # noise^(4/5) with a fourth-order formula, relative to the largest value; 1e4 of it granted.
    natural = {"fast": 1e-4, "slow": 1.0, "from zero": 1e-5, "pole": 0.01, "edge": 1e-8}.get(name, 1.0)
    assert found.error[0] <= 1e4 * (noise + EPS) ** 0.8 * max(abs(centre), 1.0) ** 0.2 / natural
    assert not found.kinked[0]


@pytest.mark.parametrize(("left", "right"), [(-1.0, 1.0), (0.0, 1e-3), (2.0, 5.0)])
def test_kinks_are_measured(left, right):
    def line(numbers, offsets):
        return np.where(offsets > 0, right, left) * offsets + offsets**2, offsets

    found = slopes(
        line,
        np.ones(1),
        centre=0.0,
        noise=EPS,
        reach=np.zeros(1),
        settled=lambda seen: np.zeros(1, bool),
    )
    assert found.value[0] == pytest.approx((left + right) / 2, abs=1e-9)
    assert found.jump[0] == pytest.approx(right - left, abs=1e-6)


def test_noise_is_estimated_from_the_function():
    # Rounded to multiples of q, an error uniform in +-q/2: standard deviation q/sqrt(12).
    q = 1e-6

    def rounded(p):
        return q * jnp.round((jnp.sin(1e3 * p[0]) + jnp.cos(777.7 * p[1])) / q)

    with jax.enable_x64(True):
        coords, point = name_coordinates(np.array([1.0, 2.0]))
        probe = Probe(rounded, coords.positions, (), point, 2**20)
        found = noise_level(probe, 1.0, typical_sizes(coords, point))
        exact = Probe(lambda p: jnp.sum(p), coords.positions, (), point, 2**20)
        least = noise_level(exact, 3.0, typical_sizes(coords, point))
    assert q / math.sqrt(12) / 4 < found < 4 * q / math.sqrt(12)
    assert EPS / 8 * 3 < least < 4 * EPS * 3


def test_batches_count_only_what_vectorising_multiplies():
    data = np.ones((1000, 50))

    def thin(x):
        return jnp.sum(jnp.exp(data @ jnp.full(50, x)))

    def thick(x):
        return jnp.sum(jnp.exp(data * x))

    def outer(x):
        return jax.jit(thick)(x)

    budget = 4 * 4 * 1000 * 50  # four live float32 arrays of the size of the data
    point = np.float32(1.0)
    assert batch_size(thick, [point], memory=10 * budget, most=512) == 10
    assert batch_size(outer, [point], memory=10 * budget, most=512) == 10
    assert batch_size(thin, [point], memory=10 * budget, most=10_000) == 500
    assert batch_size(thin, [point], memory=10 * budget, most=64) == 64
    assert batch_size(thick, [point], memory=1, most=64) == 1

    @jax.jit
    def inner(x, values):
        return x * jnp.sum(jnp.exp(values))  # large, but not made from x

    assert batch_size(lambda x: inner(x, data), [point], memory=10 * budget, most=64) == 64


def test_a_tight_memory_bound_changes_nothing():
    x = np.linspace(0, 1, 100)
    loose, tight = (
        finite_difference(lambda p, x: jnp.sum(jnp.sin(p[:, None] * x)), np.arange(1.0, 8.0), x, memory=memory)
        for memory in (2**27, 1)
    )
    # The same sums in another order.
    np.testing.assert_allclose(loose, tight, rtol=1e-8)

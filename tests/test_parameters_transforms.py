"""The maps of every declaration: round trips, feasibility, Jacobians, tails; float32 and float64."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mle_jax.parameters import Covariance, Fixed, Interval, Ordered, Positive, Real, Simplex

DTYPES = (np.float32, np.float64)


class Case(NamedTuple):
    """A declaration with its map written once more in NumPy, and how well that map is conditioned."""

    declared: Any
    closed_form: Any
    span: float
    """Free coordinates are drawn from [-span, span]."""
    condition: float
    """A bound for the errors of a round trip in units of eps."""


def _lower(free: np.ndarray, size: int) -> np.ndarray:
    factor = np.zeros((size, size))
    k = 0
    for i in range(size):
        for j in range(i + 1):
            factor[i, j] = np.exp(free[k]) if i == j else free[k]
            k += 1
    return factor


def _softmax(free: np.ndarray) -> np.ndarray:
    weights = np.exp(np.append(free, 0.0))
    return weights / weights.sum()


CASES = {
    "real": Case(Real((2, 2)), lambda f: f.reshape(2, 2), 8.0, 1.0),
    # The logarithm turns a relative error into an absolute one; exp multiplies it by |free| <= 8.
    "positive": Case(Positive((2, 2)), lambda f: np.exp(f).reshape(2, 2), 8.0, 50.0),
    # |value| / (d value / d free) is at most 3 / (4 * 0.018) = 42 where |free| <= 4; five roundings.
    "interval": Case(Interval(-1.0, 3.0, 3), lambda f: -1.0 + 4.0 / (1.0 + np.exp(-f)), 4.0, 300.0),
    "simplex": Case(Simplex(4), _softmax, 4.0, 50.0),
    # Entries up to 2 + 3 e^2 = 24, increments from e^-2 = 0.14: condition 180; four roundings.
    "ordered": Case(Ordered(4), lambda f: np.cumsum([f[0], *np.exp(f[1:])]), 2.0, 1000.0),
    # The last pivot is what is left of S[2, 2] <= 4 in the worst case L[2, 2]^2 = e^-2, through pivots as small.
    "covariance": Case(Covariance(3), lambda f: _lower(f, 3) @ _lower(f, 3).T, 1.0, 2000.0),
    "fixed": Case(Fixed((1.5, -2.0)), lambda f: np.array([1.5, -2.0]), 1.0, 1.0),
}
every_case = pytest.mark.parametrize("name", CASES)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
moving_case = pytest.mark.parametrize("name", [name for name in CASES if name != "fixed"])
few = settings(max_examples=25, deadline=None, derandomize=True)


@functools.cache
def compiled(name: str) -> Any:
    """The maps of a case, jitted once."""
    declared = CASES[name].declared

    def flat(free: Any) -> Any:
        return declared.flatten(declared.constrain(free))

    class Maps(NamedTuple):
        constrain: Any = jax.jit(declared.constrain)
        unconstrain: Any = jax.jit(declared.unconstrain)
        log_jacobian: Any = jax.jit(declared.log_jacobian)
        jacobian: Any = jax.jit(jax.jacfwd(flat))
        reverse: Any = jax.jit(jax.jacrev(flat))
        curvature: Any = jax.jit(jax.jacfwd(jax.jacrev(flat)))
        log_jacobian_slope: Any = jax.jit(jax.grad(declared.log_jacobian))

    return Maps()


def draw_free(data: Any, case: Case) -> np.ndarray:
    number = st.floats(-case.span, case.span, width=32)
    size = case.declared.free_size
    return np.array(data.draw(st.lists(number, min_size=size, max_size=size)))


def far_out(size: int, dtype: Any) -> list[np.ndarray]:
    """Free coordinates far out in both tails: together, alternating, and one at a time."""
    signs = [np.ones(size), -np.ones(size), (-1.0) ** np.arange(size), (-1.0) ** (np.arange(size) + 1), *np.eye(size)]
    signs += [-row for row in np.eye(size)]
    largest = float(np.finfo(dtype).max)
    return [(scale * sign).astype(dtype) for scale in (40.0, 1e3, 1e6, largest) for sign in signs]


@every_case
@few
@given(data=st.data())
def test_constrain_is_its_closed_form(name: str, data: Any) -> None:
    case = CASES[name]
    free = draw_free(data, case)
    with jax.enable_x64(True):
        value = np.asarray(compiled(name).constrain(free))
    assert value.dtype == np.float64
    # A handful of roundings in each of the two computations, amplified by |free| <= 8 in exp.
    np.testing.assert_allclose(value, case.closed_form(free), rtol=1e-14, atol=1e-14)


@every_dtype
@every_case
@few
@given(data=st.data())
def test_round_trip_from_free_coordinates(name: str, dtype: Any, data: Any) -> None:
    case, maps = CASES[name], compiled(name)
    free = draw_free(data, case).astype(dtype)
    with jax.enable_x64(True):
        back = np.asarray(maps.unconstrain(maps.constrain(free)))
    assert back.dtype == dtype
    np.testing.assert_allclose(back, free, rtol=0, atol=case.condition * np.finfo(dtype).eps)


@every_dtype
@every_case
@few
@given(data=st.data())
def test_round_trip_from_values(name: str, dtype: Any, data: Any) -> None:
    case, maps = CASES[name], compiled(name)
    value = case.closed_form(draw_free(data, case)).astype(dtype)
    with jax.enable_x64(True):
        back = np.asarray(maps.constrain(maps.unconstrain(value)))
    assert back.dtype == dtype
    # Backward stable maps: errors relative to the largest entry.
    np.testing.assert_allclose(
        back, value, rtol=50 * np.finfo(dtype).eps, atol=20 * np.finfo(dtype).eps * abs(value).max()
    )


@every_dtype
@every_case
def test_values_stay_in_the_domain_far_out(name: str, dtype: Any) -> None:
    case, maps = CASES[name], compiled(name)
    with jax.enable_x64(True):
        for free in far_out(case.declared.free_size, dtype):
            value = np.asarray(maps.constrain(free))
            assert value.dtype == dtype
            if name == "covariance":
                # Positive definiteness needs more digits than exist where a variable is all but determined by others;
                # what is promised far out is a finite, exactly symmetric matrix with positive variances.
                assert np.isfinite(value).all() and (value == value.T).all() and (np.diag(value) > 0).all(), free
            else:
                assert case.declared.complaint(value) is None, free


@every_dtype
@few
@given(data=st.data())
def test_covariances_are_positive_definite_within_the_stated_extent(dtype: Any, data: Any) -> None:
    # |free| <= 2: correlations stay away from 1 by L[i, i]^2 / S[i, i] >= e^-4 / (8 + e^-4) = 0.002.
    numbers = st.lists(st.floats(-2.0, 2.0, width=32), min_size=6, max_size=6)
    with jax.enable_x64(True):
        value = np.asarray(compiled("covariance").constrain(np.array(data.draw(numbers), dtype)))
    assert CASES["covariance"].declared.complaint(value) is None


@every_dtype
@every_case
def test_derivatives_are_finite_far_out(name: str, dtype: Any) -> None:
    case, maps = CASES[name], compiled(name)
    with jax.enable_x64(True):
        for free in far_out(case.declared.free_size, dtype):
            for derivative in (maps.jacobian, maps.reverse, maps.curvature, maps.log_jacobian, maps.log_jacobian_slope):
                assert np.isfinite(np.asarray(derivative(free))).all(), (derivative, free)


@every_dtype
@moving_case
@few
@given(data=st.data())
def test_log_jacobian_is_the_determinant_of_the_autodiff_jacobian(name: str, dtype: Any, data: Any) -> None:
    case, maps = CASES[name], compiled(name)
    free = draw_free(data, case).astype(dtype)
    with jax.enable_x64(True):
        jacobian, log_jacobian = np.asarray(maps.jacobian(free)), np.asarray(maps.log_jacobian(free))
    assert jacobian.dtype == log_jacobian.dtype == dtype
    square = jacobian[: case.declared.free_size]  # a simplex: all entries but the last
    expected = np.linalg.slogdet(square.astype(np.float64))[1]
    np.testing.assert_allclose(log_jacobian, expected, rtol=0, atol=10 * case.condition * np.finfo(dtype).eps)


def test_forward_and_reverse_derivatives_agree() -> None:
    with jax.enable_x64(True):
        for name, case in CASES.items():
            free = np.linspace(-0.9, 0.8, case.declared.free_size)
            maps = compiled(name)
            np.testing.assert_allclose(maps.jacobian(free), maps.reverse(free), rtol=1e-13, atol=1e-15)


@moving_case
def test_derivatives_of_the_inverse_are_inverse(name: str) -> None:
    declared = CASES[name].declared
    round_trip = jax.jit(jax.jacrev(lambda free: declared.unconstrain(declared.constrain(free))))
    with jax.enable_x64(True):
        for free in (np.zeros(declared.free_size), np.linspace(-0.9, 0.8, declared.free_size)):
            # Products of Jacobians with entries of order 1; at 0 the factor of a covariance has exact zeros.
            np.testing.assert_allclose(round_trip(free), np.eye(declared.free_size), rtol=0, atol=1e-13)


@pytest.mark.parametrize("free", [-700.0, -300.0, -1.0, 0.0, 2.5, 700.0])
def test_positive_against_mpmath(free: float) -> None:
    with jax.enable_x64(True):
        value = float(Positive().constrain(jnp.array([free])))
        assert float(Positive().unconstrain(value)[0]) == pytest.approx(free, rel=1e-15, abs=1e-15)
    # The argument is exact; exp itself is good to a few units in the last place.
    assert value == pytest.approx(float(mpmath.exp(free)), rel=4e-15, abs=0.0)


@pytest.mark.parametrize("free", [-700.0, -300.0, -40.0, -1.0, 0.0, 0.5, 40.0, 300.0, 700.0])
def test_intervals_keep_relative_accuracy_near_an_end_at_zero(free: float) -> None:
    with mpmath.workdps(40), jax.enable_x64(True):
        logistic, rest = (1 / (1 + mpmath.exp(-mpmath.mpf(x))) for x in (free, -free))
        below, above = Interval(0, 1), Interval(-1, 0)
        value = float(below.constrain(jnp.array([free])))
        assert float(above.constrain(jnp.array([free]))) == pytest.approx(float(-rest), rel=4e-15, abs=0.0)
        slope = float(jax.grad(lambda f: below.constrain(f))(jnp.array([free]))[0])
        curvature = float(jax.hessian(lambda f: below.constrain(f))(jnp.array([free]))[0, 0])
    if free <= 1.0:
        assert value == pytest.approx(float(logistic), rel=4e-15, abs=0.0)
        assert slope == pytest.approx(float(logistic * rest), rel=4e-15, abs=0.0)
        assert curvature == pytest.approx(float(logistic * rest * (rest - logistic)), rel=1e-14, abs=0.0)
    else:
        assert 1 - np.finfo(float).eps <= value < 1


@every_dtype
def test_intervals_with_an_end_at_zero_stop_at_a_normal_number(dtype: Any) -> None:
    tiny = float(np.finfo(dtype).tiny)
    with jax.enable_x64(True):
        for free in far_out(1, dtype):
            above, below = (float(Interval(*ends, 1).constrain(free)[0]) for ends in ((0, 0.25), (-0.25, 0)))
            assert tiny <= above < 0.25 and -0.25 < below <= -tiny, free


@every_dtype
def test_closed_ends_have_finite_distant_coordinates(dtype: Any) -> None:
    closed = Interval(2.0, 5.0, closed=True)
    with jax.enable_x64(True):
        zero = np.asarray(Positive(closed=True).unconstrain(dtype(0.0)))
        ends = np.stack([closed.unconstrain(dtype(end)) for end in (2.0, 5.0)])
        shares = np.asarray(Simplex(3).unconstrain(np.array([0.0, 1.0, 0.0], dtype)))
        slopes = [
            jax.grad(lambda v: Positive(closed=True).unconstrain(v)[0])(dtype(0.0)),
            jax.grad(lambda v: closed.unconstrain(v)[0])(dtype(2.0)),
            jax.grad(lambda v: Interval(0, 1, closed=True).unconstrain(v)[0])(dtype(0.0)),
            jax.jacfwd(Simplex(3).unconstrain)(np.array([0.0, 1.0, 0.0], dtype)),
        ]
        back = [float(closed.constrain(end)) for end in ends]
        slopes = [np.asarray(slope) for slope in slopes]
    least, limit = np.log(np.finfo(dtype).tiny), -np.log(np.finfo(dtype).eps)
    assert least < zero[0] < least + 2  # the log of the smallest normal number, inside by a margin
    # An end is told from its neighbor by eps times its size: 2 eps of 3 below, 4 eps of 3 above.
    assert ends[0, 0] < -limit + 2 and ends[1, 0] > limit - 2 and np.isfinite(ends).all()
    assert 2.0 < back[0] < 2.0 + 4 * np.finfo(dtype).eps and 5.0 - 8 * np.finfo(dtype).eps < back[1] < 5.0
    assert abs(shares[0]) == 0 and -least - 2 < shares[1] < -least
    assert all(np.isfinite(slope).all() for slope in slopes)


@every_dtype
@few
@given(data=st.data())
def test_ordered_entries_stay_distinct(dtype: Any, data: Any) -> None:
    # First entries up to 1e6 with increments down to e^-60, far below their rounding.
    size = st.lists(st.floats(-60.0, 5.0, width=32), min_size=11, max_size=11)
    free = np.array([data.draw(st.floats(-1e6, 1e6, width=32)), *data.draw(size)], dtype)
    with jax.enable_x64(True):
        value = np.asarray(_ordered12(free))
    assert (np.diff(value) > 0).all()


_ordered12 = jax.jit(Ordered(12).constrain)


def test_one_entry_is_the_smallest_size() -> None:
    with jax.enable_x64(True):
        assert Simplex(1).constrain(jnp.zeros(0)).tolist() == [1.0]
        assert Simplex(1).unconstrain(np.ones(1)).shape == (0,)
        assert Ordered(1).constrain(jnp.array([2.5])).tolist() == [2.5]
        assert Ordered(1).unconstrain(np.array([2.5])).tolist() == [2.5]
        assert float(Covariance(1).constrain(jnp.array([0.0]))[0, 0]) == 1.0


@every_case
def test_vmap_is_a_loop(name: str) -> None:
    declared = CASES[name].declared
    free = np.random.default_rng(1).uniform(-1, 1, (5, declared.free_size))
    with jax.enable_x64(True):
        values = jax.vmap(declared.constrain, axis_size=5)(free)
        expected = np.stack([declared.constrain(jnp.asarray(row)) for row in free])
        back = jax.vmap(declared.unconstrain)(values)
    np.testing.assert_allclose(values, expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(back, free, rtol=0, atol=1e-12)


@every_case
def test_flat_and_natural_layouts_are_rearrangements(name: str) -> None:
    declared = CASES[name].declared
    value = declared.default_start()
    flat = declared.flatten(value)
    assert isinstance(flat, np.ndarray) and flat.shape == (declared.flat_size,)  # NumPy stays NumPy
    assert (declared.unflatten(flat) == value).all()
    assert len(declared.entry_labels("q")) == declared.flat_size


def test_covariance_lists_its_lower_triangle_by_rows() -> None:
    matrix = np.array([[1.0, 2.0, 4.0], [2.0, 3.0, 5.0], [4.0, 5.0, 6.0]])
    declared = Covariance(3)
    assert declared.flatten(matrix).tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert (declared.unflatten(np.arange(1.0, 7.0)) == matrix).all()


def test_values_follow_the_dtype_given() -> None:
    with jax.enable_x64(True):
        for declared in (Positive(2), Interval(0, 9, 2), Simplex(2), Ordered(2), Real(2)):
            for dtype in DTYPES:
                assert declared.constrain(np.zeros(declared.free_size, dtype)).dtype == dtype
            value = np.array([1, 2]) if not isinstance(declared, Simplex) else np.array([0, 1])
            assert declared.unconstrain(value).dtype == np.float64  # integers take the working dtype
        assert Fixed(1).constrain(np.zeros(0, np.float32)).dtype == np.float32
    with jax.enable_x64(False):
        assert Positive(2).unconstrain(np.array([1, 2])).dtype == np.float32

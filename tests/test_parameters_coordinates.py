"""`Coordinates`: fixed entries held to the last bit, the rest moving, and no recompilation along a profile."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mle_jax.parameters import Covariance, Fixed, Interval, Ordered, Positive, Real, Simplex, coordinates, resolve

SPACE = resolve(
    {
        "w": Real(labels=("intercept", "income")),
        "sigma": Positive(closed=True),
        "a": {"p": Simplex(3), "rate": Interval(0, 1)},
        "k": Fixed(0.1),
        "S": Covariance(2),
    },
    None,
)
START = SPACE.default_start()


def entry(flat: Any, name: str) -> float:
    return float(np.asarray(flat)[SPACE.names.index(name)])


def test_nothing_fixed_is_the_space_itself() -> None:
    moving = coordinates(SPACE)
    assert moving.size == SPACE.n_free == 9 and moving.names == SPACE.free_names
    assert [name for name, held in zip(SPACE.names, moving.fixed, strict=True) if held] == ["k"]
    with jax.enable_x64(True):
        theta = moving.theta(START)
        np.testing.assert_array_equal(theta, SPACE.unconstrain(START))
        np.testing.assert_array_equal(moving.flat(theta), SPACE.flatten(SPACE.constrain(theta)))
        np.testing.assert_array_equal(moving.jacobian(theta), SPACE.jacobian(theta))
        plain = jax.make_jaxpr(SPACE.constrain)(theta)
        assert str(jax.make_jaxpr(moving.params)(theta)) == str(plain)  # not one operation more


def test_entries_and_leaves_are_fixed() -> None:
    moving = coordinates(SPACE, {"w[income]": 0.1, "a": {"p": [0.2, 0.3, 0.5]}})
    assert moving.names == ("w[intercept]", "sigma", "a.rate", "S~0", "S~1", "S~2")
    assert moving.size == 6
    held = [name for name, stuck in zip(SPACE.names, moving.fixed, strict=True) if stuck]
    assert held == ["w[income]", "a.p[0]", "a.p[1]", "a.p[2]", "k"]
    with jax.enable_x64(True):
        theta = jnp.linspace(-1.0, 1.0, 6)
        params = moving.params(theta)
        assert params["w"].tolist() == [-1.0, 0.1] and params["a"]["p"].tolist() == [0.2, 0.3, 0.5]
        np.testing.assert_allclose(params["sigma"], np.exp(-0.6), rtol=1e-15)
        np.testing.assert_allclose(moving.theta(params), theta, rtol=0, atol=1e-14)
        np.testing.assert_array_equal(moving.flat(theta), SPACE.flatten(params))


def test_the_jacobian_has_zero_rows_for_fixed_entries() -> None:
    moving = coordinates(SPACE, {"w": [1, 2], "S": [[2, 1], [1, 2]]})
    theta = np.linspace(-0.5, 0.5, moving.size)
    with jax.enable_x64(True):
        jacobian = np.asarray(jax.jit(lambda c, t: c.jacobian(t))(moving, theta))
    assert jacobian.shape == (SPACE.n_flat, moving.size) == (11, 4)
    for row, stuck in zip(jacobian, moving.fixed, strict=True):
        assert (not row.any()) == stuck
    assert jacobian[SPACE.names.index("sigma"), 0] == pytest.approx(np.exp(-0.5), rel=1e-15, abs=0.0)
    logistic = 1 / (1 + np.exp(-0.5))
    assert jacobian[SPACE.names.index("a.rate"), 3] == pytest.approx(logistic * (1 - logistic), rel=1e-14, abs=0.0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.floats(1e-300, 1e300), st.floats(-1e300, 1e300), st.floats(1e-12, 1.0, exclude_max=True))
def test_fixed_values_are_kept_to_the_last_bit(sigma: float, slope: float, rate: float) -> None:
    with jax.enable_x64(True):
        moving = coordinates(SPACE, {"sigma": sigma, "w[income]": slope, "a.rate": rate})
        params = _params(moving, np.full(moving.size, 0.3))
    assert (float(params["sigma"]), float(params["w"][1]), float(params["a"]["rate"])) == (sigma, slope, rate)


_params = jax.jit(lambda moving, theta: moving.params(theta))


def test_a_closed_end_can_be_fixed() -> None:
    with jax.enable_x64(True):
        moving = coordinates(SPACE, {"sigma": 0})
        params = moving.params(np.zeros(moving.size))
        assert params["sigma"] == 0.0
        assert np.isfinite(moving.theta(params)).all()


def test_everything_can_be_fixed() -> None:
    moving = coordinates(SPACE, START)
    assert moving.size == 0 and moving.names == ()
    with jax.enable_x64(True):
        np.testing.assert_array_equal(moving.flat(np.zeros(0)), SPACE.flatten(START))
        assert moving.jacobian(np.zeros(0)).shape == (SPACE.n_flat, 0)
        assert moving.theta(START).shape == (0,)
    only = resolve({"mu": Real()}, None)
    with jax.enable_x64(True):
        assert coordinates(only, {"mu": 0.1}).params(np.zeros(0))["mu"] == 0.1


def test_other_fixed_values_do_not_recompile() -> None:
    traces = []

    @jax.jit
    def sigma_of(moving: Any, theta: Any) -> Any:
        traces.append(moving.fixed)
        return moving.params(theta)["sigma"]

    for value in (0.5, 1, np.float64(2.0)):
        moving = coordinates(SPACE, {"sigma": value})
        assert sigma_of(moving, np.zeros(moving.size)) == value
    assert len(traces) == 1
    moving = coordinates(SPACE, {"sigma": 2.0, "w[income]": 0.0})
    sigma_of(moving, np.zeros(moving.size))
    assert len(traces) == 2


def test_fixed_values_may_be_traced_and_mapped() -> None:
    def flat(sigma: Any, p: Any) -> Any:
        moving = coordinates(SPACE, {"sigma": sigma, "a.p": p, "w[income]": 3})
        return moving.flat(jnp.zeros(moving.size))

    sigmas, shares = np.array([0.5, 2.0]), np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    with jax.enable_x64(True):
        rows = jax.jit(jax.vmap(flat))(sigmas, shares)
        slopes = jax.jacfwd(flat)(0.5, shares[0])
    for row, sigma, share in zip(rows, sigmas, shares, strict=True):
        assert entry(row, "sigma") == sigma and entry(row, "w[income]") == 3.0 and entry(row, "a.p[2]") == share[2]
    assert entry(slopes, "sigma") == 1.0 and np.count_nonzero(slopes) == 1


def test_coordinates_can_be_stacked_under_vmap() -> None:
    moving = [coordinates(SPACE, {"sigma": value}) for value in (1.0, 2.0)]
    stacked = jax.tree_util.tree_map(lambda *arrays: np.stack(arrays), *moving)
    params = jax.vmap(lambda c: c.params(jnp.zeros(c.size)))(stacked)
    assert params["sigma"].tolist() == [1.0, 2.0]


def test_dtype_follows_theta() -> None:
    moving = coordinates(SPACE, {"sigma": 0.1})
    with jax.enable_x64(True):
        params = moving.params(np.zeros(moving.size, np.float32))
    assert all(leaf.dtype == np.float32 for leaf in jax.tree_util.tree_leaves(params))
    assert params["sigma"] == np.float32(0.1)


def test_a_leaf_whose_entries_move_together_may_be_fixed_entry_by_entry_if_all_are() -> None:
    moving = coordinates(resolve({"c": Ordered(2), "b": Real()}, None), {"c[0]": -1.0, "c[1]": 2.0})
    assert moving.names == ("b",)
    assert moving.params(np.zeros(1))["c"].tolist() == [-1.0, 2.0]


def test_a_declared_constant_may_be_named_with_its_value() -> None:
    assert coordinates(SPACE, {"k": 0.1}).size == SPACE.n_free


@pytest.mark.parametrize(
    ("fixed", "error", "words"),
    [
        (
            {"a.p[0]": 0.2},
            ValueError,
            "fixed names 'a.p[0]', but 'a.p' is Simplex, whose entries move together; fix",
        ),
        ({"S[1,0]": 0.0}, ValueError, "fixed names 'S[1,0]', but 'S' is Covariance, whose entries move together"),
        ({"slope": 0.0}, ValueError, "fixed names 'slope', which is no parameter; the parameters are 'w', 'sigma'"),
        (
            {"sigma": -1.0},
            ValueError,
            "fixed value for 'sigma' is -1.0, but 'sigma' is Positive: it must be 0 or above; pass fixed={'sigma'",
        ),
        ({"w[income]": np.nan}, ValueError, "fixed value for 'w[income]' is nan, but 'w' is Real: it must be finite"),
        (
            {"a.p": [0.5, 0.5, 0.5]},
            ValueError,
            "fixed value for 'a.p' sums to 1.5, but 'a.p' is Simplex: it must sum",
        ),
        ({"w": [1.0]}, ValueError, "fixed for 'w' has shape (1,), but 'w' has shape (2,)"),
        ({"S": 1.0}, ValueError, "fixed for 'S' has shape (), but 'S' has shape (2, 2)"),
        ({"k": 5.0}, ValueError, "fixed value for 'k' is 5.0, but 'k' is Fixed: it must stay 0.1"),
        ({"sigma": "one"}, TypeError, "fixed for 'sigma' is 'one'; pass a real number"),
        (["w"], ValueError, "fixed names '0', which is no parameter"),
    ],
)
def test_what_cannot_be_fixed(fixed: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        coordinates(SPACE, fixed)


def test_theta_of_the_wrong_size_is_refused() -> None:
    moving = coordinates(SPACE, {"w": 0.0, "a.p": [0.2, 0.3, 0.5], "S": np.eye(2)})
    with pytest.raises(ValueError, match=re.escape("theta has shape (3,), but (2,) is needed, for 'sigma' and")):
        moving.flat(np.zeros(3))

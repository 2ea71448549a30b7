"""`ParameterSpace`: the maps over a whole pytree, overlaying starts, and checking values."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mle_jax.parameters import Covariance, Fixed, Interval, Ordered, Positive, Real, Simplex, resolve

SPACE = resolve(
    {
        "w": Real(labels=("intercept", "income")),
        "sigma": Positive(),
        "a": {"p": Simplex(3), "rate": Interval(0, 1, 2), "S": Covariance(2)},
        "k": Fixed(2.5),
        "cuts": Ordered(2),
    },
    None,
)
NAMES = (
    *("w[intercept]", "w[income]", "sigma", "a.p[0]", "a.p[1]", "a.p[2]", "a.rate[0]", "a.rate[1]"),
    *("a.S[0,0]", "a.S[1,0]", "a.S[1,1]", "k", "cuts[0]", "cuts[1]"),
)


def params_from(*, free: np.ndarray) -> Any:
    """The params at free coordinates, by the closed forms."""
    weights = np.exp([free[3], free[4], 0.0])
    factor = np.array([[np.exp(free[7]), 0.0], [free[8], np.exp(free[9])]])
    return {
        "w": free[:2],
        "sigma": np.exp(free[2]),
        "a": {"p": weights / weights.sum(), "rate": 1 / (1 + np.exp(-free[5:7])), "S": factor @ factor.T},
        "k": np.float64(2.5),
        "cuts": np.array([free[10], free[10] + np.exp(free[11])]),
    }


def flat_by_hand(params: Any) -> np.ndarray:
    """The entries in the order of NAMES."""
    a, s = params["a"], params["a"]["S"]
    parts = (params["w"], params["sigma"], a["p"], a["rate"], [s[0, 0], s[1, 0], s[1, 1]], params["k"], params["cuts"])
    return np.concatenate([np.atleast_1d(part) for part in parts])


def assert_same(params: Any, expected: Any, *, rtol: float = 0.0) -> None:
    jax.tree_util.tree_map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol), params, expected)


FREE = np.random.default_rng(7).uniform(-1, 1, 12)


def test_sizes_and_names() -> None:
    assert SPACE.names == NAMES
    assert (SPACE.n_flat, SPACE.n_free) == (14, 12)
    assert SPACE.free_names[3:] == (
        *("a.p~0", "a.p~1", "a.rate[0]", "a.rate[1]", "a.S~0", "a.S~1", "a.S~2", "cuts~0", "cuts~1"),
    )
    assert SPACE.free_leaf == (0, 0, 1, 2, 2, 3, 3, 4, 4, 4, 6, 6)


def test_maps_follow_the_closed_forms_in_both_directions() -> None:
    expected = params_from(free=FREE)
    with jax.enable_x64(True):
        params = jax.jit(SPACE.constrain)(FREE)
        flat = jax.jit(SPACE.flatten)(params)
        back = jax.jit(SPACE.unconstrain)(expected)
        again = SPACE.unflatten(flat)
    assert_same(params, expected, rtol=1e-14)
    np.testing.assert_allclose(flat, flat_by_hand(expected), rtol=1e-14)
    np.testing.assert_allclose(back, FREE, rtol=0, atol=1e-14)  # |free| <= 1 and well conditioned: a few eps
    assert_same(again, params)


def test_jacobians() -> None:
    with jax.enable_x64(True):
        jacobian = np.asarray(jax.jit(SPACE.jacobian)(FREE))
        log_jacobian = float(jax.jit(SPACE.log_jacobian)(FREE))
    step = 1e-6
    for j in range(12):
        move = step * np.eye(12)[j]
        ahead, behind = (flat_by_hand(params_from(free=FREE + sign * move)) for sign in (1, -1))
        # Central differences of the closed form: error step^2 / 6 times third derivatives of at most e plus eps / step.
        np.testing.assert_allclose(jacobian[:, j], (ahead - behind) / (2 * step), rtol=0, atol=2e-9)
    kept = [i for i, name in enumerate(NAMES) if name not in ("a.p[2]", "k")]
    assert log_jacobian == pytest.approx(np.linalg.slogdet(jacobian[kept])[1], abs=1e-12)


def test_maps_batch_under_vmap() -> None:
    free = np.stack([FREE, -FREE, 0 * FREE])
    with jax.enable_x64(True):
        params = jax.jit(jax.vmap(SPACE.constrain))(free)
        back = jax.jit(jax.vmap(SPACE.unconstrain))(params)
        jacobians = jax.jit(jax.vmap(SPACE.jacobian))(free)
        logs = jax.jit(jax.vmap(SPACE.log_jacobian))(free)
        jacobian = jax.jit(SPACE.jacobian)
        lone = [jacobian(row) for row in free]
    assert params["a"]["S"].shape == (3, 2, 2) and params["k"].tolist() == [2.5] * 3 and logs.shape == (3,)
    np.testing.assert_allclose(back, free, rtol=0, atol=1e-14)
    np.testing.assert_allclose(jacobians, np.stack(lone), rtol=1e-13, atol=1e-15)


def test_dtypes_follow_the_leaves() -> None:
    start = SPACE.default_start()
    assert all(leaf.dtype == np.float64 for leaf in jax.tree_util.tree_leaves(start))
    single = jax.tree_util.tree_map(np.float32, start)
    with jax.enable_x64(True):
        assert SPACE.flatten(start).dtype == np.float64
        assert SPACE.flatten(single).dtype == SPACE.unconstrain(single).dtype == np.float32
        assert SPACE.constrain(FREE.astype(np.float32))["k"].dtype == np.float32
        assert SPACE.flatten({**single, "sigma": 2}).dtype == np.float32  # a Python number adapts
        assert SPACE.flatten({**single, "w": start["w"]}).dtype == np.float64
        integers = resolve({"n": Real(2)}, None)
        assert integers.unconstrain({"n": [1, 2]}).dtype == np.float64
    with jax.enable_x64(False):
        assert SPACE.flatten(start).dtype == np.float32


def test_a_space_of_constants_has_no_free_coordinates() -> None:
    space = resolve({"k": Fixed([1.0, 2.0])}, None)
    with jax.enable_x64(True):
        assert space.constrain([])["k"].tolist() == [1.0, 2.0]
        assert space.unconstrain(space.default_start()).shape == (0,)
        assert space.jacobian([]).shape == (2, 0)
        assert float(space.log_jacobian([])) == 0.0


def test_equal_spaces_share_a_compilation() -> None:
    traces = []

    def constrain(space: Any, free: Any) -> Any:
        traces.append(space.names)
        return space.constrain(free)

    run = jax.jit(constrain, static_argnums=0)
    for start in ([1, 2], (1.0, 2.0), np.array([1.0, 2.0])):
        run(resolve({"w": Real(2, start=start)}, None), np.zeros(2, np.float32))
    assert len(traces) == 1
    run(resolve({"w": Real(2, start=5)}, None), np.zeros(2, np.float32))
    assert len(traces) == 2


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        (None, {}),
        ({}, {}),
        ({"sigma": None}, {}),
        ({"sigma": 3}, {"sigma": 3.0}),
        ({"w": 7.0}, {"w[intercept]": 7.0, "w[income]": 7.0}),
        ({"w": [1, 2]}, {"w[intercept]": 1.0, "w[income]": 2.0}),
        ({"w[income]": -2}, {"w[income]": -2.0}),
        ({"w": 1.0, "w[income]": 4.0}, {"w[intercept]": 1.0, "w[income]": 4.0}),
        ({"a": {"rate": [0.25, 0.75]}}, {"a.rate[0]": 0.25, "a.rate[1]": 0.75}),
        ({"a.rate": 0.25}, {"a.rate[0]": 0.25, "a.rate[1]": 0.25}),
        ({"a": {"rate[1]": 0.25}, "a.rate[0]": 0.125}, {"a.rate[0]": 0.125, "a.rate[1]": 0.25}),
        ({"a.S[1,0]": 0.5}, {"a.S[1,0]": 0.5}),
        ({"a": {"S": [[4, 1], [1, 4]]}}, {"a.S[0,0]": 4.0, "a.S[1,0]": 1.0, "a.S[1,1]": 4.0}),
        ({"sigma": jnp.float32(0.5)}, {"sigma": 0.5}),
    ],
)
def test_merge(given: Any, changed: dict[str, float]) -> None:
    base = SPACE.default_start()
    merged = SPACE.merge(base, given)
    leaves = jax.tree_util.tree_leaves(merged)
    assert all(isinstance(leaf, np.ndarray | np.float64) and leaf.dtype == np.float64 for leaf in leaves)
    before = dict(zip(NAMES, flat_by_hand(base), strict=True))
    assert dict(zip(NAMES, flat_by_hand(merged), strict=True)) == {**before, **changed}
    assert (merged["a"]["S"] == merged["a"]["S"].T).all()


def test_merge_copies() -> None:
    base = SPACE.default_start()
    given = np.array([0.25, 0.75])
    merged = SPACE.merge(base, {"w[income]": 5.0, "a": {"S[1,0]": 0.5, "rate": given}})
    for leaf in (merged["w"], merged["cuts"], merged["a"]["rate"]):
        leaf[:] = 9.0
    assert base["w"].tolist() == [0.0, 0.0] and base["cuts"].tolist() == [-0.5, 0.5] and base["a"]["S"][1, 0] == 0.0
    assert given.tolist() == [0.25, 0.75]


def test_merge_complete_params() -> None:
    params = params_from(free=FREE)
    merged = SPACE.merge(SPACE.default_start(), params)
    assert_same(merged, params)


def test_merge_for_other_layouts() -> None:
    pair = resolve((Real(2), Positive()), None)
    merged = pair.merge(pair.default_start(), ([1, 2], None))
    assert merged[0].tolist() == [1.0, 2.0] and merged[1] == 1.0
    assert pair.merge(merged, {"0[1]": 5, "1": 3})[0].tolist() == [1.0, 5.0]
    lone = resolve(Real(2), None)
    assert lone.merge(lone.default_start(), [3, 4]).tolist() == [3.0, 4.0]
    assert lone.merge(lone.default_start(), {"params[1]": 4}).tolist() == [0.0, 4.0]


def test_merge_of_traced_values() -> None:
    @jax.jit
    def merge(sigma: Any, slope: Any, base: Any) -> Any:
        return SPACE.merge(base, {"sigma": sigma, "w[income]": slope, "a": {"S[1,0]": slope}})

    for enabled, dtype in ((True, np.float64), (False, np.float32)):
        with jax.enable_x64(enabled):
            merged = jax.tree_util.tree_map(np.asarray, merge(2.0, 0.25, SPACE.default_start()))
        assert merged["sigma"] == 2.0 and merged["w"].tolist() == [0.0, 0.25]
        assert merged["a"]["S"].tolist() == [[1.0, 0.25], [0.25, 1.0]]
        assert merged["w"].dtype == merged["sigma"].dtype == merged["a"]["S"].dtype == dtype

    @jax.jit
    def onto_constants(sigma: Any) -> Any:
        return SPACE.merge(SPACE.default_start(), {"sigma": sigma, "w": [0, sigma]})

    merged = onto_constants(2.0)
    assert merged["sigma"] == 2.0 and merged["w"].tolist() == [0.0, 2.0]


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (
            {"sgima": 1.0},
            ValueError,
            "start names 'sgima', which is no parameter; the parameters are 'w', 'sigma'",
        ),
        ({"sgima": 1.0}, ValueError, "did you mean 'sigma'?"),
        ({"rate": 1.0}, ValueError, "did you mean 'a.rate'?"),
        ({"w[2]": 1.0}, ValueError, "the entries of 'w' are 'w[intercept]' and 'w[income]'"),
        ({"u": 1.0, "v": 2.0}, ValueError, "start names 'u' and 'v', which are no parameters"),
        ({"a": {"q": 1.0}}, ValueError, "start names 'a.q', which is no parameter"),
        ({"a": 1.0}, ValueError, "start for 'a' is 1.0, but holds 'a.p', 'a.rate' and 'a.S'; pass a dict"),
        (1.0, ValueError, "start is 1.0, but holds 'w', 'sigma'"),
        ({"w": [1.0, 2.0, 3.0]}, ValueError, "start for 'w' has shape (3,), but 'w' has shape (2,)"),
        ({"sigma": [1.0]}, ValueError, "start for 'sigma' has shape (1,), but 'sigma' has shape (); pass one number"),
        ({"w[income]": [1.0]}, ValueError, "start for 'w[income]' has shape (1,)"),
        ({"a.p": 0.5}, ValueError, "start for 'a.p' has shape (), but 'a.p' has shape (3,)"),
        ({"sigma": "big"}, TypeError, "start for 'sigma' is 'big'; pass a real number or an array of them"),
        ({"sigma": 1j}, TypeError, "start for 'sigma' is 1j"),
        ({"sigma": True}, TypeError, "start for 'sigma' is True"),
        ({"w": {"x": 1}}, TypeError, "start for 'w' is {'x': 1}"),
        ({"w": [[1], [1, 2]]}, TypeError, "start for 'w' is [[1], [1, 2]]"),
        ({"a": {"rate": 0.5}, "a.rate": 0.5}, ValueError, "start gives 'a.rate' twice"),
    ],
)
def test_merge_refuses(given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        SPACE.merge(SPACE.default_start(), given)


def test_merge_names_what_it_merges() -> None:
    with pytest.raises(ValueError, match="params names 'x', which is no parameter"):
        SPACE.merge(SPACE.default_start(), {"x": 1.0}, what="params")


def test_shapes_are_checked_under_tracing_too() -> None:
    with pytest.raises(ValueError, match=re.escape("params for 'w' has shape (3,), but 'w' has shape (2,)")):
        jax.jit(SPACE.flatten)({**SPACE.default_start(), "w": np.zeros(3)})
    with pytest.raises(ValueError, match=re.escape("free coordinates have shape (3,), but must have shape (12,)")):
        jax.jit(SPACE.constrain)(np.zeros(3))
    with pytest.raises(ValueError, match=re.escape("flat parameters have shape (12,), but must have shape (14,)")):
        SPACE.unflatten(FREE)
    with pytest.raises(ValueError, match="start for 'w' has shape"):
        jax.jit(lambda w: SPACE.merge(SPACE.default_start(), {"w": w}))(np.zeros(3))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"sigma": -1.0},
            "start value for 'sigma' is -1.0, but 'sigma' is Positive: it must be above 0; pass start={'sigma': ...}",
        ),
        ({"a.rate[1]": 2.0}, "start value for 'a.rate[1]' is 2.0, but 'a.rate' is Interval: it must be above 0.0 and "),
        ({"a.rate[1]": 2.0}, "pass start={'a.rate[1]': ...}"),
        ({"a.p[0]": 0.5}, "but 'a.p' is Simplex: it must sum to 1; pass start={'a.p': ...}"),
        (
            {"cuts[1]": -3},
            "start value for 'cuts[1]' is -3.0, but 'cuts' is Ordered: it must be above the entry",
        ),
        ({"a.S[1,0]": 2.0}, "but 'a.S' is Covariance: it must be positive definite; pass start={'a.S': ...}"),
        ({"a.S[1,1]": 0.0}, "start value for 'a.S[1,1]' is 0.0, but 'a.S' is Covariance: it must be above 0, being a"),
        ({"w[income]": np.nan}, "start value for 'w[income]' is nan, but 'w' is Real: it must be finite"),
        ({"k": 3.0}, "start value for 'k' is 3.0, but 'k' is Fixed: it must stay 2.5"),
    ],
)
def test_check_refuses_values(changed: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        SPACE.check(SPACE.merge(SPACE.default_start(), changed))


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({}, ValueError, "start value lacks 'w', 'sigma', 'a.p', 'a.rate', 'a.S', 'k' and 'cuts'; the parameters are"),
        ({**SPACE.default_start(), "b": 1.0}, ValueError, "start value names 'b', which is no parameter"),
        ({**SPACE.default_start(), "w": np.zeros(3)}, ValueError, "start value for 'w' has shape (3,)"),
        ({**SPACE.default_start(), "w": None}, TypeError, "start value for 'w' is None; pass a real number"),
        ({**SPACE.default_start(), "sigma": "a"}, TypeError, "start value for 'sigma' is 'a'"),
        ({**SPACE.default_start(), "sigma": True}, TypeError, "start value for 'sigma' is True"),
        ({**SPACE.default_start(), "sigma": 1j}, TypeError, "start value for 'sigma' is 1j"),
    ],
)
def test_check_refuses_layouts_and_kinds(params: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        SPACE.check(params)


def test_check_refuses_another_container() -> None:
    pair = resolve((Real(), Positive()), None)
    with pytest.raises(ValueError, match="params is not laid out as the parameters '0' and '1' were declared"):
        pair.check([0.0, 1.0], what="params")


def test_check_accepts_what_is_valid() -> None:
    SPACE.check(SPACE.default_start())
    SPACE.check({**SPACE.default_start(), "w": [1, 2], "sigma": jnp.float32(2.0)})
    assert SPACE.check(params_from(free=FREE)) is None


def test_check_words_its_remedy_as_told() -> None:
    bad = {**SPACE.default_start(), "sigma": 0.0}
    expected = "params for 'sigma' is 0.0, but 'sigma' is Positive: it must be above 0; change params['sigma']"
    with pytest.raises(ValueError, match=re.escape(expected)):
        SPACE.check(bad, what="params", remedy="change params['{name}']")


def test_check_of_traced_values_looks_at_shapes_only() -> None:
    jax.jit(lambda s: SPACE.check({**SPACE.default_start(), "sigma": s}))(-1.0)
    with pytest.raises(ValueError, match="has shape"):
        jax.jit(lambda s: SPACE.check({**SPACE.default_start(), "sigma": s}))(np.zeros(2))

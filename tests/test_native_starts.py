"""Starts of many lanes side by side, held against those of one dataset after the other."""

import warnings
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from ready_made_models import READY, N, quick

import mle_jax as mle
from mle_jax.fitting import batch_engine, native_lanes, native_starts
from mle_jax.fitting.starts import start_theta
from mle_jax.likelihood.layout import model_space
from mle_jax.likelihood.side_by_side import lanes_last, read_by
from mle_jax.likelihood.traced import trace
from mle_jax.optimizers import solve_least_squares
from mle_jax.optimizers._one_kernel import NotOneKernelError, is_known
from mle_jax.parameters import coordinates

X_EXTREMES = (
    lambda x: np.repeat(x[:, :1], x.shape[1], axis=1),
    lambda x: x * np.geomspace(1e-8, 1e8, x.shape[1]),
    lambda x: x * 1e-170,
    lambda x: np.where(np.arange(x.shape[1]) == x.shape[1] - 1, 0.0, x),
)
native = pytest.mark.skipif(not is_known(), reason="native loops are not known to work with this compiler")


@pytest.fixture(autouse=True)
def in_double_precision() -> Any:
    """As the verbs compute."""
    with jax.enable_x64(True):
        yield


def side_by_side(function: Any, lanes: list[Any]) -> tuple[Any, np.ndarray]:
    """Return what a function of a dataset makes of each of them, and which of it is sound."""
    one, tree = jax.tree_util.tree_flatten(jax.tree_util.tree_map(np.asarray, lanes[0]))
    stacked = jax.tree_util.tree_leaves(jax.tree_util.tree_map(lambda *leaf: np.stack(leaf, axis=-1), *lanes))
    flat = lambda *leaves: function(jax.tree_util.tree_unflatten(tree, leaves))  # noqa: E731 - traced once
    program = trace(flat, *(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in one), differentiable=False)
    read = read_by(program, range(len(one)))
    run = jax.jit(lambda *values: lanes_last(program, dict(zip(read, values, strict=True))))
    found, sound = run(*(stacked[i] for i in read))
    return [np.moveaxis(leaf, -1, 0) for leaf in map(np.asarray, found)], np.asarray(sound)


# The start of a multinomial model is zero whatever the data are.
@pytest.mark.parametrize(
    "name", quick([n for n, row in READY.items() if row.model.start is not None and n != "multinomial_logit"])
)
def test_starts_of_ready_made_models(name: str) -> None:
    """With columns that repeat each other, of very different size, or of zeros, and with extreme responses."""
    row = READY[name]
    model, rng = row.model, np.random.default_rng(3)
    data = jax.tree_util.tree_map(np.asarray, row.data)
    place = coordinates(model_space(model, data), {})
    orders = [rng.permutation(N) for _ in range(3)]
    usual = [data, *(jax.tree_util.tree_map(lambda leaf, o=o: leaf[o], data) for o in orders)]
    hard = [{**data, **{k: np.asarray(v, data[k].dtype) for k, v in extreme.items()}} for extreme in row.extremes]
    if "x" in data:
        hard += [{**data, "x": np.asarray(change(data["x"].astype(float)))} for change in X_EXTREMES]
    begin = partial(start_theta, model, place, weights=None, given=None)
    (found,), sound = side_by_side(begin, [*usual, *hard])
    assert sound[: len(usual)].all()
    alone = jax.jit(begin)
    for lane, dataset in enumerate([*usual, *hard]):
        if sound[lane]:
            # Both refine least squares once: what is left is rounding, times a condition of at most 1e7.
            expected = np.asarray(alone(dataset))
            if min(found[lane].min(), expected.min()) < -25.0:
                continue  # fitted perfectly: the logarithm of the scale is that of rounding, or a number in its place
            np.testing.assert_allclose(found[lane], expected, rtol=1e-7, atol=1e-8 * np.abs(expected).max())


def test_numbers_that_a_lane_and_others_have_in_common_meet() -> None:
    """Where a scalar chooses for a matrix, or a vector of rows meets columns, or a number is no lane's own."""
    rng = np.random.default_rng(2)
    lanes = [{"x": rng.normal(size=(20, 3)), "y": rng.normal(size=20), "low": rng.normal()} for _ in range(5)]
    in_common = jnp.arange(3.0)

    def function(data: Any) -> tuple[Array, ...]:
        x, y = data["x"], data["y"]
        chosen = jax.lax.select_n(jnp.asarray(data["low"]) > 0, x, 2 * x)
        clipped = jax.lax.clamp(jnp.asarray(data["low"]), y, jnp.asarray(data["low"]) + 1)
        return chosen, clipped, x * y[:, None] + in_common, jnp.where(y[:, None] > 0, in_common, x), y - 1

    found, sound = side_by_side(function, lanes)
    assert sound.all()
    for lane, data in enumerate(lanes):
        for one, alone in zip(found, jax.jit(function)(data), strict=True):
            # Of products and sums of size one, which may be rounded once or twice.
            np.testing.assert_allclose(one[lane], alone, rtol=1e-15, atol=1e-15)


def test_least_squares_says_which_lanes_need_more() -> None:
    """Designs without full rank, or close to that, or whose squares overflow or vanish, are none for X'X."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((203, 3))  # rows that are no multiple of a block
    y = x @ [1.0, 2.0, -1.0] + 0.1 * rng.standard_normal(203)
    near = x.copy()
    near[:, 2] = near[:, 1] + 1e-7 * near[:, 2]
    equal = np.column_stack([x[:, :2], x[:, 1]])
    lanes = [(x, y), (x + 3.0, y), (near, y), (equal, y), (1e-120 * x, y), (1e120 * x, y), (0 * x, y)]
    (found,), sound = side_by_side(lambda both: solve_least_squares(*both), lanes)
    assert sound.tolist() == [True, True, False, False, False, False, False]
    for lane in (0, 1):
        np.testing.assert_allclose(found[lane], np.linalg.lstsq(*lanes[lane], rcond=None)[0], rtol=1e-13)


def test_products_and_sums() -> None:
    """Over many rows and few, over two axes, of what all lanes have in common, and of truth values."""
    rng = np.random.default_rng(2)
    shared = jnp.asarray(rng.standard_normal((3, 5)))

    def function(data: Any) -> Any:
        x, y, whole = data["x"], data["y"], data["whole"]
        return (
            x @ shared[:, 0],
            y @ x,
            x.T @ x,
            shared.T @ x.T @ y,
            jnp.sum(x),
            jnp.max(x, axis=0) - jnp.min(x),
            jnp.any(y > 2.0) & jnp.all(y > -5.0),
            jnp.max(whole) + jnp.sum(whole),
            shared[0],
            jnp.sort(y)[3],
            jax.lax.dot(big := (10000 * y).astype(jnp.int32), big, preferred_element_type=jnp.int64),
        )

    for size in (4, 16, 17, 131):
        lanes = [
            {"x": rng.standard_normal((size, 3)), "y": rng.standard_normal(size) + 4, "whole": rng.integers(0, 9, size)}
            for _ in range(6)
        ]
        found, sound = side_by_side(function, lanes)
        assert sound.all()
        for lane, data in enumerate(lanes):
            for one, expected in zip(found, function(jax.tree_util.tree_map(jnp.asarray, data)), strict=True):
                np.testing.assert_allclose(one[lane], np.asarray(expected), rtol=1e-12, atol=1e-12)


def counts(lanes: int, size: int) -> dict[str, np.ndarray]:
    """Return designs and counts."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal((lanes, size, 2))
    x[..., 0] = 1.0
    return {"x": x, "y": rng.poisson(np.exp(x @ [0.8, 0.4]))}


@native
@pytest.mark.smoke
@pytest.mark.filterwarnings("ignore::mle_jax.ConvergenceWarning")
def test_lanes_of_a_batch_begin_in_native_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model that can, does: with weights, offsets in common, whole numbers; and each gets its own answer."""
    monkeypatch.setattr(batch_engine, "WORTH", 0)
    apart: list[str] = []
    before = native_starts.begin_apart
    monkeypatch.setattr(
        native_lanes, "begin_apart", lambda model, *a, **k: apart.append(model.name) or before(model, *a, **k)
    )
    data = counts(70, 203)
    data["x"][3, :, 1] = 2.0 * data["x"][3, :, 0]  # collinear
    weights = np.random.default_rng(5).integers(0, 3, data["y"].shape).astype(float)
    poisson = mle.models.poisson_regression()
    offset = {"offset": np.linspace(0.0, 0.5, 203)}
    cases = (poisson, {}, None), (poisson, offset, weights), (mle.models.negative_binomial_regression(), {}, None)
    for model, more, own in cases:
        fits = mle.fit_batch(model, {**data, **more}, shared=tuple(more), weights=own)
        for lane in (0, 3, 40):
            one = {"x": data["x"][lane], "y": data["y"][lane], **more}
            fit = mle.fit(model, one, weights=None if own is None else own[lane])
            assert fits.status[lane] == fit.status
            np.testing.assert_allclose(fits.log_likelihood[lane], fit.log_likelihood, rtol=1e-11)
    assert not apart


@pytest.mark.parametrize("by_lane", [True, False])
def test_rows_without_weight_do_not_count_in_starts_whoever_has_them(by_lane: bool) -> None:
    """Rows of leaves in common are left out with those of the lanes."""
    data, rng = counts(32, 21), np.random.default_rng(8)
    data["offset"] = rng.normal(0.0, 3.0, 21)
    weights = rng.integers(0, 2, (32, 21) if by_lane else 21).astype(float)
    data["y"] = np.where(weights > 0, data["y"], -999.0)
    if not by_lane:
        data["offset"] = np.where(weights > 0, data["offset"], np.nan)
    model = mle.models.poisson_regression()
    axes = (False, True, True)  # in alphabetical order
    lane = {"x": data["x"][0], "y": data["y"][0], "offset": data["offset"]}
    place = coordinates(model_space(model, lane), {})
    run = lambda data, weights: native_starts.begin_side_by_side(model, place, data, weights, ({}, {}), axes=axes)  # noqa: E731
    alone = native_starts.begin_apart(model, place, data, weights, ({}, {}), axes=axes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native_starts, "only_in_one_kernel", lambda function, *inputs, **_: function(*inputs))
        found = jax.jit(run)(data, weights)
    np.testing.assert_allclose(found.T, alone, rtol=1e-9)


@native
@pytest.mark.smoke
def test_large_arrays_that_are_captured_do_not_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the start or by the density: they are constants of the program, which a kernel cannot read."""
    monkeypatch.setattr(batch_engine, "WORTH", 0)
    table = np.random.default_rng(9).normal(size=5000)
    for captured in (table, jnp.asarray(table)):
        data = {"y": np.random.default_rng(7).normal(size=(32, 5000))}

        def density(params: Any, row: Any) -> Any:
            return -jnp.sqrt(1 + ((row["y"] - params["m"]) / 3) ** 2)

        def reading(params: Any, row: Any, captured: Any = captured) -> Any:
            place = (jnp.asarray(captured)[0] > 0).astype(int)
            return density(params, row) * jax.lax.dynamic_slice(jnp.asarray(captured) ** 2 + 1, (place,), (1,))[0]

        start = lambda data, captured=captured: {"m": (captured * data["y"]).sum() / 5000}  # noqa: E731 - of two kinds
        for model in (mle.Model(density, {"m": mle.Real()}, start=start), mle.Model(reading, {"m": mle.Real()})):
            fits = mle.fit_batch(model, data)
            assert fits.converged.all()
            fit = mle.fit(model, {"y": data["y"][5]})
            np.testing.assert_allclose(fits.params["m"][5], fit.params["m"], atol=1e-8)


@native
@pytest.mark.smoke
def test_starts_that_a_native_loop_cannot_work_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A median takes sorting; a start that looks at nothing, or at one leaf only, is no trouble."""
    monkeypatch.setattr(batch_engine, "WORTH", 0)

    def density(params: Any, row: Any) -> Any:
        return -jnp.log(jnp.cosh(row["y"] - params["m"])) + 0 * row["z"]

    rng = np.random.default_rng(6)
    data = {"y": rng.standard_normal((64, 21)) + 5, "z": np.ones((64, 21))}
    starts = {
        "median": lambda data: {"m": jnp.median(data["y"])},
        "mean": lambda data: {"m": jnp.mean(data["y"])},
        "fixed": lambda data: {"m": 4.0},
        "not finite": lambda data: {"m": jnp.log(-data["y"][0])},
        "none": None,
    }
    found = [
        mle.fit_batch(mle.Model(density, {"m": mle.Real()}, start=start, name=name), data)
        for name, start in starts.items()
    ]
    given = mle.fit_batch(mle.Model(density, {"m": mle.Real()}), data, start={"m": data["y"].mean(axis=1)})
    for fits in (*found, given):
        assert fits.converged.all()
        np.testing.assert_allclose(fits.params["m"], found[0].params["m"], rtol=1e-9)
    assert (given.steps == found[1].steps).all()


@native
@pytest.mark.smoke
def test_a_density_of_operations_one_by_one_begins_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where so many lanes are climbed together that a native loop would be too large for their starts."""
    monkeypatch.setattr(batch_engine, "WORTH", 0)
    monkeypatch.setattr(native_starts, "MOST", 2 * 32 * 203)

    def refuse(*_: Any, **__: Any) -> Any:
        raise NotOneKernelError("for a test")

    monkeypatch.setattr(native_lanes, "only_in_one_kernel", refuse)
    model = mle.models.poisson_regression()
    data = counts(1024, 203)
    fits = mle.fit_batch(model, data)
    assert fits.converged.all()
    fit = mle.fit(model, {name: leaf[9] for name, leaf in data.items()})
    np.testing.assert_allclose(fits.params["w"][9], fit.params["w"], rtol=1e-8)


@native
@pytest.mark.smoke
@pytest.mark.parametrize("rows", [2047, 5003])
def test_starts_that_work_on_all_of_many_rows(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a megabyte and more in one operation, which the compiler would share among threads; no whole blocks."""
    monkeypatch.setattr(batch_engine, "WORTH", 0)
    y = np.random.default_rng(8).poisson(3.0, (40, rows)).astype(float)

    def density(params: Any, row: Any) -> Any:
        return row["y"] * jnp.log(params["mu"]) - params["mu"]

    starts = {
        "twice": lambda data: {"mu": jnp.mean(jnp.concatenate([data["y"], data["y"]]))},
        "by number": lambda data: {"mu": 3 + 1e-9 * jnp.sum(data["y"] * jnp.arange(rows))},
        "every other": lambda data: {"mu": jnp.mean(jnp.where(jnp.arange(rows) % 2 == 0, data["y"], 3.0))},
    }
    for name, start in starts.items():
        fits = mle.fit_batch(mle.Model(density, {"mu": mle.Positive()}, start=start, name=name), {"y": y})
        assert fits.converged.all()
        # The mean; sums of some thousand numbers, and a last step of Newton's method in log(mu).
        np.testing.assert_allclose(fits.params["mu"], y.mean(axis=1), rtol=1e-12)


def test_negative_binomial_starts_are_finite_where_means_overflow() -> None:
    """One row, or all of them, with an offset of 1000: the product of dispersion and mean must not overflow."""
    rng = np.random.default_rng(0)
    x = np.stack([np.ones(40), rng.standard_normal(40)], axis=1)
    y = rng.poisson(3.0, 40).astype(float)
    model = mle.models.negative_binomial_regression()
    for design, offset in ((x, np.where(np.arange(40) == 5, 1000.0, 0.0)), (x[:, 1:], np.full(40, 1000.0))):
        data = {"x": design, "y": y, "offset": offset}
        assert np.isfinite(model.log_likelihood(model.start(data), data))


@native
@pytest.mark.smoke
def test_lanes_without_a_maximum_are_not_certified_however_far_out_they_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of one column have no counts; so far out, all that is left of its score is rounding."""
    monkeypatch.setattr(batch_engine, "WORTH", 0)
    rng = np.random.default_rng(0)
    x, y = np.zeros((33, 40, 3)), np.zeros((33, 40))
    x[:, 10:, 0], x[:, :10, 2] = 1.0, 1.0
    x[:, 10:, 1] = 2 + 0.3 * rng.standard_normal((33, 30))
    y[:, 10:] = rng.poisson(3, (33, 30))

    def log_density(params: Any, row: Any) -> Any:
        eta = row["x"] @ params["w"]
        return row["y"] * eta - jnp.exp(eta)

    usual = {"x": x[:, 10:, :2], "y": y[:, 10:]}
    top = mle.fit_batch(mle.Model(log_density, {"w": mle.Real(2)}), usual).params["w"]
    model = mle.Model(log_density, {"w": mle.Real(3)})
    for out in (-60.0, -80.0, -100.0):
        start = {"w": np.concatenate([top, np.full((33, 1), out)], axis=1)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mle.ConvergenceWarning)
            fits = mle.fit_batch(model, {"x": x, "y": y}, start=start)
        assert not np.asarray(fits.converged).any()

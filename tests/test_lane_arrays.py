"""Leaves of a batch that are not copied: watched arrays, groups filled up where they are read, rooms used again."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mle_jax as mle
from mle_jax.data import lane_arrays
from mle_jax.data.lane_arrays import Beside, Padded, Room, Watched, in_place, read_flat, read_lanes
from mle_jax.fitting import batch_engine, streams
from mle_jax.results import group_runs

RNG = np.random.default_rng(8)
MODEL = mle.models.gaussian()


@pytest.fixture
def all_large(monkeypatch):
    monkeypatch.setattr(lane_arrays, "LARGE_BATCH", 1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int16, np.uint8, ">f8"])
def test_watched_arrays_give_the_same_fits_as_copies(dtype, monkeypatch):
    y = RNG.normal(50, 9, (40, 30)).astype(dtype)
    copied = mle.fit_batch(MODEL, {"y": y})
    monkeypatch.setattr(lane_arrays, "LARGE_BATCH", 1)
    monkeypatch.setattr(streams, "LEAST_PIECE", 3)  # several pieces in the same room
    monkeypatch.setattr(streams, "PIECE_BYTES", 3000)
    watched = mle.fit_batch(MODEL, {"y": y})
    assert isinstance(watched._record.data["y"], Watched) and watched._record.data["y"].array is y
    np.testing.assert_array_equal(watched.params["mu"], copied.params["mu"])
    np.testing.assert_array_equal(watched.covariance(), copied.covariance())
    # Sums of 30 numbers, in another order at most.
    np.testing.assert_allclose(watched.covariance("sandwich"), copied.covariance("sandwich"), rtol=1e-12)
    one = watched[7]
    np.testing.assert_allclose(one.covariance("sandwich"), copied.covariance("sandwich")[7], rtol=1e-9)
    assert one.params["mu"] == copied[7].params["mu"]


def test_a_change_is_told_where_it_matters_and_only_there(all_large):
    y = RNG.normal(0, 1, (20, 30))
    fits = mle.fit_batch(MODEL, {"y": y})
    before = fits[3]
    expected = before.covariance("sandwich")
    y[3, 4:6] = y[3, [5, 4]]  # an exchange, which leaves the sum as it is
    assert fits[2].converged and len(fits.standard_errors()["mu"]) == 20
    np.testing.assert_array_equal(before.covariance("sandwich"), expected)  # a single fit has its own copy
    told = r"data leaf 'y' is not what it was when the batch was fitted: dataset 3 has changed; .* pass a copy"
    for look in (lambda: fits[3], lambda: fits.covariance("sandwich"), lambda: fits.refit(np.arange(20) == 3)):
        with pytest.raises(ValueError, match=told):
            look()
    y[3, 4:6] = y[3, [5, 4]]
    assert fits[3].params["mu"] == before.params["mu"]


def test_what_is_small_or_cannot_be_watched_is_copied(monkeypatch):
    y = RNG.normal(0, 1, (20, 30))
    fits = mle.fit_batch(MODEL, {"y": y})
    before = fits.params["mu"][3]
    y[3] = 7.0
    assert fits[3].params["mu"] == before
    monkeypatch.setattr(lane_arrays, "LARGE_BATCH", 1)
    locked = y.copy()
    locked.flags.writeable = False
    for given in (y[:, ::2], np.asfortranarray(y), y.astype(np.longdouble), locked, y.tolist(), np.ma.array(y)):
        assert in_place("y", given, resident=()) is None
    assert in_place("y", jnp.asarray(y, jnp.bfloat16), resident=()) is None
    assert in_place("x.a", y, resident=("x",)) is None and in_place("x", y, resident=("x",)) is None


def test_arrays_of_jax_are_read_where_they_are(monkeypatch):
    y = RNG.normal(50, 9, (40, 30))
    copied = mle.fit_batch(MODEL, {"y": y.astype(np.float32)})
    monkeypatch.setattr(lane_arrays, "LARGE_BATCH", 1)
    given = jnp.asarray(y, jnp.float32)
    fits = mle.fit_batch(MODEL, {"y": given})
    watched = fits._record.data["y"]
    assert isinstance(watched, Watched) and np.shares_memory(watched.array, np.asarray(given))
    del given
    np.testing.assert_array_equal(fits.params["mu"], copied.params["mu"])
    assert fits[3].params["mu"] == copied[3].params["mu"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32, np.int16, np.int8])
@pytest.mark.parametrize("rows", [1, 9, 10])  # 64 bits hold some of them, or all bits are of one
def test_changes_of_sign_and_exchanges_of_round_numbers_are_noticed(dtype, rows):
    y = (np.repeat([0.0, 1.0, 2.0, -3.0], rows)[None] + np.zeros((200, 1))).astype(dtype)
    before = lane_arrays._marks(y)
    exchanged = np.random.default_rng(0).permuted(y, axis=1)
    other = np.any(exchanged != y, axis=1)
    for changed in (-y, 2 * y):
        assert np.all(lane_arrays._marks(changed) != before)
    assert np.all((lane_arrays._marks(exchanged) != before) == other) and np.sum(other) > 100


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_two_signs_and_two_numbers_exchanged_are_noticed(dtype):
    """Of the signs only two change, in every possible pair: whatever is added for one must not be taken away again."""
    y = RNG.permutation(np.arange(1, 25)).astype(dtype)
    pairs = np.array([(i, j) for i in range(24) for j in range(i)])
    lanes = np.arange(len(pairs))[:, None]
    flipped = np.tile(y, (len(pairs), 1))
    flipped[lanes, pairs] *= -1
    exchanged = np.tile(y, (len(pairs), 1))
    exchanged[lanes, pairs] = exchanged[lanes, pairs[:, ::-1]]
    for changed in (flipped, exchanged):
        assert np.all(lane_arrays._marks(changed) != lane_arrays._marks(y[None]))


def test_lanes_of_any_order_are_laid_out_in_the_room():
    room = Room()
    array = RNG.normal(0, 1, (50, 7))
    for lanes in (np.arange(10), np.array([3, 3, 1]), np.arange(20, 50), np.array([49])):
        for leaf in (array, array.astype(np.float32), array.astype(np.int32), array > 0, array[:, ::2]):
            found = read_lanes(leaf, lanes, room, 0)
            assert found.dtype in (np.float64, np.int64, bool) and found.ctypes.data % 64 == 0
            np.testing.assert_array_equal(found, leaf[lanes])


def test_lanes_as_a_row_of_numbers_need_no_room_but_at_the_ends():
    """An array of a user begins anywhere; all of it is read, and nothing beside it."""
    memory = np.full(8 + 50 * 7, np.nan)
    for shift in range(8):
        array = memory[shift : shift + 350].reshape(50, 7)
        array[...] = RNG.normal(0, 1, (50, 7))
        seen = 0
        for lanes in (np.arange(50), np.arange(10), np.arange(20, 40), np.array([49]), np.array([3, 3, 1])):
            for leaf in (array, Watched("y", array, lane_arrays._marks(array)), array.astype(np.float32), array > 0):
                flat, first, columns = read_flat(leaf, lanes, Room(), 0)
                source = leaf.array if isinstance(leaf, Watched) else leaf
                size = lanes.size * 7
                np.testing.assert_array_equal(flat[first : first + size].reshape(-1, 7), source[lanes])
                assert flat.ctypes.data % 64 == 0 and len(flat) == size + 64 // flat.itemsize and columns == 0
                seen += np.shares_memory(flat, memory)
        # The ten lanes in front begin before the array does, unless it happens to be aligned.
        assert seen == (4 if array.ctypes.data % 64 == 0 else 2)


def sixty_groups(largest, scattered):
    sizes = RNG.integers(0, largest + 1, 60)
    order = RNG.permutation(sizes.sum()) if scattered else np.arange(sizes.sum())
    return sizes, np.cumsum(sizes) - sizes, order


@pytest.mark.parametrize("largest", [4, 200])  # gathered together, and one by one
@pytest.mark.parametrize("scattered", [False, True])
def test_groups_as_a_row_of_numbers_leave_what_is_filled_in_as_it_was(largest, scattered):
    sizes, starts, order = sixty_groups(largest, scattered)
    columns = RNG.integers(0, 9, (3, sizes.sum())).astype(float)
    room, lanes = Room(), RNG.integers(0, 60, 25)
    for rows in (columns[0], columns.T.copy(), Beside(tuple(columns)), Beside((columns[0], columns[1] > 3))):
        leaf = Padded(rows, order, starts, sizes, largest)
        size, apart = 25 * leaf.size // 60, len(rows.columns) if isinstance(rows, Beside) else 0
        room.of(0, (size + 64,), np.dtype(float))[...] = -7
        flat, first, count = read_flat(leaf, lanes, room, 0)
        assert count == apart
        shape = (count, 25, largest) if count else (25, *leaf.shape[1:])
        found = flat[first : first + size].reshape(shape)
        for number, lane in enumerate(lanes):
            have = found[:, number].T if count else found[number]
            np.testing.assert_array_equal(have[: sizes[lane]], leaf[int(lane)][: sizes[lane]])
            assert (have[sizes[lane] :] == -7).all()


@pytest.mark.parametrize("largest", [4, 200])  # gathered together, and one by one
@pytest.mark.parametrize("scattered", [False, True])
def test_groups_are_filled_up_by_zeros_of_weight_zero(largest, scattered):
    sizes, starts, order = sixty_groups(largest, scattered)
    columns = RNG.normal(0, 1, (3, sizes.sum()))
    room = Room()
    for rows in (columns[0], columns.T.copy(), Beside(tuple(columns)), columns[1] > 0, None):
        leaf = Padded(rows, order, starts, sizes, largest)
        read_lanes(Padded(rows, order, starts, np.full(60, 0), largest), np.arange(60), room, 0)[...] = 1
        lanes = RNG.integers(0, 60, 25)
        found = read_lanes(leaf, lanes, room, 0)
        assert leaf.shape == (60, *found.shape[1:]) and leaf.dtype == found.dtype
        np.testing.assert_array_equal(leaf[lanes], found)
        for lane, have in zip(lanes, found, strict=True):
            at = order[starts[lane] : starts[lane] + sizes[lane]]
            expected = np.ones(len(at)) if rows is None else rows[at]
            np.testing.assert_array_equal(have[: len(at)], expected)
            assert not have[len(at) :].any()
            np.testing.assert_array_equal(leaf[int(lane)], have)


@pytest.mark.parametrize("kind", ["pandas", "pandas, nullable", "polars", "arrow"])
def test_groups_do_not_change_with_the_table(kind):
    """Whatever the table makes of the memory of NumPy's that it was made from."""
    numbers, keys = RNG.normal(0, 1, 60), np.repeat([1, 2], 30)
    weights = np.ones(60)
    table = {
        "pandas": lambda: pd.DataFrame({"g": keys, "y": numbers, "w": weights}, copy=False),
        "pandas, nullable": lambda: pd.DataFrame(
            {"g": keys, "y": pd.arrays.FloatingArray(numbers, np.zeros(60, bool)), "w": weights}, copy=False
        ),
        "polars": lambda: pl.DataFrame({"g": keys, "y": numbers, "w": weights}),
        "arrow": lambda: pa.table({"g": keys, "y": pa.array(numbers), "w": pa.array(weights)}),
    }[kind]()
    fits = mle.fit_groups(MODEL, table, by="g", weights="w")
    before = fits[1].covariance("sandwich")
    numbers[30:] *= 5.0
    weights[30:] = 0.0
    np.testing.assert_array_equal(fits[1].covariance("sandwich"), before)


@pytest.mark.parametrize("kind", [">i8", ">i2", ">f4"])
def test_keys_of_another_byte_order(kind):
    table = pd.DataFrame({"g": np.repeat([1, 2], 30).astype(kind), "y": RNG.normal(0, 1, 60)})
    fits = mle.fit_groups(MODEL, table, by="g")
    np.testing.assert_array_equal(
        fits.params["mu"], mle.fit_groups(MODEL, table.astype({"g": int}), by="g").params["mu"]
    )
    assert fits.to_pandas()["g"].tolist() == [1, 2]


def test_chunks_of_groups_are_fitted_alike_one_by_one_and_together(monkeypatch):
    monkeypatch.setattr(group_runs, "CHUNK_ROWS", 200)
    sizes = np.random.default_rng(4).integers(3, 40, 60)
    table = pd.DataFrame({"g": np.repeat(np.arange(60), sizes), "y": RNG.normal(0, 1, sizes.sum())})
    together, apart = (mle.fit_groups(MODEL, table, by="g", progress=shown) for shown in (False, True))
    # Blocks of other lanes are summed in another order.
    np.testing.assert_allclose(together.params["mu"], apart.params["mu"], rtol=1e-9, atol=1e-12)
    for kind in ("observed", "sandwich"):
        np.testing.assert_allclose(together.covariance(kind), apart.covariance(kind), rtol=1e-9)


def test_a_parameter_broadcast_along_an_axis_of_one_goes_through_native_loops(monkeypatch):
    monkeypatch.setattr(batch_engine, "WORTH", 0)
    z = RNG.normal(1, 1, (64, 20, 2, 3))
    model = mle.Model(lambda p, row: -0.5 * ((row["z"] - p["m"][:, None]) ** 2).sum(), {"m": mle.Real(shape=(2,))})
    np.testing.assert_allclose(mle.fit_batch(model, {"z": z}).params["m"], z.mean((1, 3)), rtol=1e-12)

"""`fit_groups`: every group is the fit of its rows alone, whatever the table, and a bad group harms no other."""

import datetime
import decimal
import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from grouped_tables import MEMORY, MODEL, SIZES, assert_closed_form, closed_form, ragged

import mle_jax as mle
from mle_jax import Status
from mle_jax.fitting import batch_engine
from mle_jax.likelihood.rows import row_layout, with_rows_in_turn

TABLE = ragged()
SMALL = TABLE[TABLE.groupby("person")["y"].transform("size") <= 8]  # of one bucket
COUNTS = TABLE.assign(one=1.0, z=np.cos(TABLE["y"]), count=1 + (TABLE["y"].abs() * 2).astype(int))
POISSON, COLUMNS = mle.models.poisson_regression(), {"y": "count", "x": ["one", "z"]}


def quietly(fit, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mle.ConvergenceWarning)
        return fit(*args, **options)


def lane_of(fits, key):
    return int(np.flatnonzero(fits.to_pandas()["person"] == key)[0])


@pytest.fixture(scope="module")
def fits():
    with pytest.warns(mle.ConvergenceWarning, match="gaussian: 3 of 60 groups were not certified"):
        return mle.fit_groups(MODEL, TABLE, by="person", memory=MEMORY)


def test_every_group_is_the_closed_form(fits):
    assert_closed_form(fits.to_pandas(), TABLE)
    assert fits.is_batch and len(fits) == 60 and fits.params["mu"].shape == (60,)
    assert fits.n_observations.tolist() == closed_form(TABLE)["n"].tolist()
    assert list(fits.to_pandas().columns) == [
        *("person", "mu", "variance", "se[mu]", "se[variance]", "log_likelihood", "status", "decrement", "steps")
    ]


def test_buckets_are_reported(fits):
    assert fits.buckets["height"].tolist() == [8, 30]
    assert fits.buckets["groups"].sum() == 60 and fits.buckets["rows"].sum() == SIZES.sum()
    waste = fits.buckets["evaluated"].sum() / SIZES.sum()
    assert waste <= 1.5 and f"{waste:.2f} rows were evaluated per row" in str(fits)


def test_native_loops_change_no_answer(monkeypatch):
    """They go through the groups in the order of their sizes, in fewer shapes, and skip what is filled in."""
    usual = quietly(mle.fit_groups, POISSON, COUNTS, by="person", columns=COLUMNS)
    monkeypatch.setattr(batch_engine, "WORTH", 1)
    found = quietly(mle.fit_groups, POISSON, COUNTS, by="person", columns=COLUMNS)
    assert len(found.buckets) <= len(usual.buckets)
    assert found.to_pandas()["person"].tolist() == usual.to_pandas()["person"].tolist()
    assert found.status.tolist() == usual.status.tolist() and found.converged.sum() > 40
    sure = usual.converged
    np.testing.assert_allclose(found.params["w"][sure], usual.params["w"][sure], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.standard_errors()["w"][sure], usual.standard_errors()["w"][sure], rtol=1e-8)
    np.testing.assert_allclose(
        found.standard_errors("sandwich")["w"][sure],
        usual.standard_errors("sandwich")["w"][sure],
        rtol=1e-8,
        atol=1e-12,  # of two rows that are fitted exactly
    )


def test_groups_smaller_than_the_model_are_reported_and_not_fatal(fits):
    failed = fits.failed()
    assert failed["person"].tolist() == closed_form(TABLE).query("n == 1").index.tolist()
    assert all("has 1 observation, fewer than the 2 parameters" in message for message in failed["message"])
    assert fits[int(failed["lane"][0])].status is Status.scale_collapsed


def assert_equal_their_fits(fits, size):
    """Hold groups of one size against `fit` on their rows alone."""
    assert fits.names == ("w[one]", "w[z]")
    for key in closed_form(TABLE).query("n == @size").index[:3]:
        rows, lane = COUNTS[COUNTS["person"] == key], lane_of(fits, key)
        alone, one = quietly(mle.fit, POISSON, rows, columns=COLUMNS), fits[lane]
        assert one.status is alone.status and one.names == alone.names
        assert one.n_observations == alone.n_observations == size
        assert alone.converged == (size > 1)
        if alone.converged:
            errors = alone.standard_errors()["w"]
            assert (np.abs(one.params["w"] - alone.params["w"]) <= 1e-8 * errors).all()
            # Standard errors at estimates that differ by 1e-8 of them differ by as little.
            np.testing.assert_allclose(fits.standard_errors()["w"][lane], errors, rtol=1e-7)
            np.testing.assert_allclose(fits.covariance("sandwich")[lane], alone.covariance("sandwich"), rtol=1e-6)
            np.testing.assert_allclose(one.covariance("sandwich"), alone.covariance("sandwich"), rtol=1e-6)


def test_groups_equal_the_fit_of_their_rows():
    some = COUNTS[COUNTS["person"].isin(closed_form(TABLE).query("n in (7, 8)").index)]
    assert_equal_their_fits(mle.fit_groups(POISSON, some, by="person", columns=COLUMNS), size=7)


@pytest.mark.slow
def test_groups_of_all_sizes_equal_the_fit_of_their_rows():
    fits = quietly(mle.fit_groups, POISSON, COUNTS, by="person", columns=COLUMNS)
    for size in (1, 30):
        assert_equal_their_fits(fits, size)


def test_every_kind_of_table_gives_the_same_numbers(fits):
    expected = fits.to_pandas()
    for table in (pl.from_pandas(TABLE), pa.Table.from_pandas(TABLE)):
        again = quietly(mle.fit_groups, MODEL, table, by="person", memory=MEMORY).to_pandas()
        pd.testing.assert_frame_equal(again, expected, check_exact=True)


def named_keys(kind):
    names = {
        "text": lambda i: f"p{i:03d}",
        "category": lambda i: f"p{i:03d}",
        "date": lambda i: datetime.date(2020, 1, 1) + datetime.timedelta(i),
        "decimal": lambda i: decimal.Decimal(i).scaleb(-2),
        "float": lambda i: i / 4,
    }
    column = TABLE["person"].map(names[kind])
    return column.astype("category") if kind == "category" else column


@pytest.mark.parametrize("kind", ["text", "category", "date", "decimal", "float"])
def test_keys_may_be_numbers_texts_dates(fits, kind):
    table = TABLE.assign(person=named_keys(kind))
    again = quietly(mle.fit_groups, MODEL, table, by="person", memory=MEMORY).to_pandas()
    # Named in the order of the numbers, the groups have the order of the numbers.
    assert [str(key)[:10] for key in again["person"]] == [f"{key}" for key in sorted(set(named_keys(kind)))]
    np.testing.assert_array_equal(again["mu"], fits.to_pandas()["mu"])


def test_several_columns_may_be_the_key(fits):
    table = TABLE.assign(firm=TABLE["person"] // 10, year=TABLE["person"] % 10).drop(columns="person")
    again = quietly(mle.fit_groups, MODEL, pl.from_pandas(table), by=["firm", "year"], memory=MEMORY * 1.5).to_pandas()
    assert list(again.columns[:3]) == ["firm", "year", "mu"]
    np.testing.assert_array_equal(again["firm"] * 10 + again["year"], fits.to_pandas()["person"])
    np.testing.assert_array_equal(again["mu"], fits.to_pandas()["mu"])


def test_missing_values_are_reported_or_left_out(fits):
    rng = np.random.default_rng(1)
    truth = closed_form(TABLE)
    first, second = truth.query("n == 30").index[:2]
    holes = TABLE["y"].where(~((TABLE["person"] == first) & (rng.random(len(TABLE)) < 0.5)))
    table = TABLE.assign(y=holes.where(TABLE["person"] != second))
    reported = quietly(mle.fit_groups, MODEL, table, by="person", memory=MEMORY)
    assert [Status(reported.status[lane_of(fits, key)]) for key in (first, second)] == [Status.non_finite] * 2
    dropped = quietly(mle.fit_groups, MODEL, table, by="person", missing="drop", memory=MEMORY)
    lane, empty = lane_of(dropped, first), lane_of(dropped, second)
    rest = table[(table["person"] == first)]["y"].dropna()
    np.testing.assert_allclose(dropped.params["mu"][lane], rest.mean(), rtol=1e-10)
    assert dropped.n_observations[lane] == len(rest) < 30 and dropped[lane].n_observations == len(rest)
    for fits_of in (reported, dropped):
        others = ~np.isin(truth.index, [first, second])
        np.testing.assert_array_equal(fits_of.params["mu"][others], fits.params["mu"][others])
    assert Status(dropped.status[empty]) is Status.not_identified and dropped.n_observations[empty] == 0
    assert "no row of positive weight" in dropped[empty].message and np.isnan(dropped.params["mu"][empty])
    assert np.isnan(dropped[empty].standard_errors()["mu"])


def test_weights_are_a_column():
    weight = np.arange(len(TABLE)) % 3
    fits = quietly(mle.fit_groups, MODEL, TABLE.assign(w=weight), by="person", weights="w", memory=MEMORY * 1.5)
    repeated = TABLE.loc[TABLE.index.repeat(weight)]  # frequencies: a row of weight 2 is two rows
    truth = closed_form(repeated)
    kept = np.isin(np.unique(TABLE["person"]), truth.index[truth["n"] > 1])
    np.testing.assert_allclose(fits.params["mu"][kept], truth.query("n > 1")["mu"], rtol=1e-10, atol=1e-10)
    assert fits.n_observations[kept].tolist() == truth.query("n > 1")["n"].tolist()


def test_new_values_of_the_same_sizes_do_not_compile_again_and_leaves_may_be_shared():
    traces = []

    def log_density(params, row):
        traces.append(1)
        return -0.5 * jnp.square(row["y"] - params["a"] * row["grid"][1])

    model = mle.Model(log_density, {"a": mle.Real()}, constants=("grid",))
    mle.fit_groups(model, SMALL, by="person", shared={"grid": np.ones(2)}).standard_errors()
    seen = len(traces)
    fits = mle.fit_groups(model, SMALL.assign(y=-SMALL["y"]), by="person", shared={"grid": np.array([1.0, 4.0])})
    errors = fits.standard_errors()
    assert len(traces) == seen
    truth = closed_form(SMALL)
    np.testing.assert_allclose(fits.params["a"], -truth["mu"] / 4, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(errors["a"], 1 / np.sqrt(16 * truth["n"]), rtol=1e-10)


def test_a_start_from_the_data_sees_all_rows_of_a_group_equally():
    y = np.array([np.nan, 1.0, np.nan, 5.0, np.nan, np.nan])
    seen = with_rows_in_turn(row_layout({"y": y}), jnp.isfinite(y) * 1.0).rows[0]
    assert sorted(seen.tolist()) == [1.0, 1.0, 1.0, 5.0, 5.0, 5.0] and seen[3] == 5.0


BAD = [
    ({"by": "persn"}, ValueError, "by names 'persn', but the table has no such column; did you mean 'person'"),
    ({"by": ["person", "person"]}, TypeError, "by is .* each once"),
    ({"by": 3}, TypeError, "by is 3, but it names the column"),
    ({"columns": {"y": "z"}}, ValueError, "leaf 'y' is to be column 'z', but the table has no such column"),
    ({"columns": ["y"]}, TypeError, "columns is a list, but it maps leaf names to column names"),
    ({"columns": {"x": "y"}}, KeyError, "reads 'y', which is not there"),
    ({"weights": np.ones(3)}, TypeError, "weights is a ndarray, but for groups it names a column"),
    ({"weights": "w"}, ValueError, "weights names 'w', but the table has no such column"),
    ({"start": {"nu": 0.0}}, ValueError, "start names 'nu', which is no parameter"),
    ({"start": {"mu": np.zeros(60)}}, ValueError, r"'mu' has shape \(60,\)"),
    ({"fixed": {"sd": 0.0}}, ValueError, "fixed names 'sd', which is no parameter"),
    ({"tolerance": 0}, ValueError, "tolerance is 0"),
    ({"missing": "raise"}, ValueError, "missing is 'raise', but for groups it must be 'report' or 'drop'"),
    ({"memory": "much"}, ValueError, "memory is 'much', but it must be a number of bytes"),
    ({"memory": 0}, ValueError, "memory is 0, but it must be a number of bytes above 0"),
    ({"client": 1}, TypeError, "client is a int, but it must be a dask.distributed Client"),
    ({"shared": {"y": 1.0}}, ValueError, "shared and the columns both give the leaf 'y'"),
    ({"optimizer": "newton"}, ValueError, "the only word allowed is 'auto'"),
]


@pytest.mark.parametrize(("options", "kind", "message"), BAD)
def test_bad_options(options, kind, message):
    with pytest.raises(kind, match=message):
        mle.fit_groups(MODEL, TABLE, **({"by": "person"} | options))


def test_bad_tables(tmp_path):
    holes = TABLE["person"].where(TABLE["person"] != 9)
    with pytest.raises(
        ValueError, match=r"column 'person', which tells the groups apart, is missing in \d+ of 821 rows"
    ):
        mle.fit_groups(MODEL, TABLE.assign(person=holes), by="person")
    with pytest.raises(ValueError, match="column 'w' gives 821 rows a weight that is missing, negative or infinite"):
        mle.fit_groups(MODEL, TABLE.assign(w=-1.0), by="person", weights="w")
    with pytest.raises(TypeError, match="column 'y' holds text, but leaf 'y' needs numbers"):
        mle.fit_groups(MODEL, TABLE.assign(y="a"), by="person")
    with pytest.raises(TypeError, match="by names 'k', but this column holds values of type list"):
        mle.fit_groups(MODEL, pa.table({"k": [[1], [2]], "y": [1.0, 2.0]}), by="k")
    with pytest.raises(ValueError, match="the table has 0 rows"):
        mle.fit_groups(MODEL, TABLE[:0], by="person")
    with pytest.raises(ValueError, match="no column is left to be data beside 'person' and 'y'"):
        mle.fit_groups(MODEL, TABLE, by=["person", "y"])
    with pytest.raises(ValueError, match="no group has a row of positive weight"):
        mle.fit_groups(MODEL, TABLE.assign(w=0.0), by="person", weights="w")
    with pytest.raises(TypeError, match="the table is a dict, but groups are read from"):
        mle.fit_groups(MODEL, {"y": [1.0]}, by="person")
    with pytest.raises(FileNotFoundError, match="there is no such Parquet file"):
        mle.fit_groups(MODEL, tmp_path / "none.parquet", by="person")
    joint = mle.Model.joint(lambda p, data: -jnp.sum((data["y"] - p["a"]) ** 2), {"a": mle.Real()}, name="sum")
    with pytest.raises(ValueError, match="needs independent rows, but sum is a joint likelihood"):
        mle.fit_groups(joint, TABLE, by="person")
    by_row = mle.Model(
        lambda p, row: -0.5 * (row["y"] - p["a"][0]) ** 2, lambda data: {"a": mle.Real(data["y"].shape[0])}
    )
    with pytest.raises(ValueError, match="has other parameters for 2 rows than for 1, but all groups need the same"):
        mle.fit_groups(by_row, TABLE, by="person")


def test_groups_are_indexed_like_lanes(fits):
    with pytest.raises(IndexError, match="lane 60 was asked for, but the batch has 60 datasets, 0 to 59"):
        fits[60]
    with pytest.raises(TypeError, match="indexed by one whole number"):
        fits["a"]
    assert fits[-1].params["mu"] == fits.params["mu"][59] and len(list(fits)) == 60

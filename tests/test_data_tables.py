"""Tables in: every kind of data frame gives the same arrays, and a column that is not numeric says what to do."""

import datetime
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mle_jax.data.tables import is_table, read_table

COLUMNS = {
    "food": [255.8, 310.9, 485.7],
    "income": [420, 541, 901],
    "urban": [True, False, True],
    "region": ["north", "south", "north"],
    "visits": [1, None, 3],
    "owner": [True, None, False],
    "share": [0.5, None, 0.25],
    "day": [datetime.datetime(1857, 1, 1)] * 3,
}


def pandas_frame(columns):
    nullable = {"visits": "Int64", "owner": "boolean", "share": "Float64"}
    return pd.DataFrame({name: pd.Series(values, dtype=nullable.get(name)) for name, values in columns.items()})


KINDS = {"pandas": pandas_frame, "polars": pl.DataFrame, "pyarrow": pa.table}


@pytest.fixture(params=KINDS)
def table(request):
    return KINDS[request.param](COLUMNS)


def test_string_gives_a_vector_and_list_a_named_matrix(table):
    data, names = read_table(table, {"y": "food", "x": ["income", "food"]})
    assert list(data) == ["y", "x"]
    np.testing.assert_array_equal(data["y"], [255.8, 310.9, 485.7])
    np.testing.assert_array_equal(data["x"], [[420, 255.8], [541, 310.9], [901, 485.7]])
    assert names == {"x": ("income", "food")}
    assert all(type(array) is np.ndarray for array in data.values())


def test_without_columns_each_column_is_a_leaf():
    data, names = read_table(pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}))
    assert list(data) == ["a", "b"]
    assert names == {}


def test_types_are_kept(table):
    data, _ = read_table(table, {name: name for name in ("food", "income", "urban")})
    assert [str(array.dtype) for array in data.values()] == ["float64", "int64", "bool"]
    assert data["urban"].tolist() == [True, False, True]


@pytest.mark.parametrize("kind", ["int8", "uint16", "float32", "uint64"])
def test_narrow_types_are_widened(kind):
    data, _ = read_table(pd.DataFrame({"a": np.array([1, 2], dtype=kind)}))
    assert data["a"].dtype == (np.float64 if kind.startswith("float") else np.int64)
    assert data["a"].tolist() == [1, 2]


def test_integers_beyond_int64_become_floats():
    data, _ = read_table(pd.DataFrame({"a": np.array([0, 2**64 - 2048], dtype=np.uint64)}))
    assert data["a"].dtype == np.float64
    assert data["a"].tolist() == [0.0, 2.0**64 - 2048]  # representable: 2048 is the spacing of floats there


@pytest.mark.parametrize(
    ("name", "expected"),
    [("visits", [1.0, np.nan, 3.0]), ("owner", [1.0, np.nan, 0.0]), ("share", [0.5, np.nan, 0.25])],
)
def test_missing_entries_become_nan(table, name, expected):
    data, _ = read_table(table, {"y": name})
    assert data["y"].dtype == np.float64
    np.testing.assert_array_equal(data["y"], expected)


@pytest.mark.parametrize(
    ("name", "kind", "remedy"),
    [("region", "text", "a column of 0 and 1 per category"), ("day", "dates or times", "days since the earliest")],
)
def test_columns_that_are_not_numeric_are_refused(table, name, kind, remedy):
    with pytest.raises(TypeError, match=f"column '{name}' holds {kind}, but leaf 'x' needs numbers; .*{remedy}"):
        read_table(table, {"y": "food", "x": ["income", name]})


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Series([True, None], dtype=object), "Python objects"),
        (pd.Series(["a", "b"], dtype="category"), "categories"),
        (pd.Series([1j, 2j]), "values of type Unknown"),
        (pd.to_timedelta([1, 2]).to_series(), "dates or times"),
    ],
)
def test_other_kinds_of_pandas_columns_are_refused(column, kind):
    with pytest.raises(TypeError, match=f"column 'a' holds {kind}, but leaf 'a' needs numbers; "):
        read_table(pd.DataFrame({"a": column}))


def test_missing_column_is_answered_with_the_nearest(table):
    with pytest.raises(ValueError, match=r"leaf 'y' is to be column 'fod', but .* no such column; did you mean 'food'"):
        read_table(table, {"y": "fod"})
    with pytest.raises(ValueError, match="choose among 'food', 'income'"):
        read_table(table, {"y": "zzz"})


def test_leaf_without_columns_is_refused(table):
    with pytest.raises(ValueError, match="columns names no column for leaf 'x'"):
        read_table(table, {"x": []})


def test_columns_must_map_leaves(table):
    with pytest.raises(TypeError, match="columns is a list, but it maps leaf names to column names"):
        read_table(table, ["food"])


def test_repeated_column_names_are_refused():
    with pytest.raises(ValueError, match="unique column names"):
        read_table(pd.DataFrame(np.ones((2, 2)), columns=["a", "a"]))


def test_columns_may_be_chosen_by_an_index_and_be_numbers():
    frame = pd.DataFrame(np.arange(6.0).reshape(2, 3))
    data, names = read_table(frame, {"y": 0, "x": frame.columns[1:]})
    assert data["y"].tolist() == [0.0, 3.0]
    assert names == {"x": ("1", "2")}
    assert list(read_table(frame)[0]) == ["0", "1", "2"]


def test_empty_table_gives_empty_leaves():
    data, _ = read_table(pd.DataFrame({"a": np.array([], dtype=np.int64)}))
    assert data["a"].shape == (0,)
    assert data["a"].dtype == np.int64


def test_lazy_frame_is_a_table_to_be_collected():
    lazy = pl.DataFrame({"a": [1.0]}).lazy()
    assert is_table(lazy)
    with pytest.raises(TypeError, match=r"polars LazyFrame, but .* rows in memory; .*table.collect\(\)"):
        read_table(lazy)


@pytest.mark.parametrize("value", [{"a": [1.0]}, np.ones(3), [1.0], None, pd.Series([1.0]), pl.Series([1.0])])
def test_what_is_no_table_is_said_so(value):
    assert not is_table(value)
    with pytest.raises(TypeError, match="but a table is a pandas, polars or pyarrow data frame"):
        read_table(value)


def test_tables_are_recognized(table):
    assert is_table(table)


class NotInstalled:
    """Stand in front of the import system as if narwhals were not there."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "narwhals":
            raise ModuleNotFoundError(f"No module named '{name}'", name="narwhals")


def test_missing_narwhals_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "narwhals"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NotInstalled(), *sys.meta_path])
    with pytest.raises(ImportError, match=r"reading a pandas DataFrame needs narwhals: pip install 'mle-jax\[data\]'"):
        read_table(pd.DataFrame({"a": [1.0]}))


def test_asking_whether_something_is_a_table_imports_nothing():
    code = (
        "import sys; from mle_jax.data.tables import is_table; assert not is_table({'a': 1});"
        "sys.exit('narwhals' in sys.modules or 'pandas' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr

"""Read tables (pandas, polars, pyarrow and whatever else narwhals knows) into dicts of NumPy arrays."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mle_jax._optional import optional
from mle_jax._text import listing

Columns = Mapping[str, str | Iterable[str]]
"""Leaf name to column name (a vector) or to several column names (a matrix)."""


def is_table(value: Any) -> bool:
    """Say whether a value looks like a table, importing nothing.

    Data frames are told by the protocols that they export; dicts, arrays and single columns export none of them.
    """
    kind = type(value)
    # A data frame has columns and hands out its rows; a lazy one (polars) knows only their schema.
    return hasattr(kind, "columns") and (hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "collect_schema"))


def read_table(
    table: Any, columns: Columns | None = None, *, beside: Callable[[list[np.ndarray]], Any] | None = None
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Turn a table into data: a dict of NumPy arrays with a common first axis.

    Floats become float64, integers int64, booleans stay booleans. Missing entries become NaN, which makes a column of
    integers or booleans a column of floats.

    Args:
        table: a data frame with n rows: pandas, polars, pyarrow.
        columns: for each leaf one column name, giving shape (n,), or p names, giving shape (n, p).
            Without it each column is a leaf of its own name.
        beside: what makes one leaf of several columns; by default a matrix in memory.

    Returns:
        The data, and for each leaf that is a matrix the names of its columns.

    Raises:
        TypeError: if the table is no data frame in memory, or a column does not hold numbers.
        ValueError: if a column is missing from the table, or a leaf is given no columns.
        ImportError: if narwhals is not installed.

    Example:
        >>> import pandas as pd
        >>> households = pd.DataFrame({"food": [255.8, 310.9], "income": [420.2, 541.4], "size": [2, 5]})
        >>> data, names = read_table(households, {"y": "food", "x": ["income", "size"]})
        >>> {leaf: array.shape for leaf, array in data.items()}, names
        ({'y': (2,), 'x': (2, 2)}, {'x': ('income', 'size')})
    """
    frame = _frame(table)
    if columns is not None and not isinstance(columns, Mapping):
        raise TypeError(
            f"columns is a {type(columns).__name__}, but it maps leaf names to column names; "
            "pass columns={'y': 'food', 'x': ['income', 'size']}, say"
        )
    chosen: Columns = {str(name): name for name in frame.columns} if columns is None else columns
    data: dict[str, Any] = {}
    names: dict[str, tuple[str, ...]] = {}
    for leaf, choice in chosen.items():
        if isinstance(choice, str) or not isinstance(choice, Iterable):
            data[leaf] = _column(frame, choice, leaf)
            continue
        parts = {str(name): _column(frame, name, leaf) for name in choice}
        if not parts:
            raise ValueError(f"columns names no column for leaf '{leaf}', but a leaf needs at least one; name it")
        data[leaf] = (partial(np.stack, axis=1) if beside is None else beside)(list(parts.values()))
        names[leaf] = tuple(parts)
    return data, names


def _frame(table: Any) -> Any:
    """Wrap the table by narwhals, which reads every kind of data frame the same way."""
    kind = f"{type(table).__module__.partition('.')[0]} {type(table).__name__}"
    if not is_table(table):
        raise TypeError(
            f"the table is a {kind}, but a table is a pandas, polars or pyarrow data frame; "
            "pass one, or a dict of arrays without columns="
        )
    narwhals = _narwhals(f"reading a {kind}")
    try:
        return narwhals.from_native(table, eager_only=True)
    except TypeError:
        raise TypeError(
            f"the table is a {kind}, but a table is a pandas, polars or pyarrow data frame with its rows in memory; "
            "convert it first (a lazy frame by table.collect())"
        ) from None


def _column(frame: Any, name: str, leaf: str) -> np.ndarray:
    """Read one column as float64, int64 or bool."""
    if name not in frame.columns:
        known = [str(column) for column in frame.columns]
        hint = column_hint(str(name), known)
        raise ValueError(f"leaf '{leaf}' is to be column '{name}', but the table has no such column; {hint}")
    series = frame.get_column(name)  # frame[0] would be a row
    narwhals = _narwhals("reading a table")
    boolean = series.dtype == narwhals.Boolean
    if not (series.dtype.is_numeric() or boolean):
        kind, remedy = _refusal(str(type(series.dtype).__name__), name)
        raise TypeError(f"column '{name}' holds {kind}, but leaf '{leaf}' needs numbers; {remedy}")
    if not series.is_null().any():
        values = series.to_numpy()
        if boolean:
            return np.asarray(values, dtype=np.bool_)
        if series.dtype.is_integer() and (len(values) == 0 or values.max() <= np.iinfo(np.int64).max):
            return np.asarray(values, dtype=np.int64)
    return np.asarray(series.cast(narwhals.Float64).to_numpy(), dtype=np.float64)


def column_hint(name: str, known: Sequence[str]) -> str:
    """Say what a column that is not there may have been meant to be."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"choose among {listing(known)}"


def _refusal(dtype: str, name: str) -> tuple[str, str]:
    """Say in plain words what a column holds that is not numeric, and what to do about it."""
    if dtype in ("String", "Categorical", "Enum"):
        remedy = "encode it first (a column of 0 and 1 per category), or use columns= to name the numeric columns only"
        return ("text" if dtype == "String" else "categories"), remedy
    if dtype in ("Date", "Datetime", "Duration", "Time"):
        return "dates or times", "turn it into a number first, such as the days since the earliest"
    if dtype == "Object":
        return "Python objects", f"convert it first, with table['{name}'].astype(float), say"
    return f"values of type {dtype}", "turn it into a column of floats first, or use columns= to leave it out"


def _narwhals(purpose: str) -> Any:
    return optional("narwhals.stable.v2", "data", purpose)

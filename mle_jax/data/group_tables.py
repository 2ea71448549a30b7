"""What `fit_groups` is given: a table in memory, or Parquet files that may be larger than memory."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._optional import optional
from mle_jax.data.groups import PURPOSE, GroupColumns
from mle_jax.data.tables import is_table, read_table

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 2**16
"""Rows that are read at a time."""
SMALLEST_NUMBER = 4
"""Bytes of a number of pandas that arrow takes as it is."""
HASHED_ROWS = 2**20
"""Rows that are handed to the hash at a time."""


def open_table(table: Any) -> Any:
    """Return an arrow dataset of Parquet files, or the data frame itself.

    Args:
        table: a pandas, polars or pyarrow data frame; a pyarrow dataset; the path of a Parquet file or of a folder of
            them, or several paths.

    Raises:
        FileNotFoundError: there is no such file, or the folder holds none.
        ValueError: a file cannot be read as Parquet.
        TypeError: it is none of these.
    """
    paths = [table] if isinstance(table, str | Path) else table
    if isinstance(paths, Sequence) and paths and all(isinstance(path, str | Path) for path in paths):
        return _dataset([Path(path) for path in paths])
    if is_dataset(table) or is_table(table):
        return table
    raise TypeError(
        f"the table is a {type(table).__name__}, but groups are read from a pandas, polars or pyarrow data frame, from "
        "a pyarrow dataset, or from the path of a Parquet file or of a folder of them; pass one of these"
    )


def is_dataset(table: Any) -> bool:
    """Say whether this is a dataset of pyarrow, importing nothing."""
    return hasattr(type(table), "scanner") and hasattr(type(table), "count_rows")


def _dataset(paths: list[Path]) -> Any:
    arrow, datasets = (optional(name, "data", PURPOSE) for name in ("pyarrow", "pyarrow.dataset"))
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.parquet")) or sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not found or not found[0].exists():
            raise FileNotFoundError(
                f"the table is '{path}', but there is no such Parquet file, nor a folder that holds one"
            )
        files += found
    base = str(paths[0]) if len(paths) == 1 and paths[0].is_dir() else None
    try:
        # Folders called year=2024 give a column "year".
        return datasets.dataset(
            [str(file) for file in files], format="parquet", partitioning="hive", partition_base_dir=base
        )
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(
            f"'{paths[0]}' cannot be read as Parquet ({error}); read other files into a table first, with "
            "pandas.read_csv, say"
        ) from error


def known_columns(source: Any) -> list[str]:
    """Return the names of the columns."""
    if is_dataset(source):
        return list(source.schema.names)
    return [str(name) for name in _frame(source).columns]


def check_numbers(source: Any, chosen: GroupColumns) -> None:
    """Raise where a column of data is not there or does not hold numbers, before any row is read.

    Raises:
        TypeError, ValueError: with the names of column and leaf.
    """
    none = source.schema.empty_table() if is_dataset(source) else _frame(source).head(0).to_native()
    read_table(none, chosen.columns)
    if chosen.weights is not None:
        read_table(none, {"weights": chosen.weights})


def first_row(source: Any, chosen: GroupColumns) -> dict[str, np.ndarray]:
    """Return the leaves of the first row, which tell their shapes.

    Raises:
        ValueError: there is none.
    """
    first = careful_scanner(source, chosen.needed).head(1) if is_dataset(source) else _frame(source).head(1).to_native()
    if not len(first):
        raise ValueError("the table has 0 rows; pass at least one observation")
    return read_table(first, chosen.columns)[0]


def careful_scanner(dataset: Any, columns: list[str]) -> Any:
    """Return a scanner that reads next to nothing ahead: by default it holds row groups of several files."""
    datasets = optional("pyarrow.dataset", "data", PURPOSE)
    options: dict[str, Any] = {}
    if isinstance(getattr(dataset, "format", None), datasets.ParquetFileFormat):
        options["fragment_scan_options"] = datasets.ParquetFragmentScanOptions(
            use_buffered_stream=True, pre_buffer=False
        )
    return dataset.scanner(
        columns=columns, batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1, use_threads=False, **options
    )


def load(source: Any, chosen: GroupColumns) -> "pa.Table":
    """Read the columns that are needed into an arrow table."""
    if is_dataset(source):
        return source.to_table(columns=chosen.needed)
    arrow = optional("pyarrow", "data", PURPOSE)
    frame = _frame(source)
    return arrow.table({name: _to_arrow(frame.get_column(name)) for name in chosen.needed})


def _to_arrow(series: Any) -> Any:
    """Return a column as arrow has it, which may be the memory of the table."""
    dtype = getattr(series.to_native(), "dtype", None)
    if (
        isinstance(dtype, np.dtype)
        and dtype.kind in "fiu"
        and (dtype.itemsize >= SMALLEST_NUMBER or not dtype.isnative)
    ):
        # NaN stays what it is: it means missing anyway, and to look for it takes time. Arrow knows one byte order.
        numbers = series.to_numpy().astype(dtype.newbyteorder("="), copy=False)
        return optional("pyarrow", "data", PURPOSE).array(numbers, from_pandas=False)
    return series.to_arrow()


def _frame(source: Any) -> Any:
    narwhals = optional("narwhals.stable.v2", "data", PURPOSE)
    try:
        return narwhals.from_native(source, eager_only=True)
    except TypeError:
        raise TypeError(
            f"the table is a {type(source).__name__}, but its rows must be in memory or in Parquet files; convert it "
            "first (a lazy frame by table.collect())"
        ) from None


def fingerprint(source: Any, table: "pa.Table | None", chosen: GroupColumns) -> str:
    """Return a text that changes when the rows do: of files their names, sizes and times, of a table its content."""
    digest = hashlib.blake2b(digest_size=16)
    if table is None or hasattr(source, "files"):
        files = source.filesystem.get_file_info(source.files) if hasattr(source, "files") else []
        facts = [(file.base_name, file.size, file.mtime_ns) for file in files]
        digest.update(repr((facts or source.count_rows(), str(source.schema.remove_metadata()))).encode())
        return digest.hexdigest()
    digest.update(str(table.schema.remove_metadata()).encode())
    for batch in table.select(chosen.needed).combine_chunks().to_batches(max_chunksize=HASHED_ROWS):
        digest.update(batch.serialize())
    return digest.hexdigest()

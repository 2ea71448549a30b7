"""Read CSV and Parquet files, and say in which line of the file something is wrong."""

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mle_jax._optional import optional
from mle_jax._text import listing

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATORS = (",", ";", "\t", "|")
"""What may stand between the columns of a CSV file, the likeliest first."""

_PARQUET = b"PAR1"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive, such as an Excel workbook; save the sheet as CSV",
    b"\x1f\x8b": "compressed by gzip; unpack it first",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}
_SNIFFED = 4096
_TEXTS = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")


class DataFile(NamedTuple):
    """A table that was read from a file, and what it takes to find its rows there."""

    path: Path
    table: "pa.Table"
    text: bytes | None  # a CSV file as it was read, to find lines in; None for Parquet
    separator: str

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order; a file may use one twice."""
        return list(self.table.schema.names)

    @property
    def n_rows(self) -> int:
        """The number of rows, the header not counted."""
        return int(self.table.num_rows)

    def place(self, row: int) -> str:
        """Say where row 0, 1, ... stands: ``line 3`` of a CSV file, or ``row 2``, counted from 1."""
        if self.text is not None:
            for position, (line, _) in enumerate(_records(self.text, self.separator)):
                if position == row + 1:  # the header is the first
                    return f"line {line}"
        return f"row {row + 1}"

    def numbers(self, name: str) -> np.ma.MaskedArray:
        """Return a column as float64, int64 or bool, shape (n,), with its missing entries (also NaN) masked.

        Raises:
            ValueError: there is no such column, or more than one.
            TypeError: an entry is not a number; the message says which.
        """
        count = self.names.count(name)
        if count != 1:
            raise ValueError(
                f"{self.path.name} has {count} columns called '{name}'; rename all but one"
                if count
                else f"{self.path.name} has no column '{name}'; its columns are {listing(self.names)}"
            )
        column = self.table.column(name)
        types: Any = optional("pyarrow.types", "data", "reading a file")
        if types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if str(column.type) in _TEXTS:
            return self._parsed(name, column.to_pylist())
        return _typed(name, column, types)

    def _parsed(self, name: str, entries: list[Any]) -> np.ma.MaskedArray:
        """Read text entry by entry, up to the first that is no number."""
        values = np.full(len(entries), np.nan)
        missing_words = _missing_words()
        for row, entry in enumerate(entries):
            text = entry.decode(errors="replace") if isinstance(entry, bytes) else entry
            if text is None or text.strip() in missing_words:
                continue
            number = _number(text)
            if number is None:
                european = re.fullmatch(r"\s*[-+]?\d[\d.,' \u00a0\u202f]*\s*", text)
                remedy = "correct it, or code categories as 0 and 1"
                if european:
                    remedy = "write it with a decimal point and without other separators, like 1234.5"
                raise TypeError(
                    f"column '{name}' must hold numbers, but {self.place(row)} of {self.path.name} has "
                    f"{_shortened(text)!r}; {remedy} (empty cells and NA count as missing)"
                )
            values[row] = number
        return np.ma.MaskedArray(values, np.isnan(values))


def read_file(path: str | Path, *, separator: str | None = None) -> DataFile:
    r"""Read a CSV or Parquet file; which of the two it is, its content says.

    The first line of a CSV file names the columns. Empty cells, ``NA`` and ``NaN`` are missing; a byte-order mark and
    blanks around names are dropped.

    Args:
        path: of the file, which is read as a whole.
        separator: between the columns of a CSV file; by default the one of ``, ; tab |`` that divides the header most.

    Returns:
        A `DataFile` with at least one row.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is neither CSV nor Parquet, broken, or without rows.
        ImportError: pyarrow is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name, "households.csv")
        >>> _ = path.write_text("income;food\n420.5;255.8\n;310.9\n")
        >>> file = read_file(path)
        >>> file.names, file.numbers("income").tolist(), file.place(1)
        (['income', 'food'], [420.5, None], 'line 3')
        >>> folder.cleanup()
    """
    path = Path(path)
    content = _content(path)
    named_parquet = path.suffix.lower() in (".parquet", ".pq")
    if content.startswith(_PARQUET) or named_parquet:
        file = DataFile(path, _parquet_table(path, content), None, "")
    else:
        chosen = separator or _likely_separator(content)
        file = DataFile(path, _csv_table(path, content, chosen), content, chosen)
    if file.n_rows == 0:
        raise ValueError(f"{path.name} has columns but no rows; pass a file with at least one observation")
    return file


def _content(path: Path) -> bytes:
    """Return what is in the file, or raise where it cannot be read or is none of ours."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file '{path}'") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"'{path}' is a folder; pass a CSV or Parquet file") from None
    except OSError as error:
        raise type(error)(f"'{path}' cannot be read: {error.strerror or error}") from None
    if not content.removeprefix(b"\xef\xbb\xbf").strip():
        raise ValueError(f"{path.name} is empty; pass a CSV or Parquet file with a row per observation")
    for magic, kind in _FOREIGN.items():
        if content.startswith(magic):
            raise ValueError(f"{path.name} must be a CSV or Parquet file, but is {kind}")
    if b"\0" in content[:_SNIFFED] and not content.startswith(_PARQUET):
        raise ValueError(f"{path.name} must be a CSV or Parquet file, but is neither text nor Parquet")
    return content


def _parquet_table(path: Path, content: bytes) -> "pa.Table":
    arrow, parquet = (optional(name, "data", f"reading {path.name}") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        return parquet.read_table(arrow.BufferReader(content))
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} is no complete Parquet file; write it anew ({_one_line(error)})") from None


def _csv_table(path: Path, content: bytes, separator: str) -> "pa.Table":
    arrow, reader = (optional(name, "data", f"reading {path.name}") for name in ("pyarrow", "pyarrow.csv"))
    header = next(_records(content, separator), (1, []))[1]
    if any("\ufffd" in name for name in header):
        raise ValueError(f"the names of the columns of {path.name} are not in UTF-8; save the file as UTF-8")
    if not re.search(rb"[\r\n]", content.strip()):
        content += b"\n"  # pyarrow calls a header without a line break an empty file
    try:
        table = reader.read_csv(
            arrow.BufferReader(content),
            parse_options=reader.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=reader.ConvertOptions(strings_can_be_null=True),
        )
    except arrow.ArrowException as error:
        raise ValueError(_fault(path, content, separator) or f"{path.name}: {_one_line(error)}") from None
    if content.count(b'"') % 2:  # pyarrow closes at the end of the file what was left open, and rows are gone
        line, last = deque(_records(content, separator), maxlen=1)[0]
        if _open_quote(last):
            raise ValueError(f"line {line} of {path.name} opens a quote that is never closed; correct it")
    return table.rename_columns([name.strip() for name in table.schema.names])


def _fault(path: Path, content: bytes, separator: str) -> str | None:
    """Name the first line that has more or fewer fields than the header, if there is one."""
    records = _records(content, separator)
    _, header = next(records, (1, [""]))
    if _open_quote(header):
        return f"line 1 of {path.name} opens a quote that is not closed there; correct it"
    for line, record in records:
        if len(record) != len(header):
            cause = "; one opens a quote that is not closed there" if _open_quote(record) else ""
            return (
                f"line {line} of {path.name} has {_counted(len(record), 'field')}, but the header has {len(header)} "
                f"(separated by {separator!r}){cause}; correct the line"
            )
    return None


def _open_quote(record: list[str]) -> bool:
    """Say whether a field runs over the end of its line, which in a broken file is a quote left open."""
    return any("\n" in field or "\r" in field for field in record)


def _records(content: bytes, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a CSV file that are not blank, each with the line on which it starts, from 1."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", errors="replace", newline="")
    reader = csv.reader(text, delimiter=separator)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader)
        except (StopIteration, csv.Error):  # an error such as an endless field: there is no telling what follows
            return
        if record:
            yield line, record


def _likely_separator(content: bytes) -> str:
    """Return the separator that divides the header into most names, best as many as the first row has fields."""

    def rank(separator: str) -> tuple[bool, bool, int]:
        counts = [len(record) for _, record in islice(_records(content, separator), 2)] or [0]
        return counts[0] > 1, counts[0] == counts[-1], counts[0]

    return max(SEPARATORS, key=rank)  # between equals the first


def _typed(name: str, column: "pa.ChunkedArray", types: Any) -> np.ma.MaskedArray:
    """Convert a column that its file declares as numbers, exactly."""
    missing = column.is_null().to_numpy()
    if types.is_null(column.type):
        values = np.full(len(column), np.nan)
    elif types.is_boolean(column.type):
        values = column.fill_null(False).to_numpy()
    elif types.is_integer(column.type):
        values = column.fill_null(0).to_numpy()
        values = values.astype(np.int64 if values.max(initial=0) <= np.iinfo(np.int64).max else np.float64)
    elif types.is_floating(column.type) or types.is_decimal(column.type):
        values = column.cast("float64").fill_null(np.nan).to_numpy()
        missing = missing | np.isnan(values)
    else:
        temporal = types.is_temporal(column.type)
        kind = "dates or times" if temporal else f"values of type {column.type}"
        remedy = "the days since the earliest, say" if temporal else "a column of floats"
        raise TypeError(f"column '{name}' must hold numbers, but holds {kind}; turn it into {remedy}")
    return np.ma.MaskedArray(values, missing)


def _missing_words() -> frozenset[str]:
    return frozenset(optional("pyarrow.csv", "data", "reading a file").ConvertOptions().null_values)


def _number(text: str) -> float | None:
    """Read a number, or return None; Python's own digit groups (1_000) are no number in a data file."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _shortened(text: str, most: int = 30) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _one_line(error: BaseException) -> str:
    return _shortened(" ".join(str(error).split()), 160)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

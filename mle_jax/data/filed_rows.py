"""Rows that stay in files and are read piece by piece: mapped arrays and Parquet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mle_jax._optional import optional
from mle_jax._text import listing
from mle_jax._trees import named_leaves
from mle_jax.data.arrays import let_go, widened
from mle_jax.data.pieces import SHARE, Fetch, Piece, chosen_places, has_valid, make_piece, rows_at
from mle_jax.data.tables import column_hint, read_table
from mle_jax.likelihood.parts import every_row
from mle_jax.likelihood.rows import row_layout

HEIGHT = 2**17
"""Rows of a piece: a few megabytes for an ordinary regression."""
SPREAD = 16
"""Row groups that start values are computed from."""


@dataclass(frozen=True)
class RowsInFiles:
    """Arrays mapped from files (`numpy.load(..., mmap_mode="r")`), read piece by piece and let go again.

    Attributes:
        data: the dataset; some of its leaves are `numpy.memmap`.
        weights: (n,) or None.
        constants: leaves that all rows share.
    """

    data: Any
    weights: np.ndarray | None
    constants: tuple[str, ...]

    @property
    def shapes(self) -> Any:
        """The dataset itself, of which nothing is read."""
        return self.data

    def pieces(self) -> Sequence[Fetch]:
        """Return pieces of a fixed height, the last one begun early enough to be whole."""
        size = row_layout(self.data, self.constants).size
        height = min(HEIGHT, size)
        return tuple(partial(self._read, first, min(first + height, size), height) for first in range(0, size, height))

    def sample(self) -> Sequence[Fetch]:
        """Return some of the pieces."""
        return _some(self.pieces())

    def some_rows(self) -> tuple[Any, np.ndarray | None]:
        """Return rows of positive weight, evenly spread."""
        layout = row_layout(self.data, self.constants)
        places = chosen_places(layout, self.weights)
        rows, weights = rows_at(places, layout, self.weights)
        let_go(layout.rows)
        _check(rows, weights, places, ())
        return rows, weights

    def _read(self, first: int, end: int, height: int) -> Piece:
        begin = end - height
        layout = row_layout(self.data, self.constants)
        rows = layout.with_rows([widened(np.array(leaf[begin:end])) for leaf in layout.rows])
        weights = None if self.weights is None else np.asarray(self.weights[begin:end])
        let_go(layout.rows)
        _check(rows, weights, range(begin, end), self.constants)
        return make_piece(
            rows, weights, weights, every_row(first - begin, height if has_valid(weights) else first - begin)
        )


@dataclass(frozen=True)
class RowsInParquet:
    """The rows of Parquet files, read by row groups.

    Attributes:
        groups: file and number of every row group, and the rows that come before it.
        height: rows of the largest group, to which the others are filled up.
        size: the number of rows.
        columns: leaf to column or columns.
        column_names: of the leaves that are matrices.
        weights: (n,) or None.
    """

    groups: tuple[tuple[Path, int, int, int], ...]
    height: int
    size: int
    columns: Mapping[str, Any]
    column_names: Mapping[str, tuple[str, ...]]
    weights: np.ndarray | None

    @property
    def shapes(self) -> Any:
        """The leaves by shape; columns are float64 where they may have missing values."""
        data = self._leaves(0)
        return {name: jax.ShapeDtypeStruct((self.size, *leaf.shape[1:]), leaf.dtype) for name, leaf in data.items()}

    def pieces(self) -> Sequence[Fetch]:
        """Return the row groups."""
        return tuple(partial(self._read, number) for number in range(len(self.groups)))

    def sample(self) -> Sequence[Fetch]:
        """Return some of the row groups."""
        return _some(self.pieces())

    def some_rows(self) -> tuple[Any, np.ndarray | None]:
        """Return rows of row groups spread over the files."""
        valid = [number for number in range(len(self.groups)) if has_valid(self._weights_of(number))]
        chosen = np.unique(np.linspace(0, len(valid) - 1, SPREAD).astype(int))
        read = (self._read(valid[place]) for place in chosen)

        def rows_of(piece: Piece) -> tuple[Any, np.ndarray | None]:
            layout = row_layout(piece.data)
            places = chosen_places(layout, piece.weights, of=piece.part.end, share=len(chosen))
            return rows_at(places, layout, piece.weights)

        parts = [rows_of(piece) for piece in read]
        data = {name: np.concatenate([part[name] for part, _ in parts]) for name in parts[0][0]}
        return data, None if self.weights is None else np.concatenate([weights for _, weights in parts])

    def _leaves(self, number: int) -> dict[str, np.ndarray]:
        path, group, _, _ = self.groups[number]
        named = [name for choice in self.columns.values() for name in ([choice] if isinstance(choice, str) else choice)]
        table = _opened(path).read_row_group(group, columns=named)
        return {name: widened(leaf) for name, leaf in read_table(table, self.columns)[0].items()}

    def _weights_of(self, number: int) -> np.ndarray | None:
        _, _, before, rows = self.groups[number]
        return None if self.weights is None else self.weights[before : before + rows]

    def _read(self, number: int) -> Piece:
        _, _, before, rows = self.groups[number]
        data, weights = self._leaves(number), self._weights_of(number)
        _check(data, weights, range(before, before + rows), ())
        missing = self.height - rows
        fill = lambda leaf: np.concatenate([leaf, np.broadcast_to(leaf[-1:], (missing, *leaf.shape[1:]))])  # noqa: E731
        whole = {name: fill(leaf) for name, leaf in data.items()}
        whole_weights = None if weights is None else fill(weights)
        return make_piece(whole, whole_weights, whole_weights, every_row(0, rows if has_valid(weights) else 0))


def rows_in_parquet(path: str | Path, columns: Mapping[str, Any] | None, weights: np.ndarray | None) -> RowsInParquet:
    """Look at a Parquet file, or at all of a folder, and plan to read it by row groups.

    Raises:
        FileNotFoundError: there is no such file, or the folder holds none.
        ImportError: pyarrow is missing.
    """
    place = Path(path)
    paths = sorted(place.glob("*.parquet")) if place.is_dir() else [place]
    if not paths or not paths[0].exists():
        raise FileNotFoundError(
            f"the data are '{path}', but there is no such Parquet file, nor a folder that holds one"
        )
    groups: list[tuple[Path, int, int, int]] = []
    size = 0
    for one in paths:
        metadata = _opened(one).metadata
        for number in range(metadata.num_row_groups):
            rows = metadata.row_group(number).num_rows
            if rows:
                groups.append((one, number, size, rows))
                size += rows
    if not groups:
        raise ValueError(f"'{path}' has 0 rows; pass at least one observation")
    known = _opened(paths[0]).schema_arrow.names
    chosen = {name: name for name in known} if columns is None else columns
    wanted = [name for choice in chosen.values() for name in ([choice] if isinstance(choice, str) else choice)]
    unknown = [str(name) for name in wanted if name not in known]
    if unknown:
        hint = column_hint(unknown[0], known)
        raise ValueError(f"columns names {listing(unknown)}, but '{paths[0]}' has no such column; {hint}")
    names = {leaf: tuple(map(str, choice)) for leaf, choice in chosen.items() if not isinstance(choice, str)}
    return RowsInParquet(tuple(groups), max(group[3] for group in groups), size, chosen, names, weights)


def _opened(path: Path) -> Any:
    """Open a Parquet file, or raise where it is none."""
    parquet = _parquet()
    try:
        return parquet.ParquetFile(path)
    except ValueError as error:  # pyarrow's ArrowInvalid is one
        raise ValueError(
            f"'{path}' cannot be read as a Parquet file ({error}); read other files into a table first, with "
            "pandas.read_csv, say"
        ) from error


def _parquet() -> Any:
    return optional("pyarrow.parquet", "data", "reading a Parquet file")


def _some(pieces: Sequence[Fetch]) -> Sequence[Fetch]:
    count = len(pieces) // SHARE
    return tuple(pieces[i] for i in np.linspace(0, len(pieces) - 1, count).astype(int)) if count > 1 else ()


def _check(
    rows: Any, weights: np.ndarray | None, places: Sequence[int] | np.ndarray, constants: tuple[str, ...]
) -> None:
    """Raise at a value that is not finite, in a row of positive weight; `places` says which rows these are."""
    named = named_leaves(rows, root="data")
    by_row = row_layout(rows, constants).by_row
    for name, leaf, own in zip(named.names, named.leaves, by_row, strict=True):
        if not own or not np.issubdtype(leaf.dtype, np.floating):
            continue
        bad = ~np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1)
        bad = bad if weights is None else bad & (weights > 0)
        if bad.any():
            row = int(places[int(np.flatnonzero(bad)[0])])
            raise ValueError(
                f"data leaf '{name}' has NaN or infinite values, the first in row {row}; all values must be finite; "
                "correct them, or give these rows weight 0"
            )

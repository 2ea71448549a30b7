"""Rows that are gone through piece by piece: arrays in memory or mapped from files, and Parquet files.

A piece is a dataset and the range of its rows that is meant: all pieces have the same shape, for which one program is
compiled. On a CPU those of arrays in memory are no copies.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from mle_jax._machine import cores
from mle_jax._optional import optional
from mle_jax._text import listing
from mle_jax._trees import named_leaves
from mle_jax.data.arrays import let_go, widened
from mle_jax.data.tables import column_hint, read_table
from mle_jax.likelihood.parts import Part, every_row
from mle_jax.likelihood.rows import RowLayout, row_layout

HEIGHT = 2**17
"""Rows of a piece read from a file: a few megabytes for an ordinary regression."""
PIECES = 16
"""Pieces of rows in memory, of each device, at most: none of the cores waits long for the others."""
LEAST_PIECE = 2**19
"""Numbers in a piece that a core sums: four megabytes. To ask for fewer takes longer than to sum them."""
SPREAD = 16
"""Row groups that start values are computed from."""
STRETCH = 512
"""Rows of a sample that follow one another."""
SHARE = 16
"""A sample holds one row of so many."""
LEAST_SAMPLE = 4096
LEAST_PART = 2**17
"""Numbers in a part of a sample that a core sums: fewer are not worth a thread."""
START_ROWS = 4_000
"""Rows from which start values are computed, at most."""
START_NUMBERS = 2**13
"""Numbers in these rows, if they are then still eight times as many as the numbers of a row: for more, LAPACK's threads
set in, which then wait for more work for a tenth of a second, on the cores that are to sum the rows."""


class Piece(NamedTuple):
    """Some rows: a dataset, and which rows of it are meant."""

    data: Any
    weights: Any  # (rows,) or None
    part: Part
    valid: int | None  # a row of positive weight; None without weights
    total_weight: float  # of the rows that are meant


Fetch = Callable[[], Piece]


class Rows(Protocol):
    """Rows that can be gone through again and again."""

    @property
    def shapes(self) -> Any:
        """The leaves of the whole dataset, or descriptions of them."""
        ...

    def pieces(self) -> Sequence[Fetch]:
        """Return functions that fetch all rows."""
        ...

    def sample(self) -> Sequence[Fetch]:
        """Return functions that fetch a few percent of the rows, spread over all; none where they are too few."""
        ...

    def some_rows(self) -> tuple[Any, np.ndarray | None]:
        """Return some thousand rows and their weights: from them start values are computed."""
        ...


@dataclass(frozen=True)
class RowsInMemory:
    """Arrays in memory, handed to a device, or by pieces to several in turn, once.

    Attributes:
        data: the dataset, checked.
        weights: (n,) or None.
        constants: leaves that all rows share.
        devices: where to; empty for the usual one.
    """

    data: Any
    weights: np.ndarray | None
    constants: tuple[str, ...]
    devices: tuple[jax.Device, ...] = ()

    @cached_property
    def _layout(self) -> RowLayout:
        return row_layout(self.data, self.constants)

    @property
    def shapes(self) -> Any:
        """The dataset itself."""
        return self.data

    @property
    def _devices(self) -> tuple[jax.Device, ...]:
        return self.devices or (jax.devices()[0],)

    @cached_property
    def _held(self) -> tuple[Piece, ...]:
        """Return the rows as they lie on the devices: of several, all have the same number, for one program."""
        devices, size = self._devices, self._layout.size
        height = -(-size // len(devices))
        held = []
        for device, first in zip(devices, range(0, size, height), strict=False):
            at = min(first, size - height)
            weights = None if self.weights is None else self.weights[at : at + height]
            if _has_valid(weights):
                rows = self._layout.with_rows([leaf[at : at + height] for leaf in self._layout.rows])
                lying = jax.device_put((rows, weights), device)
                held.append(_piece(lying[0], lying[1], weights, every_row(first - at, height)))
        return tuple(held)

    def pieces(self) -> Sequence[Fetch]:
        """Return ranges of rows, for the cores to take one after another; an accelerator sums all of its rows."""
        if self._devices[0].platform != "cpu":
            return tuple(map(_fetch, self._held))
        large = -(-self._layout.size * _width(self._layout) // LEAST_PIECE)
        share = max(min(large, PIECES) // len(self._devices), 1)
        # As many for every core, so that all end at the same time.
        share = -(-share // cores()) * cores() if len(self._devices) == 1 else share
        return tuple(fetch for piece in self._held for fetch in self._cut(piece, share, step=1))

    def sample(self) -> Sequence[Fetch]:
        """Return short stretches spread over all rows."""
        if self._layout.size < LEAST_SAMPLE * SHARE:
            return ()
        share = max(self._layout.size * _width(self._layout) // SHARE // LEAST_PART, 1)
        share = min(share, cores()) if len(self._devices) == 1 else 1
        return tuple(fetch for piece in self._held for fetch in self._cut(piece, share, step=STRETCH * SHARE))

    def _cut(self, piece: Piece, share: int, *, step: int) -> list[Fetch]:
        """Cut the rows of a device into so many parts at multiples of a step; longer steps leave rows out."""
        edges = np.linspace(piece.part.begin, piece.part.end, share + 1)[1:-1]
        cuts = [piece.part.begin, *(int(edge) // step * step for edge in edges), piece.part.end]
        weights = None if self.weights is None else np.asarray(piece.weights)
        stretches = lambda begin, end: every_row(begin, end) if step == 1 else Part(begin, end, STRETCH, step)  # noqa: E731
        parts = [stretches(*at) for at in itertools.pairwise(cuts)]
        found = [_piece(piece.data, piece.weights, weights, part) for part in parts]
        return [_fetch(one) for one in found if one.total_weight > 0]

    def some_rows(self) -> tuple[Any, np.ndarray | None]:
        """Return rows of positive weight, evenly spread."""
        return _chosen_rows(row_layout(self.data, self.constants), self.weights)


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
        rows, weights = _chosen_rows(layout, self.weights)
        let_go(layout.rows)
        _check(rows, weights, _chosen_places(layout, self.weights), ())
        return rows, weights

    def _read(self, first: int, end: int, height: int) -> Piece:
        begin = end - height
        layout = row_layout(self.data, self.constants)
        rows = layout.with_rows([widened(np.array(leaf[begin:end])) for leaf in layout.rows])
        weights = None if self.weights is None else np.asarray(self.weights[begin:end])
        let_go(layout.rows)
        _check(rows, weights, range(begin, end), self.constants)
        return _piece(
            rows, weights, weights, every_row(first - begin, height if _has_valid(weights) else first - begin)
        )


def _width(layout: RowLayout) -> int:
    """Return how many numbers a row holds."""
    return sum(int(np.prod(leaf.shape[1:], dtype=int)) for leaf in layout.rows)


def _piece(data: Any, held: Any, weights: np.ndarray | None, part: Part) -> Piece:
    """Return some rows of a dataset.

    Args:
        data: the dataset.
        held: the weights where it lies, or None.
        weights: the same in memory.
        part: the rows that are meant, in numbers.
    """
    if weights is None:
        return Piece(data, None, part, None, float(part.count))
    own = weights[np.asarray(part.place(np.arange(part.count)))]
    return Piece(data, held, part, int(np.argmax(weights > 0)), float(own.sum()))


def _fetch(piece: Piece) -> Fetch:
    return lambda: piece


def _has_valid(weights: np.ndarray | None) -> bool:
    """Say whether a row counts: else nothing is valid that could stand for the masked ones, and no row is meant."""
    return weights is None or bool(np.any(weights > 0))


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
        valid = [number for number in range(len(self.groups)) if _has_valid(self._weights_of(number))]
        chosen = np.unique(np.linspace(0, len(valid) - 1, SPREAD).astype(int))
        read = (self._read(valid[place]) for place in chosen)
        share = len(chosen)
        parts = [_chosen_rows(row_layout(piece.data), piece.weights, of=piece.part.end, share=share) for piece in read]
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
        return _piece(whole, whole_weights, whole_weights, every_row(0, rows if _has_valid(weights) else 0))


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


def _chosen_rows(
    layout: RowLayout, weights: np.ndarray | None, *, of: int | None = None, share: int = 1
) -> tuple[Any, np.ndarray | None]:
    """Return rows of positive weight among the first ones, evenly spread: one of so many shares of a start's rows."""
    places = _chosen_places(layout, weights, of=of, share=share)
    rows = layout.with_rows([widened(np.asarray(leaf[places])) for leaf in layout.rows])
    return rows, None if weights is None else np.asarray(weights)[places]


def _chosen_places(
    layout: RowLayout, weights: np.ndarray | None, *, of: int | None = None, share: int = 1
) -> np.ndarray:
    """Return which rows these are."""
    size = layout.size if of is None else of
    width = _width(layout)
    most = max(min(max(START_NUMBERS // width, 8 * width), START_ROWS) // share, 1)
    spread = lambda count: np.unique(np.linspace(0, count - 1, most).astype(int))  # noqa: E731 - used twice
    if weights is not None:
        positive = np.flatnonzero(np.asarray(weights[:size]) > 0)
        if len(positive):
            return positive[spread(len(positive))]
    return spread(size)


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

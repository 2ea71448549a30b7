"""Rows that are gone through piece by piece, and those of arrays in memory; for files see `data.filed_rows`.

A piece is a dataset and which of its rows are meant: all datasets have the same shape, for which one program is
compiled. In memory it is one dataset for each device, on a CPU without a copy.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from mle_jax._machine import cores
from mle_jax.data.arrays import widened
from mle_jax.likelihood.parts import Part, every_row
from mle_jax.likelihood.rows import RowLayout, row_layout

PIECES = 4
"""Pieces of rows in memory for each core, at most: none of them waits long for the others."""
LEAST_PIECE = 2**19
"""Numbers in a piece that a core sums: four megabytes. To ask for fewer takes longer than to sum them."""
STRETCH = 512
"""Rows of a sample that follow one another."""
SHARE = 16
"""A sample holds one row of so many, or one piece."""
LEAST_SAMPLE = 4096
"""Rows of a sample at least: of fewer it is not worth it."""
LEAST_PART = 2**17
"""Numbers in a part of a sample that a core sums: fewer are not worth a thread."""
START_ROWS = 4_000
"""Rows from which start values are computed, at most."""
START_NUMBERS = 2**13
"""Numbers in these rows, if they are then still four times as many as the numbers of a row: for more, LAPACK's threads
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
            if has_valid(weights):
                rows = self._layout.with_rows([leaf[at : at + height] for leaf in self._layout.rows])
                lying = jax.device_put((rows, weights), device)
                held.append(make_piece(lying[0], lying[1], weights, every_row(first - at, height)))
        return tuple(held)

    def pieces(self) -> Sequence[Fetch]:
        """Return ranges of rows, for the cores to take one after another; an accelerator sums all of its rows."""
        if self._devices[0].platform != "cpu":
            return tuple(map(_fetch, self._held))
        large = -(-self._layout.size * width_of(self._layout) // LEAST_PIECE)
        # As many for every core, so that all end at the same time.
        count = min(-(-large // cores()), PIECES) * cores()
        share = max(count // len(self._devices), 1)
        return tuple(fetch for piece in self._held for fetch in self._cut(piece, share, step=1))

    def sample(self) -> Sequence[Fetch]:
        """Return short stretches spread over all rows."""
        if self._layout.size < LEAST_SAMPLE * SHARE:
            return ()
        share = max(self._layout.size * width_of(self._layout) // SHARE // LEAST_PART, 1)
        share = min(share, cores()) if len(self._devices) == 1 else 1
        return tuple(fetch for piece in self._held for fetch in self._cut(piece, share, step=STRETCH * SHARE))

    def _cut(self, piece: Piece, share: int, *, step: int) -> list[Fetch]:
        """Cut the rows of a device into so many parts at multiples of a step; longer steps leave rows out."""
        begin, end, *_ = piece.part
        inner = np.linspace(0, end - begin, share + 1)[1:-1]
        cuts = [begin, *(begin + int(edge) // step * step for edge in inner), end]
        weights = None if self.weights is None else np.asarray(piece.weights)
        ranges = itertools.pairwise(cuts)
        parts = [every_row(*edges) if step == 1 else Part(*edges, STRETCH, step) for edges in ranges]
        found = [piece._replace(part=part, total_weight=_total_weight(weights, part)) for part in parts]
        return [_fetch(one) for one in found if one.total_weight > 0]

    def some_rows(self) -> tuple[Any, np.ndarray | None]:
        """Return rows of positive weight, evenly spread."""
        return rows_at(chosen_places(self._layout, self.weights), self._layout, self.weights)


def width_of(layout: RowLayout) -> int:
    """Return how many numbers a row holds, but 1 at least."""
    return max(1, sum(int(np.prod(leaf.shape[1:], dtype=int)) for leaf in layout.rows))


def make_piece(data: Any, held: Any, weights: np.ndarray | None, part: Part) -> Piece:
    """Return some rows of a dataset.

    Args:
        data: the dataset.
        held: the weights where it lies, or None.
        weights: the same in memory.
        part: the rows that are meant, in numbers.
    """
    valid = None if weights is None else int(np.argmax(weights > 0))
    return Piece(data, held, part, valid, _total_weight(weights, part))


def _total_weight(weights: np.ndarray | None, part: Part) -> float:
    """Return the total weight of the rows that are meant, or their number."""
    if weights is None:
        return float(part.count)
    begin, end, length, step = part
    own = weights[begin:end] if length == step else weights[part.place(np.arange(part.count))]
    return float(own.sum())


def _fetch(piece: Piece) -> Fetch:
    return lambda: piece


def has_valid(weights: np.ndarray | None) -> bool:
    """Say whether a row counts: else nothing is valid that could stand for the masked ones, and no row is meant."""
    return weights is None or bool(np.any(weights > 0))


def rows_at(places: np.ndarray, layout: RowLayout, weights: np.ndarray | None) -> tuple[Any, np.ndarray | None]:
    """Return the rows at these places with their weights."""
    rows = layout.with_rows([widened(np.asarray(leaf[places])) for leaf in layout.rows])
    return rows, None if weights is None else np.asarray(weights)[places]


def chosen_places(
    layout: RowLayout, weights: np.ndarray | None, *, of: int | None = None, share: int = 1
) -> np.ndarray:
    """Return which of the first rows start values are computed from, or a share of them: evenly spread, with weight."""
    size = layout.size if of is None else of
    width = width_of(layout)
    most = max(min(max(START_NUMBERS // width, 4 * width), START_ROWS) // share, 1)
    spread = lambda count: np.unique(np.linspace(0, count - 1, most).astype(int))  # noqa: E731 - used twice
    if weights is not None:
        positive = np.flatnonzero(np.asarray(weights[:size]) > 0)
        if len(positive):
            return positive[spread(len(positive))]
    return spread(size)

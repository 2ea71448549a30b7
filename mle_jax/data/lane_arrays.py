"""Leaves of a batch that stay where they are: read lane by lane, so that nobody needs a copy of all of them.

Memory that a process has never used is not free of charge: the system clears it page by page, and on a virtual machine
that may take longer than fitting what is then written there. So large arrays of a user are watched and not copied, and
what streams of pieces need for a moment is laid out in the same `Room` again and again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from mle_jax.data.arrays import ALIGNED, aligned, by_all_cores, lock, wide_dtype

LARGE_BATCH = 2**26
"""Bytes of a leaf from which on it is watched and not copied."""
MOST_BYTES = 8
"""Of a number that is watched."""
MARKED_AT_ONCE = 2**18
"""Numbers of which marks are made at once: for fewer, threads wait for one another (Python's lock) half of the time."""
MIXED = 37
"""By how many places the bits of a number are added to themselves before they are multiplied."""
SHORT = 32
"""Rows of a group, on average, below which groups are gathered all at once: one by one, each costs as much as that."""


class Room:
    """Memory in which the leaves of one piece after another are laid out, where JAX can use it without a copy."""

    def __init__(self) -> None:
        self._kept: dict[int, np.ndarray] = {}

    def of(self, leaf: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Return an array for the leaf of this number, with whatever is in it from the last time."""
        size = math.prod(shape) * dtype.itemsize
        if leaf not in self._kept or self._kept[leaf].size < size:
            self._kept[leaf] = aligned(np.empty, (size,), np.dtype(np.uint8))
        return self._kept[leaf][:size].view(dtype).reshape(shape)


@dataclass(frozen=True, eq=False)
class Watched:
    """A user's array (B, ...) of which no copy was made: whoever reads it again is told where it has changed.

    Attributes:
        name: what the user calls it.
        array: the array, in one piece of memory.
        marks: a number for each lane (B,), which is another one, almost surely, when the lane has changed.
    """

    name: str
    array: np.ndarray
    marks: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array."""
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """As of an array."""
        return self.array.ndim

    @property
    def size(self) -> int:
        """As of an array."""
        return self.array.size

    def __getitem__(self, at: Any) -> np.ndarray:
        """Return a copy of one lane, or of some; what has changed raises a ValueError."""
        part = np.array(self.array[at])
        self._check(part[None] if part.ndim < self.array.ndim else part, np.atleast_1d(np.arange(len(self.array))[at]))
        return lock(part)

    def check(self) -> None:
        """Raise where a lane has changed since the marks were made.

        Raises:
            ValueError: with its number.
        """
        self._check(self.array, np.arange(len(self.array)))

    def _check(self, lanes: np.ndarray, numbers: np.ndarray) -> None:
        changed = numbers[_marks(lanes) != self.marks[numbers]]
        if changed.size:
            raise ValueError(
                f"data leaf '{self.name}' is not what it was when the batch was fitted: dataset {changed[0]} has "
                f"changed; arrays of {LARGE_BATCH // 2**20} MB and more are not copied, and this needs them once more; "
                "leave them as they are while the fits are in use, or pass a copy to fit_batch"
            )


def in_place(name: str, leaf: Any, *, resident: Sequence[str]) -> Any:
    """Return a leaf as one that stays where it is, or None for one of which a copy is made: if it is small.

    Args:
        name: what the user calls it.
        leaf: whatever was given.
        resident: the leaves of which copies are made in any case.
    """
    if name in resident or name.split(".")[0] in resident:
        return None
    if isinstance(leaf, np.memmap | Padded):
        return leaf
    read_only = _is_in_memory(leaf)  # by JAX; it may share the memory with an array that is not
    array = np.asarray(leaf) if read_only else leaf
    plain = type(array) is np.ndarray and array.ndim > 0 and array.flags.c_contiguous and array.dtype.kind in "biuf"
    if not plain or array.nbytes < LARGE_BATCH or array.dtype.itemsize > MOST_BYTES:
        return None
    return Watched(name, array, _marks(array)) if read_only or array.flags.writeable else None


def _is_in_memory(leaf: Any) -> bool:
    """Say whether it is an array of JAX that NumPy can read where it is."""
    if not isinstance(leaf, jax.Array) or isinstance(leaf, jax.core.Tracer):
        return False
    return [device.platform for device in leaf.devices()] == ["cpu"]


def _marks(leaf: np.ndarray) -> np.ndarray:
    """Return a number for each lane: the sum of its bits, as integers, each times an odd one of its own, mod 2^64.

    Of a change of the sign, which is the highest bit, a product with any number would keep nothing but its parity. So
    the upper ones of 64 bits are added to lower ones before, bit by bit, and not where two smaller numbers in these 64
    bits have the same.
    """
    lanes = len(leaf)
    whole = leaf.reshape(lanes, -1)
    words = whole.shape[1] * leaf.dtype.itemsize % 8 == 0
    bits = whole.view("u8" if words else f"u{min(leaf.dtype.itemsize, 4)}")
    keys = np.random.default_rng(0).integers(0, 2**63, bits.shape[1], np.uint64) | np.uint64(1)
    marks = np.empty(lanes, np.uint64)
    step = max(MARKED_AT_ONCE // max(bits.shape[1], 1), 1)

    def mark(part: slice) -> None:
        scratch = np.empty((step, bits.shape[1]), np.uint64)
        for begin in range(part.start, part.stop, step):
            some = bits[begin : min(begin + step, part.stop)]
            mixed = np.right_shift(some, np.uint64(MIXED if words else 0), out=scratch[: len(some)])
            if words:
                np.bitwise_xor(mixed, some, out=mixed)
            np.einsum("ij,j->i", mixed, keys, out=marks[begin : begin + len(some)])

    if lanes <= step:
        mark(slice(0, lanes))
    else:
        by_all_cores(mark, lanes)
    return marks


@dataclass(frozen=True, eq=False)
class Beside:
    """Columns of a table side by side, a matrix (n, p) of which only what is read is ever laid out.

    Attributes:
        columns: p of (n,).
    """

    columns: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return len(self), len(self.columns)

    @property
    def ndim(self) -> int:
        """As of an array."""
        return 2

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array: of one type that holds all of them."""
        return np.result_type(*self.columns)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return some rows as a matrix."""
        return np.stack([column[rows] for column in self.columns], axis=-1)

    def astype(self, dtype: Any, *, copy: bool = True) -> "Beside":
        """Return the same columns of another type."""
        return Beside(tuple(column.astype(dtype, copy=copy) for column in self.columns))


@dataclass(frozen=True, eq=False)
class Padded:
    """A leaf of groups that are filled up to one height, (B, height, ...), laid out where and when it is read.

    Attributes:
        rows: the rows of all groups, (n, ...), an array or columns beside each other; None for weights that are 1 for
            a row and 0 for what is filled in.
        order: rows by group.
        starts: where each group begins in that order, (B,).
        sizes: how many rows each has, (B,).
        height: to which they are filled up, by zeros.
    """

    rows: np.ndarray | Beside | None
    order: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray
    height: int

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self.sizes), self.height, *(() if self.rows is None else self.rows.shape[1:]))

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array."""
        return np.dtype(float) if self.rows is None else self.rows.dtype

    @property
    def ndim(self) -> int:
        """As of an array."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """As of an array."""
        return math.prod(self.shape)

    @cached_property
    def _firsts(self) -> np.ndarray:
        """The first row of each group whose rows are next to each other; of any other -1."""
        ends = self.order[np.maximum(self.starts + self.sizes - 1, 0)] if len(self.order) else self.starts
        begins = self.order[np.minimum(self.starts, len(self.order) - 1)] if len(self.order) else self.starts
        return np.where(ends - begins == self.sizes - 1, begins, -1)

    def __getitem__(self, at: Any) -> np.ndarray:
        """Return one lane, or some."""
        lanes = np.arange(len(self.sizes))[at]
        out = aligned(np.empty, (lanes.size, *self.shape[1:]), self.dtype)
        self.read(np.atleast_1d(lanes), out)
        return lock(out if np.ndim(lanes) else out[0])

    def read(self, lanes: np.ndarray, out: np.ndarray) -> None:
        """Lay some of the lanes out."""
        there = np.arange(self.height) < self.sizes[lanes][:, None]
        if self.rows is None:
            np.copyto(out, there)
            return
        columns = self.rows.columns if isinstance(self.rows, Beside) else None
        self._copy(lanes, [(self.rows, out)] if columns is None else [(c, out[..., j]) for j, c in enumerate(columns)])
        out[~there] = 0

    def lay_out(self, lanes: np.ndarray, numbers: np.ndarray) -> int:
        """Lay out the rows of some lanes, with whatever there was in place of what is filled in.

        Returns:
            The number of columns that lie one after the other, which takes half of the time; 0 where there are none.
        """
        assert self.rows is not None
        columns = self.rows.columns if isinstance(self.rows, Beside) else (self.rows,)
        apart = len(columns) if isinstance(self.rows, Beside) else 0
        parts = numbers.reshape(len(columns), len(lanes), self.height, *(() if apart else self.rows.shape[1:]))
        self._copy(lanes, list(zip(columns, parts, strict=True)))
        return apart

    def _copy(self, lanes: np.ndarray, pairs: Sequence[tuple[Any, np.ndarray]]) -> None:
        """Copy the rows of some lanes from arrays (n, ...) to others (B, height, ...)."""
        starts, sizes = self.starts[lanes], self.sizes[lanes]
        if sizes.sum() < SHORT * len(lanes):
            number = np.repeat(np.arange(len(lanes)), sizes)
            place = np.arange(len(number)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            rows = self.order[starts[number] + place]
            for array, to in pairs:
                to[number, place] = array[rows]
            return
        for lane, (start, size, first) in enumerate(
            zip(starts.tolist(), sizes.tolist(), self._firsts[lanes].tolist(), strict=True)
        ):
            own = slice(first, first + size) if first >= 0 else self.order[start : start + size]
            for array, to in pairs:
                to[lane, :size] = array[own]


def read_lanes(leaf: Any, lanes: np.ndarray, room: Room, number: int) -> np.ndarray:
    """Return some lanes of a leaf, widened, where JAX can use them without a copy: as they are, or in the room.

    Args:
        leaf: an array, which may be mapped from a file, or one of the kinds above; what is watched is not checked.
        lanes: their numbers.
        room: where to.
        number: of the leaf in the room.
    """
    dtype = wide_dtype(leaf.dtype)
    array = leaf.array if isinstance(leaf, Watched) else leaf
    if _is_in_one_piece(array, lanes, dtype):
        part: np.ndarray = array[int(lanes[0]) : int(lanes[-1]) + 1]
        if part.ctypes.data % ALIGNED == 0:
            return part
    out = room.of(number, (len(lanes), *leaf.shape[1:]), dtype)
    _lay_out(array, lanes, out)
    return out


class Flat(NamedTuple):
    """Lanes of a leaf as one row of numbers; some more follow, but for groups."""

    numbers: np.ndarray
    first: int  # where they begin
    columns: int  # that lie one after the other, (B, n) each; 0 where a lane follows another


def read_flat(leaf: Any, lanes: np.ndarray, room: Room, number: int) -> Flat:
    """Return some lanes of a leaf, widened, as one row of numbers.

    JAX takes only arrays without a copy whose addresses are multiples of 64, which those of a user hardly ever are. One
    that begins a little earlier is taken as well.

    Args:
        leaf: as for `read_lanes`.
        lanes: their numbers.
        room: where to, if need be.
        number: of the leaf in the room.
    """
    shape, dtype = (len(lanes), *leaf.shape[1:]), wide_dtype(leaf.dtype)
    size, spare = math.prod(shape), ALIGNED // dtype.itemsize
    array = leaf.array if isinstance(leaf, Watched) else leaf
    if _is_in_one_piece(array, lanes, dtype):
        numbers = array.reshape(-1)
        first = int(lanes[0]) * (size // len(lanes))
        before, rest = divmod((array.ctypes.data + first * dtype.itemsize) % ALIGNED, dtype.itemsize)
        begin = first - before
        if rest == 0 and begin >= 0 and begin + size + spare <= numbers.size:
            return Flat(numbers[begin : begin + size + spare], before, 0)
    if isinstance(array, Padded) and array.rows is not None:
        laid = room.of(number, (size,), dtype)
        return Flat(laid, 0, array.lay_out(lanes, laid))
    flat = room.of(number, (size + spare,), dtype)
    _lay_out(array, lanes, flat[:size].reshape(shape))
    return Flat(flat, 0, 0)


def _is_in_one_piece(array: Any, lanes: np.ndarray, dtype: np.dtype[Any]) -> bool:
    """Say whether the lanes lie next to each other in memory, in order, as numbers of this type."""
    plain = type(array) is np.ndarray and array.dtype == dtype and array.flags.c_contiguous
    return plain and _is_one_run(lanes)


def _is_one_run(lanes: np.ndarray) -> bool:
    """Say whether the lanes are next to each other, in order."""
    return len(lanes) > 0 and lanes[-1] - lanes[0] == len(lanes) - 1 and bool(np.all(np.diff(lanes) == 1))


def _lay_out(array: Any, lanes: np.ndarray, out: np.ndarray) -> None:
    """Write some lanes of an array, or of groups that are filled up, to memory of their shape."""
    if isinstance(array, Padded):
        if array.dtype == out.dtype:
            array.read(lanes, out)
        else:
            np.copyto(out, array[lanes], casting="unsafe")
    elif _is_one_run(lanes):
        np.copyto(out, array[int(lanes[0]) : int(lanes[-1]) + 1], casting="unsafe")
    elif array.dtype == out.dtype:
        np.take(array, lanes, axis=0, out=out, mode="clip")
    else:
        np.copyto(out, array[lanes], casting="unsafe")

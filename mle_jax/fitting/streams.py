"""Pieces of a batch in streams, one per core: how many datasets get through a device in little memory.

The lanes are cut into pieces of one size, so that one compiled program fits all of them (the last has some lanes of the
one before it), small enough for the memory allowed. A thread per core takes one after another; several devices take
them in turn. What has to be laid out for a piece is laid out in a room that belongs to the thread for that time.
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mle_jax._machine import cores
from mle_jax._optional import optional
from mle_jax._precision import to_numpy
from mle_jax.data.arrays import let_go
from mle_jax.data.lane_arrays import Padded, Room, read_flat, read_lanes
from mle_jax.fitting.lanes import filled_up, lane_weights, split_lanes
from mle_jax.likelihood.lane_rows import Ends

if TYPE_CHECKING:
    from mle_jax.likelihood import Model
    from mle_jax.parameters import Coordinates

PIECE_BYTES = 2**25  # of data: tens of milliseconds of work
PIECE_BYTES_OF_ACCELERATOR = 2**29
LEAST_PIECE_BYTES = 2**21
LEAST_PIECE, MOST_PIECE = 32, 2**13
PIECES = 4  # of a core, since some take longer than others; an accelerator does best with few and large ones
MATRICES = 4  # of the size of the information, in a solution
COPIES = 4  # of a piece's data that are in memory while it is worked on, results included


@dataclass(frozen=True)
class Batch:
    """B datasets with all that differs between them.

    Attributes:
        data: every leaf with a leading axis of B but for those that `axes` says are shared; NumPy, perhaps mapped, or
            of the kinds of `data.lane_arrays`.
        axes: from `lane_axes`.
        weights: (B, n), of such a kind as well, (n,) or None.
        start: start values by name that all lanes have in common, and those by lane.
        size: B.
        firsts: of leaves that are rows of numbers (`Flat`), where the lanes begin in each.
        columns: of which these consist.
    """

    data: Any
    axes: tuple[bool, ...]
    weights: Any
    start: tuple[dict[str, Any], dict[str, Any]]
    size: int
    firsts: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    @property
    def bytes_per_lane(self) -> int:
        """The size of one dataset, its numbers widened."""
        return self._bytes_per_lane(lambda leaf: leaf.size / self.size)

    @property
    def flat_bytes_per_lane(self) -> int:
        """The same where groups are laid out without what they are filled up with (see `take`).

        It is the mean, and half of the largest group at least, of which there may be many in one piece.
        """

        def share(leaf: Any) -> float:
            return (
                max(leaf.sizes.mean(), leaf.sizes.max(initial=0) / 2) / leaf.height if isinstance(leaf, Padded) else 1
            )

        return self._bytes_per_lane(lambda leaf: leaf.size / self.size * share(leaf))

    def _bytes_per_lane(self, numbers: Callable[[Any], float]) -> int:
        own, _ = split_lanes(self.data, self.axes)
        return int(sum(8 * numbers(leaf) for leaf in (*own, *lane_weights(self.weights)))) + 1

    def take(self, lanes: np.ndarray, room: Room, *, flat: bool = False) -> "Batch":
        """Return some of the lanes; what has to be laid out for it is laid out in the room.

        Args:
            lanes: their numbers.
            room: for this piece.
            flat: the leaves that differ between the lanes as rows of numbers, with less that has to be laid out;
                weights that only tell where the lanes end as `Ends`, there being anything in the rows after that.
        """
        own, join = split_lanes(self.data, self.axes)
        common, by_lane = self.start
        start = common, {name: value[lanes] for name, value in by_lane.items()}
        if not flat:
            taken = join([read_lanes(leaf, lanes, room, number) for number, leaf in enumerate(own)])
            let_go(own)
            return Batch(taken, self.axes, self._weights(lanes, room), start, lanes.size)
        rows = [read_flat(leaf, lanes, room, number) for number, leaf in enumerate(own)]
        let_go(own)
        ends = isinstance(self.weights, Padded) and self.weights.rows is None
        weights = Ends(self.weights.sizes[lanes]) if ends else self._weights(lanes, room)
        numbers, firsts, columns = zip(*rows, strict=True)
        return Batch(join(list(numbers)), self.axes, weights, start, lanes.size, firsts, columns)

    def _weights(self, lanes: np.ndarray, room: Room) -> Any:
        own = [read_lanes(each, lanes, room, -1) for each in lane_weights(self.weights)]
        return own[0] if own else self.weights


class Streams:
    """Threads that take pieces of a batch one after another.

    Args:
        model: the model, which remembers what was compiled.
        place: the free coordinates.
        batch: all lanes.
        how: whatever else the programs depend on.
        memory: bytes, or None.
        shown: show a bar for so many lanes, or None.
    """

    def __init__(
        self,
        model: "Model",
        place: "Coordinates",
        batch: Batch,
        *,
        how: tuple[Any, ...] = (),
        memory: int | None = None,
        shown: int | None = None,
    ) -> None:
        self.batch = batch
        self._compiled = model._pieces
        weights = None if batch.weights is None else batch.weights.ndim
        self._layout = how, place.fixed, batch.axes, weights
        self._devices = jax.local_devices()
        on_cpu = jax.default_backend() == "cpu"
        # Of an accelerator one computes while data of the other are on their way.
        self.count = max(cores(), len(self._devices)) if on_cpu else 2 * len(self._devices)
        each = PIECE_BYTES if on_cpu else PIECE_BYTES_OF_ACCELERATOR
        if memory is not None:
            each = min(each, memory // (COPIES * self.count))
        most = MOST_PIECE if on_cpu else 2**20
        # What is found fills some matrices.
        solution = 8 * MATRICES * place.size**2
        per_lane, flat_per_lane = batch.bytes_per_lane + solution, batch.flat_bytes_per_lane + solution
        self._lanes, self._flat_lanes = (
            min(max(_power_of_two(each // size + 1) // 2, 1), most) for size in (per_lane, flat_per_lane)
        )
        self._pieces = PIECES if on_cpu else 1
        self._least = max(LEAST_PIECE_BYTES // per_lane, LEAST_PIECE)
        bar = None if shown is None else optional("tqdm", "data", "progress=True")
        self._rooms: SimpleQueue[Room] = SimpleQueue()
        for _ in range(self.count):
            self._rooms.put(Room())
        self._bar = None if bar is None else bar.tqdm(total=shown, unit="fits")

    def _share(self, lanes: int) -> int:
        """Return the lanes of a piece for which every stream has several to do, or one if they are few."""
        each = -(-lanes // self.count)
        return min(max(-(-each // self._pieces), self._least), each)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _device(self, piece: int) -> Any:
        """Let several devices take pieces in turn; of one it is left to the user's settings which."""
        several = len(self._devices) > 1
        return jax.default_device(self._devices[piece % len(self._devices)]) if several else contextlib.nullcontext()

    @contextlib.contextmanager
    def _room(self) -> Iterator[Room]:
        """Lend a room to a stream, of which there are as many."""
        room = self._rooms.get()
        try:
            yield room
        finally:
            self._rooms.put(room)

    def run(
        self,
        function: Callable[[Batch, np.ndarray], Any],
        lanes: np.ndarray,
        *,
        name: str,
        least: int = 1,
        shown: bool = False,
        flat: bool = False,
    ) -> list[Any]:
        """Return ``(lanes of a piece, function(piece, lanes))`` of all pieces; a piece is filled up to its full size.

        Args:
            function: of a piece and the numbers of its lanes, which returns a pytree of arrays over these lanes.
            lanes: which of the lanes.
            name: of the program that this calls.
            least: lanes of a piece, which is a multiple of it.
            shown: these lanes are done with, as far as the bar is concerned.
            flat: as for `Batch.take`.
        """
        most = self._flat_lanes if flat else self._lanes
        size = _in_eighths(min(most, max(self._share(lanes.size), LEAST_PIECE)))
        size += -size % least
        double = bool(jax.config.read("jax_enable_x64"))

        def one(first: int) -> Any:
            these = lanes[first : first + size]
            # The last piece begins earlier, among lanes that are done with: it is whole then, and need not be copied.
            early = min(size - these.size, first)
            filled = filled_up(lanes[first - early : first + size], size)
            with jax.enable_x64(double), self._device(first // size), self._room() as room:  # no thread inherits them
                # What is found is there before the room is used again.
                found = to_numpy(function(self.batch.take(filled, room, flat=flat), filled))
            if shown and self._bar is not None:
                self._bar.update(these.size)
            return these, jax.tree_util.tree_map(lambda leaf: leaf[early : early + these.size], found)

        firsts = range(0, lanes.size, size)
        own, _ = split_lanes(self.batch.data, self.batch.axes)
        key = name, size, double, str(self._layout), tuple((leaf.shape[1:], leaf.dtype.name) for leaf in own)
        # The first time one goes ahead alone, so that the others find a compiled program.
        ahead = 0 if key in self._compiled and len(firsts) > 1 else min(len(self._devices), len(firsts))
        head = [one(first) for first in firsts[:ahead]]
        self._compiled.add(key)
        if len(firsts) == ahead:
            return head
        with ThreadPoolExecutor(self.count) as pool:
            return head + list(pool.map(one, firsts[ahead:]))


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 0).bit_length()


def _in_eighths(least: int) -> int:
    """Return a number from there on of a kind of which there are few: eighths of a power of two."""
    unit = max(_power_of_two(least) // 8, 1)
    return -(-least // unit) * unit

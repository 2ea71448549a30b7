"""Groups scattered over Parquet files larger than memory: their rows are brought together on disk.

1. Every row goes to one of P files by a hash of its key: a group is whole in one of them, and each fits in memory.
2. The sizes of the groups are counted, and the buckets chosen.
3. The rows of each file are sorted into groups, and these are appended to the chunk of their bucket that is being
   filled: a file of exactly the groups that are fitted together.

The files are arrow IPC without compression, so they take about as much room as the columns would in memory; a file of
the first kind is deleted as soon as it is sorted.
"""

import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._optional import optional
from mle_jax.data.buckets import Bucket, Together, choose_buckets
from mle_jax.data.group_tables import careful_scanner
from mle_jax.data.groups import (
    PURPOSE,
    GroupColumns,
    Groups,
    check_keys,
    group_keys,
    group_rows,
    plain_keys,
    read_weights,
)
from mle_jax.data.tables import read_table

if TYPE_CHECKING:
    import pyarrow as pa

MOST_FILES = 512
"""Files that are open at once: below the usual limit of 1024 of a process."""
COPIES = 4
"""Copies of the rows of a file that exist while it is sorted: as read, its columns, their order, what is written."""


@dataclass(frozen=True)
class Scattered:
    """Groups on disk, ready to be fitted.

    Attributes:
        buckets: their buckets.
        kinds: the types of the leaves.
        paths: a file for every chunk, bucket after bucket.
    """

    buckets: tuple[Bucket, ...]
    kinds: Mapping[str, str]
    paths: tuple[Path, ...]


def read_chunk(path: Path, chosen: GroupColumns, *, missing: str, kinds: Mapping[str, str]) -> Groups:
    """Read the groups of one chunk, all of them."""
    return group_rows(_read(path), chosen, missing=missing, kinds=kinds)


def needed_row_bytes(schema: "pa.Schema", chosen: GroupColumns) -> int:
    """Return about how many bytes the columns that are needed take in a row."""
    return sum(_width(schema.field(name).type) for name in chosen.needed)


def _width(kind: Any) -> int:
    try:
        return max(kind.bit_width // 8, 1)
    except ValueError:
        return 32  # texts, whose length the schema does not tell


def scatter(
    dataset: Any,
    chosen: GroupColumns,
    folder: Path,
    *,
    memory: float,
    chunk_rows: int,
    together: Together | None = None,
) -> Scattered:
    """Bring the rows of every group together.

    Args:
        dataset: a pyarrow dataset.
        chosen: what its columns are for.
        folder: where the files go; made anew.
        memory: bytes that rows may take.
        chunk_rows: about how many rows a chunk may have.
        together: as in `choose_buckets`.

    Raises:
        TypeError, ValueError: a column does not hold numbers, a key is missing, a weight is negative or not finite.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    total = dataset.count_rows() * needed_row_bytes(dataset.schema, chosen)
    count = int(min(max(np.ceil(COPIES * total / memory), 1), MOST_FILES))
    paths = [folder / f"rows-{number:03d}.arrow" for number in range(count)]
    facts = _divide(dataset, chosen, paths)
    sizes, counts = _count_sizes(paths, chosen)
    buckets = choose_buckets(sizes, counts, chunk_rows=chunk_rows, together=together)
    _sort(paths, chosen, buckets, folder)
    return Scattered(buckets, facts, chunk_paths(folder, buckets))


def _divide(dataset: Any, chosen: GroupColumns, paths: list[Path]) -> dict[str, str]:
    """Write every row to the file of its key, and return the types that the leaves have in the end."""
    arrow = optional("pyarrow", "data", PURPOSE)
    kinds: dict[str, np.dtype[Any]] = {}
    with ExitStack() as stack:
        writers: list[Any] = []
        for batch in careful_scanner(dataset, chosen.needed).to_batches():
            if not batch.num_rows:
                continue
            table = arrow.Table.from_batches([batch])
            check_keys(table, chosen.by)
            if chosen.weights is not None:
                read_weights(table, chosen.weights)
            for leaf, array in read_table(table, chosen.columns)[0].items():
                # One missing value anywhere makes a column of integers one of floats.
                kinds[leaf] = _wider(kinds.get(leaf), array.dtype)
            keys = plain_keys(table, chosen.by)
            table = arrow.table(
                {**{n: table.column(n) for n in chosen.values}, **{n: keys.column(n) for n in chosen.by}}
            )
            if not writers:
                writers = [stack.enter_context(arrow.ipc.new_file(str(path), table.schema)) for path in paths]
            for number, part in _parts(table, keys, len(paths)):
                writers[number].write_table(part)
    if not kinds:
        raise ValueError("the table has 0 rows; pass at least one observation")
    return {leaf: str(kind) for leaf, kind in kinds.items()}


def _wider(known: np.dtype[Any] | None, new: np.dtype[Any]) -> np.dtype[Any]:
    return new if known is None else known if known == new else np.dtype(np.float64)


def _parts(table: "pa.Table", keys: "pa.Table", count: int) -> Iterator[tuple[int, "pa.Table"]]:
    """Yield the rows of every file, in their order."""
    if count == 1:
        yield 0, table
        return
    home = (hash_keys(keys) % np.uint64(count)).astype(np.int64)
    order = np.argsort(home, kind="stable")
    edges = np.searchsorted(home[order], np.arange(count + 1))
    table = table.take(order)
    for number in np.flatnonzero(np.diff(edges)).tolist():
        yield number, table.slice(edges[number], edges[number + 1] - edges[number])


def hash_keys(keys: "pa.Table") -> np.ndarray:
    """Return 64 bits per row that equal keys have in common, in every process and on every machine, (n,).

    Reference:
        Steele, Lea and Flood (2014), OOPSLA, 453-472: the mixing function is the finalizer of SplitMix64.
    """
    bits = np.zeros(len(keys), np.uint64)
    for name in keys.column_names:
        bits = _mixed(bits ^ _bits_of(keys.column(name).combine_chunks()))
    return bits


def _bits_of(column: Any) -> np.ndarray:
    encoded = column.dictionary_encode()
    values = [zlib.crc32(repr(value).encode()) for value in encoded.dictionary.to_pylist()]
    return _mixed(np.array(values, np.uint64))[np.asarray(encoded.indices)]


def _mixed(bits: np.ndarray) -> np.ndarray:
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _count_sizes(paths: list[Path], chosen: GroupColumns) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct sizes of groups, and how many have each; of every file the keys alone are read."""
    tally: dict[int, int] = {}
    for path in paths:
        keys = _read(path).select(list(chosen.by))
        if len(keys):
            found, counts = np.unique(group_keys(keys, chosen.by).sizes, return_counts=True)
            for size, count in zip(found.tolist(), counts.tolist(), strict=True):
                tally[size] = tally.get(size, 0) + count
    sizes = np.array(sorted(tally))
    return sizes, np.array([tally[size] for size in sizes.tolist()])


def _sort(paths: list[Path], chosen: GroupColumns, buckets: tuple[Bucket, ...], folder: Path) -> None:
    """Write the groups of all files to the files of their chunks, and delete the former."""
    arrow = optional("pyarrow", "data", PURPOSE)
    heights = np.array([bucket.height for bucket in buckets])
    filled = [0] * len(buckets)
    with ExitStack() as stack:
        writers: dict[int, Any] = {}
        for path in paths:
            table = _read(path)
            groups = group_keys(table, chosen.by)
            home = np.searchsorted(heights, groups.sizes)
            for number, bucket in enumerate(buckets):
                members = np.flatnonzero(home == number)
                while len(members):
                    chunk, taken = divmod(filled[number], bucket.lanes)
                    some, members = np.split(members, [min(bucket.lanes - taken, len(members))])
                    if taken == 0:
                        if number in writers:
                            writers.pop(number).close()
                        target = _chunk_path(folder, number, chunk)
                        writers[number] = stack.enter_context(arrow.ipc.new_file(str(target), table.schema))
                    writers[number].write_table(table.take(groups.some(some).row_numbers()))
                    filled[number] += len(some)
            del table
            path.unlink()


def chunk_paths(folder: Path, buckets: tuple[Bucket, ...]) -> tuple[Path, ...]:
    """Return the files of all chunks, bucket after bucket."""
    return tuple(_chunk_path(folder, n, chunk) for n, bucket in enumerate(buckets) for chunk in range(bucket.chunks))


def _chunk_path(folder: Path, bucket: int, chunk: int) -> Path:
    return folder / f"bucket-{bucket:02d}-chunk-{chunk:06d}.arrow"


def _read(path: Path) -> "pa.Table":
    """Map a file; only the columns that are used are read."""
    arrow = optional("pyarrow", "data", PURPOSE)
    with arrow.memory_map(str(path)) as source:
        table: pa.Table = arrow.ipc.open_file(source).read_all()
    return table

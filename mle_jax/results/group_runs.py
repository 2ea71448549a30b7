"""From the table of `fit_groups` to its result: where the rows are, what is done already, where the numbers go."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._optional import optional
from mle_jax.data.buckets import Bucket, choose_buckets
from mle_jax.data.group_tables import fingerprint, is_dataset, load
from mle_jax.data.groups import PURPOSE, GroupColumns, Groups, group_rows
from mle_jax.data.scattered import COPIES, Scattered, chunk_paths, needed_row_bytes, read_chunk, scatter
from mle_jax.results import group_output as output
from mle_jax.results.fit_object import Fit
from mle_jax.results.group_fits import KeptRows, Setting, fit_kept, fit_of_numbers
from mle_jax.results.group_workers import Chunk, progress_bar, run_here, run_on_workers, some_groups

if TYPE_CHECKING:
    import pyarrow as pa

    from mle_jax.likelihood import Model

CHUNK_ROWS = 2**22
"""Rows of a chunk, at most: so much is done again after a crash."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What `fit_groups` was asked for, checked.

    Attributes:
        setting: the model and its options.
        source: a data frame or an arrow dataset.
        chosen: what its columns are for.
        missing: "report" or "drop".
        memory: bytes that rows may take.
        client: of dask.distributed, or None.
        progress: whether to show a bar.
    """

    setting: Setting
    source: Any
    chosen: GroupColumns
    missing: str
    memory: float
    client: Any
    progress: bool

    @property
    def row_bytes(self) -> int:
        """About how many bytes a row takes."""
        schema = self.source.schema if is_dataset(self.source) else None
        return 8 * len(self.chosen.needed) if schema is None else needed_row_bytes(schema, self.chosen)

    @property
    def chunk_rows(self) -> int:
        """About how many rows a chunk may have: it exists as read, filled up, and on its way through the search."""
        return int(min(max(self.memory / (2 * COPIES * self.row_bytes), 1), CHUNK_ROWS))

    @property
    def is_large(self) -> bool:
        """Whether the rows are in files and do not fit into memory."""
        return is_dataset(self.source) and COPIES * self.source.count_rows() * self.row_bytes > self.memory


def fit_in_memory(run: Run) -> Fit:
    """Return the fits of all groups, with their rows where these are in memory and the work is done here."""
    if not run.is_large:
        groups = group_rows(load(run.source, run.chosen), run.chosen, missing=run.missing)
        setting, plan = _planned(run, groups)
        if run.client is None:
            with progress_bar(len(groups), shown=run.progress) as advance:
                kept = KeptRows(groups, setting.job.shared, plan)
                return fit_kept(setting, kept, advance, at_once=not run.progress)  # a bar has to move
        return _collect(replace(run, setting=setting), _chunks_in_memory(groups, plan))
    with tempfile.TemporaryDirectory(prefix="mle_jax-") as folder:
        scattered = _scatter(run, Path(folder, output.SCRATCH))
        setting = replace(run.setting, buckets=scattered.buckets)
        return _collect(replace(run, setting=setting), _chunks_on_disk(run, scattered))


def fit_into(run: Run, folder: Path, model: "Model", *, resume: bool) -> Fit:
    """Write the results of all groups into a folder, but for those that are there, and return them."""
    table = None if run.is_large else load(run.source, run.chosen)
    manifest = output.open_output(folder, _texts(run, table, model), resume=resume)
    if manifest["complete"]:
        buckets = tuple(Bucket(*bucket) for bucket in manifest["buckets"])
        return _read(run, buckets, folder)
    if table is not None:
        groups = group_rows(table, run.chosen, missing=run.missing)
        setting, plan = _planned(run, groups)
        chunks, buckets = _chunks_in_memory(groups, plan), setting.buckets
    else:
        scattered = _scattered_before(run, folder, manifest) or _scatter(run, folder / output.SCRATCH)
        chunks, buckets = _chunks_on_disk(run, scattered), scattered.buckets
        manifest["kinds"] = dict(scattered.kinds)
    manifest["buckets"] = [list(bucket) for bucket in buckets]
    output.write_manifest(folder, manifest)
    _work(
        run, [chunk for chunk in chunks if not output.part_path(folder, chunk.number).exists()], partial(_keep, folder)
    )
    output.write_manifest(folder, {**manifest, "complete": True})
    shutil.rmtree(folder / output.SCRATCH, ignore_errors=True)
    return _read(run, buckets, folder)


def _planned(run: Run, groups: Groups) -> tuple[Setting, list[tuple[Bucket, np.ndarray]]]:
    """Choose the buckets, and say which groups in memory are fitted together: in the order of their keys."""
    filled = np.maximum(groups.sizes, 1)
    buckets = choose_buckets(
        *np.unique(filled, return_counts=True), chunk_rows=run.chunk_rows, together=run.setting.job.together
    )
    home = np.searchsorted([bucket.height for bucket in buckets], filled)
    plan = []
    for number, bucket in enumerate(buckets):
        members = np.flatnonzero(home == number)
        plan += [(bucket, members[first:end]) for first, end in bucket.parts()]
    return replace(run.setting, buckets=buckets), plan


def _chunks_in_memory(groups: Groups, plan: Sequence[tuple[Bucket, np.ndarray]]) -> list[Chunk]:
    return [
        Chunk(number, bucket, len(members), partial(some_groups, groups, members))
        for number, (bucket, members) in enumerate(plan)
    ]


def _scatter(run: Run, scratch: Path) -> Scattered:
    return scatter(
        run.source,
        run.chosen,
        scratch,
        memory=run.memory,
        chunk_rows=run.chunk_rows,
        together=run.setting.job.together,
    )


def _scattered_before(run: Run, folder: Path, manifest: dict[str, Any]) -> Scattered | None:
    """Return the chunks that an earlier run has brought together on disk; None where it has not come so far."""
    if "kinds" not in manifest:
        return None
    buckets = tuple(Bucket(*bucket) for bucket in manifest["buckets"])
    paths = chunk_paths(folder / output.SCRATCH, buckets)
    missing = [path for i, path in enumerate(paths) if not path.exists() and not output.part_path(folder, i).exists()]
    return None if missing else Scattered(buckets, manifest["kinds"], paths)


def _chunks_on_disk(run: Run, scattered: Scattered) -> list[Chunk]:
    pieces = [(bucket, end - first) for bucket in scattered.buckets for first, end in bucket.parts()]
    read = partial(read_chunk, chosen=run.chosen, missing=run.missing, kinds=scattered.kinds)
    return [
        Chunk(number, bucket, size, partial(read, path))
        for number, ((bucket, size), path) in enumerate(zip(pieces, scattered.paths, strict=True))
    ]


def _work(run: Run, chunks: Sequence[Chunk], keep: Any) -> None:
    """Fit the chunks and hand on their numbers."""
    with progress_bar(sum(chunk.size for chunk in chunks), shown=run.progress) as advance:

        def store(chunk: Chunk, table: "pa.Table") -> None:
            keep(chunk, table)
            path = next(iter(getattr(chunk.read, "args", ())), None)
            if isinstance(path, Path):
                path.unlink()  # the rows of a chunk that is done only take up room
            advance(chunk.size)

        if run.client is None:
            run_here(run.setting.job, chunks, store)
        else:
            run_on_workers(run.client, run.setting.job, chunks, store)


def _keep(folder: Path, chunk: Chunk, table: "pa.Table") -> None:
    output.write_part(folder, chunk.number, table)


def _collect(run: Run, chunks: Sequence[Chunk]) -> Fit:
    """Fit the chunks and return a Fit of their numbers."""
    tables: dict[int, pa.Table] = {}
    _work(run, chunks, lambda chunk, table: tables.__setitem__(chunk.number, table))
    return _joined(run.setting, run.chosen, [tables[number] for number in sorted(tables)])


def _read(run: Run, buckets: tuple[Bucket, ...], folder: Path) -> Fit:
    count = sum(bucket.chunks for bucket in buckets)
    tables = [output.read_part(folder, number) for number in range(count)]
    return _joined(replace(run.setting, buckets=buckets), run.chosen, tables)


def _joined(setting: Setting, chosen: GroupColumns, tables: list["pa.Table"]) -> Fit:
    whole = optional("pyarrow", "data", PURPOSE).concat_tables(tables)
    return fit_of_numbers(setting, whole, chosen.by)


def _texts(run: Run, table: "pa.Table | None", model: "Model") -> dict[str, str]:
    """Return what the results depend on, as texts that change when it does."""
    job = run.setting.job
    values = {
        "by": run.chosen.by,
        "columns": run.chosen.columns,
        "weights": run.chosen.weights,
        "model": model,
        "shared": job.shared,
        "missing": run.missing,
        "memory": run.memory,
        **job.options,
    }
    return {"table": fingerprint(run.source, table, run.chosen)} | {n: output.text_of(v) for n, v in values.items()}

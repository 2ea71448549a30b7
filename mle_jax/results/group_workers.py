"""Chunks of groups, one after the other in this process or on the workers of a `dask.distributed` client."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mle_jax._optional import optional
from mle_jax.data.buckets import Bucket
from mle_jax.data.groups import Groups
from mle_jax.results.group_chunks import Job, chunk_table

if TYPE_CHECKING:
    import pyarrow as pa

Store = Callable[["Chunk", "pa.Table"], None]


class Chunk(NamedTuple):
    """Groups that are fitted together.

    Attributes:
        number: of the chunk, which names its file.
        bucket: the shape.
        size: how many groups there are.
        read: brings the groups.
    """

    number: int
    bucket: Bucket
    size: int
    read: Callable[[], Groups]


def some_groups(groups: Groups, members: np.ndarray) -> Groups:
    """Return some of the groups in memory."""
    return groups.some(members)


def run_here(job: Job, chunks: Iterable[Chunk], store: Store) -> None:
    """Fit one chunk after the other in this process."""
    for chunk in chunks:
        store(chunk, chunk_table(job, chunk.read(), chunk.bucket))


def run_on_workers(client: Any, job: Job, chunks: Iterable[Chunk], store: Store) -> None:
    """Fit chunks on the workers of a client, two at a time for each of their threads; results come back in any order.

    A chunk whose worker dies is given to another one by dask.
    """
    distributed, cloudpickle = (optional(name, "dask", "client=") for name in ("distributed", "cloudpickle"))
    # The copy of the model has not compiled anything yet: programs cannot be sent.
    payload = cloudpickle.dumps(replace(job, model=replace(job.model)))
    waiting = iter(chunks)
    sent: dict[Any, Chunk] = {}
    running = distributed.as_completed(loop=client.loop)

    def send_next() -> None:
        chunk = next(waiting, None)
        if chunk is not None:
            future = client.submit(_run_there, payload, _portable(chunk), pure=False)
            sent[future.key] = chunk
            running.add(future)

    for _ in range(2 * max(sum(client.nthreads().values()), 1)):
        send_next()
    for future in running:
        store(sent.pop(future.key), future.result())
        send_next()


def _portable(chunk: Chunk) -> Chunk:
    """Return a chunk that can be sent: rows in memory go along, those in a file are read by the worker."""
    if getattr(chunk.read, "func", None) is not some_groups:
        return chunk
    return chunk._replace(read=partial(_itself, chunk.read().compact()))


def _itself(groups: Groups) -> Groups:
    return groups


def _run_there(payload: bytes, chunk: Chunk) -> "pa.Table":
    return chunk_table(_unpacked(payload), chunk.read(), chunk.bucket)


@lru_cache(maxsize=4)
def _unpacked(payload: bytes) -> Job:
    """Unpack a job once per worker: its model keeps the compiled programs."""
    job: Job = pickle.loads(payload)
    return job


def check_client(client: Any) -> None:
    """Raise where this is no client of dask.distributed."""
    if client is not None and not (hasattr(client, "submit") and hasattr(client, "nthreads")):
        raise TypeError(
            f"client is a {type(client).__name__}, but it must be a dask.distributed Client; pass Client(...), or "
            "leave it out"
        )


@contextmanager
def progress_bar(total: int, *, shown: bool) -> Iterator[Callable[[int], Any]]:
    """Give a function to be told of every so many groups that are done; with a bar on the screen if wished."""
    if not shown:
        yield lambda count: None
        return
    with optional("tqdm", "data", "progress=True").tqdm(total=total, unit=" groups", unit_scale=True) as bar:
        yield bar.update

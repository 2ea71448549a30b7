"""Results of groups in a folder: parts that are whole or not there, and a manifest that says of which run they are."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._optional import optional
from mle_jax._text import listing
from mle_jax.data.groups import PURPOSE

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "_manifest.json"  # readers of Parquet folders pass over names that begin with _ or .
SCRATCH = "_scratch"
FORMAT = 1


def open_output(folder: Path, run: Mapping[str, str], *, resume: bool) -> dict[str, Any]:
    """Make the folder, or look at what an earlier run has left there; return its manifest.

    Args:
        folder: where the results go.
        run: what the results depend on, name by name, each as a text that changes when it does.
        resume: go on with what is there, or begin anew.

    Raises:
        FileExistsError: the folder holds something else.
        ValueError: it holds the results of another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MANIFEST
    if not path.exists():
        foreign = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
        if foreign:
            raise FileExistsError(
                f"output is '{folder}', but this folder holds {listing(sorted(foreign))} and no results of fit_groups; "
                "pass an empty folder or a new one"
            )
    elif resume:
        manifest: dict[str, Any] = json.loads(path.read_text())
        _refuse_other_run(folder, manifest, run)
        for entry in folder.glob(".*.tmp"):  # what was being written when the run was killed
            entry.unlink()
        return manifest
    for entry in [*folder.glob("part-*.parquet"), *folder.glob(".*.tmp"), path]:
        entry.unlink(missing_ok=True)
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    manifest = {"format": FORMAT, "run": dict(run), "complete": False}
    write_manifest(folder, manifest)
    return manifest


def _refuse_other_run(folder: Path, manifest: Mapping[str, Any], run: Mapping[str, str]) -> None:
    known = manifest.get("run", {})
    other = [name for name in {**known, **run} if known.get(name) != run.get(name)]
    if manifest.get("format") != FORMAT or other:
        what = f"differs in {listing(other)}" if other else "was written by another version of mle_jax"
        raise ValueError(
            f"output is '{folder}', but the run whose results are there {what}; pass resume=False to begin anew, or "
            "another folder"
        )


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, whole or not at all."""
    write_whole(folder / MANIFEST, lambda file: file.write(json.dumps(manifest, indent=1).encode()))


def write_part(folder: Path, number: int, table: "pa.Table") -> None:
    """Write the results of a chunk, whole or not at all."""
    parquet = optional("pyarrow.parquet", "data", PURPOSE)
    write_whole(part_path(folder, number), lambda file: parquet.write_table(table, file))


def write_whole(path: Path, write: Callable[[Any], Any]) -> None:
    """Write a file under another name, and give it its own when it is safe on disk."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder last, where the system can (not on Windows)."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def part_path(folder: Path, number: int) -> Path:
    """Return where the results of a chunk stand."""
    return folder / f"part-{number:06d}.parquet"


def read_part(folder: Path, number: int) -> "pa.Table":
    """Read the results of a chunk."""
    table: pa.Table = optional("pyarrow.parquet", "data", PURPOSE).ParquetFile(part_path(folder, number)).read()
    return table


def text_of(value: Any) -> str:
    """Return a short text that is the same in every process, and another for another value.

    Of functions the code counts, and what they have taken from outside; not the functions that they call by a global
    name.
    """
    digest = hashlib.blake2b(digest_size=16)
    _digest(value, digest.update, [])
    return digest.hexdigest()


def _digest(value: Any, update: Callable[[bytes], None], above: list[Any]) -> None:
    """Go through a value and hand all that it consists of to the hash; `above` holds what it is a part of."""
    if isinstance(value, np.ndarray) or hasattr(value, "addressable_shards"):
        array = np.asarray(value)
        update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    elif isinstance(value, str | bytes | int | float | bool | type(None) | type):
        update(repr(value).encode() + b";")
    elif not any(value is one for one in above):
        update(type(value).__qualname__.encode() + b"(")
        for part in _parts(value):
            _digest(part, update, [*above, value])
        update(b")")


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [part for key in sorted(value, key=repr) for part in (key, value[key])]
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, CodeType):
        return [value.co_code, value.co_names, value.co_consts]
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        return [value.__code__, value.__defaults__, value.__kwdefaults__, cells]
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if hasattr(value, "__wrapped__"):
        return [value.__wrapped__]
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value) if not field.name.startswith("_")]
    return [re.sub(r" at 0x[0-9a-f]+", "", repr(value))]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False

"""What `mle-jax check` is pointed at: a model in somebody's file, its data from a table, and a point."""

import importlib.util
import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mle_jax._text import listing
from mle_jax.cli.choosing import INTERCEPT
from mle_jax.cli.columns import read_columns
from mle_jax.cli.ready_made import nearest
from mle_jax.data.files import DataFile
from mle_jax.likelihood import Model


class Leaves(NamedTuple):
    """The data of a model by leaf, and where they came from."""

    data: dict[str, np.ndarray]
    columns: dict[str, tuple[str, ...]]
    """Leaf to names of columns."""
    left_out: tuple[str, ...]
    """Columns of texts, where no columns were chosen."""
    n_dropped: int


def load_model(target: str) -> tuple[Model, str]:
    """Return the model that FILE.py:NAME means, and its name; without a name the only model of the file.

    Raises:
        OSError: there is no such file.
        ValueError: it cannot be run, or holds no such model.
        TypeError: the name is that of something else.
    """
    file, colon, name = target.rpartition(":")
    if not colon or name.endswith(".py"):
        file, name = target, ""
    path = Path(file)
    if path.suffix != ".py":
        raise ValueError(f"'{target}' names no Python file; pass FILE.py:MODEL, such as survival.py:model")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file '{path}'; pass FILE.py:MODEL")
    found = vars(_imported(path))
    models = {key: value for key, value in found.items() if isinstance(value, Model) and not key.startswith("_")}
    if not name and len(models) == 1:
        return next(iter(models.values())), next(iter(models))
    known = f"its models are {listing(list(models))}" if models else "it holds none; write model = mle_jax.Model(...)"
    if not name:
        raise ValueError(f"'{target}' does not say which model is meant; {known}, so pass {path}:NAME")
    if name not in found:
        near = nearest(name, models)
        raise ValueError(f"{path} has no '{name}'; " + (f"did you mean '{near}'?" if near else known))
    if not isinstance(found[name], Model):
        kind = type(found[name]).__name__
        article = "an" if kind[0] in "aeiou" else "a"
        raise TypeError(f"'{name}' in {path} is {article} {kind}, but the command checks an mle_jax.Model; {known}")
    return found[name], name


def _imported(path: Path) -> Any:
    """Run a Python file, which may import its neighbors."""
    name = f"_checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None  # the path ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a stranger's file may raise
        line = error.lineno if isinstance(error, SyntaxError) else _line(error, path)
        place = f" in line {line}" if line else ""
        raise ValueError(f"{path} cannot be run: {_told(error)}{place}; correct the file") from error
    return module


def checked(target: str, model: Model, data: Any, params: Any, **options: Any) -> Any:
    """Return the model's gradient check, with what its own functions raise said in one sentence.

    Raises:
        ValueError: the functions of the model cannot be run.
    """
    path = Path(target.rpartition(":")[0] or target)
    try:
        return model.check_gradient(data, params, **options)
    except Exception as error:  # whatever a stranger's function may raise
        line = _line(error, path)
        if line is None:
            raise  # by the library, which says it in full
        raise ValueError(f"{path} stopped in line {line}: {_told(error)}; correct the model") from error


def _line(error: BaseException, path: Path) -> int | None:
    """Return the last line of a file that an error went through."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return next((frame.lineno for frame in frames if Path(frame.filename) == path.resolve()), None)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def read_leaves(
    file: DataFile,
    *,
    response: str | None,
    features: Sequence[str],
    intercept: bool,
    leaves: Mapping[str, str],
    drop_missing: bool,
) -> Leaves:
    """Make leaves of the columns of a file: y and x as `mle-jax fit` does, others by name; by default all columns.

    Raises:
        ValueError: a column is not there or chosen twice, or a value is missing or infinite.
        TypeError: a chosen column holds texts.
    """
    columns: dict[str, tuple[str, ...]] = {leaf: (name,) for leaf, name in leaves.items()}
    options = dict.fromkeys(columns, "--leaf")
    for leaf, names, option in (
        ("y", (response,) * (response is not None), "--response"),
        ("x", features, "--features"),
    ):
        if names and leaf in columns:
            raise ValueError(
                f"{option} is the leaf '{leaf}', but --leaf names one of this name too; choose one of them"
            )
        if names:
            columns[leaf], options[leaf] = tuple(str(name) for name in names), option
    left_out: tuple[str, ...] = ()
    if not columns:
        left_out = tuple(name for name in file.names if not _is_numeric(file, name))
        columns = {name: (name,) for name in file.names if name not in left_out}
        options = dict.fromkeys(columns, "--leaf")
    chosen = [(options[leaf], name) for leaf, names in columns.items() for name in names]
    if not chosen:
        raise ValueError(f"{file.path.name} has no column of numbers; its columns are {listing(file.names)}")
    read, lacks = read_columns(file, chosen, drop_missing=drop_missing)
    kept = {name: np.asarray(column[~lacks].data) for name, column in read.items()}
    data = {leaf: kept[names[0]] for leaf, names in columns.items() if leaf != "x" or not features}
    if features:
        ones = [np.ones(int((~lacks).sum()))] * intercept
        data["x"] = np.stack([*ones, *(kept[name] for name in columns["x"])], axis=1).astype(np.float64)
        columns["x"] = (INTERCEPT,) * intercept + columns["x"]
    return Leaves(data, columns, left_out, int(lacks.sum()))


def read_params(words: Sequence[str]) -> Any:
    """Read a point: one JSON object, or words NAME=VALUE with numbers or lists of numbers; None for no words.

    Raises:
        ValueError: they are neither.
    """
    if not words:
        return None
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        return _point(words[0], _parsed(words[0], words[0]))
    point = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise ValueError(f"--params {word!r} is no NAME=VALUE; write for instance --params rate=2 'w=[0.5, 1]'")
        point[name] = _point(word, _parsed(word, value))
    return point


def _parsed(word: str, value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"--params {word!r} is neither a number nor JSON ({error}); write for instance rate=2, 'w=[0.5, 1]' or "
            """'{"rate": 2}'"""
        ) from None


def _point(word: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _point(word, inner) for name, inner in value.items()}
    try:
        return np.asarray(value, np.float64)[()]
    except (TypeError, ValueError):
        raise ValueError(
            f"--params {word!r} holds {value!r}, but a parameter is a number or a list of numbers; write it so"
        ) from None


def _is_numeric(file: DataFile, name: str) -> bool:
    try:
        file.numbers(name)
    except TypeError:
        return False
    return True

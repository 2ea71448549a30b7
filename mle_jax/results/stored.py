"""`Fit.save` and `Fit.load`: all numbers of a fit in one file of arrays (npz), what is in words in a JSON header of it.

Nothing is pickled, so a file runs no code and outlives versions of this library; a pickle of a fit holds such a file.
Model, data and weights are left out. A fit that is read back needs no model: it has its numbers, names, tables and the
covariance matrix in use (of groups whose rows are not kept the standard errors); what takes the model or the data
raises and says how to get it. Containers in params other than dicts, lists and tuples come back as one dict of the
leaves by name.
"""

import io
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mle_jax._status import Status
from mle_jax._trees import in_order
from mle_jax.optimizers.minimizing import History
from mle_jax.parameters import ParameterSpace
from mle_jax.results.covariance_access import flatten_numpy, unflatten_numpy
from mle_jax.results.fit_object import Fit
from mle_jax.results.record import Record
from mle_jax.tables import Table

FORMAT, VERSION = "mle_jax.Fit", 1
NUMBERS = ("log_likelihood", "steps", "decrement", "n_observations")
TABLES = ("maxima", "refitted", "buckets")


@dataclass(frozen=True)
class StoredLeaf:
    """Say where the entries of one parameter stand, in the place of its declaration."""

    shape: tuple[int, ...]
    places: tuple[int, ...]  # of the named entries in the raveled leaf
    sources: tuple[int, ...]  # of the elements of the raveled leaf among the named entries

    @property
    def flat_size(self) -> int:
        """The number of named entries."""
        return len(self.places)

    def flatten(self, value: Any) -> Any:
        """List the entries (flat_size,) of a value."""
        return value.reshape(-1)[np.array(self.places, int)]

    def unflatten(self, flat: Any) -> Any:
        """Put entries (flat_size,) back into a value."""
        return flat[np.array(self.sources, int)].reshape(self.shape)


@dataclass(frozen=True)
class StoredModel:
    """All that is known of the model."""

    label: str


@dataclass(frozen=True)
class StoredPlace:
    """Name the parameters, in the place of the free coordinates."""

    space: ParameterSpace


def save_fit(fit: Fit, path: Any) -> None:
    """Write a fit; see `Fit.save`."""
    arrays = _in_arrays(fit)
    target = Path(path)
    part = target.with_name(target.name + ".part")  # a file is whole or not there
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    os.replace(part, target)


def packed(fit: Fit) -> bytes:
    """Return the file that `save_fit` writes."""
    with io.BytesIO() as file:
        np.savez(file, allow_pickle=False, **_in_arrays(fit))
        return file.getvalue()


def unpacked(content: bytes) -> Fit:
    """Read back what `packed` returned."""
    with io.BytesIO(content) as file:
        return load_fit(file)


def _in_arrays(fit: Fit) -> dict[str, np.ndarray]:
    header, arrays = _in_words(fit), _in_numbers(fit)
    for i, (name, values) in enumerate((fit._record.keys or {}).items()):
        arrays[f"key{i}"] = _plain(name, values)
    for name in TABLES:
        table = getattr(fit, name)
        if table is not None:
            header["tables"][name] = {"columns": table.columns, "title": table.title, "notes": table.notes}
            arrays |= {f"{name}{i}": table[column] for i, column in enumerate(table.columns)}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    return arrays


def _in_words(fit: Fit) -> dict[str, Any]:
    record, space = fit._record, fit._record.place.space
    messages = fit.message if fit.is_batch else (fit.message,)
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": record.model.label,
        "layout": _layout(space),
        "names": space.leaf_names,
        "labels": space.labels,
        "shapes": [declared.shape for declared in space.declarations],
        "fixed": [bool(stuck) for stuck in record.fixed],
        **{name: getattr(record, name) for name in ("kind", "optimizer", "weight_kind", "n_lanes", "dropped", "given")},
        "tables_errors": record.tables_errors,
        "constraints": record.constraints,
        "settled_by": {str(lane): rung for lane, rung in record.settled_by.items()},
        "keys": None if record.keys is None else list(record.keys),
        "n_parameters": fit.n_parameters,
        "messages": list(dict.fromkeys(messages)),
        "tables": {},
    }


def _in_numbers(fit: Fit) -> dict[str, np.ndarray]:
    space = fit._record.place.space
    lead = (len(fit),) if fit.is_batch else ()
    messages = fit.message if fit.is_batch else (fit.message,)
    codes = {text: code for code, text in enumerate(dict.fromkeys(messages))}
    arrays = {
        "estimates": flatten_numpy(space, fit.params, lead),
        "reliable": flatten_numpy(space, fit.reliable, lead),
        **({"covariance": fit.covariance()} if fit._record.errors is None else {"errors": fit._record.errors}),
        "withheld": fit._record.withheld,
        "status": np.asarray(fit.status, np.int64),
        "message": np.array([codes[text] for text in messages]),
        **{name: np.asarray(getattr(fit, name)) for name in NUMBERS},
    }
    for i, declared in enumerate(space.declarations):
        places = np.arange(int(np.prod(declared.shape, dtype=int))).reshape(declared.shape)
        arrays[f"places{i}"] = np.asarray(declared.flatten(places))
        arrays[f"sources{i}"] = np.asarray(declared.unflatten(np.arange(declared.flat_size))).reshape(-1)
    if fit._record.precisions_agree is not None:
        arrays["precisions_agree"] = fit._record.precisions_agree
    if fit.history is not None:
        arrays["history"] = np.stack([fit.history.value, fit.history.gradient_norm])
        arrays["history_params"] = flatten_numpy(space, fit.history.params, (len(fit.history.value),))
    return arrays


def _plain(name: str, values: Any) -> np.ndarray:
    """Return a key as an array that needs no pickle."""
    array = np.asarray(values)
    if array.dtype != object:
        return array
    if not all(isinstance(value, str) for value in array.tolist()):
        raise ValueError(
            f"key '{name}' holds Python objects, but a file holds numbers, dates or texts; convert the column that the "
            "datasets were grouped by"
        )
    return array.astype(np.str_)


def _layout(space: ParameterSpace) -> Any:
    """Write the containers of params with the positions of the leaves, as JSON can hold it."""
    tree = in_order(space.rebuild(list(range(len(space.leaf_names)))), space.leaf_names)
    try:
        return _written(tree)
    except TypeError:
        return {"dict": [[name, i] for i, name in enumerate(space.leaf_names)]}


def _written(node: Any) -> Any:
    if type(node) is dict and all(isinstance(key, str) for key in node):
        return {"dict": [[key, _written(value)] for key, value in node.items()]}
    if type(node) in (list, tuple):
        return {type(node).__name__: [_written(value) for value in node]}
    if type(node) is int or node is None:
        return node
    raise TypeError(type(node))


def _read_back(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, children),) = node.items()
    if kind == "dict":
        return {key: _read_back(value) for key, value in children}
    return tuple(map(_read_back, children)) if kind == "tuple" else [_read_back(value) for value in children]


def load_fit(path: Any) -> Fit:
    """Read a fit back from a path or an open file; see `Fit.load`."""
    header, arrays = _opened(path)
    space = _space(header, arrays)
    messages = [header["messages"][code] for code in arrays["message"].tolist()]
    batch = header["n_lanes"] is not None
    record = Record(
        model=StoredModel(header["model"]),  # type: ignore[arg-type]
        **{name: header[name] for name in ("kind", "optimizer", "weight_kind", "n_lanes", "dropped", "given")},
        **dict.fromkeys(("data", "weights", "clusters", "solution")),  # type: ignore[arg-type]
        place=StoredPlace(space),
        withheld=arrays["withheld"],
        fixed=tuple(header["fixed"]),
        constraints=tuple(header["constraints"]),
        keys=None if header["keys"] is None else {name: arrays[f"key{i}"] for i, name in enumerate(header["keys"])},
        settled_by={int(lane): rung for lane, rung in header["settled_by"].items()},
        tables_errors=header.get("tables_errors", True),  # older files have none
        precisions_agree=arrays.get("precisions_agree"),
        matrix=arrays.get("covariance"),
        errors=arrays.get("errors"),
    )
    tables: dict[str, Any] = {
        name: Table({c: arrays[f"{name}{i}"] for i, c in enumerate(table.pop("columns"))}, **table)
        for name, table in header["tables"].items()
    }
    return Fit(
        params=_laid_out(space, arrays["estimates"]),
        names=space.names,
        status=arrays["status"] if batch else Status(int(arrays["status"])),
        message=tuple(messages) if batch else messages[0],
        reliable=_laid_out(space, arrays["reliable"]),
        **{name: arrays[name] if batch else arrays[name].item() for name in NUMBERS},
        n_parameters=header["n_parameters"],
        history=_history(space, arrays),
        maxima=tables.get("maxima"),
        refitted=tables.get("refitted"),
        buckets=tables.get("buckets"),
        _record=record,
    )


def _laid_out(space: ParameterSpace, flat: np.ndarray) -> Any:
    tree = unflatten_numpy(space, flat)
    for leaf in jax.tree_util.tree_leaves(tree):
        leaf.setflags(write=False)  # results are immutable
    return tree


def _opened(path: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays.pop("header").tobytes())
    except (ValueError, KeyError, AttributeError, EOFError, TypeError) as error:
        raise ValueError(f"{_name(path)} is no file that fit.save wrote; pass one, or fit again") from error
    if header.get("format") != FORMAT or header["version"] > VERSION:
        held = f"{header.get('format')} of version {header.get('version')}"
        raise ValueError(
            f"{_name(path)} holds {held}, but {FORMAT} up to version {VERSION} is read here; update mle_jax"
        )
    for array in arrays.values():
        array.flags.writeable = False
    return header, arrays


def _name(path: Any) -> str:
    return "what was pickled" if isinstance(path, io.BytesIO) else str(path)


def _space(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> ParameterSpace:
    leaves = [
        StoredLeaf(tuple(shape), tuple(arrays[f"places{i}"].tolist()), tuple(arrays[f"sources{i}"].tolist()))
        for i, shape in enumerate(header["shapes"])
    ]
    order, treedef = jax.tree_util.tree_flatten(_read_back(header["layout"]))
    labels = tuple(tuple(entries) for entries in header["labels"])
    return ParameterSpace(tuple(header["names"]), tuple(leaves), treedef, tuple(order), labels)  # type: ignore[arg-type]


def _history(space: ParameterSpace, arrays: dict[str, np.ndarray]) -> History | None:
    if "history" not in arrays:
        return None
    value, norm = arrays["history"]
    return History(value=value, gradient_norm=norm, params=_laid_out(space, arrays["history_params"]))


def stored_lane(fits: Fit, lane: int) -> Fit:
    """Return the single fit of one dataset of a batch that was read from a file."""
    record = fits._record
    assert record.matrix is not None

    def one(tree: Any) -> Any:
        return jax.tree_util.tree_map(lambda leaf: leaf[lane], tree)

    return replace(
        fits,
        params=in_order(one(fits.params), record.place.space.leaf_names),
        reliable=in_order(one(fits.reliable), record.place.space.leaf_names),
        status=Status(int(fits.status[lane])),
        message=fits.message[lane],
        **{name: getattr(fits, name)[lane].item() for name in NUMBERS},
        maxima=None,
        refitted=None,
        buckets=None,
        _record=replace(
            record,
            n_lanes=None,
            keys=None,
            withheld=record.withheld[lane],
            matrix=record.matrix[lane],
            settled_by={},
            tables_errors=True,
            precisions_agree=None,
        ),
    )

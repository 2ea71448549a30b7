"""Data in: from what people have to arrays that are checked once, before anything is compiled."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mle_jax._trees import lists_to_arrays, named_leaves
from mle_jax.data.tables import is_table, read_table
from mle_jax.likelihood.layout import shapes_of
from mle_jax.likelihood.rows import row_layout

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

ColumnNames = dict[str, tuple[str, ...]]

LARGE = 2**23  # bytes
ALIGNED = 64  # bytes: where JAX takes an array as it is


class CleanData(NamedTuple):
    """Data that are ready for a fit."""

    data: Any  # NumPy arrays: floats as float64, integers as int64, bool as bool
    column_names: ColumnNames
    weights: np.ndarray | None
    kept: np.ndarray | None  # which of the given rows these are, or None for all
    files: Any = None  # where the rows stay that are not in memory, from `data.pieces`

    @property
    def dropped(self) -> int:
        """The number of rows left out."""
        return 0 if self.kept is None else int((~self.kept).sum())


def read_data(
    data: Any, columns: Mapping[str, Any] | None, *, keep: Callable[[str, Any], Any] | None = None
) -> tuple[Any, ColumnNames]:
    """Turn a pytree of arrays, or a table, into NumPy arrays and the names of their columns.

    They are copies, of all that can be written to, so that a change of the data does not change a fit; but for what
    `keep` returns instead, given the name of a leaf and the leaf, if it does not return None.

    Raises:
        TypeError: a leaf is not numeric, or columns= comes with something that is not a table.
        ValueError: there are no data.
    """
    if is_table(data):
        raw, names = read_table(data, columns)
    elif columns is not None:
        raise TypeError(
            f"columns= chooses columns of a table, but the data are a {type(data).__name__}; leave columns out"
        )
    else:
        raw, names = lists_to_arrays(data), {}
    named = named_leaves(raw, root="data")
    if not named.leaves:
        raise ValueError("the data have no leaves; pass a dict of arrays such as {'y': y}")
    shapes_of(raw)
    kept = [None if keep is None else keep(*one) for one in zip(named.names, named.leaves, strict=True)]
    pairs = zip(named.leaves, kept, strict=True)
    return named.rebuild([_copy_of(leaf) if instead is None else instead for leaf, instead in pairs]), names


def _copy_of(leaf: Any) -> np.ndarray:
    if isinstance(leaf, np.ma.MaskedArray):
        leaf = np.where(np.ma.getmaskarray(leaf), np.nan, np.asarray(leaf, np.float64))  # masked means missing
    array = np.asarray(leaf)
    return widened(array, copy=not _is_locked(array))


def widened(leaf: np.ndarray, *, copy: bool = False) -> np.ndarray:
    """Return floats as float64, integers as int64 (both in the machine's byte order), booleans as they are."""
    dtype = wide_dtype(leaf.dtype)
    return _copied(leaf, dtype) if copy and leaf.nbytes >= LARGE else leaf.astype(dtype, copy=copy)


def wide_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of widened numbers."""
    if dtype.kind == "b":
        return dtype
    return np.dtype(np.int64 if np.issubdtype(dtype, np.integer) else np.float64)


def let_go(leaves: Iterable[Any]) -> None:
    """Take what was read of mapped files out of the process's memory; it can be read again."""
    import mmap

    for leaf in leaves:
        mapped = getattr(leaf, "_mmap", None)
        # Of a private copy ("c") changes would be lost.
        if mapped is not None and getattr(leaf, "mode", "c") != "c" and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def aligned(make: Callable[..., np.ndarray], shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """Return an array by `numpy.empty` or `numpy.zeros` that begins where JAX can use it without a copy of its own."""
    size = math.prod(shape)
    room = make(size + ALIGNED // dtype.itemsize, dtype)
    skip = -room.ctypes.data % ALIGNED // dtype.itemsize
    return room[skip : skip + size].reshape(shape)


def lock(array: np.ndarray) -> np.ndarray:
    """Return the array, which nobody can change from now on: `read_data` need not copy it."""
    part: Any = array
    while isinstance(part, np.ndarray):
        part.flags.writeable = False
        part = part.base
    return array


def _is_locked(array: np.ndarray) -> bool:
    part: Any = array
    while isinstance(part, np.ndarray) and not part.flags.writeable:
        part = part.base
    return part is None


def by_all_cores(function: Callable[[slice], Any], length: int) -> list[Any]:
    """Return what a function that lets others work meanwhile, as NumPy's do, says of the parts of a long axis."""
    edges = np.linspace(0, length, 1 + 16).astype(int).tolist()
    with ThreadPoolExecutor() as pool:
        return list(pool.map(function, [slice(first, end) for first, end in itertools.pairwise(edges)]))


def _copied(leaf: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Copy a large array by all cores, to where JAX can use it without a copy of its own."""
    copy = aligned(np.empty, leaf.shape, dtype)
    by_all_cores(lambda part: np.copyto(copy[part], leaf[part], casting="unsafe"), len(leaf))
    return copy


def _is_finite(leaf: np.ndarray) -> bool:
    if leaf.nbytes < LARGE or not leaf.ndim:
        return bool(np.isfinite(leaf).all())
    return all(by_all_cores(lambda part: _has_finite_sum(leaf[part]) or bool(np.isfinite(leaf[part]).all()), len(leaf)))


def _has_finite_sum(leaf: np.ndarray) -> bool:
    """Say whether the sum is finite, which it is only of finite numbers: it reads them twice as fast."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(leaf.sum()))


def clean_data(
    model: "Model", data: Any, *, columns: Mapping[str, Any] | None, weights: Any, missing: str
) -> CleanData:
    """Read and check the data of one fit.

    Args:
        model: says which leaves all rows share, and whether there are rows at all.
        data: pytree of arrays or a table.
        columns: which columns of a table become which leaf.
        weights: (n,) or None.
        missing: "raise", or "drop" to leave out rows with NaN.

    Raises:
        TypeError: a leaf is not numeric.
        ValueError: no rows, rows of differing number, NaN or infinite values, or weights out of range.
    """
    if missing not in ("raise", "drop"):
        raise ValueError(f"missing is {missing!r}, but it must be 'raise' or 'drop'")
    arrays, names = read_data(data, columns)
    constants = tuple(model.constants)
    if model.is_joint:
        if weights is not None:
            raise ValueError("weights need independent rows, but the model is a joint likelihood; leave them out")
        _refuse_bad_values(arrays, None, "", ())
        return CleanData(arrays, names, None, None)
    size = row_layout(arrays, constants).size
    checked = None if weights is None else check_weights(weights, size)
    if missing == "drop":
        arrays, checked, kept = _without_missing(arrays, checked, constants)
    else:
        kept = None
    _refuse_bad_values(arrays, checked, missing, constants)
    return CleanData(arrays, names, checked, kept)


def check_weights(weights: Any, size: int) -> np.ndarray:
    """Return the weights as float64, or raise where they are not one finite number of at least 0 per row."""
    try:
        array = np.asarray(weights)
    except ValueError as error:
        raise ValueError("weights are ragged, but there must be one number per row") from error
    if array.dtype == object or not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise TypeError(f"weights are of type {array.dtype}, but must be real numbers; convert them")
    array = array.astype(np.float64)
    if array.shape != (size,):
        raise ValueError(f"weights have shape {array.shape}, but the data have {size} rows; pass one weight per row")
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0)).ravel())
    if bad.size:
        raise ValueError(
            f"weight {bad[0]} is {array.ravel()[bad[0]]}, but weights must be finite and at least 0; "
            "a row of weight 0 is left out"
        )
    if np.any(array.sum(axis=-1) == 0):
        raise ValueError("all weights are 0, so no observation is left; give at least one row a positive weight")
    return array


def _rows_missing(arrays: Any, constants: tuple[str, ...]) -> np.ndarray:
    layout = row_layout(arrays, constants)
    missing = np.zeros(layout.size, bool)
    for leaf in layout.rows:
        if np.issubdtype(leaf.dtype, np.floating):
            missing |= np.isnan(leaf).any(axis=tuple(range(1, leaf.ndim)))
    return missing


def _without_missing(
    arrays: Any, weights: np.ndarray | None, constants: tuple[str, ...]
) -> tuple[Any, np.ndarray | None, np.ndarray | None]:
    missing = _rows_missing(arrays, constants)
    if missing.all():
        raise ValueError(f"every one of the {missing.size} rows has a missing value, so missing='drop' leaves none")
    if not missing.any():
        return arrays, weights, None
    layout = row_layout(arrays, constants)
    kept = layout.with_rows([leaf[~missing] for leaf in layout.rows])
    return kept, None if weights is None else weights[~missing], ~missing


def _refuse_bad_values(arrays: Any, weights: np.ndarray | None, missing: str, constants: tuple[str, ...]) -> None:
    """Raise at the first leaf with NaN or infinite values in a row of positive weight."""
    by_row = row_layout(arrays, constants).by_row if missing else None
    named = named_leaves(arrays, root="data")
    for position, (name, leaf) in enumerate(zip(named.names, named.leaves, strict=True)):
        if not np.issubdtype(leaf.dtype, np.floating) or _is_finite(leaf):
            continue
        bad = ~np.isfinite(leaf)
        if by_row is not None and by_row[position] and weights is not None:
            bad = bad & (weights > 0).reshape(-1, *[1] * (leaf.ndim - 1))
        if bad.any():
            raise ValueError(_bad_value_message(name, leaf, bad, weights is not None or not missing))


def _bad_value_message(name: str, leaf: np.ndarray, bad: np.ndarray, short: bool) -> str:
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    kinds = [word for word, found in (("NaN", np.isnan(leaf)), ("infinite", np.isinf(leaf))) if (found & bad).any()]
    place = f"in row {first[0]}" if first else "as its only value"
    if len(first) > 1:
        place += f", column {', '.join(map(str, first[1:]))}"
    rows = np.unique(np.argwhere(bad)[:, 0]).size if leaf.ndim else 1
    rest = "or remove these rows" if short or "NaN" not in kinds else "or leave these rows out by missing='drop'"
    return (
        f"data leaf '{name}' has {' and '.join(kinds)} values in {rows} of its rows, the first {place}; "
        "all values must be finite; correct them (any finite number will do where the model does not use the value), "
        f"{rest}"
    )

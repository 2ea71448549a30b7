"""Fits of rows that stay in files: memory-mapped arrays and Parquet."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mle_jax._trees import lists_to_arrays, named_leaves
from mle_jax.data.arrays import CleanData, check_weights, clean_data, widened
from mle_jax.data.filed_rows import RowsInFiles, RowsInParquet, rows_in_parquet
from mle_jax.likelihood.rows import row_layout, shape_of
from mle_jax.optimizers.newton import Newton

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

MANY_ROWS = 100_000
"""Rows of mapped arrays from which on they stay in their files."""

FileRows = RowsInFiles | RowsInParquet


def rows_in_files(model: "Model", data: Any, columns: Mapping[str, Any] | None, weights: Any) -> FileRows | None:
    """Return the rows of a Parquet file or of large memory-mapped arrays; None where the data are in memory.

    Small mapped arrays count as arrays in memory.

    Raises:
        FileNotFoundError, ValueError, TypeError: there is no such file, or the leaves do not fit together.
    """
    if isinstance(data, str | Path):
        rows = rows_in_parquet(data, columns, None)
        return rows_in_parquet(data, columns, check_weights(weights, rows.size)) if weights is not None else rows
    leaves = jax.tree_util.tree_leaves(data)
    mapped = [leaf for leaf in leaves if isinstance(leaf, np.memmap)]
    if model.is_joint or not mapped or max(shape_of(leaf)[0] for leaf in mapped if leaf.ndim) < MANY_ROWS:
        return None
    if columns is not None:
        raise TypeError("columns= chooses columns of a table, but the data are mapped arrays; leave columns out")
    arrays = lists_to_arrays(data)
    named = named_leaves(arrays, root="data")
    own = row_layout(arrays, tuple(model.constants)).by_row
    shared = [leaf if by_row else widened(np.array(leaf)) for leaf, by_row in zip(named.leaves, own, strict=True)]
    arrays = named.rebuild(shared)
    size = row_layout(arrays, tuple(model.constants)).size
    checked = None if weights is None else check_weights(weights, size)
    return RowsInFiles(arrays, checked, tuple(model.constants))


def read_rows(model: "Model", data: Any, *, columns: Mapping[str, Any] | None, weights: Any, missing: str) -> CleanData:
    """Read and check data in memory, or look at those that stay in files.

    Of mapped arrays a fit remembers the arrays, of Parquet files the shapes alone.

    Raises:
        FileNotFoundError, ValueError, TypeError: there is no such file, or the data do not fit together.
    """
    files = rows_in_files(model, data, columns, weights)
    if files is None:
        return clean_data(model, data, columns=columns, weights=weights, missing=missing)
    names = dict(files.column_names) if isinstance(files, RowsInParquet) else {}
    return CleanData(files.shapes, names, files.weights, None, files)


ALLOWED = {"dtype": "float64", "missing": "raise", "starts": None, "clusters": None, "gradient": "autodiff"}


def check_suits_pieces(model: "Model", where: str, optimizer: Any, options: Mapping[str, Any]) -> Newton:
    """Return Newton's method, or raise where rows that are summed in pieces do not allow what was asked for.

    Args:
        model: the model.
        where: the rows are, in words.
        optimizer: what `fit` was given.
        options: more of that.

    Raises:
        ValueError: with what to leave out.
    """
    if model.is_joint or not model.smooth:
        kind = "a joint likelihood" if model.is_joint else "declared smooth=False"
        raise ValueError(
            f"the rows are {where} and summed piece by piece, but {model.label} is {kind}, which needs them all at "
            "once; load them into memory and leave out devices"
        )
    for name, allowed in ALLOWED.items():
        given = options[name]
        if not (given is None or (isinstance(given, str) and given == allowed)):
            raise ValueError(f"{name} needs all rows at once, but they are {where}; leave {name} out, or load them")
    if isinstance(optimizer, str) and optimizer == "auto":
        return Newton()
    if isinstance(optimizer, Newton) and optimizer.curvature == "observed":
        return optimizer
    raise ValueError(f"optimizer is {optimizer!r}, but rows {where} are fitted by Newton() alone; leave optimizer out")


def is_described(data: Any) -> bool:
    """Say whether data are shapes alone, so that nothing can be computed from them."""
    return any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree_util.tree_leaves(data))

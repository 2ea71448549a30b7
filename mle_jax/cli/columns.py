"""From the columns of a file to the data of a model: their values are checked here, before any fitting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mle_jax._optional import optional
from mle_jax._text import listing
from mle_jax.cli.choosing import INTERCEPT, Choice
from mle_jax.cli.ready_made import nearest
from mle_jax.data.files import SEPARATORS, DataFile

if TYPE_CHECKING:
    import pyarrow as pa

TAB = "\t"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The data of one fit.

    Attributes:
        table: the columns that are used, rows with missing values left out, with the intercept in place.
        columns: leaf name to column names, as `mle_jax.fit` takes them.
        weights: (n,), or None.
        n_read: the rows of the file.
        n_dropped: the rows left out for missing values.
    """

    table: "pa.Table"
    columns: Mapping[str, str | tuple[str, ...]]
    weights: np.ndarray | None
    n_read: int
    n_dropped: int


def select(file: DataFile, choice: Choice, *, drop_missing: bool) -> Selection:
    """Read the chosen columns and check their values.

    Raises:
        ValueError: a column is not there, a value is missing or impossible, or no rows are left.
        TypeError: a value is not a number.
    """
    read, lacks = read_columns(file, choice.options(), drop_missing=drop_missing)
    if choice.weights is not None:
        _refuse_bad_weights(file, choice.weights, read[choice.weights])
    kept = {name: np.asarray(column[~lacks].data) for name, column in read.items()}
    if choice.adds_ones:
        covered = (choice.features or ()) if choice.intercept else ()
        _refuse_constants([*covered, *(name for names in choice.matrices.values() for name in names)], kept)
        kept[INTERCEPT] = np.ones(int((~lacks).sum()))
    return Selection(
        table=optional("pyarrow", "data", "reading a file").table(kept),
        columns=choice.columns,
        weights=None if choice.weights is None else kept[choice.weights],
        n_read=file.n_rows,
        n_dropped=int(lacks.sum()),
    )


def read_columns(
    file: DataFile, chosen: Sequence[tuple[str, str]], *, drop_missing: bool
) -> tuple[dict[str, np.ma.MaskedArray], np.ndarray]:
    """Read columns and refuse what no model can use.

    Args:
        file: the file.
        chosen: pairs of the option that chose a column and its name.
        drop_missing: whether rows that lack a value are to be left out.

    Returns:
        The columns by name, and which rows (n,) lack a value.

    Raises:
        ValueError: a column is not there, a value is missing or infinite, or no rows are left.
        TypeError: a value is not a number.
    """
    for option, name in chosen:
        if name not in file.names:
            raise ValueError(f"{option} names '{name}', but {file.path.name} has no such column; {_hint(file, name)}")
    read = {name: file.numbers(name) for _, name in chosen}
    for name, column in read.items():
        bad = np.flatnonzero(np.isinf(column.filled(0)))
        if bad.size:
            raise ValueError(f"column '{name}' is infinite in {file.place(bad[0])} of {file.path.name}; correct it")
    missing = {name: np.ma.getmaskarray(column) for name, column in read.items()}
    lacks = np.any(list(missing.values()), axis=0)
    if lacks.any() and not drop_missing:
        raise ValueError(_missing_message(file, missing, lacks))
    if lacks.all():
        raise ValueError(f"every one of the {file.n_rows} rows of {file.path.name} lacks a value; none is left")
    return read, lacks


def _hint(file: DataFile, name: str) -> str:
    """Say which column was probably meant, or why there seem to be none."""
    near = nearest(name, file.names)
    if near is not None:
        return f"did you mean '{near}'?"
    if file.text is not None and all(_is_number(word) for word in file.names):
        return f"its first line must name the columns, but reads {', '.join(file.names[:4])}"
    if file.text is not None and len(file.names) == 1:
        divider = next((c for c in (*SEPARATORS, " ") if c in file.names[0]), None)
        advice = "" if divider is None else f"; pass --separator {'tab' if divider == TAB else repr(divider)}"
        return f"its only column is '{file.names[0]}'{advice}"
    return f"its columns are {listing(file.names)}"


def _missing_message(file: DataFile, missing: Mapping[str, np.ndarray], lacks: np.ndarray) -> str:
    counts = ", ".join(f"{int(mask.sum())} in '{name}'" for name, mask in missing.items() if mask.any())
    first, n_lacking = file.place(int(np.flatnonzero(lacks)[0])), int(lacks.sum())
    return (
        f"{n_lacking} of the {file.n_rows} rows of {file.path.name} {'lacks' if n_lacking == 1 else 'lack'} a value "
        f"({counts}), the first in {first}; fill them in (with any number where the model does not use the value), or "
        "pass --missing drop to leave these rows out"
    )


def _refuse_bad_weights(file: DataFile, name: str, weights: np.ma.MaskedArray) -> None:
    bad = np.flatnonzero(weights.filled(0) < 0)
    if bad.size:
        raise ValueError(
            f"weight column '{name}' is {weights[bad[0]]} in {file.place(bad[0])} of {file.path.name}, but weights "
            "must be at least 0; correct it (a row of weight 0 is left out)"
        )
    if not np.any(weights.filled(0)):
        raise ValueError(f"weight column '{name}' is 0 in every row, so no observation is left; correct it")


def _refuse_constants(features: Sequence[str], kept: Mapping[str, np.ndarray]) -> None:
    for name in features:
        values = kept[name]
        if values.size > 1 and np.all(values == values[0]):
            raise ValueError(
                f"feature '{name}' is {values[0]} in every row, which the intercept covers; "
                "leave it out, or pass --no-intercept"
            )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True

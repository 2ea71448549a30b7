"""From the columns of a file to the data of a model: everything about them is checked here, before any fitting."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mle_jax._optional import optional
from mle_jax._text import listing
from mle_jax.cli.ready_made import nearest
from mle_jax.data.files import SEPARATORS, DataFile

if TYPE_CHECKING:
    import pyarrow as pa

INTERCEPT = "intercept"
TAB = "\t"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the user chose from a file.

    Attributes:
        response: the column that becomes the leaf y.
        features: the columns that become the leaf x, without the intercept; None for a model without features.
        intercept: whether a column of ones goes before them.
        leaves: further leaves of the model and their columns.
        weights: the column of frequency weights, if any.
    """

    response: str
    features: tuple[str, ...] | None
    intercept: bool
    leaves: Mapping[str, str] = field(default_factory=dict)
    weights: str | None = None

    @property
    def x_names(self) -> tuple[str, ...]:
        """The names of the columns of x."""
        return (INTERCEPT,) * self.intercept + (self.features or ())

    def options(self) -> list[tuple[str, str]]:
        """Pair every chosen column with the option that chose it."""
        pairs = [("--response", self.response), *(("--features", name) for name in self.features or ())]
        pairs += [("--leaf", name) for name in self.leaves.values()]
        return pairs + ([("--weights", self.weights)] if self.weights is not None else [])


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


def choose(
    model_name: str,
    leaves_read: Sequence[str],
    *,
    response: str,
    features: Sequence[str],
    intercept: bool,
    leaves: Mapping[str, str],
    weights: str | None,
) -> Choice:
    """Check the choice of columns against what the model reads.

    Raises:
        ValueError: the model needs other data than were chosen.
    """
    has_features = "x" in leaves_read
    if features and not has_features:
        raise ValueError(
            f"--features names {listing(features)}, but {model_name} has no features; leave --features out"
        )
    if has_features and not features and not intercept:
        raise ValueError(f"{model_name} has neither features nor an intercept; name --features or allow the intercept")
    further = [leaf for leaf in leaves_read if leaf not in ("x", "y")]
    unknown = [leaf for leaf in leaves if leaf not in further]
    if unknown:
        known = f"its further data are {listing(further)}" if further else "it has no further data; leave --leaf out"
        raise ValueError(f"--leaf names {listing(unknown)}, but {model_name} reads no such data; {known}")
    lacking = [leaf for leaf in further if leaf not in leaves]
    if lacking:
        raise ValueError(f"{model_name} also reads {listing(lacking)}; pass --leaf {lacking[0]}=COLUMN")
    choice = Choice(
        response=response,
        features=tuple(features) if has_features else None,
        intercept=intercept and has_features,
        leaves=dict(leaves),
        weights=weights,
    )
    _refuse_overlaps(choice)
    return choice


def split_features(given: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Split what --features was given at commas, except where it is the name of a column as it stands.

    Raises:
        ValueError: it was given, but names nothing, as an empty variable of a shell would.
    """
    parts = [part for text in given for part in ([text] if text in names else text.split(","))]
    features = tuple(part if part in names else part.strip() for part in parts if part.strip())
    if given and not features:
        raise ValueError(f"--features {given[0]!r} names no column; name one, or leave --features out")
    return features


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
    if choice.intercept:
        _refuse_constants(choice.features or (), kept)
        kept[INTERCEPT] = np.ones(int((~lacks).sum()))
    columns: dict[str, str | tuple[str, ...]] = {"y": choice.response, **choice.leaves}
    if choice.features is not None:
        columns["x"] = choice.x_names
    return Selection(
        table=optional("pyarrow", "data", "reading a file").table(kept),
        columns=columns,
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


def _refuse_overlaps(choice: Choice) -> None:
    """Raise where one column would stand in two places that exclude each other."""
    features = choice.features or ()
    if choice.response in features:
        raise ValueError(f"'{choice.response}' is the response and a feature; leave it out of --features")
    twice = [name for name, count in Counter(features).items() if count > 1]
    if twice:
        raise ValueError(f"--features names {listing(twice)} twice; name each column once")
    if choice.intercept and INTERCEPT in features:
        raise ValueError(
            f"--features names '{INTERCEPT}', which the command adds; leave it out, or keep yours by --no-intercept"
        )
    if choice.intercept and INTERCEPT in (choice.response, *choice.leaves.values(), choice.weights):
        raise ValueError(f"the column '{INTERCEPT}' has the name of the column that the command adds; rename it")


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
        f"({counts}), the first in {first}; fill them in, or pass --missing drop to leave these rows out"
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

"""The table that every result prints: ordered NumPy columns, no data-frame package needed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._optional import optional
from mle_jax._text import listing
from mle_jax.tables.cells import column_cells, is_numeric
from mle_jax.tables.formats import Display, html_table, latex, markdown, plain_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_SHOWN_ROWS = 60
"""A longer table prints its first and last rows only; the written formats keep them all."""


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """Hold a result as named columns that print themselves.

    ``table["estimate"]`` is a NumPy column at full precision; iterating yields one dict per row; ``print(table)`` and
    notebooks show rounded numbers, with ``-`` for NaN and ``<0.001`` for small p-values.

    Args:
        values: the columns by name, in order, each of shape (n,).
        title: a line above the table.
        notes: lines below the table.

    Raises:
        ValueError: if there is no column, or the columns are not one-dimensional and of one length.

    Example:
        >>> from mle_jax.tables import Table
        >>> table = Table({"term": ["mu", "sigma"], "estimate": [1.5, 0.25]}, title="Estimates")
        >>> print(table)
        Estimates
        term   estimate
        ---------------
        mu       1.5000
        sigma    0.2500
        >>> table.columns, len(table), [row["term"] for row in table]
        (('term', 'estimate'), 2, ['mu', 'sigma'])
    """

    values: Mapping[str, Any]
    title: str = ""
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        columns = {str(name): _frozen_column(str(name), values) for name, values in self.values.items()}
        if not columns:
            raise ValueError("the table has no columns, but a table needs at least one; pass {'name': values}")
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            given = ", ".join(f"'{name}' {length}" for name, length in lengths.items())
            raise ValueError(
                f"the columns have different lengths ({given}), but a table has one; pass columns of equal length"
            )
        object.__setattr__(self, "values", MappingProxyType(columns))
        object.__setattr__(self, "notes", tuple(self.notes))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the columns, of which only a view that nobody can write to is kept here."""
        return Table, (dict(self.values), self.title, self.notes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(self.values)

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self.values[name]
        except KeyError:
            near = difflib.get_close_matches(str(name), self.columns, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"the columns are {listing(self.columns)}"
            raise KeyError(f"the table has no column '{name}'; {hint}") from None

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        lists = [column.tolist() for column in self.values.values()]
        return (dict(zip(self.columns, row, strict=True)) for row in zip(*lists, strict=True))

    def __str__(self) -> str:
        return plain_text(self._display(_SHOWN_ROWS))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self._display(_SHOWN_ROWS))

    def to_markdown(self) -> str:
        """Write the table, rounded for reading, as Markdown."""
        return markdown(self._display())

    def to_latex(self) -> str:
        r"""Write the table, rounded for reading, as LaTeX (the document needs ``\usepackage{booktabs}``)."""
        return latex(self._display())

    def to_html(self) -> str:
        """Write the table, rounded for reading, as HTML with all text escaped."""
        return html_table(self._display())

    def to_pandas(self) -> pd.DataFrame:
        """Copy the columns at full precision into a pandas DataFrame.

        Raises:
            ImportError: if pandas is not installed.
        """
        return optional("pandas", "data", "table.to_pandas()").DataFrame(dict(self.values), copy=True)

    def to_arrow(self) -> pa.Table:
        """Copy the columns at full precision into a pyarrow Table.

        Raises:
            ImportError: if pyarrow is not installed.
        """
        return optional("pyarrow", "data", "table.to_arrow()").table(dict(self.values))

    def to_parquet(self, path: Any) -> None:
        """Write the columns at full precision to a Parquet file.

        Raises:
            ImportError: if pyarrow is not installed.
        """
        optional("pyarrow.parquet", "data", "table.to_parquet()").write_table(self.to_arrow(), path)

    def _display(self, most: int | None = None) -> Display:
        """Write the cells; of more than `most` rows the middle is left out and counted in a note."""
        head = tail = len(self)
        notes = tuple(self.notes)
        if most is not None and len(self) > most:
            head = tail = most // 2
            notes = (f"rows {head + 1} to {len(self) - tail} of {len(self)} are not shown", *notes)
        shown = np.arange(len(self))
        shown = shown if head == len(self) else np.concatenate([shown[:head], shown[-tail:]])
        cells = [column_cells(name, column[shown]) for name, column in self.values.items()]
        rows = tuple(zip(*cells, strict=True))
        left = frozenset(i for i, column in enumerate(self.values.values()) if not is_numeric(column))
        return Display(self.title, self.columns, rows, left, notes)


def _frozen_column(name: str, values: Any) -> np.ndarray:
    column = np.array(values)
    if column.ndim != 1:
        raise ValueError(
            f"column '{name}' has shape {column.shape}, but a column is one-dimensional; pass one column per coordinate"
        )
    column.flags.writeable = False
    return column

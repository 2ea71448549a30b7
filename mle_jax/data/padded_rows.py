"""`rows_by`: a long table, several lines for each unit, as rows of one shape with a mask."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mle_jax.data.group_tables import check_numbers, known_columns, load, open_table
from mle_jax.data.groups import choose_columns, group_rows

MASK = "mask"


def rows_by(table: Any, by: str | Sequence[str], *, columns: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
    """Turn a long table, one line per choice or visit, into rows that are the independent units, such as persons.

    A row of a model is what is independent of the others. Where a person has several lines of a table, the person is
    the row, and its leaves have a line axis: with T the most lines of one person, a column becomes a leaf (n, T), and
    several columns one of (n, T, p). Persons with fewer lines are filled up by repeating their last one, which is a
    valid value for any log density, and ``row["mask"]`` says which lines are there: sum where it is True.

    Args:
        table: a pandas, polars or pyarrow data frame, or the path of Parquet files that fit into memory.
        by: the column, or the columns, that tell the units apart; none may be missing.
        columns: leaf name to column or columns; by default every other column is a leaf of its own name.

    Returns:
        The leaves, the units sorted by their key, the lines of each in the order of the table, and the leaf ``mask``,
        bool (n, T).

    Raises:
        TypeError, ValueError: a column is missing or holds no numbers, a key is missing, or a leaf is called "mask".

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> import pandas as pd
        >>> visits = pd.DataFrame({"person": ["b", "a", "b"], "y": [2.0, 1.0, 4.0]})
        >>> data = mle.rows_by(visits, "person")
        >>> data["y"].tolist(), data["mask"].tolist()
        ([[1.0, 1.0], [2.0, 4.0]], [[True, False], [True, True]])
        >>> def log_density(params, row):  # of one person: the sum over visits
        ...     return jnp.sum(jnp.where(row["mask"], -0.5 * (row["y"] - params["m"]) ** 2, 0.0))
        >>> float(mle.fit(mle.Model(log_density, {"m": mle.Real()}), data).params["m"].round(6))  # (1 + 2 + 4) / 3
        2.333333
    """
    source = open_table(table)
    chosen = choose_columns(known_columns(source), by, columns, None)
    if MASK in chosen.columns:
        raise ValueError(f"a leaf is called '{MASK}', as is the leaf that says which lines are there; rename it")
    check_numbers(source, chosen)
    groups = group_rows(load(source, chosen), chosen, missing="report")
    if not len(groups):
        raise ValueError("the table has 0 rows; pass at least one observation")
    height = int(groups.sizes.max())
    data, _ = groups.padded(np.arange(len(groups)), height)
    # Of every unit the last line is repeated.
    units, lines = np.arange(len(groups))[:, None], np.minimum(np.arange(height), groups.sizes[:, None] - 1)
    there = np.arange(height) < groups.sizes[:, None]
    return {**{name: leaf[:][units, lines] for name, leaf in data.items()}, MASK: there}

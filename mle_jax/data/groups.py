"""Ragged groups of a table: which rows have the same key, and how some groups become arrays of one shape."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mle_jax._optional import optional
from mle_jax._text import listing, plural
from mle_jax.data.arrays import by_all_cores, widened
from mle_jax.data.lane_arrays import Beside, Padded
from mle_jax.data.tables import column_hint, read_table

if TYPE_CHECKING:
    import pyarrow as pa

PURPOSE = "fit_groups"
LOOKED_AT_FIRST = 4096
"""Rows of a table that show most often that it is not sorted by group."""


class GroupColumns(NamedTuple):
    """What the columns of a table are for.

    Attributes:
        by: the columns that tell the groups apart.
        columns: leaf to column or columns.
        weights: the column of weights, or None.
    """

    by: tuple[str, ...]
    columns: Mapping[str, str | tuple[str, ...]]
    weights: str | None

    @property
    def values(self) -> list[str]:
        """The columns that hold numbers, each once."""
        named = [name for one in self.columns.values() for name in ([one] if isinstance(one, str) else one)]
        return list(dict.fromkeys([*named, *([self.weights] if self.weights is not None else [])]))

    @property
    def needed(self) -> list[str]:
        """All columns that are read, each once."""
        return list(dict.fromkeys([*self.by, *self.values]))

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """The names of the columns of every leaf that is a matrix."""
        return {leaf: tuple(one) for leaf, one in self.columns.items() if not isinstance(one, str)}


def choose_columns(known: list[str], by: Any, columns: Any, weights: Any) -> GroupColumns:
    """Say what each column is for, checked against those that there are.

    Args:
        known: the columns of the table.
        by: a column or several.
        columns: leaf to column or columns; by default every other column is a leaf of its own name.
        weights: a column or None.

    Raises:
        TypeError: a name is no text, or columns is no mapping.
        ValueError: a column is missing from the table, or nothing is left to be data.
    """
    keys = (by,) if isinstance(by, str) else tuple(by) if isinstance(by, Iterable) else ()
    if not keys or not all(isinstance(key, str) for key in keys) or len(set(keys)) < len(keys):
        raise TypeError(
            f"by is {by!r}, but it names the column, or the columns, that tell the groups apart, each once; pass "
            "by='person' or by=['firm', 'year'], say"
        )
    if weights is not None and not isinstance(weights, str):
        raise TypeError(
            f"weights is a {type(weights).__name__}, but for groups it names a column of the table, as rows of a group "
            "may be scattered; add the weights to the table and pass weights='weight', say"
        )
    if columns is not None and not isinstance(columns, Mapping):
        raise TypeError(
            f"columns is a {type(columns).__name__}, but it maps leaf names to column names; pass "
            "columns={'y': 'food', 'x': ['income', 'age']}, say"
        )
    for role, names in (("by", keys), ("weights", (weights,) if weights is not None else ())):
        for name in names:
            if name not in known:
                raise ValueError(f"{role} names '{name}', but the table has no such column; {column_hint(name, known)}")
    rest = [name for name in known if name not in keys and name != weights]
    chosen = {name: name for name in rest} if columns is None else dict(columns)
    if not chosen:
        raise ValueError(
            f"no column is left to be data beside {listing([*keys, *([weights] if weights else [])])}; pass columns="
        )
    fixed = {leaf: one if isinstance(one, str) else tuple(map(str, one)) for leaf, one in chosen.items()}
    return GroupColumns(keys, fixed, weights)


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows sorted into G groups, none of them moved: group g has the rows ``order[starts[g] : starts[g] + sizes[g]]``.

    Attributes:
        keys: the keys, an arrow table of G rows, sorted.
        data: the leaves by name, each with the rows as first axis: arrays, or columns beside each other.
        weights: (n,) or None.
        order: rows by group.
        starts: (G,).
        sizes: (G,); 0 for a group whose rows are all left out.
    """

    keys: "pa.Table"
    data: Mapping[str, Any]
    weights: np.ndarray | None
    order: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def valid(self) -> np.ndarray:
        """How many rows of positive weight every group has, (G,)."""
        if self.weights is None:
            return self.sizes
        before = np.concatenate([[0], np.cumsum(self.weights[self.order] > 0)])
        return before[self.starts + self.sizes] - before[self.starts]

    def some(self, members: np.ndarray) -> "Groups":
        """Return some of the groups, without a copy of their rows."""
        return replace(self, keys=self.keys.take(members), starts=self.starts[members], sizes=self.sizes[members])

    def compact(self) -> "Groups":
        """Return the same groups with a copy of their rows and no others, to be sent elsewhere."""
        rows = self.row_numbers()
        weights = None if self.weights is None else self.weights[rows]
        return Groups(
            keys=self.keys.combine_chunks(),
            data={name: leaf[rows] for name, leaf in self.data.items()},
            weights=weights,
            order=np.arange(len(rows)),
            starts=np.cumsum(self.sizes) - self.sizes,
            sizes=self.sizes,
        )

    def row_numbers(self) -> np.ndarray:
        """Return the rows of all groups, one group after the other."""
        shift = self.starts - (np.cumsum(self.sizes) - self.sizes)
        return self.order[np.arange(self.sizes.sum()) + np.repeat(shift, self.sizes)]

    def rows(self, group: int) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Return the rows of one group and their weights."""
        first = self.starts[group]
        rows = self.order[first : first + self.sizes[group]]
        data = {name: leaf[rows] for name, leaf in self.data.items()}
        return data, None if self.weights is None else self.weights[rows]

    def padded(self, lanes: np.ndarray, height: int) -> tuple[dict[str, Padded], Padded]:
        """Return groups as leaves (B, height, ...), filled up by zeros of weight 0, and the weights (B, height).

        They are laid out where they are read: ``leaf[:]`` has all of them.
        """
        sizes, starts = self.sizes[lanes], self.starts[lanes]
        filled = partial(Padded, order=self.order, starts=starts, sizes=sizes, height=height)
        return {name: filled(leaf) for name, leaf in self.data.items()}, filled(self.weights)


def group_rows(
    table: "pa.Table", chosen: GroupColumns, *, missing: str, kinds: Mapping[str, Any] | None = None
) -> Groups:
    """Sort the rows of an arrow table into groups; the rows of each stay in the order of the table.

    Args:
        table: at least the columns that are needed.
        chosen: what they are for.
        missing: "drop" leaves out rows with NaN.
        kinds: the types of the leaves, where the table is a part of one that decides about them.

    Raises:
        TypeError, ValueError: a column does not hold numbers, a key is missing, a weight is negative or not finite.
    """
    groups = group_keys(table, chosen.by)
    # Copies: what arrow holds may be memory of a table that can be changed.
    copy = partial(widened, copy=True)
    data = read_table(table, chosen.columns, beside=lambda columns: Beside(tuple(map(copy, columns))))[0]
    data = {name: leaf if isinstance(leaf, Beside) else copy(leaf) for name, leaf in data.items()}
    if kinds is not None:
        data = {name: leaf.astype(kinds[name], copy=False) for name, leaf in data.items()}
    weights = None if chosen.weights is None else read_weights(table, chosen.weights)
    if missing == "drop":
        kept = _complete(data)[groups.order]
        before = np.concatenate([[0], np.cumsum(kept)])
        sizes = before[groups.starts + groups.sizes] - before[groups.starts]
        groups = replace(groups, order=groups.order[kept], starts=before[groups.starts], sizes=sizes)
    return replace(groups, data=data, weights=weights)


def group_keys(table: "pa.Table", by: Iterable[str]) -> Groups:
    """Sort the rows of an arrow table into groups by their keys alone; there are no data in them.

    Raises:
        TypeError, ValueError: a key is missing, or of a kind that cannot be sorted.
    """
    check_keys(table, by)
    keys = plain_keys(table, by)
    starts = _sorted_starts(keys)
    if starts is not None:
        sizes = np.diff(starts, append=len(keys))
        # Fresh memory takes time to clear: half of it is enough for so few.
        order = np.arange(len(keys), dtype=np.int32 if len(keys) < 2**31 else np.int64)
        return Groups(keys.take(starts), {}, None, order, starts, sizes)
    codes, count = _codes(keys)
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes, minlength=count)
    starts = np.cumsum(sizes) - sizes
    return Groups(keys.take(order[starts]), {}, None, order, starts, sizes)


def check_keys(table: "pa.Table", by: Iterable[str]) -> None:
    """Raise where a key is missing: such rows belong to no group, and leaving them out in silence would be wrong."""
    compute = _compute()
    for name in by:
        count = int(compute.sum(compute.is_null(table.column(name), nan_is_null=True)).as_py() or 0)
        if count:
            raise ValueError(
                f"column '{name}', which tells the groups apart, is missing in {count} of {len(table)} rows; leave "
                "these rows out, or give them a value of their own"
            )


def read_weights(table: "pa.Table", name: str) -> np.ndarray:
    """Return a column of weights as float64.

    Raises:
        ValueError: some are missing, negative or infinite.
    """
    weights = read_table(table, {"weights": name})[0]["weights"].astype(np.float64)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        raise ValueError(
            f"column '{name}' gives {plural(int(bad.sum()), 'row')} a weight that is missing, negative or infinite, "
            f"the first being {weights[bad][0]}; weights must be finite and at least 0; a row of weight 0 is left out"
        )
    return weights


def _complete(data: Mapping[str, Any]) -> np.ndarray:
    """Say which rows have no NaN."""
    whole = np.ones(len(next(iter(data.values()))), bool)
    for leaf in data.values():
        for column in leaf.columns if isinstance(leaf, Beside) else [leaf]:
            if np.issubdtype(column.dtype, np.floating):
                whole &= ~np.isnan(column)
    return whole


def _sorted_starts(keys: "pa.Table") -> np.ndarray | None:
    """Return where each group begins in a table that is sorted by its only key; None of any other table."""
    if keys.num_columns > 1 or not len(keys):
        return None
    column = keys.column(0).combine_chunks()
    try:
        if _changes(column[:LOOKED_AT_FIRST]) is None:
            return None
        parts = by_all_cores(lambda part: _starts(column, part), len(keys))
    except _arrow().ArrowNotImplementedError:
        return None
    if any(starts is None for starts in parts):
        return None
    return np.concatenate([[0], *parts])


def _starts(column: Any, part: slice) -> np.ndarray | None:
    """Return where groups begin in a part of a column, but for its very first; None if it is not sorted."""
    first = max(part.start, 1)
    changes = _changes(column[first - 1 : part.stop])
    return None if changes is None else np.flatnonzero(changes) + first


def _changes(column: Any) -> np.ndarray | None:
    """Say which values of a sorted column differ from the one before, all but the first; None if it is not sorted."""
    kind: Any = optional("pyarrow.types", "data", PURPOSE)
    if any(has(column.type) for has in (kind.is_integer, kind.is_float32, kind.is_float64)):  # arrow sorts no float16
        column = column.to_numpy()
        before, after = column[:-1], column[1:]
        return after != before if bool((after >= before).all()) else None
    before, after = column[:-1], column[1:]
    if not _compute().all(_compute().less_equal(before, after), min_count=0).as_py():
        return None
    return np.asarray(_compute().not_equal(before, after).to_numpy(zero_copy_only=False))


def _codes(keys: "pa.Table") -> tuple[np.ndarray, int]:
    """Number the plain keys of all rows in sorted order, (n,), and count the different ones."""
    ranks = (_ranks(name, keys.column(name)) for name in keys.column_names)
    codes, count = next(ranks)
    for own, values in ranks:
        # Counted anew after every column: the product of the numbers of values might not fit into an integer.
        found, codes = np.unique(codes * values + own, return_inverse=True)
        count = len(found)
    return codes, count


def _ranks(name: str, column: Any) -> tuple[np.ndarray, int]:
    """Return for every row the rank of its value among the different ones, and their number."""
    arrow, compute = _arrow(), _compute()
    try:
        encoded = column.combine_chunks().dictionary_encode()
        sorting = np.asarray(compute.sort_indices(encoded.dictionary))
    except (arrow.ArrowNotImplementedError, arrow.ArrowTypeError):
        raise TypeError(
            f"by names '{name}', but this column holds values of type {column.type}, which have no order; give every "
            "group a number, a text or a date"
        ) from None
    ranks = np.empty(len(sorting), np.int64)
    ranks[sorting] = np.arange(len(sorting))
    return ranks[np.asarray(encoded.indices)], len(sorting)


def plain_keys(table: "pa.Table", by: Iterable[str]) -> "pa.Table":
    """Return the columns of the keys, of types that arrow can sort and take from."""
    return _arrow().table({name: _plain(table.column(name)) for name in by})


def _plain(column: Any) -> Any:
    """Return a column of categories as what these are, and of views of texts as texts: they can be sorted."""
    types: Any = optional("pyarrow.types", "data", PURPOSE)
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    simple = {"string_view": "string", "binary_view": "binary"}.get(str(column.type))
    return column if simple is None else column.cast(simple)


def key_arrays(keys: "pa.Table") -> dict[str, np.ndarray]:
    """Return the keys as NumPy arrays by name."""
    return {name: keys.column(name).combine_chunks().to_numpy(zero_copy_only=False) for name in keys.column_names}


def _arrow() -> Any:
    return optional("pyarrow", "data", PURPOSE)


def _compute() -> Any:
    return optional("pyarrow.compute", "data", PURPOSE)

"""Turn a column of values into texts of sensible precision; only what people read is rounded, never the table."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mle_jax._text import significant

MISSING = "-"
"""How NaN and None print."""

_DIGITS = 5


def column_cells(name: str, column: np.ndarray) -> list[str]:
    """Write a column as texts, one precision for all its entries.

    Columns named `p_value` and `statistic` follow the conventions of statistics; other floats get five significant
    digits, with the decimal points below one another where the sizes are similar. NaN and None print as ``-``.

    Args:
        name: the column's name.
        column: its values, shape (n,).
    """
    if column.dtype.kind == "f":
        write = _CONVENTIONS.get(name) or _common_format(column)
        return [MISSING if math.isnan(value) else write(float(value)) for value in column]
    return [_plain(value) for value in column.tolist()]


def is_numeric(column: np.ndarray) -> bool:
    """Say whether a column holds numbers, which are aligned on the right."""
    return column.dtype.kind in "iuf"


def _plain(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(str(value).splitlines())


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _statistic(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1e6 else significant(value, _DIGITS)


_CONVENTIONS: dict[str, Callable[[float], str]] = {"p_value": _p_value, "statistic": _statistic}


def _common_format(column: Sequence[float] | np.ndarray) -> Callable[[float], str]:
    """Choose fixed decimals for a column of similar sizes, else significant digits entry by entry.

    With fixed decimals the largest entry shows at least five digits and the smallest at least four.
    """
    exponents = [math.floor(math.log10(abs(value))) for value in column if math.isfinite(value) and value != 0.0]
    low, high = min(exponents, default=0), max(exponents, default=0)
    if low < -4 or high > 7 or high - low > 2:
        return lambda value: significant(value, _DIGITS)
    decimals = max(_DIGITS - 1 - high, _DIGITS - 2 - low, 0)
    # `significant` writes what fixed decimals would spoil: an exact zero and the infinities.
    return lambda value: f"{value:.{decimals}f}" if math.isfinite(value) and value != 0.0 else significant(value)

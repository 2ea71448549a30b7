"""The printed summary of a fit: what was fitted above, the coefficients in the middle, remarks below."""

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from mle_jax.tables.table import Table


def summary_text(header: Sequence[tuple[str, str]], table: Table, notes: Sequence[str] = ()) -> str:
    """Lay out the summary that a statistician expects.

    Args:
        header: labels and values; the first half stands on the left, the second half on the right.
        table: the coefficients; its title becomes the heading, its notes open the remarks.
        notes: further remarks, each wrapped to the width of the summary.

    Example:
        >>> table = Table({"term": ["mu"], "estimate": [1.5], "std_error": [0.25]}, title="Gaussian mean")
        >>> print(summary_text([("Observations", "16"), ("Log-likelihood", "-22.7")], table, ["Status: converged."]))
        Gaussian mean
        =========================================
        Observations  16    Log-likelihood  -22.7
        -----------------------------------------
        term  estimate  std_error
        -------------------------
        mu      1.5000    0.25000
        =========================================
        Status: converged.
    """
    body = str(Table(table.values))
    block = _header_block(header)
    width = max(len(line) for line in (*block, *body.splitlines()))
    above = [*block, "-" * width] if block else []
    remarks = [line for note in (*table.notes, *notes) for line in textwrap.wrap(note, max(width, 60))]
    return "\n".join([*([table.title] if table.title else []), "=" * width, *above, body, "=" * width, *remarks])


def _header_block(header: Sequence[tuple[str, str]]) -> list[str]:
    """Set label-value pairs in two columns, filled downward."""
    half = (len(header) + 1) // 2
    left, right = _aligned(header[:half], flush=False), _aligned(header[half:], flush=True)
    return ["    ".join(pair).rstrip() for pair in zip_longest(left, right, fillvalue="")]


def _aligned(pairs: Sequence[tuple[str, str]], *, flush: bool) -> list[str]:
    labels = max((len(label) for label, _ in pairs), default=0)
    values = max((len(value) for _, value in pairs), default=0)
    return [
        f"{label:<{labels}}  {value:>{values}}" if flush else f"{label:<{labels}}  {value:<{values}}"
        for label, value in pairs
    ]

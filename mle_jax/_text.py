"""Lay out text: aligned grids and numbers with as many digits as they deserve."""

import math
from collections.abc import Collection, Sequence


def grid(headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: Collection[int] = (0,)) -> str:
    """Align rows of cells under their headers, two blanks apart, with a rule below the headers.

    Args:
        headers: one text per column.
        rows: one sequence of cell texts per row, each as long as `headers`.
        left: positions of the columns that are aligned on the left; all others on the right.
    """
    widths = [max(len(str(line[i])) for line in (headers, *rows)) for i in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        aligned = (c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
        return "  ".join(aligned).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line(headers), rule, *(line(row) for row in rows)])


def significant(value: float, digits: int = 6) -> str:
    """Write a number with so many significant digits, without an exponent where that stays readable."""
    number = float(value)
    if math.isnan(number):
        return "nan"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    if number == 0.0:
        return "0"
    exponent = math.floor(math.log10(abs(number)))
    if -5 < exponent < max(digits, 6) + 2:
        return f"{number:.{max(digits - 1 - exponent, 0)}f}"
    return f"{number:.{digits - 1}e}"


def listing(words: Sequence[str], *, most: int = 8) -> str:
    """Join names for a sentence: ``'a', 'b' and 'c'``; a long list is cut and counted."""
    quoted = [f"'{word}'" for word in words]
    if len(quoted) > most:
        return ", ".join(quoted[:most]) + f" and {len(quoted) - most} more"
    if len(quoted) < 2:
        return "".join(quoted)
    return ", ".join(quoted[:-1]) + " and " + quoted[-1]


def plural(count: int, word: str, words: str = "") -> str:
    """Write a number with its noun: ``1 entry``, ``2 entries``; without `words` the plural ends in an s."""
    return f"{count} {word if count == 1 else words or word + 's'}"


def measured(value: float, error: float) -> str:
    """Write a measured number with the digits that its error leaves; a blank where nothing was measured."""
    if not math.isfinite(value) or not math.isfinite(error):
        return ""
    if value == 0.0 or error >= abs(value):
        return f"0 +- {error:.0e}" if error > 0.0 else "0"
    digits = 8 if error == 0.0 else int(min(max(math.floor(math.log10(abs(value) / error)) + 1, 1), 8))
    return significant(value, digits)

"""The report of a gradient check: numbers for programs, one screen for people."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mle_jax._optional import optional
from mle_jax._text import grid, listing, measured, plural, significant
from mle_jax.gradients.slips import Finding
from mle_jax.gradients.verdicts import Verdict, badness, counted

if TYPE_CHECKING:
    import pandas as pd

    from mle_jax.gradients.curves import StepCurve

MOST_ROWS = 12


@dataclass(frozen=True, kw_only=True)
class GradientRow:
    """One named coordinate, at the point where it looks worst."""

    name: str
    handwritten: float
    """NaN where there is none."""
    autodiff: float
    numeric: float
    """By finite differences; NaN where they were not needed."""
    numeric_error: float
    """Their own estimate of their error."""
    difference: float
    """Handwritten minus autodiff (without a handwritten gradient: autodiff minus numeric)."""
    discrepancy: float
    """The size of the difference relative to the pieces that are summed to give the derivative."""
    verdict: Verdict
    point: int
    """Number of the point: 0 for params itself."""


@dataclass(frozen=True, kw_only=True)
class DirectionRow:
    """The slope along a random direction at one point."""

    point: int
    handwritten: float
    autodiff: float
    numeric: float
    numeric_error: float
    order: float
    """Rate at which the Taylor remainder falls with the step: 2 or more for a right gradient, 1 for a wrong one; NaN
    where the remainder is rounding throughout."""
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class GradientReport:
    """Say whether a gradient is right, coordinate by coordinate, and what seems to be wrong.

    Printing it gives one screen, worst coordinates first; it is true where it passed (``if report``). Made by
    `check_gradient` and `Model.check_gradient`.

    Example:
        >>> import mle_jax as mle
        >>> report = mle.check_gradient(lambda x: x**2, lambda x: -2 * x, 3.0)
        >>> report.passed, report.rows[0].name, str(report.rows[0].verdict)
        (False, 'params', 'wrong')
        >>> report.diagnosis
        'The sign of the handwritten gradient is flipped in every coordinate.'
    """

    rows: tuple[GradientRow, ...]
    """One per coordinate, in the order of declaration."""
    directions: tuple[DirectionRow, ...]
    """One per point."""
    diagnosis: str
    """What seems to be wrong; empty if there is nothing to say."""
    findings: tuple[Finding, ...]
    """The slips that the diagnosis speaks of, each with its kind in a word and its coordinates."""
    handwritten: bool
    """Whether there was a handwritten gradient to check."""
    dtype: str
    _measure: "Callable[[Sequence[int]], list[StepCurve]] | None" = field(default=None, repr=False, compare=False)
    """Takes numbers of rows, measures the error of their differences over the step; lost when the report is pickled."""

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the gradient, at any point."""
        verdicts = [*(row.verdict for row in self.rows), *(row.verdict for row in self.directions)]
        return all(verdict.passes for verdict in verdicts)

    def __bool__(self) -> bool:
        """Return `passed`, so that ``assert report`` can fail."""
        return self.passed

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the function and its data, so that every report can be pickled."""
        return {**self.__dict__, "_measure": None}

    def worst_first(self) -> list[int]:
        """Return the numbers of the rows, the worst verdict and the largest discrepancy first.

        Example:
            >>> import mle_jax as mle
            >>> product, by_hand = lambda p: p["a"] * p["b"], lambda p: {"a": p["b"], "b": 0.0}
            >>> report = mle.check_gradient(product, by_hand, {"a": 1.0, "b": 2.0})
            >>> report.worst_first()
            [1, 0]
        """
        rows = self.rows
        return sorted(range(len(rows)), key=lambda i: badness(rows[i].verdict, rows[i].discrepancy))

    def assert_passed(self) -> None:
        """Raise unless the check passed: one line for a test suite.

        Raises:
            AssertionError: with the printed report.

        Example:
            >>> import mle_jax as mle
            >>> mle.check_gradient(lambda x: x**2, lambda x: 2 * x, 3.0).assert_passed()
        """
        if not self.passed:
            raise AssertionError(str(self))

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a data frame, one per coordinate.

        Returns:
            A frame with the fields of the rows as columns.

        Raises:
            ImportError: pandas is not installed.

        Example:
            >>> import mle_jax as mle
            >>> frame = mle.check_gradient(lambda x: x**2, lambda x: 2 * x, 3.0).to_pandas()
            >>> list(frame["verdict"])
            ['ok']
        """
        pandas = optional("pandas", "data", "report.to_pandas()")
        return pandas.DataFrame([{**asdict(row), "verdict": str(row.verdict)} for row in self.rows])

    def __str__(self) -> str:
        worst_first = [self.rows[i] for i in self.worst_first()]
        shown, hidden = worst_first[:MOST_ROWS], worst_first[MOST_ROWS:]
        lines = [self._sentence()]
        if self.diagnosis:
            lines.append(self.diagnosis)
        lines += ["", _table(shown, self.handwritten)]
        if hidden:
            lines.append(f"and {len(hidden)} more: {counted(row.verdict for row in hidden)}")
        orders = [row.order for row in self.directions if math.isfinite(row.order)]
        if orders:
            lines += [
                "",
                f"Along a random direction the Taylor remainder falls like h^{min(orders):.1f} "
                "(2 or more for a right gradient, 1 for a wrong one).",
            ]
        return "\n".join(lines)

    def _sentence(self) -> str:
        sources = "handwritten gradient, autodiff and finite differences"
        if not self.handwritten:
            sources = "autodiff and finite differences"
        k, points = len(self.rows), len(self.directions)
        places = f"{plural(k, 'coordinate')}, {plural(points, 'point')}, {self.dtype}"
        if self.passed:
            kinks = sum(row.verdict is Verdict.KINK for row in self.rows)
            but = f", but for {plural(kinks, 'kink')}" if kinks else ""
            return f"Gradient check passed: {sources} agree{but} ({places})."
        bad = [row for row in self.rows if not row.verdict.passes]
        if not bad:
            return f"Gradient check FAILED along a random direction ({places})."
        worst = min(bad, key=lambda row: row.verdict.rank).verdict
        named = listing([row.name for row in bad], most=4)
        return f"Gradient check FAILED ({worst}) in {len(bad)} of {k}: {named} ({places})."


def _table(rows: Sequence[GradientRow], handwritten: bool) -> str:
    headers = ["coordinate", "by hand", "autodiff", "numeric", "discrepancy", "verdict"]
    cells = [
        [
            row.name,
            significant(row.handwritten, 8),
            significant(row.autodiff, 8),
            measured(row.numeric, row.numeric_error),
            f"{row.discrepancy:.1e}",
            str(row.verdict) + (f" (point {row.point})" if row.point else ""),
        ]
        for row in rows
    ]
    if not handwritten:
        headers.pop(1)
        for cell in cells:
            cell.pop(1)
    return grid(headers, cells, left=(0, len(headers) - 1))

"""The report of a check of second derivatives: numbers for programs, one screen for people."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mle_jax._optional import optional
from mle_jax._text import grid, listing, measured, plural, significant
from mle_jax.gradients.verdicts import Verdict, badness, counted

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 12


@dataclass(frozen=True, kw_only=True)
class HessianRow:
    """One second derivative, at the point where it looks worst."""

    name: str
    """The two coordinates: ``w[0], sigma``."""
    handwritten: float
    autodiff: float
    numeric: float
    """By differences; NaN where they were not needed."""
    numeric_error: float
    """Their own estimate of their error."""
    difference: float
    """Handwritten minus autodiff."""
    discrepancy: float
    """The size of the difference relative to the pieces that are summed to give the derivative."""
    verdict: Verdict
    point: int
    """Number of the point: 0 for params itself."""


@dataclass(frozen=True, kw_only=True)
class CurvatureRow:
    """The second derivative along a random direction at one point, by the values of the function alone."""

    point: int
    handwritten: float
    autodiff: float
    numeric: float
    numeric_error: float
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class HessianReport:
    """Say whether second derivatives are right, entry by entry, and what seems to be wrong.

    Printing it gives one screen, worst entries first; it is true where it passed (``if report``). Made by
    `check_hessian` and `check_hessian_product`.

    Example:
        >>> import mle_jax as mle
        >>> report = mle.check_hessian(lambda p: p["x"] ** 3, lambda p: [[3 * p["x"]]], {"x": 2.0})
        >>> report.passed, report.rows[0].name, report.rows[0].handwritten, report.rows[0].autodiff
        (False, 'x, x', 6.0, 12.0)
        >>> report.diagnosis
        'The handwritten Hessian is 1/2 of the right one.'
    """

    rows: tuple[HessianRow, ...]
    """One per pair of coordinates in the order of declaration; both orders of a pair where the matrix is not
    symmetric."""
    directions: tuple[CurvatureRow, ...]
    """One per point."""
    diagnosis: str
    """What seems to be wrong; empty if there is nothing to say."""
    subject: str
    """What was checked: "Hessian" or "Hessian-vector product"."""
    dtype: str

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the second derivatives, at any point."""
        # A disagreement along the direction that values cannot settle is one of the entries, too.
        straight = all(row.verdict.passes for row in self.rows)
        return straight and all(row.verdict.passes or row.verdict is Verdict.UNCLEAR for row in self.directions)

    def __bool__(self) -> bool:
        """Return `passed`, so that ``assert report`` can fail."""
        return self.passed

    def assert_passed(self) -> None:
        """Raise unless the check passed: one line for a test suite.

        Raises:
            AssertionError: with the printed report.

        Example:
            >>> import mle_jax as mle
            >>> mle.check_hessian(lambda x: x**3, lambda x: 6 * x, 2.0).assert_passed()
        """
        if not self.passed:
            raise AssertionError(str(self))

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a data frame, one per pair of coordinates.

        Raises:
            ImportError: pandas is not installed.

        Example:
            >>> import mle_jax as mle
            >>> list(mle.check_hessian(lambda x: x**3, lambda x: 6 * x, 2.0).to_pandas()["verdict"])
            ['ok']
        """
        pandas = optional("pandas", "data", "report.to_pandas()")
        return pandas.DataFrame([{**asdict(row), "verdict": str(row.verdict)} for row in self.rows])

    def __str__(self) -> str:
        worst_first = sorted(self.rows, key=lambda row: badness(row.verdict, row.discrepancy))
        shown, hidden = worst_first[:MOST_ROWS], worst_first[MOST_ROWS:]
        lines = [self._sentence(), *([self.diagnosis] if self.diagnosis else []), "", _table(shown)]
        if hidden:
            lines.append(f"and {len(hidden)} more: {counted(row.verdict for row in hidden)}")
        return "\n".join(lines)

    def _sentence(self) -> str:
        entries, points = len(self.rows), len(self.directions)
        places = f"{plural(entries, 'entry', 'entries')}, {plural(points, 'point')}, {self.dtype}"
        if self.passed:
            kinks = sum(row.verdict is Verdict.KINK for row in self.rows)
            but = f", but for {plural(kinks, 'kink')}" if kinks else ""
            return f"{self.subject} check passed: handwritten, autodiff and differences agree{but} ({places})."
        bad = [row for row in self.rows if not row.verdict.passes]
        if not bad:
            return f"{self.subject} check FAILED along a random direction ({places})."
        worst = min(bad, key=lambda row: row.verdict.rank).verdict
        named = listing([row.name for row in bad], most=4)
        return f"{self.subject} check FAILED ({worst}) in {len(bad)} of {entries}: {named} ({places})."


def _table(rows: Sequence[HessianRow]) -> str:
    headers = ["second derivative", "by hand", "autodiff", "numeric", "discrepancy", "verdict"]
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
    return grid(headers, cells, left=(0, len(headers) - 1))

"""The report of a likelihood's self-test: numbers for programs, one screen for people."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mle_jax._optional import optional
from mle_jax._text import grid, significant

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 14
CHECKS = ("normalization", "distribution", "mean score", "information equality")
"""What is checked, in the order in which a failure explains the next."""


@dataclass(frozen=True, kw_only=True)
class LikelihoodRow:
    """One number that a right likelihood makes 1 or 0, and what was found."""

    check: str
    """One of "normalization", "distribution", "mean score", "information equality"."""
    name: str
    """The row of the data, the coordinate, or the pair of coordinates."""
    expected: float
    found: float
    error: float
    """The standard error of what was found, or the error of the quadrature."""
    statistic: float
    """The distance in standard errors; for the distribution Pearson's chi-square."""
    p_value: float
    """NaN where nothing is random."""
    verdict: str
    """"ok", "wrong" or "not tested"."""


@dataclass(frozen=True, kw_only=True)
class LikelihoodReport:
    """Say whether a log density is one, and whether it is that of the model's simulation. Made by `check_likelihood`.

    It is true where it passed: ``if report``.

    Example:
        >>> import mle_jax as mle
        >>> report = mle.check_likelihood(mle.models.gaussian(), {"y": [1.0, 2.0, 4.0]})
        >>> report.passed, sorted({row.check for row in report.rows})
        (True, ['distribution', 'information equality', 'mean score', 'normalization'])
    """

    rows: tuple[LikelihoodRow, ...]
    diagnosis: str
    """Which check failed and what that usually means; empty if none did."""
    notes: tuple[str, ...]
    """What was not tested, and why."""
    draws: int
    """How many datasets were simulated."""
    level: float
    """The chance that a right likelihood fails somewhere."""

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the likelihood."""
        return all(row.verdict != "wrong" for row in self.rows)

    def __bool__(self) -> bool:
        """Return `passed`, so that ``assert report`` can fail."""
        return self.passed

    def assert_passed(self) -> None:
        """Raise unless the check passed: one line for a test suite.

        Raises:
            AssertionError: with the printed report.

        Example:
            >>> import mle_jax as mle
            >>> mle.check_likelihood(mle.models.gaussian(), {"y": [1.0, 2.0, 4.0]}).assert_passed()
        """
        if not self.passed:
            raise AssertionError(str(self))

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a data frame.

        Raises:
            ImportError: pandas is not installed.

        Example:
            >>> import mle_jax as mle
            >>> frame = mle.check_likelihood(mle.models.gaussian(), {"y": [1.0, 2.0, 4.0]}).to_pandas()
            >>> list(frame.columns)[:4]
            ['check', 'name', 'expected', 'found']
        """
        pandas = optional("pandas", "data", "report.to_pandas()")
        return pandas.DataFrame([asdict(row) for row in self.rows])

    def failed(self, check: str) -> bool:
        """Say whether one of the checks failed."""
        return any(row.verdict == "wrong" for row in self.rows if row.check == check)

    def __str__(self) -> str:
        tested = [row for row in self.rows if row.verdict != "not tested"]
        how = f"{self.draws} simulated datasets, level {self.level:g}"
        bad = [check for check in CHECKS if self.failed(check)]
        first = f"Likelihood check passed: {', '.join(dict.fromkeys(row.check for row in tested))} ({how})."
        if bad:
            first = f"Likelihood check FAILED: {', '.join(bad)} ({how})."
        worst_first = sorted(tested, key=lambda row: (row.verdict == "ok", CHECKS.index(row.check), row.p_value))
        shown, hidden = worst_first[:MOST_ROWS], worst_first[MOST_ROWS:]
        cells = [
            [
                row.check,
                row.name,
                significant(row.expected, 4),
                significant(row.found, 6),
                f"{row.error:.1e}",
                "" if row.p_value != row.p_value else f"{row.p_value:.2g}",
                row.verdict,
            ]
            for row in shown
        ]
        headers = ["check", "of", "expected", "found", "+-", "p", "verdict"]
        lines = [first, *([self.diagnosis] if self.diagnosis else []), "", grid(headers, cells, left=(0, 1, 6))]
        if hidden:
            wrong = sum(row.verdict == "wrong" for row in hidden)
            lines.append(f"and {len(hidden)} more: {wrong} wrong, {len(hidden) - wrong} ok")
        return "\n".join([*lines, *(f"Not tested: {note}" for note in self.notes)])

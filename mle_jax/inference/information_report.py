"""The report of a check of the expected information."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mle_jax._optional import optional
from mle_jax._text import grid, listing, significant

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 12


@dataclass(frozen=True, kw_only=True)
class InformationRow:
    """One entry of the expected information, declared and simulated."""

    name: str
    """The two coordinates: ``w[0], sigma``."""
    declared: float
    simulated: float
    std_error: float
    """Of the simulated mean."""
    statistic: float
    """Declared minus simulated, in standard errors."""
    p_value: float
    verdict: str
    """"ok" or "wrong"."""


@dataclass(frozen=True, kw_only=True)
class InformationReport:
    """Say whether a declared expected information is that of the model. Made by `check_information`.

    It is true where it passed: ``if report``.

    Example:
        >>> import mle_jax as mle
        >>> report = mle.check_information(mle.models.gaussian(), {"y": [1.0, 2.0, 4.0]})
        >>> report.passed, [row.name for row in report.rows]
        (True, ['mu, mu', 'mu, variance', 'variance, variance'])
    """

    rows: tuple[InformationRow, ...]
    """One per pair of coordinates, in the order of declaration."""
    diagnosis: str
    """What seems to be wrong; empty if there is nothing to say."""
    draws: int
    """How many datasets were simulated."""
    level: float
    """The chance that a right information fails somewhere."""

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the declared information."""
        return all(row.verdict == "ok" for row in self.rows)

    def __bool__(self) -> bool:
        """Return `passed`, so that ``assert report`` can fail."""
        return self.passed

    def assert_passed(self) -> None:
        """Raise unless the check passed.

        Raises:
            AssertionError: with the printed report.

        Example:
            >>> import mle_jax as mle
            >>> mle.check_information(mle.models.gaussian(), {"y": [1.0, 2.0, 4.0]}).assert_passed()
        """
        if not self.passed:
            raise AssertionError(str(self))

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a data frame.

        Raises:
            ImportError: pandas is not installed.

        Example:
            >>> import mle_jax as mle
            >>> mle.check_information(mle.models.gaussian(), {"y": [1.0, 2.0, 4.0]}).to_pandas().shape
            (3, 7)
        """
        pandas = optional("pandas", "data", "report.to_pandas()")
        return pandas.DataFrame([asdict(row) for row in self.rows])

    def __str__(self) -> str:
        bad = [row for row in self.rows if row.verdict != "ok"]
        how = f"{self.draws} simulated datasets, level {self.level:g}"
        if bad:
            named = listing([row.name for row in bad], most=4)
            first = f"Information check FAILED in {len(bad)} of {len(self.rows)}: {named} ({how})."
        else:
            first = f"Information check passed: declared and simulated agree within their errors ({how})."
        worst_first = sorted(self.rows, key=lambda row: (row.verdict == "ok", -abs(row.statistic)))
        cells = [
            [
                row.name,
                significant(row.declared, 6),
                significant(row.simulated, 6),
                f"{row.std_error:.1e}",
                significant(row.statistic, 3),
                row.verdict,
            ]
            for row in worst_first[:MOST_ROWS]
        ]
        headers = ["entry", "declared", "simulated", "+-", "in +-", "verdict"]
        lines = [first, *([self.diagnosis] if self.diagnosis else []), "", grid(headers, cells, left=(0, 5))]
        hidden = worst_first[MOST_ROWS:]
        if hidden:
            wrong = sum(row.verdict != "ok" for row in hidden)
            lines.append(f"and {len(hidden)} more: {wrong} wrong, {len(hidden) - wrong} ok")
        return "\n".join(lines)

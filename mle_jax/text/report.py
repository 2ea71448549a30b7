"""`TextReport`: what `check` found, as one table."""

from dataclasses import dataclass

import numpy as np

from mle_jax.tables import Table


@dataclass(frozen=True)
class TextRow:
    """What was found for one item.

    Attributes:
        id: "T1" to "T12".
        title: the place in the chapter.
        points: at how many points it was tried.
        discrepancy: the worst difference between the handwritten and the automatic derivative, relative to the sum of
            absolute per-observation scores; for items without a derivative what their `demonstrate` measures.
        bound: the largest discrepancy allowed there.
        numeric: the worst difference from finite differences on the same scale; NaN where there is none.
        passed: whether everything agrees.
        note: what was seen, or what disagrees.
    """

    id: str
    title: str
    points: int
    discrepancy: float
    bound: float
    numeric: float
    passed: bool
    note: str


@dataclass(frozen=True)
class TextReport:
    """Say whether every handwritten derivative of the text agrees with the machine's; prints as one table.

    It is true where it passed: ``if report``.

    Attributes:
        rows: one `TextRow` per item, in the order of the chapter.
        dtype: the precision in which the derivatives were compared.
        seed: of the random points.

    Example:
        >>> from mle_jax.text.report import TextReport, TextRow
        >>> row = TextRow("T4", "Gaussian mean", 100, 2e-16, 1e-12, 3e-14, passed=True, note="")
        >>> TextReport((row,), "float64", seed=0).passed
        True
    """

    rows: tuple[TextRow, ...]
    dtype: str
    seed: int

    @property
    def passed(self) -> bool:
        """Whether every item agrees."""
        return all(row.passed for row in self.rows)

    def __bool__(self) -> bool:
        """Return `passed`, so that ``assert report`` can fail."""
        return self.passed

    def to_table(self) -> Table:
        """Return the rows as a `Table`, numbers at full precision.

        Example:
            >>> from mle_jax.text.report import TextReport, TextRow
            >>> row = TextRow("T4", "Gaussian mean", 100, 2e-16, 1e-12, 3e-14, passed=True, note="")
            >>> TextReport((row,), "float64", seed=0).to_table().columns
            ('item', 'title', 'points', 'discrepancy', 'bound', 'numeric', 'verdict')
        """
        columns = {
            "item": [row.id for row in self.rows],
            "title": [row.title for row in self.rows],
            "points": [row.points for row in self.rows],
            "discrepancy": np.array([row.discrepancy for row in self.rows]),
            "bound": np.array([row.bound for row in self.rows]),
            "numeric": np.array([row.numeric for row in self.rows]),
            "verdict": ["agrees" if row.passed else "DISAGREES" for row in self.rows],
        }
        return Table(columns, title=f"The derivatives of the text, {self.dtype}, seed {self.seed}", notes=self._notes())

    def _notes(self) -> tuple[str, ...]:
        wrong = [row.id for row in self.rows if not row.passed]
        return (
            "discrepancy: by hand against jax.grad, relative to the sum of absolute per-observation scores;",
            "numeric: by hand against central differences, on the same scale",
            *(f"{row.id}: {row.note}" for row in self.rows if row.note),
            f"DISAGREEMENT in {', '.join(wrong)}." if wrong else "Everything agrees.",
        )

    def __str__(self) -> str:
        return str(self.to_table())

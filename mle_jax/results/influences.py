"""The verb `influence`: what each observation does to a fit."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._precision import in_float64, to_numpy
from mle_jax._text import plural, significant
from mle_jax._whole import is_whole
from mle_jax.inference.deletion import Deletions, delete_each_row
from mle_jax.likelihood.programs import verb_program
from mle_jax.results.from_files import is_described
from mle_jax.results.guards import check_has_rows
from mle_jax.tables import Table

if TYPE_CHECKING:
    from mle_jax.results.fit_object import Fit

MOST_ROWS = 5


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Influence:
    """Say what leaving out each of the n rows would do to a fit with k flat parameters. Made by `influence`.

    Attributes:
        names: the flat names of the parameters.
        changes: (n, k), the estimates without the row minus the estimates, natural scale (statsmodels' ``dfbeta`` has
            the other sign).
        distance: (n,), Cook's distance: d' I d over the number of free coordinates, with d their change and I the
            observed information. 1 is a move of one standard error per free coordinate, in root mean square.
        leverage: (n,), the share of the row in the information, trace(I^-1 I_i): the diagonal of the hat matrix of a
            linear regression. The shares of all rows sum up to the number of free coordinates.
        leave_one_out: (n,), the log density of the row at the estimates without it; NaN for a row of weight 0.
        cross_validated: their (weighted) sum, the cross-validated log-likelihood; a larger one predicts better.
        standard_errors: (k,), from the observed information, to measure the changes by.

    Example:
        >>> import mle_jax as mle
        >>> fit = mle.fit(mle.models.gaussian_mean(variance=3.0), {"y": [1.0, 2.0, 6.0]})
        >>> mle.influence(fit).distance.round(3).tolist()  # n (change of the mean)^2 / variance
        [1.0, 0.25, 2.25]
    """

    names: tuple[str, ...]
    changes: np.ndarray
    distance: np.ndarray
    leverage: np.ndarray
    leave_one_out: np.ndarray
    cross_validated: float
    standard_errors: np.ndarray
    _notes: tuple[str, ...] = field(default=(), repr=False)

    def table(self, top: int = 10) -> Table:
        """Return the most influential rows, first those that cannot be left out, then by distance.

        Args:
            top: how many rows.

        Returns:
            A `Table` with the columns row (counted from 0), distance, leverage, leave_one_out, moves (the parameter
            that changes most, measured by its standard error) and by (so many standard errors).

        Raises:
            ValueError: `top` is no whole number of at least 1.

        Example:
            >>> import mle_jax as mle
            >>> fit = mle.fit(mle.models.gaussian_mean(variance=3.0), {"y": [1.0, 2.0, 6.0]})
            >>> mle.influence(fit).table(top=2)["row"].tolist()
            [2, 0]
        """
        if not is_whole(top, least=1):
            raise ValueError(f"top is {top!r}, but it must be a whole number of at least 1, the rows to show")
        rows = np.argsort(-np.where(np.isnan(self.distance), np.inf, self.distance), kind="stable")[:top]
        errors = np.where(self.standard_errors > 0, self.standard_errors, np.inf)
        moves = (self.changes / errors)[rows]
        most = np.argmax(np.abs(np.nan_to_num(moves)), axis=1)
        by = moves[np.arange(len(rows)), most]
        columns = {
            "row": rows,
            "distance": self.distance[rows],
            "leverage": self.leverage[rows],
            "leave_one_out": self.leave_one_out[rows],
            "moves": np.where(np.isnan(by), "-", np.array(self.names)[most]),
            "by": by,
        }
        count = len(self.distance)
        title = "All rows" if len(rows) == count else f"The {len(rows)} most influential of {count} rows"
        return Table(columns, title=f"{title}; changes when a row is left out, in standard errors", notes=self._notes)

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__


@in_float64
def influence(fit: "Fit") -> Influence:
    """Say what each observation does to a fit: how the estimates would change without it, and how it is predicted.

    No model is fitted again: the estimates without row i are found by one Newton step from the maximum, with the row's
    own information I_i taken out,

        d_i = -(I - I_i)^-1 s_i,   s_i the score of the row, I the observed information,

    in the unconstrained free coordinates. That is exact for Gaussian linear regression with known variance; elsewhere
    it is wrong by the order of d_i^2, so refit without the rows that it names. Of a row of frequency weight w one of
    its w units is left out; a row with an importance weight is left out whole.

    Args:
        fit: a certified fit of a smooth model of independent rows.

    Returns:
        An `Influence`, which prints the most influential rows.

    Raises:
        TypeError: not a fit, or a batch of fits.
        ValueError: a joint likelihood, which has no rows; a model with kinks; a fit without a certificate, or in which
            nothing was estimated; rows of a Parquet file, which were not kept.

    Reference:
        Pregibon (1981), Annals of Statistics 9, 705-724, section 4; Cook and Weisberg (1982), Residuals and Influence
        in Regression, sections 3.5 and 5.2.

    Example:
        >>> import mle_jax as mle
        >>> fit = mle.fit(mle.models.gaussian_mean(variance=3.0), {"y": [1.0, 2.0, 6.0]})
        >>> without = mle.influence(fit)
        >>> without.changes[:, 0].round(6).tolist()  # the means of two are 4.0, 3.5 and 1.5 instead of 3.0
        [1.0, 0.5, -1.5]
        >>> without.cross_validated < fit.log_likelihood
        True
    """
    _check(fit)
    record = fit._record
    run = verb_program(record.model, delete_each_row, frequency=record.weight_kind == "frequency")
    solution = record.solution
    found: Deletions = to_numpy(
        run(record.place, solution.theta, solution.certificate.information, record.data, record.weights)
    )
    counts = np.ones(len(found.distance)) if record.weights is None else record.weights
    used = counts > 0
    return Influence(
        names=fit.names,
        **found._asdict(),
        cross_validated=float(np.sum(counts[used] * found.leave_one_out[used])),
        _notes=tuple(_notes(found, used, record.dropped)),
    )


def _notes(found: Deletions, used: np.ndarray, dropped: int) -> list[str]:
    stuck = np.flatnonzero(np.isnan(found.distance))
    total = float(np.sum(found.leave_one_out[used]))
    notes = []
    if stuck.size:
        shown = ", ".join(map(str, stuck[:MOST_ROWS]))
        more = f" and {stuck.size - MOST_ROWS} more" if stuck.size > MOST_ROWS else ""
        notes.append(
            f"Without row{'s' if stuck.size > 1 else ''} {shown}{more} the others do not determine the estimates: "
            "the numbers are NaN."
        )
    elif np.isneginf(total):
        notes.append("Some rows are impossible under the estimates without them.")
    if dropped:
        notes.append(f"Rows are counted after {plural(dropped, 'row')} with missing values had been left out.")
    return notes


def _check(fit: Any) -> None:
    """Raise where there is nothing to leave out."""
    if not hasattr(fit, "_record"):
        raise TypeError(f"influence takes a Fit, but was given a {type(fit).__name__}; pass what mle_jax.fit returned")
    if fit.is_batch:
        raise TypeError("influence takes a single fit, but this is a batch; pass one of its fits, fits[i]")
    check_has_rows(fit, "influence")
    model = fit._record.model
    if model.is_joint:
        raise ValueError(
            f"influence leaves out independent rows, but {model.label} is a joint likelihood, which has none; fit "
            "again without the part in question"
        )
    if not model.smooth:
        raise ValueError(
            f"influence needs second derivatives, but {model.label} is declared smooth=False; fit again with weight 0 "
            "for the rows in question"
        )
    if is_described(fit._record.data):
        raise ValueError(
            "influence needs the rows, but those of a Parquet file were read piece by piece and not kept; read the "
            "table into memory and call evaluate(model, table, fit.params)"
        )
    if not fit.converged:
        raise ValueError(
            f"influence needs a certified maximum, but this fit ended '{fit.status.name}', decrement "
            f"{significant(fit.decrement, 2)}; see fit.message for what to do"
        )
    if not fit._record.solution.certificate.is_dense:
        raise ValueError(
            f"influence needs the information of every single row, {fit._record.place.size}-by-"
            f"{fit._record.place.size} matrices, which are too large; fit again without the rows in question"
        )
    if not fit._record.place.size:
        raise ValueError("influence needs estimates, but all parameters of this fit are fixed; leave some of them free")

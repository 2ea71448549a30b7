"""T12: gradient descent with a fixed learning rate on the Laplace likelihood, held against the exact maximum.

The likelihood has corners: its gradient X' sign(r) / b jumps where a residual changes its sign and does not go to 0 at
the maximum. A fixed learning rate a therefore never settles. It comes near, and then rattles around the maximum at a
distance that shrinks with a, while a smaller a takes longer to come near.

Reference: Shor (1985), Minimization Methods for Non-Differentiable Functions, section 2.1.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mle_jax._status import ConvergenceWarning
from mle_jax.models import laplace_regression
from mle_jax.optimizers import GradientDescent
from mle_jax.optimizers.minimizing import History
from mle_jax.results import Fit, fit
from mle_jax.tables import Table

RATES = (1.0, 0.3, 0.1, 0.03, 0.01)
STEPS = 5_000
LATE = 10
"""The last tenth of the steps says how far a run still goes away from the maximum."""


@dataclass(frozen=True, eq=False)
class LaplaceDescent:
    """Hold descents of one likelihood at several learning rates, and the exact maximum; prints as a table.

    Attributes:
        table: one row per learning rate; the columns are explained below it.
        histories: a `History` per learning rate: log-likelihood and parameters step by step.
        exact: the `Fit` by the exact solver.

    Example:
        >>> import mle_jax as mle
        >>> run = mle.text.descend_laplace(learning_rates=(0.3, 0.1), max_steps=500)
        >>> run.table["learning_rate"].tolist(), run.histories[0.1].value.shape
        ([0.3, 0.1], (501,))
    """

    table: Table
    histories: Mapping[float, History]
    exact: Fit

    def __str__(self) -> str:
        return str(self.table)


def laplace_data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return 101 points around the line y = 2 x with Laplace noise of scale 0.5, five of them far below it.

    Args:
        seed: of the noise.

    Returns:
        The design [1, x], shape (101, 2), and y, shape (101,).

    Example:
        >>> import mle_jax as mle
        >>> x, y = mle.text.laplace_data()
        >>> x.shape, y.shape
        ((101, 2), (101,))
    """
    x = np.linspace(-2.0, 2.0, 101)
    y = 0.0 + 2.0 * x + np.random.default_rng(seed).laplace(scale=0.5, size=x.size)
    y[-9::2] -= 12.0  # all at large x, where they pull hardest on the slope of least squares
    return np.column_stack([np.ones_like(x), x]), y


def descend_laplace(
    seed: int = 0, *, learning_rates: Sequence[float] = RATES, max_steps: int = STEPS
) -> LaplaceDescent:
    """Descend the Laplace likelihood at several fixed learning rates, and say how far from the maximum each stays.

    The runs start at w = 0, scale = 1 and take all their steps: w <- w + a X' sign(r) / (n b), and the same for log b
    (`GradientDescent` climbs the mean log-likelihood in unconstrained coordinates). The distance of w is
    sqrt((w - w_hat)' X'X (w - w_hat)) / b_hat, in standard errors by the expected information X'X / b^2.

    Args:
        seed: of the noise in `laplace_data`.
        learning_rates: one run for each, all above 0.
        max_steps: the steps that each run takes.

    Returns:
        A `LaplaceDescent`; the table has the columns learning_rate, log_likelihood and gap (at the last step), late_gap
        (the largest gap in the last tenth of the steps), best, best_gap and best_step (of the best step), distance and
        best_distance (of w, at the last and the best step).

    Raises:
        ValueError: there is no learning rate, or one is not above 0; or max_steps is no whole number of at least 0.

    Reference:
        Text, "A Complete Example: Gradient Descent for Laplace Regression" (T12).

    Example:
        >>> import mle_jax as mle
        >>> table = mle.text.descend_laplace().table
        >>> bool((table["best_gap"] <= table["gap"]).all())
        True
        >>> bool(table["late_gap"][-1] < table["late_gap"][0])  # the smaller rate stays nearer
        True
    """
    rates = [float(rate) for rate in learning_rates]
    if not rates:
        raise ValueError("learning_rates is empty, but a descent needs at least one; pass for instance (0.1, 0.01)")
    x, y = laplace_data(seed)
    data = {"x": x, "y": y}
    exact = fit(laplace_regression(), data)
    histories = {rate: _descend(data, rate, max_steps) for rate in rates}
    rows = [_row(rate, history, exact, x) for rate, history in histories.items()]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return LaplaceDescent(Table(columns, title=_title(max_steps), notes=_notes(exact)), histories, exact)


def _descend(data: dict[str, np.ndarray], rate: float, steps: int) -> History:
    start = {"w": np.zeros(data["x"].shape[1]), "scale": 1.0}
    with warnings.catch_warnings():
        # That these runs do not converge is what they are made to show.
        warnings.simplefilter("ignore", ConvergenceWarning)
        run = fit(
            laplace_regression(),
            data,
            optimizer=GradientDescent(rate),
            start=start,
            max_steps=steps,
            record=True,
        )
    assert run.history is not None
    return run.history


def _row(rate: float, history: History, exact: Fit, x: np.ndarray) -> dict[str, Any]:
    values = history.value
    best = int(np.nanargmax(values))
    late = values[-max(len(values) // LATE, 1) :]

    def distance(step: int) -> float:
        away = x @ (history.params["w"][step] - exact.params["w"])
        return float(np.linalg.norm(away) / exact.params["scale"])

    return {
        "learning_rate": rate,
        "log_likelihood": values[-1],
        "gap": exact.log_likelihood - values[-1],
        "late_gap": exact.log_likelihood - np.min(late),
        "best": values[best],
        "best_gap": exact.log_likelihood - values[best],
        "best_step": best,
        "distance": distance(-1),
        "best_distance": distance(best),
    }


def _title(steps: int) -> str:
    return f"Gradient descent on the Laplace likelihood, {steps} steps at a fixed learning rate"


def _notes(exact: Fit) -> tuple[str, ...]:
    return (
        f"exact maximum: {exact.log_likelihood:.6f} ({exact.status.name}); every gap is counted from there",
        "log_likelihood, gap: at the last step; late_gap: the largest gap in the last tenth of the steps",
        "best, best_gap: the best seen, at best_step",
        "distance, best_distance: of w from the exact estimate, at the last and the best step, in standard errors",
    )

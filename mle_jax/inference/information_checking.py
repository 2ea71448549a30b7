"""Check a declared expected information against simulation."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax._precision import in_float64
from mle_jax._text import listing
from mle_jax.gradients.hessian_suspects import changes
from mle_jax.inference.charts import Chart, ready
from mle_jax.inference.information_report import InformationReport, InformationRow
from mle_jax.inference.monte_carlo import Means, Vector, information_statistic, simulated_means, student_p, usual_draws
from mle_jax.likelihood.layout import count_rows

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

EXACT = 1e-9
"""Relative size of an asymmetry that is rounding."""


@in_float64
def check_information(
    model: "Model", data: Any, params: Any = None, *, seed: int = 0, draws: int | None = None, level: float = 1e-3
) -> InformationReport:
    """Check a model's declared `expected_information` against simulated datasets.

    The expected information is the mean of -H, or of the sum of the outer products of the scores where the model is
    not smooth, over datasets that the model's `simulate` draws at the same covariates. Each entry is compared in
    standard errors of that mean (Student's t, Bonferroni over the entries); entries that do not vary are compared
    exactly. A right information fails with a chance of `level`; an entry that is wrong by many of the standard errors
    shown is found.

    Args:
        model: a `Model` with `expected_information` and `simulate`.
        data: the dataset whose covariates are used.
        params: where to check; by default the start values.
        seed: of the simulation.
        draws: how many datasets; by default as many as make 200 000 rows (at least 30, at most 10 000).
        level: the chance that a right information fails.

    Returns:
        An `InformationReport` with a row per pair of named coordinates (free coordinates, for parameters such as a
        Simplex whose entries move together).

    Raises:
        ValueError: the model lacks one of the two, or the information has another shape.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> from jax.random import exponential
        >>> model = mle.Model(
        ...     lambda params, row: jnp.log(params["rate"]) - params["rate"] * row["t"],
        ...     {"rate": mle.Positive()},
        ...     expected_information=lambda params, data: jnp.array([[1 / params["rate"] ** 2]]),  # of one observation
        ...     simulate=lambda key, params, row: {"t": exponential(key) / params["rate"]},
        ... )
        >>> report = mle.check_information(model, {"t": [1.0, 2.0, 6.0]}, {"rate": 0.5})
        >>> report.passed, report.diagnosis
        (False, 'The declared information is 1/n = 1/3 of the simulated one: that of one observation, not of all.')
    """
    if model.expected_information is None:
        raise ValueError(
            f"{model.label} has no expected information; declare it with Model(..., expected_information=...)"
        )
    made = ready(model, data, params)
    n = count_rows(model, made.data)
    declared = _declared(model, made.chart, made.params, made.data)
    means = simulated_means(model, made, information_statistic, seed=seed, draws=usual_draws(draws, n))
    k = len(made.chart.names)
    rows = _rows(made.chart.names, declared, means, level=level / (k * (k + 1) / 2))
    diagnosis = ""
    if any(row.verdict != "ok" for row in rows):
        diagnosis = _diagnosis(made.chart, np.asarray(made.chart.vector(made.params)), declared, means, n=n, rows=rows)
    return InformationReport(rows=rows, diagnosis=diagnosis, draws=means.draws, level=level)


def _declared(model: "Model", chart: Chart, params: Any, data: Any) -> Vector:
    """Return the declared information (k, k) in the coordinates of the chart: J' I J."""
    assert model.expected_information is not None
    arrays = jax.tree_util.tree_map(jnp.asarray, (params, data))
    declared = np.asarray(model.expected_information(*arrays), np.float64)
    names = chart.space.names
    if declared.shape != (len(names), len(names)):
        raise ValueError(
            f"expected_information of {model.label} returned shape {declared.shape}, but the model has {len(names)} "
            f"flat parameters ({listing(names)}); return shape ({len(names)}, {len(names)}) in that order"
        )
    if chart.is_natural:
        return declared
    jacobian = np.asarray(chart.space.jacobian(chart.vector(params)))
    return np.asarray(jacobian.T @ declared @ jacobian)


def _rows(names: tuple[str, ...], declared: Vector, means: Means, *, level: float) -> tuple[InformationRow, ...]:
    k = len(names)
    mean, error = _square(means.mean, k), _square(means.std_error, k)
    rows = []
    for i in range(k):
        for j in range(k):
            lopsided = abs(declared[i, j] - declared[j, i]) > EXACT * max(abs(declared[i, j]), abs(declared[j, i]))
            if j < i and not lopsided:
                continue
            apart = declared[i, j] - mean[i, j]
            statistic = apart / error[i, j] if error[i, j] > 0.0 else (0.0 if apart == 0.0 else np.inf * apart)
            p_value = float(student_p(np.array([statistic]), means.draws - 1)[0]) if np.isfinite(statistic) else 0.0
            rows.append(
                InformationRow(
                    name=f"{names[i]}, {names[j]}",
                    declared=float(declared[i, j]),
                    simulated=float(mean[i, j]),
                    std_error=float(error[i, j]),
                    statistic=float(statistic),
                    p_value=p_value,
                    verdict="ok" if p_value >= level else "wrong",
                )
            )
    return tuple(rows)


def _square(upper: Vector, k: int) -> Vector:
    matrix = np.zeros((k, k))
    matrix[np.triu_indices(k)] = upper
    return np.asarray(matrix + np.triu(matrix, 1).T)


def _diagnosis(
    chart: Chart, vector: Vector, declared: Vector, means: Means, *, n: int, rows: tuple[InformationRow, ...]
) -> str:
    """Name the slip that makes the declared information of the simulated one, within the errors; else nothing."""
    k = len(chart.names)
    mean, error = _square(means.mean, k), _square(means.std_error, k)
    limit = 5.0

    def fits(matrix: Vector, of: Vector) -> bool:
        return bool(np.all(np.abs(matrix - mean) <= limit * error)) and bool(np.any(np.abs(of - mean) > limit * error))

    factors = (
        (-1.0, "minus the simulated one: it is the expected Hessian"),
        (2.0, "twice the simulated one"),
        (0.5, "half of the simulated one"),
        (1.0 / n, f"1/n = 1/{n} of the simulated one: that of one observation, not of all"),
        (float(n), f"n = {n} times the simulated one"),
    )
    # Where the errors are so large that two factors fit, neither is known.
    fitting = {factor: told for factor, told in factors if fits(declared / factor, declared)}
    if len(fitting) == 1:
        return f"The declared information is {fitting.popitem()[1]}."
    if np.all(np.isfinite(declared)) and np.linalg.matrix_rank(declared) == k and fits(_inverse(declared), declared):
        return "The declared information is the inverse of the simulated one: it is the covariance."
    for change in changes(vector):
        for name, piece in zip(chart.space.leaf_names, chart.space.flat_slices, strict=True):
            first = np.where(_inside(k, piece), change.first, 1.0)
            back = declared / first[:, None] / first
            if chart.is_natural and np.all(np.isfinite(back)) and fits(back, declared):
                return f"The declared information is with respect to {change.name} of '{name}'."
    return _entries_told(declared, rows)


def _inside(k: int, piece: slice) -> Vector:
    return np.asarray(np.isin(np.arange(k), np.arange(k)[piece]))


def _inverse(matrix: Vector) -> Vector:
    return np.asarray(np.linalg.inv(matrix))


def _entries_told(declared: Vector, rows: tuple[InformationRow, ...]) -> str:
    wrong = [row for row in rows if row.verdict != "ok"]
    sentences = []
    lopsided = np.abs(declared - declared.T) > EXACT * np.maximum(np.abs(declared), np.abs(declared.T))
    if np.any(lopsided):
        sentences.append("The declared information is not symmetric.")
    zero = [row.name for row in wrong if row.declared == 0.0]
    if zero:
        sentences.append(f"The declared information is zero where the simulated one is not: {listing(zero)}.")
    return " ".join(sentences)

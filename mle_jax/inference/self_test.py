"""The self-test of a likelihood: what no check of derivatives can find, a log density that is right in none of them."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mle_jax._precision import in_float64, to_numpy
from mle_jax._text import listing, significant
from mle_jax.inference.charts import Ready, ready
from mle_jax.inference.likelihood_report import LikelihoodReport, LikelihoodRow
from mle_jax.inference.monte_carlo import equality_statistic, score_statistic, simulated_means, usual_draws
from mle_jax.inference.normalization import CLOSE, Total, distribution_test, total_density
from mle_jax.inference.responses import Response, draw_response, shape_problem, simulated_leaves
from mle_jax.likelihood.layout import count_rows

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

KINDS = ("continuous", "discrete")
SHARES = 3
"""The level is shared out among the three random checks."""
CONSTANTS = {np.sqrt(2 * np.pi): "sqrt(2 pi)", 2 * np.pi: "2 pi", np.pi: "pi", np.sqrt(np.pi): "sqrt(pi)", 2.0: "2"}


@in_float64
def check_likelihood(
    model: "Model",
    data: Any,
    params: Any = None,
    *,
    response: str | None = None,
    kind: str | None = None,
    support: Any = None,
    seed: int = 0,
    draws: int | None = None,
    level: float = 1e-3,
) -> LikelihoodReport:
    """Test that a log density is the log of a density, and of the one that the model simulates from.

    Four checks, none of which looks at the observed response:

    - *normalization*: the density of the response integrates (adaptive quadrature) or sums to 1, in up to 8 rows;
    - *distribution*: simulated values fall where the density says (Pearson's chi-square, in the same rows);
    - *mean score*: E[score] = 0 over simulated datasets;
    - *information equality*: E[score score'] = -E[Hessian], for smooth models.

    They find what no check of derivatives can: a normalizing constant that was forgotten, a density that is truncated
    and not normalized, a wrong density, a `simulate` that draws from another distribution. A right likelihood fails
    with a chance of about `level`, which is shared out among the random checks and their rows (Bonferroni).

    Args:
        model: a `Model` with a `simulate`.
        data: the dataset whose covariates are used.
        params: where to test; by default the start values.
        response: the leaf that is the response; by default the one that `simulate` changes.
        kind: "continuous" or "discrete"; by default seen from the simulated values. A continuous response may take
            single values with a probability of their own (a Tobit model's 0).
        support: ``(low, high)``, the values that the response can take: numbers, names of data leaves, or a function
            ``support(params, row) -> (low, high)``; by default seen from the simulated values.
        seed: of the simulation.
        draws: how many datasets; by default as many as make 200 000 rows (at least 30, at most 10 000).
        level: the chance that a right likelihood fails.

    Returns:
        A `LikelihoodReport`.

    Raises:
        ValueError: the model has no `simulate`, or an argument is not what it should be.

    Reference:
        White (1982), Econometrica 50, 1-25, for the information equality.

    Example:
        >>> import jax
        >>> import mle_jax as mle
        >>> model = mle.Model(
        ...     lambda params, row: -params["rate"] * row["t"],  # forgot + log(rate)
        ...     {"rate": mle.Positive()},
        ...     simulate=lambda key, params, row: {"t": jax.random.exponential(key) / params["rate"]},
        ... )
        >>> report = mle.check_likelihood(model, {"t": [1.0, 2.0, 6.0]}, {"rate": 0.5})
        >>> report.passed, report.failed("normalization"), report.failed("mean score")
        (False, True, True)
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, but it is 'continuous' or 'discrete'; pass one of these or leave it out")
    made = ready(model, data, params)
    leaves = simulated_leaves(model, made, seed)
    problem = shape_problem(model, made, leaves, response)
    notes, rows, told = [], [], ""
    if problem is None:
        drawn = draw_response(model, made, leaves[0], kind=kind, seed=seed)
        total = total_density(model, made.params, drawn, support)
        rows += _normalization_rows(drawn, total)
        if not total.known:
            notes.append(f"the sum of the density over {total.label}, which did not converge; pass support=.")
        rows += _distribution_rows(drawn, total, level / SHARES)
        told = _normalization_told(model, made, drawn, total, support=support, seed=seed)
    else:
        notes.append(f"normalization, because {problem}.")
    if not model.smooth:
        notes.append(f"the information equality, because {model.label} is declared smooth=False.")
    number = usual_draws(draws, count_rows(model, made.data))
    rows += _moment_rows(model, made, seed=seed, draws=number, level=level / SHARES)
    silent = [row.name for row in rows if row.check == "mean score" and row.error == 0.0]
    if silent:
        notes.append(f"the mean score in {listing(silent)}, which is 0 whatever is drawn: is the derivative cut off?")
    return LikelihoodReport(
        rows=tuple(rows),
        diagnosis=_diagnosis(rows, told),
        notes=tuple(notes),
        draws=number,
        level=level,
    )


def _normalization_rows(drawn: Response, total: Total) -> list[LikelihoodRow]:
    rows = []
    for number, value, error in zip(drawn.rows, total.value, total.error, strict=True):
        verdict = "ok" if abs(value - 1.0) <= CLOSE else "wrong"
        rows.append(
            LikelihoodRow(
                check="normalization",
                name=f"row {number}, {drawn.leaf} in {total.label}",
                expected=1.0,
                found=float(value),
                error=float(error),
                statistic=np.nan,
                p_value=np.nan,
                verdict=verdict if total.known else "not tested",
            )
        )
    return rows


def _distribution_rows(drawn: Response, total: Total, level: float) -> list[LikelihoodRow]:
    if not (np.all(np.isfinite(total.value)) and np.all(total.value > 0.0)):
        return []
    rows = []
    for number, (statistic, degrees, p_value) in zip(drawn.rows, distribution_test(total), strict=True):
        rows.append(
            LikelihoodRow(
                check="distribution",
                name=f"row {number}, {drawn.leaf} (chi-square)",
                expected=float(degrees),
                found=statistic,
                error=float(np.sqrt(2.0 * degrees)),
                statistic=statistic,
                p_value=p_value,
                verdict="ok" if p_value >= level / drawn.rows.size else "wrong",
            )
        )
    return rows


def _moment_rows(model: "Model", made: Ready, *, seed: int, draws: int, level: float) -> list[LikelihoodRow]:
    """Test the mean score and, of smooth models, the information equality."""
    names = made.chart.names
    pairs = [f"{a}, {b}" for i, a in enumerate(names) for b in names[i:]] if model.smooth else []
    statistic = equality_statistic if model.smooth else score_statistic
    means = simulated_means(model, made, statistic, seed=seed, draws=draws)
    found = zip([*names, *pairs], means.mean, means.std_error, means.statistic(), means.p_values(), strict=True)
    rows = []
    for number, (name, mean, error, distance, p_value) in enumerate(found):
        of_score = number < len(names)
        limit = level / (len(names) if of_score else len(pairs))
        rows.append(
            LikelihoodRow(
                check="mean score" if of_score else "information equality",
                name=name,
                expected=0.0,
                found=float(mean),
                error=float(error),
                statistic=float(distance),
                p_value=float(p_value),
                verdict="ok" if p_value >= limit else "wrong",
            )
        )
    return rows


def _normalization_told(model: "Model", made: Ready, drawn: Response, total: Total, *, support: Any, seed: int) -> str:
    """Say what a density that is not normalized adds up to, and whether that depends on the parameters."""
    if total.is_one or not total.known:
        return ""
    verb = "sums" if drawn.discrete else "integrates"
    over = f"over {drawn.leaf} in {total.label}"
    if not np.all(np.isfinite(total.value)):
        return f"The density {verb} to {significant(np.max(total.value))} instead of 1 {over}: it is no density at all."
    free = np.asarray(made.chart.space.unconstrain(made.params))
    elsewhere = to_numpy(made.chart.space.constrain(free + 0.3))
    moved = made._replace(params=jax.tree_util.tree_map(np.asarray, elsewhere))
    again = draw_response(model, moved, drawn.leaf, kind="discrete" if drawn.discrete else "continuous", seed=seed)
    other = total_density(model, moved.params, again, support)
    values = np.concatenate([total.value, other.value])
    # The constant that is missing is the same everywhere, or it is none.
    if other.known and np.ptp(values) <= 1e-5 * np.abs(values).max() and total.label == other.label:
        known = [f" = {word}" for number, word in CONSTANTS.items() if abs(values[0] / number - 1.0) < 1e-5]
        constant = f"{significant(values[0], 6)}{known[0] if known else ''}"
        return (
            f"The density {verb} to {constant} instead of 1 {over}, whatever the row and the parameters: a constant "
            "factor is missing. Estimates are not affected; log-likelihoods, AIC and comparisons of models are."
        )
    worst = int(np.argmax(np.abs(total.value - 1.0)))
    return (
        f"The density {verb} to {significant(total.value[worst], 6)} instead of 1 {over} in row {drawn.rows[worst]}, "
        "and that depends on parameters or row: the normalizing constant lacks a factor with parameters, or the "
        "density is truncated and not normalized. Estimates are biased."
    )


def _diagnosis(rows: list[LikelihoodRow], told: str) -> str:
    """Say in a sentence which check failed and what that usually means."""
    failed = {row.check for row in rows if row.verdict == "wrong"}
    if told:
        return told
    lost = [row.name for row in rows if row.check == "mean score" and not np.isfinite(row.found)]
    if lost:
        return (
            f"The score is not finite in {listing(lost, most=4)} for some simulated data: simulate draws values to "
            "which the log density gives -inf or NaN."
        )
    if "distribution" in failed:
        return (
            "The log density is that of a distribution, but simulate draws from another one: one of the two is wrong. "
            "Look for a variance where a standard deviation is meant, a rate for a scale, or the wrong family."
        )
    tested = any(row.check == "distribution" for row in rows)
    names = listing([row.name for row in rows if row.verdict == "wrong" and row.check == "mean score"], most=4)
    if names and tested:
        return (
            f"The density is right, but the mean of its score is not zero in {names}: the support depends on the "
            "parameters, or the automatic derivative of the log density is wrong (see check_gradient)."
        )
    if names:
        return (
            f"The mean score is not zero in {names}: log density and simulate disagree, or the density is not "
            "normalized (a constant that depends on the parameters is missing)."
        )
    if "information equality" in failed:
        cause = "second derivatives of the log density are wrong" if tested else "log density and simulate disagree"
        return f"The mean score is zero, but the information equality fails: {cause}, or second moments do not exist."
    return ""

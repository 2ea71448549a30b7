"""The coefficient table: estimates, standard errors, Wald statistics and intervals, from plain arrays."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from mle_jax.tables.table import Table


def coefficient_table(
    names: Sequence[str] | np.ndarray,
    estimates: ArrayLike,
    standard_errors: ArrayLike,
    *,
    level: float = 0.95,
    title: str = "",
    notes: Sequence[str] = (),
) -> Table:
    """Tabulate estimates with their Wald tests and confidence intervals.

    statistic = estimate / std_error, p_value = 2 (1 - Phi(|statistic|)), and the interval is
    estimate -+ q std_error with q the (1 + level) / 2 quantile of the standard normal distribution. A standard error
    of 0 marks a parameter held fixed: its statistic and p-value are NaN and both ends of its interval are the
    estimate. A standard error of NaN makes everything after it NaN.

    Args:
        names: the flat names of the parameters, k of them.
        estimates: shape (k,).
        standard_errors: shape (k,).
        level: the confidence level, between 0 and 1.
        title: a line above the table.
        notes: lines below the table.

    Returns:
        A Table with the columns term, estimate, std_error, statistic, p_value, conf_low, conf_high and k rows.

    Raises:
        ValueError: if the level is not between 0 and 1, or the lengths differ.

    Reference:
        Wasserman, All of Statistics (2004), sections 6.3 (intervals), 10.1 and 10.2 (Wald tests, p-values).

    Example:
        >>> table = coefficient_table(["mu", "sigma"], [2.0, 1.0], [0.5, 0.0])
        >>> table["conf_low"].round(6).tolist()
        [1.020018, 1.0]
        >>> table["p_value"].round(6).tolist()
        [6.3e-05, nan]
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}, but a confidence level lies between 0 and 1; pass level=0.95, say")
    estimate = np.asarray(estimates, dtype=np.float64)
    error = np.asarray(standard_errors, dtype=np.float64)
    free = error != 0.0
    statistic = np.divide(estimate, error, out=np.full_like(estimate, np.nan), where=free)
    # From the small tail: 1 - level is exact where (1 + level) / 2 would round.
    half_width = -NormalDist().inv_cdf((1.0 - level) / 2.0) * error
    columns = {
        "term": np.array(names, dtype=np.str_),
        "estimate": estimate,
        "std_error": error,
        "statistic": statistic,
        "p_value": two_sided_p_value(statistic),
        "conf_low": estimate - half_width,
        "conf_high": estimate + half_width,
    }
    return Table(columns, title=title, notes=notes)


def two_sided_p_value(statistic: np.ndarray) -> np.ndarray:
    """Return 2 (1 - Phi(|z|)) = erfc(|z| / sqrt(2)), which keeps its digits far out in the tail.

    The rounding of z / sqrt(2) is amplified by z^2: the relative error is about 2e-16 z^2.
    """
    return np.array([math.erfc(abs(z) * math.sqrt(0.5)) for z in statistic.tolist()], dtype=np.float64)

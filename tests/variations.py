"""Datasets that must give the same answer, and how the answer is carried over: for the tests of invariance.

All of them have 2 N rows and are told apart by their weights, so that one compiled batch fits them all: rows that a
variation does not need have the weight 0 and NaN for data.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import gumbel_r

N = 60
RNG = np.random.default_rng(11)
X = np.column_stack([np.ones(N), RNG.normal(size=N), RNG.exponential(size=N)])
P = X.shape[1]
LINE = X @ [0.5, 0.4, -0.3]
RESPONSES = {
    "gaussian": LINE + 0.7 * RNG.normal(size=N),
    "logistic": (RNG.uniform(size=N) < 1 / (1 + np.exp(-LINE))) * 1.0,
    "poisson": RNG.poisson(np.exp(LINE)) * 1.0,
    "negative binomial": RNG.poisson(np.exp(LINE) * RNG.gamma(0.8, 1 / 0.8, size=N)) * 1.0,
    "student t": LINE + 0.5 * RNG.standard_t(3, size=N),
    "gumbel": LINE + gumbel_r.rvs(scale=0.6, size=N, random_state=5),
}


class Variation(NamedTuple):
    """A dataset, and what becomes of the flat estimates t, of their covariance V, and of the log-likelihood."""

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    matrix: np.ndarray
    """(k, k): the covariance becomes matrix V matrix' / copies."""
    offset: np.ndarray
    """(k,): the estimates become matrix t + offset."""
    copies: float = 1.0
    jacobian: float = 0.0
    """What is added to the log-likelihood of one copy: -n log c where the response is multiplied by c."""
    magnified: float = 1.0
    """By how much rounding errors of the data are larger, in units of the spread of a column or of the residuals."""


def padded(x: Any, y: Any, *, weight: float = 1.0) -> tuple[np.ndarray, ...]:
    """Return x, y and weights of 2 N rows: the given N, and as many that do not count."""
    nothing = np.full(N, np.nan)
    rows = np.concatenate([x, np.full_like(x, np.nan)]), np.concatenate([y, nothing])
    return *rows, np.repeat([weight, 0.0], N)


def variations(y: np.ndarray, others: int, *, scaled: bool, shifts: Sequence[float]) -> dict[str, Variation]:
    """Return variations of X and y for parameters w (P,) and `others` more.

    Args:
        y: (N,) the response.
        others: how many parameters follow w.
        scaled: whether the response may be moved and rescaled; the first of the others is then its scale.
        shifts: by how much a column and the response are moved.
    """
    k = P + others
    same, nowhere = np.eye(k), np.zeros(k)
    order = np.random.default_rng(2).permutation(N)
    found = {
        "as it is": Variation(*padded(X, y), same, nowhere),
        "rows permuted": Variation(*padded(X[order], y[order]), same, nowhere),
        "rows twice": Variation(np.tile(X, (2, 1)), np.tile(y, 2), np.ones(2 * N), same, nowhere, copies=2.0),
        "weights of 2": Variation(*padded(X, y, weight=2.0), same, nowhere, copies=2.0),
        "columns permuted": Variation(*padded(X[:, [2, 0, 1]], y), same[[2, 0, 1, *range(P, k)]], nowhere),
    }
    for c in (1e-8, 1e-4, 1e4, 1e8):
        units = np.array([1.0, c, 1 / c])
        found[f"columns times {c:.0e} and its inverse"] = Variation(
            *padded(X * units, y), np.diag(np.append(1 / units, np.ones(others))), nowhere
        )
    for shift in shifts:
        # w0 + w1 x1 = (w0 - shift w1) + w1 (x1 + shift)
        matrix = same.copy()
        matrix[0, 1] = -shift
        found[f"column plus {shift:.0e}"] = Variation(
            *padded(X + np.array([0.0, shift, 0.0]), y), matrix, nowhere, magnified=shift
        )
    return found | (response_variations(y, k, shifts) if scaled else {})


def response_variations(y: np.ndarray, k: int, shifts: Sequence[float]) -> dict[str, Variation]:
    """Return variations of a response whose location is <x, w> and whose scale follows w."""
    found = {}
    for c in (1e-8, 1e-4, 1e4, 1e8):
        units = np.append(np.full(P + 1, c), np.ones(k - P - 1))
        found[f"response times {c:.0e}"] = Variation(
            *padded(X, c * y), np.diag(units), np.zeros(k), jacobian=-N * np.log(c)
        )
    for shift in (-shifts[0], *shifts[1:]):
        offset = np.zeros(k)
        offset[0] = shift
        found[f"response plus {shift:.0e}"] = Variation(*padded(X, y + shift), np.eye(k), offset, magnified=abs(shift))
    return found

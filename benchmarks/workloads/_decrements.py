"""How far an answer is from the top, in standard errors, by NumPy and SciPy alone: nothing of mle_jax is asked.

decrement(w) = sqrt(g' I^-1 g) with g the score and I the observed information at w itself

To first order this is the distance from w to the maximum in standard errors, so that no reference answer is needed.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Data = dict[str, np.ndarray]
Derivatives = tuple[np.ndarray, np.ndarray]
BLOCK = 100_000


def worst(answer: Mapping[str, Any], derivatives: Callable[[np.ndarray], Derivatives]) -> float:
    """Return the decrement of an answer, or the largest relative error of a standard error, if that is larger.

    Args:
        answer: ``{"flat": (k,)}`` and, from those that give them, ``"se": (k,)``.
        derivatives: from the k parameters to the score (k,) and the observed information (k, k), in any coordinates in
            which the answer is given.
    """
    score, information = derivatives(np.asarray(answer["flat"], float))
    decrement = np.sqrt(score @ np.linalg.solve(information, score))
    if "se" not in answer:
        return float(decrement)
    exact = np.sqrt(np.diag(np.linalg.inv(information)))
    apart = np.max(np.abs(np.asarray(answer["se"]) / exact - 1))
    return float(np.maximum(decrement, apart))


def of_logistic(data: Data, w: np.ndarray) -> Derivatives:
    """Return score and information of logistic regression: x'(y - m) and x' diag(m (1 - m)) x, m = 1/(1 + exp(-xw))."""
    mean = 1.0 / (1.0 + np.exp(-data["x"] @ w))
    return _of_canonical(data, mean, mean * (1.0 - mean))


def of_poisson(data: Data, w: np.ndarray) -> Derivatives:
    """Return score and information of Poisson regression: x'(y - m) and x' diag(m) x, m = exp(xw)."""
    mean = np.exp(data["x"] @ w)
    return _of_canonical(data, mean, mean)


def _of_canonical(data: Data, mean: np.ndarray, variance: np.ndarray) -> Derivatives:
    x, p = data["x"], data["x"].shape[1]
    information = np.zeros((p, p))
    for begin in range(0, len(x), BLOCK):  # ten million rows of x, weighted, would not fit a second time
        rows = slice(begin, begin + BLOCK)
        information += x[rows].T @ (x[rows] * variance[rows, None])
    return x.T @ (data["y"] - mean), information


def of_student_t(data: Data, flat: np.ndarray) -> Derivatives:
    """Return score and information of a regression with Student-t errors, in (w, scale, df).

    The score is by hand (Lange, Little, Taylor 1989, Journal of the American Statistical Association 84, 881-896); the
    information is by its central differences, whose relative error of about 1e-9 moves a decrement as little.
    """
    p = len(flat) - 2
    score = _student_t_score(data, flat)
    steps = np.append(np.full(p, 1e-5 * flat[p]), 1e-5 * flat[p:])
    information = np.empty((p + 2, p + 2))
    for i, step in enumerate(steps):
        shift = np.zeros(p + 2)
        shift[i] = step
        information[i] = (_student_t_score(data, flat - shift) - _student_t_score(data, flat + shift)) / (2 * step)
    return score, (information + information.T) / 2


def _student_t_score(data: Data, flat: np.ndarray) -> np.ndarray:
    from scipy.special import digamma

    scale, df = flat[-2:]
    z = (data["y"] - data["x"] @ flat[:-2]) / scale
    weight = (df + 1) / (df + z**2)
    per_row = digamma((df + 1) / 2) - digamma(df / 2) - 1 / df - np.log1p(z**2 / df) + weight * z**2 / df
    return np.concatenate(
        [data["x"].T @ (weight * z) / scale, [np.sum(weight * z**2 - 1) / scale, np.sum(per_row) / 2]]
    )

"""Negative binomial regressions side by side: data, and Newton's method in NumPy, which is the reference.

With a the dispersion, m = exp(<x, w>) and J(y) the sum of log(1 + j a) over j < y, from Gamma(y + 1/a)/Gamma(1/a):

log f = J(y) - log y! + y log m - (y + 1/a) log(1 + a m)

No gamma function is called: J and its derivatives are running sums over j, tabulated for every dataset.
"""

from typing import Any

import numpy as np

from benchmarks.frame.workload import Counts
from benchmarks.workloads._lanes import chunks, errors_of, joined

Data = dict[str, np.ndarray]


def generate(*, datasets: int, n: int, p: int) -> Data:
    """Return designs with an intercept and Gaussian columns, and counts: means around 4, dispersions near 1/2."""
    rng = np.random.default_rng(29)
    x = rng.standard_normal((datasets, n, p))
    x[..., 0] = 1.0
    w = 0.2 * rng.standard_normal((datasets, p, 1)) + 1.4 * np.eye(p)[:, :1]
    dispersion = rng.uniform(0.3, 0.8, (datasets, 1))
    mean = np.exp((x @ w)[..., 0])
    return {"x": x, "y": rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, mean.shape)).astype(float)}


def moment_start(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Return least squares through log(y + 1/2), and the dispersion that gives the residuals their variance."""
    x, y = data["x"], data["y"]
    transposed = x.transpose(0, 2, 1)
    w = np.linalg.solve(transposed @ x, transposed @ np.log(y + 0.5)[..., None])[..., 0]
    m = np.exp((x @ w[..., None])[..., 0])
    return w, np.clip(np.sum((y - m) ** 2 - m, axis=1) / np.sum(m**2, axis=1), 0.1, 10.0)


def sums(y: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first two derivatives in a of the sum over a dataset of J(y): j/(1 + j a) and -(j/(1 + j a))^2."""
    j = np.arange(y.max() + 1.0)
    ratio = j / (1 + a[:, None] * j)
    # The sum over rows of the sum over j < y is the sum over j of how many rows have a larger y.
    lanes = np.repeat(np.arange(len(y)), y.shape[1])
    tally = np.zeros((len(y), len(j)))
    np.add.at(tally, (lanes, y.astype(int).ravel()), 1.0)
    larger = y.shape[1] - np.cumsum(tally, axis=1)
    return np.sum(larger * ratio, axis=1), -np.sum(larger * ratio**2, axis=1)


def derivatives(data: Data, w: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return score (B, p + 1) and observed information (B, p + 1, p + 1) in (w, a)."""
    x, y, transposed = data["x"], data["y"], data["x"].transpose(0, 2, 1)
    m, b = np.exp((x @ w[..., None])[..., 0]), a[:, None]
    grown = 1 + b * m
    first, second = sums(y, a)
    log_grown = np.log1p(b * m)
    # d/d eta of y log m - (y + 1/a) log(1 + a m) is (y - m)/(1 + a m); from it the derivatives in eta and in a.
    slope = (y - m) / grown
    in_a = first + np.sum(log_grown / b**2 - (y + 1 / b) * m / grown, axis=1)
    weight = m * (1 + b * y) / grown**2
    mixed = (y - m) * m / grown**2
    twice = second + np.sum((y + 1 / b) * m**2 / grown**2 + 2 * m / (b**2 * grown) - 2 * log_grown / b**3, axis=1)
    p = x.shape[2]
    information = np.empty((len(a), p + 1, p + 1))
    information[:, :p, :p] = transposed @ (x * weight[..., None])
    information[:, :p, p] = information[:, p, :p] = (transposed @ mixed[..., None])[..., 0]
    information[:, p, p] = -twice
    return np.concatenate([(transposed @ slope[..., None])[..., 0], in_a[:, None]], axis=1), information


def reference(data: Data) -> dict[str, np.ndarray]:
    """Return maximizers (w, dispersion), standard errors, and the steps to a decrement of 1e-6, for all datasets."""
    return joined([_solved({"x": data["x"][s], "y": data["y"][s]}) for s in chunks(len(data["y"]), 1000)])


def _solved(data: Data) -> dict[str, np.ndarray]:
    w, a = moment_start(data)
    p, steps = w.shape[1], np.zeros(len(a), int)
    for _ in range(60):
        score, information = derivatives(data, w, a)
        # In (w, log a): multiply by da/dlog a = a; the second derivative gets the slope in addition.
        score[:, p] *= a
        information[:, :, p] *= a[:, None]
        information[:, p, :] *= a[:, None]
        information[:, p, p] -= score[:, p]
        step = np.linalg.solve(information, score[..., None])[..., 0]
        decrement = np.sqrt(np.abs(np.sum(step * score, axis=1)))
        if np.all(decrement < 1e-8) and np.all(np.linalg.eigvalsh(information) > 0):
            return {
                "flat": np.column_stack([w, a]),
                "se": errors_of(derivatives(data, w, a)[1]),
                "steps": steps,
            }
        steps += decrement >= 1e-6
        step *= np.minimum(1.0, 2.0 / decrement)[:, None]  # at most two standard errors at once
        w, a = w + step[:, :p], a * np.exp(step[:, p])
    raise RuntimeError("Newton's method in NumPy has not reached the maximum of every dataset")


def counts(size: Any, known: Any) -> Counts:
    """Return the least that Newton's method in all parameters needs, at the steps that it took in NumPy."""
    rows, p = size["datasets"] * size["n"], size["p"]
    looks = float(np.mean(known["steps"])) + 1.0
    return Counts(
        bytes=8.0 * rows * (p + 1),
        flops=rows * looks * (2 * p + 16 + 2 * p + 2 * p + p + p * (p + 1)),
        exps=rows * looks * 2,
        text=f"8 (p + 1) bytes a row, read once; {looks:.2f} looks at every row (the mean number of steps of Newton's "
        "method in NumPy to a decrement of 1e-6, plus one) of 7 p + 16 + p (p + 1) operations, an exponential and a "
        "logarithm; the gamma functions cost nothing, since they can be tabulated by count",
    )

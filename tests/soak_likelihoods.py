"""Log-likelihoods for the soak, by hand in NumPy's longest floating type: nothing here is asked of mle_jax.

Each takes what is fixed of a dataset, the predictor split into where the fit ended and a move from there (so that small
moves are not rounded away beside large predictors), and the other parameters as free numbers (logs, a logit). Sources
are the textbook formulas in each docstring's first line.
"""

import math
from collections.abc import Mapping

import numpy as np

LONG = np.longdouble
EPS = float(np.finfo(LONG).eps)
HALF_LOG_2PI = LONG(0.5) * np.log(2 * LONG("3.14159265358979323846264338327950288"))
PI = LONG("3.14159265358979323846264338327950288")
BERNOULLI = ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798))
SHIFT = 24
Rows = Mapping[str, np.ndarray]


def log_gamma(x: np.ndarray) -> np.ndarray:
    """log Gamma(x), x > 0: Stirling's series above 24, the recurrence below (Abramowitz and Stegun 6.1.15, 6.1.40)."""
    x = np.asarray(x, LONG)
    small = x < SHIFT
    product = np.ones_like(x)
    for j in range(SHIFT if small.any() else 0):
        product = product * np.where(small, x + j, 1)
    at = np.where(small, x + SHIFT, x)
    inverse, series = 1 / at, np.zeros_like(at)
    square = inverse**2
    for i, (top, bottom) in reversed(list(enumerate(BERNOULLI, start=1))):
        series = series * square + LONG(top) / LONG(bottom) / (2 * i * (2 * i - 1))
    series = series * inverse
    return (at - LONG(0.5)) * np.log(at) - at + HALF_LOG_2PI + series - np.log(product)


def softplus(a: np.ndarray) -> np.ndarray:
    """log(1 + exp(a)) without overflow."""
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


def gaussian(rows: Rows, base: np.ndarray, move: np.ndarray, free: np.ndarray) -> np.ndarray:
    """-(log(2 pi) + log v)/2 - r^2/(2 v); free: log v."""
    r = (rows["y"] - base) - move
    return -HALF_LOG_2PI - free[0] / 2 - r**2 * np.exp(-free[0]) / 2


def student_t(rows: Rows, base: np.ndarray, move: np.ndarray, free: np.ndarray) -> np.ndarray:
    """log(Gamma((d + 1)/2)/Gamma(d/2)) - log(pi d)/2 - log s - (d + 1)/2 log(1 + r^2/(s^2 d)); free: log s, log d."""
    df = np.exp(free[1])
    z = ((rows["y"] - base) - move) * np.exp(-free[0])
    constant = log_gamma((df + 1) / 2) - log_gamma(df / 2) - (np.log(PI) + free[1]) / 2 - free[0]
    return constant - (df + 1) / 2 * np.log1p(z**2 / df)


def secant(rows: Rows, base: np.ndarray, move: np.ndarray, free: np.ndarray) -> np.ndarray:
    """-log(2 s) - log cosh(pi r/(2 s)), the hyperbolic secant; free: log s."""
    a = np.abs(PI / 2 * ((rows["y"] - base) - move) * np.exp(-free[0]))
    return -free[0] - a - np.log1p(np.exp(-2 * a))


def logistic(rows: Rows, base: np.ndarray, move: np.ndarray, free: np.ndarray) -> np.ndarray:
    """y e - log(1 + exp(e)), as -log(1 + exp(-e)) or -log(1 + exp(e))."""
    e = base + move
    return -softplus(np.where(rows["y"] > 0, -e, e))


def poisson(rows: Rows, base: np.ndarray, move: np.ndarray, free: np.ndarray) -> np.ndarray:
    """y e - exp(e) - log(y!)."""
    e = base + move
    return rows["y"] * e - np.exp(e) - rows["log_factorial"]


def zero_inflated_poisson(rows: Rows, base: np.ndarray, move: np.ndarray, free: np.ndarray) -> np.ndarray:
    """log(q 1(y = 0) + (1 - q) Poisson(y)); free: logit q."""
    counted = -softplus(free[0]) + poisson(rows, base, move, free)
    return np.where(rows["y"] == 0, np.logaddexp(-softplus(-free[0]), counted), counted)


def negative_binomial(rows: Rows, base: np.ndarray, move: np.ndarray, free: np.ndarray) -> np.ndarray:
    """log(Gamma(y + r)/(Gamma(r) y!)) + y log(a m) - (y + r) log(1 + a m), r = 1/a, log m = e; free: log a."""
    r = np.exp(-free[0])
    log_am = base + move + free[0]
    count = log_gamma(rows["y"] + r) - log_gamma(r) - rows["log_factorial"]
    return count + rows["y"] * log_am - (rows["y"] + r) * softplus(log_am)


def gamma(rows: Rows, base: np.ndarray, move: np.ndarray, free: np.ndarray) -> np.ndarray:
    """k log k + k (log y - e) - log y - k y exp(-e) - log Gamma(k); free: log k."""
    k = np.exp(free[0])
    u = (rows["log_y"] - base) - move
    return k * (free[0] + u - np.exp(u)) - rows["log_y"] - log_gamma(k)


def weibull(rows: Rows, base: np.ndarray, move: np.ndarray, free: np.ndarray) -> np.ndarray:
    """z - exp(z) - log s - log y if observed, -exp(z) if censored, z = (log y - e)/s; free: log s."""
    z = ((rows["log_y"] - base) - move) * np.exp(-free[0])
    return np.where(rows["status"] > 0, z - free[0] - rows["log_y"], 0) - np.exp(z)


def prepared(leaves: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the leaves of one dataset as long columns (n, 1), with log y and log y! where they exist."""
    rows = {name: np.asarray(leaf, LONG)[:, None] for name, leaf in leaves.items() if name != "x"}
    y = rows["y"]
    if np.all(y > 0):
        rows["log_y"] = np.log(y)
    if np.all((y >= 0) & (y == np.floor(y))):
        rows["log_factorial"] = log_gamma(y + 1)
    return rows


def self_check() -> float:
    """Return the largest relative error of `log_gamma` against the standard library's, in float64."""
    points = np.concatenate([np.geomspace(1e-8, 1e9, 400), [23.999, 24.0, 24.001]])
    exact = np.array([math.lgamma(float(x)) for x in points])
    return float(np.max(np.abs(log_gamma(points) - exact) / np.maximum(np.abs(exact), 1)))

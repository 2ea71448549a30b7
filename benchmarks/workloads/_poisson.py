"""Poisson regressions side by side: data, and Newton's method in NumPy, which is the reference."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

import mle_jax as mle
from benchmarks.frame.workload import Counts
from benchmarks.workloads._lanes import chunks, errors_of, joined

Data = dict[str, np.ndarray]
CLOSE = 1e-6
"""The decrement, in standard errors, at which everybody may stop."""


def log_density(params: Any, row: Any) -> Any:
    """Poisson with mean exp(<x, w>): y <x, w> - exp(<x, w>) - log y!."""
    eta = row["x"] @ params["w"]
    return row["y"] * eta - jnp.exp(eta) - gammaln(row["y"] + 1.0)


MODEL = mle.Model(log_density, {"w": mle.Real(columns="x")}, name="poisson_regression")


def generate(*, datasets: int, n: int, p: int, seed: int = 3) -> Data:
    """Return designs with an intercept and Gaussian columns, and counts with means around e."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((datasets, n, p))
    x[..., 0] = 1.0
    w = 0.3 * rng.standard_normal((datasets, p, 1)) + np.eye(p)[:, :1]
    return {"x": x, "y": rng.poisson(np.exp((x @ w)[..., 0])).astype(float)}


def least_squares_start(x: Any, y: Any, xp: Any) -> Any:
    """Return a start for Newton's method: least squares of log(y + 1/2) on x. Undamped, from zero, it may diverge."""
    transposed = x.swapaxes(-1, -2)
    return xp.linalg.solve(transposed @ x, transposed @ xp.log(y + 0.5)[..., None])[..., 0]


def derivatives(data: Data, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return score (B, p) and observed information (B, p, p), which is the expected one, too."""
    x, transposed = data["x"], data["x"].transpose(0, 2, 1)
    mean = np.exp((x @ w[..., None])[..., 0])
    return (transposed @ (data["y"] - mean)[..., None])[..., 0], transposed @ (x * mean[..., None])


def newton_step(data: Data, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the step (B, p), the decrement (B,) and the information (B, p, p)."""
    score, information = derivatives(data, w)
    step = np.linalg.solve(information, score[..., None])[..., 0]
    return step, np.sqrt(np.maximum(np.sum(step * score, axis=-1), 0.0)), information


def reference(data: Data) -> dict[str, np.ndarray]:
    """Return maximizers, standard errors, and the steps of Newton's method to a decrement of 1e-6, for all lanes."""
    return joined([_solved({"x": data["x"][s], "y": data["y"][s]}) for s in chunks(len(data["y"]))])


def _solved(data: Data) -> dict[str, np.ndarray]:
    w = least_squares_start(data["x"], data["y"], np)
    steps = np.zeros(len(w), int)
    for _ in range(40):
        step, decrement, information = newton_step(data, w)
        if np.all(decrement < 1e-9):
            return {"flat": w, "se": errors_of(information), "steps": steps}
        steps += decrement >= CLOSE
        w = w + step
    raise RuntimeError("Newton's method in NumPy has not reached the maximum of every lane")


def worst_at(data: Data, answer: Any) -> float:
    """Return the largest decrement at estimates, or error of a standard error relative to itself, over all lanes.

    To first order the decrement is the distance to the maximum in standard errors: no maximum needs to be known.
    """
    found = []
    for s in chunks(len(data["y"])):
        _, decrement, information = newton_step({"x": data["x"][s], "y": data["y"][s]}, answer["flat"][s])
        found += [decrement.max(), np.abs(answer["se"][s] / errors_of(information) - 1.0).max()]
    return float(np.max(found))


def counts(size: Any, known: Any) -> Counts:
    """Return the least that Newton's method needs, at the steps that it took in NumPy."""
    rows, p = size["datasets"] * size["n"], size["p"]
    looks = float(np.mean(known["steps"])) + 1.0
    return Counts(
        bytes=8.0 * rows * (p + 1),
        flops=rows * looks * (2 * p + 2 + 2 * p + p + p * (p + 1)),
        exps=rows * (looks + 1.0),
        text=f"8 (p + 1) bytes a row, read once; {looks:.2f} looks at every row (the mean number of Newton steps from "
        "least squares to a decrement of 1e-6, plus one), of 5 p + 2 + p (p + 1) operations and an exponential; one "
        "logarithm for the start",
    )

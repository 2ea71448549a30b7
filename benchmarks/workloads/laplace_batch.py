"""10 000 Laplace regressions of n = 200, p = 4: least absolute deviations, exact in every lane."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import mle_jax as mle
from benchmarks.frame.workload import Contender, Counts, Workload
from benchmarks.workloads._device import resident
from benchmarks.workloads._lanes import all_of, chunks, first, joined, one_by_one, ours

Data = dict[str, np.ndarray]
MODEL = mle.models.laplace_regression()
LOOPED = 200  # datasets that go through a loop in Python
ROUNDING = 1e-9  # of the multipliers, which come from a linear system of p equations


def generate(*, datasets: int, n: int, p: int) -> Data:
    """Return designs with an intercept and Gaussian columns, and lines with Laplace errors."""
    rng = np.random.default_rng(31)
    x = rng.standard_normal((datasets, n, p))
    x[..., 0] = 1.0
    w = rng.standard_normal((datasets, p, 1))
    return {"x": x, "y": (x @ w)[..., 0] + rng.laplace(size=(datasets, n))}


def vertices(data: Data, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertex beside every w, (B, p), and its largest multiplier (B,): optimal where that is at most 1.

    At a vertex with the rows h (residual 0) the subgradient condition reads X_h' a = -sum over the others of
    sign(r_i) x_i with all |a_i| <= 1. Reference: Koenker (2005), Quantile Regression, section 2.2.2.
    """
    x, y = data["x"], data["y"]
    r = y - (x @ w[..., None])[..., 0]
    rows = np.argpartition(np.abs(r), w.shape[1] - 1, axis=1)[:, : w.shape[1]]
    signs = np.sign(r)
    np.put_along_axis(signs, rows, 0.0, axis=1)
    corner = np.take_along_axis(x, rows[..., None], axis=1)
    outside = (x.transpose(0, 2, 1) @ signs[..., None])[..., 0]
    multipliers = np.linalg.solve(corner.transpose(0, 2, 1), -outside[..., None])[..., 0]
    exact = np.linalg.solve(corner, np.take_along_axis(y, rows, axis=1)[..., None])[..., 0]
    return exact, np.max(np.abs(multipliers), axis=1)


def deviations(data: Data, w: np.ndarray) -> np.ndarray:
    """Return the sum of absolute residuals of every lane."""
    return np.sum(np.abs(data["y"] - (data["x"] @ w[..., None])[..., 0]), axis=1)


def reference(data: Data) -> dict[str, Any]:
    """Return the least sums of absolute residuals with scale and standard errors, proved in NumPy for every lane.

    The vertices are found by the library; that each is the maximum is proved here by its multipliers.
    """
    w = np.asarray(mle.fit_batch(MODEL, data).params["w"])
    parts = []
    for s in chunks(len(w)):
        part = {"x": data["x"][s], "y": data["y"][s]}
        exact, multiplier = vertices(part, w[s])
        if not np.all(multiplier <= 1.0 + ROUNDING):
            raise RuntimeError(f"the reference is no optimum: a multiplier is {np.max(multiplier):.6f}")
        least = deviations(part, exact)
        n, scale = part["y"].shape[1], least / part["y"].shape[1]
        # Errors by the expected information X'X / scale^2 and n / scale^2.
        inverse = np.linalg.inv(part["x"].transpose(0, 2, 1) @ part["x"])
        of_w = scale[:, None] * np.sqrt(np.diagonal(inverse, axis1=1, axis2=2))
        se = np.column_stack([of_w, scale / np.sqrt(n)])
        parts.append({"least": least, "flat": np.column_stack([exact, scale]), "se": se})
    return {"data": data, **joined(parts)}


def excess(answer: dict[str, Any], known: dict[str, Any]) -> float:
    """Return how far sums of absolute residuals, scales or standard errors are from the right ones, relative."""
    flat = np.asarray(answer["flat"])
    count, p = len(flat), known["flat"].shape[1] - 1
    claimed = np.asarray(answer.get("converged", np.ones(count, bool)))
    if not claimed.any():
        return float("nan")
    part = {name: leaf[:count] for name, leaf in known["data"].items()}
    found = [np.abs(deviations(part, flat[:, :p]) / known["least"][:count] - 1.0)]
    if flat.shape[1] > p:
        found.append(np.abs(flat[:, p] / known["flat"][:count, p] - 1.0))
    if "se" in answer:
        found.append(np.max(np.abs(answer["se"] / known["se"][:count] - 1.0), axis=1))
    return float(np.max(np.stack(found)[:, claimed]))


def prepare_fit_batch(errors: bool, data: Data) -> Callable[[], Any]:
    return lambda: all_of(mle.fit_batch(MODEL, data), errors=errors)


def prepare_resident(data: Data) -> Callable[[], Any]:
    on_device = resident(data)
    return lambda: all_of(mle.fit_batch(MODEL, on_device))


def prepare_loop(data: Data) -> Callable[[], Any]:
    datasets = first(data, LOOPED)
    return lambda: one_by_one([mle.fit(MODEL, dataset) for dataset in datasets])


def prepare_statsmodels(data: Data) -> Callable[[], Any]:
    from statsmodels.regression.quantile_regression import QuantReg

    datasets = first(data, LOOPED)
    return lambda: {"flat": np.stack([QuantReg(d["y"], d["x"]).fit(q=0.5, max_iter=10_000).params for d in datasets])}


def counts(size: Any, _: Any) -> Counts:
    """Return the least that anybody needs who proves the optimum: one look at every row."""
    rows, p = size["datasets"] * size["n"], size["p"]
    return Counts(
        bytes=8.0 * rows * (p + 1),
        flops=rows * (4.0 * p + 2),
        exps=0.0,
        text="8 (p + 1) bytes a row, read once, and 4 p + 2 operations a row for residuals and multipliers at the "
        "answer: what the proof takes, without any search",
    )


WORKLOADS = (
    Workload(
        name="laplace_batch",
        suite="laplace",
        title="{datasets} Laplace regressions, n = {n}, p = {p}, exact",
        generate=generate,
        size={"datasets": 10_000, "n": 200, "p": 4},
        quick={"datasets": 32, "n": 50, "p": 3},
        reference=reference,
        discrepancy=excess,
        tolerance=1e-10,
        measure="sum of absolute residuals, scale or standard error against the proved ones, relative, over the lanes "
        "said to have converged; allowed 1e-10 (QuantReg 1e-4)",
        work=lambda size: size["datasets"],
        unit="fits",
        counts=counts,
        contenders=(
            ours(
                "mle.fit_batch",
                partial(prepare_fit_batch, True),
                "NumPy in, NumPy out; every lane exact and proved, with standard errors",
            ),
            ours("mle.fit_batch, no standard errors", partial(prepare_fit_batch, False), "what is missing is theirs"),
            ours("mle.fit_batch, data on the device", prepare_resident, "as the first line, from JAX's arrays"),
            ours("a loop of mle.fit", prepare_loop, "each exact and proved, with standard errors", LOOPED),
            Contender(
                name="statsmodels QuantReg, a loop",
                role="peer",
                device="cpu",
                needs=("statsmodels",),
                units=LOOPED,
                tolerance=1e-4,
                prepare=prepare_statsmodels,
                note="iteratively reweighted least squares, not exact; with standard errors",
            ),
        ),
    ),
)

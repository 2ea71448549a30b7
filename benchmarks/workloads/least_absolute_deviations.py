"""Least absolute deviations, the exact solution: 20 000 rows against linear programming, 100 000 and a million."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.frame.workload import Contender, Counts, Target, Workload
from benchmarks.workloads._device import put
from mle_jax.optimizers import solve_least_absolute_deviations

Data = tuple[np.ndarray, np.ndarray]


def generate(*, n: int, p: int) -> Data:
    """Return a line with Laplace errors."""
    rng = np.random.default_rng(12)
    x = rng.standard_normal((n, p))
    x[:, 0] = 1.0
    return x, x @ rng.standard_normal(p) + rng.laplace(size=n)


def prepare(preprocess: bool, data: Data) -> Callable[[], Any]:
    solve = jax.jit(lambda x, y: solve_least_absolute_deviations(x, y, preprocess=preprocess).coefficients)
    return partial(solve, *put(data))


def prepare_from_host(data: Data) -> Callable[[], Any]:
    solve = jax.jit(lambda x, y: solve_least_absolute_deviations(x, y).coefficients)
    return lambda: np.asarray(solve(*data))


def prepare_statsmodels(data: Data) -> Callable[[], Any]:
    from statsmodels.regression.quantile_regression import QuantReg

    x, y = data
    return lambda: np.asarray(QuantReg(y, x).fit(q=0.5, max_iter=10_000).params)


def prepare_highs(method: str, data: Data) -> Callable[[], Any]:
    """Take the dual, which is smaller: maximize y'a subject to X'a = 0 and |a_i| <= 1; b are its multipliers."""
    from scipy.optimize import linprog

    x, y = data
    constraints, zeros = np.ascontiguousarray(x.T), np.zeros(x.shape[1])

    def run() -> np.ndarray:
        found = linprog(-y, A_eq=constraints, b_eq=zeros, bounds=(-1.0, 1.0), method=method)
        if found.status != 0:
            raise RuntimeError(found.message)
        return -np.asarray(found.eqlin.marginals)

    return run


def objective(data: Data, b: Any) -> float:
    x, y = data
    return float(np.sum(np.abs(y - x @ np.asarray(b))))


def reference(data: Data) -> tuple[Data, float]:
    """Return the least sum of absolute residuals, proved here without trust in whoever found the coefficients.

    At a vertex with the rows h (residual 0) the subgradient condition reads X_h' a = -sum over the others of
    sign(r_i) x_i with all |a_i| <= 1; data from continuous distributions have exactly p rows in h.
    Reference: Koenker (2005), Quantile Regression, section 2.2.2.
    """
    x, y = data
    b = np.asarray(prepare_from_host(data)())
    r = y - x @ b
    vertex = np.argsort(np.abs(r))[: x.shape[1]]
    signs = np.sign(r)
    signs[vertex] = 0.0
    duals = np.linalg.solve(x[vertex].T, -(x.T @ signs))
    if not np.max(np.abs(duals)) <= 1.0 + 1e-9:
        raise RuntimeError(f"the reference is no optimum: a subgradient entry is {np.max(np.abs(duals)):.6f}")
    exact = np.linalg.solve(x[vertex], y[vertex])  # the vertex itself, free of the rounding of whoever found it
    return data, objective(data, exact)


def excess(b: Any, known: tuple[Data, float]) -> float:
    """Return how far the objective at b is from the least, relative; either way counts as an error."""
    data, least = known
    return abs(objective(data, b) - least) / least


PREPROCESSED = Contender(
    name="ours, preprocessed",
    role="ours",
    prepare=partial(prepare, True),
    note="data on the device; a subsample first, then only the rows whose sign is in doubt",
)
WHOLE = Contender(
    name="ours, all rows",
    role="ours",
    prepare=partial(prepare, False),
    note="data on the device; every iteration sees all rows",
)
FROM_HOST = Contender(
    name="ours, from NumPy",
    role="ours",
    prepare=prepare_from_host,
    note="NumPy in, NumPy out; preprocessed above 50 000 rows, as the library decides by itself",
)
QUANTREG = Contender(
    name="statsmodels QuantReg",
    role="peer",
    device="cpu",
    needs=("statsmodels",),
    tolerance=1e-4,
    prepare=prepare_statsmodels,
    note="iteratively reweighted least squares, not exact; with standard errors",
)


def _highs(method: str) -> Contender:
    return Contender(
        name=f"SciPy HiGHS, {method.removeprefix('highs-')}",
        role="peer",
        device="cpu",
        needs=("scipy",),
        tolerance=1e-9,
        prepare=partial(prepare_highs, method),
        note="linear programming, the dual",
    )


def counts(size: Any, _: Any) -> Counts:
    """Return the least that anybody needs who proves the optimum: one look at every row."""
    n, p = size["n"], size["p"]
    return Counts(
        bytes=8.0 * n * (p + 1),
        flops=n * (4.0 * p + 2),
        exps=0.0,
        text="8 (p + 1) bytes and 4 p + 2 operations a row, for residuals and multipliers at the answer: what the "
        "proof takes, without any search",
    )


def _workload(
    name: str, *, n: int, p: int, contenders: tuple[Contender, ...], targets: tuple[Target, ...] = ()
) -> Workload:
    return Workload(
        name=name,
        suite="lad",
        title="least absolute deviations, n = {n}, p = {p}",
        generate=generate,
        size={"n": n, "p": p},
        quick={"n": 300, "p": 3},
        reference=reference,
        discrepancy=excess,
        tolerance=1e-12,
        measure="the sum of absolute residuals beyond the least, relative; allowed 1e-12 (HiGHS 1e-9, QuantReg 1e-4)",
        contenders=contenders,
        targets=targets,
        counts=counts,
    )


WORKLOADS = (
    _workload(
        "lad_20k",
        n=20_000,
        p=10,
        contenders=(WHOLE, PREPROCESSED, FROM_HOST, QUANTREG, _highs("highs-ipm"), _highs("highs-ds")),
    ),
    _workload(
        "lad_100k",
        n=100_000,
        p=10,
        contenders=(PREPROCESSED, WHOLE, FROM_HOST, QUANTREG),
        targets=(
            Target(text="6 times as fast as QuantReg", fast=PREPROCESSED.name, slow=(QUANTREG.name,), at_least=6.0),
        ),
    ),
    _workload(
        "lad_1m",
        n=1_000_000,
        p=20,
        contenders=(PREPROCESSED, WHOLE, FROM_HOST, QUANTREG),
        targets=(Target(text="within 0.1 s with preprocessing, on two cores", fast=PREPROCESSED.name, within=0.1),),
    ),
)

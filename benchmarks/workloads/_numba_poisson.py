"""Poisson regressions by iteratively reweighted least squares in numba, written by hand, the lanes over all cores.

Every lane by itself, in registers and the nearest cache: rows are read one after the other, mean, score and information
in one pass, Cholesky in loops, and no array is made per step. Stops at a decrement of 1e-6, after one more step.
"""

from functools import cache
from typing import Any

STEPS = 40
TOLERANCE = 1e-6


@cache
def solver() -> Any:
    """Return ``solve(x, y, w, se, steps)``, compiled: x is (B, n, p), y (B, n); the others get the answers."""
    import numba
    import numpy as np

    @numba.njit(inline="always")
    def factor(a: Any, p: int) -> None:  # a = L L', L below the diagonal
        for j in range(p):
            for k in range(j):
                a[j, j] -= a[j, k] ** 2
            a[j, j] = np.sqrt(a[j, j])
            for i in range(j + 1, p):
                for k in range(j):
                    a[i, j] -= a[i, k] * a[j, k]
                a[i, j] /= a[j, j]

    @numba.njit(inline="always")
    def solve(a: Any, b: Any, p: int) -> None:  # b becomes (L L')^-1 b
        for i in range(p):
            for k in range(i):
                b[i] -= a[i, k] * b[k]
            b[i] /= a[i, i]
        for i in range(p - 1, -1, -1):
            for k in range(i + 1, p):
                b[i] -= a[k, i] * b[k]
            b[i] /= a[i, i]

    @numba.njit(inline="always")
    def look(x: Any, y: Any, w: Any, score: Any, information: Any) -> None:
        n, p = x.shape
        score[:] = 0.0
        information[:] = 0.0
        for i in range(n):
            eta = 0.0
            for j in range(p):
                eta += x[i, j] * w[j]
            mean = np.exp(eta)
            residual = y[i] - mean
            for j in range(p):
                score[j] += residual * x[i, j]
                weighted = mean * x[i, j]
                for k in range(j + 1):
                    information[j, k] += weighted * x[i, k]

    @numba.njit(inline="always")
    def start(x: Any, y: Any, w: Any, information: Any) -> None:  # least squares of log(y + 1/2) on x
        n, p = x.shape
        w[:] = 0.0
        information[:] = 0.0
        for i in range(n):
            target = np.log(y[i] + 0.5)
            for j in range(p):
                w[j] += target * x[i, j]
                for k in range(j + 1):
                    information[j, k] += x[i, j] * x[i, k]
        factor(information, p)
        solve(information, w, p)

    @numba.njit(parallel=True)
    def run(x: Any, y: Any, w: Any, se: Any, steps: Any) -> None:
        lanes, _, p = x.shape
        for lane in numba.prange(lanes):
            score, step, information = np.empty(p), np.empty(p), np.empty((p, p))
            start(x[lane], y[lane], w[lane], information)
            for number in range(STEPS):
                look(x[lane], y[lane], w[lane], score, information)
                factor(information, p)
                step[:] = score
                solve(information, step, p)
                w[lane] += step
                steps[lane] = number + 1
                if np.sqrt(np.abs(np.dot(step, score))) < TOLERANCE:
                    break
            for j in range(p):  # the last step moved nothing that a standard error would show
                step[:] = 0.0
                step[j] = 1.0
                solve(information, step, p)
                se[lane, j] = np.sqrt(step[j])

    return run

"""One lane in a hundred needs ten times the steps: what that costs the others.

The data are the same with and without stragglers; what differs is where a lane starts. From an intercept that is too
large by d, each step of Newton's method on exp(eta) lowers it by about 1, so that it takes about d steps more.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

import mle_jax as mle
from benchmarks.frame.workload import Contender, Workload
from benchmarks.workloads._device import put
from benchmarks.workloads._lanes import MEASURE, all_of, in_standard_errors
from benchmarks.workloads._poisson import MODEL, Data, generate, reference
from benchmarks.workloads.poisson_batch import newton

EVERY = 100  # one lane of so many is a straggler, at places drawn at random
FAR = 38.0
"""Above the best constant, from which Newton's method takes four steps."""


def starts(data: Data, *, far: bool) -> np.ndarray:
    """Return the best constant mean of every lane as its start (B, p), and for stragglers one far above it."""
    w = np.zeros((len(data["y"]), data["x"].shape[2]))
    w[:, 0] = np.log(data["y"].mean(axis=1))
    if far:
        slow = np.random.default_rng(37).choice(len(w), max(len(w) // EVERY, 1), replace=False)
        w[slow, 0] += FAR
    return w


def prepare_fit_batch(far: bool, data: Data) -> Callable[[], Any]:
    start = {"w": starts(data, far=far)}
    return lambda: all_of(mle.fit_batch(MODEL, data, start=start))


def prepare_newton(far: bool, data: Data) -> Callable[[], Any]:
    return partial(jax.jit(jax.vmap(newton)), *put((data, starts(data, far=far))))


def contenders(far: bool) -> tuple[Contender, ...]:
    """Return ours and the plain loop, with or without stragglers."""
    which = "with stragglers" if far else "without stragglers"
    return (
        Contender(
            name=f"mle.fit_batch, {which}",
            role="ours",
            prepare=partial(prepare_fit_batch, far),
            note="NumPy in, NumPy out; with certificate and standard errors",
        ),
        Contender(
            name=f"jit(vmap(newton)), {which}",
            role="bound",
            prepare=partial(prepare_newton, far),
            note="written by hand: no certificate, no standard errors; all lanes go on until the last has finished",
        ),
    )


WORKLOADS = (
    Workload(
        name="stragglers",
        suite="stragglers",
        title="{datasets} Poisson regressions, n = {n}, p = {p}, of which 1 % need ten times the steps, and none",
        generate=generate,
        size={"datasets": 50_000, "n": 200, "p": 4},
        quick={"datasets": 48, "n": 50, "p": 3},
        reference=reference,
        discrepancy=in_standard_errors,
        tolerance=1e-5,
        measure=f"{MEASURE}; allowed 1e-5",
        work=lambda size: size["datasets"],
        unit="fits",
        contenders=(*contenders(False), *contenders(True)),
    ),
)

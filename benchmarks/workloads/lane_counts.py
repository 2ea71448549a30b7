"""Time per fit from a thousand to a million Poisson regressions, whose data are made chunk by chunk.

A million datasets of n = 200, p = 4 are 8 GB, so that they are never all there. Every chunk is drawn, fitted and
judged; only the fits count. Contenders are numbers of lanes: their times are scaled up to a million, so that ratios and
rates compare the time per fit.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

import mle_jax as mle
from benchmarks.frame.measuring import Measured
from benchmarks.frame.workload import Contender, Workload
from benchmarks.workloads._device import put
from benchmarks.workloads._lanes import all_of
from benchmarks.workloads._poisson import MODEL, generate, worst_at

CHUNK = 100_000
LANES = (100_000, 1000, 10_000, 1_000_000)  # the first is what the others are compared with


def sizes_only(**size: int) -> dict[str, int]:
    """Return the sizes: every contender draws its data by itself."""
    return size


def prepare(lanes: int, on_device: bool, size: dict[str, int]) -> Callable[[], Measured]:
    """Return a call that fits so many lanes, at most those of the size."""
    todo = min(lanes, size["datasets"])

    def run() -> Measured:
        seconds, worst, converged, steps = 0.0, 0.0, [], []
        for number, begin in enumerate(range(0, todo, CHUNK)):
            count = min(CHUNK, todo - begin)
            data = generate(datasets=count, n=size["n"], p=size["p"], seed=100 + number)
            given = put(data) if on_device else data
            started = time.perf_counter()
            answer = all_of(mle.fit_batch(MODEL, given))
            seconds += time.perf_counter() - started
            worst = float(np.maximum(worst, worst_at(data, answer)))  # NaN stays
            converged.append(answer["converged"])
            steps.append(answer["steps"])
        found = {"worst": worst, "converged": np.concatenate(converged), "steps": np.concatenate(steps)}
        return Measured(found, seconds)

    return run


def ours(lanes: int, on_device: bool = False) -> Contender:
    where = ", data on the device" if on_device else ""
    chunked = f", {CHUNK:,} at a time" if lanes > CHUNK else ""
    return Contender(
        name=f"{lanes:,} lanes{where}",
        role="ours",
        units=lanes,
        prepare=partial(prepare, lanes, on_device),
        note=f"mle.fit_batch with certificate and standard errors{chunked}",
    )


WORKLOADS = (
    Workload(
        name="lane_counts",
        suite="batch",
        title="time per fit by number of lanes: Poisson regressions, n = {n}, p = {p}, scaled to {datasets}",
        generate=sizes_only,
        size={"datasets": 1_000_000, "n": 200, "p": 4},
        quick={"datasets": 48, "n": 50, "p": 3},
        reference=lambda size: None,
        discrepancy=lambda answer, _: float(answer["worst"]),
        tolerance=1e-5,
        measure="largest decrement, or relative error of a standard error, of any lane, by NumPy; allowed 1e-5",
        work=lambda size: size["datasets"],
        unit="fits",
        contenders=(*(ours(lanes) for lanes in LANES), ours(LANES[0], on_device=True)),
    ),
)

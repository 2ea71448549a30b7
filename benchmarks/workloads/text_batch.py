"""The same descent on many datasets at once: 1000 datasets of n = 100, p = 6, 1000 steps each."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.frame.checking import relative_difference
from benchmarks.frame.workload import Contender, Workload
from benchmarks.workloads._descent import RATE, compiled_core, numpy_loop, raw_jax, resident

Data = tuple[np.ndarray, np.ndarray, int]
LOOPED = 50  # datasets that go through a loop in Python


def generate(*, datasets: int, steps: int) -> Data:
    """Return datasets like the text's: an intercept, five Gaussian features, noise of standard deviation 0.5."""
    rng = np.random.default_rng(11)
    x = rng.standard_normal((datasets, 100, 6))
    x[..., 0] = 1.0
    w = rng.standard_normal((datasets, 6, 1))
    return x, (x @ w)[..., 0] + 0.5 * rng.standard_normal((datasets, 100)), steps


def over_datasets(core: Callable[..., Any]) -> Callable[..., Any]:
    """All datasets side by side in one loop."""
    return jax.vmap(core, in_axes=(0, 0, 0, None))


def one_by_one(core: Callable[..., Any]) -> Callable[..., Any]:
    """One dataset after the other, in one program."""

    def run(start: Any, x: Any, y: Any, steps: Any) -> Any:
        return jax.lax.map(lambda lane: core(*lane, steps), (start, x, y))

    return run


def prepare_numpy_batch(data: Data) -> Callable[[], Any]:
    x, y, steps = data
    transposed, factor = np.ascontiguousarray(x.transpose(0, 2, 1)), 2.0 * RATE / y.shape[1]

    def run() -> np.ndarray:
        w = np.zeros((x.shape[0], x.shape[2], 1))
        for _ in range(steps):
            w -= factor * (transposed @ (x @ w - y[..., None]))
        return w[..., 0]

    return run


def looped(data: Data) -> np.ndarray:
    """Return the answer for the first datasets from a loop over them."""
    x, y, steps = data
    return np.stack([numpy_loop(x[i], y[i], steps) for i in range(min(LOOPED, len(x)))])


def reference(data: Data) -> np.ndarray:
    """Return the answer of all datasets in closed form, from the eigenvectors of X'X / n.

    From w_0 = 0 the error contracts by 1 - 2 a l per step along the eigenvector of eigenvalue l.
    """
    x, y, steps = data
    values, vectors = np.linalg.eigh(x.transpose(0, 2, 1) @ x / y.shape[1])
    moments = np.einsum("bnp,bn->bp", x, y) / y.shape[1]
    along = np.einsum("bpk,bp->bk", vectors, moments) * (1 - (1 - 2 * RATE * values) ** steps) / values
    return np.einsum("bpk,bk->bp", vectors, along)


WORKLOADS = (
    Workload(
        name="text_batch",
        suite="text",
        title="{datasets} datasets (n = 100, p = 6), {steps} steps of gradient descent each",
        generate=generate,
        size={"datasets": 1000, "steps": 1000},
        quick={"datasets": 20, "steps": 20},
        reference=reference,
        discrepancy=relative_difference,
        tolerance=1e-11,
        measure="largest difference of the coefficients from the closed form of t steps, relative; allowed 1e-11",
        work=lambda size: size["datasets"],
        unit="datasets",
        contenders=(
            Contender(
                name="vmap of our core",
                role="ours",
                prepare=partial(resident, over_datasets(partial(compiled_core, whole=False))),
            ),
            Contender(
                name="our core, one by one",
                role="ours",
                prepare=partial(resident, one_by_one(compiled_core)),
                note="lax.map: each dataset stays in the cache during its own loop",
            ),
            Contender(name="vmap of fori_loop", role="bound", prepare=partial(resident, over_datasets(raw_jax))),
            Contender(name="NumPy, batched products", role="peer", device="cpu", prepare=prepare_numpy_batch),
            Contender(
                name="NumPy, a loop over datasets",
                role="peer",
                device="cpu",
                units=LOOPED,
                prepare=lambda data: partial(looped, data),
            ),
        ),
    ),
)

"""T11's second problem: 10 000 steps of gradient descent, n = 100, p = 6, learning rate 0.01, no stopping rule."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import mle_jax as mle
from benchmarks.frame.checking import relative_difference
from benchmarks.frame.workload import Contender, Target, Workload
from benchmarks.workloads._descent import RATE, compiled_core, numpy_loop, raw_jax, resident
from mle_jax.text.descent import plain_loop
from mle_jax.text.squared_error import mean_squared_error

Data = tuple[np.ndarray, np.ndarray, int]


def generate(*, steps: int) -> Data:
    """Return the text's data."""
    return (*mle.text.features_data(0), steps)


def prepare_minimize(data: Data) -> Callable[[], Any]:
    x, y, steps = data
    descent = mle.optimizers.GradientDescent(RATE)
    start = {"w": np.zeros(x.shape[1])}
    return lambda: mle.minimize(mean_squared_error, start, args=(x, y), optimizer=descent, max_steps=steps).params["w"]


def prepare_plain(data: Data) -> Callable[[], Any]:
    x, y, steps = data
    return lambda: plain_loop(np.zeros(x.shape[1]), (x, y), rate=RATE, steps=steps)[0]


def prepare_torch(data: Data) -> Callable[[], Any]:
    import torch

    x, y = (torch.tensor(array, dtype=torch.float64) for array in data[:2])
    steps = data[2]

    def run() -> Any:
        w = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
        for _ in range(steps):
            error = torch.mean((y - x @ w) ** 2)
            (slope,) = torch.autograd.grad(error, w)
            with torch.no_grad():
                w -= RATE * slope
        return w.detach().numpy()

    return run


WORKLOADS = (
    Workload(
        name="text_descent",
        suite="text",
        title="{steps} steps of gradient descent on a mean squared error, n = 100, p = 6",
        generate=generate,
        size={"steps": 10_000},
        quick={"steps": 50},
        reference=lambda data: numpy_loop(*data),
        discrepancy=relative_difference,
        tolerance=1e-12,
        measure="largest difference of the coefficients from a NumPy loop, relative to the largest; allowed 1e-12",
        work=lambda size: size["steps"],
        unit="steps",
        contenders=(
            Contender(name="mle.minimize", role="ours", prepare=prepare_minimize, note="NumPy in, NumPy out"),
            Contender(
                name="its compiled core",
                role="ours",
                prepare=partial(resident, compiled_core),
                note="data on the device; with value and finite check at every step",
            ),
            Contender(
                name="jax.lax.fori_loop",
                role="bound",
                prepare=partial(resident, raw_jax),
                note="written by hand; autodiff gradient, neither value nor check",
            ),
            Contender(
                name="NumPy, gradient by hand",
                role="peer",
                device="cpu",
                prepare=lambda data: partial(numpy_loop, *data),
            ),
            Contender(
                name="NumPy, value at every step",
                role="peer",
                device="cpu",
                prepare=prepare_plain,
                note="as it stands in the text",
            ),
            Contender(name="PyTorch autograd", role="peer", device="cpu", needs=("torch",), prepare=prepare_torch),
        ),
        targets=(
            Target(text="40 times as fast as PyTorch", fast="mle.minimize", slow=("PyTorch autograd",), at_least=40.0),
            Target(
                text="5 times as fast as NumPy", fast="mle.minimize", slow=("NumPy, gradient by hand",), at_least=5.0
            ),
        ),
    ),
)

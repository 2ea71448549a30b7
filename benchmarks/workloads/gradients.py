"""Automatic differentiation against the gradient by hand: T7 and T12, n = 1e6, p = 20."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import mle_jax as mle
from benchmarks.frame.checking import relative_difference
from benchmarks.frame.workload import Contender, Target, Workload
from benchmarks.workloads._device import put

Data = tuple[dict[str, Any], dict[str, np.ndarray]]

AUTODIFF, MODEL = "autodiff (model.score)", "by hand (model.gradient)"
TRANSPOSED, SUMMED = "by hand, X.T @ r", "by hand, sum of r_i x_i"


def generate(scale: str, *, n: int, p: int) -> Data:
    """Return params near the truth, and the data of a line with Gaussian errors."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal((n, p))
    x[:, 0] = 1.0
    w = rng.standard_normal(p)
    y = x @ w + rng.standard_normal(n)
    return {"w": w + 0.01, scale: np.float64(1.3)}, {"x": x, "y": y}


def prepare(function: Callable[..., Any], data: Data) -> Callable[[], Any]:
    """Put params and data on the device; the function is compiled by the first call."""
    return partial(function, *put(data))


def by_rows(function: Callable[..., Any], product: Callable[[Any, Any], Any], data: Data) -> Callable[[], Any]:
    """As `prepare`, for a formula that leaves open how X' r is multiplied out."""
    return prepare(jax.jit(lambda params, rows: function(params, rows, product, jnp)), data)


def gaussian_by_hand(params: Any, data: Any, product: Callable[[Any, Any], Any], xp: Any) -> Any:
    """T7: X' r / variance and -n / (2 variance) + r'r / (2 variance^2)."""
    x, variance = data["x"], params["variance"]
    r = data["y"] - x @ params["w"]
    return {"w": product(r, x) / variance, "variance": -r.size / (2 * variance) + r @ r / (2 * variance**2)}


def laplace_by_hand(params: Any, data: Any, product: Callable[[Any, Any], Any], xp: Any) -> Any:
    """T12: X' sign(r) / scale and -n / scale + sum |r| / scale^2."""
    x, scale = data["x"], params["scale"]
    r = data["y"] - x @ params["w"]
    return {"w": product(xp.sign(r), x) / scale, "scale": -r.size / scale + xp.sum(xp.abs(r)) / scale**2}


def prepare_torch(log_likelihood: Callable[..., Any], data: Data) -> Callable[[], Any]:
    import torch

    params, rows = data
    names = list(params)
    x, y = torch.from_numpy(rows["x"]), torch.from_numpy(rows["y"])
    leaves = [torch.tensor(params[name], dtype=torch.float64, requires_grad=True) for name in names]

    def run() -> dict[str, np.ndarray]:
        slopes = torch.autograd.grad(log_likelihood(torch, *leaves, x, y), leaves)
        return {name: slope.numpy() for name, slope in zip(names, slopes, strict=True)}

    return run


def gaussian_in_torch(torch: Any, w: Any, variance: Any, x: Any, y: Any) -> Any:
    return -0.5 * y.numel() * torch.log(2 * torch.pi * variance) - torch.sum((y - x @ w) ** 2) / (2 * variance)


def laplace_in_torch(torch: Any, w: Any, scale: Any, x: Any, y: Any) -> Any:
    return -y.numel() * torch.log(2 * scale) - torch.sum(torch.abs(y - x @ w)) / scale


def _workload(item: str, model: mle.Model, scale: str, by_hand: Callable[..., Any], in_torch: Any) -> Workload:
    numpy_gradient = partial(by_hand, product=np.matmul, xp=np)
    return Workload(
        name=f"gradient_{item.lower()}",
        suite="gradient",
        title=f"one gradient of the log-likelihood of {item}, {model.name}, n = {{n}}, p = {{p}}",
        generate=partial(generate, scale),
        size={"n": 1_000_000, "p": 20},
        quick={"n": 500, "p": 4},
        reference=lambda data: numpy_gradient(*data),
        discrepancy=relative_difference,
        tolerance=1e-9,  # sums of n terms of random sign: sqrt(n) times larger than their result, and eps n at worst
        measure="largest difference from NumPy's, relative to the largest entry; allowed 1e-9",
        contenders=(
            Contender(name=AUTODIFF, role="ours", prepare=partial(prepare, model.score)),
            Contender(
                name=MODEL,
                role="ours",
                prepare=partial(prepare, jax.jit(model.gradient)),
                note="compiled by JAX as it stands in the model, X' r written r @ X",
            ),
            Contender(
                name=TRANSPOSED,
                role="bound",
                prepare=partial(by_rows, by_hand, lambda r, x: x.T @ r),
                note="the same formula in JAX, written as in the text",
            ),
            Contender(
                name=SUMMED,
                role="bound",
                prepare=partial(by_rows, by_hand, lambda r, x: jnp.sum(r[:, None] * x, axis=0)),
                note="the same, without a call of a matrix product for X' r",
            ),
            Contender(
                name="by hand in NumPy",
                role="peer",
                device="cpu",
                prepare=lambda data: partial(numpy_gradient, *data),
            ),
            Contender(
                name="PyTorch autograd",
                role="peer",
                device="cpu",
                needs=("torch",),
                prepare=partial(prepare_torch, in_torch),
            ),
        ),
        targets=(
            Target(
                text="autodiff at most 1.3 times the time of the gradient by hand in the model",
                fast=AUTODIFF,
                slow=(MODEL,),
                at_most=1.3,
            ),
            Target(
                text="autodiff at most 1.3 times the time of the fastest of the three written by hand in JAX",
                fast=AUTODIFF,
                slow=(MODEL, TRANSPOSED, SUMMED),
                at_most=1.3,
            ),
        ),
    )


WORKLOADS = (
    _workload("T7", mle.models.linear_gaussian(), "variance", gaussian_by_hand, gaussian_in_torch),
    _workload("T12", mle.models.laplace_regression(), "scale", laplace_by_hand, laplace_in_torch),
)

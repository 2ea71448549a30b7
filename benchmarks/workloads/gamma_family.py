"""The logarithm of the gamma function with its first and second derivative, of a million numbers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.frame.workload import Contender, Target, Workload
from benchmarks.workloads._device import put
from mle_jax.densities._gamma_functions import log_gamma

Answer = dict[str, Any]

OURS, JAX_FORMULAS, JAX_AUTODIFF = "log_gamma, autodiff", "jax.scipy: gammaln, digamma, polygamma", "gammaln, autodiff"


def generate(*, n: int) -> np.ndarray:
    """Return numbers spread evenly in the logarithm, from 1/100 to 10 000."""
    return np.exp(np.random.default_rng(3).uniform(np.log(1e-2), np.log(1e4), n))


def by_autodiff(function: Callable[..., Any], x: Any) -> Answer:
    """Return value and two derivatives of every number."""
    first = jax.grad(function)
    names = {"value": function, "first": first, "second": jax.grad(first)}
    return {name: jax.vmap(f)(x) for name, f in names.items()}


def in_jax(x: Any) -> Answer:
    from jax.scipy.special import digamma, gammaln, polygamma

    return {"value": gammaln(x), "first": digamma(x), "second": polygamma(1, x)}


def autodiff_in_jax(x: Any) -> Answer:
    from jax.scipy.special import gammaln

    return by_autodiff(gammaln, x)


def prepare(function: Callable[..., Any], data: np.ndarray) -> Callable[[], Any]:
    return partial(jax.jit(function), put(data))


def in_scipy(x: np.ndarray) -> Answer:
    from scipy.special import digamma, gammaln, zeta

    return {"value": gammaln(x), "first": digamma(x), "second": zeta(2.0, x)}  # the trigamma function is zeta(2, x)


def prepare_torch(data: np.ndarray) -> Callable[[], Answer]:
    import torch

    x = torch.from_numpy(data)
    return lambda: {
        "value": torch.lgamma(x).numpy(),
        "first": torch.digamma(x).numpy(),
        "second": torch.polygamma(1, x).numpy(),
    }


def discrepancy(answer: Answer, reference: Answer) -> float:
    """Return the largest error, relative to the number or, where that is smaller (zeros of the first two), to 1."""
    floors = {"value": 1.0, "first": 1.0, "second": 0.0}
    found = [
        np.max(np.abs(np.asarray(answer[name]) - right) / np.maximum(np.abs(right), floors[name]))
        for name, right in reference.items()
    ]
    return float(np.max(found))


WORKLOADS = (
    Workload(
        name="gamma_family",
        suite="densities",
        title="log(Gamma(x)) with first and second derivative, n = {n}",
        generate=generate,
        size={"n": 1_000_000},
        quick={"n": 1000},
        reference=in_scipy,
        discrepancy=discrepancy,
        tolerance=1e-12,  # what the densities promise
        measure="largest error relative to SciPy's numbers (to 1 near the zeros of the first two); allowed 1e-12",
        work=lambda size: size["n"],
        unit="numbers",
        contenders=(
            Contender(name=OURS, role="ours", prepare=partial(prepare, partial(by_autodiff, log_gamma))),
            Contender(name=JAX_FORMULAS, role="peer", prepare=partial(prepare, in_jax)),
            Contender(name=JAX_AUTODIFF, role="peer", prepare=partial(prepare, autodiff_in_jax)),
            Contender(
                name="SciPy: gammaln, digamma, zeta",
                role="peer",
                device="cpu",
                needs=("scipy",),
                prepare=lambda data: partial(in_scipy, data),
            ),
            Contender(name="PyTorch", role="peer", device="cpu", needs=("torch",), prepare=prepare_torch),
        ),
        targets=(
            Target(
                text="at least 3 times faster than jax.scipy's three functions",
                fast=OURS,
                slow=(JAX_FORMULAS, JAX_AUTODIFF),
                at_least=3.0,
            ),
        ),
    ),
)

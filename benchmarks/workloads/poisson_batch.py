"""Many Poisson regressions: 100 000 datasets of n = 200, p = 4, every one with its own design."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import mle_jax as mle
from benchmarks.frame.workload import Contender, Workload
from benchmarks.workloads._device import on_device, resident
from benchmarks.workloads._lanes import (
    MEASURE,
    all_of,
    errors_of,
    first,
    in_standard_errors,
    of_maximum,
    one_by_one,
    ours,
)
from benchmarks.workloads._numba_poisson import solver
from benchmarks.workloads._poisson import (
    MODEL,
    Data,
    counts,
    derivatives,
    generate,
    least_squares_start,
    newton_step,
    reference,
)

LOOPED = 200  # datasets that go through a loop of single fits in Python
SIDE_BY_SIDE = 10_000  # datasets for those who hold several copies of everything at once
CHUNK = 16  # datasets side by side under lax.map
NEWTON_STEPS = 50


def prepare_fit_batch(model: Any, errors: bool, data: Data) -> Callable[[], Any]:
    return lambda: all_of(mle.fit_batch(model, data), errors=errors)


def prepare_resident(data: Data) -> Callable[[], Any]:
    there = resident(data)
    return lambda: all_of(mle.fit_batch(MODEL, there))


def prepare_certificate(data: Data) -> Callable[[], Any]:
    """Start every lane at its maximum and take no step: what is left is the look there, its certificate and polish."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lanes that fail; the line of fit_batch says how many
        top = mle.fit_batch(MODEL, data).params
    return lambda: all_of(mle.fit_batch(MODEL, data, start=top, max_steps=0), errors=False)


def solved(dataset: Any) -> dict[str, Any]:
    """Fit one dataset, traceable: certified, without standard errors."""
    return of_maximum(mle.maximize(MODEL, dataset), ["w"])


def newton(dataset: Any, start: Any = None) -> dict[str, Any]:
    """Undamped Newton as a person writes it: derivatives by JAX, a solve, stop when the step is small."""

    def loss(w: Any) -> Any:
        eta = dataset["x"] @ w
        return jnp.sum(jnp.exp(eta) - dataset["y"] * eta)

    def unfinished(state: Any) -> Any:
        _, step, number = state
        return (jnp.max(jnp.abs(step)) > 1e-8) & (number < NEWTON_STEPS)

    def advance(state: Any) -> Any:
        w, _, number = state
        step = jnp.linalg.solve(jax.hessian(loss)(w), jax.grad(loss)(w))
        return w - step, step, number + 1

    if start is None:
        start = least_squares_start(dataset["x"], dataset["y"], jnp)
    return {"flat": jax.lax.while_loop(unfinished, advance, (start, jnp.full_like(start, jnp.inf), 0))[0]}


def prepare_loop(data: Data) -> Callable[[], Any]:
    datasets = first(data, LOOPED)
    return lambda: one_by_one([mle.fit(MODEL, dataset) for dataset in datasets])


def prepare_numba(data: Data) -> Callable[[], Any]:
    solve, x, y = solver(), data["x"], data["y"]

    def run() -> dict[str, np.ndarray]:
        lanes, _, p = x.shape
        w, se, steps = np.empty((lanes, p)), np.empty((lanes, p)), np.zeros(lanes, int)
        solve(x, y, w, se, steps)
        return {"flat": w, "se": se, "steps": steps}

    return run


def prepare_numpy(data: Data) -> Callable[[], Any]:
    part = {name: leaf[:SIDE_BY_SIDE] for name, leaf in data.items()}

    def run() -> dict[str, np.ndarray]:
        w = least_squares_start(part["x"], part["y"], np)
        for _ in range(8):
            w = w + newton_step(part, w)[0]
        return {"flat": w, "se": errors_of(derivatives(part, w)[1])}

    return run


def prepare_statsmodels(data: Data) -> Callable[[], Any]:
    import statsmodels.api as sm

    datasets = first(data, LOOPED)

    def run() -> dict[str, np.ndarray]:
        fits = [sm.GLM(dataset["y"], dataset["x"], family=sm.families.Poisson()).fit() for dataset in datasets]
        return {"flat": np.stack([fit.params for fit in fits]), "se": np.stack([fit.bse for fit in fits])}

    return run


READY_MADE = mle.models.poisson_regression()

WORKLOADS = (
    Workload(
        name="poisson_batch",
        suite="batch",
        title="{datasets} Poisson regressions, n = {n}, p = {p}",
        generate=generate,
        size={"datasets": 100_000, "n": 200, "p": 4},
        quick={"datasets": 48, "n": 50, "p": 3},
        reference=reference,
        discrepancy=in_standard_errors,
        tolerance=1e-5,
        measure=f"{MEASURE}; allowed 1e-5",
        work=lambda size: size["datasets"],
        unit="fits",
        counts=counts,
        contenders=(
            ours(
                "mle.fit_batch",
                partial(prepare_fit_batch, MODEL, True),
                "NumPy in, NumPy out; a density as users write it; certificate, last Newton step, standard errors",
            ),
            ours(
                "mle.fit_batch, no standard errors",
                partial(prepare_fit_batch, MODEL, False),
                "the same without asking for standard errors; what is missing to the line above is what they cost",
            ),
            ours(
                "certificate alone",
                prepare_certificate,
                "mle.fit_batch from the maximum with max_steps=0: certificate and last Newton step, which can not be "
                "switched off, and the way from NumPy to NumPy",
            ),
            ours("mle.fit_batch, data on the device", prepare_resident, "as the first line, from JAX's arrays"),
            ours(
                "mle.fit_batch, ready-made model",
                partial(prepare_fit_batch, READY_MADE, True),
                "as the first line with models.poisson_regression(), which is safe in its tails",
            ),
            ours(
                "lax.map of mle.maximize",
                partial(on_device, lambda data: jax.lax.map(solved, data, batch_size=CHUNK), None),
                "data on the device, with certificate, without standard errors; chunks of 16",
            ),
            ours(
                "vmap of mle.maximize",
                partial(on_device, jax.vmap(solved), SIDE_BY_SIDE),
                "the same, all datasets side by side",
                SIDE_BY_SIDE,
            ),
            ours("a loop of mle.fit", prepare_loop, "each fit with certificate and standard errors", LOOPED),
            Contender(
                name="jit(vmap(newton))",
                role="bound",
                prepare=partial(on_device, jax.vmap(newton), None),
                note="written by hand: undamped, no certificate, no standard errors; data on the device",
            ),
            Contender(
                name="numba IRLS",
                role="bound",
                device="cpu",
                needs=("numba",),
                prepare=prepare_numba,
                note="written by hand, lanes over all cores, with standard errors; undamped, no certificate",
            ),
            Contender(
                name="NumPy, batched Newton",
                role="peer",
                device="cpu",
                units=SIDE_BY_SIDE,
                prepare=prepare_numpy,
                note="8 steps for all, without a stopping rule; with standard errors",
            ),
            Contender(
                name="statsmodels GLM, a loop",
                role="peer",
                device="cpu",
                needs=("statsmodels",),
                units=LOOPED,
                prepare=prepare_statsmodels,
                note="with standard errors",
            ),
        ),
    ),
)

"""Many Poisson regressions: 10 000 datasets of n = 200, p = 4, every one with its own design."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

import mle_jax as mle
from benchmarks.frame.workload import Contender, Workload
from benchmarks.workloads._device import put

Data = dict[str, np.ndarray]
LOOPED = 200  # datasets that go through a loop of single fits in Python
CHUNK = 16  # datasets side by side, as in fit_batch
NEWTON_STEPS = 50


def log_density(params: Any, row: Any) -> Any:
    """Poisson with mean exp(<x, w>): y <x, w> - exp(<x, w>) - log y!."""
    eta = row["x"] @ params["w"]
    return row["y"] * eta - jnp.exp(eta) - gammaln(row["y"] + 1.0)


MODEL = mle.Model(log_density, {"w": mle.Real(columns="x")}, name="poisson_regression")


def generate(*, datasets: int, n: int, p: int) -> Data:
    """Return designs with an intercept and Gaussian columns, and counts with means around e."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((datasets, n, p))
    x[..., 0] = 1.0
    w = 0.3 * rng.standard_normal((datasets, p, 1)) + np.eye(p)[:, :1]
    return {"x": x, "y": rng.poisson(np.exp((x @ w)[..., 0])).astype(float)}


def numpy_newton(data: Data, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return w (B, p) and the information (B, p, p) from Newton's method in NumPy, all datasets side by side."""
    x, y = data["x"], data["y"]
    w = least_squares_start(x, y, np)
    transposed = x.transpose(0, 2, 1)
    for _ in range(steps):
        mean = np.exp((x @ w[..., None])[..., 0])
        information = transposed @ (x * mean[..., None])
        w = w + np.linalg.solve(information, transposed @ (y - mean)[..., None])[..., 0]
    return w, information


def least_squares_start(x: Any, y: Any, xp: Any) -> Any:
    """Return a start for Newton's method: least squares of log(y + 1/2) on x. Undamped, from zero, it may diverge."""
    transposed = x.swapaxes(-1, -2)
    return xp.linalg.solve(transposed @ x, transposed @ xp.log(y + 0.5)[..., None])[..., 0]


def reference(data: Data) -> dict[str, np.ndarray]:
    """Return maximizers and standard errors (inverse observed information; expected is the same here)."""
    w, information = numpy_newton(data, 30)
    errors = np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2))
    return {"w": w, "se": errors}


def in_standard_errors(answer: dict[str, Any], reference: dict[str, np.ndarray]) -> float:
    """Return the largest error of a coefficient in standard errors, or of a standard error relative to itself."""
    count = len(answer["w"])
    scale = reference["se"][:count]
    apart = [float(np.max(np.abs(answer[name] - reference[name][:count]) / scale)) for name in answer]
    return max(apart) if np.all(np.isfinite(apart)) else float("nan")


def prepare_fit_batch(data: Data) -> Callable[[], Any]:
    def run() -> dict[str, np.ndarray]:
        fits = mle.fit_batch(MODEL, data)
        return {"w": fits.params["w"], "se": fits.standard_errors()["w"]}

    return run


def solved(dataset: Any) -> dict[str, Any]:
    """Fit one dataset, traceable: certified, without standard errors."""
    return {"w": mle.maximize(MODEL, dataset).params["w"]}


def newton(dataset: Any) -> dict[str, Any]:
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

    start = least_squares_start(dataset["x"], dataset["y"], jnp)
    return {"w": jax.lax.while_loop(unfinished, advance, (start, jnp.full_like(start, jnp.inf), 0))[0]}


def on_device(function: Callable[[Any], Any], data: Data) -> Callable[[], Any]:
    """Put the data on the device and compile a function of them all."""
    return partial(jax.jit(function), put(data))


def first(data: Data) -> list[Data]:
    """Return the datasets that the loops do, one by one."""
    return [{"x": x, "y": y} for x, y in zip(data["x"][:LOOPED], data["y"][:LOOPED], strict=True)]


def prepare_loop(data: Data) -> Callable[[], Any]:
    datasets = first(data)

    def run() -> dict[str, np.ndarray]:
        fits = [mle.fit(MODEL, dataset) for dataset in datasets]
        return {
            "w": np.stack([fit.params["w"] for fit in fits]),
            "se": np.stack([fit.standard_errors()["w"] for fit in fits]),
        }

    return run


def prepare_statsmodels(data: Data) -> Callable[[], Any]:
    import statsmodels.api as sm

    datasets = first(data)

    def run() -> dict[str, np.ndarray]:
        fits = [sm.GLM(dataset["y"], dataset["x"], family=sm.families.Poisson()).fit() for dataset in datasets]
        return {"w": np.stack([fit.params for fit in fits]), "se": np.stack([fit.bse for fit in fits])}

    return run


WORKLOADS = (
    Workload(
        name="poisson_batch",
        suite="batch",
        title="{datasets} Poisson regressions, n = {n}, p = {p}",
        generate=generate,
        size={"datasets": 10_000, "n": 200, "p": 4},
        quick={"datasets": 48, "n": 50, "p": 3},
        reference=reference,
        discrepancy=in_standard_errors,
        tolerance=1e-5,
        measure="largest error of a coefficient or a standard error, in standard errors; allowed 1e-5",
        work=lambda size: size["datasets"],
        unit="fits",
        contenders=(
            Contender(
                name="mle.fit_batch",
                role="ours",
                prepare=prepare_fit_batch,
                note="NumPy in, NumPy out; each fit with certificate and standard errors",
            ),
            Contender(
                name="lax.map of mle.maximize",
                role="ours",
                prepare=partial(on_device, lambda data: jax.lax.map(solved, data, batch_size=CHUNK)),
                note="data on the device, with certificate, without standard errors; chunks of 16",
            ),
            Contender(
                name="vmap of mle.maximize",
                role="ours",
                prepare=partial(on_device, jax.vmap(solved)),
                note="the same, all datasets side by side",
            ),
            Contender(
                name="a loop of mle.fit",
                role="ours",
                units=LOOPED,
                prepare=prepare_loop,
                note="each fit with certificate and standard errors",
            ),
            Contender(
                name="jit(vmap(newton))",
                role="bound",
                prepare=partial(on_device, jax.vmap(newton)),
                note="written by hand: undamped, no certificate, no standard errors",
            ),
            Contender(
                name="NumPy, batched Newton",
                role="peer",
                device="cpu",
                prepare=lambda data: lambda: {"w": numpy_newton(data, 8)[0]},
                note="8 steps for all, without a stopping rule or standard errors",
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

"""20 000 negative binomial regressions of n = 500, p = 6 with the dispersion estimated: counts of gene expression."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

import mle_jax as mle
from benchmarks.frame.workload import Contender, Workload
from benchmarks.workloads._device import on_device, resident
from benchmarks.workloads._lanes import MEASURE, all_of, first, in_standard_errors, of_maximum, one_by_one, ours
from benchmarks.workloads._negative_binomial import Data, counts, generate, reference
from mle_jax.models.negative_binomial_linear import start

MAPPED = 2000  # datasets for the library's loop as JAX compiles it
CHUNK = 16  # datasets side by side under lax.map
LOOPED = 100  # datasets that go through a loop in Python


def textbook(params: Any, row: Any) -> Any:
    """NB2 as it stands in textbooks, by the gamma function of jax.scipy."""
    eta, r = row["x"] @ params["w"], 1.0 / params["dispersion"]
    log_total = jnp.log(r + jnp.exp(eta))
    constant = gammaln(row["y"] + r) - gammaln(r) - gammaln(row["y"] + 1.0)
    return constant + r * (jnp.log(r) - log_total) + row["y"] * (eta - log_total)


READY_MADE = mle.models.negative_binomial_regression()
TEXTBOOK = mle.Model(
    textbook, {"w": mle.Real(columns="x"), "dispersion": mle.Positive()}, start=start, name="negative_binomial_textbook"
)


def prepare_fit_batch(model: Any, errors: bool, data: Data) -> Callable[[], Any]:
    return lambda: all_of(mle.fit_batch(model, data), errors=errors)


def prepare_resident(data: Data) -> Callable[[], Any]:
    there = resident(data)
    return lambda: all_of(mle.fit_batch(READY_MADE, there))


def prepare_certificate(data: Data) -> Callable[[], Any]:
    top = mle.fit_batch(READY_MADE, data).params
    return lambda: all_of(mle.fit_batch(READY_MADE, data, start=top, max_steps=0), errors=False)


def solved(dataset: Any) -> dict[str, Any]:
    """Fit the textbook's density to one dataset, traceable: certified, without standard errors."""
    return of_maximum(mle.maximize(TEXTBOOK, dataset), ["w", "dispersion"])


def prepare_loop(data: Data) -> Callable[[], Any]:
    datasets = first(data, LOOPED)
    return lambda: one_by_one([mle.fit(READY_MADE, dataset) for dataset in datasets])


def prepare_statsmodels(data: Data) -> Callable[[], Any]:
    import statsmodels.api as sm

    datasets = first(data, LOOPED)

    def run() -> dict[str, np.ndarray]:
        fits = [sm.NegativeBinomial(dataset["y"], dataset["x"]).fit(disp=0) for dataset in datasets]
        return {
            "flat": np.stack([fit.params for fit in fits]),
            "se": np.stack([fit.bse for fit in fits]),
            "converged": np.array([fit.mle_retvals["converged"] for fit in fits]),
        }

    return run


WORKLOADS = (
    Workload(
        name="negative_binomial_batch",
        suite="counts",
        title="{datasets} negative binomial regressions, n = {n}, p = {p} and the dispersion",
        generate=generate,
        size={"datasets": 20_000, "n": 500, "p": 6},
        quick={"datasets": 32, "n": 200, "p": 2},
        reference=reference,
        discrepancy=in_standard_errors,
        tolerance=1e-5,
        measure=f"{MEASURE}; allowed 1e-5 (statsmodels 0.05)",
        work=lambda size: size["datasets"],
        unit="fits",
        counts=counts,
        contenders=(
            ours(
                "mle.fit_batch",
                partial(prepare_fit_batch, READY_MADE, True),
                "NumPy in, NumPy out; models.negative_binomial_regression(), with certificate, last Newton step, "
                "standard errors",
            ),
            ours(
                "mle.fit_batch, no standard errors",
                partial(prepare_fit_batch, READY_MADE, False),
                "what is missing to the first line is what they cost",
            ),
            ours("certificate alone", prepare_certificate, "mle.fit_batch from the maximum with max_steps=0"),
            ours("mle.fit_batch, data on the device", prepare_resident, "as the first line, from JAX's arrays"),
            ours(
                "mle.fit_batch, textbook's density",
                partial(prepare_fit_batch, TEXTBOOK, True),
                "as the first line, but written on the gamma functions of jax.scipy, in whose place the engine puts "
                "those of the library; same start",
            ),
            ours(
                "lax.map of mle.maximize, textbook's density",
                partial(on_device, lambda data: jax.lax.map(solved, data, batch_size=CHUNK), MAPPED),
                "on the gamma functions of jax.scipy themselves; data on the device, with certificate, without "
                "standard errors; chunks of 16",
                MAPPED,
            ),
            ours("a loop of mle.fit", prepare_loop, "each fit with certificate and standard errors", LOOPED),
            Contender(
                name="statsmodels NegativeBinomial, a loop",
                role="peer",
                device="cpu",
                needs=("statsmodels",),
                units=LOOPED,
                tolerance=0.05,
                prepare=prepare_statsmodels,
                note="its default optimizer (BFGS) and tolerance, with standard errors",
            ),
        ),
    ),
)

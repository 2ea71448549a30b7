"""100 000 images of a Gaussian peak with Poisson counts, 7x7 and 5x5 pixels, 5 parameters: super-resolution microscopy.

Gpufit and Cpufit, where a build is at hand (`import pygpufit`, `import pycpufit`), get the same images; their published
figures are of other data, a looser tolerance and least squares, and are quoted as published.
"""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

import mle_jax as mle
from benchmarks.frame.workload import Contender, Published, Workload
from benchmarks.workloads._device import put
from benchmarks.workloads._lanes import MEASURE, all_of, in_standard_errors, of_maximum, one_by_one, ours
from benchmarks.workloads._peaks import Peaks, counts, generate, mean_and_slopes, moment_start, reference

MODEL = mle.models.gaussian_peak()
SHARED = ("u", "v")
LOOPED = 100  # images that go through a loop in Python
CHUNK = 64  # images side by side under lax.map
NAMES = ("height", "u0", "v0", "width", "background")

SOURCE = (
    "examples/c++/gpu_vs_cpu_profiling of gpufit/Gpufit and Przybylski et al. 2017, Scientific Reports 7, 15722: "
    "5x5 pixels, least squares, tolerance 1e-4, at most 10 steps, float32, no standard errors; {where}"
)
PUBLISHED = (
    Published(name="Cpufit", rate=60_000.0, source=SOURCE.format(where="one core of about 2017")),
    Published(name="Gpufit", rate=2.17e6, source=SOURCE.format(where="a GPU of about 2017, 100 000 fits at once")),
)


def prepare_fit_batch(errors: bool, peaks: Peaks) -> Callable[[], Any]:
    data = peaks.data
    return lambda: all_of(mle.fit_batch(MODEL, data, shared=SHARED), errors=errors)


def prepare_resident(peaks: Peaks) -> Callable[[], Any]:
    data = put(peaks.data)
    return lambda: all_of(mle.fit_batch(MODEL, data, shared=SHARED))


def prepare_certificate(peaks: Peaks) -> Callable[[], Any]:
    data = peaks.data
    top = mle.fit_batch(MODEL, data, shared=SHARED).params
    return lambda: all_of(mle.fit_batch(MODEL, data, shared=SHARED, start=top, max_steps=0), errors=False)


def prepare_map(peaks: Peaks) -> Callable[[], Any]:
    def solve_all(y: Any, u: Any, v: Any) -> dict[str, Any]:
        def one(image: Any) -> dict[str, Any]:
            return of_maximum(mle.maximize(MODEL, {"y": image, "u": u, "v": v}), NAMES)

        return jax.lax.map(one, y, batch_size=CHUNK)

    return partial(jax.jit(solve_all), *put((peaks.y, peaks.u, peaks.v)))


def prepare_loop(peaks: Peaks) -> Callable[[], Any]:
    images = [{**peaks.data, "y": y} for y in peaks.y[:LOOPED]]
    return lambda: one_by_one([mle.fit(MODEL, image) for image in images])


def prepare_scipy(peaks: Peaks) -> Callable[[], Any]:
    """Solve by least squares of deviance residuals, whose squares sum up to the deviance: the same maximum."""
    from scipy.optimize import least_squares

    starts = moment_start(peaks, slice(0, LOOPED))

    def residuals_and_slopes(flat: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, slopes = (part[0] for part in mean_and_slopes(flat[None], peaks.u, peaks.v))
        # r^2 = 2 (y log(y/m) - (y - m)), signed; dr/dm = (1 - y/m)/r, which is -1/sqrt(m) where y = m.
        mean = np.maximum(mean, 1e-9)
        half = np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0) / mean), 0.0) - (y - mean)
        r = np.sign(y - mean) * np.sqrt(np.maximum(2 * half, 0.0))
        slope = np.where(np.abs(r) > 1e-7, (1 - y / mean) / np.where(r == 0, 1.0, r), -1 / np.sqrt(mean))
        return r, (slope * slopes).T

    def run() -> dict[str, np.ndarray]:
        found = [
            least_squares(
                lambda flat, y: residuals_and_slopes(flat, y)[0],
                start,
                jac=lambda flat, y: residuals_and_slopes(flat, y)[1],
                method="lm",
                xtol=1e-10,
                ftol=1e-15,
                gtol=1e-12,
                args=(y,),
            )
            for start, y in zip(starts, peaks.y, strict=False)
        ]
        return {"flat": np.stack([one.x for one in found]), "converged": np.array([one.success for one in found])}

    return run


def prepare_gpufit(package: str, peaks: Peaks) -> Callable[[], Any]:
    """Give the images to Gpufit or Cpufit, whose pixels are numbered along u first, from 0, as ours are."""
    fitter = importlib.import_module(f"{package}.{package.removeprefix('py')}")
    images, starts = np.ascontiguousarray(peaks.y, np.float32), moment_start(peaks).astype(np.float32)

    def run() -> dict[str, np.ndarray]:
        found, states, _, steps, _ = fitter.fit(
            images,
            None,
            fitter.ModelID.GAUSS_2D,
            starts,
            tolerance=1e-6,
            max_number_iterations=100,
            estimator_id=fitter.EstimatorID.MLE,
        )
        return {"flat": np.float64(found), "converged": states == 0, "steps": steps}

    return run


def fitting_library(name: str, device: str) -> Contender:
    return Contender(
        name=name,
        role="peer",
        device=device,
        needs=(f"py{name.lower()}",),
        tolerance=0.05,
        prepare=partial(prepare_gpufit, f"py{name.lower()}"),
        note="its maximum-likelihood estimator in float32 from moments, tolerance 1e-6 of its objective, at most 100 "
        "steps, without standard errors; allowed 0.05 standard errors",
    )


CONTENDERS = (
    ours(
        "mle.fit_batch",
        partial(prepare_fit_batch, True),
        "NumPy in, NumPy out; with certificate, last Newton step, standard errors",
    ),
    ours("mle.fit_batch, no standard errors", partial(prepare_fit_batch, False), "what is missing is what they cost"),
    ours("certificate alone", prepare_certificate, "mle.fit_batch from the maximum with max_steps=0"),
    ours("mle.fit_batch, data on the device", prepare_resident, "as the first line, from JAX's arrays"),
    ours("lax.map of mle.maximize", prepare_map, "data on the device, no standard errors; chunks of 64"),
    ours("a loop of mle.fit", prepare_loop, "each fit with certificate and standard errors", LOOPED),
    fitting_library("Cpufit", "cpu"),
    fitting_library("Gpufit", "jax"),
    Contender(
        name="SciPy least_squares, a loop",
        role="peer",
        device="cpu",
        needs=("scipy",),
        units=LOOPED,
        prepare=prepare_scipy,
        note="MINPACK on deviance residuals, derivatives by hand: the same maximum; from moments, no standard errors",
    ),
)


WHOLE = ("mle.fit_batch", "mle.fit_batch, data on the device", "Cpufit", "Gpufit")
"""Who also does the smaller images: those who get whole batches."""


def workload(side: int, contenders: tuple[Contender, ...]) -> Workload:
    """Return the workload for images of so many pixels a side."""
    return Workload(
        name=f"peaks_{side}x{side}",
        suite="peaks",
        title="{images} Gaussian peaks with Poisson counts, {side}x{side} pixels, 5 parameters",
        generate=generate,
        size={"images": 100_000, "side": side},
        quick={"images": 48, "side": side},
        reference=reference,
        discrepancy=in_standard_errors,
        tolerance=1e-5,
        measure=f"{MEASURE}; allowed 1e-5",
        work=lambda size: size["images"],
        unit="fits",
        counts=counts,
        contenders=contenders,
        published=PUBLISHED,
    )


WORKLOADS = (workload(7, CONTENDERS), workload(5, tuple(c for c in CONTENDERS if c.name in WHOLE)))

"""A likelihood that the user wrote: regression with Student-t errors, scale and degrees of freedom unknown."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.scipy.stats import t

import mle_jax as mle
from benchmarks.frame.workload import Contender, Target, Workload
from benchmarks.workloads._decrements import of_student_t, worst
from benchmarks.workloads._device import put

Data = dict[str, np.ndarray]
Call = Callable[[], dict[str, Any]]


def log_density(params: Any, row: Any) -> Any:
    """Student's t around <x, w>, as a user writes it."""
    return t.logpdf(row["y"], params["df"], row["x"] @ params["w"], params["scale"])


MODEL = mle.Model(
    log_density, {"w": mle.Real(columns="x"), "scale": mle.Positive(), "df": mle.Positive()}, name="custom_student_t"
)


def generate(*, n: int, p: int) -> Data:
    """Return an intercept and Gaussian columns, and responses with errors of 5 degrees of freedom."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal((n, p))
    x[:, 0] = 1.0
    return {"x": x, "y": x @ np.ones(p) + rng.standard_t(5, size=n)}


def start(data: Data) -> dict[str, Any]:
    """Return where all start who are given one: least squares, its spread, 10 degrees of freedom."""
    w = np.linalg.lstsq(data["x"], data["y"], rcond=None)[0]
    return {"w": w, "scale": float(np.std(data["y"] - data["x"] @ w)), "df": 10.0}


def flat(params: Any) -> Any:
    """Return the parameters in one row: w, scale, df."""
    return jax.numpy.concatenate([params["w"], jax.numpy.stack([params["scale"], params["df"]])])


def prepare_fit(data: Data, *, by_itself: bool = False) -> Call:
    first = None if by_itself else start(data)

    def run() -> dict[str, Any]:
        fit = mle.fit(MODEL, data, start=first)
        if not fit.converged:
            raise RuntimeError(fit.message)
        parts = [(leaf["w"], leaf["scale"], leaf["df"]) for leaf in (fit.params, fit.standard_errors())]
        estimates, errors = (np.concatenate([w, [scale, df]]) for w, scale, df in parts)
        return {"flat": estimates, "se": errors}

    return run


def prepare_maximize(data: Data) -> Call:
    first = start(data)
    run = jax.jit(lambda data, first: {"flat": flat(mle.maximize(MODEL, data, start=first).params)})
    return partial(run, *put((data, first)))


def prepare_statsmodels(options: dict[str, Any], data: Data, *, by_itself: bool = False) -> Call:
    from scipy.special import gammaln
    from statsmodels.base.model import GenericLikelihoodModel

    class StudentT(GenericLikelihoodModel):
        def loglikeobs(self, params: np.ndarray) -> np.ndarray:
            scale, df = np.exp(params[-2:])
            z = (self.endog - self.exog @ params[:-2]) / scale
            constant = gammaln((df + 1) / 2) - gammaln(df / 2) - np.log(np.pi * df) / 2 - np.log(scale)
            return constant - (df + 1) / 2 * np.log1p(z * z / df)

    begin = None
    if not by_itself:
        first = start(data)
        begin = np.append(first["w"], np.log([first["scale"], first["df"]]))

    def run() -> dict[str, Any]:
        model = StudentT(data["y"], data["x"], extra_params_names=["log scale", "log df"])
        fitted = model.fit(start_params=begin, disp=0, **options)
        scales = np.append(np.ones(len(fitted.params) - 2), np.exp(fitted.params[-2:]))
        estimates = np.append(fitted.params[:-2], scales[-2:])
        return {"flat": estimates, "se": fitted.bse * scales}  # delta method: of exp(b), exp(b) times that of b

    return run


def peer(name: str, options: dict[str, Any], tolerance: float, note: str, *, by_itself: bool = False) -> Contender:
    """Return GenericLikelihoodModel with options of its `fit`; by itself it starts from 0.1 everywhere."""
    return Contender(
        name=name,
        role="peer",
        device="cpu",
        needs=("statsmodels", "scipy"),
        prepare=partial(prepare_statsmodels, options, by_itself=by_itself),
        tolerance=tolerance,
        note=note,
    )


WORKLOADS = (
    Workload(
        name="custom_likelihood",
        suite="estimation",
        title="a user's own log density: Student-t regression, n = {n}, p = {p}, scale and df unknown",
        generate=generate,
        size={"n": 100_000, "p": 5},
        quick={"n": 400, "p": 2},
        reference=lambda data: data,
        discrepancy=lambda answer, data: worst(answer, partial(of_student_t, data)),
        tolerance=1e-6,
        measure="distance to the maximum, or relative error of a standard error, in standard errors; allowed 1e-6",
        contenders=(
            Contender(
                name="mle.fit",
                role="ours",
                prepare=prepare_fit,
                note="NumPy in, NumPy out; derivatives by autodiff; with certificate and standard errors",
            ),
            Contender(
                name="jit(mle.maximize)",
                role="ours",
                prepare=prepare_maximize,
                note="data on the device, with certificate, without standard errors",
            ),
            Contender(
                name="mle.fit, own start",
                role="ours",
                prepare=partial(prepare_fit, by_itself=True),
                note="the same from where it starts when nothing is given: zeros and ones",
            ),
            peer(
                "GenericLikelihoodModel, default",
                {},
                0.1,
                "Nelder-Mead, its default; allowed 0.1 standard errors; with standard errors",
            ),
            peer(
                "GenericLikelihoodModel, own start",
                {"maxiter": 5000},
                0.1,
                "by default from where it starts when nothing is given, 0.1 everywhere; its 500 steps are too few",
                by_itself=True,
            ),
            # Its numerical gradient is not exact enough for the 1e-6 of the others.
            peer(
                "GenericLikelihoodModel, bfgs",
                {"method": "bfgs", "gtol": 1e-8},
                1e-4,
                "numerical gradient, gtol 1e-8; allowed 1e-4; with standard errors",
            ),
            peer(
                "GenericLikelihoodModel, newton",
                {"method": "newton"},
                1e-4,
                "numerical gradient and Hessian; allowed 1e-4; with standard errors",
            ),
        ),
        targets=(
            Target(
                text="12 times as fast as GenericLikelihoodModel at its best",
                fast="mle.fit",
                slow=("GenericLikelihoodModel, bfgs", "GenericLikelihoodModel, newton"),
                at_least=12.0,
            ),
            Target(
                text="12 times as fast as GenericLikelihoodModel by default",
                fast="mle.fit",
                slow=("GenericLikelihoodModel, default",),
                at_least=12.0,
            ),
            Target(
                text="12 times as fast as GenericLikelihoodModel by default, nobody being told where to start",
                fast="mle.fit, own start",
                slow=("GenericLikelihoodModel, own start",),
                at_least=12.0,
            ),
        ),
    ),
)

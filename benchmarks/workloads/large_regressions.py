"""One large dataset: logistic regression of a million and of ten million rows, Poisson regression with 50 columns.

Everybody gets the same NumPy arrays, the intercept being a column of them, no penalty, and a tolerance at which the
answer is at most 1e-6 standard errors from the top; how far it is, is the error in the table. Of ten million rows peers
get the first million: their work grows with the rows, their memory would not fit.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

import mle_jax as mle
from benchmarks.frame.workload import Contender, Counts, Target, Workload
from benchmarks.workloads._decrements import of_logistic, of_poisson, worst
from benchmarks.workloads._device import put

Data = dict[str, np.ndarray]
Call = Callable[[], dict[str, Any]]
MEAN_SCORE = 1e-10
"""Where peers stop, in the score per row: a thousandth of a standard error of 1e6 rows is some 1e-6."""

GLUM_SCORE = 1e-7
"""Where glum stops: of a million rows it is then within 1e-5 standard errors; to come nearer takes it far longer."""

MODELS = {"logistic": mle.models.logistic_regression, "poisson": mle.models.poisson_regression}


def generate(family: str, *, n: int, p: int) -> Data:
    """Return an intercept and Gaussian columns, and responses of the family."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((n, p))
    x[:, 0] = 1.0
    predictor = x @ (rng.standard_normal(p) / np.sqrt(p))
    if family == "poisson":
        return {"x": x, "y": rng.poisson(np.exp(predictor)).astype(float)}
    return {"x": x, "y": (rng.random(n) < 1.0 / (1.0 + np.exp(-predictor))).astype(float)}


def prepare_fit(family: str, data: Data) -> Call:
    model = MODELS[family]()

    def run() -> dict[str, Any]:
        fit = mle.fit(model, data)
        if not fit.converged:
            raise RuntimeError(fit.message)
        return {"flat": fit.params["w"], "se": fit.standard_errors()["w"]}

    return run


def prepare_maximize(family: str, data: Data) -> Call:
    model = MODELS[family]()
    return partial(jax.jit(lambda data: {"flat": mle.maximize(model, data).params["w"]}), put(data))


def prepare_glum(family: str, data: Data) -> Call:
    from glum import GeneralizedLinearRegressor

    name = {"logistic": "binomial", "poisson": "poisson"}[family]

    def run() -> dict[str, Any]:
        regressor = GeneralizedLinearRegressor(family=name, alpha=0, fit_intercept=False, gradient_tol=GLUM_SCORE)
        return {"flat": regressor.fit(data["x"], data["y"]).coef_, "rows": len(data["y"])}

    return run


def prepare_sklearn(family: str, data: Data) -> Call:
    from sklearn.linear_model import LogisticRegression, PoissonRegressor

    common = {"solver": "newton-cholesky", "fit_intercept": False, "tol": MEAN_SCORE}

    def run() -> dict[str, Any]:
        regressor = (
            PoissonRegressor(alpha=0, **common) if family == "poisson" else LogisticRegression(C=np.inf, **common)
        )
        return {"flat": np.ravel(regressor.fit(data["x"], data["y"]).coef_), "rows": len(data["y"])}

    return run


def prepare_statsmodels(family: str, kind: str, data: Data) -> Call:
    import statsmodels.api as sm

    def run() -> dict[str, Any]:
        if kind == "GLM":
            law = {"logistic": sm.families.Binomial, "poisson": sm.families.Poisson}[family]
            fitted = sm.GLM(data["y"], data["x"], family=law()).fit()
        else:
            fitted = {"logistic": sm.Logit, "poisson": sm.Poisson}[family](data["y"], data["x"]).fit(disp=0)
        return {"flat": fitted.params, "se": fitted.bse, "rows": len(data["y"])}

    return run


def first_rows(data: Data, rows: int | None) -> Data:
    """Return the first rows of the data, without a copy; all of them for None."""
    return {name: leaf[:rows] for name, leaf in data.items()}


def distance(derivatives: Any, answer: dict[str, Any], data: Data) -> float:
    """Return the distance of an answer to the maximum of the rows that it is about, in standard errors."""
    return worst(answer, partial(derivatives, first_rows(data, answer.get("rows"))))


def contenders(family: str, part: int | None = None) -> tuple[Contender, ...]:
    """Return ours, and the peers that fit this family, to all rows or to the first ones."""
    discrete = {"logistic": "Logit", "poisson": "Poisson"}[family]

    def peer(name: str, package: str, prepare: Any, note: str, tolerance: float | None = None) -> Contender:
        return Contender(
            name=name,
            role="peer",
            device="cpu",
            needs=(package,),
            units=part,
            prepare=lambda data: prepare(first_rows(data, part)),
            note=note,
            tolerance=tolerance,
        )

    plain = f"mean score below {MEAN_SCORE:g}; without standard errors"
    return (
        Contender(
            name="mle.fit",
            role="ours",
            prepare=partial(prepare_fit, family),
            note="NumPy in, NumPy out; with certificate and standard errors",
        ),
        Contender(
            name="jit(mle.maximize)",
            role="ours",
            prepare=partial(prepare_maximize, family),
            note="data on the device, with certificate, without standard errors",
        ),
        peer(
            "glum",
            "glum",
            partial(prepare_glum, family),
            f"mean score below {GLUM_SCORE:g}, allowed 2e-5; without standard errors",
            2e-5,
        ),
        peer("scikit-learn newton-cholesky", "sklearn", partial(prepare_sklearn, family), plain),
        *(
            peer(
                f"statsmodels {kind}",
                "statsmodels",
                partial(prepare_statsmodels, family, kind),
                "its default tolerance, with standard errors",
            )
            for kind in ((discrete, "GLM") if part is None else (discrete,))
        ),
    )


def targets(family: str) -> tuple[Target, ...]:
    """Return what should come out, against each package by itself."""
    discrete = {"logistic": "Logit", "poisson": "Poisson"}[family]
    wanted: tuple[tuple[str, tuple[str, ...], float], ...] = (
        ("glum", ("glum",), 3.0),
        ("scikit-learn", ("scikit-learn newton-cholesky",), 5.0),
        ("statsmodels", (f"statsmodels {discrete}", "statsmodels GLM"), 20.0),
    )
    return tuple(
        Target(text=f"mle.fit {factor:g} times as fast as {name}", fast="mle.fit", slow=slow, at_least=factor)
        for name, slow, factor in wanted
    )


def workload(family: str, title: str, size: dict[str, int], derivatives: Any) -> Workload:
    """Return the workload of one family."""
    return Workload(
        name=f"{family}_large",
        suite="estimation",
        title=title,
        generate=partial(generate, family),
        size=size,
        quick={"n": 400, "p": 3},
        reference=lambda data: data,
        discrepancy=partial(distance, derivatives),
        tolerance=1e-6,
        measure="distance to the maximum, or relative error of a standard error, in standard errors; allowed 1e-6",
        contenders=contenders(family),
        targets=targets(family),
        counts=counts,
    )


def counts(size: Any, _: Any) -> Counts:
    """Return the least that Newton's method needs: a step from very near, and a look that proves the maximum."""
    n, p = size["n"], size["p"]
    return Counts(
        bytes=2 * 8.0 * n * (p + 1),
        flops=2 * n * (2 * p + 2 * p + p + p * (p + 1) + 6.0),
        exps=2.0 * n,
        text="two looks at every row, one for a step from very near and one for the proof: 8 (p + 1) bytes, "
        "5 p + 6 + p (p + 1) operations and an exponential each",
    )


TEN_MILLION = Workload(
    name="logistic_huge",
    suite="logistic",
    title="one logistic regression, n = {n}, p = {p}",
    generate=partial(generate, "logistic"),
    size={"n": 10_000_000, "p": 50},
    quick={"n": 400, "p": 3},
    reference=lambda data: data,
    discrepancy=partial(distance, of_logistic),
    tolerance=1e-6,
    measure="distance to the maximum of the rows that were used, or relative error of a standard error, in standard "
    "errors; allowed 1e-6",
    work=lambda size: size["n"],
    unit="rows",
    contenders=contenders("logistic", 1_000_000),
    counts=counts,
)


WORKLOADS = (
    workload("logistic", "one logistic regression, n = {n}, p = {p}", {"n": 1_000_000, "p": 20}, of_logistic),
    workload("poisson", "one Poisson regression, n = {n}, p = {p}", {"n": 100_000, "p": 50}, of_poisson),
    TEN_MILLION,
)

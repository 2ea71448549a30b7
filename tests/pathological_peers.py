"""What others say to the pathological problems: statsmodels and scipy, where they are installed. No test needs it."""

import textwrap
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import mle_jax as mle
from mle_jax.likelihood.layout import model_space
from mle_jax.likelihood.loss import loss_objective, loss_scale
from mle_jax.parameters import coordinates
from tests.pathological_problems import Problem


def _numbers(values: Any) -> str:
    flat = np.ravel(np.asarray(values, float))
    shown = ", ".join(f"{value:.6g}" for value in flat[:6])
    return f"({shown}{', ...' if flat.size > 6 else ''})"


def _quietly(run: Callable[[], tuple[bool, Any, Any]]) -> str:
    """Run a peer; say whether it claims success, its numbers, its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            claims, params, errors = run()
        except Exception as error:  # what it raises is its answer
            return f"raises {type(error).__name__}: {str(error).splitlines()[0][:90]}"
    said = sorted({w.category.__name__ for w in caught} - {"DeprecationWarning", "FutureWarning"})
    told = "converged" if claims else "not converged"
    spread = "" if errors is None else f", SE {_numbers(errors)}"
    return f"{told} {_numbers(params)}{spread}{'; ' + ', '.join(said) if said else ', no warning'}"


def _statsmodels(name: str, data: Mapping[str, Any]) -> str:
    try:
        import statsmodels.api as sm
        from statsmodels.discrete.count_model import ZeroInflatedPoisson
        from statsmodels.miscmodels.ordinal_model import OrderedModel
    except ImportError:
        return "is not installed"
    y, x, offset = np.asarray(data["y"]), np.asarray(data.get("x", 0.0)), data.get("offset")
    family = sm.families
    makers: dict[str, Callable[[], Any]] = {
        "logit": lambda: sm.Logit(y, x),
        "probit": lambda: sm.Probit(y, x),
        "poisson": lambda: sm.Poisson(y, x, offset=offset),
        "nb2": lambda: sm.NegativeBinomial(y, x),
        "zip": lambda: ZeroInflatedPoisson(y, x, exog_infl=np.asarray(data["z"])),
        "poisson_identity": lambda: sm.GLM(y, x, family=family.Poisson(family.links.Identity())),
        "ordered": lambda: OrderedModel(y, x, distr="logit"),
        "multinomial": lambda: sm.MNLogit(y, x),
        "gaussian": lambda: sm.OLS(y, x),
        "gamma": lambda: sm.GLM(y, x, family=family.Gamma(family.links.Log())),
    }

    def run() -> tuple[bool, Any, Any]:
        silent = {} if name == "gaussian" else {"disp": 0}
        result = makers[name]().fit(**silent)
        claims = getattr(
            result, "converged", result.mle_retvals["converged"] if hasattr(result, "mle_retvals") else True
        )
        return bool(claims), result.params, result.bse

    return _quietly(run)


def _bfgs(problem: Problem, model: mle.Model) -> str:
    """Run scipy's BFGS on the same negative log-likelihood, with its exact gradient, from the same start."""
    try:
        from scipy.optimize import minimize
    except ImportError:
        return "is not installed"
    with jax.enable_x64(True):
        data = {name: jax.numpy.asarray(np.asarray(leaf, float)) for name, leaf in problem.data.items()}
        space = model_space(model, data)
        place = coordinates(space)
        params = space.default_start() if model.start is None else model.start(data)
        begin = np.asarray(place.theta(space.merge(params, problem.start)))
        objective, scale = loss_objective(model, place, data), float(loss_scale(model, data, None))
        value_and_gradient = jax.jit(lambda theta: objective.with_gradient(theta)[1:4:2])

        def function(theta: Any) -> tuple[float, Any]:
            value, gradient = value_and_gradient(theta)
            return scale * float(value), scale * np.asarray(gradient)

        def run() -> tuple[bool, Any, Any]:
            found = minimize(function, begin, jac=True, method="BFGS")
            return bool(found.success), place.flat(found.x), None

        return _quietly(run)


def show(name: str, problem: Problem, model: mle.Model, fit: mle.Fit) -> None:
    """Print what is right, and what everybody says."""
    right = " or ".join(status.name for status in problem.right)
    known = ", ".join(f"{label} = {value:.6g}" for label, value in problem.estimates.items())
    ours = _numbers(fit.tidy()["estimate"])
    lines = {
        "right": f"{right}: {problem.why}{'; ' + known if known else ''}",
        "mle_jax": f"{fit.status.name} {ours}. {fit.message}",
        "statsmodels": _statsmodels(problem.peer, problem.data) if problem.peer else "has no such model",
        "scipy": _bfgs(problem, model),
        "R": f"{problem.r} (as recorded for such a problem)" if problem.r else "",
    }
    print(name)
    for who, said in lines.items():
        if said:
            print(textwrap.fill(said, 118, initial_indent=f"  {who:12}", subsequent_indent=" " * 14))

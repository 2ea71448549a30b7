"""Hold the ready-made models against reference cases; ``python -m tests.models_digits [case ...]`` tabulates digits.

From the root of the checkout. Real data with answers that R or 320-bit arithmetic computed (the source stands in each
file of tests/data/cases), fitted from the default start. Digits are log relative errors, -log10(|found - c| / |c|), at
the worst number: of the estimates, of the standard errors of every kind, of the log-likelihood. Beside them the bar
of the case, and the digits of the estimates that other packages reach out of the box.
"""

import argparse
import functools
import json
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import mle_jax as mle
from mle_jax import models

DATA = Path(__file__).parent / "data" / "cases"
KINDS = {
    "observed": "observed",
    "opg": "outer_product",
    "hc0": "sandwich",
    "expected": "expected",
    "expected_mean_block_only": "expected",
    "information_matrix": "expected",
}
"""Kinds of covariances, as the cases call them and as the library does; clustered ones are `cluster_<column>`."""


class Case(NamedTuple):
    """How a reference case is put into a ready-made model."""

    make: Callable[[], Any]
    leaves: Mapping[str, str] = {"x": "eta"}
    """Which predictor of the case a design leaf holds."""
    parameters: Mapping[str, str] = {"eta": "w"}
    """What our parameter of the same meaning is called, for each predictor, scalar or coefficient of the case."""
    more: Mapping[str, str] = {}
    """Further leaves and their columns; y and trials are found by the roles of the case."""
    arrange: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = dict
    """A last touch on the data, such as ends of intervals made of times and events."""


SURVIVAL = {"eta": "w", "sigma": "scale"}

CASES = {
    "poisson_warpbreaks": Case(models.poisson_regression),
    "poisson_offset_ships": Case(models.poisson_regression),
    "cluster_poisson_epil": Case(models.poisson_regression),
    "sep_poisson_11": Case(models.poisson_regression),  # not separated: finite maxima, and no false alarm
    "sep_poisson_14": Case(models.poisson_regression),
    "logit_birthwt": Case(models.logistic_regression),
    "binomial_logit_menarche": Case(models.binomial_regression),
    "probit_swisslabor": Case(models.probit_regression),
    "cloglog_remission": Case(functools.partial(models.binomial_regression, "cloglog")),
    "gamma_log_trees": Case(models.gamma_regression, parameters={"eta": "w", "shape": "shape"}),
    "invgauss_log_trees": Case(models.inverse_gaussian_regression, parameters={"eta": "w", "lambda": "shape"}),
    "beta_petrol": Case(models.beta_regression, parameters={"eta": "w", "phi": "precision"}),
    "nb2_quine": Case(models.negative_binomial_regression, parameters={"eta": "w", "alpha": "dispersion"}),
    "zip_biochemists": Case(
        models.zero_inflated_poisson_regression,
        leaves={"x": "eta_count", "z": "eta_zero"},
        parameters={"eta_count": "w", "eta_zero": "inflation"},
    ),
    "student_t_stackloss": Case(
        models.student_t_regression, leaves={"x": "mu"}, parameters={"mu": "w", "sigma": "scale", "nu": "df"}
    ),
    "glm2_heart_logbinomial": Case(functools.partial(models.binomial_regression, "log")),
    "glm2_crabs_rep1_periodic": Case(functools.partial(models.poisson_regression, "identity")),
    "glm2_crabs_rep2_aperiodic": Case(functools.partial(models.poisson_regression, "identity")),
    "quantile50_engel": Case(models.quantile_regression, {"x": "mu"}, {"mu": "w"}),
    "lad_stackloss": Case(models.laplace_regression, {"x": "mu"}, {"mu": "w", "scale": "scale"}),
    "tobit_tobin": Case(models.tobit_regression, parameters={"eta": "w", "sigma": "sd"}),
    "weibull_gehan": Case(models.weibull_aft, parameters=SURVIVAL, more={"y": "time", "status": "event"}),
    "weibull_turbine_current_status": Case(
        models.weibull_aft,
        parameters=SURVIVAL,
        more={"y": "hours", "status": "left_censored"},
        arrange=lambda data: {**data, "status": 2 * data["status"]},
    ),
    "lognormal_lung": Case(models.lognormal_aft, parameters=SURVIVAL, more={"y": "time", "status": "event"}),
    "exponential_veteran": Case(models.exponential_aft, more={"y": "time", "status": "event"}),
    "ordered_logit_wine": Case(
        functools.partial(models.ordered_logit, 5),
        parameters={"eta": "w", **{f"cut_{k}": f"cutpoints[{k - 1}]" for k in range(1, 5)}},
    ),
    "multinomial_housing": Case(
        functools.partial(models.multinomial_logit, 3), {"x": "eta_1"}, {"eta_1": "w.1", "eta_2": "w.2"}
    ),
    "mixture2_geyser": Case(
        models.gaussian_mixture,
        {},
        {"pi": "share[0]", "mu1": "mean[0]", "mu2": "mean[1]", "sd1": "sd[0]", "sd2": "sd[1]"},
    ),
}


@functools.cache
def content(name):
    """Return the file of a case: columns, roles, answers, tolerances."""
    return json.loads((DATA / f"{name}.json").read_text())


def columns(name):
    """Return the columns of a case as arrays; '1' is the constant."""
    found = {key: np.array(values) for key, values in content(name)["columns"].items()}
    return {**found, "1": np.ones(len(next(iter(found.values()))))}


def dataset(name, case):
    """Return the data of a case as the model wants them."""
    table, model = columns(name), content(name)["model"]
    roles = {**model, **model.get("roles", {})}
    data = {leaf: np.column_stack([table[c] for c in model["predictors"][p]]) for leaf, p in case.leaves.items()}
    response = roles.get("y") or roles.get("response")
    if response:
        data["y"] = table[response]
    if roles.get("trials"):
        data["trials"] = table[roles["trials"]]
    for term in model.get("offset", {}).values():
        data["offset"] = np.log(table[term[4:-1]]) if term.startswith("log(") else table[term]
    data |= {leaf: table[column] for leaf, column in case.more.items()}
    return case.arrange(data)


def fitted(name, case, **options):
    """Fit a case from the default start."""
    weights = content(name)["model"].get("weights")
    given = {} if weights is None else {"weights": columns(name)[weights]}
    return mle.fit(case.make(), dataset(name, case), **given, **options)


def flat_names(name, case):
    """Return our flat name for each parameter of the case that a fit has: ``eta:age`` is ``w[1]``."""
    found, seen = {}, {}
    for parameter in content(name)["parameters"]:
        predictor, _, _ = parameter.partition(":")
        if parameter in case.parameters:
            found[parameter] = case.parameters[parameter]
        elif predictor in case.parameters:
            found[parameter] = f"{case.parameters[predictor]}[{seen.get(predictor, 0)}]"
            seen[predictor] = seen.get(predictor, 0) + 1
    return found


def entries(fit, params):
    """Return the numbers of a pytree like params by flat name."""
    paths = dict.fromkeys(name.partition("[")[0] for name in fit.names)
    leaves = [np.ravel(functools.reduce(lambda tree, key: tree[key], path.split("."), params)) for path in paths]
    return dict(zip(fit.names, np.concatenate(leaves), strict=True))


def digits(found, certified):
    """Return the log relative error, 15 at most."""
    error = abs(found - certified) / (abs(certified) or 1.0)
    return 0.0 if math.isnan(error) else 15.0 if error < 1e-15 else -math.log10(error)


def worst(found, certified, names):
    """Return the fewest digits of several numbers."""
    return min(digits(found[names[key]], value) for key, value in certified.items() if key in names)


def offers(model, kind):
    """Say whether there is such a covariance of the model."""
    if kind == "expected":
        return model.expected_information is not None
    return kind is not None and not (kind == "sandwich" and model.is_joint)


def standard_error_digits(fit, name, case):
    """Return, by kind as the case calls it, the digits of the worst standard error."""
    names, result = flat_names(name, case), {}
    for kind, certified in content(name).get("standard_errors", {}).items():
        if kind.startswith("cluster_"):
            options = {"kind": "clustered", "clusters": columns(name)[kind.removeprefix("cluster_")]}
        else:
            options = {"kind": KINDS.get(kind)}
        if not offers(case.make(), options["kind"]):
            continue
        found = np.sqrt(np.diagonal(fit.covariance(**options)))
        result[kind] = worst(dict(zip(fit.names, found, strict=True)), certified, names)
    return result


def estimate_digits(fit, name, case):
    """Return the digits of the worst estimate."""
    return worst(entries(fit, fit.params), content(name)["estimates"], flat_names(name, case))


def tabulate(cases):
    """Fit the cases that the command line names, or all, and print the digits."""
    parser = argparse.ArgumentParser(description="Tabulate the digits that fits reach.")
    parser.add_argument("cases", nargs="*", help="all by default")
    chosen = parser.parse_args().cases or list(cases)
    print(f"{'case':31}{'status':24}{'steps':>5}  {'estimates':>14}{'errors':>14}{'log-lik.':>14}  others' estimates")
    for name in chosen:
        case, told = cases[name], content(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mle.ConvergenceWarning)
            fit = fitted(name, case)
        errors = min(standard_error_digits(fit, name, case).values(), default=math.nan)
        tolerance = {"loglik_digits": told["tolerance"].get("objective_digits", math.nan), **told["tolerance"]}
        bars = (tolerance.get(f"{what}_digits", math.nan) for what in ("estimates", "se", "loglik"))
        reached = (estimate_digits(fit, name, case), errors, digits(fit.log_likelihood, told["loglik"]))
        cells = "".join(f"{r:9.1f} ({b:2.0f})" for r, b in zip(reached, bars, strict=True))
        peers = ", ".join(f"{peer} {d}" for peer, d in told.get("peer_accuracy_digits_at_defaults", {}).items())
        print(f"{name:31}{fit.status.name:24}{fit.steps:5}  {cells}  {peers}", flush=True)


if __name__ == "__main__":
    tabulate(CASES)

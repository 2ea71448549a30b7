"""Every ready-made model with data, parameters and extreme responses: the table of the contract tests.

A new model needs a row per link or option that changes its formula, and nothing else: `test_models_ready_made` checks
gradient, start and recovery, `test_inference_self_test` that the density is one and is what `simulate` draws from, and
`test_inference_information` the expected information.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.special import expit, ndtr

from mle_jax import models

RNG = np.random.default_rng(7)
N = 40
X = np.column_stack([np.ones(N), RNG.normal(size=N)])
"""An intercept and a covariate; every other leaf comes from generators of its own, so that rows do not depend on each
other."""
SHARE = np.column_stack([np.ones(N), RNG.uniform(size=N)])
"""An intercept and a covariate between 0 and 1, for links whose predictors must be positive."""
ALONE = {"y": np.ones(N)}
W = {"w": np.array([0.4, -0.7])}


def quick(names):
    """Leave the rows of less usual links and options to the slow tests: every row compiles for seconds."""
    return [pytest.param(name, marks=pytest.mark.slow if "(" in name else ()) for name in names]


class Ready(NamedTuple):
    """A ready-made model, a dataset that it might have produced, parameters, and leaves that make a start difficult."""

    model: Any
    data: Any
    params: Any
    extremes: tuple[dict[str, Any], ...] = ()
    """Each replaces some leaves of the data; all with the shapes and types of the others."""


def rng():
    """Return a generator for one row of the table."""
    return np.random.default_rng(11)


def with_y(y, x=X, **more):
    """Return a dataset of a regression."""
    return {"x": x, "y": y, **more}


def each(*responses, **more):
    """Return extremes in y, each a number for all rows or an array."""
    return tuple({"y": np.broadcast_to(np.asarray(y, float), (N,)), **more} for y in responses)


def first(value, rest=0.0):
    """Return a response that is one value in the first row and another in the others."""
    y = np.full(N, float(rest))
    y[0] = value
    return y


def share(p):
    """Return outcomes that are 1 with a probability."""
    return (rng().uniform(size=N) < p).astype(int)


def rate(a, b):
    """Return beta-distributed responses that are below 1 in single precision as well."""
    return np.clip(rng().beta(a, b), 1e-3, 1 - 1e-3)


TRIALS = np.arange(N) % 9 + 1
COUNTS = each(0, 7, first(1e6), first(1, 3), first(0, 1e9))
LINE = X @ W["w"]
OUTCOMES = each(0, 1, first(1), first(0, 1))
SUCCESSES = (*each(0, TRIALS, first(1)), *each(first(10**6), trials=np.full(N, 10**6)))
TIMES = each(1.0, first(1e8, 1e-8), first(1e-8, 1.0), first(0.0, 3.0), 0.0)
SIZES = each(1.0, first(1e8, 1e-8), first(1e-8, 1.0), 1e-6)
RATES = each(0.5, first(1e-9, 0.999), first(1 - 1e-9, 0.2), 1e-12)
REALS = each(0.0, 5.0, first(1e9), first(1e-9, -3.0), np.arange(N))
SMALL = {"w": np.array([-0.9, -0.7])}
POSITIVE_LINE = SHARE @ np.array([1.5, 2.0])
NUMBERS = each(0, 7, first(1e6), first(1, 3), first(0, 1e9), first(-1e200))
NO_CONSTANT = np.column_stack([X[:, 1], np.random.default_rng(12).normal(size=N)])
"""Two covariates for models that have cutpoints in place of an intercept."""
NORMALS = LINE + 0.8 * rng().normal(size=N)
LIVES = np.exp(NORMALS)
STATUS = np.arange(N) % 4


def censored(y, upper):
    """Return a dataset of a censored regression, every status in it."""
    return with_y(y, status=STATUS, upper=np.where(STATUS == 3, upper, 0.0), offset=0.1 * X[:, 1])


def all_of(*statuses):
    """Return extremes in the status, the same for all rows."""
    return tuple({"status": np.full(N, status), "upper": np.full(N, 1e4)} for status in statuses)


ENDLESS = {"upper": np.full(N, np.inf)}
CENSORED = (*all_of(0, 1, 2, 3), *({**extreme, **ENDLESS} for extreme in NUMBERS))
CENSORED_TIMES = (
    *all_of(0, 1, 2, 3),
    *each(1, 7, first(1e300, 1), first(1e-300, 1), **ENDLESS),
    *each(0, status=np.zeros(N), **ENDLESS),
)
CATEGORIES = each(0, 2, first(2), np.arange(N) % 3)
PIXELS = {"u": np.arange(N) % 7 - 3.0, "v": np.arange(N) // 7 - 3.0}
PEAK = {"height": 9.0, "u0": 0.3, "v0": -0.4, "width": 1.2, "background": 1.5}

READY = {
    "gaussian": Ready(models.gaussian(), ALONE, {"mu": 0.7, "variance": 2.5}),
    "gaussian_mean": Ready(models.gaussian_mean(variance=2.0), ALONE, {"mu": 0.7}),
    "linear_gaussian": Ready(
        models.linear_gaussian(), with_y(np.zeros(N), offset=0.1 * X[:, 1]), {**W, "variance": 0.6}
    ),
    "laplace_regression": Ready(
        models.laplace_regression(), with_y(np.zeros(N), offset=0.1 * X[:, 1]), {**W, "scale": 0.6}
    ),
    "poisson_regression": Ready(
        models.poisson_regression(), with_y(rng().poisson(np.exp(LINE)), offset=0.1 * X[:, 1]), W, COUNTS
    ),
    "poisson_regression(identity)": Ready(
        models.poisson_regression("identity"),
        with_y(rng().poisson(POSITIVE_LINE), SHARE),
        {"w": np.array([1.5, 2.0])},
        COUNTS,
    ),
    "poisson_regression(sqrt)": Ready(
        models.poisson_regression("sqrt"),
        with_y(rng().poisson(POSITIVE_LINE**2), SHARE),
        {"w": np.array([1.5, 2.0])},
        COUNTS,
    ),
    "logistic_regression": Ready(
        models.logistic_regression(), with_y(share(expit(LINE)), offset=0.1 * X[:, 1]), W, OUTCOMES
    ),
    "probit_regression": Ready(models.probit_regression(), with_y(share(ndtr(LINE))), W, OUTCOMES),
    "cloglog_regression": Ready(models.cloglog_regression(), with_y(share(-np.expm1(-np.exp(LINE)))), W, OUTCOMES),
    "binomial_regression": Ready(
        models.binomial_regression(), with_y(rng().binomial(TRIALS, expit(LINE)), trials=TRIALS), W, SUCCESSES
    ),
    "binomial_regression(probit)": Ready(
        models.binomial_regression("probit"), with_y(rng().binomial(TRIALS, ndtr(LINE)), trials=TRIALS), W, SUCCESSES
    ),
    "binomial_regression(cloglog)": Ready(
        models.binomial_regression("cloglog"),
        with_y(rng().binomial(TRIALS, -np.expm1(-np.exp(LINE))), trials=TRIALS),
        W,
        SUCCESSES,
    ),
    "binomial_regression(log)": Ready(
        models.binomial_regression("log"),
        with_y(rng().binomial(TRIALS, np.exp(SHARE @ SMALL["w"])), SHARE, trials=TRIALS),
        SMALL,
        SUCCESSES,
    ),
    "exponential_regression": Ready(
        models.exponential_regression(), with_y(rng().exponential(np.exp(LINE)), offset=0.1 * X[:, 1]), W, TIMES
    ),
    "exponential_regression(inverse)": Ready(
        models.exponential_regression("inverse"),
        with_y(rng().exponential(1 / POSITIVE_LINE), SHARE),
        {"w": np.array([1.5, 2.0])},
        TIMES,
    ),
    "gamma_regression": Ready(
        models.gamma_regression(),
        with_y(rng().gamma(2.5, np.exp(LINE) / 2.5), offset=0.1 * X[:, 1]),
        {**W, "shape": 2.5},
        SIZES,
    ),
    "gamma_regression(inverse)": Ready(
        models.gamma_regression("inverse"),
        with_y(rng().gamma(2.5, 1 / POSITIVE_LINE / 2.5), SHARE),
        {"w": np.array([1.5, 2.0]), "shape": 2.5},
        SIZES,
    ),
    "inverse_gaussian_regression": Ready(
        models.inverse_gaussian_regression(),
        with_y(rng().wald(np.exp(LINE), 1.5), offset=0.1 * X[:, 1]),
        {**W, "shape": 1.5},
        SIZES,
    ),
    "inverse_gaussian_regression(inverse_squared)": Ready(
        models.inverse_gaussian_regression("inverse_squared"),
        with_y(rng().wald(POSITIVE_LINE**-0.5, 1.5), SHARE),
        {"w": np.array([1.5, 2.0]), "shape": 1.5},
        SIZES,
    ),
    "beta_regression": Ready(
        models.beta_regression(),
        with_y(rate(6 * expit(LINE), 6 * expit(-LINE)), offset=0.1 * X[:, 1]),
        {**W, "precision": 6.0},
        RATES,
    ),
    # Means so near 1 that responses are rounded to 1 would break the information equality.
    "beta_regression(probit)": Ready(
        models.beta_regression("probit"),
        with_y(rate(6 * ndtr(LINE / 2), 6 * ndtr(-LINE / 2))),
        {"w": W["w"] / 2, "precision": 6.0},
        RATES,
    ),
    "beta_regression(cloglog)": Ready(
        models.beta_regression("cloglog"),
        with_y(rate(6 * expit(LINE), 6 * expit(-LINE))),
        {"w": np.array([-0.3, -0.5]), "precision": 6.0},
        RATES,
    ),
    "negative_binomial_regression": Ready(
        models.negative_binomial_regression(),
        with_y(rng().negative_binomial(1.25, 1 / (1 + 0.8 * np.exp(1 + LINE))), offset=0.1 * X[:, 1]),
        {"w": np.array([1.4, -0.7]), "dispersion": 0.8},
        COUNTS,
    ),
    "zero_inflated_poisson_regression": Ready(
        models.zero_inflated_poisson_regression(),
        with_y(rng().poisson(np.exp(LINE)) * share(0.7), offset=0.1 * X[:, 1]),
        {**W, "inflation": -0.8},
        COUNTS,
    ),
    "zero_inflated_poisson_regression(z)": Ready(
        models.zero_inflated_poisson_regression(),
        with_y(rng().poisson(np.exp(LINE)) * share(0.7), z=SHARE),
        {**W, "inflation": np.array([-1.2, 1.0])},
        COUNTS,
    ),
    "student_t_regression": Ready(
        models.student_t_regression(),
        with_y(LINE + 0.6 * rng().standard_t(3, N), offset=0.1 * X[:, 1]),
        {**W, "scale": 0.6, "df": 3.0},
        REALS,
    ),
    "quantile_regression": Ready(models.quantile_regression(), with_y(NORMALS), {**W, "scale": 0.6}, NUMBERS),
    "quantile_regression(0.2)": Ready(
        models.quantile_regression(0.2), with_y(NORMALS, offset=0.1 * X[:, 1]), {**W, "scale": 0.6}, NUMBERS
    ),
    "tobit_regression": Ready(
        models.tobit_regression(), with_y(np.maximum(NORMALS, 0.0)), {**W, "sd": 0.8}, (*NUMBERS, *each(-1))
    ),
    "tobit_regression(-0.5, 1)": Ready(
        models.tobit_regression(lower=-0.5, upper=1.0), with_y(NORMALS, offset=0.1 * X[:, 1]), {**W, "sd": 0.8}, NUMBERS
    ),
    "tobit_regression(None, 0.5)": Ready(
        models.tobit_regression(lower=None, upper=0.5), with_y(NORMALS), {**W, "sd": 0.8}, NUMBERS
    ),
    "truncated_gaussian_regression": Ready(
        models.truncated_gaussian_regression(),
        with_y(np.abs(NORMALS), offset=0.1 * X[:, 1]),
        {"w": np.array([0.8, -0.3]), "sd": 0.8},
        each(0, 7, first(1e6), first(1, 3)),
    ),
    "truncated_gaussian_regression(-1, 2)": Ready(
        models.truncated_gaussian_regression(lower=-1.0, upper=2.0),
        with_y(np.clip(NORMALS, -1.0, 2.0)),
        {"w": np.array([0.6, -0.3]), "sd": 0.8},
        each(0, -1, 2, first(-1, 2)),
    ),
    "censored_gaussian_regression": Ready(
        models.censored_gaussian_regression(), censored(NORMALS, NORMALS + 0.7), {**W, "sd": 0.8}, CENSORED
    ),
    "censored_gaussian_regression(exact numbers)": Ready(
        models.censored_gaussian_regression(), with_y(NORMALS), {**W, "sd": 0.8}
    ),
    "weibull_aft": Ready(models.weibull_aft(), censored(LIVES, 1.7 * LIVES), {**W, "scale": 0.7}, CENSORED_TIMES),
    "weibull_aft(exact times)": Ready(models.weibull_aft(), with_y(LIVES), {**W, "scale": 0.7}),
    "lognormal_aft": Ready(models.lognormal_aft(), censored(LIVES, 1.7 * LIVES), {**W, "scale": 0.7}, CENSORED_TIMES),
    "lognormal_aft(exact times)": Ready(models.lognormal_aft(), with_y(LIVES), {**W, "scale": 0.7}),
    "loglogistic_aft": Ready(
        models.loglogistic_aft(), censored(LIVES, 1.7 * LIVES), {**W, "scale": 0.4}, CENSORED_TIMES
    ),
    "loglogistic_aft(exact times)": Ready(models.loglogistic_aft(), with_y(LIVES), {**W, "scale": 0.4}),
    "exponential_aft": Ready(
        models.exponential_aft(),
        censored(LIVES, 1.7 * LIVES),
        W,
        (*CENSORED_TIMES, *each(0, first(0, 1), status=np.ones(N))),
    ),
    "exponential_aft(exact times)": Ready(models.exponential_aft(), with_y(LIVES), W),
    "ordered_logit": Ready(
        models.ordered_logit(3),
        with_y(np.arange(N) % 3, NO_CONSTANT, offset=0.1 * X[:, 1]),
        {"w": np.array([0.8, -0.5]), "cutpoints": np.array([-0.6, 0.9])},
        CATEGORIES,
    ),
    "ordered_probit": Ready(
        models.ordered_probit(4),
        with_y(np.arange(N) % 4, NO_CONSTANT),
        {"w": np.array([0.8, -0.5]), "cutpoints": np.array([-0.6, 0.2, 0.9])},
        CATEGORIES,
    ),
    "multinomial_logit": Ready(
        models.multinomial_logit(3),
        with_y(np.arange(N) % 3),
        {"w": {"1": np.array([0.4, -0.7]), "2": np.array([-0.3, 0.5])}},
        CATEGORIES,
    ),
    "gaussian_mixture": Ready(
        models.gaussian_mixture(),
        {"y": NORMALS},
        {"share": np.array([0.3, 0.7]), "mean": np.array([-2.0, 1.0]), "sd": np.array([0.6, 0.9])},
        NUMBERS,
    ),
    "gaussian_mixture(3)": Ready(
        models.gaussian_mixture(components=3),
        {"y": NORMALS},
        {"share": np.array([0.3, 0.4, 0.3]), "mean": np.array([-4.0, 0.0, 3.0]), "sd": np.array([0.6, 0.9, 0.5])},
        NUMBERS,
    ),
    "gaussian_peak": Ready(models.gaussian_peak(), {"y": np.arange(N) % 5, **PIXELS}, PEAK, COUNTS),
}

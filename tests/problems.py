"""Problems with answers that nobody had to compute with this library: tables for the tests of every layer."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jax.scipy.stats import norm

import mle_jax as mle


class Problem(NamedTuple):
    """A model, a dataset, and the exact answer."""

    name: str
    model: mle.Model
    data: dict[str, np.ndarray]
    estimates: dict[str, Any]
    standard_errors: dict[str, Any]
    log_likelihood: float


def skewed_gamma_rate(params: Any, row: Any) -> Any:
    """Gamma with shape 2: skewed, so that a flipped sign cannot pass."""
    return 2 * jnp.log(params["rate"]) + jnp.log(row["t"]) - params["rate"] * row["t"] - gammaln(2.0)


def poisson_log_rate(params: Any, row: Any) -> Any:
    """Poisson with log link and no covariates."""
    return row["y"] * params["log_rate"] - jnp.exp(params["log_rate"]) - gammaln(row["y"] + 1.0)


def bernoulli(params: Any, row: Any) -> Any:
    """Bernoulli in its probability."""
    return jnp.where(row["y"] > 0, jnp.log(params["p"]), jnp.log1p(-params["p"]))


def categorical(params: Any, row: Any) -> Any:
    """Three categories."""
    return jnp.log(params["p"])[row["y"]]


def normal_regression(params: Any, row: Any) -> Any:
    """A line with Gaussian errors, in the standard deviation."""
    return norm.logpdf(row["y"], row["x"] @ params["w"], params["sigma"])


def _gamma() -> Problem:
    t = np.array([0.5, 1.0, 1.5, 4.0, 8.0])
    n, rate = t.size, 2.0 / t.mean()
    total = 2 * n * np.log(rate) + np.log(t).sum() - rate * t.sum()
    return Problem(
        "gamma rate",
        mle.Model(skewed_gamma_rate, {"rate": mle.Positive()}),
        {"t": t},
        {"rate": rate},
        {"rate": rate / np.sqrt(2 * n)},
        total,
    )


def _poisson() -> Problem:
    y = np.array([0, 1, 3, 7, 2, 2])
    mean = y.mean()
    log_factorials = np.log([1.0, 1.0, 6.0, 5040.0, 2.0, 2.0]).sum()
    return Problem(
        "poisson log rate",
        mle.Model(poisson_log_rate, {"log_rate": mle.Real()}),
        {"y": y},
        {"log_rate": np.log(mean)},
        {"log_rate": 1 / np.sqrt(y.sum())},
        y.sum() * np.log(mean) - y.sum() - log_factorials,
    )


def _bernoulli() -> Problem:
    y = np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    p, n = y.mean(), y.size
    return Problem(
        "bernoulli probability",
        mle.Model(bernoulli, {"p": mle.Interval(0.0, 1.0)}),
        {"y": y},
        {"p": p},
        {"p": np.sqrt(p * (1 - p) / n)},
        2 * np.log(p) + 5 * np.log(1 - p),
    )


def _categorical() -> Problem:
    y = np.repeat([0, 1, 2], [3, 5, 2])
    p = np.array([0.3, 0.5, 0.2])
    return Problem(
        "categorical simplex",
        mle.Model(categorical, {"p": mle.Simplex(3)}),
        {"y": y},
        {"p": p},
        {"p": np.sqrt(p * (1 - p) / 10)},
        float((np.array([3, 5, 2]) * np.log(p)).sum()),
    )


def _regression() -> Problem:
    rng = np.random.default_rng(7)
    n = 60
    x = np.column_stack([np.ones(n), rng.normal(size=n), rng.exponential(size=n)])
    y = x @ [1.0, -2.0, 0.5] + 0.3 * rng.normal(size=n)
    w = np.linalg.lstsq(x, y, rcond=None)[0]
    variance = np.mean((y - x @ w) ** 2)
    return Problem(
        "normal regression",
        mle.Model(normal_regression, {"w": mle.Real(columns="x"), "sigma": mle.Positive()}),
        {"x": x, "y": y},
        {"w": w, "sigma": np.sqrt(variance)},
        {"w": np.sqrt(variance * np.diag(np.linalg.inv(x.T @ x))), "sigma": np.sqrt(variance / (2 * n))},
        -n / 2 * (np.log(2 * np.pi * variance) + 1),
    )


# A rate of 0.03 suits all problems: their curvature per observation, in free coordinates, is at most 2 / 0.06.
OPTIMIZERS = {
    "auto": "auto",
    "Newton": mle.optimizers.Newton(),
    "NewtonCG": mle.optimizers.NewtonCG(),
    "L-BFGS": mle.optimizers.LBFGS(),
    "GradientDescent": mle.optimizers.GradientDescent(0.03),
}
PROBLEMS = {problem.name: problem for problem in (_gamma(), _poisson(), _bernoulli(), _categorical(), _regression())}

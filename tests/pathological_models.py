"""Log densities that a user might write, for the pathological problems: models, and the data that they share."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, log_ndtr
from jax.scipy.stats import norm

import mle_jax as mle

N = 40
RNG = np.random.default_rng(0)
X = np.column_stack([np.ones(N), RNG.normal(size=(N, 2))])
GROUP = np.arange(N) < 6
XG = np.column_stack([X[:, :2], GROUP])
COUNTS = RNG.poisson(np.exp(X @ [0.5, 0.3, -0.3])).astype(float)
COINS = (RNG.uniform(size=N) < 0.5) * 1.0
HALF = (np.arange(20) + 0.5) / 20
TWO = np.concatenate([-2.0 - HALF, 2.0 + HALF])  # two clusters, symmetric about 0

W = {"w": mle.Real(columns="x")}


def logit(p: Any, row: Any) -> Any:
    return jax.nn.log_sigmoid(jnp.where(row["y"] > 0, 1.0, -1.0) * (row["x"] @ p["w"]))


def logit_by_the_book(p: Any, row: Any) -> Any:
    """As in many a textbook: 1 - q rounds to 0 beyond a predictor of 37, and 0 log(0) is no number."""
    q = 1 / (1 + jnp.exp(-(row["x"] @ p["w"])))
    return row["y"] * jnp.log(q) + (1 - row["y"]) * jnp.log(1 - q)


def probit(p: Any, row: Any) -> Any:
    return log_ndtr(jnp.where(row["y"] > 0, 1.0, -1.0) * (row["x"] @ p["w"]))


def poisson(p: Any, row: Any) -> Any:
    eta = row["x"] @ p["w"] + row["offset"]
    return row["y"] * eta - jnp.exp(eta) - gammaln(row["y"] + 1.0)


def negative_binomial(p: Any, row: Any) -> Any:
    """As in many a textbook: the digits go as the dispersion goes to 0."""
    m, k = jnp.exp(row["x"] @ p["w"]), 1 / p["alpha"]
    counts = gammaln(row["y"] + k) - gammaln(k) - gammaln(row["y"] + 1.0)
    return counts + k * jnp.log(k / (k + m)) + row["y"] * jnp.log(m / (k + m))


def gaussian(p: Any, row: Any) -> Any:
    return norm.logpdf(row["y"], row["x"] @ p["w"], p["sd"])


def mixture(p: Any, row: Any) -> Any:
    one = jnp.log(p["share"]) + norm.logpdf(row["y"], p["m1"], p["s1"])
    return jnp.logaddexp(one, jnp.log1p(-p["share"]) + norm.logpdf(row["y"], p["m2"], p["s2"]))


def equal_mixture(p: Any, row: Any) -> Any:
    """Two components of equal share and unit standard deviation."""
    return jnp.logaddexp(norm.logpdf(row["y"], p["m1"], 1.0), norm.logpdf(row["y"], p["m2"], 1.0)) - jnp.log(2.0)


def student_t(p: Any, row: Any) -> Any:
    nu, z = p["nu"], (row["y"] - p["mu"]) / p["s"]
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * jnp.log(nu * jnp.pi) - jnp.log(p["s"])
    return constant - (nu + 1) / 2 * jnp.log1p(z * z / nu)


def cauchy(p: Any, row: Any) -> Any:
    return -jnp.log1p((row["y"] - p["m"]) ** 2) - jnp.log(jnp.pi)


def weibull(p: Any, row: Any) -> Any:
    """Time t, d = 1 for an event and 0 where censored."""
    log_ratio = jnp.log(row["t"]) - jnp.log(p["scale"])
    event = jnp.log(p["k"]) - jnp.log(p["scale"]) + (p["k"] - 1) * log_ratio
    return row["d"] * event - jnp.exp(p["k"] * log_ratio)


def shifted_exponential(p: Any, row: Any) -> Any:
    return jnp.where(row["y"] >= p["m"], jnp.log(p["rate"]) - p["rate"] * (row["y"] - p["m"]), -jnp.inf)


def random_effect(p: Any, row: Any) -> Any:
    return norm.logpdf(row["y"], p["mu"], jnp.sqrt(1 + p["tau2"]))


Real, Positive = mle.Real, mle.Positive
MODELS = {
    "logit": mle.Model(logit, W),
    "logit_by_the_book": mle.Model(logit_by_the_book, W),
    "probit": mle.Model(probit, W),
    "poisson": mle.Model(poisson, W),
    "negative_binomial": mle.Model(negative_binomial, {**W, "alpha": Positive()}),
    "gaussian": mle.Model(gaussian, {**W, "sd": Positive()}),
    "mixture": mle.Model(
        mixture, {"share": mle.Interval(0.0, 1.0), "m1": Real(), "m2": Real(), "s1": Positive(), "s2": Positive()}
    ),
    "equal_mixture": mle.Model(equal_mixture, {"m1": Real(), "m2": Real()}),
    "student_t": mle.Model(student_t, {"mu": Real(), "s": Positive(), "nu": Positive()}),
    "cauchy": mle.Model(cauchy, {"m": Real()}),
    "weibull": mle.Model(weibull, {"k": Positive(), "scale": Positive()}),
    "shifted_exponential": mle.Model(shifted_exponential, {"m": Real(), "rate": Positive()}),
    "uniform": mle.Model(
        lambda p, row: jnp.where(row["y"] <= p["end"], -jnp.log(p["end"]), -jnp.inf), {"end": Positive(start=10.0)}
    ),
    "variance": mle.Model(random_effect, {"mu": Real(), "tau2": Positive(closed=True)}),
    "sum": mle.Model(lambda p, row: norm.logpdf(row["y"], p["a"] + p["b"], 1.0), {"a": Real(), "b": Real()}),
    "product": mle.Model(lambda p, row: norm.logpdf(row["y"], p["a"] * p["b"], 1.0), {"a": Real(), "b": Real()}),
    "squares": mle.Model(lambda p, row: -((p["a"] ** 2 * p["b"] ** 2 - row["y"]) ** 2), {"a": Real(), "b": Real()}),
    "flat_saddle": mle.Model(
        lambda p, row: -((p["a"] ** 3 * p["b"] - row["y"]) ** 2) - (p["a"] - p["b"]) ** 2, {"a": Real(), "b": Real()}
    ),
    "exponential_beyond_1": mle.Model(
        lambda p, row: jnp.log(p["rate"] - 1) - (p["rate"] - 1) * row["y"], {"rate": Real()}
    ),
}


def newton(x: np.ndarray, y: np.ndarray, *, family: str) -> np.ndarray:
    """Return the maximum of a logit or Poisson regression by Newton's method in NumPy: the independent answer."""
    w = np.zeros(x.shape[1])
    for _ in range(60):
        eta = x @ w
        mean = np.exp(eta) if family == "poisson" else 1 / (1 + np.exp(-eta))
        spread = mean if family == "poisson" else mean * (1 - mean)
        w = w + np.linalg.solve(x.T @ (spread[:, None] * x), x.T @ (y - mean))
    return w

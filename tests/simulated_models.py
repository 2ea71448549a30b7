"""Models that can simulate, right ones and wrong ones: tables for the tests of the self-test of likelihoods."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betaln, gammaln, log_ndtr
from jax.scipy.stats import norm
from jax.scipy.stats import t as student
from ready_made_models import ALONE, READY, N, W, X

import mle_jax as mle

RNG = np.random.default_rng(7)
DRAWS = 1250  # of N rows each: a quarter of those that a check takes by itself, for the many that are right
COUNTED = {"x": X, "y": np.zeros(N, int)}


class Simulated(NamedTuple):
    """A model that can simulate, data for it and parameters."""

    model: mle.Model
    data: Any
    params: Any


def model(log_density, parameters, draw, **options):
    """Declare a model whose response is y."""
    return mle.Model(log_density, parameters, simulate=lambda key, p, row: {**row, "y": draw(key, p, row)}, **options)


def exponential(p, row):
    return jnp.log(p["rate"]) - p["rate"] * row["y"]


def draw_exponential(key, p, row):
    return jax.random.exponential(key) / p["rate"]


def gamma(p, row):
    return p["a"] * jnp.log(p["r"]) - gammaln(p["a"]) + (p["a"] - 1) * jnp.log(row["y"]) - p["r"] * row["y"]


def draw_gamma(key, p, row):
    return jax.random.gamma(key, p["a"]) / p["r"]


def beta(p, row):
    return (p["a"] - 1) * jnp.log(row["y"]) + (p["b"] - 1) * jnp.log1p(-row["y"]) - betaln(p["a"], p["b"])


def draw_count(key, mean, first=0):
    """Draw a Poisson count of at least `first` by inverting its distribution function: fast where the mean is small."""
    counts = jnp.arange(first, 80)
    heights = jnp.cumsum(jnp.exp(counts * jnp.log(mean) - mean - gammaln(counts + 1.0)))
    return first + jnp.sum(jax.random.uniform(key) * heights[-1] > heights)


def poisson(p, row):
    eta = row["x"] @ p["w"]
    return row["y"] * eta - jnp.exp(eta) - gammaln(row["y"] + 1.0)


def draw_poisson(key, p, row):
    return draw_count(key, jnp.exp(row["x"] @ p["w"]))


def draw_large_poisson(key, p, row):
    return jax.random.poisson(key, jnp.exp(row["x"] @ p["w"]))


def logit(p, row):
    eta = row["x"] @ p["w"]
    return row["y"] * eta - jax.nn.softplus(eta)


def draw_logit(key, p, row):
    return jax.random.bernoulli(key, jax.nn.sigmoid(row["x"] @ p["w"])).astype(int)


def binomial(p, row):
    m, y = row["m"], row["y"]
    chosen = gammaln(m + 1.0) - gammaln(y + 1.0) - gammaln(m - y + 1.0)
    return chosen + y * jnp.log(p["p"]) + (m - y) * jnp.log1p(-p["p"])


def draw_binomial(key, p, row):
    return jnp.sum((jax.random.uniform(key, (20,)) < p["p"]) & (jnp.arange(20) < row["m"]))


def categorical(p, row):
    return jnp.log(p["p"])[row["y"]]


def draw_categorical(key, p, row):
    return jax.random.categorical(key, jnp.log(p["p"]))


def geometric(p, row):  # 1, 2, ...
    return jnp.log(p["p"]) + (row["y"] - 1) * jnp.log1p(-p["p"])


def draw_geometric(key, p, row):
    return 1 + jnp.floor(jnp.log(jax.random.uniform(key)) / jnp.log1p(-p["p"])).astype(int)


def negative_binomial(p, row):
    r, y = p["r"], row["y"]
    share = p["m"] / (p["m"] + r)
    return gammaln(y + r) - gammaln(r) - gammaln(y + 1.0) + r * jnp.log1p(-share) + y * jnp.log(share)


def draw_negative_binomial(key, p, row):
    first, second = jax.random.split(key)
    return jax.random.poisson(second, jax.random.gamma(first, p["r"]) * p["m"] / p["r"])


def zero_inflated(p, row):
    plain = jnp.log1p(-p["q"]) + row["y"] * jnp.log(p["m"]) - p["m"] - gammaln(row["y"] + 1.0)
    return jnp.where(row["y"] == 0, jnp.logaddexp(jnp.log(p["q"]), plain), plain)


def draw_zero_inflated(key, p, row):
    first, second = jax.random.split(key)
    return jnp.where(jax.random.uniform(first) < p["q"], 0, draw_count(second, p["m"]))


def cauchy(p, row):
    return -jnp.log(jnp.pi * p["g"]) - jnp.log1p(((row["y"] - p["m"]) / p["g"]) ** 2)


def draw_cauchy(key, p, row):
    return p["m"] + p["g"] * jax.random.cauchy(key)


def location_t(p, row):
    return student.logpdf(row["y"], 4.0, p["m"], p["s"])


def draw_t(key, p, row):
    five = jax.random.normal(key, (5,))  # t is a normal over the root of a mean of squares
    return p["m"] + p["s"] * five[0] / jnp.sqrt(jnp.mean(five[1:] ** 2))


def normal(p, row):
    return norm.logpdf(row["y"], p["m"], p["s"])


def draw_normal(key, p, row):
    return p["m"] + p["s"] * jax.random.normal(key)


def tobit(p, row):  # values below 0 are seen as 0
    inside = norm.logpdf(row["y"], p["m"], p["s"])
    return jnp.where(row["y"] > 0, inside, log_ndtr(-p["m"] / p["s"]))


def draw_tobit(key, p, row):
    return jnp.maximum(draw_normal(key, p, row), 0.0)


def truncated(p, row):  # values below 0 are not seen
    return norm.logpdf(row["y"], p["m"], p["s"]) - log_ndtr(p["m"] / p["s"])


def draw_truncated(key, p, row):
    return p["m"] + p["s"] * jax.random.truncated_normal(key, -p["m"] / p["s"], jnp.inf)


def zero_truncated(p, row):
    return row["y"] * jnp.log(p["m"]) - p["m"] - gammaln(row["y"] + 1.0) - jnp.log(-jnp.expm1(-p["m"]))


def draw_zero_truncated(key, p, row):
    return draw_count(key, p["m"], first=1)


def uniform(p, row):
    return jnp.where((row["y"] >= 0) & (row["y"] <= p["top"]), -jnp.log(p["top"]), -jnp.inf)


def walk(p, data):
    steps = data["y"][1:] - p["rho"] * data["y"][:-1]
    return jnp.sum(norm.logpdf(steps, 0.0, p["s"])) + norm.logpdf(data["y"][0])


def draw_walk(key, p, data):
    shocks = p["s"] * jax.random.normal(key, data["y"].shape)
    first = shocks[0] / p["s"]
    _, rest = jax.lax.scan(lambda y, e: ((p["rho"] * y + e),) * 2, first, shocks[1:])
    return {"y": jnp.concatenate([first[None], rest])}


LINE = {"w": mle.Real(columns="x")}
SPREAD = {"m": mle.Real(), "s": mle.Positive()}
MIXED = {"x": X, "y": RNG.normal(size=N), "m": RNG.integers(1, 15, N)}

RIGHT = {
    **{name: Simulated(row.model, row.data, row.params) for name, row in READY.items()},
    "exponential": Simulated(model(exponential, {"rate": mle.Positive()}, draw_exponential), ALONE, {"rate": 20.0}),
    "gamma of shape 0.3": Simulated(
        model(gamma, {"a": mle.Positive(), "r": mle.Positive()}, draw_gamma), ALONE, {"a": 0.3, "r": 1e-4}
    ),
    "beta": Simulated(
        model(
            beta,
            {"a": mle.Positive(), "b": mle.Positive()},
            lambda key, p, row: jax.random.beta(key, p["a"], p["b"]),
        ),
        {"y": np.full(N, 0.5)},
        {"a": 0.8, "b": 2.5},
    ),
    "poisson": Simulated(model(poisson, LINE, draw_poisson), COUNTED, W),
    "poisson with a mean of 1e4": Simulated(
        model(poisson, LINE, draw_large_poisson), COUNTED, {"w": np.array([9.2, 0.1])}
    ),
    "logit": Simulated(model(logit, LINE, draw_logit), COUNTED, W),
    "binomial": Simulated(
        model(binomial, {"p": mle.Interval(0, 1)}, draw_binomial), {"y": np.zeros(N, int), "m": MIXED["m"]}, {"p": 0.3}
    ),
    "categorical": Simulated(
        model(categorical, {"p": mle.Simplex(3)}, draw_categorical),
        {"y": np.zeros(N, int)},
        {"p": np.array([0.2, 0.5, 0.3])},
    ),
    "geometric": Simulated(
        model(geometric, {"p": mle.Interval(0, 1)}, draw_geometric), {"y": np.ones(N, int)}, {"p": 0.4}
    ),
    "negative binomial": Simulated(
        model(negative_binomial, {"m": mle.Positive(), "r": mle.Positive()}, draw_negative_binomial),
        {"y": np.ones(N, int)},
        {"m": 5.0, "r": 1.5},
    ),
    "zero-inflated poisson": Simulated(
        model(zero_inflated, {"q": mle.Interval(0, 1), "m": mle.Positive()}, draw_zero_inflated),
        {"y": np.ones(N, int)},
        {"q": 0.3, "m": 2.0},
    ),
    "cauchy": Simulated(
        model(cauchy, {"m": mle.Real(), "g": mle.Positive()}, draw_cauchy), ALONE, {"m": 1e4, "g": 0.3}
    ),
    "student t": Simulated(model(location_t, SPREAD, draw_t), ALONE, {"m": -2.0, "s": 1e-3}),
    "tobit": Simulated(model(tobit, SPREAD, draw_tobit), ALONE, {"m": 0.4, "s": 1.3}),
    "truncated normal": Simulated(model(truncated, SPREAD, draw_truncated), ALONE, {"m": 0.4, "s": 1.3}),
    "normal that hardly meets 0": Simulated(model(normal, SPREAD, draw_normal), ALONE, {"m": 4.6, "s": 1.0}),
    "zero-truncated poisson": Simulated(
        model(zero_truncated, {"m": mle.Positive()}, draw_zero_truncated), {"y": np.ones(N, int)}, {"m": 1.5}
    ),
    "autoregression": Simulated(
        mle.Model.joint(walk, {"rho": mle.Real(), "s": mle.Positive()}, simulate=draw_walk),
        ALONE,
        {"rho": 0.6, "s": 1.2},
    ),
}

WRONG = {
    "a constant was left out": (
        Simulated(
            model(lambda p, row: -jnp.log(p["s"]) - ((row["y"] - p["m"]) / p["s"]) ** 2 / 2, SPREAD, draw_normal),
            ALONE,
            {"m": 0.4, "s": 1.3},
        ),
        {"normalization"},
        "integrates to 2.50663 = sqrt(2 pi) instead of 1 over y in (-inf, inf), whatever the row and the parameters",
    ),
    "a constant with a parameter was left out": (
        Simulated(
            model(lambda p, row: -(((row["y"] - p["m"]) / p["s"]) ** 2) / 2, SPREAD, draw_normal),
            ALONE,
            {"m": 0.4, "s": 1.3},
        ),
        {"normalization", "mean score"},  # E[score^2] = -E[H] = 3 / s^2 all the same
        "lacks a factor with parameters",
    ),
    "truncated and not normalized": (
        Simulated(model(normal, SPREAD, draw_truncated), ALONE, {"m": 0.4, "s": 1.3}),
        {"normalization", "mean score", "information equality"},
        "instead of 1 over y in (0, inf)",
    ),
    "zero-truncated and not normalized": (
        Simulated(
            model(
                lambda p, row: row["y"] * jnp.log(p["m"]) - p["m"] - gammaln(row["y"] + 1.0),
                {"m": mle.Positive()},
                draw_zero_truncated,
            ),
            {"y": np.ones(N, int)},
            {"m": 1.5},
        ),
        {"normalization", "mean score", "information equality"},
        "sums to 0.776870 instead of 1",
    ),
    "a standard deviation is simulated where a variance is meant": (
        Simulated(
            model(normal, SPREAD, lambda key, p, row: p["m"] + jnp.sqrt(p["s"]) * jax.random.normal(key)),
            ALONE,
            {"m": 0.4, "s": 1.3},
        ),
        {"distribution", "mean score", "information equality"},
        "a variance where a standard deviation is meant",
    ),
    "heavier tails are simulated": (
        Simulated(model(normal, SPREAD, draw_t), ALONE, {"m": 0.4, "s": 1.3}),
        {"distribution", "mean score", "information equality"},
        "simulate draws from another one",
    ),
    "the factorial was left out": (
        Simulated(
            model(lambda p, row: row["y"] * (row["x"] @ p["w"]) - jnp.exp(row["x"] @ p["w"]), LINE, draw_poisson),
            COUNTED,
            {"w": np.array([-1.0, 0.2])},
        ),
        {"normalization", "distribution"},
        "lacks a factor with parameters",
    ),
    "the factor exp(-mean) was left out": (
        Simulated(
            model(lambda p, row: row["y"] * (row["x"] @ p["w"]) - gammaln(row["y"] + 1.0), LINE, draw_poisson),
            COUNTED,
            W,
        ),
        {"normalization", "mean score", "information equality"},
        "lacks a factor with parameters",
    ),
    "half of the derivative is cut off": (
        Simulated(
            model(
                lambda p, row: norm.logpdf((row["y"] - p["m"]) / p["s"]) - jnp.log(jax.lax.stop_gradient(p["s"])),
                SPREAD,
                draw_normal,
            ),
            ALONE,
            {"m": 0.4, "s": 1.3},
        ),
        {"mean score"},
        "The density is right, but the mean of its score is not zero in 's'",
    ),
    "the support depends on the parameter": (
        Simulated(
            model(uniform, {"top": mle.Positive()}, lambda key, p, row: p["top"] * jax.random.uniform(key)),
            ALONE,
            {"top": 2.5},
        ),
        {"mean score", "information equality"},
        "the support depends on the parameters",
    ),
    "another category is simulated": (
        Simulated(
            model(
                categorical,
                {"p": mle.Simplex(3)},
                lambda key, p, row: jax.random.categorical(key, jnp.log(p["p"][::-1])),
            ),
            {"y": np.zeros(N, int)},
            {"p": np.array([0.2, 0.5, 0.3])},
        ),
        {"distribution", "mean score", "information equality"},
        "simulate draws from another one",
    ),
}

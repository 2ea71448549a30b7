"""Random problems for the soak: a family of models, and many datasets of one shape with every trouble in some of them.

Columns and responses of all scales from 1e-6 to 1e6, columns that nearly depend on each other (down to 1e-10), far from
the origin, with two values only, outliers, counts from all zero to a million, heavy censoring, separated categories.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from scipy.special import expit

import mle_jax as mle
from tests import soak_likelihoods as by_hand

Leaves = dict[str, np.ndarray]
SHAPES = ((3, 1), (5, 2), (8, 3), (20, 4), (40, 2), (100, 6), (200, 3), (500, 8))


@dataclass(frozen=True)
class Family:
    """A model and what is known about it without it.

    Args:
        model: what is fitted.
        density: the contributions by hand.
        draw: ``draw(rng, predictor (B, n)) -> leaves`` beside x.
        free: the names of the other parameters and how they are freed: "log" or "logit".
        located: the response is predictor plus noise, so that it has the units of the predictor.
    """

    model: mle.Model
    density: Callable[..., np.ndarray]
    draw: Callable[[np.random.Generator, np.ndarray], Leaves]
    free: Mapping[str, str]
    located: bool = False

    def freed(self, params: Mapping[str, Any]) -> np.ndarray:
        """Return the other parameters as free numbers, (s,)."""
        with np.errstate(all="ignore"):
            logs = [np.log(np.longdouble(params[name])) for name in self.free]
            rest = [np.log1p(-np.longdouble(params[n])) if how == "logit" else 0.0 for n, how in self.free.items()]
        return np.array(logs, np.longdouble) - np.array(rest, np.longdouble)


def secant_log_density(params: Any, row: Any) -> Any:
    """Hyperbolic secant errors, as a user writes them."""
    a = jnp.pi / 2 * (row["y"] - row["x"] @ params["w"]) / params["scale"]
    return -jnp.log(params["scale"]) - jnp.logaddexp(a, -a)


def inflated_log_density(params: Any, row: Any) -> Any:
    """Counts with more zeros than Poisson's, as a user writes them."""
    q, eta, y = params["q"], row["x"] @ params["w"], row["y"]
    counted = jnp.log1p(-q) + y * eta - jnp.exp(eta) - gammaln(y + 1)
    return jnp.where(y == 0, jnp.logaddexp(jnp.log(q), counted), counted)


SECANT = mle.Model(secant_log_density, {"w": mle.Real(columns="x"), "scale": mle.Positive()}, name="secant")
INFLATED = mle.Model(inflated_log_density, {"w": mle.Real(columns="x"), "q": mle.Interval(0.0, 1.0)}, name="inflated")


def powers(rng: np.random.Generator, low: float, high: float, *shape: int) -> np.ndarray:
    """Return 10 to random powers."""
    return 10.0 ** rng.uniform(low, high, shape)


def sometimes(rng: np.random.Generator, chance: float, *shape: int) -> np.ndarray:
    """Return true with a chance."""
    return rng.random(shape) < chance


def located(noise: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]) -> Callable[..., Leaves]:
    """Return a draw of predictor plus noise, with outliers in some datasets, in units of any size."""

    def draw(rng: np.random.Generator, predictor: np.ndarray) -> Leaves:
        lanes, n = predictor.shape
        errors = noise(rng, (lanes, n))
        hit = sometimes(rng, 0.2, lanes, 1) & sometimes(rng, 0.05, lanes, n)
        errors = np.where(hit, errors * powers(rng, 1, 4, lanes, 1), errors)
        y = predictor + powers(rng, -3, 1, lanes, 1) * errors
        return {"y": y * powers(rng, -6, 6, lanes, 1)}

    return draw


def mean_of_counts(rng: np.random.Generator, predictor: np.ndarray) -> np.ndarray:
    """Return means from 1e-2 to 1e6, mostly moderate."""
    lanes = len(predictor)
    level = np.where(sometimes(rng, 0.1, lanes, 1), rng.uniform(-5, 13, (lanes, 1)), rng.uniform(-1, 3, (lanes, 1)))
    return np.exp(np.clip(level + predictor, -30, 15))


def binary(rng: np.random.Generator, predictor: np.ndarray) -> Leaves:
    shifted = predictor + np.where(sometimes(rng, 0.2, len(predictor), 1), rng.normal(0, 3, (len(predictor), 1)), 0)
    return {"y": (rng.random(shifted.shape) < expit(shifted)).astype(float)}


def counts(rng: np.random.Generator, predictor: np.ndarray) -> Leaves:
    return {"y": rng.poisson(mean_of_counts(rng, predictor)).astype(float)}


def scattered_counts(rng: np.random.Generator, predictor: np.ndarray) -> Leaves:
    mean, dispersion = mean_of_counts(rng, predictor), powers(rng, -2, 1, len(predictor), 1)
    return {"y": rng.poisson(np.minimum(mean * rng.gamma(1 / dispersion, dispersion, mean.shape), 1e9)).astype(float)}


def inflated_counts(rng: np.random.Generator, predictor: np.ndarray) -> Leaves:
    kept = ~sometimes(rng, 0.3, *predictor.shape)
    return {"y": rng.poisson(mean_of_counts(rng, predictor)) * kept.astype(float)}


def positive(rng: np.random.Generator, predictor: np.ndarray) -> Leaves:
    shape = powers(rng, -1, 3, len(predictor), 1)
    y = np.exp(np.clip(predictor, -20, 20)) * rng.gamma(shape, 1 / shape, predictor.shape)
    return {"y": np.maximum(y, 1e-30) * powers(rng, -6, 6, len(predictor), 1)}


def times(rng: np.random.Generator, predictor: np.ndarray) -> Leaves:
    lanes, n = predictor.shape
    y = np.exp(
        np.clip(predictor, -20, 20) + powers(rng, -1.5, 0.5, lanes, 1) * np.log(rng.exponential(size=(lanes, n)))
    )
    limit = powers(rng, -1, 2, lanes, 1) * rng.exponential(size=(lanes, n)) * np.median(y, axis=1, keepdims=True)
    seen = y <= limit
    unit = powers(rng, -6, 6, lanes, 1)
    return {"y": np.maximum(np.where(seen, y, limit), 1e-30) * unit, "status": seen.astype(float)}


FAMILIES = {
    "gaussian": Family(
        mle.models.linear_gaussian(),
        by_hand.gaussian,
        located(lambda rng, shape: rng.standard_normal(shape)),
        {"variance": "log"},
        True,
    ),
    "logistic": Family(mle.models.logistic_regression(), by_hand.logistic, binary, {}),
    "poisson": Family(mle.models.poisson_regression(), by_hand.poisson, counts, {}),
    "negative_binomial": Family(
        mle.models.negative_binomial_regression(), by_hand.negative_binomial, scattered_counts, {"dispersion": "log"}
    ),
    "gamma": Family(mle.models.gamma_regression(), by_hand.gamma, positive, {"shape": "log"}),
    "weibull": Family(mle.models.weibull_aft(), by_hand.weibull, times, {"scale": "log"}),
    "student_t": Family(
        mle.models.student_t_regression(),
        by_hand.student_t,
        located(lambda rng, shape: rng.standard_t(3, shape)),
        {"scale": "log", "df": "log"},
        True,
    ),
    "secant": Family(
        SECANT,
        by_hand.secant,
        located(lambda rng, shape: rng.logistic(size=shape)),
        {"scale": "log"},
        True,
    ),
    "inflated": Family(INFLATED, by_hand.zero_inflated_poisson, inflated_counts, {"q": "logit"}),
}


def design(rng: np.random.Generator, lanes: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return designs (B, n, k) with their troubles, and predictors (B, n) of moderate size."""
    x = rng.standard_normal((lanes, n, k))
    x = np.where(sometimes(rng, 0.15, lanes, 1, k), (x > 0).astype(float), x)
    x = x + np.where(sometimes(rng, 0.1, lanes, 1, k), powers(rng, 0, 4, lanes, 1, k), 0.0)
    x[..., 0] = np.where(sometimes(rng, 0.8, lanes, 1), 1.0, x[..., 0])
    w = rng.standard_normal((lanes, k)) / np.sqrt(k) * rng.choice([0.3, 1.0, 3.0], (lanes, 1))
    predictor = np.einsum("bnk,bk->bn", x - np.where(x.std(1) > 0, x.mean(1), 0.0)[:, None], w)
    if k > 1:  # the last column nearly depends on the others
        mixed = np.einsum("bnk,bk->bn", x[..., :-1], rng.standard_normal((lanes, k - 1)))
        nearly = mixed + powers(rng, -10, 0, lanes, 1) * rng.standard_normal((lanes, n))
        x[..., -1] = np.where(sometimes(rng, 0.3, lanes, 1), nearly, x[..., -1])
    units = np.where(sometimes(rng, 0.5, lanes, 1), powers(rng, -6, 6, lanes, k), 1.0)
    return x * units[:, None], predictor


def block(seed: int, number: int, lanes: int) -> tuple[str, tuple[int, int], Leaves]:
    """Return the family, the shape and the datasets of one block; the same for the same three numbers."""
    name = list(FAMILIES)[number % len(FAMILIES)]
    n, k = SHAPES[number // len(FAMILIES) % len(SHAPES)]
    rng = np.random.default_rng([seed, number, 6])
    x, predictor = design(rng, lanes, n, k)
    return name, (n, k), {"x": x, **FAMILIES[name].draw(rng, predictor)}

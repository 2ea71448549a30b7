"""Binomial regression.

log f(y; w | x, trials) = log(choose(trials, y)) + y log(p) + (trials - y) log(1 - p), logit(p) = <x, w> or by another
    link

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, chapter 4.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtri

from mle_jax.densities import _normal_tails as standard
from mle_jax.densities import binomial
from mle_jax.densities._counts import is_count, is_share
from mle_jax.densities._elementary import inverse_expm1, log1mexp, log1mexp_of_exp, sigmoid, softplus
from mle_jax.likelihood import Model
from mle_jax.models._links import bounded_exp
from mle_jax.models._regression import checked_link, named, positive_line, single_index_model, start_line
from mle_jax.parameters.declared import as_float

LINKS = ("logit", "probit", "cloglog", "log")


def binomial_regression(link: str = "logit") -> Model:
    """Return the model of successes among known numbers of trials, whose probability depends on a linear predictor.

    log-likelihood(w) = sum_i log(choose(n_i, y_i)) + y_i log(p_i) + (n_i - y_i) log(1 - p_i),  n_i the trials

    With the link "log" (relative risks) the predictor must be below 0 in every row (at 0 only successes are possible):
    elsewhere the log-likelihood is minus infinity. The library adds no intercept: for one, give x a column of ones. The
    same link returns the same object.

    Args:
        link: "logit" (log(p/(1 - p)) is the predictor e), "probit" (p = Phi(e)), "cloglog" (p = 1 - exp(-exp(e))) or
            "log" (p = exp(e)).

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,), "trials": (n,)}``, and if wished ``"offset": (n,)``, with the
        parameters ``w`` (p entries, named like the columns of x).

    Raises:
        TypeError: the link is not a string.
        ValueError: the link is not one of the four.

    Reference:
        McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, sections 4.3 and 4.4.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0, 0.0], [1.0, 1.0]], "y": [2, 5], "trials": [6, 6]}
        >>> score = mle.models.binomial_regression().score({"w": jnp.zeros(2)}, data)
        >>> score["w"].tolist()  # 3 successes are expected: (2 - 3) + (5 - 3), 5 - 3
        [1.0, 2.0]
    """
    return _with_link(checked_link(link, LINKS, "binomial_regression"))


class Success(NamedTuple):
    """The logarithms of p and 1 - p as functions of the predictor, the sizes of their slopes by hand, and p's link."""

    log_yes: Callable[[Array], Array]
    log_no: Callable[[Array], Array]
    yes_slope: Callable[[Array], Array]  # d log(p) / de, positive
    no_slope: Callable[[Array], Array]  # -d log(1 - p) / de, positive
    predictor: Callable[[Array], Array]


SUCCESS = {
    # p = 1/(1 + exp(-e)): d log(p) / de = 1 - p and d log(1 - p) / de = -p
    "logit": Success(
        lambda e: -softplus(-e),
        lambda e: -softplus(e),
        lambda e: sigmoid(-e),
        sigmoid,
        lambda p: jnp.log(p) - jnp.log1p(-p),
    ),
    # p = Phi(e): phi/Phi, the hazard at -e, and -phi/(1 - Phi), minus the hazard at e
    "probit": Success(
        standard.log_cdf,
        standard.log_survival,
        lambda e: standard.hazard(-e),
        standard.hazard,
        ndtri,
    ),
    # 1 - p = exp(-m), m = exp(e), dm/de = m: m/(exp(m) - 1) and -m
    "cloglog": Success(
        log1mexp_of_exp,
        lambda e: -jnp.exp(e),
        lambda e: bounded_exp(e) * inverse_expm1(bounded_exp(e)),
        bounded_exp,
        lambda p: jnp.log(-jnp.log1p(-p)),
    ),
    # p = exp(e), e < 0: 1 and -p/(1 - p) = -1/(exp(-e) - 1)
    "log": Success(
        lambda e: e,
        lambda e: log1mexp(-e),
        jnp.ones_like,
        lambda e: inverse_expm1(-e),
        jnp.log,
    ),
}


@functools.cache
def _with_link(link: str) -> Model:
    success = SUCCESS[link]

    def mean(row: Mapping[str, Any], predictor: Array) -> Array:
        return row["trials"] * jnp.exp(success.log_yes(predictor))

    def draw(key: Array, row: Mapping[str, Any], predictor: Array) -> Array:
        p = jnp.minimum(jnp.exp(success.log_yes(predictor)), 1.0)
        return jax.random.binomial(key, jnp.asarray(row["trials"], p.dtype), p).astype(int)

    def information(data: Mapping[str, Any], predictor: Array) -> Array:
        # Of one trial: p'^2/(p (1 - p)), the product of p'/p and p'/(1 - p).
        return data["trials"] * success.yes_slope(predictor) * success.no_slope(predictor)

    densities = {"logit": log_density_logit, "log": log_density_below_zero}
    return single_index_model(
        named("binomial_regression", link, LINKS[0]),
        log_density=densities.get(link, functools.partial(log_density, success)),
        slope=functools.partial(slope, success),
        information=information,
        start=functools.partial(start_below_zero if link == "log" else start, success),
        draw=draw,
        mean=mean,
    )


def log_density(success: Success, row: Mapping[str, Any], predictor: Array) -> Array:
    """Return the log density of one observation."""
    y, trials = as_float(row["y"]), as_float(row["trials"])
    valid = is_share(y, trials)
    yes, no = jnp.where(valid, y, 0.0), jnp.where(valid, trials - y, 0.0)
    # Where all outcomes are alike the other logarithm may be infinite, and does not count.
    value = _times(yes, success.log_yes, predictor) + _times(no, success.log_no, predictor)
    # What is left is log(choose(trials, y)): the log density at 1/2, but for the probability of every sequence.
    fair = binomial.log_density(yes, yes + no, 0.5)
    return jnp.where(valid, value + (fair + (yes + no) * jnp.log(2.0)), -jnp.inf)


def _times(count: Array, logarithm: Callable[[Array], Array], predictor: Array) -> Array:
    safe = jnp.where(count > 0, predictor, -1.0)
    return jnp.where(count > 0, count * logarithm(safe), 0.0)


def log_density_logit(row: Mapping[str, Any], predictor: Array) -> Array:
    """Return the log density of one observation for the logit, where no digits are lost for large numbers of trials."""
    return binomial.log_density_logit(row["y"], row["trials"], predictor)


def log_density_below_zero(row: Mapping[str, Any], predictor: Array) -> Array:
    """Return the log density of one observation for the log link: minus infinity where p would be above 1."""
    certain = (row["y"] == row["trials"]) & is_count(as_float(row["trials"])) & (predictor == 0)
    inside = jnp.where(predictor < 0, predictor, -1.0)
    never = jnp.where(certain, row["trials"] * predictor, -jnp.inf)
    return jnp.where(predictor < 0, log_density(SUCCESS["log"], row, inside), never)


def slope(success: Success, data: Mapping[str, Any], predictor: Array) -> Array:
    """Return the derivative in the predictor, by hand."""
    # y d log(p) / de + (n - y) d log(1 - p) / de; the binomial coefficient does not depend on e.
    failures = data["trials"] - data["y"]
    return data["y"] * success.yes_slope(predictor) - failures * success.no_slope(predictor)


def start(success: Success, data: Mapping[str, Any]) -> Array:
    """Return least squares through the link of (y + 1/2)/(trials + 1), weighted by the trials."""
    y, trials = as_float(data["y"]), as_float(data["trials"])
    weights = jnp.broadcast_to(trials + 1, y.shape)
    return start_line(success.predictor((y + 0.5) / (trials + 1)), data, weights / jnp.max(weights))


def start_below_zero(success: Success, data: Mapping[str, Any]) -> Array:
    """Return a line below zero near the logarithms of (y + 1/2)/(trials + 1)."""
    y, trials = as_float(data["y"]), as_float(data["trials"])
    mirrored = {"x": data["x"], **({"offset": -as_float(data["offset"])} if "offset" in data else {})}
    return -positive_line(-success.predictor((y + 0.5) / (trials + 1)), mirrored)

"""Poisson regression.

log f(y; w | x) = y log(mean) - mean - log(y!), mean = exp(<x, w>) or by another link

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, chapter 6.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import poisson
from mle_jax.likelihood import Model
from mle_jax.models._links import MEANS, Link, bounded_exp
from mle_jax.models._regression import checked_link, named, positive_line, single_index_model, start_line
from mle_jax.parameters.declared import as_float

LINKS = ("log", "identity", "sqrt")


def poisson_regression(link: str = "log") -> Model:
    """Return the model of counts whose mean depends on a linear predictor.

    log-likelihood(w) = sum_i y_i log(m_i) - m_i - log(y_i!),  link(m_i) = <x_i, w> + offset_i

    With the identity or the square root as link the predictor must be above 0 in every row (at 0 only y = 0 is
    possible): elsewhere the log-likelihood is minus infinity. The library adds no intercept: for one, give x a column
    of ones. The same link returns the same object, so a loop over datasets does not recompile.

    Args:
        link: "log" (m = exp(predictor)), "identity" (m = predictor) or "sqrt" (m = predictor^2).

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y counts, and if wished ``"offset": (n,)``, with the
        parameters ``w`` (p entries, named like the columns of x).

    Raises:
        TypeError: the link is not a string.
        ValueError: the link is not one of the three.

    Reference:
        McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 6.2.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0, 0.0], [1.0, 1.0]], "y": [2, 5]}
        >>> score = mle.models.poisson_regression().score({"w": jnp.zeros(2)}, data)
        >>> score["w"].tolist()  # every mean is exp(0) = 1: (2 - 1) + (5 - 1), 5 - 1
        [5.0, 4.0]
    """
    return _with_link(checked_link(link, LINKS, "poisson_regression"))


@functools.cache
def _with_link(link: str) -> Model:
    if link == "log":
        parts: Mapping[str, Any] = {
            "log_density": lambda row, e: poisson.log_density_log_mean(row["y"], e),
            "slope": log_slope,
            "information": lambda data, e: bounded_exp(e),
            "start": log_start,
            "mean": lambda row, e: bounded_exp(e),
        }
    else:
        mean = MEANS[link]
        parts = {
            "log_density": functools.partial(log_density, mean),
            "slope": functools.partial(slope, mean),
            "information": lambda data, e: mean.slope(e) ** 2 / mean.mean(e),
            "start": lambda data: positive_line(mean.predictor(guessed_means(data)), data),
            "mean": lambda row, e: mean.mean(e),
        }

    def draw(key: Array, row: Mapping[str, Any], predictor: Array) -> Array:
        return jax.random.poisson(key, parts["mean"](row, predictor))

    return single_index_model(named("poisson_regression", link, LINKS[0]), draw=draw, **parts)


def log_density(link: Link, row: Mapping[str, Any], predictor: Array) -> Array:
    """Return the log density of one observation, where the predictor must be above 0 or, for y = 0, at 0."""
    allowed, inside = link.inside(predictor)
    never = jnp.where((row["y"] == 0) & (predictor == 0), predictor, -jnp.inf)
    return jnp.where(allowed, poisson.log_density(row["y"], link.mean(inside)), never)


def log_slope(data: Mapping[str, Any], predictor: Array) -> Array:
    """Return the derivative in the predictor for the log link, by hand."""
    # d/de of y e is y, and of -exp(e) it is -exp(e); log(y!) does not depend on e.
    return data["y"] - jnp.exp(predictor)


def slope(link: Link, data: Mapping[str, Any], predictor: Array) -> Array:
    """Return the derivative in the predictor, by hand."""
    # d/dm of y log(m) - m is y/m - 1 = (y - m)/m, times dm/de of the link.
    mean = link.mean(predictor)
    return (data["y"] - mean) / mean * link.slope(predictor)


def log_start(data: Mapping[str, Any]) -> Array:
    """Return least squares through log(y + 1/2)."""
    return start_line(jnp.log(as_float(data["y"]) + 0.5), data)


def guessed_means(data: Mapping[str, Any]) -> Array:
    """Return y moved a little toward its mean, and above 0: means that every row can live with."""
    y = as_float(data["y"])
    return 0.9 * y + 0.1 * jnp.mean(y) + 0.1

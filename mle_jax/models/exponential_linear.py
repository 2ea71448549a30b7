"""Exponential regression.

log f(y; w | x) = -y/mean - log(mean), mean = exp(<x, w>) or by another link

Source: Lawless (2003), Statistical Models and Methods for Lifetime Data, 2nd edition, section 6.3.1.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import exponential
from mle_jax.likelihood import Model
from mle_jax.models._links import MEANS, Link
from mle_jax.models._regression import checked_link, named, positive_line, single_index_model, start_line
from mle_jax.parameters.declared import as_float

LINKS = ("log", "inverse")


def exponential_regression(link: str = "log") -> Model:
    """Return the model of waiting times, fully observed, whose mean depends on a linear predictor.

    log-likelihood(w) = -sum_i y_i / m_i + log(m_i),  link(m_i) = <x_i, w> + offset_i

    With the inverse as link the predictor, the rate, must be above 0 in every row: elsewhere the log-likelihood is
    minus infinity. The library adds no intercept: for one, give x a column of ones. The same link returns the same
    object.

    Args:
        link: "log" (m = exp(predictor)) or "inverse" (m = 1/predictor).

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y >= 0, and if wished ``"offset": (n,)``, with the
        parameters ``w`` (p entries, named like the columns of x).

    Raises:
        TypeError: the link is not a string.
        ValueError: the link is neither of the two.

    Reference:
        Lawless (2003), Statistical Models and Methods for Lifetime Data, 2nd edition, section 6.3.1.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0, 0.0], [1.0, 1.0]], "y": [3.0, 0.5]}
        >>> score = mle.models.exponential_regression().score({"w": jnp.zeros(2)}, data)
        >>> score["w"].tolist()  # every mean is 1: (3 - 1) + (0.5 - 1), 0.5 - 1
        [1.5, -0.5]
    """
    return _with_link(checked_link(link, LINKS, "exponential_regression"))


@functools.cache
def _with_link(link: str) -> Model:
    mean = MEANS[link]

    def draw(key: Array, row: Mapping[str, Any], predictor: Array) -> Array:
        return mean.mean(predictor) * jax.random.exponential(key, dtype=predictor.dtype)

    return single_index_model(
        named("exponential_regression", link, LINKS[0]),
        log_density=functools.partial(log_density, mean),
        slope=functools.partial(slope, mean),
        information=lambda data, e: (mean.slope(e) / mean.mean(e)) ** 2,
        start=start_of_rates if link == "inverse" else start,
        draw=draw,
        mean=lambda row, e: mean.mean(e),
    )


def log_density(link: Link, row: Mapping[str, Any], predictor: Array) -> Array:
    """Return the log density of one observation: minus infinity for y < 0 and for predictors that are not allowed."""
    allowed, inside = link.inside(predictor)
    return jnp.where(allowed, exponential.log_density(row["y"], link.mean(inside)), -jnp.inf)


def slope(link: Link, data: Mapping[str, Any], predictor: Array) -> Array:
    """Return the derivative in the predictor, by hand."""
    # d/dm of -y/m - log(m) is y/m^2 - 1/m = (y - m)/m^2, times dm/de of the link.
    mean = link.mean(predictor)
    return (data["y"] - mean) / mean * (link.slope(predictor) / mean)


def start(data: Mapping[str, Any]) -> Array:
    """Return least squares through log(y), with y moved a little toward its mean."""
    return start_line(jnp.log(guessed_means(data)), data)


def start_of_rates(data: Mapping[str, Any]) -> Array:
    """Return a line of positive rates near 1/y, by least squares of y rate - 1, with y moved toward its mean."""
    means = guessed_means(data)
    return positive_line(1 / means, data, (means / jnp.max(means)) ** 2)


def guessed_means(data: Mapping[str, Any]) -> Array:
    """Return y moved a little toward its mean: above 0, unless all y are, and then 1."""
    y = as_float(data["y"])
    moved = 0.9 * y + 0.1 * jnp.mean(y)
    return jnp.where(jnp.all(y == 0), 1.0, moved)

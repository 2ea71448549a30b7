"""Logistic regression.

log f(y; w | x) = y <x, w> - log(1 + exp(<x, w>)), y = 0 or 1

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 4.3.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities._elementary import sigmoid, softplus
from mle_jax.densities._partials import supported
from mle_jax.likelihood import Model
from mle_jax.models._regression import single_index_model, start_line
from mle_jax.parameters.declared import as_float


@functools.cache
def logistic_regression() -> Model:
    """Return the model of yes-or-no outcomes whose log odds are a linear predictor.

    log-likelihood(w) = sum_i y_i e_i - log(1 + exp(e_i)),  e_i = <x_i, w> + offset_i

    Where a plane separates the two outcomes there is no finite maximum, which a fit reports. The library adds no
    intercept: for one, give x a column of ones. Every call returns the same object.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y 0 or 1, and if wished ``"offset": (n,)``, with the
        parameters ``w`` (p entries, named like the columns of x).

    Reference:
        McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 4.3.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]], "y": [0, 1, 1]}
        >>> score = mle.models.logistic_regression().score({"w": jnp.zeros(2)}, data)
        >>> score["w"].tolist()  # every probability is 1/2: -1/2 + 1/2 + 1/2, 1/2 + 1/2
        [0.5, 1.0]
    """
    return single_index_model(
        "logistic_regression",
        log_density=log_density,
        slope=slope,
        information=information,
        start=start,
        draw=draw,
        mean=mean,
    )


def log_density(row: Mapping[str, Any], predictor: Array) -> Array:
    """Return the log density of one observation: minus infinity unless y is 0 or 1."""
    # log(p) = -log(1 + exp(-e)) and log(1 - p) = -log(1 + exp(e)), whose derivatives are exact in both tails
    y = row["y"]
    return supported((y == 0) | (y == 1), -softplus(jnp.where(y == 1, -predictor, predictor)))


def slope(data: Mapping[str, Any], predictor: Array) -> Array:
    """Return the derivative of the log density in the predictor, by hand."""
    # d/de of y e is y, and of log(1 + exp(e)) it is p = 1/(1 + exp(-e)); y - p by the smaller of p and 1 - p:
    y = data["y"]
    return y * sigmoid(-predictor) - (1 - y) * sigmoid(predictor)


def information(data: Mapping[str, Any], predictor: Array) -> Array:
    """Return the expected square of the slope: p (1 - p)."""
    return sigmoid(predictor) * sigmoid(-predictor)


def start(data: Mapping[str, Any]) -> Array:
    """Return least squares through the log odds of 1/4 (y = 0) and 3/4 (y = 1)."""
    return start_line((2 * as_float(data["y"]) - 1) * jnp.log(3.0), data)


def draw(key: Array, row: Mapping[str, Any], predictor: Array) -> Array:
    """Return a new y."""
    return jax.random.bernoulli(key, mean(row, predictor)).astype(int)


def mean(row: Mapping[str, Any], predictor: Array) -> Array:
    """Return the probability that y is 1."""
    return sigmoid(predictor)

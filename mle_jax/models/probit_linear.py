"""Probit regression.

log f(y; w | x) = y log(Phi(<x, w>)) + (1 - y) log(Phi(-<x, w>)), y = 0 or 1

Source: Cameron and Trivedi (2005), Microeconometrics, section 14.3.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import _normal_tails as standard
from mle_jax.densities._partials import supported
from mle_jax.likelihood import Model
from mle_jax.models._regression import single_index_model, start_line
from mle_jax.parameters.declared import as_float


@functools.cache
def probit_regression() -> Model:
    """Return the model of yes-or-no outcomes; the normal quantile of the probability is a linear predictor.

    log-likelihood(w) = sum_i y_i log(Phi(e_i)) + (1 - y_i) log(Phi(-e_i)),  e_i = <x_i, w> + offset_i

    The logarithms and their derivatives keep all digits however improbable an outcome is. The library adds no
    intercept: for one, give x a column of ones. Every call returns the same object.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y 0 or 1, and if wished ``"offset": (n,)``, with the
        parameters ``w`` (p entries, named like the columns of x).

    Reference:
        Cameron and Trivedi (2005), Microeconometrics, section 14.3.2.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0]], "y": [0, 1, 1]}
        >>> score = mle.models.probit_regression().score({"w": jnp.zeros(2)}, data)
        >>> [round(float(entry), 4) for entry in score["w"]]  # the hazard at 0 is sqrt(2/pi): times -1 + 1 + 1, 1 + 1
        [0.7979, 1.5958]
    """
    return single_index_model(
        "probit_regression",
        log_density=log_density,
        slope=slope,
        information=information,
        start=start,
        draw=draw,
        mean=mean,
    )


def log_density(row: Mapping[str, Any], predictor: Array) -> Array:
    """Return the log density of one observation: minus infinity unless y is 0 or 1."""
    y = row["y"]
    return supported((y == 0) | (y == 1), standard.log_cdf(jnp.where(y == 1, predictor, -predictor)))


def slope(data: Mapping[str, Any], predictor: Array) -> Array:
    """Return the derivative of the log density in the predictor, by hand."""
    # d/de log(Phi(e)) = phi(e)/Phi(e), which is the hazard phi/(1 - Phi) at -e, because 1 - Phi(-e) = Phi(e) and phi
    # is even; so d/de log(Phi(-e)) is minus the hazard at e.
    y = data["y"]
    return y * standard.hazard(-predictor) - (1 - y) * standard.hazard(predictor)


def information(data: Mapping[str, Any], predictor: Array) -> Array:
    """Return the expected square of the slope: phi^2/(Phi (1 - Phi)), a product of two hazards."""
    return standard.hazard(predictor) * standard.hazard(-predictor)


def start(data: Mapping[str, Any]) -> Array:
    """Return least squares through the normal quantiles of 1/4 (y = 0) and 3/4 (y = 1)."""
    quartile = 0.6744897501960817  # of the standard normal: Abramowitz and Stegun, table 26.5
    return start_line((2 * as_float(data["y"]) - 1) * quartile, data)


def draw(key: Array, row: Mapping[str, Any], predictor: Array) -> Array:
    """Return a new y."""
    return jax.random.bernoulli(key, mean(row, predictor)).astype(int)


def mean(row: Mapping[str, Any], predictor: Array) -> Array:
    """Return the probability that y is 1."""
    return jnp.exp(standard.log_cdf(predictor))

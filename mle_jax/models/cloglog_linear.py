"""Complementary log-log regression.

log f(y; w | x) = y log(1 - exp(-m)) - (1 - y) m, m = exp(<x, w>), y = 0 or 1

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 4.3.1.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities._elementary import inverse_expm1, log1mexp_of_exp
from mle_jax.densities._partials import supported
from mle_jax.likelihood import Model
from mle_jax.models._links import bounded_exp
from mle_jax.models._regression import single_index_model, start_line
from mle_jax.parameters.declared import as_float


@functools.cache
def cloglog_regression() -> Model:
    """Return the model of yes-or-no outcomes that say whether a Poisson count with a log-linear mean is above 0.

    log-likelihood(w) = sum_i y_i log(1 - exp(-m_i)) - (1 - y_i) m_i,  log(m_i) = <x_i, w> + offset_i

    It is the model of proportional hazards seen in whole periods; the log of a period's length is an offset. The
    library adds no intercept: for one, give x a column of ones. Every call returns the same object.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y 0 or 1, and if wished ``"offset": (n,)``, with the
        parameters ``w`` (p entries, named like the columns of x).

    Reference:
        McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 4.3.1.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0, 0.0], [1.0, 1.0]], "y": [0, 1]}
        >>> score = mle.models.cloglog_regression().score({"w": jnp.zeros(2)}, data)
        >>> [round(float(entry), 4) for entry in score["w"]]  # -1 + 1/(e - 1), 1/(e - 1)
        [-0.418, 0.582]
    """
    return single_index_model(
        "cloglog_regression",
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
    value = jnp.where(y == 1, log1mexp_of_exp(predictor), -jnp.exp(predictor))
    return supported((y == 0) | (y == 1), value)


def slope(data: Mapping[str, Any], predictor: Array) -> Array:
    """Return the derivative of the log density in the predictor, by hand."""
    # d/de m = m; d/dm log(1 - exp(-m)) = exp(-m)/(1 - exp(-m)) = 1/(exp(m) - 1); d/dm of -m is -1.
    y, m = data["y"], bounded_exp(predictor)
    return y * m * inverse_expm1(m) - (1 - y) * m


def information(data: Mapping[str, Any], predictor: Array) -> Array:
    """Return the expected square of the slope: m^2/(exp(m) - 1)."""
    m = bounded_exp(predictor)
    return m * (m * inverse_expm1(m))


def start(data: Mapping[str, Any]) -> Array:
    """Return least squares through the complementary log-log of 1/4 (y = 0) and 3/4 (y = 1)."""
    y = as_float(data["y"])
    return start_line(jnp.log(-jnp.log1p(-(0.25 + 0.5 * y))), data)


def draw(key: Array, row: Mapping[str, Any], predictor: Array) -> Array:
    """Return a new y."""
    return jax.random.bernoulli(key, mean(row, predictor)).astype(int)


def mean(row: Mapping[str, Any], predictor: Array) -> Array:
    """Return the probability that y is 1."""
    return -jnp.expm1(-jnp.exp(predictor))

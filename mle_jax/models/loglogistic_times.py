"""Loglogistic regression in the accelerated failure time form: log y = <x, w> + scale * logistic error.

log f(y; w, scale | x) = z - 2 log(1 + exp(z)) - log(scale) - log(y) where y was observed, and -log(1 + exp(z)) or
-log(1 + exp(-z)) where it is right- or left-censored at y, z = (log(y) - <x, w>) / scale

Source: Kalbfleisch and Prentice (2002), The Statistical Analysis of Failure Time Data, 2nd edition, section 2.2 and
chapter 3.
"""

import functools
from typing import Any

import jax.numpy as jnp
from jax import Array

from mle_jax.likelihood import Model
from mle_jax.models._accelerated import draw_time, log_density_of_times, slopes_of_times, start_of_times
from mle_jax.models._error_laws import LOGISTIC
from mle_jax.models._regression import predictor, through_predictor
from mle_jax.parameters import Positive, Real


@functools.cache
def loglogistic_aft() -> Model:
    """Return the loglogistic model of positive times, accelerated by covariates, with censoring.

    log y = <x, w> + scale * e, P(e > z) = 1 / (1 + exp(z)); log-likelihood(w, scale) = sum_i of
        z_i - 2 log(1 + exp(z_i)) - log(scale) - log(y_i)    where status_i is 1: y_i was observed
        -log(1 + exp(z_i))                                   where status_i is 0: right-censored, above y_i
        -log(1 + exp(-z_i))                                  where status_i is 2: left-censored, at or below y_i
        log(F(v_i) - F(z_i)), F(z) = 1 / (1 + exp(-z))       where status_i is 3: above y_i, at or below upper_i
    with z_i = (log(y_i) - <x_i, w>) / scale and v_i the same of upper_i. The log odds of surviving any time are shifted
    by w / scale. `scale` is that of R's `survreg`; the density is that of y, as there. The library adds no intercept.
    Every call returns the same object.

    `predict` returns the mean of y before censoring, exp(<x, w>) pi scale / sin(pi scale), which is infinite for a
    scale of 1 or more. `simulate` draws a time and censors it as the row's own limits say: status 0, if it lies above
    y; status 2, if it lies at or below y; status 3, always, below, between or above both limits; status 1, never.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, with the optional leaves ``status`` (n,), as in R's `Surv`
        (absent: all 1), ``upper`` (n,), any finite number, such as y, where status is not 3, and ``offset`` (n,), added
        to <x, w>. The parameters are ``w`` (p entries, named like the columns of x) and ``scale``.

    Reference:
        Kalbfleisch and Prentice (2002), The Statistical Analysis of Failure Time Data, 2nd edition, section 2.2 and
        chapter 3.

    Example:
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0], [1.0]], "y": [1.0, 1.0], "status": [1, 0]}
        >>> model = mle.models.loglogistic_aft()
        >>> round(float(model.log_likelihood({"w": [0.0], "scale": 1.0}, data)), 6)  # log(1/4) + log(1/2)
        -2.079442
    """
    return Model(
        log_density,
        {"w": Real(columns="x"), "scale": Positive()},
        gradient=gradient,
        name="loglogistic_aft",
        start=start,
        simulate=simulate,
        predict=predict,
    )


def log_density(params: Any, row: Any) -> Array:
    """Return what one observation contributes."""
    return log_density_of_times(LOGISTIC, row, predictor(row, params["w"]), params["scale"])


def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # z - 2 log(1 + exp(z)) has the slope 1 - 2 F(z), -log(1 + exp(z)) has -F(z); `slopes` of _censoring.py goes on from
    # there to <x, w> and scale; d<x, w>/dw = x passes the first ones on.
    by_line, by_scale = slopes_of_times(LOGISTIC, data, predictor(data, params["w"]), params["scale"])
    return {"w": through_predictor(by_line, data), "scale": by_scale.sum()}


def start(data: Any) -> Any:
    """Return least squares on the log scale, as if every limit had been observed."""
    w, scale = start_of_times(LOGISTIC, data)
    return {"w": w, "scale": scale}


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn at the row's x and censored at the row's limits."""
    return draw_time(LOGISTIC, key, row, location=predictor(row, params["w"]), scale=params["scale"])


def predict(params: Any, row: Any) -> Any:
    """Return the expected value of y before censoring, exp(<x, w>) / sinc(scale)."""
    scale = jnp.asarray(params["scale"])
    spread = 1 / jnp.sinc(jnp.where(scale < 1, scale, 0.0))  # pi scale / sin(pi scale)
    return jnp.where(scale < 1, jnp.exp(predictor(row, params["w"])) * spread, jnp.inf)

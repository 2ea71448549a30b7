"""Exponential regression with censoring: log y = <x, w> + smallest extreme value error, the Weibull of scale 1.

log f(y; w | x) = -exp(z) - <x, w> where y was observed, and -exp(z) or log(1 - exp(-exp(z))) where it is right- or
left-censored at y, z = log(y) - <x, w>

Source: Kalbfleisch and Prentice (2002), The Statistical Analysis of Failure Time Data, 2nd edition, section 2.2 and
chapter 3.
"""

import functools
from typing import Any

import jax.numpy as jnp
from jax import Array

from mle_jax.likelihood import Model
from mle_jax.models._accelerated import draw_time, log_density_of_times, slopes_of_times, start_of_times
from mle_jax.models._censoring import is_exact, seen
from mle_jax.models._error_laws import SMALLEST
from mle_jax.models._regression import predictor, through_predictor
from mle_jax.parameters import Real


@functools.cache
def exponential_aft() -> Model:
    """Return the exponential model of times from 0 on, accelerated by covariates, with censoring.

    log y = <x, w> + e,  P(e > z) = exp(-exp(z)); log-likelihood(w) = sum_i of
        -exp(z_i) - <x_i, w>                     where status_i is 1: y_i was observed
        -exp(z_i)                                where status_i is 0: right-censored, above y_i
        log(1 - exp(-exp(z_i)))                  where status_i is 2: left-censored, at or below y_i
        log(exp(-exp(z_i)) - exp(-exp(v_i)))     where status_i is 3: above y_i, at or below upper_i
    with exp(z_i) = y_i / exp(<x_i, w>) and v_i the same of upper_i: the mean is exp(<x, w>), the log hazard ratios are
    -w. It is `weibull_aft` with the scale 1, as in R's `survreg`. The library adds no intercept. Every call returns the
    same object.

    `predict` returns the mean of y before censoring. `simulate` draws a time and censors it as the row's own limits
    say: status 0, if it lies above y; status 2, if it lies at or below y; status 3, always, below, between or above
    both limits; status 1, never.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, with the optional leaves ``status`` (n,), as in R's `Surv`
        (absent: all 1), ``upper`` (n,), any finite number, such as y, where status is not 3, and ``offset`` (n,), added
        to <x, w>. The parameter is ``w`` (p entries, named like the columns of x).

    Reference:
        Kalbfleisch and Prentice (2002), The Statistical Analysis of Failure Time Data, 2nd edition, section 2.2 and
        chapter 3.

    Example:
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0], [1.0]], "y": [1.0, 3.0], "status": [1, 0]}
        >>> model = mle.models.exponential_aft()
        >>> round(float(model.log_likelihood({"w": [0.0]}, data)), 6), float(model.score({"w": [0.0]}, data)["w"][0])
        (-4.0, 3.0)
    """
    return Model(
        log_density,
        {"w": Real(columns="x")},
        gradient=gradient,
        name="exponential_aft",
        start=start,
        simulate=simulate,
        predict=predict,
    )


def log_density(params: Any, row: Any) -> Array:
    """Return what one observation contributes."""
    line = predictor(row, params["w"])
    at_zero = is_exact(seen(row)) & (jnp.asarray(row["y"]) == 0)  # where the logarithm of y does not exist
    return jnp.where(at_zero, -line, log_density_of_times(SMALLEST, row, line, jnp.ones_like(line)))


def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # z - exp(z) has the slope 1 - exp(z), -exp(z) has -exp(z); `slopes` of _censoring.py goes on from there to <x, w>;
    # d<x, w>/dw = x passes the derivatives on.
    line = predictor(data, params["w"])
    by_line, _ = slopes_of_times(SMALLEST, data, line, jnp.ones_like(line))
    return {"w": through_predictor(by_line, data)}


def start(data: Any) -> Any:
    """Return least squares on the log scale, as if every limit had been observed."""
    return {"w": start_of_times(SMALLEST, data, scale=1.0)[0]}


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn at the row's x and censored at the row's limits."""
    return draw_time(SMALLEST, key, row, location=predictor(row, params["w"]), scale=1.0)


def predict(params: Any, row: Any) -> Any:
    """Return the expected value of y before censoring, exp(<x, w>)."""
    return jnp.exp(predictor(row, params["w"]))

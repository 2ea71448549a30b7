"""A line with Gaussian errors, where some responses are only known to lie above, below or between limits.

log f(y; w, sd | x) = -z^2 / 2 - log(2 pi) / 2 - log(sd) where y was observed, and log(1 - Phi(z)) or log(Phi(z)) where
it is right- or left-censored at y, z = (y - <x, w>) / sd

Source: Klein and Moeschberger (2003), Survival Analysis, 2nd edition, section 3.5.
"""

import functools
from typing import Any

from jax import Array

from mle_jax.likelihood import Model
from mle_jax.models._censoring import censored_again, line_and_scale, log_contribution, seen, slopes
from mle_jax.models._error_laws import NORMAL
from mle_jax.models._regression import predictor, through_predictor
from mle_jax.parameters import Positive, Real


@functools.cache
def censored_gaussian_regression() -> Model:
    """Return the model of a line (or plane) with Gaussian errors and censored responses.

    log-likelihood(w, sd) = sum_i of
        log phi(z_i) - log(sd)           where status_i is 1: y_i was observed
        log(1 - Phi(z_i))                where status_i is 0: right-censored, above y_i
        log(Phi(z_i))                    where status_i is 2: left-censored, at or below y_i
        log(Phi(v_i) - Phi(z_i))         where status_i is 3: above y_i, at or below upper_i
    with z_i = (y_i - <x_i, w>) / sd and v_i = (upper_i - <x_i, w>) / sd. The library adds no intercept.

    `predict` returns the mean of the response before censoring. `simulate` draws a response and censors it as the row's
    own limits say: status 0, if it lies above y; status 2, if it lies at or below y; status 3, always, below, between
    or above both limits; status 1, never.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, with the optional leaves ``status`` (n,), as in R's `Surv`
        (absent: all 1), ``upper`` (n,), any finite number, such as y, where status is not 3, and ``offset`` (n,), added
        to <x, w>. The parameters are ``w`` (p entries, named like the columns of x) and ``sd``.

    Reference:
        Klein and Moeschberger (2003), Survival Analysis, 2nd edition, section 3.5.

    Example:
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0], [1.0]], "y": [2.0, 2.0], "status": [0, 2]}
        >>> model = mle.models.censored_gaussian_regression()
        >>> round(float(model.log_likelihood({"w": [2.0], "sd": 3.0}, data)), 6)  # 2 log(1/2)
        -1.386294
    """
    return Model(
        log_density,
        {"w": Real(columns="x"), "sd": Positive()},
        gradient=gradient,
        name="censored_gaussian_regression",
        start=start,
        simulate=simulate,
        predict=predict,
    )


def log_density(params: Any, row: Any) -> Array:
    """Return what one observation contributes."""
    return log_contribution(NORMAL, seen(row), predictor(row, params["w"]), params["sd"])


def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # The derivatives in <x, w> and sd are derived in `slopes`; d<x, w>/dw = x passes the first ones on.
    by_mean, by_sd = slopes(NORMAL, seen(data), predictor(data, params["w"]), params["sd"])
    return {"w": through_predictor(by_mean, data), "sd": by_sd.sum()}


def start(data: Any) -> Any:
    """Return least squares as if every limit had been observed."""
    w, sd = line_and_scale(NORMAL, seen(data), data)
    return {"w": w, "sd": sd}


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn at the row's x and censored at the row's limits."""
    mean = predictor(row, params["w"])
    return censored_again(row, mean + params["sd"] * NORMAL.draw(key, dtype=mean.dtype))


def predict(params: Any, row: Any) -> Any:
    """Return the expected value of the response before censoring, <x, w>."""
    return predictor(row, params["w"])

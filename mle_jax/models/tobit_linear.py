"""Tobit regression: a line with Gaussian errors, whose responses are cut off at fixed limits.

log f(y; w, sd | x) = -z^2 / 2 - log(2 pi) / 2 - log(sd) for lower < y < upper, log(Phi(z)) for y <= lower and
log(1 - Phi(z)) for y >= upper, with z = (y - <x, w>) / sd and y no farther out than the limits

Source: Tobin (1958), Econometrica 26, 24-36; Amemiya (1984), Journal of Econometrics 24, 3-61, equation 9.
"""

import functools
from typing import Any

import jax.numpy as jnp
from jax import Array

from mle_jax.likelihood import Model
from mle_jax.models._censoring import EXACT, LEFT, RIGHT, Seen, line_and_scale, log_contribution, slopes
from mle_jax.models._error_laws import NORMAL, times
from mle_jax.models._options import in_words, limits
from mle_jax.models._regression import gram, predictor, through_predictor
from mle_jax.parameters import Positive, Real
from mle_jax.parameters.declared import as_float


def tobit_regression(lower: float | None = 0.0, upper: float | None = None) -> Model:
    """Return the model of a line (or plane) with Gaussian errors, seen only between two fixed limits.

    log-likelihood(w, sd) = sum_i of
        log phi(z_i) - log(sd)    where lower < y_i < upper
        log(Phi(a_i))             where y_i <= lower: what lies below is seen as lower, a_i = (lower - <x_i, w>) / sd
        log(1 - Phi(b_i))         where y_i >= upper: what lies above is seen as upper, b_i = (upper - <x_i, w>) / sd
    with z_i = (y_i - <x_i, w>) / sd. Where each row has limits of its own, see `censored_gaussian_regression`; where
    what lies beyond the limits is not in the data at all, `truncated_gaussian_regression`. The library adds no
    intercept. Equal limits return the same object.

    `predict` returns the expected value of y as it is seen, cut off at the limits.

    Args:
        lower: the lower limit, or None.
        upper: the upper limit, or None.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, with the optional leaf ``offset`` (n,), added to <x, w>. The
        parameters are ``w`` (p entries, named like the columns of x) and ``sd``.

    Raises:
        TypeError: a limit is neither a real number nor None.
        ValueError: a limit is not finite, both are None, or lower is not below upper.

    Reference:
        Tobin (1958), Econometrica 26, 24-36; Amemiya (1984), Journal of Econometrics 24, 3-61, equation 9.

    Example:
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0], [1.0]], "y": [0.0, 0.0]}
        >>> round(float(mle.models.tobit_regression().log_likelihood({"w": [0.0], "sd": 3.0}, data)), 6)  # 2 log(1/2)
        -1.386294
    """
    return _with_limits(*limits(lower, upper, model="tobit_regression"))


@functools.cache
def _with_limits(lower: float, upper: float) -> Model:
    return Model(
        functools.partial(log_density, lower=lower, upper=upper),
        {"w": Real(columns="x"), "sd": Positive()},
        gradient=functools.partial(gradient, lower=lower, upper=upper),
        name=f"tobit_regression({in_words(lower, upper)})",
        start=functools.partial(start, lower=lower, upper=upper),
        expected_information=functools.partial(expected_information, lower=lower, upper=upper),
        simulate=functools.partial(simulate, lower=lower, upper=upper),
        predict=functools.partial(predict, lower=lower, upper=upper),
    )


def seen(values: Any, *, lower: float, upper: float) -> Seen:
    """Say of y at or beyond a limit that it is censored there."""
    y = as_float(values["y"])
    status = jnp.where(y <= lower, LEFT, jnp.where(y >= upper, RIGHT, EXACT))
    return Seen(jnp.clip(y, lower, upper), status)


def log_density(params: Any, row: Any, *, lower: float, upper: float) -> Array:
    """Return what one observation contributes."""
    return log_contribution(NORMAL, seen(row, lower=lower, upper=upper), predictor(row, params["w"]), params["sd"])


def gradient(params: Any, data: Any, *, lower: float, upper: float) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # The derivatives in <x, w> and sd are derived in `slopes`; d<x, w>/dw = x passes the first ones on.
    by_mean, by_sd = slopes(NORMAL, seen(data, lower=lower, upper=upper), predictor(data, params["w"]), params["sd"])
    return {"w": through_predictor(by_mean, data), "sd": by_sd.sum()}


def start(data: Any, *, lower: float, upper: float) -> Any:
    """Return least squares as if every limit had been observed."""
    w, sd = line_and_scale(NORMAL, seen(data, lower=lower, upper=upper), data)
    return {"w": w, "sd": sd}


def expected_information(params: Any, data: Any, *, lower: float, upper: float) -> Array:
    """Return the expected information of (w, sd)."""
    # Three parts of E[score score'], in units of 1/sd^2, with a, b the limits in standard units. Below: the score
    # is -r (1, a), r = phi(a)/Phi(a), with probability Phi(a). Above: h (1, b), h = phi(b)/(1 - Phi(b)). Between:
    # (z, z^2 - 1), whose products integrate against phi to D - [z phi], -[(z^2 + 1) phi] and
    # 2 D - [(z + z^3) phi], with D = Phi(b) - Phi(a) and [g] = g(b) - g(a).
    mean, sd = predictor(data, params["w"]), params["sd"]
    a, b = (lower - mean) / sd, (upper - mean) / sd
    zero, one = jnp.zeros_like(mean), jnp.ones_like(mean)
    at_a, at_b = (jnp.exp(NORMAL.log_density(end, zero, one)) for end in (a, b))
    inside = jnp.exp(NORMAL.log_interval(a, b, zero, one))
    below, above = times(NORMAL.reversed_hazard(a), at_a), times(NORMAL.hazard(b), at_b)
    mm = inside - times(b, at_b) + times(a, at_a) + below + above
    ms = times(a**2 + 1, at_a) - times(b**2 + 1, at_b) + times(a, below) + times(b, above)
    ss = 2 * inside - times(b + b**3, at_b) + times(a + a**3, at_a) + times(a**2, below) + times(b**2, above)
    cross = through_predictor(ms, data)[:, None]
    return jnp.block([[gram(data, mm), cross], [cross.T, jnp.sum(ss)[None, None]]]) / sd**2


def simulate(key: Array, params: Any, row: Any, *, lower: float, upper: float) -> Any:
    """Return a row with y drawn at the row's x and cut off at the limits."""
    mean = predictor(row, params["w"])
    return {**row, "y": jnp.clip(mean + params["sd"] * NORMAL.draw(key, dtype=mean.dtype), lower, upper)}


def predict(params: Any, row: Any, *, lower: float, upper: float) -> Any:
    """Return the expected value of y as it is seen."""
    # lower Phi(a) + upper (1 - Phi(b)) + the integral of (mean + sd z) phi(z) from a to b
    mean, sd = predictor(row, params["w"]), params["sd"]
    a, b = (lower - mean) / sd, (upper - mean) / sd
    at_a, at_b = (jnp.exp(NORMAL.log_density(end, 0.0, 1.0)) for end in (a, b))
    below, above = jnp.exp(NORMAL.log_cdf(a, 0.0, 1.0)), jnp.exp(NORMAL.log_survival(b, 0.0, 1.0))
    inside = jnp.exp(NORMAL.log_interval(a, b, 0.0, 1.0))
    return times(lower, below) + times(upper, above) + mean * inside + sd * (at_a - at_b)

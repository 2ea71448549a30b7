"""A line with Gaussian errors, of which only responses between two fixed limits are in the data.

log f(y; w, sd | x) = -z^2 / 2 - log(2 pi) / 2 - log(sd) - log(Phi(b) - Phi(a)) for lower <= y <= upper, with
z, a, b = (y, lower, upper - <x, w>) / sd

Source: Hausman and Wise (1977), Econometrica 45, 919-938; Johnson, Kotz and Balakrishnan (1994), Continuous Univariate
Distributions, vol. 1, section 10.1.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import normal, truncated
from mle_jax.likelihood import Model
from mle_jax.models._censoring import Seen, line_and_scale
from mle_jax.models._error_laws import NORMAL, pulls, times
from mle_jax.models._options import in_words, limits
from mle_jax.models._regression import gram, predictor, through_predictor
from mle_jax.parameters import Positive, Real
from mle_jax.parameters.declared import as_float


def truncated_gaussian_regression(lower: float | None = 0.0, upper: float | None = None) -> Model:
    """Return the model of a line (or plane) with Gaussian errors, where only y between two limits is observed.

    log-likelihood(w, sd) = sum_i log phi(z_i) - log(sd) - log(Phi(b_i) - Phi(a_i))
    with z_i, a_i, b_i = (y_i, lower, upper - <x_i, w>) / sd

    Rows beyond the limits are not in the data; where they are, seen as the limit, see `tobit_regression`. The library
    adds no intercept. Equal limits return the same object.

    `predict` returns the expected value of y between the limits.

    Args:
        lower: the lower limit, or None.
        upper: the upper limit, or None.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, with the optional leaf ``offset`` (n,), added to <x, w>. The
        parameters are ``w`` (p entries, named like the columns of x) and ``sd``, both before truncation.

    Raises:
        TypeError: a limit is neither a real number nor None.
        ValueError: a limit is not finite, both are None, or lower is not below upper.

    Reference:
        Hausman and Wise (1977), Econometrica 45, 919-938; Johnson, Kotz and Balakrishnan (1994), Continuous Univariate
        Distributions, vol. 1, section 10.1.

    Example:
        >>> import mle_jax as mle
        >>> model = mle.models.truncated_gaussian_regression(lower=0.0)
        >>> params = {"w": [0.0], "sd": 1.0}
        >>> round(float(model.log_likelihood(params, {"x": [[1.0]], "y": [0.5]})), 4)  # log(2 phi(1/2))
        -0.3508
    """
    return _with_limits(*limits(lower, upper, model="truncated_gaussian_regression"))


@functools.cache
def _with_limits(lower: float, upper: float) -> Model:
    return Model(
        functools.partial(log_density, lower=lower, upper=upper),
        {"w": Real(columns="x"), "sd": Positive()},
        gradient=functools.partial(gradient, lower=lower, upper=upper),
        name=f"truncated_gaussian_regression({in_words(lower, upper)})",
        start=start,
        expected_information=functools.partial(expected_information, lower=lower, upper=upper),
        simulate=functools.partial(simulate, lower=lower, upper=upper),
        predict=functools.partial(predict, lower=lower, upper=upper),
    )


def log_density(params: Any, row: Any, *, lower: float, upper: float) -> Array:
    """Return the log density of one observation."""
    mean = predictor(row, params["w"])
    return truncated.log_density(row["y"], normal, low=lower, high=upper, mean=mean, sd=params["sd"])


def moments(mean: Array, sd: Array, *, lower: float, upper: float) -> tuple[Array, Array]:
    """Return E[z] and E[z^2] of the truncated standard error."""
    # With p = phi/D at an end, D = Phi(b) - Phi(a): phi' = -z phi, so E[z] = p(a) - p(b); and by parts
    # E[z^2] = 1 + a p(a) - b p(b).
    a, b = (lower - mean) / sd, (upper - mean) / sd
    at_a, at_b = pulls(NORMAL, a, b)
    return at_a - at_b, 1 + times(a, at_a) - times(b, at_b)


def gradient(params: Any, data: Any, *, lower: float, upper: float) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # Of log phi(z) - log(sd) the derivatives in mean and sd are z/sd and (z^2 - 1)/sd. The mean of a score is 0, so
    # those of log(D) can only be E[z]/sd and E[z^2 - 1]/sd; d<x, w>/dw = x passes the first ones on.
    mean, sd = predictor(data, params["w"]), params["sd"]
    z = (as_float(data["y"]) - mean) / sd
    first, second = moments(mean, sd, lower=lower, upper=upper)
    return {"w": through_predictor((z - first) / sd, data), "sd": jnp.sum(z**2 - second) / sd}


def start(data: Any) -> Any:
    """Return least squares, as if nothing were truncated."""
    y = as_float(data["y"])
    w, sd = line_and_scale(NORMAL, Seen(y), data)
    return {"w": w, "sd": sd}


def expected_information(params: Any, data: Any, *, lower: float, upper: float) -> Array:
    """Return the expected information of (w, sd)."""
    # The covariance of (z, z^2), the random part of the score, in units of 1/sd^2; by parts
    # E[z^3] = 2 E[z] + a^2 p(a) - b^2 p(b) and E[z^4] = 3 E[z^2] + a^3 p(a) - b^3 p(b).
    mean, sd = predictor(data, params["w"]), params["sd"]
    a, b = (lower - mean) / sd, (upper - mean) / sd
    at_a, at_b = pulls(NORMAL, a, b)
    first, second = moments(mean, sd, lower=lower, upper=upper)
    third = 2 * first + times(a**2, at_a) - times(b**2, at_b)
    fourth = 3 * second + times(a**3, at_a) - times(b**3, at_b)
    cross = through_predictor(third - first * second, data)[:, None]
    last = jnp.sum(fourth - second**2)[None, None]
    return jnp.block([[gram(data, second - first**2), cross], [cross.T, last]]) / sd**2


def simulate(key: Array, params: Any, row: Any, *, lower: float, upper: float) -> Any:
    """Return a row with y drawn from the model at the row's x."""
    mean, sd = predictor(row, params["w"]), params["sd"]
    z = jax.random.truncated_normal(key, (lower - mean) / sd, (upper - mean) / sd, dtype=mean.dtype)
    return {**row, "y": jnp.clip(mean + sd * z, lower, upper)}


def predict(params: Any, row: Any, *, lower: float, upper: float) -> Any:
    """Return the expected value of y between the limits."""
    mean, sd = predictor(row, params["w"]), params["sd"]
    return mean + sd * moments(mean, sd, lower=lower, upper=upper)[0]

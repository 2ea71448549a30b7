"""The linear-Gaussian model: T7 of the text.

log f(y; w, variance | x) = -(1/2) log(2 pi variance) - (y - <x, w>)^2 / (2 variance)

Source: Seber and Lee (2003), Linear Regression Analysis, section 3.5.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax.likelihood import Model
from mle_jax.likelihood.exact import Held
from mle_jax.models._linear import free_columns, least_squares_line, linear_information
from mle_jax.models._moments import average
from mle_jax.models._regression import predictor, through_predictor
from mle_jax.parameters import Positive, Real


@functools.cache
def linear_gaussian() -> Model:
    """Return the model of a line (or plane) with independent Gaussian errors of unknown variance.

    log-likelihood(w, variance) = -(n/2) log(2 pi variance) - norm(y - X w)^2 / (2 variance)

    The library adds no intercept: for one, give x a column of ones. Every call returns the same object, so a loop
    over datasets does not recompile.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, with the optional leaf ``offset`` (n,), added to <x, w>. The
        parameters are ``w`` (p entries, named like the columns of x) and ``variance``. Its closed form is least squares
        and the mean squared residual (divisor n, not n - p).

    Reference:
        Seber and Lee (2003), Linear Regression Analysis, 2nd edition, section 3.5.

    Example:
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], "y": [1.0, 2.0, 6.0]}
        >>> fit = mle.fit(mle.models.linear_gaussian(), data)
        >>> fit.params["w"].round(6).tolist(), round(float(fit.params["variance"]), 6)  # (0.25 + 1 + 0.25) / 3
        ([0.5, 2.5], 0.5)
    """
    return Model(
        log_density,
        {"w": Real(columns="x"), "variance": Positive()},
        gradient=gradient,
        name="linear_gaussian",
        start=start,
        expected_information=expected_information,
        closed_form=closed_form,
        simulate=simulate,
        predict=predict,
    )


def log_density(params: Any, row: Any) -> Array:
    """Return the log density of one observation."""
    variance = params["variance"]
    return -0.5 * jnp.log(2 * jnp.pi * variance) - (row["y"] - predict(params, row)) ** 2 / (2 * variance)


@at_highest_precision
def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # d/dw of norm(y - X w)^2 is -2 X' (y - X w), by the chain rule with d norm(v)^2 = 2 v;
    # divided by -2 variance this is X' (y - X w) / variance;
    # d/dvariance as for the Gaussian sample, with the residuals in place of the deviations from the mean.
    variance = params["variance"]
    r = data["y"] - predict(params, data)
    n = r.shape[0]
    return {"w": through_predictor(r, data) / variance, "variance": -n / (2 * variance) + r @ r / (2 * variance**2)}


def closed_form(data: Any, weights: Any, fixed: Held | None = None) -> Any:
    """Return the maximizer: least squares over the columns that are free, and the mean squared residual."""
    # Least squares does not depend on the variance, so it does not matter to w whether that is fixed.
    w, r = least_squares_line(data, weights, fixed)
    return {"w": w, "variance": average(r**2, weights)}


def start(data: Any) -> Any:
    """Return w = 0 and the mean square of the residuals y - offset: from there every optimizer has a way."""
    return {"w": jnp.zeros(jnp.shape(data["x"])[1]), "variance": average(free_columns(data, None).y ** 2)}


def expected_information(params: Any, data: Any) -> Array:
    """Return the expected information of (w, variance): X'X / variance and n / (2 variance^2), block-diagonal."""
    n, variance = jnp.shape(data["y"])[0], params["variance"]
    return linear_information(data, variance, n / (2 * variance**2))


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn from the model at the row's x."""
    mean = predict(params, row)
    return {**row, "y": mean + jnp.sqrt(params["variance"]) * jax.random.normal(key, dtype=mean.dtype)}


def predict(params: Any, row: Any) -> Array:
    """Return the expected value of y, <x, w> + offset."""
    return predictor(row, params["w"])

"""Laplace regression: T12 of the text.

log f(y; w, scale | x) = -log(2 scale) - |y - <x, w>| / scale

Source: Koenker (2005), Quantile Regression, section 1.3; Bassett and Koenker (1978), JASA 73, 618-622.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax.likelihood import Model
from mle_jax.likelihood.exact import ExactMaximum, Held
from mle_jax.models._linear import free_columns, least_squares_line, linear_information
from mle_jax.models._moments import average
from mle_jax.models._regression import predictor, through_predictor
from mle_jax.optimizers.least_absolute_deviations import solve_least_absolute_deviations
from mle_jax.parameters import Positive, Real


@functools.cache
def laplace_regression() -> Model:
    """Return the model of a line (or plane) with independent Laplace errors: least absolute deviations.

    log-likelihood(w, scale) = -n log(2 scale) - sum_i |y_i - <x_i, w>| / scale

    Not differentiable where a residual is 0, and at the maximum p residuals usually are: the model is declared
    smooth=False, Newton's method does not apply, and standard errors come from the expected information X'X / scale^2
    and n / scale^2. Its closed form is exact: least absolute deviations, proved by the subgradient condition, also
    where entries are fixed. The library adds no intercept. Every call returns the same object.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, with the optional leaf ``offset`` (n,), added to <x, w>. The
        parameters are ``w`` (p entries, named like the columns of x) and ``scale``.

    Reference:
        Bassett and Koenker (1978), Journal of the American Statistical Association 73, 618-622.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0], [1.0], [1.0]], "y": [0.0, 1.0, 5.0]}
        >>> score = mle.models.laplace_regression().score({"w": jnp.array([0.5]), "scale": 2.0}, data)
        >>> [round(float(entry), 6) for entry in (score["w"][0], score["scale"])]  # (-1 + 1 + 1) / 2, -3/2 + 5.5/4
        [0.5, -0.125]
    """
    return Model(
        log_density,
        {"w": Real(columns="x"), "scale": Positive()},
        gradient=gradient,
        name="laplace_regression",
        start=start,
        expected_information=expected_information,
        closed_form=closed_form,
        smooth=False,
        simulate=simulate,
        predict=predict,
    )


def log_density(params: Any, row: Any) -> Array:
    """Return the log density of one observation."""
    scale = params["scale"]
    return -jnp.log(2 * scale) - jnp.abs(row["y"] - predict(params, row)) / scale


@at_highest_precision
def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand; valid where no residual is 0."""
    # d|r|/dr = sign(r) and dr_i/dw = -x_i, so d/dw of -sum |r_i| / scale is X' sign(r) / scale;
    # d/dscale of -n log(2 scale) is -n / scale, and
    # d/dscale of -sum |r_i| / scale is sum |r_i| / scale^2.
    scale = params["scale"]
    r = data["y"] - predict(params, data)
    n = r.shape[0]
    return {"w": through_predictor(jnp.sign(r), data) / scale, "scale": -n / scale + jnp.sum(jnp.abs(r)) / scale**2}


@at_highest_precision
def closed_form(data: Any, weights: Any, fixed: Held | None = None) -> ExactMaximum:
    """Return the maximizer, least absolute deviations and the mean absolute residual, and the proof.

    Fixed entries of w leave a problem of the same kind in the others; a fixed scale does not change w.
    """
    x, y, w, free = left = free_columns(data, fixed)
    shares = None if weights is None else jnp.asarray(weights, y.dtype)
    total = y.size if shares is None else jnp.sum(shares)
    if free.size:
        line = solve_least_absolute_deviations(x, y, shares)
        w, edge, lack = left.full(line.coefficients), jnp.zeros_like(w).at[free].set(line.edge), 2 * line.gap
        deviations = 2 * line.objective  # the sum of absolute residuals
    else:
        deviations = total * average(jnp.abs(y), weights)
        edge, lack = jnp.zeros_like(w), jnp.zeros_like(deviations)
    if fixed is not None and fixed.entries["scale"].any():
        scale = jnp.asarray(fixed.values["scale"], y.dtype)
        return ExactMaximum({"w": w, "scale": scale}, lack / scale, {"w": edge})
    # At the best scale S / n the log-likelihood is -n log(2 S / n) - n, with S the sum of absolute residuals; if S
    # could fall by `lack`, that would gain -n log(1 - lack / S).
    gap = -total * jnp.log1p(-jnp.where(lack == 0, 0.0, lack / deviations))
    # A perfect fit has no positive scale, but the smallest number there is shows where the likelihood is going.
    scale = jnp.maximum(deviations / total, jnp.finfo(y.dtype).tiny)
    return ExactMaximum({"w": w, "scale": scale}, gap, {"w": edge})


def start(data: Any) -> Any:
    """Return least squares and the mean absolute residual, the best scale for that line."""
    w, r = least_squares_line(data)
    return {"w": w, "scale": average(jnp.abs(r))}


def expected_information(params: Any, data: Any) -> Array:
    """Return the expected information of (w, scale): X'X / scale^2 and n / scale^2, block-diagonal."""
    n, scale = jnp.shape(data["y"])[0], params["scale"]
    return linear_information(data, scale**2, n / scale**2)


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn from the model at the row's x."""
    median = predict(params, row)
    return {**row, "y": median + params["scale"] * jax.random.laplace(key, dtype=median.dtype)}


def predict(params: Any, row: Any) -> Array:
    """Return the median of y, <x, w> + offset."""
    return predictor(row, params["w"])

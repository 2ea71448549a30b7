"""Quantile regression as maximum likelihood: a line with asymmetric Laplace errors.

log f(y; w, scale | x) = log(q (1 - q) / scale) - rho(y - <x, w>) / scale with rho(r) = r (q - [r < 0]), q the quantile

Source: Koenker and Bassett (1978), Econometrica 46, 33-50; Koenker and Machado (1999), Journal of the American
Statistical Association 94, 1296-1310, section 3.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.likelihood import Model
from mle_jax.likelihood.exact import ExactMaximum, Held
from mle_jax.models._censoring import spread_of
from mle_jax.models._linear import free_columns, linear_information
from mle_jax.models._moments import average
from mle_jax.models._options import number
from mle_jax.models._regression import line_through, predictor, through_predictor
from mle_jax.optimizers.least_absolute_deviations import solve_least_absolute_deviations
from mle_jax.parameters import Positive, Real
from mle_jax.parameters.declared import as_float


def quantile_regression(quantile: float = 0.5) -> Model:
    """Return the model whose maximum-likelihood line is the regression quantile: asymmetric Laplace errors.

    log-likelihood(w, scale) = n log(q (1 - q) / scale) - sum_i rho(y_i - <x_i, w>) / scale
    with rho(r) = r (q - [r < 0]), q the quantile

    <x, w> is the quantile of y: it lies above y with probability q. Not differentiable where a residual is 0, and at
    the maximum p residuals usually are: the model is declared smooth=False, and standard errors come from the expected
    information q (1 - q) X'X / scale^2 and n / scale^2, which believes in the asymmetric Laplace
    distribution; bootstrap where it is only a means to the quantile. Its closed form is exact, proved by the
    subgradient condition, also where entries are fixed. For the median, the scale is half that of
    `laplace_regression`. The library adds no intercept. Equal quantiles return the same object.

    Args:
        quantile: strictly between 0 and 1; 0.5 is the median.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, with the optional leaf ``offset`` (n,), added to <x, w>. The
        parameters are ``w`` (p entries, named like the columns of x) and ``scale``.

    Raises:
        TypeError: the quantile is not a real number.
        ValueError: the quantile is not strictly between 0 and 1.

    Reference:
        Koenker and Bassett (1978), Econometrica 46, 33-50; Koenker and Machado (1999), Journal of the American
        Statistical Association 94, 1296-1310, section 3.

    Example:
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0], [1.0], [1.0]], "y": [0.0, 1.0, 5.0]}
        >>> score = mle.models.quantile_regression(0.75).score({"w": [2.0], "scale": 1.0}, data)
        >>> float(score["w"][0]), float(score["scale"])  # 2 (-1/4) + 3/4, -3 + 1/4 (2 + 1) + 3/4 3
        (0.25, 0.0)
    """
    told = {"allowed": "a number strictly between 0 and 1", "advice": "pass quantile=0.5 for the median"}
    found = number(quantile, model="quantile_regression", option="quantile", **told)
    if not 0.0 < found < 1.0:
        raise ValueError(
            f"quantile_regression was given quantile={quantile!r}, but it must be {told['allowed']}; {told['advice']}"
        )
    return _with_quantile(found)


@functools.cache
def _with_quantile(q: float) -> Model:
    return Model(
        functools.partial(log_density, q=q),
        {"w": Real(columns="x"), "scale": Positive()},
        gradient=functools.partial(gradient, q=q),
        name=f"quantile_regression(quantile={q:g})",
        start=functools.partial(start, q=q),
        expected_information=functools.partial(expected_information, q=q),
        closed_form=functools.partial(closed_form, q=q),
        smooth=False,
        simulate=functools.partial(simulate, q=q),
        predict=lambda params, row: predictor(row, params["w"]),
    )


def loss(r: Array, *, q: float) -> Array:
    """Return rho(r), the tilted absolute value."""
    return r * jnp.where(r < 0, q - 1, q)


def log_density(params: Any, row: Any, *, q: float) -> Array:
    """Return the log density of one observation."""
    r = as_float(row["y"]) - predictor(row, params["w"])
    return jnp.log(q * (1 - q) / params["scale"]) - loss(r, q=q) / params["scale"]


def gradient(params: Any, data: Any, *, q: float) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand; valid where no residual is 0."""
    # Where no residual is 0, drho(r)/dr = q - [r < 0] and dr_i/dw = -x_i, so d/dw of -sum rho(r_i)/scale is
    # X' (q - [r < 0])/scale; d/dscale of -n log(scale) - sum rho(r_i)/scale is -n/scale + sum rho(r_i)/scale^2.
    r = as_float(data["y"]) - predictor(data, params["w"])
    tilt = jnp.where(r < 0, q - 1, jnp.where(r > 0, q, 0.0)).astype(r.dtype)
    scale = params["scale"]
    return {
        "w": through_predictor(tilt / scale, data),
        "scale": -r.shape[0] / scale + jnp.sum(loss(r, q=q)) / scale**2,
    }


def closed_form(data: Any, weights: Any, fixed: Held | None = None, *, q: float) -> ExactMaximum:
    """Return the maximizer, the regression quantile and the mean loss, and the proof."""
    # Fixed entries of w leave a problem of the same kind in the others; a fixed scale does not change w.
    x, y, w, free = left = free_columns(data, fixed)
    shares = None if weights is None else jnp.asarray(weights, y.dtype)
    total = y.size if shares is None else jnp.sum(shares)
    if free.size:
        line = solve_least_absolute_deviations(x, y, shares, quantile=q)
        w, edge, lack = left.full(line.coefficients), jnp.zeros_like(w).at[free].set(line.edge), line.gap
        losses = line.objective
    else:
        losses = total * average(loss(y, q=q), weights)
        edge, lack = jnp.zeros_like(w), jnp.zeros_like(losses)
    if fixed is not None and fixed.entries["scale"].any():
        scale = jnp.asarray(fixed.values["scale"], y.dtype)
        return ExactMaximum({"w": w, "scale": scale}, lack / scale, {"w": edge})
    # At the best scale S/n the log-likelihood is n log(q (1 - q) n/S) - n, with S the sum of the losses; if S could
    # fall by `lack`, that would gain -n log(1 - lack/S).
    gap = -total * jnp.log1p(-jnp.where(lack == 0, 0.0, lack / losses))
    # A perfect fit has no positive scale, but the smallest number there is shows where the likelihood is going.
    scale = jnp.maximum(losses / total, jnp.finfo(y.dtype).tiny)
    return ExactMaximum({"w": w, "scale": scale}, gap, {"w": edge})


def start(data: Any, *, q: float) -> Any:
    """Return least squares and the mean loss, the best scale for that line."""
    y = as_float(data["y"])
    w = line_through(y, data)
    r = y - predictor(data, w)
    scale = average(loss(r, q=q))
    return {"w": w, "scale": jnp.where(scale > 0, scale, spread_of(r, y))}


def expected_information(params: Any, data: Any, *, q: float) -> Array:
    """Return the expected information of (w, scale), block-diagonal."""
    # [r < 0] has the variance q (1 - q), rho(r) is exponential with the mean `scale`, and the two are independent.
    n, scale = jnp.shape(data["y"])[0], params["scale"]
    return linear_information(data, scale**2 / (q * (1 - q)), n / scale**2)


def simulate(key: Array, params: Any, row: Any, *, q: float) -> Any:
    """Return a row with y drawn from the model at the row's x."""
    line = predictor(row, params["w"])
    side, size = jax.random.split(key)
    loss_of_row = params["scale"] * jax.random.exponential(size, dtype=line.dtype)
    below = jax.random.uniform(side, dtype=line.dtype) < q
    return {**row, "y": line + jnp.where(below, loss_of_row / (q - 1), loss_of_row / q)}

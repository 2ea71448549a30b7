"""Negative binomial regression (NB2): counts with more variance than the Poisson's.

log f(y; w, dispersion | x) = log(Gamma(y + r)/(Gamma(r) y!)) + r log(r/(r + mean)) + y log(mean/(r + mean)),
    r = 1/dispersion, mean = exp(<x, w>)

Source: Hilbe (2011), Negative Binomial Regression, 2nd edition, chapter 8.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import negative_binomial
from mle_jax.densities._elementary import log1p_curvature
from mle_jax.densities._rising import log_rising
from mle_jax.likelihood import Model
from mle_jax.models._links import bounded_exp
from mle_jax.models._regression import predictor, start_line, through_predictor
from mle_jax.parameters import Positive, Real
from mle_jax.parameters.declared import as_float

DISPERSIONS = (0.1, 10.0)
"""Start values of the dispersion stay between these."""
MOST_SURPRISING = 3.0
"""How many means a count may exceed its mean by, as far as start values are concerned."""


@functools.cache
def negative_binomial_regression() -> Model:
    """Return the model of counts with a log-linear mean m and the variance m + dispersion m^2 (NB2).

    log-likelihood(w, dispersion) = sum_i log(Gamma(y_i + r)/(Gamma(r) y_i!)) + r log(r/(r + m_i))
    + y_i log(m_i/(r + m_i)),  r = 1/dispersion, log(m_i) = <x_i, w> + offset_i

    Dispersion 0 belongs to the domain and is Poisson regression: data with less variance than that have their maximum
    there, and a fit says so (`at_boundary`). The library adds no intercept: for one, give x a column of ones. Every
    call returns the same object.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y counts, and if wished ``"offset": (n,)``, with the
        parameters ``w`` (p entries, named like the columns of x) and ``dispersion``.

    Reference:
        Hilbe (2011), Negative Binomial Regression, 2nd edition, equation 8.8; Lawless (1987), Negative binomial and
        mixed Poisson regression, Canadian Journal of Statistics 15, 209-225.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0], [1.0]], "y": [0, 2]}
        >>> params = {"w": jnp.zeros(1), "dispersion": 1.0}  # geometric: 1/2 and 1/8
        >>> round(float(mle.models.negative_binomial_regression().log_likelihood(params, data)), 4)  # -4 log(2)
        -2.7726
    """
    return Model(
        log_density,
        {"w": Real(columns="x"), "dispersion": Positive(closed=True)},
        gradient=gradient,
        name="negative_binomial_regression",
        start=start,
        simulate=simulate,
        predict=predict,
    )


def log_density(params: Any, row: Any) -> Array:
    """Return the log density of one observation; minus infinity unless y is a count."""
    return negative_binomial.log_density(row["y"], predict(params, row), params["dispersion"])


def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # With a = dispersion, log f = R(a) - log(y!) + y log(m) - (y + 1/a) log(1 + a m), where R(a) is the sum of
    # log(1 + j a) over j = 0 .. y - 1, from Gamma(y + r)/Gamma(r).
    # d/dm = y/m - (1 + a y)/(1 + a m) = (y - m)/(m (1 + a m)), times dm/de = m and de_i/dw = x_i.
    # d/da = R'(a) - y m/(1 + a m) + d/da of -log(1 + a m)/a; with x = a m the last is
    # (log(1 + x) - x/(1 + x))/a^2 = v^2 C(-a v), v = m/(1 + x), C(t) = (t - log(1 + t))/t^2, regular at a = 0.
    y, m, a = as_float(data["y"]), predict(params, data), jnp.asarray(params["dispersion"])
    grown = 1 + a * m
    # R'(a), the sum of j/(1 + j a), by the derivative of the function that sums the logarithms for any count.
    rising = jax.jvp(lambda a: log_rising(y, jnp.broadcast_to(a, y.shape)), (a,), (jnp.ones_like(a),))[1]
    v = m / grown
    terms = rising - y * v + v**2 * log1p_curvature(-a * v, 1 / grown)
    return {"w": through_predictor((y - m) / grown, data), "dispersion": jnp.sum(terms)}


def start(data: Any) -> Any:
    """Return least squares through log(y + 1/2), weighted anew once, and the dispersion of the weighted residuals.

    The second least squares are a step of Fisher scoring for dispersion 1, a surprising count being taken for one that
    surprises less. A step costs a fraction of one of Newton's method, of which this saves one or two.
    """
    y = as_float(data["y"])
    linear = predictor(data, start_line(jnp.log(y + 0.5), data))
    m = bounded_exp(linear)
    w = start_line(linear + jnp.minimum((y - m) / m, MOST_SURPRISING), data, m / (1 + m))
    m = bounded_exp(predictor(data, w))
    # The expected square of y - m is m + dispersion m^2; the weights are the inverse squares of m (1 + m).
    grown = 1 + m
    residual, mean = (y - m) / grown, m / grown
    moment = jnp.sum(residual**2 - mean / grown) / jnp.maximum(jnp.sum(mean**2), jnp.finfo(y.dtype).tiny)
    dispersion = jnp.clip(jnp.where(jnp.isfinite(moment), moment, 1.0), *DISPERSIONS)
    # Its product with a mean must not overflow.
    return {"w": w, "dispersion": jnp.minimum(dispersion, DISPERSIONS[0] * jnp.finfo(m.dtype).max / jnp.max(m))}


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn from the model at the row's x: Poisson with a gamma-distributed factor of the mean."""
    first, second = jax.random.split(key)
    m, a = predict(params, row), jnp.asarray(params["dispersion"])
    r = 1 / jnp.where(a > 0, a, 1.0)
    factor = jnp.where(a > 0, jax.random.gamma(first, r, dtype=m.dtype) / r, 1.0)
    return {**row, "y": jax.random.poisson(second, m * factor)}


def predict(params: Any, row: Any) -> Array:
    """Return the expected count, exp(<x, w> + offset)."""
    return bounded_exp(predictor(row, params["w"]))

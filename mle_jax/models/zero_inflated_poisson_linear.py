"""Zero-inflated Poisson regression.

log f(y; w, inflation | x) = log(q 1(y = 0) + (1 - q) mean^y exp(-mean)/y!), mean = exp(<x, w>), logit(q) = inflation,
    or <z, inflation> where there is a leaf z

Source: Lambert (1992), Zero-inflated Poisson regression, with an application to defects in manufacturing,
Technometrics 34, 1-14.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax.densities import poisson, zero_inflated
from mle_jax.densities._elementary import sigmoid
from mle_jax.likelihood import Model
from mle_jax.models._links import bounded_exp
from mle_jax.models._regression import gram, line_through, predictor, start_line, through_predictor
from mle_jax.parameters import Real
from mle_jax.parameters.declared import as_float

SHARES = (0.05, 0.95)
"""Start values of the probability of an extra zero stay between these."""


@functools.cache
def zero_inflated_poisson_regression() -> Model:
    """Return the model of counts that are 0 for another reason with probability q, and else Poisson.

    log-likelihood(w, inflation) = sum over y_i = 0 of log(q_i + (1 - q_i) exp(-m_i))
    + sum over y_i > 0 of log(1 - q_i) + y_i log(m_i) - m_i - log(y_i!),  log(m_i) = <x_i, w> + offset_i

    The logit of q is one number, or <z_i, inflation> where the data have a leaf z. The library adds no intercept: for
    one, give x (and z) a column of ones. Every call returns the same object.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y counts, and if wished ``"z": (n, q)`` and
        ``"offset": (n,)``, with the parameters ``w`` (p entries, named like the columns of x) and ``inflation`` (a
        number, or an entry per column of z).

    Reference:
        Lambert (1992), Technometrics 34, 1-14, equation 1.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0], [1.0]], "y": [0, 1]}
        >>> params = {"w": jnp.zeros(1), "inflation": 0.0}  # q = 1/2: 1/2 + exp(-1)/2, exp(-1)/2
        >>> round(float(mle.models.zero_inflated_poisson_regression().log_likelihood(params, data)), 4)
        -2.073
    """
    return Model(
        log_density,
        parameters,
        gradient=gradient,
        name="zero_inflated_poisson_regression",
        start=start,
        expected_information=expected_information,
        simulate=simulate,
        predict=predict,
    )


def parameters(data: Mapping[str, Any]) -> Any:
    """Declare w, and one inflation or an entry per column of z."""
    return {"w": Real(columns="x"), "inflation": Real(columns="z") if "z" in data else Real()}


@at_highest_precision
def logits(params: Any, values: Mapping[str, Any]) -> Array:
    """Return the logit of q of a row, or of all rows, (n,) or a number for all."""
    return as_float(values["z"]) @ as_float(params["inflation"]) if "z" in values else jnp.asarray(params["inflation"])


def log_density(params: Any, row: Any) -> Array:
    """Return the log density of one observation; minus infinity unless y is a count."""
    e = predictor(row, params["w"])
    base, zero = poisson.log_density_log_mean(row["y"], e), poisson.log_density_log_mean(0.0, e)
    return zero_inflated.log_density(row["y"], logits(params, row), log_base=base, log_base_zero=zero)


@at_highest_precision
def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # Of a zero, the Poisson part is q' = (1 - q) exp(-m)/(q + (1 - q) exp(-m)) = 1/(1 + exp(logit(q) + m)); with
    # dm/de = m and dq/dlogit = q (1 - q),
    # d/de log(q + (1 - q) exp(-m)) = -(1 - q) exp(-m) m/(...) = -q' m,   and of a positive count y - m;
    # d/dlogit = q (1 - q) (1 - exp(-m))/(...) = (1 - q') - q,            and of a positive count -q.
    y, e, logit = data["y"], predictor(data, params["w"]), logits(params, data)
    m = bounded_exp(e)
    counted = sigmoid(-logit - m)
    by_mean = jnp.where(y == 0, -counted * m, y - m)
    by_logit = jnp.where(y == 0, sigmoid(logit + m) - sigmoid(logit), -sigmoid(logit))
    inflation = by_logit @ as_float(data["z"]) if "z" in data else jnp.sum(by_logit)
    return {"w": through_predictor(by_mean, data), "inflation": inflation}


@at_highest_precision
def expected_information(params: Any, data: Any) -> Array:
    """Return the expected information of (w, inflation), from that of mean and logit in every row."""
    # With p0 = q + (1 - q) exp(-m), of zeros q/p0 are extra; minus the second derivatives, times probabilities:
    e, logit = predictor(data, params["w"]), logits(params, data)
    m, q, rest = bounded_exp(e), sigmoid(logit), sigmoid(-logit)
    none = jnp.exp(-m)
    mixed = q * rest * none / (q + rest * none)
    by_mean = m * rest - m**2 * mixed
    by_both = -m * mixed
    by_logit = q**2 * rest * -jnp.expm1(-m) / (q + rest * none)
    x, z = as_float(data["x"]), as_float(data.get("z", jnp.ones((e.size, 1), e.dtype)))
    cross = (by_both[:, None] * x).T @ z
    return jnp.block([[gram(data, by_mean), cross], [cross.T, gram({"x": z}, by_logit)]])


def start(data: Any) -> Any:
    """Return least squares through the logarithms of positive counts, and the share of zeros that this leaves over."""
    y = as_float(data["y"])
    positive = jnp.where(jnp.any(y > 0), (y > 0).astype(y.dtype), 1.0)
    w = start_line(jnp.log(y + 0.5), data, positive)
    expected = jnp.mean(jnp.exp(-bounded_exp(predictor(data, w))))
    extra = (jnp.mean(y == 0) - expected) / jnp.maximum(1 - expected, jnp.finfo(y.dtype).eps)
    share = jnp.clip(extra, *SHARES)
    logit = jnp.log(share / (1 - share))
    if "z" not in data:
        return {"w": w, "inflation": logit}
    return {"w": w, "inflation": line_through(jnp.full_like(y, logit), {"x": data["z"]})}


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn from the model at the row's x and z."""
    first, second = jax.random.split(key)
    extra = jax.random.bernoulli(first, sigmoid(logits(params, row)))
    return {**row, "y": jnp.where(extra, 0, jax.random.poisson(second, bounded_exp(predictor(row, params["w"]))))}


def predict(params: Any, row: Any) -> Array:
    """Return the expected count, (1 - q) exp(<x, w> + offset)."""
    return sigmoid(-logits(params, row)) * bounded_exp(predictor(row, params["w"]))

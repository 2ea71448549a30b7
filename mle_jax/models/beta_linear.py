"""Beta regression.

log f(y; w, precision | x) = log(Gamma(a + b)/(Gamma(a) Gamma(b))) + (a - 1) log(y) + (b - 1) log(1 - y),
    a = mean precision, b = (1 - mean) precision, logit(mean) = <x, w> or by another link

Source: Ferrari and Cribari-Neto (2004), Beta regression for modelling rates and proportions, Journal of Applied
Statistics 31, 799-815.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import beta
from mle_jax.densities._gamma_functions import digamma, trigamma
from mle_jax.likelihood import Model
from mle_jax.models._links import SHARES, Link
from mle_jax.models._regression import (
    bordered,
    checked_link,
    gram,
    named,
    predictor,
    start_line,
    through_predictor,
)
from mle_jax.parameters import Positive, Real
from mle_jax.parameters.declared import as_float

LINKS = ("logit", "probit", "cloglog")
FARTHEST = 10.0
"""Start values do not follow single responses whose predictor would be beyond this."""
PRECISIONS = (0.1, 1e10)
"""Start values of the precision stay between these."""


def beta_regression(link: str = "logit") -> Model:
    """Return the model of rates and proportions, numbers between 0 and 1, with one precision.

    log-likelihood(w, precision) = sum_i log(Gamma(a_i + b_i)/(Gamma(a_i) Gamma(b_i))) + (a_i - 1) log(y_i)
    + (b_i - 1) log(1 - y_i),  a_i = m_i precision, b_i = (1 - m_i) precision, link(m_i) = <x_i, w> + offset_i

    The variance is m (1 - m)/(1 + precision). The library adds no intercept: for one, give x a column of ones. The same
    link returns the same object.

    Args:
        link: "logit" (log(m/(1 - m)) is the predictor e), "probit" (m = Phi(e)) or "cloglog" (m = 1 - exp(-exp(e))).

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, 0 < y < 1, and if wished ``"offset": (n,)``, with the
        parameters ``w`` (p entries, named like the columns of x) and ``precision``.

    Raises:
        TypeError: the link is not a string.
        ValueError: the link is not one of the three.

    Reference:
        Ferrari and Cribari-Neto (2004), Journal of Applied Statistics 31, 799-815, equations 4 to 9.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0], [1.0]], "y": [0.5, 0.75]}
        >>> params = {"w": jnp.zeros(1), "precision": 4.0}  # a = b = 2: 6 y (1 - y) = 1.5 and 1.125
        >>> round(float(mle.models.beta_regression().log_likelihood(params, data)), 4)  # log(1.5) + log(1.125)
        0.5232
    """
    return _with_link(checked_link(link, LINKS, "beta_regression"))


@functools.cache
def _with_link(name: str) -> Model:
    def of(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.partial(function, link=SHARES[name])

    return Model(
        of(log_density),
        {"w": Real(columns="x"), "precision": Positive()},
        gradient=of(gradient),
        name=named("beta_regression", name, LINKS[0]),
        start=of(start),
        expected_information=of(expected_information),
        simulate=of(simulate),
        predict=of(predict),
    )


def log_density(params: Any, row: Any, *, link: Link) -> Array:
    """Return the log density of one observation."""
    return beta.log_density(row["y"], link.mean(predictor(row, params["w"])), params["precision"])


def gradient(params: Any, data: Any, *, link: Link) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # da/dm = precision and db/dm = -precision: d/dm = precision (log(y/(1 - y)) - digamma(a) + digamma(b)), times
    # dm/de of the link and de_i/dw = x_i. da/dprecision = m, db/dprecision = 1 - m and (a + b)' = 1:
    # d/dprecision = digamma(precision) + m (log(y) - digamma(a)) + (1 - m) (log(1 - y) - digamma(b)).
    y, e, precision = as_float(data["y"]), predictor(data, params["w"]), jnp.asarray(params["precision"])
    m = link.mean(e)
    above = jnp.log(y) - digamma(m * precision)
    below = jnp.log1p(-y) - digamma((1 - m) * precision)
    slopes = precision * (above - below) * link.slope(e)
    terms = digamma(precision) + m * above + (1 - m) * below
    return {"w": through_predictor(slopes, data), "precision": jnp.sum(terms)}


def expected_information(params: Any, data: Any, *, link: Link) -> Array:
    """Return the expected information of (w, precision)."""
    e, precision = predictor(data, params["w"]), jnp.asarray(params["precision"])
    m, slope = link.mean(e), link.slope(e)
    # Second derivatives of log(Gamma(a + b)/(Gamma(a) Gamma(b))); the data enter the scores linearly.
    of_a, of_b = trigamma(m * precision), trigamma((1 - m) * precision)
    block = gram(data, (precision * slope) ** 2 * (of_a + of_b))
    border = through_predictor(precision * slope * (m * of_a - (1 - m) * of_b), data)
    return bordered(block, border, jnp.sum(m**2 * of_a + (1 - m) ** 2 * of_b - trigamma(precision)))


def start(data: Any, *, link: Link) -> Any:
    """Return least squares through the link of y, and the precision that gives the residuals their variance."""
    y = as_float(data["y"])
    info = jnp.finfo(y.dtype)
    wanted = link.predictor(jnp.clip(y, info.tiny, 1 - info.epsneg))
    w = start_line(jnp.clip(wanted, -FARTHEST, FARTHEST), data)
    m = link.mean(predictor(data, w))
    spread = jnp.sum((y - m) ** 2)
    ratio = jnp.sum(m * (1 - m)) / jnp.maximum(spread, info.tiny)
    return {"w": w, "precision": jnp.clip(ratio - 1, *PRECISIONS)}


def simulate(key: Array, params: Any, row: Any, *, link: Link) -> Any:
    """Return a row with y drawn from the model at the row's x."""
    m, precision = link.mean(predictor(row, params["w"])), params["precision"]
    info = jnp.finfo(m.dtype)
    drawn = jax.random.beta(key, m * precision, (1 - m) * precision, dtype=m.dtype)
    return {**row, "y": jnp.clip(drawn, info.tiny, 1 - info.epsneg)}


def predict(params: Any, row: Any, *, link: Link) -> Array:
    """Return the expected y."""
    return link.mean(predictor(row, params["w"]))

"""Gamma regression.

log f(y; w, shape | x) = shape log(shape/mean) + (shape - 1) log(y) - shape y/mean - log(Gamma(shape)),
    mean = exp(<x, w>) or by another link

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, chapter 8.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import gamma
from mle_jax.densities._elementary import ratio_excess
from mle_jax.densities._gamma_functions import digamma, trigamma
from mle_jax.likelihood import Model
from mle_jax.models._links import MEANS, Link
from mle_jax.models._regression import (
    bordered,
    checked_link,
    gram,
    named,
    positive_line,
    predictor,
    start_line,
    through_predictor,
)
from mle_jax.parameters import Positive, Real
from mle_jax.parameters.declared import as_float

LINKS = ("log", "inverse")


def gamma_regression(link: str = "log") -> Model:
    """Return the model of positive responses with a constant coefficient of variation, 1/sqrt(shape).

    log-likelihood(w, shape) = sum_i shape log(shape/m_i) + (shape - 1) log(y_i) - shape y_i/m_i - log(Gamma(shape)),
    link(m_i) = <x_i, w> + offset_i

    With the inverse as link the predictor must be above 0 in every row: elsewhere the log-likelihood is minus infinity.
    The shape is estimated by maximum likelihood together with w; its inverse is the dispersion of a generalized linear
    model. The library adds no intercept: for one, give x a column of ones. The same link returns the same object.

    Args:
        link: "log" (m = exp(predictor)) or "inverse" (m = 1/predictor).

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y above 0, and if wished ``"offset": (n,)``, with the
        parameters ``w`` (p entries, named like the columns of x) and ``shape``.

    Raises:
        TypeError: the link is not a string.
        ValueError: the link is neither of the two.

    Reference:
        McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, sections 8.2 and 8.3.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0, 0.0], [1.0, 1.0]], "y": [3.0, 0.5]}
        >>> params = {"w": jnp.zeros(2), "shape": 1.0}
        >>> round(float(mle.models.gamma_regression().log_likelihood(params, data)), 4)  # exponential: -3 - 0.5
        -3.5
    """
    return _with_link(checked_link(link, LINKS, "gamma_regression"))


@functools.cache
def _with_link(name: str) -> Model:
    def of(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.partial(function, link=MEANS[name])

    return Model(
        of(log_density),
        {"w": Real(columns="x"), "shape": Positive()},
        gradient=of(gradient),
        name=named("gamma_regression", name, LINKS[0]),
        start=of(start),
        expected_information=of(expected_information),
        simulate=of(simulate),
        predict=of(predict),
    )


def log_density(params: Any, row: Any, *, link: Link) -> Array:
    """Return the log density of one observation."""
    allowed, inside = link.inside(predictor(row, params["w"]))
    return jnp.where(allowed, gamma.log_density(row["y"], link.mean(inside), params["shape"]), -jnp.inf)


def gradient(params: Any, data: Any, *, link: Link) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # d/dm of -shape (log(m) + y/m) is shape (y - m)/m^2, times dm/de of the link and de_i/dw = x_i;
    # d/dshape is log(shape/m) + 1 + log(y) - y/m - digamma(shape), where log(y/m) - y/m + 1 is minus the excess
    # r - 1 - log(r) of the ratio r = y/m.
    e, y, shape = predictor(data, params["w"]), data["y"], jnp.asarray(params["shape"])
    m = link.mean(e)
    slopes = shape * ((y - m) / m) * (link.slope(e) / m)
    terms = jnp.log(shape) - digamma(shape) - ratio_excess(y - m, as_float(y), m)
    return {"w": through_predictor(slopes, data), "shape": jnp.sum(terms)}


def expected_information(params: Any, data: Any, *, link: Link) -> Array:
    """Return the expected information of (w, shape), block-diagonal."""
    # E[(y - m)^2] = m^2/shape; w and the shape are orthogonal.
    e, shape = predictor(data, params["w"]), jnp.asarray(params["shape"])
    block = gram(data, shape * (link.slope(e) / link.mean(e)) ** 2)
    return bordered(block, jnp.zeros(block.shape[0], block.dtype), e.size * (trigamma(shape) - 1 / shape))


def start(data: Any, *, link: Link) -> Any:
    """Return least squares through the link of y, and the shape that is likely for its means."""
    y = as_float(data["y"])
    shares = y / jnp.max(y)  # weighted by their squares, least squares of 1/y are those of y e - 1
    w = positive_line(1 / y, data, shares**2) if link.positive else start_line(jnp.log(y), data)
    # A line of which some rows are not allowed has no mean there.
    means = link.mean(link.inside(predictor(data, w))[1])
    return {"w": w, "shape": likely_shape(jnp.mean(ratio_excess(y - means, y, means)))}


def simulate(key: Array, params: Any, row: Any, *, link: Link) -> Any:
    """Return a row with y drawn from the model at the row's x."""
    e, shape = predictor(row, params["w"]), params["shape"]
    # By its logarithm: a small shape makes numbers that would be rounded to 0.
    drawn = jnp.exp(jax.random.loggamma(key, jnp.asarray(shape, e.dtype))) / shape
    return {**row, "y": jnp.maximum(link.mean(e) * drawn, jnp.finfo(e.dtype).tiny)}


def predict(params: Any, row: Any, *, link: Link) -> Array:
    """Return the expected y."""
    return link.mean(predictor(row, params["w"]))


def likely_shape(excess: Array) -> Array:
    """Return the shape near which log(shape) - digamma(shape) is the mean of y/m - 1 - log(y/m): within 1.5 percent.

    Reference:
        Minka (2002), Estimating a Gamma distribution, for 1/2 (1/s) (1 + s/6) made rational: the root of
        12 s k^2 - 2 (3 - s) k - 2 = 0 in k.
    """
    s = jnp.maximum(excess, jnp.finfo(excess.dtype).eps)
    root = jnp.sqrt((s - 3) ** 2 + 24 * s)
    return jnp.where(s < 3, (3 - s + root) / (12 * s), 2 / (root - jnp.where(s < 3, 0.0, 3 - s)))

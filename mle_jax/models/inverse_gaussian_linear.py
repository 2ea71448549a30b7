"""Inverse Gaussian regression.

log f(y; w, shape | x) = log(shape/(2 pi y^3))/2 - shape (y - mean)^2/(2 mean^2 y), mean = exp(<x, w>) or by another
    link

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, table 2.1.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.densities import inverse_gaussian
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

LINKS = ("log", "inverse_squared")


def inverse_gaussian_regression(link: str = "log") -> Model:
    """Return the model of positive responses whose variance is the cube of the mean over the shape.

    log-likelihood(w, shape) = sum_i log(shape/(2 pi y_i^3))/2 - shape (y_i - m_i)^2/(2 m_i^2 y_i),
    link(m_i) = <x_i, w> + offset_i

    With the inverse square as link the predictor must be above 0 in every row: elsewhere the log-likelihood is minus
    infinity. The inverse of the shape is the dispersion of a generalized linear model. The library adds no intercept:
    for one, give x a column of ones. The same link returns the same object.

    Args:
        link: "log" (m = exp(predictor)) or "inverse_squared" (m = 1/sqrt(predictor)).

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y above 0, and if wished ``"offset": (n,)``, with the
        parameters ``w`` (p entries, named like the columns of x) and ``shape``.

    Raises:
        TypeError: the link is not a string.
        ValueError: the link is neither of the two.

    Reference:
        McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, table 2.1.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> data = {"x": [[1.0, 0.0], [1.0, 1.0]], "y": [4.0, 0.25]}
        >>> params = {"w": jnp.zeros(2), "shape": 2.0}
        >>> score = mle.models.inverse_gaussian_regression().score(params, data)
        >>> score["w"].tolist()  # 2 (y - 1): 6 - 1.5, -1.5
        [4.5, -1.5]
        >>> round(float(score["shape"]), 6)  # n/(2 shape) - sum (y - 1)^2/(2 y): 1/2 - 9/8 - 9/8
        -1.75
    """
    return _with_link(checked_link(link, LINKS, "inverse_gaussian_regression"))


@functools.cache
def _with_link(name: str) -> Model:
    def of(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.partial(function, link=MEANS[name])

    return Model(
        of(log_density),
        {"w": Real(columns="x"), "shape": Positive()},
        gradient=of(gradient),
        name=named("inverse_gaussian_regression", name, LINKS[0]),
        start=of(start),
        expected_information=of(expected_information),
        simulate=of(simulate),
        predict=of(predict),
    )


def log_density(params: Any, row: Any, *, link: Link) -> Array:
    """Return the log density of one observation."""
    allowed, inside = link.inside(predictor(row, params["w"]))
    density = inverse_gaussian.log_density(row["y"], link.mean(inside), params["shape"])
    return jnp.where(allowed, density, -jnp.inf)


def gradient(params: Any, data: Any, *, link: Link) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # (y - m)^2/(m^2 y) = y/m^2 - 2/m + 1/y has the derivative -2 (y - m)/m^3 in m; times -shape/2, dm/de of the
    # link and de_i/dw = x_i. In the shape only 1/(2 shape) and -(y - m)^2/(2 m^2 y) are left.
    e, y, shape = predictor(data, params["w"]), data["y"], jnp.asarray(params["shape"])
    m = link.mean(e)
    slopes = shape * ((y - m) / m**2) * (link.slope(e) / m)
    return {"w": through_predictor(slopes, data), "shape": e.size / (2 * shape) - jnp.sum(deviances(y, m)) / 2}


def expected_information(params: Any, data: Any, *, link: Link) -> Array:
    """Return the expected information of (w, shape), block-diagonal."""
    # E[(y - m)^2] = m^3/shape; w and the shape are orthogonal.
    e, shape = predictor(data, params["w"]), jnp.asarray(params["shape"])
    block = gram(data, shape * link.slope(e) ** 2 / link.mean(e) ** 3)
    return bordered(block, jnp.zeros(block.shape[0], block.dtype), e.size / (2 * shape**2))


def start(data: Any, *, link: Link) -> Any:
    """Return least squares through the link of y, and the best shape for its means."""
    y = as_float(data["y"])
    shares = y / jnp.max(y)  # the weights of iterative least squares are the cubes of the means
    w = positive_line(y**-2, data, shares**3) if link.positive else start_line(jnp.log(y), data)
    # A line of which some rows are not allowed has no mean there.
    means = link.mean(link.inside(predictor(data, w))[1])
    # The best shape for these means; a perfect fit has none.
    least = jnp.finfo(y.dtype).eps / jnp.max(y)
    return {"w": w, "shape": 1 / jnp.maximum(jnp.mean(deviances(y, means)), least)}


def simulate(key: Array, params: Any, row: Any, *, link: Link) -> Any:
    """Return a row with y drawn from the model at the row's x."""
    # If Z is inverse Gaussian with mean m/shape and shape 1, shape Z is so with mean m and this shape.
    e, shape = predictor(row, params["w"]), params["shape"]
    drawn = shape * jax.random.wald(key, link.mean(e) / shape, dtype=e.dtype)
    return {**row, "y": jnp.maximum(drawn, jnp.finfo(e.dtype).tiny)}


def predict(params: Any, row: Any, *, link: Link) -> Array:
    """Return the expected y."""
    return link.mean(predictor(row, params["w"]))


def deviances(y: Array, mean: Array) -> Array:
    """Return (y - m)^2/(m^2 y)."""
    return ((y - mean) / mean) ** 2 / y

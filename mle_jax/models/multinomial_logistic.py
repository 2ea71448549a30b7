"""Multinomial logit regression: unordered categories, each but the first with a line of its own.

log f(y; w | x) = eta[y] - log(sum_k exp(eta[k])) with eta[0] = 0 and eta[k] = <x, w[k]>

Source: McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 5.2.4; Agresti (2013), Categorical
Data Analysis, 3rd edition, section 8.1.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax.densities import categorical
from mle_jax.likelihood import Model
from mle_jax.models._options import count
from mle_jax.models._regression import gram, through_predictor
from mle_jax.parameters import Real
from mle_jax.parameters.declared import as_float


def multinomial_logit(levels: int) -> Model:
    """Return the multinomial logit model of categories 0, 1, ..., levels - 1 without an order.

    log-likelihood(w) = sum_i eta_i[y_i] - log(sum_k exp(eta_i[k]))  with eta_i[0] = 0, eta_i[k] = <x_i, w[k]>

    w[k] are the log odds of category k against category 0. The library adds no intercept: for one, give x a column of
    ones. The same number of levels returns the same object.

    `predict` returns the probabilities of the categories, (levels,).

    Args:
        levels: the number of categories, 2 or more.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y in 0 .. levels - 1. The parameter ``w`` is a dictionary
        with the keys ``"1"``, ``"2"``, ... of the categories; each of its leaves has p entries, named like the columns
        of x. Flat names are ``w.1[0]`` or ``w.1[income]``.

    Raises:
        TypeError: levels is not a whole number.
        ValueError: levels is below 2.

    Reference:
        McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 5.2.4; Agresti (2013), Categorical
        Data Analysis, 3rd edition, section 8.1.

    Example:
        >>> import mle_jax as mle
        >>> model = mle.models.multinomial_logit(3)
        >>> params = {"w": {"1": [0.0], "2": [0.6931472]}}  # odds of 1 : 1 : 2
        >>> [round(float(p), 4) for p in model.predict(params, {"x": [1.0]})]
        [0.25, 0.25, 0.5]
    """
    advice = "pass the number of categories that y can take, such as levels=3"
    return _with_levels(count(levels, model="multinomial_logit", option="levels", least=2, advice=advice))


@functools.cache
def _with_levels(levels: int) -> Model:
    return Model(
        functools.partial(log_density, levels=levels),
        {"w": {name: Real(columns="x") for name in names(levels)}},
        gradient=functools.partial(gradient, levels=levels),
        name=f"multinomial_logit(levels={levels})",
        start=functools.partial(start, levels=levels),
        expected_information=functools.partial(expected_information, levels=levels),
        simulate=functools.partial(simulate, levels=levels),
        predict=functools.partial(predict, levels=levels),
    )


def names(levels: int) -> list[str]:
    """Return the keys of w: the numbers of all categories but 0."""
    return [str(k) for k in range(1, levels)]


@at_highest_precision
def logits(params: Any, values: Any, *, levels: int) -> Array:
    """Return eta, (levels,) of a row or (n, levels) of a dataset."""
    lines = [as_float(values["x"]) @ as_float(params["w"][name]) for name in names(levels)]
    return jnp.stack([jnp.zeros_like(lines[0]), *lines], axis=-1)


def log_density(params: Any, row: Any, *, levels: int) -> Array:
    """Return the log density of one observation."""
    return categorical.log_density(row["y"], logits(params, row, levels=levels))


def gradient(params: Any, data: Any, *, levels: int) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand."""
    # d eta[y]/d eta[k] is 1 if k = y, else 0; d log(sum exp)/d eta[k] = exp(eta[k])/sum exp = p[k], the probability
    # of category k; d eta[k]/d w[k] = x passes their difference on.
    p = jax.nn.softmax(logits(params, data, levels=levels))
    chosen = jnp.asarray(data["y"])[:, None] == jnp.arange(levels)
    apart = jnp.where(chosen, 1.0, 0.0).astype(p.dtype) - p
    return {"w": {name: through_predictor(apart[:, k], data) for k, name in enumerate(names(levels), start=1)}}


def start(data: Any, *, levels: int) -> Any:
    """Return zeros: every category as likely as the others."""
    x = as_float(data["x"])
    return {"w": {name: jnp.zeros(x.shape[1], x.dtype) for name in names(levels)}}


def expected_information(params: Any, data: Any, *, levels: int) -> Array:
    """Return the expected information of w, category by category."""
    # Minus the second derivatives, p[j] ((j = k) - p[k]), do not depend on y.
    p = jax.nn.softmax(logits(params, data, levels=levels))
    each = range(1, levels)
    return jnp.block([[gram(data, p[:, j] * ((j == k) - p[:, k])) for k in each] for j in each])


def simulate(key: Array, params: Any, row: Any, *, levels: int) -> Any:
    """Return a row with y drawn from the model at the row's x."""
    return {**row, "y": jax.random.categorical(key, logits(params, row, levels=levels))}


def predict(params: Any, row: Any, *, levels: int) -> Any:
    """Return the probabilities of the categories, (levels,)."""
    return jax.nn.softmax(logits(params, row, levels=levels))

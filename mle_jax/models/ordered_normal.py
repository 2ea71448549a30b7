"""Ordered probit regression: a latent line with normal errors between cutpoints.

log f(y; w, cutpoints | x) = log(Phi(c[y] - <x, w>) - Phi(c[y - 1] - <x, w>)) with c = cutpoints, c[-1] = -infinity,
c[levels - 1] = infinity

Source: Agresti (2010), Analysis of Ordinal Categorical Data, 2nd edition, section 5.2.
"""

import functools
from typing import Any

import jax
from jax import Array

from mle_jax.densities import ordered
from mle_jax.likelihood import Model
from mle_jax.models import _ordered
from mle_jax.models._error_laws import NORMAL
from mle_jax.models._options import count
from mle_jax.models._regression import predictor
from mle_jax.parameters import Ordered, Real


def ordered_probit(levels: int) -> Model:
    """Return the ordered probit model of categories 0, 1, ..., levels - 1.

    log-likelihood(w, c) = sum_i log(Phi(c[y_i] - <x_i, w>) - Phi(c[y_i - 1] - <x_i, w>))
    with c[-1] = -infinity and c[levels - 1] = infinity

    A larger <x, w> means larger categories: w are shifts of a latent normal variable of variance 1. The cutpoints take
    the place of the intercept, so x must not contain a constant. The same number of levels returns the same object.

    `predict` returns the probabilities of the categories, (levels,).

    Args:
        levels: the number of categories, 2 or more.

    Returns:
        A `Model` of the data ``{"x": (n, p), "y": (n,)}``, y in 0 .. levels - 1, with the optional leaf ``offset``
        (n,), added to <x, w>. The parameters are ``w`` (p entries, named like the columns of x) and ``cutpoints``
        (levels - 1 increasing entries).

    Raises:
        TypeError: levels is not a whole number.
        ValueError: levels is below 2.

    Reference:
        Agresti (2010), Analysis of Ordinal Categorical Data, 2nd edition, section 5.2.

    Example:
        >>> import jax.numpy as jnp
        >>> import mle_jax as mle
        >>> model = mle.models.ordered_probit(3)
        >>> params = {"w": jnp.zeros(1), "cutpoints": [0.0, 0.67448975]}  # quartiles
        >>> [round(float(p), 4) for p in model.predict(params, {"x": [1.0]})]
        [0.5, 0.25, 0.25]
    """
    advice = "pass the number of categories that y can take, such as levels=3"
    return _with_levels(count(levels, model="ordered_probit", option="levels", least=2, advice=advice))


@functools.cache
def _with_levels(levels: int) -> Model:
    return Model(
        log_density,
        {"w": Real(columns="x"), "cutpoints": Ordered(levels - 1)},
        gradient=gradient,
        name=f"ordered_probit(levels={levels})",
        start=functools.partial(start, levels=levels),
        expected_information=expected_information,
        simulate=simulate,
        predict=predict,
    )


def log_density(params: Any, row: Any) -> Array:
    """Return the log density of one observation."""
    return ordered.log_density_probit(row["y"], predictor(row, params["w"]), params["cutpoints"])


def gradient(params: Any, data: Any) -> Any:
    """Return the gradient of the total log-likelihood, derived by hand in `slopes` for any F; here f = phi."""
    return _ordered.slopes(NORMAL, params, data)


def start(data: Any, *, levels: int) -> Any:
    """Return w = 0 and the normal quantiles of the shares at or below each cutpoint, the best without covariates."""
    return _ordered.start_of_categories(jax.scipy.special.ndtri, data, levels=levels)


def expected_information(params: Any, data: Any) -> Array:
    """Return the expected information of (w, cutpoints)."""
    return _ordered.expected_information(NORMAL, params, data)


def simulate(key: Array, params: Any, row: Any) -> Any:
    """Return a row with y drawn from the model at the row's x."""
    return {**row, "y": _ordered.drawn_category(NORMAL, key, params, row)}


def predict(params: Any, row: Any) -> Any:
    """Return the probabilities of the categories, (levels,)."""
    return _ordered.probabilities(NORMAL, params, row)

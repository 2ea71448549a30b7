"""Ordered categories: a latent variable between cutpoints, logistic or normal.

log f(y; linear, c) = log(F(c[y] - linear) - F(c[y - 1] - linear)),  c[-1] = -infinity, c[k - 1] = infinity

with F the logistic distribution function (proportional odds) or the normal one (ordered probit).

Source: McCullagh (1980), Regression models for ordinal data, JRSS B 42, section 2.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.densities import logistic, normal
from mle_jax.densities._partials import floats


@jax.jit
def log_density(y: ArrayLike, linear: ArrayLike, cutpoints: ArrayLike) -> Array:
    """Return the log density of ordered categories with logistic errors: the proportional odds model.

    Minus infinity unless y is one of 0 .. k - 1. A larger linear predictor means larger categories.

    Args:
        y: categories, whole numbers of any dtype, shape (...).
        linear: the linear predictor, shape (...).
        cutpoints: in increasing order, which is not checked, shape (..., k - 1).

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.ordered.log_density(0, 0.0, [0.0, 1.0])), 4)  # log(1/2)
        -0.6931
    """
    low, high, linear = _ends(y, linear, cutpoints)
    return logistic.log_interval(low, high, location=linear, scale=jnp.ones_like(linear))


@jax.jit
def log_density_probit(y: ArrayLike, linear: ArrayLike, cutpoints: ArrayLike) -> Array:
    """Return the log density of ordered categories with normal errors: the ordered probit model.

    Minus infinity unless y is one of 0 .. k - 1. A larger linear predictor means larger categories.

    Args:
        y: categories, whole numbers of any dtype, shape (...).
        linear: the linear predictor, shape (...).
        cutpoints: in increasing order, which is not checked, shape (..., k - 1).

    Example:
        >>> import mle_jax as mle
        >>> round(float(mle.densities.ordered.log_density_probit(2, 1.0, [0.0, 1.0])), 4)  # log(1/2)
        -0.6931
    """
    low, high, linear = _ends(y, linear, cutpoints)
    return normal.log_interval(low, high, mean=linear, sd=jnp.ones_like(linear))


def _ends(y: ArrayLike, linear: ArrayLike, cutpoints: ArrayLike) -> tuple[Array, Array, Array]:
    """Return the cutpoints below and above the category, infinite at the ends; an empty interval for no category."""
    y, linear, cutpoints = floats(y, linear, cutpoints)
    places = jnp.arange(cutpoints.shape[-1])
    category = y[..., None]
    low = jnp.sum(jnp.where(places == category - 1, cutpoints, 0.0), axis=-1)
    high = jnp.sum(jnp.where(places == category, cutpoints, 0.0), axis=-1)
    last = cutpoints.shape[-1]
    low, high = jnp.where(y == 0, -jnp.inf, low), jnp.where(y == last, jnp.inf, high)
    valid = (y >= 0) & (y <= last) & (y == jnp.floor(y))
    return jnp.where(valid, low, 0.0), jnp.where(valid, high, 0.0), linear

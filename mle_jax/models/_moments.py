"""Weighted averages, and mean and variance that stay accurate where the mean is huge beside the spread."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mle_jax.parameters.declared import as_float


def average(values: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Return ``sum_i w_i v_i / sum_i w_i``, a scalar.

    Args:
        values: shape (n,).
        weights: shape (n,), at least 0, or None; rows of weight zero are left out, whatever they contain.
    """
    entries = as_float(values)
    if weights is None:
        return jnp.mean(entries)
    shares = jnp.asarray(weights, entries.dtype)
    return jnp.sum(jnp.where(shares > 0, shares * entries, 0.0)) / jnp.sum(shares)


def mean_and_variance(y: ArrayLike, weights: ArrayLike | None = None) -> tuple[Array, Array]:
    """Return the weighted mean and the weighted mean square around it (divisor: the total weight), in two passes.

    The mean is corrected by the average of the deviations from its first value, and only deviations are squared: the
    textbook's ``mean(y^2) - mean(y)^2`` would lose every digit of the variance once mean / sd reaches 1e8.

    Args:
        y: shape (n,).
        weights: as for `average`.

    Reference:
        Chan, Golub and LeVeque (1983), The American Statistician 37, 242-247.
    """
    values = as_float(y)
    first = average(values, weights)
    mean = first + average(values - first, weights)
    return mean, average((values - mean) ** 2, weights)

"""What the models of ordered categories share: a latent line between cutpoints, with errors of either law."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from mle_jax.models._error_laws import Errors, pulls
from mle_jax.models._moments import average
from mle_jax.models._regression import gram, predictor, through_predictor
from mle_jax.parameters.declared import as_float


def slopes(errors: Errors, params: Any, data: Mapping[str, Any]) -> Any:
    """Return the gradient of the total log-likelihood in w and the cutpoints, derived by hand."""
    # With P = F(h) - F(l), h = c[y] - <x, w> and l = c[y - 1] - <x, w>, d log P = (f(h) dh - f(l) dl)/P. So the line
    # has the derivative (f(l) - f(h))/P, which d<x, w>/dw = x passes on; cutpoint k gets f(h)/P from the rows in the
    # category below it, y = k, and -f(l)/P from those in the category above it, y = k + 1.
    line, cutpoints = predictor(data, params["w"]), jnp.asarray(params["cutpoints"])
    y = jnp.asarray(data["y"])[:, None]
    below, above = y - 1 == jnp.arange(cutpoints.size), y == jnp.arange(cutpoints.size)
    low = jnp.where(below.any(axis=1), jnp.sum(jnp.where(below, cutpoints, 0.0), axis=1) - line, -jnp.inf)
    high = jnp.where(above.any(axis=1), jnp.sum(jnp.where(above, cutpoints, 0.0), axis=1) - line, jnp.inf)
    at_low, at_high = pulls(errors, low, high)
    by_cutpoint = jnp.where(above, at_high[:, None], 0.0) - jnp.where(below, at_low[:, None], 0.0)
    return {"w": through_predictor(at_low - at_high, data), "cutpoints": by_cutpoint.sum(axis=0)}


def start_of_categories(quantile: Any, data: Mapping[str, Any], *, levels: int) -> Any:
    """Return w = 0 and the cutpoints that give the frequencies of the categories, half a row added to each.

    Args:
        quantile: the inverse of F, the distribution function of the errors.
        data: the dataset.
        levels: the number of categories.
    """
    x = as_float(data["x"])
    counts = jnp.sum(jnp.asarray(data["y"])[:, None] == jnp.arange(levels), axis=0) + jnp.asarray(0.5, x.dtype)
    cutpoints = quantile(jnp.cumsum(counts)[:-1] / jnp.sum(counts))
    level = average(data["offset"]) if "offset" in data else 0.0
    return {"w": jnp.zeros(x.shape[1], x.dtype), "cutpoints": cutpoints + level}


def probabilities(errors: Errors, params: Any, row: Mapping[str, Any]) -> Array:
    """Return the probability of every category, (..., levels), of a row or of a dataset."""
    cutpoints = jnp.asarray(params["cutpoints"])
    ends = cutpoints - predictor(row, params["w"])[..., None]
    outside = jnp.full_like(ends[..., :1], jnp.inf)
    low, high = jnp.concatenate([-outside, ends], axis=-1), jnp.concatenate([ends, outside], axis=-1)
    return jnp.exp(errors.log_interval(low, high, jnp.zeros_like(low), jnp.ones_like(low)))


def expected_information(errors: Errors, params: Any, data: Mapping[str, Any]) -> Array:
    """Return the sum over rows and categories of dP dP' / P, in the order (w, cutpoints)."""
    # With f_k the density at cutpoint k (0 at both open ends), dP_k/dline = f_(k-1) - f_k and dP_k/dc_k = f_k,
    # dP_k/dc_(k-1) = -f_(k-1). Write e_k for (dP_k/dline)/P_k.
    line, cutpoints = predictor(data, params["w"]), jnp.asarray(params["cutpoints"])
    p = probabilities(errors, params, data)
    ends = cutpoints - line[:, None]
    f = jnp.exp(errors.log_density(ends, jnp.zeros_like(ends), jnp.ones_like(ends)))
    padded = jnp.pad(f, ((0, 0), (1, 1)))
    difference = padded[:, :-1] - padded[:, 1:]
    e = difference / p
    cross = through_columns(f * (e[:, :-1] - e[:, 1:]), data)
    own = jnp.sum(f**2 * (1 / p[:, :-1] + 1 / p[:, 1:]), axis=0)
    next_to = -jnp.sum(f[:, :-1] * f[:, 1:] / p[:, 1:-1], axis=0)
    last = jnp.diag(own) + jnp.diag(next_to, 1) + jnp.diag(next_to, -1)
    return jnp.block([[gram(data, jnp.sum(difference * e, axis=1)), cross], [cross.T, last]])


def through_columns(slopes_of_rows: Array, data: Mapping[str, Any]) -> Array:
    """Return ``X' S``, (p, m), for S of shape (n, m)."""
    return jnp.stack([through_predictor(column, data) for column in slopes_of_rows.T], axis=1)


def drawn_category(errors: Errors, key: Array, params: Any, row: Mapping[str, Any]) -> Array:
    """Return the category into which a latent response with a random error falls."""
    line, cutpoints = predictor(row, params["w"]), jnp.asarray(params["cutpoints"])
    return jnp.sum(line + errors.draw(key, dtype=line.dtype) > cutpoints)

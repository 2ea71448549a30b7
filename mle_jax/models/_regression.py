"""What the regressions share: ``<x, w> + offset`` of a row or of a dataset, and derivatives that pass through it."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax.optimizers.least_squares import solve_least_squares
from mle_jax.parameters.declared import as_float


@at_highest_precision
def predictor(values: Mapping[str, Any], w: Any) -> Array:
    """Return ``<x, w>``, plus the leaf `offset` where there is one: a scalar of a row, (n,) of a dataset."""
    linear: Array = as_float(values["x"]) @ w
    return linear + as_float(values["offset"]) if "offset" in values else linear


@at_highest_precision
def through_predictor(slopes: Array, data: Mapping[str, Any]) -> Array:
    """Return ``X' s``, the gradient in w of a total whose derivatives in the predictors are the slopes, (p,)."""
    # Not x.T @ s: XLA's CPU compiler would first copy x transposed, which takes longer than all the rest.
    return slopes @ as_float(data["x"])


@at_highest_precision
def gram(data: Mapping[str, Any], weights: Array) -> Array:
    """Return ``X' diag(weights) X``, (p, p)."""
    x = as_float(data["x"])
    return (weights[:, None] * x).T @ x


@at_highest_precision
def line_through(wanted: Array, data: Mapping[str, Any], weights: Array | None = None) -> Array:
    """Return the w whose predictors come nearest to the wanted ones, by (weighted) least squares, (p,)."""
    x = as_float(data["x"])
    aim = wanted - as_float(data["offset"]) if "offset" in data else wanted
    return solve_least_squares(x, jnp.asarray(aim, x.dtype), weights)

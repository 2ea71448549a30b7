"""What the accelerated failure time models share: ``log y = location + scale * error``, y > 0, possibly censored."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array

from mle_jax.models._censoring import (
    censored_again,
    is_exact,
    line_and_scale,
    log_contribution,
    seen_logs,
    slopes,
)
from mle_jax.models._error_laws import Errors
from mle_jax.parameters.declared import as_float


def log_density_of_times(errors: Errors, row: Mapping[str, Any], location: Array, scale: Array) -> Array:
    """Return what a row contributes: the density of y itself, or the probability of what is known of y.

    The density of y is that of log(y) divided by y; minus infinity for y <= 0.
    """
    logs = seen_logs(row)
    inside = is_exact(logs) & jnp.isfinite(logs.t)
    return log_contribution(errors, logs, location, scale) - jnp.where(inside, logs.t, 0.0)


def slopes_of_times(errors: Errors, data: Mapping[str, Any], location: Array, scale: Array) -> tuple[Array, Array]:
    """Return the derivatives of every row's contribution in location and scale, (n,) each; -log(y) has none."""
    return slopes(errors, seen_logs(data), location, scale)


def start_of_times(errors: Errors, data: Mapping[str, Any], *, scale: float | None = None) -> tuple[Array, Array]:
    """Return a start (w, scale): least squares on log(y), as if every limit had been observed.

    Args:
        errors: the law.
        data: the dataset.
        scale: the scale where it is known.
    """
    return line_and_scale(errors, seen_logs(data), data, scale=scale)


def draw_time(errors: Errors, key: Array, row: Mapping[str, Any], *, location: Array, scale: Any) -> dict[str, Any]:
    """Return a row with a new response, censored at the row's own limits."""
    error = errors.draw(key, dtype=jnp.result_type(location))
    return censored_again(row, jnp.exp(location + as_float(scale) * error))

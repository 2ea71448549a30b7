"""What is summed over the rows, in terms of the predictors, and how sums of blocks are added up."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Terms(NamedTuple):
    """What is summed over the rows (k coordinates, c predictors in common)."""

    value: Array  # ()
    magnitude: Array  # () the sum of absolute contributions
    gradient: Array  # (k,)
    hessian: Array  # (k, k)
    common: tuple[Array, Array, Array] | None  # (c,), (c, k), (c, c): slopes, mixed and second derivatives


def plus(high: Any, low: Any, more: Any) -> tuple[Any, Any]:
    """Add to a sum that is held in two parts, the second of which collects the rounding errors of the first."""
    total = jax.tree_util.tree_map(jnp.add, high, more)

    def error(old: Array, new: Array, total: Array) -> Array:
        part = total - old
        lost = (old - (total - part)) + (new - part)
        return jnp.where(jnp.isfinite(total), lost, 0.0)  # inf - inf is no error

    return total, jax.tree_util.tree_map(jnp.add, low, jax.tree_util.tree_map(error, high, more, total))

"""What the models solved by a line share: the data are ``{"x": (n, p), "y": (n,)}``, and if wished ``"offset": (n,)``.

Both closed forms, least squares and least absolute deviations, fit the line to ``y - offset``.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.scipy.linalg
import numpy as np
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax.likelihood.exact import Held
from mle_jax.optimizers.least_squares import solve_least_squares
from mle_jax.parameters.declared import as_float


class FreeColumns(NamedTuple):
    """A linear problem without offset and fixed entries of w: their columns left out, their part taken from y."""

    x: Array  # (n, q)
    y: Array  # (n,)
    w: Array  # (p,) the fixed entries; 0 where free
    free: np.ndarray  # (q,) the numbers of the columns that are left

    def full(self, entries: Array) -> Array:
        """Put q entries into the places that are free, (p,)."""
        return self.w.at[self.free].set(entries)


@at_highest_precision
def free_columns(data: Any, fixed: Held | None) -> FreeColumns:
    """Leave out what is known: the offset and what is fixed.

    Args:
        data: the dataset.
        fixed: what is fixed, or None.
    """
    x, y = as_float(data["x"]), as_float(data["y"])
    y = y - as_float(data["offset"]) if "offset" in data else y
    p = x.shape[1]
    if fixed is None or not fixed.entries["w"].any():
        return FreeColumns(x, y, jnp.zeros(p, y.dtype), np.arange(p))
    held = np.flatnonzero(fixed.entries["w"])
    values = jnp.asarray(fixed.values["w"], y.dtype)[held]
    w = jnp.zeros(p, y.dtype).at[held].set(values)
    free = np.setdiff1d(np.arange(p), held)
    return FreeColumns(x[:, free], y - x[:, held] @ values, w, free)


@at_highest_precision
def least_squares_line(data: Any, weights: Any = None, fixed: Held | None = None) -> tuple[Array, Array]:
    """Return the least-squares coefficients (p,) and the residuals (n,).

    Args:
        data: the dataset.
        weights: (n,), at least 0, or None; rows of weight zero do not influence the coefficients.
        fixed: what is fixed, or None.
    """
    x, y, w, free = left = free_columns(data, fixed)
    if not free.size:
        return w, y
    found = solve_least_squares(x, y, None if weights is None else jnp.asarray(weights, y.dtype))
    return left.full(found), y - x @ found


@at_highest_precision
def linear_information(data: Any, w_scale: Any, last: Any) -> Array:
    """Return the expected information of (w, a scale): X'X / w_scale and `last`, block-diagonal, (p + 1, p + 1)."""
    x = as_float(data["x"])
    return jax.scipy.linalg.block_diag(x.T @ x / w_scale, last)

"""What the models with a linear predictor <x, w> share: the data are ``{"x": (n, p), "y": (n,)}``."""

from typing import Any

import jax.numpy as jnp
import jax.scipy.linalg
from jax import Array

from mle_jax._precision import at_highest_precision
from mle_jax.optimizers.least_squares import solve_least_squares
from mle_jax.parameters.declared import as_float


@at_highest_precision
def least_squares_line(data: Any, weights: Any = None) -> tuple[Array, Array]:
    """Return the least-squares coefficients (p,) and the residuals (n,).

    Args:
        data: the dataset.
        weights: (n,), at least 0, or None; rows of weight zero do not influence the coefficients.
    """
    x, y = as_float(data["x"]), as_float(data["y"])
    w = solve_least_squares(x, y, None if weights is None else jnp.asarray(weights, y.dtype))
    return w, y - x @ w


@at_highest_precision
def linear_information(data: Any, w_scale: Any, last: Any) -> Array:
    """Return the expected information of (w, a scale): X'X / w_scale and `last`, block-diagonal, (p + 1, p + 1)."""
    x = as_float(data["x"])
    return jax.scipy.linalg.block_diag(x.T @ x / w_scale, last)


def predict_line(params: Any, row: Any) -> Any:
    """Return the expected value of y, <x, w>."""
    return row["x"] @ params["w"]

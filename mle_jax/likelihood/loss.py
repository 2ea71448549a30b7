"""The loss: the one place where a log-likelihood changes its sign and its scale.

loss(theta) = - log-likelihood(params(theta)) / scale, with theta the unconstrained free coordinates and scale the
total weight (the number of rows without weights). Optimizers see nothing else; everything that people see is turned
back by the functions at the end of this file. No other file negates or rescales a likelihood, a score or a Hessian.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._objective import Evaluation, Objective
from mle_jax.likelihood.evaluation import sample, total_and_magnitude
from mle_jax.likelihood.layout import count_rows, laid_out_like
from mle_jax.likelihood.parts import Part
from mle_jax.likelihood.row_sums import RowSums
from mle_jax.likelihood.tile_sums import Call

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model


class FreeCoordinates(Protocol):
    """All that the loss asks of coordinates: the named parameters that they mean."""

    def params(self, theta: Any) -> Any:
        """Return the named parameters at a free vector (k,)."""


def loss_objective(
    model: "Model",
    coordinates: FreeCoordinates,
    data: Any,
    *,
    weights: Array | None = None,
    handwritten: bool = False,
) -> Objective:
    """Build the loss of (model, data, weights) in the free coordinates.

    Args:
        model: the model.
        coordinates: which free coordinates move, and the values of those that do not.
        data: the dataset.
        weights: (n,) or None.
        handwritten: take the gradient from ``model.gradient`` instead of automatic differentiation.
    """
    ready = sample(model, data, weights)
    scale = loss_scale(model, data, weights)

    def gradient(theta: Array) -> Array:
        assert model.gradient is not None
        params, pull = jax.vjp(coordinates.params, theta)
        return -pull(laid_out_like(params, model.gradient(params, data)))[0] / scale

    by_hand = gradient if handwritten else None
    if ready.layout is None:

        def function(theta: Array) -> tuple[Array, Array]:
            total, magnitude = total_and_magnitude(model, coordinates.params(theta), ready)
            return -total / scale, magnitude / scale

        return Objective(function, by_hand)
    sums = RowSums(model, coordinates, data, ready.weights)

    def value(theta: Array) -> tuple[Array, Array]:
        total, magnitude = sums.value(theta)
        return -total / scale, magnitude / scale

    def with_gradient(theta: Array) -> tuple[Array, Array, Array]:
        (total, magnitude), score = sums.with_gradient(theta)
        return -total / scale, magnitude / scale, -score / scale

    def with_hessian(theta: Array) -> tuple[Array, Array, Array, Array]:
        (total, magnitude), score, hessian = sums.with_hessian(theta)
        return -total / scale, magnitude / scale, -score / scale, -hessian / scale

    def several(thetas: Array) -> Array:
        return -sums.values(thetas) / scale

    def on_diagonal(theta: Array) -> Array:
        diagonal = sums.diagonal(theta)
        return Objective(value).diagonal(theta) if diagonal is None else -diagonal / scale

    return Objective(value, by_hand, first=with_gradient, second=with_hessian, several=several, on_diagonal=on_diagonal)


def part_derivatives(
    model: "Model",
    coordinates: FreeCoordinates,
    theta: Array,
    data: Any,
    weights: Array | None,
    part: Part,
    valid: Array | int | None = None,
    *,
    curved: Array | bool = True,
    call: Call | None = None,
) -> tuple[Array, Array, Array, Array, Array]:
    """Return what some rows add to scale times the loss, its magnitude, its gradient (k,) and its Hessian (k, k).

    The last result is a bool scalar: whether the Hessian is one.

    Args:
        model: the model, not a joint one.
        coordinates: the free coordinates.
        theta: (k,).
        data: a dataset.
        weights: (n,) or None.
        part: which rows.
        valid: a row of positive weight, where that is known.
        curved: False, or a tracer of it, where the Hessian may be left out if that saves time.
        call: how a loop over rows becomes a native function; None for the operations of usual size.
    """
    sums = RowSums(model, coordinates, data, weights, part=part, valid=valid, call=call)
    (total, magnitude), score, hessian, curved = sums.with_hessian_if(theta, curved)
    return -total, magnitude, -score, -hessian, jnp.asarray(curved)


def part_values(
    model: "Model",
    coordinates: FreeCoordinates,
    thetas: Array,
    data: Any,
    weights: Array | None,
    part: Part,
    valid: Array | int | None = None,
    *,
    call: Call | None = None,
) -> Array:
    """Return what some rows add to scale times the loss at every one of the points (m, k), shape (m,)."""
    sums = RowSums(model, coordinates, data, weights, part=part, valid=valid, call=call)
    return -sums.values(thetas)


def evaluation_of(point: Array, sums: Sequence[Any], scale: Array | float) -> Evaluation:
    """Return the loss with its derivatives from the first four sums of `part_derivatives` over all rows."""
    value, magnitude, gradient, hessian = (jnp.asarray(leaf, point.dtype) / scale for leaf in sums)
    return Evaluation(point, value, magnitude, gradient, (hessian + hessian.T) / 2)


def loss_scale(model: "Model", data: Any, weights: Array | np.ndarray | None) -> Array | int:
    """Return the divisor of the loss: the total weight, or the number of rows."""
    return count_rows(model, data) if weights is None else jnp.sum(weights)


def to_log_likelihood(loss: Array, scale: Array | float) -> Array:
    """Turn a value of the loss back into the total log-likelihood."""
    return -loss * scale


def to_score(gradient: Array, scale: Array | float) -> Array:
    """Turn a gradient of the loss back into the score of the total log-likelihood, free coordinates."""
    return -gradient * scale


def to_information(hessian: Array, scale: Array | float) -> Array:
    """Turn a Hessian of the loss into the observed information of the total, free coordinates."""
    return hessian * scale

"""Curvatures that may stand in for the Hessian of the loss in a search: the verdict never rests on them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jax import Array

from mle_jax.fitting.information import expected_free_information
from mle_jax.fitting.place import Place
from mle_jax.likelihood.evaluation import sample, theta_scores
from mle_jax.likelihood.loss import loss_scale

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


def search_curvatures(
    model: "Model", place: Place, data: Any, weights: Array | None
) -> dict[str, Callable[[Array], Array]]:
    """Return the curvatures by name, functions of the free coordinates, (k, k), on the scale of the loss.

    "expected" is the expected information: with it Newton's method is Fisher scoring, for least squares the method of
    Levenberg and Marquardt. "outer_product" is the sum of the outer products of the scores (Berndt, Hall, Hall and
    Hausman 1974). Neither is ever negative.
    """

    def expected(theta: Array) -> Array:
        return expected_free_information(model, place, theta, data, weights) / loss_scale(model, data, weights)

    def outer_product(theta: Array) -> Array:
        scores = theta_scores(model, place, theta, sample(model, data, weights))
        if scores.ndim != 2:
            raise ValueError(
                "optimizer is Newton(curvature='outer_product'), which needs the scores of single rows, but the "
                f"log-likelihood of {model.label} returns one number; return an array (n,) of contributions, or leave "
                "curvature out"
            )
        if weights is not None:
            scores = scores / jnp.sqrt(jnp.where(weights > 0, weights, 1.0))[:, None]  # they are weighted already
        return scores.T @ scores / loss_scale(model, data, weights)

    return {"expected": expected, "outer_product": outer_product}

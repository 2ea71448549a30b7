"""Where a search begins: what the user says, over what the model computes from the data, over the declared starts."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax.likelihood.evaluation import sample
from mle_jax.likelihood.exact import ExactMaximum, exact_maximum
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


def start_theta(
    model: "Model",
    coordinates: Coordinates,
    data: Any,
    weights: Array | None,
    given: Any,
    *,
    exact: ExactMaximum | None = None,
) -> Array:
    """Return the start in free coordinates, shape (k,).

    Args:
        model: the model.
        coordinates: the free coordinates.
        data: the dataset.
        weights: (n,) or None.
        given: the user's start values, partial or None.
        exact: begin there, which leaves the search nothing to do but to certify it.
    """
    space = coordinates.space
    params = space.default_start()
    if exact is not None:
        return coordinates.theta(exact.params)
    if model.start is not None:
        params = space.merge(params, model.start(_without_masked_rows(model, data, weights)), what="the model's start")
    return coordinates.theta(space.merge(params, given))


def find_exact(model: "Model", coordinates: Coordinates, data: Any, weights: Array | None) -> ExactMaximum:
    """Call the model's closed form."""
    assert model.closed_form is not None
    found = exact_maximum(model.closed_form(_without_masked_rows(model, data, weights), weights))
    space = coordinates.space
    params = space.merge(space.default_start(), found.params, what="closed_form")
    if found.edge is None:
        return found._replace(params=params)
    still = jax.tree_util.tree_map(jnp.zeros_like, params)
    return found._replace(params=params, edge=space.merge(still, found.edge, what="the edge of closed_form"))


def _without_masked_rows(model: "Model", data: Any, weights: Array | None) -> Any:
    """Put a valid row in place of every row of weight zero, which may contain anything."""
    ready = sample(model, data, weights)
    return data if ready.layout is None else ready.layout.with_rows(ready.layout.rows)

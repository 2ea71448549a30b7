"""Where a search begins: what the user says, over what the model computes from the data, over the declared starts."""

from typing import TYPE_CHECKING, Any

from jax import Array

from mle_jax.likelihood.evaluation import sample
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
    closed_form: bool,
) -> Array:
    """Return the start in free coordinates, shape (k,).

    Args:
        model: the model.
        coordinates: the free coordinates.
        data: the dataset.
        weights: (n,) or None.
        given: the user's start values, partial or None.
        closed_form: begin at the model's exact maximizer, which leaves the search nothing to do but to certify it.
    """
    space = coordinates.space
    params = space.default_start()
    clean = _without_masked_rows(model, data, weights)
    if closed_form:
        assert model.closed_form is not None
        params = space.merge(params, model.closed_form(clean, weights), what="closed_form")
    elif model.start is not None:
        params = space.merge(params, model.start(clean), what="the model's start")
    return coordinates.theta(space.merge(params, given))


def _without_masked_rows(model: "Model", data: Any, weights: Array | None) -> Any:
    """Put a valid row in place of every row of weight zero, which may contain anything."""
    ready = sample(model, data, weights)
    return data if ready.layout is None else ready.layout.with_rows(ready.layout.rows)

"""Where a search begins: what the user says, over what the model computes from the data, over the declared starts."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax.likelihood.exact import ExactMaximum, Held, exact_maximum, minds_fixed
from mle_jax.likelihood.probing import on_data
from mle_jax.likelihood.rows import row_layout, with_rows_in_turn
from mle_jax.parameters import Coordinates, nearest_theta

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
        computed = on_data(model, "start", without_masked_rows(model, data, weights))
        found = space.merge(params, computed, what="the model's start")
        # One impossible row may spoil all of it; from a finite start the fit says which row it is.
        finite = jnp.all(jnp.isfinite(space.flatten(found)))
        params = jax.tree_util.tree_map(lambda new, old: jnp.where(finite, new, old), found, params)
    params = space.merge(params, given)
    return nearest_theta(coordinates, params, given) if coordinates.dependent else coordinates.theta(params)


def has_exact(model: "Model", place: Coordinates) -> bool:
    """Say whether the model's closed form answers for these coordinates, some of which may be held but not tied."""
    if place.dependent:
        return False
    return model.closed_form is not None and (not holds_entries(place) or minds_fixed(model.closed_form))


def holds_entries(place: Coordinates) -> bool:
    """Say whether some parameter is held that is free by its declaration."""
    return sum(place.fixed) > sum(d.free_size == 0 for d in place.space.declarations for _ in range(d.flat_size))


def find_exact(model: "Model", coordinates: Coordinates, data: Any, weights: Array | None) -> ExactMaximum:
    """Call the model's closed form."""
    assert model.closed_form is not None
    told = {"fixed": _held(coordinates)} if minds_fixed(model.closed_form) else {}
    valid = without_masked_rows(model, data, weights)
    found = exact_maximum(on_data(model, "closed_form", valid, weights, **told))
    space = coordinates.space
    params = _with_held(coordinates, space.merge(space.default_start(), found.params, what="closed_form"))
    if found.edge is None:
        return found._replace(params=params)
    still = jax.tree_util.tree_map(jnp.zeros_like, params)
    return found._replace(params=params, edge=space.merge(still, found.edge, what="the edge of closed_form"))


def _held(place: Coordinates) -> Held | None:
    """Say what is held, laid out like params."""
    if not any(place.fixed):
        return None
    space = place.space
    entries = [
        np.reshape(place.fixed[part], d.shape) if d.elementwise else np.full(d.shape, any(place.fixed[part]))
        for d, part in zip(space.declarations, space.flat_slices, strict=True)
    ]
    return Held(space.rebuild(entries), space.unflatten(place.fixed_values))


def _with_held(place: Coordinates, params: Any) -> Any:
    """Put the values of the held entries into params, to the last bit."""
    if not any(place.fixed):
        return params
    flat = place.space.flatten(params)
    held = jnp.where(np.asarray(place.fixed), jnp.asarray(place.fixed_values, flat.dtype), flat)
    return place.space.unflatten(held)


def without_masked_rows(model: "Model", data: Any, weights: Array | None) -> Any:
    """Put valid rows in place of those of weight zero, which may contain anything."""
    if model.is_joint or weights is None:
        return data
    layout = with_rows_in_turn(row_layout(data, tuple(model.constants)), jnp.asarray(weights))
    return layout.with_rows(layout.rows)

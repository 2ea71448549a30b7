"""Datasets drawn from a model, at the covariates of a dataset: traceable, one key per row."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._text import listing
from mle_jax._trees import in_order, lists_to_arrays, named_leaves
from mle_jax.likelihood.rows import RowLayout, row_layout

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model


def simulated(model: "Model", params: Any, data: Any, key: Array) -> Any:
    """Return a dataset like `data`, with what the model simulates in place of what was observed.

    Every row has a key of its own, made from `key` and the row's number. Leaves that all rows share, and those that
    the model does not simulate, stay as they are. A joint model simulates the whole dataset at once.

    Raises:
        ValueError: the model has no `simulate`, or what it returns is not laid out like a row.
    """
    if model.simulate is None:
        raise ValueError(
            f"{model.label} has no simulate; declare it with Model(..., simulate=simulate), where "
            "simulate(key, params, row) returns the row with the response drawn anew"
        )
    data = lists_to_arrays(data)
    if model.is_joint:
        return _like(data, model.simulate(key, params, data), model)
    layout = row_layout(data, tuple(model.constants))
    keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(jnp.arange(layout.size))
    return simulated_rows(model, params, layout, keys)


def simulated_rows(model: "Model", params: Any, layout: RowLayout, keys: Array) -> Any:
    """Return the dataset with every row drawn with its own key, (n,) of them."""
    simulate = model.simulate
    assert simulate is not None

    def single(row_key: Array, *leaves: Any) -> list[Any]:
        row = in_order(layout.with_rows(list(leaves)), layout.named.names)
        drawn = named_leaves(_like(row, simulate(row_key, params, row), model), root="data").leaves
        return [leaf for leaf, by_row in zip(drawn, layout.by_row, strict=True) if by_row]

    return layout.with_rows(list(jax.vmap(single)(keys, *layout.rows)))


def _like(row: Any, drawn: Any, model: "Model") -> Any:
    """Lay a simulated row out like the given one, in types that hold both."""
    wanted, given = named_leaves(row, root="data"), named_leaves(drawn, root="data")
    found = dict(zip(given.names, given.leaves, strict=True))
    shapes = {name: jnp.shape(leaf) for name, leaf in found.items()}
    needed = {name: jnp.shape(leaf) for name, leaf in zip(wanted.names, wanted.leaves, strict=True)}
    if shapes != needed:
        raise ValueError(
            f"simulate of {model.label} returned the leaves {listing([f'{n} {s}' for n, s in shapes.items()])}, but a "
            f"row has {listing([f'{n} {s}' for n, s in needed.items()])}; return the row with other values, for "
            "instance {**row, 'y': drawn}"
        )
    drawn_leaves = [found[name] for name in wanted.names]
    pairs = zip(wanted.leaves, drawn_leaves, strict=True)
    types = [jnp.promote_types(jnp.result_type(leaf), jnp.result_type(other)) for leaf, other in pairs]
    return wanted.rebuild([jnp.asarray(leaf, kind) for leaf, kind in zip(drawn_leaves, types, strict=True)])

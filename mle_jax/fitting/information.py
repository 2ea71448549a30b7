"""The expected information of a dataset in free coordinates."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._text import listing
from mle_jax.likelihood.evaluation import sample

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

BLOCK = 1024  # rows whose expected information is held at once


def expected_free_information(
    model: "Model", place: Any, theta: Array, data: Any, weights: Array | None = None
) -> Array:
    """Return the expected information of the weighted total in free coordinates: J' I J, shape (k, k)."""
    assert model.expected_information is not None
    jacobian, params = place.jacobian(theta), place.params(theta)
    if weights is None:
        natural = jnp.asarray(model.expected_information(params, data), jacobian.dtype)
    else:
        natural = _weighted_information(model, params, data, weights).astype(jacobian.dtype)
    size = jacobian.shape[0]
    if natural.shape != (size, size):
        raise ValueError(
            f"expected_information of {model.label} returned shape {natural.shape}, but the model has {size} flat "
            f"parameters ({listing(place.space.names)}); return shape ({size}, {size}) in that order"
        )
    return jacobian.T @ natural @ jacobian


def _weighted_information(model: "Model", params: Any, data: Any, weights: Array) -> Array:
    """Return sum_i w_i I_i: rows are independent, so the information of each is that of a dataset of one row.

    Block by block, so that never more than `BLOCK` matrices are in memory; the last block is filled up by weight zero.
    """
    layout, information = sample(model, data, weights).layout, model.expected_information
    assert layout is not None and information is not None
    size = min(layout.size, BLOCK)
    places = jnp.arange(-(-layout.size // size) * size)
    rows = jnp.minimum(places, layout.size - 1)
    shares = jnp.where(places < layout.size, jnp.asarray(weights)[rows], 0)

    def of_row(row: Array, weight: Array) -> Array:
        return weight * information(params, layout.with_rows([leaf[row][None] for leaf in layout.rows]))

    def add(total: Array, block: tuple[Array, Array]) -> tuple[Array, None]:
        return total + jnp.sum(jax.vmap(of_row)(*block), axis=0), None

    shape = jax.eval_shape(of_row, rows[0], shares[0])
    begin = jnp.zeros(shape.shape, shape.dtype)
    return jax.lax.scan(add, begin, (rows.reshape(-1, size), shares.reshape(-1, size)))[0]

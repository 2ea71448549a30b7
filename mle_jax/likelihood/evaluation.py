"""The log-likelihood and its derivatives as pure functions of (model, params, data, weights).

n is the number of rows, k the number of natural parameters. Nothing here changes the sign or the scale of the
log-likelihood; that happens in `loss` alone.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mle_jax._trees import named_leaves
from mle_jax.likelihood.rows import RowLayout, map_rows, row_layout, without_masked_rows
from mle_jax.parameters import ParameterSpace

if TYPE_CHECKING:
    from mle_jax.likelihood.model import Model

BLOCK = 2**20
"""Scores that exist at the same time where only their sum is wanted."""


class Sample(NamedTuple):
    """A dataset made ready for evaluation, once: taken apart by rows, masked rows replaced by a valid one."""

    data: Any
    layout: RowLayout | None  # None for a joint likelihood
    weights: Array | None


def sample(model: "Model", data: Any, weights: Array | None = None) -> Sample:
    """Make a dataset ready for evaluation.

    Raises:
        ValueError: weights with a joint likelihood, or not one weight per row.
    """
    if model.is_joint:
        if weights is not None:
            raise ValueError(
                f"weights were given, but {model.label} is a joint likelihood, whose rows are not independent units; "
                "leave the weights out or declare the model by the log density of one observation"
            )
        return Sample(data, None, None)
    layout = row_layout(data, tuple(model.constants))
    if weights is None:
        return Sample(data, layout, None)
    weights = jnp.asarray(weights)
    if weights.shape != (layout.size,):
        raise ValueError(
            f"weights have shape {weights.shape}, but the data have {layout.size} rows; pass one weight per row"
        )
    return Sample(data, without_masked_rows(layout, weights), weights)


def sample_contributions(model: "Model", params: Any, ready: Sample) -> Array:
    """Return w_i l_i(params), shape (n,); of a joint likelihood whatever it returns."""
    if ready.layout is None:
        return jnp.asarray(model.log_density(params, ready.data))
    values = map_rows(lambda row: model.log_density(params, row), ready.layout)
    return values if ready.weights is None else weigh(ready.weights, values)


def total_and_magnitude(model: "Model", params: Any, ready: Sample) -> tuple[Array, Array]:
    """Return the total log-likelihood and the sum of the absolute contributions, which sets its rounding error."""
    values = sample_contributions(model, params, ready)
    return jnp.sum(values), jnp.sum(jnp.abs(values))


def contributions(model: "Model", params: Any, data: Any, weights: Array | None = None) -> Array:
    """Return w_i l_i(params) for every row, shape (n,); their sum is the log-likelihood."""
    values = sample_contributions(model, params, sample(model, data, weights))
    if values.ndim == 0:
        raise ValueError(
            f"the joint log-likelihood of {model.label} returns one number, so it has no contributions; return an "
            "array (n,) of contributions instead of their sum"
        )
    return values


def log_likelihood(model: "Model", params: Any, data: Any, weights: Array | None = None) -> Array:
    """Return the total log-likelihood, a scalar."""
    return jnp.sum(sample_contributions(model, params, sample(model, data, weights)))


def score(model: "Model", params: Any, data: Any, weights: Array | None = None) -> Any:
    """Return the gradient of the total log-likelihood, a pytree like params."""
    return jax.grad(lambda at: log_likelihood(model, at, data, weights))(params)


def scores(model: "Model", params: Any, data: Any, weights: Array | None = None) -> Any:
    """Return the gradient of every contribution, a pytree like params with a leading axis of n."""
    ready = sample(model, data, weights)
    if ready.layout is None:
        return jax.jacfwd(lambda at: contributions(model, at, data))(params)
    gradients = map_rows(lambda row: jax.grad(model.log_density)(params, row), ready.layout)
    if weights is None:
        return gradients
    return jax.tree_util.tree_map(lambda leaf: weigh(jnp.asarray(weights), leaf), gradients)


def score_magnitude(model: "Model", params: Any, data: Any) -> Any:
    """Return the sum of the absolute scores of the rows, a pytree like params; never all scores at once."""
    layout = row_layout(data, tuple(model.constants))
    rows = [jnp.asarray(leaf) for leaf in layout.rows]
    height = max(BLOCK // sum(jnp.size(leaf) for leaf in jax.tree_util.tree_leaves(params)), 1)
    full = layout.size // height

    def magnitude(block: list[Array]) -> Any:
        part = RowLayout(named_leaves(layout.with_rows(block), root="data"), layout.by_row)
        gradients = map_rows(lambda row: jax.grad(model.log_density)(params, row), part)
        return jax.tree_util.tree_map(lambda leaf: jnp.sum(jnp.abs(leaf), axis=0), gradients)

    def add(i: Array, total: Any) -> Any:
        block = [jax.lax.dynamic_slice_in_dim(leaf, i * height, height) for leaf in rows]
        return jax.tree_util.tree_map(jnp.add, total, magnitude(block))

    rest = magnitude([leaf[full * height :] for leaf in rows])
    return rest if full == 0 else jax.lax.fori_loop(0, full, add, rest)


def theta_scores(model: "Model", coordinates: Any, theta: Array, ready: Sample) -> Array:
    """Return the scores in free coordinates, weighted, shape (n, k); rows of weight zero are zero.

    Args:
        model: the model; a joint one must return contributions.
        coordinates: what the free coordinates mean (`params(theta)`).
        theta: (k,).
        ready: the dataset, from `sample`.
    """
    if ready.layout is None:
        return jax.jacfwd(lambda at: sample_contributions(model, coordinates.params(at), ready))(theta)
    score_of = jax.grad(lambda at, row: model.log_density(coordinates.params(at), row))
    values = map_rows(lambda row: score_of(theta, row), ready.layout)
    return values if ready.weights is None else weigh(ready.weights, values)


def hessian(model: "Model", params: Any, data: Any, weights: Array | None = None, *, space: ParameterSpace) -> Array:
    """Return the second derivatives of the total log-likelihood, natural scale, flat-name order, shape (k, k)."""

    def total(flat: Array) -> Array:
        return log_likelihood(model, space.unflatten(flat), data, weights)

    matrix = jax.jacfwd(jax.grad(total))(space.flatten(params))
    return (matrix + matrix.T) / 2


def weigh(weights: Array, values: Array) -> Array:
    """Multiply rows by their weights; a row of weight zero contributes exactly zero."""
    aligned = jnp.reshape(weights, weights.shape + (1,) * (values.ndim - weights.ndim))
    return jnp.where(aligned > 0, aligned * values, 0.0)

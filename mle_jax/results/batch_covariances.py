"""Covariance matrices of the lanes of a batch, by the information of their certificates or piece by piece."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mle_jax.data.lane_arrays import Watched
from mle_jax.fitting.lanes import common_weights, lane_axes, lane_weights, map_lanes, split_lanes
from mle_jax.fitting.streams import Batch, Streams
from mle_jax.inference.covariances import covariance_matrix, inverse_root
from mle_jax.likelihood.programs import verb_program
from mle_jax.results.record import Record

LANES_AT_ONCE = 256
"""Lanes whose matrices are inverted side by side."""


def batch_covariance(record: Record, *, diagonal: bool = False) -> np.ndarray:
    """Return the covariances of all lanes, (B, k, k), or their diagonals (B, k), nothing withheld."""
    certificate = record.solution.certificate
    if record.kind == "observed" and certificate.is_dense:
        held = verb_program(record.model, _map_observed, diagonal=diagonal)
        return np.asarray(held(record.place, (record.solution.theta, certificate.information)))
    if record.groups is not None:
        from mle_jax.results.group_fits import grouped_covariance

        return grouped_covariance(record, partial(batch_covariance, diagonal=diagonal))
    axes = lane_axes(record.data, record.shared)
    frequency = record.weight_kind == "frequency"
    run = verb_program(
        record.model, _map_covariance, kind=record.kind, frequency=frequency, axes=axes, diagonal=diagonal
    )
    for leaf in split_lanes(record.data, axes)[0]:
        if isinstance(leaf, Watched):
            leaf.check()
    batch = Batch(record.data, axes, record.weights, ({}, {}), len(record.solution.theta))
    how = record.kind, frequency, diagonal, record.shared

    def piece(some: Batch, lanes: np.ndarray) -> jax.Array:
        own = record.solution.theta[lanes], certificate.information[lanes], *lane_weights(some.weights)
        found: jax.Array = run(record.place, own, some.data, common_weights(some.weights))
        return found

    found = Streams(record.model, record.place, batch, how=how).run(piece, np.arange(batch.size), name="covariance")
    return np.concatenate([matrices for _, matrices in found])


def _map_observed(model: Any, place: Any, lanes: tuple[Any, Any], *, diagonal: bool) -> jax.Array:
    """Return the covariances by the information that the certificates hold: the data are not needed for them."""

    def one(lane: tuple[Any, Any]) -> jax.Array:
        theta, information = lane
        half = place.jacobian(theta) @ inverse_root(information)
        return jnp.sum(half * half, axis=1) if diagonal else half @ half.T

    if place.size == 0:  # nothing, of which no chunks can be made
        return jax.vmap(one)(lanes)
    mapped: jax.Array = jax.lax.map(one, lanes, batch_size=LANES_AT_ONCE)
    return mapped


def _map_covariance(
    model: Any,
    place: Any,
    lanes: Any,
    data: Any,
    weights: Any,
    *,
    kind: str,
    frequency: bool,
    axes: tuple[bool, ...],
    diagonal: bool,
) -> jax.Array:
    def one(lane: tuple[Any, ...], lane_data: Any) -> jax.Array:
        theta, information, *own = lane
        lane_weight = own[0] if own else weights
        matrix = covariance_matrix(
            model, place, theta, information, lane_data, lane_weight, kind=kind, frequency=frequency
        )
        return jnp.diagonal(matrix) if diagonal else matrix

    mapped: jax.Array = map_lanes(one, lanes, data, axes)
    return mapped

"""From a `Fit` to its covariance matrices: choose the kind, run the compiled function, withhold what does not hold."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mle_jax._precision import in_float64
from mle_jax._status import Status
from mle_jax._trees import in_order
from mle_jax.fitting.lanes import common_weights, lane_axes, lane_weights, map_lanes
from mle_jax.inference.covariances import check_kind, covariance_matrix
from mle_jax.inference.errors_by_products import standard_errors_by_products
from mle_jax.likelihood.layout import count_contributions, count_rows
from mle_jax.likelihood.programs import verb_program
from mle_jax.results.from_files import is_described
from mle_jax.results.record import Record

if TYPE_CHECKING:
    from mle_jax.results.fit_object import Fit


def covariance_of(fit: "Fit", kind: str | None, *, clusters: Any = None, correction: str = "none") -> np.ndarray:
    """Return the covariance of the flat parameters, (k, k) or (B, k, k); see `Fit.covariance`."""
    record = with_kind(fit, fit._record.kind if kind is None else kind, clusters=clusters, correction=correction)
    if fit.is_batch:
        matrix = np.array(_batch_covariance(record))
        for lane in {*record.second_looks, *_partly_identified_lanes(fit, record)}:
            matrix[lane] = covariance_of(fit[lane], record.kind)
    else:
        matrix = _single_covariance(record, partly=fit.status == Status.not_identified and _has_its_information(record))
    withheld = record.withheld
    hidden = withheld[..., :, None] | withheld[..., None, :]
    return np.where(hidden, np.nan, matrix)


def _has_its_information(record: Record) -> bool:
    """Say whether the certificate holds the information that this kind of covariance inverts."""
    return record.kind == ("observed" if record.model.smooth else "expected")


def _partly_identified_lanes(fit: "Fit", record: Record) -> list[int]:
    """Return the lanes of a model with kinks, which get no second look, whose information is singular."""
    if record.model.smooth or not _has_its_information(record):
        return []
    return [int(lane) for lane in np.flatnonzero(np.asarray(fit.status) == Status.not_identified)]


def with_kind(fit: "Fit", kind: str, *, clusters: Any = None, correction: str = "none") -> Record:
    """Return the record with another kind of covariance, checked.

    Raises:
        ValueError: the kind does not exist for this model, clusters are missing or of the wrong length, or another
            correction than "none".
    """
    record = fit._record
    if kind != "observed" and is_described(record.data):
        raise ValueError(
            f"kind='{kind}' needs the rows, but those of a Parquet file were read piece by piece and not kept; read "
            "the table into memory and call evaluate(model, table, fit.params)"
        )
    contributes = not record.model.is_joint or count_contributions(record.model, record.data) is not None
    check_kind(record.model, kind, has_contributions=contributes)
    if correction != "none":
        raise ValueError(f"correction is {correction!r}, but 'none' is the only one so far; leave it out")
    if clusters is not None:
        record = replace(record, clusters=check_clusters(clusters, _row_count(record)))
    if kind == "clustered" and record.clusters is None:
        raise ValueError("kind='clustered' needs clusters; pass clusters= with one label per row")
    if kind == "clustered" and fit.is_batch:
        raise ValueError("kind='clustered' is not available for a batch; use it on a single fit, fits[i]")
    return replace(record, kind=kind)


def check_clusters(clusters: Any, size: int) -> np.ndarray:
    """Return the labels as an array, or raise where there is not one per row."""
    labels = np.asarray(clusters)
    if labels.shape != (size,):
        raise ValueError(f"clusters have shape {labels.shape}, but the data have {size} rows; pass one label per row")
    return labels


@in_float64
def flat_errors(fit: "Fit", kind: str | None = None, *, clusters: Any = None, correction: str = "none") -> np.ndarray:
    """Return the standard errors of the flat parameters, (k,) or (B, k); see `Fit.standard_errors`."""
    record = with_kind(fit, fit._record.kind if kind is None else kind, clusters=clusters, correction=correction)
    if fit.is_batch or record.kind != "observed" or record.solution.certificate.is_dense:
        matrix = covariance_of(fit, kind, clusters=clusters, correction=correction)
        return np.asarray(np.sqrt(np.diagonal(matrix, axis1=-2, axis2=-1)))
    run = verb_program(record.model, standard_errors_by_products)
    errors = np.full(len(record.withheld), np.nan)
    wanted = np.flatnonzero(~record.withheld)
    if wanted.size:
        errors[wanted] = run(record.place, record.solution.theta, wanted, record.data, record.weights)
    return errors


def errors_like_params(fit: "Fit", **asked: Any) -> Any:
    """Return `flat_errors` laid out like params."""
    return unflatten_numpy(fit._record.place.space, flat_errors(fit, **asked))


def unflatten_numpy(space: Any, flat: np.ndarray) -> Any:
    """Lay out flat values (..., k) like params, keeping their type; leading axes stay in front of every leaf."""
    leaves = []
    for declaration, part in zip(space.declarations, space.flat_slices, strict=True):
        lead = flat.shape[:-1]
        rows = flat[..., part].reshape(-1, declaration.flat_size)
        stacked = np.stack([np.asarray(declaration.unflatten(row)) for row in rows]) if len(rows) else rows
        leaves.append(stacked.reshape((*lead, *declaration.shape))[()])
    return in_order(space.rebuild(leaves), space.leaf_names)


def _row_count(record: Record) -> int:
    return count_rows(record.model, record.data)


def _single_covariance(record: Record, *, partly: bool) -> np.ndarray:
    codes = None
    if record.kind == "clustered" and record.clusters is not None:
        codes = np.unique(record.clusters, return_inverse=True)[1]
    run = verb_program(
        record.model,
        covariance_matrix,
        kind=record.kind,
        frequency=record.weight_kind == "frequency",
        partly=partly,
    )
    solution = record.solution
    # Where the certificate holds the observed information already, so many rows need not be moved for it.
    held = record.kind == "observed" and solution.certificate.is_dense
    inputs = (None, None) if held else (record.data, record.weights)
    return np.asarray(run(record.place, solution.theta, solution.certificate.information, *inputs, clusters=codes))


def _batch_covariance(record: Record) -> np.ndarray:
    run = verb_program(
        record.model,
        _map_covariance,
        kind=record.kind,
        frequency=record.weight_kind == "frequency",
        axes=lane_axes(record.data, record.shared),
    )
    lanes = record.solution.theta, record.solution.certificate.information, *lane_weights(record.weights)
    return np.asarray(run(record.place, lanes, record.data, common_weights(record.weights)))


def _map_covariance(
    model: Any, place: Any, lanes: Any, data: Any, weights: Any, *, kind: str, frequency: bool, axes: tuple[bool, ...]
) -> jax.Array:
    def one(lane: tuple[Any, ...], lane_data: Any) -> jax.Array:
        theta, information, *own = lane
        lane_weight = own[0] if own else weights
        return covariance_matrix(
            model, place, theta, information, lane_data, lane_weight, kind=kind, frequency=frequency
        )

    mapped: jax.Array = map_lanes(one, lanes, data, axes)
    return mapped

"""From a `Fit` to its covariance matrices: choose the kind, run the compiled function, withhold what does not hold."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mle_jax._precision import in_float64
from mle_jax._status import Status
from mle_jax._trees import in_order
from mle_jax.fitting.lanes import (
    lane_axes,
    lane_of,
    lane_weights,
    take_lanes,
)
from mle_jax.inference.covariances import check_kind, covariance_matrix
from mle_jax.inference.errors_by_products import standard_errors_by_products
from mle_jax.likelihood.layout import count_contributions, count_rows
from mle_jax.likelihood.programs import verb_program
from mle_jax.results.from_files import is_described
from mle_jax.results.guards import check_has_rows
from mle_jax.results.record import Record

if TYPE_CHECKING:
    from mle_jax.results.fit_object import Fit

WHOLE_MATRICES = 10**7
"""Numbers in the covariance matrices of a batch (80 MB) up to which they are computed whole for standard errors, too:
then `covariance` needs no program of its own."""


def covariance_of(fit: "Fit", kind: str | None, *, clusters: Any = None, correction: str = "none") -> np.ndarray:
    """Return the covariance of the flat parameters, (k, k) or (B, k, k); see `Fit.covariance`."""
    record = with_kind(fit, fit._record.kind if kind is None else kind, clusters=clusters, correction=correction)
    if record.errors is not None:
        check_has_rows(fit, "covariance()")
    if record.matrix is not None:
        return record.matrix
    if fit.is_batch:
        from mle_jax.results.batch_covariances import batch_covariance

        matrix = np.array(batch_covariance(record))
        for lane in _lanes_apart(fit, record):
            matrix[lane] = _covariance_of_lane(fit, record, lane)
    else:
        matrix = _single_covariance(record, partly=fit.status == Status.not_identified and _has_its_information(record))
    withheld = record.withheld
    hidden = withheld[..., :, None] | withheld[..., None, :]
    return np.where(hidden, np.nan, matrix)


def _lanes_apart(fit: "Fit", record: Record) -> set[int]:
    """Return the lanes whose information has other coordinates than that of the stack, or is singular in part."""
    return {*record.second_looks, *_partly_identified_lanes(fit, record)}


def _covariance_of_lane(fit: "Fit", record: Record, lane: int) -> np.ndarray:
    """Return the covariance of one lane, computed as for a single fit, nothing withheld."""
    data, weights = lane_inputs(record, lane)
    place, solution = record.second_looks.get(lane, (record.place, lane_of(record.solution, lane)))
    one = replace(record, data=data, weights=weights, place=place, solution=solution, groups=None)
    return _single_covariance(
        one, partly=bool(fit.status[lane] == Status.not_identified) and _has_its_information(record)
    )


def lane_inputs(record: Record, lane: Any) -> tuple[Any, Any]:
    """Return the data of one lane of a batch (of some, if it has one shape), and the weights.

    Raises:
        ValueError: it has changed, and there is no copy.
    """
    if record.groups is not None:
        return record.groups.inputs(lane)
    data = take_lanes(record.data, lane_axes(record.data, record.shared), lane)
    own = lane_weights(record.weights)
    return data, own[0][lane] if own else record.weights


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
    if correction != "none":
        raise ValueError(f"correction is {correction!r}, but 'none' is the only one so far; leave it out")
    if kind != record.kind or clusters is not None:
        check_has_rows(fit, f"kind='{kind}'")
    if record.matrix is not None or record.errors is not None:
        return record
    if kind != "observed" and is_described(record.data) and record.groups is None:
        raise ValueError(
            f"kind='{kind}' needs the rows, but those of a Parquet file were read piece by piece and not kept; read "
            "the table into memory and call evaluate(model, table, fit.params)"
        )
    contributes = not record.model.is_joint or count_contributions(record.model, record.data) is not None
    check_kind(record.model, kind, has_contributions=contributes)
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
def standard_errors_of(fit: "Fit", kind: str | None = None, *, clusters: Any = None, correction: str = "none") -> Any:
    """Return the roots of the diagonal of `covariance_of` as (..., k).

    Of a large batch only the diagonals are computed: B matrices of many parameters may not fit into memory.
    """
    record = with_kind(fit, fit._record.kind if kind is None else kind, clusters=clusters, correction=correction)
    if record.errors is not None:
        return record.errors
    flat = len(fit.names)
    stored = fit._record.matrix is not None
    single = not (stored or fit.is_batch)
    if single and record.kind == "observed" and not record.solution.certificate.is_dense:
        return _errors_by_products(record)
    if stored or not fit.is_batch or len(fit) * flat * flat <= WHOLE_MATRICES:
        matrix = covariance_of(fit, kind, clusters=clusters, correction=correction)
        return np.sqrt(np.diagonal(matrix, axis1=-2, axis2=-1))
    from mle_jax.results.batch_covariances import batch_covariance

    variances = np.array(batch_covariance(record, diagonal=True))
    for lane in _lanes_apart(fit, record):
        variances[lane] = np.diagonal(_covariance_of_lane(fit, record, lane))
    return np.sqrt(np.where(record.withheld, np.nan, variances))


def _errors_by_products(record: Record) -> np.ndarray:
    """Return the standard errors of the flat parameters, (k,), where there is no matrix: those that are given."""
    run = verb_program(record.model, standard_errors_by_products)
    errors = np.full(len(record.withheld), np.nan)
    wanted = np.flatnonzero(~record.withheld)
    if wanted.size:
        errors[wanted] = run(record.place, record.solution.theta, wanted, record.data, record.weights)
    return errors


def flatten_numpy(space: Any, tree: Any, lead: tuple[int, ...]) -> np.ndarray:
    """List the entries of a pytree like params as (*lead, k), in the order of the names, keeping their type."""
    by_position = dict(zip(space.order, space.treedef.flatten_up_to(tree), strict=True))
    parts = []
    for position, declaration in enumerate(space.declarations):
        places = np.arange(math.prod(declaration.shape)).reshape(declaration.shape)
        leaf = np.asarray(by_position[position]).reshape((*lead, places.size))
        parts.append(leaf[..., np.asarray(declaration.flatten(places))])
    return np.concatenate(parts, axis=-1)


def unflatten_numpy(space: Any, flat: np.ndarray) -> Any:
    """Lay out flat values (..., k) like params, keeping their type; leading axes stay in front of every leaf.

    The entries of a declaration are picked, never computed, so where they go is found once for all lanes.
    """
    leaves = []
    for declaration, part in zip(space.declarations, space.flat_slices, strict=True):
        places = np.asarray(declaration.unflatten(np.arange(part.start, part.stop)), int)
        leaves.append(flat[..., places][()])
    return in_order(space.rebuild(leaves), space.leaf_names)


def _row_count(record: Record) -> int:
    return count_rows(record.model, record.data)


def _single_covariance(record: Record, *, partly: bool) -> np.ndarray:
    if record.covariance is not None and record.kind == "observed" and not partly:
        return record.covariance
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

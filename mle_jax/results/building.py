"""From a `Solution` to a `Fit`: NumPy numbers, names, the message."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from mle_jax._precision import to_numpy
from mle_jax._status import Status
from mle_jax._trees import in_order
from mle_jax.data.arrays import CleanData
from mle_jax.fitting.diagnosis import diagnose
from mle_jax.fitting.solution import Solution
from mle_jax.likelihood.layout import count_rows
from mle_jax.likelihood.loss import loss_scale, to_log_likelihood, to_score
from mle_jax.optimizers.minimizing import History
from mle_jax.results.covariance_access import unflatten_numpy
from mle_jax.results.fit_object import Fit
from mle_jax.results.record import Record

if TYPE_CHECKING:
    from mle_jax.likelihood import Model


def default_kind(model: "Model") -> str:
    """Return the kind of covariance that a fit of this model uses unless it is told otherwise."""
    return "observed" if model.smooth or model.expected_information is None else "expected"


def build_fit(
    model: "Model",
    place: Any,
    solution: Solution,
    clean: CleanData,
    *,
    weight_kind: str,
    clusters: np.ndarray | None,
    optimizer: str,
    kind: str,
    searched: Any = None,
    given: bool = False,
    constraints: tuple[str, ...] = (),
    covariance: Any = None,
) -> Fit:
    """Put a single solution into people's hands.

    Args:
        model: the model.
        place: what the free coordinates of the solution mean.
        solution: where the search arrived.
        clean: the data.
        weight_kind: "frequency" or "importance".
        clusters: labels of the rows or None.
        optimizer: how the maximum was sought, in words.
        kind: the kind of covariance.
        searched: the coordinates of the search, where they are not those of the solution.
        given: the point was given and not sought, so standard errors are shown although it may be no maximum.
        constraints: the linear equations that the parameters satisfy, as the user wrote them.
        covariance: of the kind "observed", if it is known.
    """
    searched = place if searched is None else searched
    status = Status(int(solution.status))
    reliable = np.asarray(solution.reliable)
    record = Record(
        model=model,
        data=clean.data,
        weights=clean.weights,
        weight_kind=weight_kind,
        clusters=clusters,
        place=place,
        solution=to_numpy(solution._replace(trace=None)),
        withheld=withheld_entries(np.asarray(int(status)), reliable, given=given),
        kind=kind,
        optimizer=optimizer,
        fixed=searched.fixed,
        dropped=clean.dropped,
        given=given,
        constraints=constraints,
        covariance=None if covariance is None else np.asarray(covariance),
    )
    return Fit(
        params=in_order(to_numpy(solution.params), place.space.leaf_names),
        names=place.space.names,
        log_likelihood=float(solution.log_likelihood),
        status=status,
        message=status.text
        if clean.files is not None  # rows in files are not gone through once more to name some
        else diagnose(model, place, solution, clean.data, clean.weights, given=given),
        reliable=unflatten_numpy(place.space, reliable),
        steps=int(solution.steps),
        decrement=float(solution.decrement),
        n_observations=count_observations(model, clean.data, clean.weights, weight_kind),
        n_parameters=searched.size,  # those on a boundary were estimated, too
        history=_history(model, searched, solution, clean),
        _record=record,
    )


def withheld_entries(status: np.ndarray, reliable: np.ndarray, *, given: bool = False) -> np.ndarray:
    """Say which flat parameters get NaN in place of a standard error.

    Those that are not reliable; but where nothing could be certified only because the model has kinks, or because
    the point was given, the approximate numbers are shown.
    """
    shown = np.isin(status, [int(Status.uncertified)] + ([int(Status.max_steps)] if given else []))
    return ~(reliable | shown[..., None])


def count_observations(model: "Model", data: Any, weights: np.ndarray | None, weight_kind: str) -> int | float:
    """Return the rows, or the total of frequency weights (rows of positive weight, where weights are importances)."""
    if weights is None:
        return count_rows(model, data)
    if weight_kind == "importance":
        return int((weights > 0).sum())
    total = float(weights.sum())
    return int(total) if total.is_integer() else total


def _history(model: "Model", searched: Any, solution: Solution, clean: CleanData) -> History | None:
    """Turn the trace of the loss into the history of the log-likelihood."""
    if solution.trace is None:
        return None
    recorded = int(np.sum(~np.isnan(np.asarray(solution.trace.point)).any(axis=1)))
    rows = slice(0, recorded)
    scale = loss_scale(model, clean.data, clean.weights)
    params = jax.vmap(searched.params)(np.asarray(solution.trace.point)[rows])
    return History(
        value=np.asarray(to_log_likelihood(solution.trace.value[rows], scale), np.float64),
        gradient_norm=np.abs(np.asarray(to_score(solution.trace.gradient_norm[rows], scale), np.float64)),
        params=in_order(to_numpy(params), searched.space.leaf_names),
    )

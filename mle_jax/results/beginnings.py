"""Start values for lanes that are tried again: where they stopped, what was given, the highest points of a survey."""

from typing import Any, NamedTuple

import numpy as np

from mle_jax.fitting.retrying import NEIGHBORS, Survey
from mle_jax.parameters import ParameterSpace


class Beginnings(NamedTuple):
    """Start values of n lanes by leaf name, every one (n, ...), and which of these lanes have any, bool (n,)."""

    values: dict[str, np.ndarray]
    known: np.ndarray


def leaves_of(space: ParameterSpace, params: Any) -> dict[str, np.ndarray]:
    """Return the leaves of a pytree like params by their names; leading axes stay."""
    by_position = dict(zip(space.order, space.treedef.flatten_up_to(params), strict=True))
    return {name: np.asarray(by_position[i]) for i, name in enumerate(space.leaf_names)}


def as_given(space: ParameterSpace, survey: Survey, lanes: np.ndarray, start: tuple[Any, Any]) -> Beginnings:
    """Put values that were given over the start of the model.

    Args:
        space: the parameters.
        survey: of the lanes.
        lanes: (n,).
        start: values in common and by lane (of all B lanes), from `split_start`.
    """
    common, own = start
    first = {name: leaf[:, NEIGHBORS] for name, leaf in leaves_of(space, survey.params).items()}
    merged = []
    for position, lane in enumerate(lanes.tolist()):
        base = space.rebuild([first[name][position] for name in space.leaf_names])
        given = {**common, **{name: value[lane] for name, value in own.items()}}
        merged.append(leaves_of(space, space.merge(base, given)))
    values = {name: np.stack([one[name] for one in merged]) for name in space.leaf_names}
    return _finite(values, np.ones(len(lanes), bool))


def where_stopped(space: ParameterSpace, params: Any) -> Beginnings:
    """Go on from estimates, a pytree like params with leaves (n, ...)."""
    values = leaves_of(space, params)
    return _finite(values, np.ones(len(next(iter(values.values()))), bool))


def highest(
    space: ParameterSpace, survey: Survey, first: int = 0, last: int | None = None, *, turn: int = 0
) -> Beginnings:
    """Begin at the highest of the points first to last of a survey, or after so many turns at the next highest."""
    heights = _heights(survey)[:, first:last]
    chosen = np.argsort(-heights, axis=1, kind="stable")[:, turn]
    rows = np.arange(len(chosen))
    values = {name: leaf[rows, first + chosen] for name, leaf in leaves_of(space, survey.params).items()}
    return _finite(values, np.isfinite(heights[rows, chosen]))


def highest_known(space: ParameterSpace, survey: Survey, params: Any, log_likelihood: np.ndarray) -> Beginnings:
    """Begin at the highest point of a survey, or where the search stopped if that is no lower."""
    found, stopped = highest(space, survey), where_stopped(space, params)
    on = stopped.known & (log_likelihood >= _heights(survey).max(axis=1))
    values = {
        name: np.where(on.reshape(-1, *[1] * (leaf.ndim - 1)), stopped.values[name], leaf)
        for name, leaf in found.values.items()
    }
    return Beginnings(values, on | found.known)


def _heights(survey: Survey) -> np.ndarray:
    heights = np.asarray(survey.heights)
    return np.where(np.isfinite(heights), heights, -np.inf)


def _finite(values: dict[str, np.ndarray], known: np.ndarray) -> Beginnings:
    finite = [np.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in values.values()]
    return Beginnings(values, np.logical_and.reduce([known, *finite]))

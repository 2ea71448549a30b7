"""Where rows stop being finite, found by evaluating them: distances to such an edge, and its normal.

All points, directions and distances are in units of standard errors (every coordinate's own, the others held), so that
the units of the parameters do not matter.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax.fitting.solution import Solution
from mle_jax.likelihood.evaluation import sample, sample_contributions, theta_scores
from mle_jax.likelihood.layout import count_rows
from mle_jax.likelihood.programs import verb_program
from mle_jax.parameters import Coordinates

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

AHEAD = 2.0 ** np.arange(-40, -6)  # a row that stops a search is nearer than the last of these
SIDE = 1e-3  # over which the normal of an edge is measured
WIDER = 2.0 ** np.arange(12)  # times SIDE: where the edge is looked for from a point beside
HALVINGS = 80
MOST = 10**8  # contributions that are held at once


@dataclass(frozen=True)
class Terrain:
    """The rows of a dataset as functions of the free coordinates."""

    model: "Model"
    place: Coordinates
    data: Any
    weights: Any
    unit: np.ndarray  # (k,) one standard error

    def values(self, points: np.ndarray) -> np.ndarray:
        """Return the contributions at many points (m, k), shape (m, n)."""
        run = verb_program(self.model, _at_points)
        return np.asarray(run(self.place, jnp.asarray(points * self.unit), self.data, self.weights))

    def scores(self, point: np.ndarray) -> np.ndarray:
        """Return the scores of the rows at a point, (n, k)."""
        run = verb_program(self.model, _scores)
        return np.asarray(run(self.place, jnp.asarray(point * self.unit), self.data, self.weights)) * self.unit


def terrain_around(model: "Model", place: Coordinates, solution: Solution, data: Any, weights: Any) -> Terrain | None:
    """Take the units from the information at a solution; None where nothing can be told, or the rows are too many.

    Where the information says next to nothing, a unit is what changes the log-likelihood by about 1.
    """
    diagonal = np.abs(np.asarray(solution.certificate.diagonal))
    if model.is_joint or not place.size or not np.isfinite(solution.log_likelihood):
        return None
    if not solution.certificate.is_dense:  # then the scores of all rows are too many as well
        return None
    if count_rows(model, data) * max(AHEAD.size, 2 * place.size) > MOST:
        return None
    plain = Terrain(model, place, data, weights, np.ones(place.size))
    with np.errstate(over="ignore"):  # what is not finite is looked at next
        measure = np.maximum(diagonal, plain.scores(np.asarray(solution.theta)).sum(axis=0) ** 2)
    if not np.isfinite(measure).all():
        return None
    unit = 1 / np.sqrt(np.where(measure > 0, measure, 1.0))
    with np.errstate(over="ignore"):  # so many units away there is nothing to be seen
        beyond = not np.isfinite(np.asarray(solution.theta) / unit).all()
    return None if beyond else Terrain(model, place, data, weights, unit)


def stopping_rows(terrain: Terrain, point: np.ndarray, ahead: np.ndarray) -> list[int]:
    """Return the rows that are not finite just ahead of a point where all are."""
    length = np.linalg.norm(ahead)
    if not np.isfinite(length) or length == 0:
        return []
    finite = np.isfinite(terrain.values(np.vstack([point, point + AHEAD[:, None] * ahead / length])))
    if not finite[0].all() or finite[-1].all():
        return []
    nearest = finite[np.argmin(finite.all(axis=1))]
    return [int(row) for row in np.flatnonzero(~nearest)]


def distances(terrain: Terrain, points: np.ndarray, out: np.ndarray, row: int) -> np.ndarray | None:
    """Return how far it is to the edge of a row along a direction, from each of some points near it, (m,).

    Negative where the point is beyond the edge; None where an edge is not found from every point.
    """

    def finite(far: np.ndarray) -> np.ndarray:
        return np.isfinite(terrain.values(points + far[:, None] * out)[:, row])

    reach = np.full(len(points), np.nan)
    for width in SIDE * WIDER:
        between = finite(np.full(len(points), -width)) & ~finite(np.full(len(points), width))
        reach = np.where(np.isnan(reach) & between, width, reach)
        if not np.isnan(reach).any():
            break
    if np.isnan(reach).any():
        return None
    inner, outer = -reach, reach
    for _ in range(HALVINGS):
        middle = (inner + outer) / 2
        inside = finite(middle)
        inner, outer = np.where(inside, middle, inner), np.where(inside, outer, middle)
    return inner


def outward_normal(terrain: Terrain, point: np.ndarray, out: np.ndarray, row: int) -> np.ndarray | None:
    """Return the unit normal of the edge of a row near a point, (k,), or None where it has none.

    The distance t to the edge along `out` changes from point to point by -n / <n, out>.
    """
    sides = SIDE * np.eye(point.size)
    found = distances(terrain, np.concatenate([point + sides, point - sides]), out, row)
    if found is None:
        return None
    slope = (found[point.size :] - found[: point.size]) / (2 * SIDE)
    length = float(np.linalg.norm(slope))
    return slope / length if length > 0 else None


def is_straight(terrain: Terrain, point: np.ndarray, normal: np.ndarray, row: int) -> bool:
    """Say whether the edge of a row is flat for half a standard error around, to a hundredth of that."""
    across = np.linalg.svd(normal[None, :])[2][1:] / 2
    found = distances(terrain, np.vstack([point, point + across, point - across]), normal, row)
    return found is not None and bool(np.all(np.abs(found - found[0]) < 5e-3))


def _at_points(model: "Model", place: Coordinates, points: Array, data: Any, weights: Array | None) -> Array:
    ready = sample(model, data, weights)
    values: Array = jax.lax.map(lambda point: sample_contributions(model, place.params(point), ready), points)
    return values


def _scores(model: "Model", place: Coordinates, point: Array, data: Any, weights: Array | None) -> Array:
    return theta_scores(model, place, point, sample(model, data, weights))

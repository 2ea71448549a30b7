"""Maxima at the edge of what some rows allow: a mean that must not be negative, a support that ends at a parameter.

Nothing is known of such an edge but that the log density of a row stops being finite beyond it, so it is measured:

1 find the rows that stop the way uphill, and the normals of their edges;
2 fit again within the edges, theta = origin + basis phi with a basis orthogonal to the normals; where another row
  stops that search, repeat with it;
3 it is a maximum where the search within is certified and the score is a sum of outward normals with factors above 0
  (the Karush-Kuhn-Tucker condition). The row with the lowest factor below 0 is let go, and 2 repeated;
4 go to the edge itself. Where that brings more than the factors say, the log-likelihood rises there without end.

An edge behind which a row had next to nothing to lose is no edge of its support, but a log density that overflows.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mle_jax._status import Status
from mle_jax.fitting.boundary import HIGHER, OPEN_ENDED
from mle_jax.fitting.certificate import SHARE
from mle_jax.fitting.solution import Solution
from mle_jax.fitting.solving import solve
from mle_jax.fitting.terrain import Terrain, distances, is_straight, outward_normal, stopping_rows, terrain_around
from mle_jax.fitting.verdicts import touching
from mle_jax.likelihood.programs import verb_program
from mle_jax.likelihood.rows import row_layout
from mle_jax.optimizers import Newton
from mle_jax.parameters import Coordinates, ParameterSpace

if TYPE_CHECKING:
    from mle_jax.likelihood import Model

INSIDE = 1e-6  # standard errors that the search within an edge keeps from it, for the last digits of its normal
CLOSE = 1e-13  # and at the end, or the rounding of the point
LEAST_SCORE = 1e-6  # of the largest: what a row at its edge has, in units of a standard error
RESIDUAL = 1e-5  # standard errors: of the score beside the normals
ROUNDS = 12
MOST_EDGES = 50  # of different rows: so many at once are log densities that overflow, and each takes long to measure


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Edged:
    """Free coordinates phi within an edge: theta = origin + basis phi; speaks like `Coordinates`."""

    base: Coordinates
    origin: Array  # (k,)
    basis: Array  # (k, m)
    rows: Array  # whose edge it is

    @property
    def size(self) -> int:
        """The number m of coordinates within the edge."""
        return int(self.basis.shape[1])

    @property
    def space(self) -> ParameterSpace:
        """The declared parameters."""
        return self.base.space

    @property
    def fixed(self) -> tuple[bool, ...]:
        """Which flat entries do not move."""
        return self.base.fixed

    def original(self, phi: Array) -> Array:
        """Return theta, all free coordinates."""
        return self.origin + self.basis @ phi

    def params(self, phi: Array) -> Any:
        """Return the named parameters."""
        return self.base.params(self.original(phi))

    def flat(self, phi: Array) -> Array:
        """Return the flat natural parameters."""
        return self.base.flat(self.original(phi))

    def jacobian(self, phi: Array) -> Array:
        """Return d flat / d phi."""
        return self.base.jacobian(self.original(phi)) @ self.basis


def on_edge(
    model: "Model",
    place: Coordinates,
    solution: Solution,
    data: Any,
    weights: Any,
    *,
    tolerance: float,
    max_steps: int,
) -> tuple[Any, Solution]:
    """Look for the maximum at the edge of what some rows allow, where a row stopped the search.

    Returns:
        The coordinates to read the solution in, and the solution; both unchanged where there is no such maximum.
    """
    if Status(int(solution.status)) not in OPEN_ENDED:  # asked first: the scores of all rows cost a pass
        return place, solution
    terrain = terrain_around(model, place, solution, data, weights)
    if terrain is None:
        return place, solution
    point, steps = np.asarray(solution.theta) / terrain.unit, int(solution.steps)
    normals: dict[int, np.ndarray] = {}
    alike: dict[int, list[int]] = {}
    for _ in range(ROUNDS):
        # 1
        uphill = terrain.scores(point).sum(axis=0)
        within = _complement(normals, point.size)
        for row, others in _alike(terrain, stopping_rows(terrain, point, within @ (within.T @ uphill))).items():
            normals.setdefault(row, uphill / np.linalg.norm(uphill))
            alike.setdefault(row, others)
        normals = _renewed(terrain, point, normals)
        if not normals:
            break
        # 2
        start = _beside(terrain, point, normals, INSIDE)
        if start is None:
            break
        place_within = _edged(terrain, start, normals)
        found = verb_program(model, _solve_within)(place_within, data, weights, tolerance, max_steps)
        steps += int(found.steps)
        point = np.asarray(place_within.original(found.theta)) / terrain.unit
        if not Status(int(found.status)).certified:
            continue
        # 3
        factors, residual = _factors(terrain, point, normals)
        if factors.min() < 0:
            del normals[list(normals)[int(np.argmin(factors))]]
            continue
        if residual > RESIDUAL * (1 + factors.sum()):
            continue
        # 4
        found = found._replace(steps=jnp.int32(steps))
        rows = jnp.asarray(sorted(row for first in normals for row in alike[first]))
        return _settled(terrain, solution, replace(place_within, rows=rows), found, point, normals, factors)
    return place, solution


def _renewed(terrain: Terrain, point: np.ndarray, normals: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Measure the normals of edges again at a point near them; none where they cannot be measured."""
    if len(normals) > MOST_EDGES:
        return {}
    renewed = {row: outward_normal(terrain, point, out, row) for row, out in normals.items()}
    found = {row: normal for row, normal in renewed.items() if normal is not None}
    return found if len(found) == len(normals) else {}


def _alike(terrain: Terrain, rows: list[int]) -> dict[int, list[int]]:
    """Put rows of the same data together, whose edges are the same: the first of them -> all."""
    leaves = [np.asarray(leaf)[rows] for leaf in row_layout(terrain.data, tuple(terrain.model.constants)).rows]
    groups: dict[tuple[bytes, ...], list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(tuple(leaf[i].tobytes() for leaf in leaves), []).append(row)
    return {group[0]: group for group in groups.values()}


def _settled(
    terrain: Terrain,
    solution: Solution,
    within: Edged,
    found: Solution,
    point: np.ndarray,
    normals: dict[int, np.ndarray],
    factors: np.ndarray,
) -> tuple[Any, Solution]:
    """Go to the edge itself, and say what holds there; what came before, where it is not a maximum."""
    unchanged = terrain.place, solution
    gap = max(CLOSE, 10 * np.finfo(float).eps * float(np.abs(point).max()))
    end = _beside(terrain, point, normals, gap)
    if end is not None and within.size:
        # The search kept a little away from the edge: one more Newton step, on the edge.
        basis = np.asarray(within.basis) / terrain.unit[:, None]
        slope = basis.T @ terrain.scores(end).sum(axis=0)
        end = _beside(terrain, end + basis @ np.linalg.solve(found.certificate.information, slope), normals, gap)
    if end is None:
        return unchanged
    height = float(terrain.values(end[None, :]).sum())
    endless = height - float(found.log_likelihood) > 3 * INSIDE * factors.sum() + HIGHER
    own = np.abs([terrain.scores(end)[row] @ normal for row, normal in normals.items()])
    no_support = np.any(own < LEAST_SCORE * np.linalg.norm(terrain.scores(end), axis=1).max())
    if not np.isfinite(height) or height < float(solution.log_likelihood) - HIGHER or endless or no_support:
        return unchanged
    theta = jnp.asarray(end * terrain.unit)
    tied = np.any(np.abs(list(normals.values())) > SHARE, axis=0)
    straight = all(is_straight(terrain, end, normal, row) for row, normal in normals.items())
    reliable = ~np.asarray(touching(terrain.place, theta, jnp.asarray(tied))) & straight
    return Edged(within.base, theta - within.basis @ found.theta, within.basis, within.rows), found._replace(
        params=terrain.place.params(theta),
        log_likelihood=jnp.asarray(height),
        status=jnp.int32(Status.at_boundary.value),
        reliable=jnp.asarray(reliable),
    )


def _solve_within(
    model: "Model", within: Edged, data: Any, weights: Array | None, tolerance: Array | float, max_steps: Array | int
) -> Solution:
    start = jnp.zeros(within.size, within.origin.dtype)
    return solve(model, within, start, data, weights, Newton(), tolerance=tolerance, max_steps=max_steps)


def _edged(terrain: Terrain, point: np.ndarray, normals: dict[int, np.ndarray]) -> Edged:
    basis = terrain.unit[:, None] * _complement(normals, point.size)
    return Edged(terrain.place, jnp.asarray(point * terrain.unit), jnp.asarray(basis), jnp.asarray(sorted(normals)))


def _complement(normals: dict[int, np.ndarray], size: int) -> np.ndarray:
    """Return an orthonormal basis of what is orthogonal to the normals, (k, k - their rank)."""
    if not normals:
        return np.eye(size)
    _, values, right = np.linalg.svd(np.array(list(normals.values())))
    rank = int(np.sum(values > 1e-6 * values[0]))
    return right[rank:].T


def _beside(terrain: Terrain, point: np.ndarray, normals: dict[int, np.ndarray], gap: float) -> np.ndarray | None:
    """Return the nearest point that is so far inside of the edges; None where they are not found."""
    matrix = np.array(list(normals.values()))
    for _ in range(3):  # once is enough for straight edges
        far = [distances(terrain, point[None, :], normal, row) for row, normal in normals.items()]
        if any(one is None for one in far):
            return None
        point = point + np.linalg.lstsq(matrix, np.array([one[0] for one in far if one is not None]) - gap)[0]
    return point if np.isfinite(terrain.values(point[None, :])).all() else None


def _factors(terrain: Terrain, point: np.ndarray, normals: dict[int, np.ndarray]) -> tuple[np.ndarray, float]:
    """Write the score as a sum of the outward normals; return the factors and the length of the rest."""
    score, matrix = terrain.scores(point).sum(axis=0), np.array(list(normals.values()))
    factors = np.linalg.lstsq(matrix.T, score)[0]
    return factors, float(np.linalg.norm(score - matrix.T @ factors))

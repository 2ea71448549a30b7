"""Other points to check at, so that an accident at one point does not pass for a proof."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from mle_jax.gradients.coordinates import Coordinates, Vector
from mle_jax.gradients.evaluation import Probe

RADIUS = 2.0**-5
"""Relative size of the move: far beyond rounding, yet rarely out of the function's domain."""
SMALLER = (1.0, 2.0**-5, 2.0**-10, 2.0**-20)
"""Shares of the radius, one after the other."""
WALL = 1e6
"""A value that is larger than the one at the base point by this factor is no value: it is a penalty, like -1e10."""


def draw_neighbors(
    coords: Coordinates, probe: Probe, *, sizes: Vector, points: int, seed: int, draw: Callable[[Any], Any] | None
) -> list[Vector]:
    """Return points around (or drawn) at which the function is finite.

    Args:
        coords: the coordinates.
        probe: the function, at the base point.
        sizes: (k,), typical sizes of the coordinates.
        points: how many points to try.
        seed: of the random moves.
        draw: ``key -> params``, a source of points of the caller's own.

    Returns:
        At most `points` flat points. A move that leaves the domain is made smaller; after four attempts the point is
        given up.
    """
    keys = jax.random.split(jax.random.key(seed), max(points, 1))[:points]
    if draw is not None:
        candidates = [coords.flat(draw(key), "the point that draw returned") for key in keys]
        return [point for point in candidates if _is_finite(probe, point)]
    rng = np.random.default_rng(seed)
    found: list[Vector] = []
    for _ in range(points):
        move = _symmetric(coords, probe.point, sizes * rng.uniform(-1.0, 1.0, sizes.size))
        moves = RADIUS * np.asarray(SMALLER)[:, None] * move
        tries = np.asarray((probe.point + moves).astype(probe.point.dtype), np.float64)
        values = np.abs(probe.at(np.concatenate([probe.point[None], tries])))
        inside = np.isfinite(values[1:]) & ~(values[1:] > WALL * (values[0] + 1.0))
        found.extend(tries[np.flatnonzero(inside)[:1]])
    return found


def given(coords: Coordinates, others: Sequence[Any]) -> list[Vector]:
    """Flatten the points that the caller chose."""
    return [coords.flat(params, f"others[{i}]") for i, params in enumerate(others)]


def _symmetric(coords: Coordinates, point: Vector, move: Vector) -> Vector:
    """Keep symmetric matrices symmetric: formulas for covariances hold only there."""
    move = move.copy()
    for piece, shape in zip(coords.slices.values(), coords.shapes, strict=True):
        if len(shape) == 2 and shape[0] == shape[1]:
            matrix, change = point[piece].reshape(shape), move[piece].reshape(shape)
            if np.array_equal(matrix, matrix.T):
                move[piece] = ((change + change.T) / 2.0).ravel()
    return move


def _is_finite(probe: Probe, point: Vector) -> bool:
    return bool(np.all(np.isfinite(probe.at(point[None]))))

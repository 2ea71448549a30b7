"""Second derivatives from the function's values alone: a source that knows nothing of automatic differentiation.

Along a line s -> f(x + s d) the quotients (f(x + h d) - 2 f(x) + f(x - h d)) / h^2 are extrapolated to h = 0 like those
of `extrapolation`. A mixed derivative comes from two lines by polarization,
d_i d_j f = (D(u_i e_i + u_j e_j) - D(u_i e_i - u_j e_j)) / (4 u_i u_j), with D the second derivative along the line.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.evaluation import Probe
from mle_jax.gradients.extrapolation import CENTRAL, NOISE_SAFETY, best_entry

STEPS, RATIO = 20, 2.5
"""From a quarter of the larger of two lengths down to 1e-8 of it."""


class Curvatures(NamedTuple):
    """Second derivatives with an error estimate of their own; infinite errors where they carry no digits."""

    value: Vector
    error: Vector


def curvatures(probe: Probe, directions: Vector, *, value: float, noise: float) -> Curvatures:
    """Differentiate twice along directions (q, k), whose lengths are those on which the function may change.

    Args:
        probe: the function at the point, in float64.
        directions: (q, k).
        value: the function's value at the point.
        noise: its rounding error.
    """
    q = len(directions)
    steps = RATIO ** -np.arange(float(STEPS)) / 2.0
    moves = (steps[None, :, None] * directions[:, None, :]).reshape(-1, directions.shape[1])
    up, down = (probe.at(probe.point + side * moves).reshape(q, STEPS) for side in (1.0, -1.0))
    with np.errstate(all="ignore"):
        quotients = ((up - value) - (value - down)) / steps**2
        largest = np.fmax(np.fmax(np.abs(up), np.abs(down)) / abs(value), 1.0) if value != 0.0 else np.ones_like(up)
        # The points themselves are rounded: a relative error of eps |x| / |h d| of the step, twice that of its square.
        reach = np.max(np.where(directions != 0.0, np.abs(probe.point / directions), 0.0), axis=1)[:, None]
        rounding = 4.0 * NOISE_SAFETY * noise * largest / steps**2 + np.abs(quotients) * np.finfo(float).eps * (
            1.0 + reach / steps
        )
        found = best_entry(quotients, np.full(q, RATIO), exponents=CENTRAL, rounding=rounding)
    return Curvatures(found.value, found.error)


def mixed(probe: Probe, pairs: NDArray[np.int64], lengths: Vector, *, value: float, noise: float) -> Curvatures:
    """Return d_i d_j f for pairs (q, 2) of coordinates.

    Args:
        probe: the function at the point, in float64.
        pairs: which two coordinates, perhaps the same.
        lengths: (k,), on which the function may be expected to change in each coordinate.
        value: the function's value at the point.
        noise: its rounding error.
    """
    q, k = len(pairs), probe.point.size
    rows = np.arange(q)
    i, j = pairs.T
    plus, minus = np.zeros((2, q, k))
    plus[rows, i] += lengths[i]
    minus[rows, i] += lengths[i]
    same = i == j
    plus[rows[~same], j[~same]] += lengths[j[~same]]
    minus[rows[~same], j[~same]] -= lengths[j[~same]]
    found = curvatures(probe, np.concatenate([plus, minus[~same]]), value=value, noise=noise)
    area = lengths[i] * lengths[j]
    number, error = found.value[:q] / area, found.error[:q] / area
    number[~same] = (found.value[:q][~same] - found.value[q:]) / (4.0 * area[~same])
    error[~same] = (found.error[:q][~same] + found.error[q:]) / (4.0 * area[~same])
    return Curvatures(number, error)


def natural_lengths(diagonal: Vector, sizes: Vector, value: float) -> Vector:
    """Return lengths (k,) on which the function changes visibly: its size over its curvature, near the typical size."""
    with np.errstate(divide="ignore", invalid="ignore"):
        lengths = np.sqrt(max(abs(value), np.finfo(float).tiny) / np.abs(diagonal))
    usable = np.isfinite(lengths) & (lengths > 0.0)
    return np.where(usable, np.clip(lengths, sizes / 16.0, sizes * 16.0), sizes)

"""Many coordinates at once: a line through a group of coordinates examines all of them for the price of one.

Along a line that moves every coordinate i of a group by d_i, a random multiple of its size, the slope is the sum of
d_i g_i. Where the differences agree with the slope that one source of derivatives predicts, that source is right in
every coordinate of the group: errors that cancel in a sum with random weights do not exist but by intent. So the
difference that is left, divided by d_i, is what the differences have to say against coordinate i. A line is believed
only where it resolves for each coordinate what a line of its own would; all others are left to such lines.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.evaluation import Probe
from mle_jax.gradients.extrapolation import Slopes, slopes
from mle_jax.gradients.rounding import EPS, cheap_bound

GROUP = 16
"""Coordinates on one line: few enough that each stands out from the rounding of the sum."""


@dataclass(frozen=True)
class Groups:
    """Coordinates in groups, and how far each is moved along the line of its group."""

    number: NDArray[np.int64]
    """(k,): the group of each coordinate; -1 for those in none."""
    weights: Vector
    """(k,)"""
    count: int

    def directions(self, numbers: NDArray[np.int64]) -> Vector:
        """Return the directions (m, k) of some of the lines."""
        return np.where(self.number == numbers[:, None], self.weights, 0.0)

    def totals(self, gradient: Vector) -> Vector:
        """Return the slope (count,) of each line according to a gradient (k,)."""
        member = self.number >= 0
        sums = np.bincount(self.number[member], (gradient * self.weights)[member], self.count)
        return np.asarray(sums, np.float64)

    def extremes(self, values: Vector, *, largest: bool) -> Vector:
        """Return the largest or the smallest entry (count,) of each group; NaN counts as both."""
        member = self.number >= 0
        found = np.full(self.count, -np.inf if largest else np.inf)
        (np.maximum if largest else np.minimum).at(found, self.number[member], values[member])
        return found


def make_groups(members: NDArray[np.int64], sizes: Vector, gradient: Vector, *, seed: int) -> Groups:
    """Put coordinates with slopes of about the same size into groups, so that no one drowns in another's error.

    Args:
        members: which coordinates.
        sizes: (k,), typical sizes of all of them.
        gradient: (k,).
        seed: of the weights, between half the size and the size, of random sign.
    """
    rng = np.random.default_rng([seed, 6])
    signs = np.where(rng.random(sizes.size) < 0.5, -1.0, 1.0)
    weights = sizes * signs * rng.uniform(0.5, 1.0, sizes.size)
    order = members[np.argsort(np.abs(gradient * sizes)[members], kind="stable")]
    number = np.full(sizes.size, -1)
    number[order] = np.arange(order.size) // GROUP
    return Groups(number, weights, -(-order.size // GROUP))


def examine_groups(
    probe: Probe,
    sources: tuple[Vector, Vector],
    *,
    groups: Groups,
    targets: Vector,
    pieces: Vector,
    centre: float,
    noise: float,
) -> tuple[NDArray[np.bool_], Slopes]:
    """Difference along the lines of the groups.

    Args:
        probe: the function at the point.
        sources: gradients (k,), any of which may be right: the automatic and the handwritten one.
        groups: the groups.
        targets: (k,), the error that each derivative may have at most.
        pieces: (k,), the size of what is summed to give each derivative.
        centre: the function's value at the point.
        noise: its rounding error.

    Returns:
        The coordinates (k,) on which the lines are believed, and the slopes (k,) that are left for them.
    """
    weights = np.abs(groups.weights)
    needed = groups.extremes(targets * weights, largest=False)
    reach = groups.extremes(np.abs(probe.point) / weights, largest=True) * 4.0 * EPS

    def line(numbers: NDArray[np.int64], offsets: Vector) -> tuple[Vector, Vector]:
        return probe.through(groups.directions, numbers, offsets=offsets), offsets.copy()

    measured = slopes(
        line,
        np.ones(groups.count),
        centre=centre,
        noise=noise,
        reach=reach,
        settled=lambda seen: np.asarray(seen.error <= needed),
    )
    return _shared(sources, measured, groups=groups, targets=targets, pieces=pieces)


def _shared(
    sources: tuple[Vector, Vector], measured: Slopes, *, groups: Groups, targets: Vector, pieces: Vector
) -> tuple[NDArray[np.bool_], Slopes]:
    """Share what the lines have found among their coordinates, where a source explains it."""
    k = groups.number.size
    lines, weights = groups.number, np.abs(groups.weights)
    believed = np.zeros(k, bool)
    value, error = np.full(k, np.nan), np.full(k, np.inf)
    sizes = Groups(groups.number, weights, groups.count)
    with np.errstate(invalid="ignore", over="ignore"):
        for gradient in sources:
            rounding = sizes.totals(cheap_bound(gradient, gradient, pieces=pieces))
            left = measured.value - groups.totals(gradient)
            explained = (np.abs(left) <= 2.0 * measured.error + rounding) & ~measured.kinked
            errors = (measured.error + rounding)[lines] / weights
            here = (lines >= 0) & explained[lines] & (errors <= targets) & ~believed
            value = np.where(here, gradient + left[lines] / groups.weights, value)
            error = np.where(here, errors, error)
            believed |= here
    best = np.where(believed, measured.best[lines], np.nan)
    return believed, Slopes(value, error, np.zeros(k), best)

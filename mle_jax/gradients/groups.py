"""Many coordinates at once: a line through a group of coordinates examines all of them for the price of one.

Along a line that moves every coordinate i of a group by d_i, a random multiple of its size, the slope is the sum of
d_i g_i. Where the differences agree with the slope that one source of derivatives predicts, that source is right in
every coordinate of the group: errors that cancel in a sum with random weights do not exist but by intent. So the
difference that is left, divided by d_i, is what the differences have to say against coordinate i. A line is believed
only where it resolves for each coordinate what a line of its own would; all others are left to such lines.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.evaluation import Noise, Probe
from mle_jax.gradients.extrapolation import Slopes, slopes
from mle_jax.gradients.rounding import EPS, cheap_bound, placing_noise

GROUP = 16
"""Coordinates on one line: few enough that each stands out from the rounding of the sum."""
LEAST = 2.0**-8
"""Smallest of the steps that are taken first."""


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

    def sums(self, values: Vector) -> Vector:
        """Return the sum (count,) of the entries of each group."""
        member = self.number >= 0
        return np.asarray(np.bincount(self.number[member], values[member], self.count), np.float64)

    def extremes(self, values: Vector, *, largest: bool) -> Vector:
        """Return the largest or the smallest entry (count,) of each group; NaN counts as both."""
        member = self.number >= 0
        found = np.full(self.count, -np.inf if largest else np.inf)
        (np.maximum if largest else np.minimum).at(found, self.number[member], values[member])
        return found


class Seen(NamedTuple):
    """What the lines of the groups say about each coordinate."""

    believed: NDArray[np.bool_]
    """(k,): a source explains the line of its group, which resolves it."""
    contradicted: NDArray[np.bool_]
    """(k,): no source explains the line, and the line leaves no doubt."""
    slopes: Slopes
    """(k,): where a line is believed, what is left for the coordinate if all others of its group are right."""


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
    noise: Noise,
) -> Seen:
    """Difference along the lines of the groups.

    Args:
        probe: the function at the point.
        sources: gradients (k,), any of which may be right: the automatic and the handwritten one.
        groups: the groups.
        targets: (k,), the error that each derivative may have at most.
        pieces: (k,), the size of what is summed to give each derivative.
        centre: the function's value at the point.
        noise: the rounding error of the function's values.

    Returns:
        What the lines say about each coordinate.
    """
    weights = np.abs(groups.weights)
    placing = np.sqrt(groups.sums(placing_noise(probe.point, sources[0]) ** 2))
    needed = groups.extremes(targets * weights, largest=False)
    reach = groups.extremes(np.abs(probe.point) / weights, largest=True) * 4.0 * EPS

    def line(numbers: NDArray[np.int64], offsets: Vector) -> tuple[Vector, Vector]:
        return probe.through(groups.directions, numbers, offsets=offsets), offsets.copy()

    measured = slopes(
        line,
        np.ones(groups.count),
        centre=centre,
        noise=noise.level + placing,
        drift=noise.drift,
        reach=reach,
        settled=lambda seen: np.asarray(seen.error <= needed),
    )
    believed, shared = _share(sources, measured, groups=groups, targets=targets, pieces=pieces)
    explained = groups.extremes(believed.astype(float), largest=True) > 0.0
    # Nothing is certain about lines that needed smaller steps than usual: other coordinates might need them too.
    certain = (measured.error <= needed) & (measured.best >= LEAST) & ~measured.kinked & ~explained
    return Seen(believed, (groups.number >= 0) & certain[groups.number], shared)


def _share(
    sources: tuple[Vector, Vector], measured: Slopes, *, groups: Groups, targets: Vector, pieces: Vector
) -> tuple[NDArray[np.bool_], Slopes]:
    """Share what the lines have found among their coordinates, where a source explains it."""
    k, lines, weights = groups.number.size, groups.number, np.abs(groups.weights)
    believed = np.zeros(k, bool)
    value, error = np.full(k, np.nan), np.full(k, np.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        for gradient in sources:
            rounding = groups.sums(cheap_bound(gradient, gradient, pieces=pieces) * weights)
            left = measured.value - groups.sums(gradient * groups.weights)
            explained = (np.abs(left) <= 2.0 * measured.error + rounding) & ~measured.kinked
            errors = (measured.error + rounding)[lines] / weights
            here = (lines >= 0) & explained[lines] & (errors <= targets) & ~believed
            value = np.where(here, gradient + left[lines] / groups.weights, value)
            error = np.where(here, errors, error)
            believed |= here
    return believed, Slopes(value, error, np.zeros(k), np.where(believed, measured.best[lines], np.nan))

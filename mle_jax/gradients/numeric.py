"""The numeric derivatives at a point: of each coordinate on its own, of many in groups, along a random direction."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mle_jax.gradients.coordinates import Vector, typical_sizes
from mle_jax.gradients.evaluation import Noise, Probe
from mle_jax.gradients.extrapolation import Slopes, slopes
from mle_jax.gradients.groups import Seen, examine_groups, make_groups
from mle_jax.gradients.rounding import EPS, placing_noise

if TYPE_CHECKING:
    from mle_jax.gradients.evidence import Evidence, Task

MANY = 128
"""More coordinates than that are taken in groups."""
WORST = 16
"""So many of those in doubt are taken one by one all the same."""
BLATANT = 32.0
"""Errors by which the first few steps must miss a suspect derivative, to be believed without more of them."""


def random_direction(sizes: Vector, seed: int) -> Vector:
    """Return a direction (k,) that moves every coordinate by a random share of its size."""
    rng = np.random.default_rng([seed, 5])
    signs = np.where(rng.random(sizes.size) < 0.5, -1.0, 1.0)
    return np.asarray(sizes * signs * rng.uniform(0.5, 1.0, sizes.size) / np.sqrt(sizes.size))


def differenced(task: "Task", found: "Evidence", probe: Probe, *, lines: NDArray[np.int64], noise: Noise) -> "Evidence":
    """Add the numeric derivatives along the given lines, in groups where they are many."""
    if lines.size > MANY:
        worst = _worst(found)
        seen = _in_groups(task, found, probe, members=np.setdiff1d(lines[:-1], worst), noise=noise)
        places = np.flatnonzero(seen.believed)
        found = replace(found, slopes=found.slopes.put(places, seen.slopes.take(places)))
        lines = np.setdiff1d(lines, places)
        return _one_by_one(task, found, probe, lines=lines, noise=noise, suspect=np.append(seen.contradicted, False))
    return _one_by_one(task, found, probe, lines=lines, noise=noise, suspect=np.zeros(found.hand.size, bool))


def _worst(found: "Evidence") -> NDArray[np.int64]:
    """Return the coordinates that are most in doubt, at most `WORST`."""
    doubtful = np.flatnonzero(found.doubtful[:-1])
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = np.abs(found.hand - found.auto)[doubtful] / found.pieces[doubtful]
    return doubtful[np.argsort(-excess, kind="stable")[:WORST]]


def _in_groups(task: "Task", found: "Evidence", probe: Probe, *, members: NDArray[np.int64], noise: Noise) -> Seen:
    k = task.coords.size
    sizes = typical_sizes(task.coords, found.point)
    hand, auto = found.hand[:k], found.auto[:k]
    return examine_groups(
        probe,
        (auto, hand),
        groups=make_groups(members, sizes, auto, seed=task.seed),
        targets=_target(hand, auto, found.bound[:k], alone=False, least=1e3 * noise.level / sizes),
        pieces=found.pieces[:k],
        centre=found.value,
        noise=noise,
    )


def _one_by_one(
    task: "Task", found: "Evidence", probe: Probe, *, lines: NDArray[np.int64], noise: Noise, suspect: NDArray[np.bool_]
) -> "Evidence":
    """Add the numeric derivatives along some of the coordinates' own lines and the random direction.

    Coordinates are suspect (k + 1,) where a line through them has contradicted the gradient already.
    """
    k = task.coords.size
    sizes = np.append(typical_sizes(task.coords, found.point), 1.0)
    direction = random_direction(sizes[:k], task.seed)
    reach = np.append(np.abs(found.point), np.max(np.abs(found.point / direction))) * 4.0 * EPS
    # Along a coordinate the step that was really made is known; a point beside all coordinates is only near the line.
    placing = np.append(np.zeros(k), np.linalg.norm(placing_noise(found.point, found.auto[:k])))

    def line(numbers: NDArray[np.int64], offsets: Vector) -> tuple[Vector, Vector]:
        which = lines[numbers]
        oblique = which == k
        values, made = np.empty(offsets.size), offsets.copy()
        values[~oblique], made[~oblique] = probe.along(which[~oblique], offsets[~oblique])
        values[oblique] = probe.at(found.point + offsets[oblique, None] * direction)
        return values, made

    hand, auto, bound = found.hand[lines], found.auto[lines], found.bound[lines]
    target = _target(hand, auto, bound, alone=task.gradient is None, least=1e3 * noise.level / sizes[lines])

    def settled(seen: Slopes) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore"):
            apart = np.abs(auto - seen.value)
            consistent = apart <= seen.error + bound
            blatant = suspect[lines] & (apart > BLATANT * (seen.error + bound))
        return np.asarray((consistent | blatant) & (seen.error <= target))

    measured = slopes(
        line,
        sizes[lines],
        centre=found.value,
        noise=noise.level + placing[lines],
        drift=noise.drift / sizes[lines],
        reach=reach[lines],
        settled=settled,
    )
    return replace(found, slopes=found.slopes.put(lines, measured))


def _target(hand: Vector, auto: Vector, bound: Vector, *, alone: bool, least: Vector) -> Vector:
    """Return the error of the differences that is small enough to decide.

    Where two sources disagree, a fraction of their distance; where they agree, six digits; where there is only one, as
    many as there are to be had.
    """
    with np.errstate(invalid="ignore"):
        apart = np.abs(hand - auto)
        disagree = apart > bound
    agreed = np.fmax((1e-8 if alone else 1e-6) * np.abs(auto), least * (1e-2 if alone else 1.0))
    return np.asarray(np.where(disagree, apart / 16.0, agreed))


def taylor_order(probe: Probe, direction: Vector, value: float, *, slope: float, noise: float) -> float:
    """Return the rate at which f(x + t d) - f(x) - t g'd falls with t, NaN if all of it is rounding.

    Reference:
        P. E. Farrell et al., Automated derivation of the adjoint of high-level transient finite element programs,
        SIAM J. Sci. Comput. 35 (2013), section 6: the Taylor remainder convergence test.
    """
    steps = 2.0 ** -np.arange(4.0, 14.0)
    with np.errstate(all="ignore"):
        remainder = np.abs(probe.at(probe.point + steps[:, None] * direction) - value - steps * slope)
        rates = np.log2(remainder[:-1] / remainder[1:])
    usable = np.flatnonzero((remainder[1:] > 30.0 * noise) & np.isfinite(rates))
    return float(rates[usable[-1]]) if usable.size else np.nan

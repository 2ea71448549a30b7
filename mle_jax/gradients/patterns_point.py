"""Handwritten gradients that are right, but at another point: parameters that were not updated."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mle_jax._text import listing, significant
from mle_jax.gradients.coordinates import Vector, typical_sizes
from mle_jax.gradients.slips import EXACT, TELLING, Case, Mask, Slip

MOST = 16
"""Up to so many coordinates the other point is solved for."""
STEPS = 12
"""Newton steps; the other point is near, or it is not found."""


def zero(case: Case, left: Mask) -> Iterator[Slip]:
    """Find derivatives that are 0 at every point, where the right ones are not."""
    group = left & ~np.any(case.hand, axis=0) & np.any(np.abs(case.right) > TELLING * case.bound, axis=0)
    if np.any(group):
        yield Slip("zero", f"The handwritten derivative in {_named(case, group)} is 0 at every point.", group)


def constant(case: Case, left: Mask) -> Iterator[Slip]:
    """Find derivatives that stay the same from point to point, where the right ones do not."""
    if not case.is_finite(left) or len(case.points) < 2:
        return
    bound = np.max(case.bound, axis=0)
    group = left & (np.ptp(case.hand, axis=0) <= EXACT * bound) & (np.ptp(case.right, axis=0) > TELLING * bound)
    if np.any(group):
        told = f"The handwritten derivative in {_named(case, group)} does not change with the parameters"
        yield Slip("stale_params", f"{told}, the right one does{_where_right(case, group)}.", group)


def elsewhere(case: Case, left: Mask) -> Iterator[Slip]:
    """Find gradients that are right at other parameters: some of those given are ignored, or lag behind."""
    if np.any(left) and case.is_finite(left) and case.coords.size <= MOST and len(case.points) > 2:
        told = _elsewhere(case)
        if told is not None:
            yield Slip("stale_params", told, left)


def _where_right(case: Case, group: Mask) -> str:
    fits = np.all((np.abs(case.hand[0] - case.right) <= EXACT * case.bound)[:, group], axis=1)
    numbers = np.flatnonzero(fits)
    return f": it is right at point {numbers[0]} only" if numbers.size else ""


class Shift(NamedTuple):
    """A guess of where the gradient was taken, made at the first point."""

    told: str
    points: Vector
    """(P, k)."""


def _elsewhere(case: Case) -> str | None:
    """Solve ``right(other) = hand`` where that is farthest off, and see whether the same move explains all others."""
    with np.errstate(all="ignore"):
        apart = np.abs(case.hand - case.right)
        first = int(np.argmax(np.max(apart / (case.bound + np.finfo(float).tiny), axis=1)))
    other = _solve(case, first)
    if other is None:
        return None
    for shift in _shifts(case, first, other):
        there = np.stack([case.probe.autodiff_with(point, case.probe.args)[1] for point in shift.points])
        # The other point is known to about eight digits, so the relation can be exact to no more than that.
        missed = np.abs(there - case.hand) > EXACT * case.bound + 1e-6 * np.max(apart, axis=0)
        telling = apart > TELLING * case.bound
        telling[first] = False  # it was solved for
        if not np.any(missed) and np.any(telling):
            return f"The handwritten gradient is right, but at another point: {shift.told}. Are its parameters stale?"
    return None


def _shifts(case: Case, first: int, other: Vector) -> Iterator[Shift]:
    here = case.points[first]
    moved = np.abs(other - here) > 1e-7 * typical_sizes(case.coords, here)
    if not np.any(moved):
        return
    whole = moved.copy()  # with the other entries of the same leaves, which may have been the same just here
    for piece in case.coords.slices.values():
        whole[piece] = np.any(moved[piece])
    for group in (moved, whole):
        yield Shift(f"{_named(case, group)} fixed at {_numbers(other[group])}", np.where(group, other, case.points))
    by = other - here
    if np.any(np.ptp(case.hand - case.right, axis=0) > TELLING * np.max(case.bound, axis=0)):
        # A constant difference could be anything; where the function is quadratic, a shift explains it all the same.
        yield Shift(f"{_named(case, moved)} off by {_numbers(by[moved])}", case.points + by)
    if np.all(here[moved] != 0.0) and not _is_multiple(case):
        # A gradient multiplied by a number could be; where the function is a power, such a shift explains it as well.
        with np.errstate(all="ignore"):
            ratio = np.where(moved, other / here, 1.0)
        yield Shift(f"{_named(case, moved)} multiplied by {_numbers(ratio[moved])}", case.points * ratio)


def _is_multiple(case: Case) -> bool:
    """Whether each coordinate that is wrong is the right one times a number of its own."""
    hand, right, bound = (array[:, case.wrong] for array in (case.hand, case.right, case.bound))
    with np.errstate(all="ignore"):
        ratio = hand[0] / right[0]
        missed = np.abs(hand - ratio * right) > EXACT * bound * np.fmax(1.0, np.abs(ratio))
    return bool(np.all(np.isfinite(ratio)) and not np.any(missed))


def _named(case: Case, group: Mask) -> str:
    return listing(case.listed(group), most=4)


def _numbers(values: Vector) -> str:
    """Write a few numbers, one where they are all the same."""
    if np.ptp(values) <= 1e-6 * np.max(np.abs(values)):
        values = values[:1]
    more = ", ..." if len(values) > 4 else ""
    return ", ".join(significant(float(value), 5) for value in values[:4]) + more


def _solve(case: Case, first: int) -> Vector | None:
    """Return the point near one of the points at which the right gradient is the handwritten one there."""
    probe, start, target = case.probe, case.points[first], case.hand[first]
    sizes = typical_sizes(case.coords, start)
    bound = EXACT * case.bound[first] + 1e-9 * np.abs(target - case.right[first])
    point, near = start.copy(), False
    for _ in range(STEPS):
        miss = probe.autodiff_with(point, probe.args)[1] - target
        if not np.all(np.isfinite(miss)):
            return None
        if near:
            return point
        near = bool(np.all(np.abs(miss) <= bound))  # one more step, which gives the digits that others are held to
        steps = 2.0**-18 * sizes
        columns = [
            (probe.autodiff_with(point + h, probe.args)[1] - probe.autodiff_with(point - h, probe.args)[1])
            for h in np.diag(steps)
        ]
        slopes = np.stack(columns, axis=1) / 2.0  # in units of the steps, so that scales do not matter
        if not np.all(np.isfinite(slopes)):
            return None
        rows = np.max(np.abs(slopes), axis=1)
        if not np.all(rows > 0.0) or np.linalg.cond(slopes / rows[:, None]) > 1e10:
            return None
        point = point - steps * np.linalg.solve(slopes / rows[:, None], miss / rows)
    return None

"""Numeric derivatives with an error estimate of their own: extrapolated differences over ladders of steps.

A line is a way through the function's domain, s -> f(x + s d), with d a coordinate or any direction. Central
differences at steps h, h/r, h/r^2, ... are extrapolated to h = 0; every entry of the tableau carries an estimate of its
truncation error (its distance from the entries it was made of, which is the error of the worse of them) and of its
rounding error (the function's noise divided by the step), and the entry with the smallest sum is taken.

Reference:
    C. J. F. Ridders, Accurate computation of F'(x) and F'(x) F''(x), Adv. Eng. Software 4 (1982); Press et al.,
    Numerical Recipes, 3rd ed., section 5.7.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.rounding import EPS

Line = Callable[[NDArray[np.int64], Vector], tuple[Vector, Vector]]
"""Take line numbers (m,) and offsets (m,); return the function's values (m,) and the offsets really made (m,)."""

CENTRAL, ONE_SIDED, SECOND = (2, 4, 6), (1, 2, 3), (1, 3, 5)
"""Powers of the step in the error of the three quotients, one after the other."""
NOISE_SAFETY = 4.0
ROUGHEST = 2.0**-16
"""The largest relative noise that values have without cancellation: that of single precision inside a long sum."""
JUMP_SHARE = 1e-4
"""A kink counts if the one-sided slopes differ by this share of their size."""


@dataclass(frozen=True)
class Slopes:
    """Derivatives along lines, with the error of each and the kink that was seen, if any."""

    value: Vector
    """(m,); NaN where no step gave finite values."""
    error: Vector
    """(m,); infinite where the value carries no digits."""
    jump: Vector
    """(m,): right-hand minus left-hand slope where they differ beyond doubt, 0 elsewhere."""
    best: Vector
    """(m,): the step at which the value was found."""

    @property
    def kinked(self) -> NDArray[np.bool_]:
        """Where the one-sided slopes differ."""
        return self.jump != 0.0

    def take(self, where: NDArray[np.int64]) -> "Slopes":
        """Return some of the slopes."""
        return Slopes(self.value[where], self.error[where], self.jump[where], self.best[where])

    def put(self, where: NDArray[np.int64], found: "Slopes") -> "Slopes":
        """Return the slopes with some of them replaced."""
        fields = []
        for name in ("value", "error", "jump", "best"):
            fields.append(getattr(self, name).copy())
            fields[-1][where] = getattr(found, name)
        return Slopes(*fields)


class _Ladder(NamedTuple):
    """Steps for each line: (m, L), descending by the ratio (m,)."""

    steps: Vector
    ratio: Vector


class Entry(NamedTuple):
    """The best entry of a tableau for each line."""

    value: Vector
    error: Vector
    column: NDArray[np.int64]


def slopes(
    line: Line,
    sizes: Vector,
    *,
    centre: float,
    noise: float | Vector,
    reach: Vector,
    settled: Callable[[Slopes], NDArray[np.bool_]],
    drift: float | Vector = 0.0,
) -> Slopes:
    """Differentiate along many lines, spending more steps only where the first few leave a question open.

    Args:
        line: evaluates the function along the lines.
        sizes: (m,), lengths on which the function may be expected to change.
        centre: the function's value at offset 0.
        noise: the rounding error of its values, along each line or along all of them.
        reach: (m,), the smallest step that arithmetic makes with a relative error below 1e-3 or so.
        settled: says which lines need no more steps.
        drift: what is added to the noise per unit of the offset.

    Returns:
        The slopes of the m lines.
    """
    noises = np.stack([np.broadcast_to(np.asarray(part, np.float64), sizes.shape) for part in (noise, drift)])
    found = _climb(line, np.arange(sizes.size), _quick(sizes), centre, noises)
    pending = np.flatnonzero(~settled(found) | found.kinked)
    if pending.size == 0:
        return found
    noises = noises[:, pending]
    wide = _climb(line, pending, _wide(sizes[pending], reach[pending]), centre, noises)
    top = np.maximum(wide.best * 8.0, 64.0 * reach[pending])
    fine = _climb(line, pending, _Ladder(top[:, None] * 2.0 ** -np.arange(9.0), np.full(top.size, 2.0)), centre, noises)
    first = found.take(pending)
    both = replace(wide, jump=np.where(fine.kinked, wide.jump, 0.0))
    return found.put(pending, _reconcile(first, _reconcile(fine, both)))


def _quick(sizes: Vector) -> _Ladder:
    """Return three steps, which do where the sizes are right."""
    return _Ladder(sizes[:, None] / 16.0 * 4.0 ** -np.arange(3.0), np.full(sizes.size, 4.0))


def _wide(sizes: Vector, reach: Vector) -> _Ladder:
    """Return 16 steps from far above to far below the size, for lines whose natural length is unknown."""
    top = np.maximum(sizes, 1.0) / 4.0
    bottom = np.maximum(np.minimum(sizes, 1.0) * 1e-10, 8.0 * reach)
    ratio = np.maximum((top / bottom) ** (1.0 / 15.0), 1.5)
    return _Ladder(top[:, None] * ratio[:, None] ** -np.arange(16.0), ratio)


def _climb(line: Line, lines: NDArray[np.int64], ladder: _Ladder, centre: float, noise: Vector) -> Slopes:
    """Take one ladder of steps on either side along each of the lines; the noise (2, m) has level and drift."""
    m, length = ladder.steps.shape
    numbers = np.tile(np.repeat(lines, length), 2)
    offsets = np.concatenate([ladder.steps.ravel(), -ladder.steps.ravel()])
    values, made = line(numbers, offsets)
    # What is infinite lies outside the domain, like what is not a number, and is no large value.
    up, down = np.where(np.isfinite(values), values, np.nan).reshape(2, m, length)
    ahead, behind = made.reshape(2, m, length) * np.array([1.0, -1.0])[:, None, None]
    with np.errstate(all="ignore"):
        level, drift = noise[:, :, None]
        # Of what is left when terms have cancelled, the noise is no share that larger values have, too.
        share = np.where(level < ROUGHEST * abs(centre), level / abs(centre), EPS)
        wobble = NOISE_SAFETY * (np.fmax(level, share * np.fmax(np.abs(up), np.abs(down))) + drift * ladder.steps)
        right, left = (up - centre) / ahead, (centre - down) / behind
        middle = best_entry(
            (up - down) / (ahead + behind), ladder.ratio, exponents=CENTRAL, rounding=2 * wobble / (ahead + behind)
        )
        second = best_entry(
            right - left, ladder.ratio, exponents=SECOND, rounding=2 * wobble * (1 / ahead + 1 / behind)
        )
        jump = np.where(_is_kink(second, middle), second.value, 0.0)
        for side, rise in ((right, ahead), (left, behind)):
            rounding = 2 * wobble / rise
            one_sided = best_entry(side, ladder.ratio, exponents=ONE_SIDED, rounding=rounding, cautious=True)
            middle = _replace_missing(middle, one_sided)
    return Slopes(middle.value, middle.error, jump, ladder.steps[np.arange(m), middle.column])


def _is_kink(second: Entry, middle: Entry) -> NDArray[np.bool_]:
    sides = np.abs(middle.value) + np.abs(second.value)
    return np.isfinite(second.error) & (np.abs(second.value) > np.fmax(8.0 * second.error, JUMP_SHARE * sides))


def _replace_missing(first: Entry, other: Entry) -> Entry:
    """Use one side where the other is outside the function's domain at every step."""
    missing = ~np.isfinite(first.error)
    return Entry(*(np.where(missing, b, a) for a, b in zip(first, other, strict=True)))


def best_entry(
    quotients: Vector, ratio: Vector, *, exponents: tuple[int, ...], rounding: Vector, cautious: bool = False
) -> Entry:
    """Extrapolate quotients (m, L) at descending steps to step 0 and choose the entry that promises most.

    Column q of the tableau removes the error term with exponent q; values that are not finite make an entry infinite
    in error. A first-column entry is judged by its neighbor at the larger step. An entry that extrapolates is judged as
    if the error had the power that is removed; cautiously, it is believed no better than the distance of what it was
    made of: at the edge of a domain a function may bend like a root.
    """
    m, length = quotients.shape
    value, noise = quotients, rounding
    error = np.full((m, length), np.inf)
    error[:, 1:] = np.abs(value[:, 1:] - value[:, :-1]) + noise[:, 1:]
    best = _smallest(value, error)
    for exponent in exponents:
        if value.shape[1] < 2:
            break
        weight = ratio[:, None] ** exponent
        refined = value[:, 1:] + (value[:, 1:] - value[:, :-1]) / (weight - 1.0)
        noise = (weight * noise[:, 1:] + noise[:, :-1]) / (weight - 1.0)
        share = 1.0 if cautious else weight
        parents = np.maximum(np.abs(refined - value[:, 1:]), np.abs(refined - value[:, :-1]) / share)
        value = refined
        offset = length - value.shape[1]
        candidate = _smallest(value, parents + noise)
        better = candidate.error < best.error
        columns = (candidate.value, candidate.error, candidate.column + offset)
        best = Entry(*(np.where(better, new, old) for new, old in zip(columns, best, strict=True)))
    return best


def _smallest(value: Vector, error: Vector) -> Entry:
    error = np.where(np.isfinite(error) & np.isfinite(value), error, np.inf)
    with np.errstate(invalid="ignore"):
        # An accidental agreement of two steps is found out by any smaller one that knows better.
        surprise = np.abs(value[:, None, :] - value[:, :, None]) - 2.0 * error[:, None, :]
        surprise = np.where(np.isfinite(surprise) & np.triu(np.ones(surprise.shape[1:], bool)), surprise, 0.0)
    error = np.fmax(error, surprise.max(axis=2))
    column = np.argmin(error, axis=1)
    rows = np.arange(len(value))
    found = np.where(np.isfinite(error[rows, column]), value[rows, column], np.nan)
    return Entry(found, error[rows, column], column)


def _reconcile(a: Slopes, b: Slopes) -> Slopes:
    """Take the more precise of two results.

    Where they contradict each other, the second, which has looked closer, is taken if it is sure of itself (the first
    has looked past a kink or a bend), else their distance is the error. A kink counts if the second has seen it.
    """
    with np.errstate(invalid="ignore"):
        apart = np.abs(a.value - b.value)
        contradiction = apart > 4.0 * (a.error + b.error)
        sure = b.error < apart / 16.0
    second = np.where(contradiction, sure, b.error < a.error)
    value, error, best = (np.where(second, getattr(b, name), getattr(a, name)) for name in ("value", "error", "best"))
    return Slopes(value, np.where(contradiction & ~sure, apart, error), b.jump, best)

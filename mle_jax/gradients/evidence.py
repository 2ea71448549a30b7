"""Gather the three derivatives of every coordinate at one point, and along one random direction through it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mle_jax.gradients.coordinates import Coordinates, Vector, cast, typical_sizes
from mle_jax.gradients.evaluation import Function, Noise, Probe, noise_around
from mle_jax.gradients.extrapolation import Slopes
from mle_jax.gradients.handwritten import Laid, call_gradient
from mle_jax.gradients.numeric import MANY, differenced, random_direction, taylor_order
from mle_jax.gradients.rounding import allowance, careful_bound, cheap_bound
from mle_jax.gradients.verdicts import Trio, Verdict, judge, judge_autodiff

MOST_EVERYWHERE = 64
"""Up to so many coordinates the differences are taken one by one at every point, beyond that at the first only; at
the others the random direction is, and the coordinates about which there is doubt."""


@dataclass(frozen=True)
class Task:
    """What is to be checked: the same at every point."""

    coords: Coordinates
    probe: Probe
    """In float64, with data rounded to the working precision."""
    single: Probe | None
    """The same in float32 where that is the working precision."""
    gradient: Function | None
    dtype: str
    scale: Any
    seed: int


@dataclass(frozen=True)
class Evidence:
    """What is known at one point. Arrays have k + 1 entries: the coordinates, then the random direction."""

    point: Vector
    value: float
    hand: Vector
    """Equal to `auto` where no gradient was written by hand."""
    auto: Vector
    slopes: Slopes
    bound: Vector
    """The difference of the two that is not called wrong."""
    rounding: Vector
    """The difference that rounding explains in float64."""
    pieces: Vector
    """The size of what is summed to give the derivative: errors are relative to it."""
    verdicts: tuple[Verdict, ...]
    order: float
    """Observed order of the Taylor remainder along the direction: 2 or more for a right gradient, 1 for a wrong one."""
    laid: Laid
    shown: tuple[Vector, Vector]
    """Handwritten and automatic derivatives in the working precision."""

    @property
    def doubtful(self) -> NDArray[np.bool_]:
        """Where handwritten and automatic derivative differ, or are not numbers."""
        with np.errstate(invalid="ignore"):
            return np.asarray(~(np.abs(self.hand - self.auto) <= self.bound))

    def trio(self, i: int) -> Trio:
        """Return what is known of one entry."""
        found = self.slopes
        numbers = (self.hand[i], self.auto[i], found.value[i], found.error[i], self.bound[i], found.jump[i])
        return Trio(*(float(number) for number in numbers))


def gather(task: Task, point: Vector, *, base: Evidence | None) -> Evidence:
    """Evaluate all three derivatives at a point and judge them.

    Args:
        task: what to check.
        point: (k,), float64.
        base: the evidence at the base point, where every coordinate is differenced; None if this is that point.
    """
    k = task.coords.size
    probe = task.probe.moved(point)
    sizes = typical_sizes(task.coords, point)
    direction = random_direction(sizes, task.seed)
    value, auto = probe.autodiff()
    laid = _hand(task, probe, point) or Laid(auto, {}, ())
    rounding, pieces = _bounds(task, probe, laid.flat, auto=auto, sizes=sizes, base=base)
    with np.errstate(invalid="ignore"):
        bound = allowance(laid.flat, auto, rounding, dtype=task.dtype)
        hand, auto = (np.append(g, g @ direction) for g in (laid.flat, auto))
        bound, rounding, pieces = (np.append(b, b @ np.abs(direction)) for b in (bound, rounding, pieces))
    blank = Slopes(np.full(k + 1, np.nan), np.full(k + 1, np.inf), np.zeros(k + 1), np.full(k + 1, np.nan))
    verdicts = (Verdict.NOT_FINITE,) * (k + 1)
    shown = (hand[:k], auto[:k])
    found = Evidence(point, value, hand, auto, blank, bound, rounding, pieces, verdicts, np.nan, laid, shown)
    if np.isfinite(value):
        found = _examined(task, found, probe, base=base)
    return _in_single_precision(task, found)


def _examined(task: Task, found: Evidence, probe: Probe, *, base: Evidence | None) -> Evidence:
    """Add the numeric derivatives that are needed, and the verdicts."""
    k = task.coords.size
    sizes = typical_sizes(task.coords, found.point)
    noise = noise_around(probe, found.value, sizes)
    everywhere = base is None or k <= MOST_EVERYWHERE
    wanted = np.arange(k + 1) if everywhere else np.union1d(np.flatnonzero(found.doubtful), [k])
    found = _judged(task, differenced(task, found, probe, lines=wanted, noise=noise), noise, wanted=wanted)
    unexplained = not found.verdicts[k].passes and all(verdict.passes for verdict in found.verdicts[:k])
    explained_before = k > MANY and base is not None and not all(verdict.passes for verdict in base.verdicts[:k])
    if unexplained and not explained_before and wanted.size <= k:
        wanted = np.arange(k + 1)
        found = _judged(task, differenced(task, found, probe, lines=wanted, noise=noise), noise, wanted=wanted)
    found = _reconsidered(task, found, probe, noise=noise, wanted=wanted)
    direction, slope = random_direction(sizes, task.seed), float(found.hand[k])
    return replace(found, order=taylor_order(probe, direction, found.value, slope=slope, noise=noise.level))


def _hand(task: Task, probe: Probe, point: Vector) -> Laid | None:
    if task.gradient is None:
        return None
    return call_gradient(task.gradient, task.coords, point, args=probe.args, dtype=str(probe.point.dtype))


def _bounds(
    task: Task, probe: Probe, hand: Vector, *, auto: Vector, sizes: Vector, base: Evidence | None
) -> tuple[Vector, Vector]:
    """Return the cheap bound where it is enough, else the careful one; NaN leaves do not count as disagreeing."""
    scale = _scale(task, probe)
    pieces = np.fmax(np.abs(auto), 0.0 if scale is None else scale)
    bound = cheap_bound(hand, auto, pieces=0.0 if scale is None else scale)
    with np.errstate(invalid="ignore"):
        disagree = np.abs(hand - auto) > allowance(hand, auto, bound, dtype=task.dtype)
    gradient = task.gradient
    if gradient is None or not np.any(disagree):
        return bound, pieces
    if base is not None and disagree.size > MANY:
        failed = np.array([not verdict.passes for verdict in base.verdicts[:-1]])
        if not np.any(disagree & ~failed):
            # The check has failed already, so that many more calls of the gradient would decide nothing.
            pieces = np.fmax(pieces, base.pieces[:-1] if scale is None else 0.0)
            return np.fmax(bound, base.rounding[:-1] * (pieces / base.pieces[:-1])), pieces

    def evaluate(where: Vector, args: Any) -> Vector:
        return call_gradient(gradient, task.coords, where, args=args, dtype=str(probe.point.dtype)).flat

    bound, sensed = careful_bound(evaluate, probe, sizes=sizes, scale=scale, here=(hand, auto))
    return bound, sensed if scale is None else pieces


def _scale(task: Task, probe: Probe) -> Vector | None:
    if task.scale is None:
        return None
    tree = task.scale
    if callable(tree):
        tree = tree(task.coords.tree(probe.point), *probe.args)
    return np.abs(task.coords.flat(tree, "scale"))


def _judged(task: Task, found: Evidence, noise: Noise, *, wanted: NDArray[np.int64]) -> Evidence:
    k = task.coords.size
    insignificant = 1e4 * (noise.level + noise.drift) / np.append(typical_sizes(task.coords, found.point), 1.0)
    examined = np.isin(np.arange(k + 1), wanted)
    verdicts = []
    # Off a kink's own axis the slope is any of those between the sides, and a small jump may go unnoticed.
    sides = np.nan_to_num(np.abs(found.slopes.jump[:k])) / 2.0
    between = float(sides @ np.abs(random_direction(typical_sizes(task.coords, found.point), task.seed)))
    for i in range(k + 1):
        trio = found.trio(i)
        if i == k:
            trio = trio._replace(bound=trio.bound + between)
        if task.gradient is None and examined[i]:
            verdicts.append(judge_autodiff(trio, float(insignificant[i])))
        else:
            verdicts.append(judge(trio))
    for leaf in found.laid.misfits:
        piece = task.coords.slices[leaf]
        verdicts[piece] = [Verdict.SHAPE] * (piece.stop - piece.start)
    if not found.laid.fits:
        # Nothing can be said along a direction with a leaf missing.
        verdicts[k] = Verdict.SHAPE
    return replace(found, verdicts=tuple(verdicts))


def _reconsidered(task: Task, found: Evidence, probe: Probe, *, noise: Noise, wanted: NDArray[np.int64]) -> Evidence:
    """Where differences seem too rough to confirm autodiff, ask how precise it can be: near a maximum nothing is."""
    if task.gradient is not None or Verdict.UNCLEAR not in found.verdicts:
        return found
    bound, pieces = careful_bound(
        lambda where, args: probe.autodiff_with(where, args)[1],
        probe,
        sizes=typical_sizes(task.coords, found.point),
        scale=_scale(task, probe),
        here=(found.auto[:-1], found.auto[:-1]),
    )
    direction = np.abs(random_direction(typical_sizes(task.coords, found.point), task.seed))
    wider = replace(found, bound=np.append(bound, bound @ direction), pieces=np.append(pieces, pieces @ direction))
    return _judged(task, wider, noise, wanted=wanted)


def _in_single_precision(task: Task, found: Evidence) -> Evidence:
    """Add what float32 makes of the formulas; the verdicts come from float64, which sees more."""
    if task.single is None:
        return found
    probe = task.single.moved(found.point)
    auto = probe.autodiff()[1]
    laid = _hand(task, probe, found.point)
    hand = auto if laid is None else laid.flat
    verdicts = list(found.verdicts)
    for i in range(task.coords.size):
        overflowed = np.isfinite(found.hand[i]) and not np.isfinite(hand[i])
        if verdicts[i].passes and (overflowed or (np.isfinite(found.auto[i]) and not np.isfinite(auto[i]))):
            verdicts[i] = Verdict.NOT_FINITE
    return replace(found, shown=(hand, auto), verdicts=tuple(verdicts))


def build_probes(
    function: Function, coords: Coordinates, point: Vector, *, args: Any, dtype: str, memory: int
) -> tuple[Probe, Probe | None]:
    """Return the probe in float64 and, where the working precision is float32, the one in float32."""
    if dtype == "float64":
        return Probe(function, coords.positions, cast(args, dtype), point, memory), None
    rounded = cast(args, "float32")
    single = Probe(function, coords.positions, rounded, point.astype(np.float32), memory)
    return Probe(function, coords.positions, cast(rounded, "float64"), point, memory), single

"""Gather the second derivatives from three sources at one point, and judge every entry.

The sources are the handwritten one, automatic differentiation (forward over reverse), and differences. The differences
are those of the automatic gradient, which carry many digits, as long as the values of the function do not contradict
that gradient; where they do, or where autodiff is accused, second differences of the values decide.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mle_jax.gradients.coordinates import Coordinates, Vector, typical_sizes
from mle_jax.gradients.evaluation import Probe, noise_level
from mle_jax.gradients.evidence import Evidence, Task, gather
from mle_jax.gradients.extrapolation import Slopes
from mle_jax.gradients.hessian_layout import WHOLE, LaidMatrix
from mle_jax.gradients.rounding import allowance, careful_bound, cheap_bound
from mle_jax.gradients.second_order import SecondProbe, differenced
from mle_jax.gradients.value_differences import Curvatures, curvatures, mixed, natural_lengths
from mle_jax.gradients.verdicts import MARGIN, Trio, Verdict, judge

MOST_EVERYWHERE = 64
"""Up to so many coordinates every column is differenced, beyond that those about which there is doubt."""
MOST_DOUBTFUL = 32
"""Columns that are differenced beyond that."""
MOST_PAIRS = 24
"""Entries that are held against second differences of the values, worst first."""

VERDICTS = tuple(Verdict)

Hand = Callable[[NDArray[Any], Any, Vector], LaidMatrix]
"""Take a point (k,), the data and vectors (m, k); return the handwritten second derivatives along them, (k, m)."""


@dataclass(frozen=True)
class SecondTask:
    """What is to be checked: the same at every point."""

    coords: Coordinates
    probe: Probe
    """In float64, with data rounded to the working precision."""
    single: Probe | None
    """The same in float32 where that is the working precision."""
    hand: Hand
    by_entry: bool
    """Whether the vectors are the coordinates, one after the other, so that columns are columns of the Hessian."""
    dtype: str
    seed: int

    def vectors(self, point: Vector) -> Vector:
        """Return the vectors (m, k) along which to differentiate; the last, or all of them, are random."""
        sizes = typical_sizes(self.coords, point)
        rng = np.random.default_rng([self.seed, 6])
        count = 1 if self.by_entry else 3
        signs = np.where(rng.random((count, sizes.size)) < 0.5, -1.0, 1.0)
        oblique = sizes * signs * rng.uniform(0.5, 1.0, signs.shape) / np.sqrt(sizes.size)
        return np.concatenate([np.eye(sizes.size), oblique]) if self.by_entry else np.asarray(oblique)


@dataclass(frozen=True)
class SecondEvidence:
    """What is known at one point. Matrices are (k, m), a column per vector."""

    point: Vector
    value: float
    below: Evidence
    """The check of the automatic gradient there."""
    vectors: Vector
    hand: Vector
    auto: Vector
    slopes: Slopes
    bound: Vector
    """The difference of the two that is not called wrong."""
    rounding: Vector
    """The difference that rounding explains in float64."""
    pieces: Vector
    """The size of what is summed to give the derivative: errors are relative to it."""
    codes: NDArray[np.int64]
    """Ranks of the verdicts."""
    laid: LaidMatrix
    void: NDArray[np.bool_]
    """(k,): coordinates whose automatic first derivative the values of the function contradict."""
    oblique: tuple[Trio, Verdict]
    """The curvature along the random vector, from the values of the function."""
    shown: tuple[Vector, Vector]
    """Handwritten and automatic second derivatives in the working precision."""

    def verdict(self, i: int, j: int) -> Verdict:
        """Return the verdict on an entry."""
        return VERDICTS[self.codes[i, j]]

    def judged(self, *verdicts: Verdict) -> NDArray[np.bool_]:
        """Say for every entry (k, m) whether it has one of the verdicts."""
        return np.asarray(np.isin(self.codes, [verdict.rank for verdict in verdicts]))


def gather_second(task: SecondTask, point: Vector, *, base: SecondEvidence | None) -> SecondEvidence:
    """Evaluate all three second derivatives at a point and judge them; `base` is the evidence at the first point."""
    probe, sizes = task.probe.moved(point), typical_sizes(task.coords, point)
    vectors = task.vectors(point)
    second = SecondProbe(probe, vectors, sizes)
    plain = Task(task.coords, probe, None, None, "float64", None, task.seed)
    below = gather(plain, point, base=None if base is None else base.below)
    k = point.size
    auto = second.columns()
    laid = task.hand(point, probe.args, vectors)
    rounding, pieces = _bounds(task, second, laid.matrix, auto)
    bound = allowance(laid.matrix, auto, rounding, dtype=task.dtype)
    bad = [i for i in range(k) if below.verdicts[i] in (Verdict.AUTODIFF, Verdict.NOT_FINITE)]
    found = SecondEvidence(
        point=point,
        value=below.value,
        below=below,
        vectors=vectors,
        hand=laid.matrix,
        auto=auto,
        slopes=Slopes(*(np.full(auto.shape, fill) for fill in (np.nan, np.inf, 0.0, np.nan))),
        bound=bound,
        rounding=rounding,
        pieces=pieces,
        codes=np.full(auto.shape, Verdict.NOT_FINITE.rank),
        laid=laid,
        void=np.isin(np.arange(k), bad),
        oblique=(Trio(np.nan, np.nan, np.nan, np.inf, 0.0, 0.0), Verdict.OK),
        shown=(laid.matrix, auto),
    )
    if np.isfinite(below.value):
        found = _judged(task, _differenced(task, found, second))
        found = _with_values(task, found, probe, noise_level(probe, below.value, sizes))
    return _in_single_precision(task, _misfits_named(task, found))


def _bounds(task: SecondTask, second: SecondProbe, hand: Vector, auto: Vector) -> tuple[Vector, Vector]:
    """Return the cheap bound where it is enough, else the careful one; NaN blocks do not count as disagreeing."""
    cheap = cheap_bound(hand, auto)
    with np.errstate(invalid="ignore"):
        disagree = np.abs(hand - auto) > allowance(hand, auto, cheap, dtype=task.dtype)
    if not np.any(disagree):
        return cheap, np.abs(auto)

    def evaluate(where: Vector, args: Any) -> Vector:
        return task.hand(where, args, second.vectors).matrix.ravel()

    here = (hand.ravel(), auto.ravel())
    bound, pieces = careful_bound(evaluate, second, sizes=second.sizes, scale=None, here=here)
    return bound.reshape(auto.shape), pieces.reshape(auto.shape)


def _differenced(task: SecondTask, found: SecondEvidence, second: SecondProbe) -> SecondEvidence:
    """Add the differences of the automatic gradient, leaving out the entries of it that are wrong themselves."""
    k, m = found.auto.shape
    with np.errstate(invalid="ignore"):
        excess = np.max(np.nan_to_num(np.abs(found.hand - found.auto) / found.bound, nan=np.inf), axis=0)
    columns = np.arange(m)
    if k > MOST_EVERYWHERE and task.by_entry:
        doubtful = np.flatnonzero(excess[:k] > 1.0)
        worst = doubtful[np.argsort(-excess[doubtful], kind="stable")[:MOST_DOUBTFUL]]
        columns = np.append(np.sort(worst), k)
    lengths = np.append(second.sizes, np.ones(m - k)) if task.by_entry else np.ones(m)
    known = (found.hand[:, columns], found.auto[:, columns], found.bound[:, columns])
    measured = differenced(second, lengths, columns=columns, known=known)
    merged = {name: getattr(found.slopes, name).copy() for name in ("value", "error", "jump", "best")}
    for name, array in merged.items():
        array[:, columns] = getattr(measured, name)
    merged["error"][found.void] = np.inf
    if task.by_entry:
        # d_i g_j and d_j g_i are one number, so the better of the two serves both.
        better = merged["error"][:k, :k] > merged["error"][:k, :k].T
        for array in merged.values():
            square = array[:k, :k]
            array[:k, :k] = np.where(better, square.T, square)
    return replace(found, slopes=Slopes(**merged))


def _judged(task: SecondTask, found: SecondEvidence) -> SecondEvidence:
    """Judge entry by entry; where two sources agree and the third says nothing against them, all is well."""
    slopes, bound = found.slopes, found.bound
    with np.errstate(invalid="ignore"):
        agree = np.abs(found.hand - found.auto) <= bound
        contradicted = np.abs(found.auto - slopes.value) > MARGIN * (slopes.error + bound)
    codes = np.full(agree.shape, Verdict.OK.rank)
    for i, j in np.argwhere(~agree | contradicted | (slopes.jump != 0.0)):
        codes[i, j] = judge(_trio(found, i, j)).rank
    # Where the automatic gradient is wrong, its agreement with anything proves nothing.
    unproved = found.void[:, None] & ~np.isfinite(slopes.error) & (codes == Verdict.OK.rank)
    if task.by_entry:
        unproved[:, found.point.size :] = False
    codes[unproved] = Verdict.UNCLEAR.rank
    return replace(found, codes=codes)


def _trio(found: SecondEvidence, i: int, j: int) -> Trio:
    slopes, bound = found.slopes, found.bound[i, j]
    if slopes.jump[i, j] != 0.0:
        # Across a kink derivatives jump, which careful bounds take for rounding.
        bound = min(bound, cheap_bound(found.hand[i, j], found.auto[i, j]))
    numbers = found.hand[i, j], found.auto[i, j], slopes.value[i, j], slopes.error[i, j], bound
    return Trio(*(float(number) for number in (*numbers, slopes.jump[i, j])))


def _with_values(task: SecondTask, found: SecondEvidence, probe: Probe, noise: float) -> SecondEvidence:
    """Ask the values of the function: along the random vector always, and for entries on which autodiff is in doubt."""
    k = found.point.size
    direction, bound = found.vectors[-1], float(found.bound[:, -1] @ np.abs(found.vectors[-1]))
    curved = curvatures(probe, direction[None], value=found.value, noise=noise)
    hand, auto = (float(matrix[:, -1] @ direction) for matrix in (found.hand, found.auto))
    trio = Trio(hand, auto, float(curved.value[0]), float(curved.error[0]), bound, 0.0)
    found = replace(found, oblique=(trio, judge(trio) if np.isfinite(hand) else Verdict.OK))
    if not task.by_entry:
        return found
    doubtful = found.judged(Verdict.AUTODIFF, Verdict.UNCLEAR)[:k, :k]
    doubtful |= ~np.isfinite(found.slopes.error[:k, :k]) & (found.void[:, None] | found.void[None, :])
    pairs = np.argwhere(np.triu(doubtful | doubtful.T))[:MOST_PAIRS]
    if not pairs.size:
        return found
    lengths = natural_lengths(np.diagonal(found.auto[:, :k]), typical_sizes(task.coords, found.point), found.value)
    return _judged(task, _outvoted(found, pairs, mixed(probe, pairs, lengths, value=found.value, noise=noise)))


def _outvoted(found: SecondEvidence, pairs: NDArray[np.int64], seen: Curvatures) -> SecondEvidence:
    """Put second differences of the values in place of those of the gradient where they know better."""
    merged = {name: getattr(found.slopes, name).copy() for name in ("value", "error", "jump", "best")}
    for (i, j), value, error in zip(pairs, seen.value, seen.error, strict=True):
        for a, b in {(i, j), (j, i)}:
            apart = abs(merged["value"][a, b] - value)
            contradiction = apart > MARGIN * (merged["error"][a, b] + error)
            if merged["jump"][a, b] == 0.0 and (contradiction or error < merged["error"][a, b]):
                merged["value"][a, b], merged["error"][a, b] = value, error
    return replace(found, slopes=Slopes(**merged))


def _misfits_named(task: SecondTask, found: SecondEvidence) -> SecondEvidence:
    """Give the blocks of another shape that verdict."""
    if found.laid.fits:
        return found
    codes, slices = found.codes.copy(), task.coords.slices
    for a, b in found.laid.misfits:
        if (a, b) == WHOLE:
            codes[:] = Verdict.SHAPE.rank
        else:
            codes[slices[a], slices[b] if b else slice(None)] = Verdict.SHAPE.rank
    # Nothing can be said along a direction with a block missing.
    codes[:, -1] = Verdict.SHAPE.rank
    return replace(found, codes=codes)


def _in_single_precision(task: SecondTask, found: SecondEvidence) -> SecondEvidence:
    """Add what float32 makes of the formulas; the verdicts come from float64, which sees more."""
    if task.single is None:
        return found
    probe = task.single.moved(found.point)
    sizes = typical_sizes(task.coords, found.point)
    auto = SecondProbe(probe, found.vectors, sizes).columns()
    hand = task.hand(probe.point, probe.args, found.vectors).matrix
    codes = found.codes.copy()
    lost = (np.isfinite(found.hand) & ~np.isfinite(hand)) | (np.isfinite(found.auto) & ~np.isfinite(auto))
    codes[lost & found.judged(Verdict.OK, Verdict.KINK)] = Verdict.NOT_FINITE.rank
    return replace(found, shown=(hand, auto), codes=codes)

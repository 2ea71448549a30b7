"""What the patterns of wrong gradients share: the case they are given, and the findings they return."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mle_jax._text import significant
from mle_jax.gradients.coordinates import Coordinates, Vector
from mle_jax.gradients.evaluation import Probe

TELLING = 1e3
"""A derivative tells something when it exceeds its own error by this factor."""
EXACT = 8.0
"""Bounds that an exact relation may miss."""
ROUNDING = 1e-11
"""Rounding of a sum relative to the sum of the absolute values."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """A handwritten gradient next to the right one, at P points in k coordinates."""

    coords: Coordinates
    points: Vector
    """(P, k)."""
    hand: Vector
    """(P, k)."""
    right: Vector
    """(P, k): two sources agree on it."""
    bound: Vector
    """(P, k): the difference that rounding explains."""
    wrong: Mask
    """(k,): judged wrong at one of the points."""
    misfits: tuple[dict[str, NDArray[np.float64] | None], ...]
    """Per point: leaves of another shape."""
    strangers: tuple[str, ...]
    lengths: dict[int, str]
    """Numbers of observations that the data suggest, with the name of a leaf that has it."""
    probe: Probe
    """The function and its data, in float64."""
    gradient: Callable[..., Any]
    """The handwritten one: ``gradient(params, *args)``."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the coordinates."""
        return self.coords.names

    def listed(self, group: Mask) -> list[str]:
        """Return the names of the coordinates of a group."""
        return [name for name, inside in zip(self.coords.names, group, strict=True) if inside]

    def is_finite(self, group: Mask) -> bool:
        """Whether both gradients are finite in a group at every point."""
        return bool(np.all(np.isfinite(self.hand[:, group])) and np.all(np.isfinite(self.right[:, group])))

    def explains(self, candidate: Vector, group: Mask, *, slack: Vector | float = 0.0) -> bool:
        """Whether a candidate (P, k) is the handwritten gradient in a group, and is not the right one.

        The candidate must differ from the right gradient far beyond rounding; each coordinate judged wrong does so by
        itself.

        Args:
            candidate: what a slip makes of the right gradient.
            group: (k,).
            slack: (P, k), rounding of the candidate that `bound` does not know of.
        """
        if not self.is_finite(group) or not np.all(np.isfinite(candidate[:, group])):
            return False
        bound = (self.bound + slack)[:, group]
        missed = np.abs(self.hand - candidate)[:, group]
        moved = np.abs(candidate - self.right)[:, group]
        grown = np.fmax(1.0, np.abs(candidate[:, group]) / np.fmax(np.abs(self.right[:, group]), np.finfo(float).tiny))
        # A sum that is multiplied has its rounding multiplied; a ratio beyond 1e3 says that the right one is near zero.
        fits = np.all(missed <= EXACT * bound * np.fmin(grown, 1e3))
        return bool(fits and np.any(moved > TELLING * bound))


class Slip(NamedTuple):
    """One thing that is wrong with a gradient."""

    pattern: str
    """Its kind in a word, as in `Finding.pattern`."""
    sentence: str
    explained: Mask
    """(k,): the coordinates that it explains."""
    rows: tuple[int, ...] = ()
    """The observations at which the gradient is wrong, where it is not all of them."""


Pattern = Callable[[Case, Mask], Iterator[Slip]]
"""Take the case and the coordinates (k,) that nothing explains yet; yield what is exact and telling, else nothing."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with a handwritten gradient.

    Example:
        >>> import mle_jax as mle
        >>> report = mle.check_gradient(lambda x: x**2, lambda x: -2 * x, 3.0)
        >>> [(finding.pattern, finding.coordinates) for finding in report.findings]
        [('sign', ('params',))]
    """

    pattern: str
    """The kind: ``sign``, ``factor``, ``mean_instead_of_sum``, ``sum_instead_of_mean``, ``log_derivative``,
    ``square_derivative``, ``inverse_derivative``, ``root_derivative``, ``logit_derivative``, ``transposed``,
    ``permuted``, ``missing_term``, ``term_sign``, ``term_factor``, ``stale_params``, ``rows``, ``single_coordinate``,
    ``zero``, ``layout``, ``shape``, ``dropped_sum``, or ``unexplained``."""
    sentence: str
    """What is wrong, with the evidence."""
    coordinates: tuple[str, ...]
    """The names of the coordinates that it concerns."""
    rows: tuple[int, ...] = ()
    """The observations (positions along the first axis of the data) where the gradient is wrong, if not all are."""


def groups(case: Case, left: Mask) -> Iterator[Mask]:
    """Yield sets of coordinates that may share one slip: all that are wrong, then leaf by leaf, then one by one."""
    if left.sum() > 1:
        yield left
    for piece in case.coords.slices.values():
        inside = np.zeros_like(left)
        inside[piece] = left[piece]
        if 1 < inside.sum() < left.sum():
            yield inside
    for i in np.flatnonzero(left):
        yield np.arange(left.size) == i


def describe_worst(case: Case, group: Mask) -> str:
    """Describe the coordinate that is farthest off: which, by what ratio, by how much."""
    with np.errstate(all="ignore"):
        apart = np.where(group, np.abs(case.hand - case.right) / (case.bound + np.finfo(float).tiny), -1.0)
    point, worst = np.unravel_index(int(np.nanargmax(apart)), apart.shape)
    hand, right = float(case.hand[point, worst]), float(case.right[point, worst])
    ratio = f"ratio {significant(hand / right, 8)}, " if right != 0.0 and hand != 0.0 else ""
    return (
        f"{case.coords.names[worst]!r} is {significant(hand, 8)} instead of {significant(right, 8)} "
        f"({ratio}difference {significant(hand - right, 3)})"
    )

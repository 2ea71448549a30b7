"""Handwritten gradients whose right values stand in the wrong places."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mle_jax._text import listing
from mle_jax.gradients.slips import EXACT, Case, Mask, Slip

MOST = 256
"""Among so many wrong coordinates a permutation is looked for."""


def transposed(case: Case, left: Mask) -> Iterator[Slip]:
    """Find square matrices that are transposed."""
    for (name, piece), shape in zip(case.coords.slices.items(), case.coords.shapes, strict=True):
        if len(shape) != 2 or shape[0] != shape[1] or not np.any(left[piece]):
            continue
        turned = case.right.copy()
        turned[:, piece] = turned[:, piece].reshape(-1, *shape).swapaxes(1, 2).reshape(turned.shape[0], -1)
        group = np.zeros_like(left)
        group[piece] = True
        spread = np.broadcast_to(case.bound[:, piece].max(axis=1, keepdims=True), case.bound[:, piece].shape)
        slack = np.zeros_like(case.bound)
        slack[:, piece] = spread
        if case.explains(turned, group, slack=slack):
            yield Slip("transposed", f"The handwritten gradient of {name!r} is transposed.", group)


def permuted(case: Case, left: Mask) -> Iterator[Slip]:
    """Find coordinates that hold one another's derivative."""
    places = np.flatnonzero(left)
    if not 2 <= places.size <= MOST or not case.is_finite(left):
        return
    source = _sources(case, places)
    if source is None:
        return
    candidate, slack = case.right.copy(), np.zeros_like(case.bound)
    candidate[:, places], slack[:, places] = case.right[:, source], case.bound[:, source]
    if case.explains(candidate, left, slack=slack):
        yield Slip("permuted", _told(case, places, source), left)


def _sources(case: Case, places: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return for each place the coordinate whose right derivative stands there; None unless it is a permutation."""
    hand, right, bound = (array[:, places] for array in (case.hand, case.right, case.bound))
    apart = np.abs(hand[:, :, None] - right[:, None, :])
    fits = np.all(apart <= EXACT * (bound[:, :, None] + bound[:, None, :]), axis=0)
    source, used = np.empty(places.size, np.int64), np.zeros(places.size, bool)
    for i in np.argsort(fits.sum(axis=1)):
        free = np.flatnonzero(fits[i] & ~used)
        if free.size == 0:
            return None
        source[i] = places[free[0]]
        used[free[0]] = True
    return source


def _told(case: Case, places: NDArray[np.int64], source: NDArray[np.int64]) -> str:
    names = [case.names[i] for i in places]
    if places.size == 2:
        return f"The handwritten derivatives of {listing(names)} are swapped."
    for leaf, piece in case.coords.slices.items():
        if np.array_equal(places, np.arange(piece.start, piece.stop)):
            shift = int((source[0] - places[0]) % places.size)
            if np.array_equal(source, places[::-1]):
                return f"The handwritten derivatives of {leaf!r} stand in reverse order."
            if np.array_equal(source, np.roll(places, -shift)):
                return f"The handwritten derivatives of {leaf!r} are shifted by {shift} of {places.size} places."
    moved = [f"that of {case.names[j]!r} stands in {case.names[i]!r}" for i, j in zip(places, source, strict=True)]
    more = f" and {len(moved) - 4} more" if len(moved) > 4 else ""
    return f"The handwritten derivatives are in the wrong order: {', '.join(moved[:4])}{more}."

"""Handwritten gradients that are wrong at some observations only: a censored branch, a loop that ends too early."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from mle_jax._text import significant
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.rows import hand_scores, place_weights, right_scores
from mle_jax.gradients.slips import TELLING, Case, Mask, Slip
from mle_jax.gradients.terms import data_names

LARGEST = 2**24
"""Numbers that the derivatives of all observations may have."""
SAME = 1e-9
"""Relative difference of two scores that is rounding."""
CLOSE, APART = 1e-8, 1e-4
"""Weights measured with other rows around them are 1 if they are this close to it, and not if they are this far."""


def some_rows(case: Case, left: Mask) -> Iterator[Slip]:
    """Find the observations at which the gradient is wrong, where at others it is right."""
    if not np.any(left) or not case.is_finite(left):
        return
    for n in case.lengths:
        if n < 2 or n * case.coords.size > LARGEST:
            continue
        try:
            right = right_scores(case, n)
        except Exception:  # whatever a stranger's code makes of one observation: then there is nothing to say
            continue
        share = next((c for c in (1.0, 1.0 / n) if _adds_up(case.right[0], c * right, case)), None)
        if share is None:
            continue
        for look in (_by_what_they_are, _by_where_they_stand):
            found = look(case, share * right, left=left, share=share)
            if found is not None:
                rows, told = found
                sentence = (
                    f"The handwritten gradient is wrong {_where(rows, n)}{_what_they_share(case, rows, n)}{told}."
                )
                yield Slip("rows", sentence, left.copy(), tuple(int(row) for row in rows))
                return


def _by_what_they_are(case: Case, right: Vector, *, left: Mask, share: float) -> tuple[Any, str] | None:
    """Compare the gradients of one row at a time."""
    try:
        hand = share * hand_scores(case, len(right))
    except Exception:  # as above
        return None
    if not _adds_up(case.hand[0], hand, case):
        return None
    size = np.abs(right)
    rounding = SAME * size + 1e-12 * np.max(size, axis=0)
    off = np.abs(hand - right)
    off = np.where(np.isfinite(off), off, np.inf)[:, left]
    wrong = np.any(off > TELLING * rounding[:, left], axis=1)
    same = np.all(off <= rounding[:, left], axis=1)
    telling = np.any((size > TELLING * rounding)[:, left], axis=1)
    if not (np.any(wrong) and np.any(same & telling) and np.all(wrong | same)):
        return None
    rows = np.flatnonzero(wrong)
    chosen, wanted = hand[rows][:, left], right[rows][:, left]
    tells = np.abs(wanted) > APART * np.max(np.abs(wanted))
    return rows, _told_of(chosen[tells] / wanted[tells]) if np.any(chosen) else _told_of(np.zeros(len(rows)))


def _by_where_they_stand(case: Case, right: Vector, *, left: Mask, share: float) -> tuple[Any, str] | None:
    """Measure the weight of each place with other rows in it: the last one may be left out, whatever it holds."""
    n = len(right)
    if n * n * case.coords.size > LARGEST:
        return None
    seen = np.where(left, right, 0.0)
    size = np.fmax(np.max(np.abs(seen), axis=0), np.finfo(float).tiny)
    middle = int(np.argmin(np.max(np.abs(seen) / size, axis=1)))
    far = int(np.argmax(np.max(np.abs(seen - seen[middle]) / size, axis=1)))
    if far == middle or not np.any(seen[far] != seen[middle]):
        return None
    try:
        weights, misfit = place_weights(case, np.where(left, right, 0.0), (far, middle))
    except Exception:  # as above
        return None
    wrong, same = np.abs(weights - 1.0) > APART, np.abs(weights - 1.0) <= CLOSE
    if not (np.all(misfit <= CLOSE) and np.any(wrong) and np.any(same) and np.all(wrong | same)):
        return None
    missed = np.abs(weights @ right - case.hand[0])[left]
    if np.any(missed > CLOSE * np.sum(np.abs(right), axis=0)[left] + case.bound[0][left]):
        return None
    return np.flatnonzero(wrong), _told_of(weights[wrong])


def _adds_up(whole: Vector, rows: Vector, case: Case) -> bool:
    """Whether a gradient is the sum of what it is at single observations."""
    size = np.sum(np.abs(rows), axis=0)
    return bool(np.all(np.abs(np.sum(rows, axis=0) - whole) <= 1e-10 * size + case.bound[0]))


def _told_of(ratios: Vector) -> str:
    """Say what is wrong where the ratios of handwritten to right scores are one number."""
    factor = float(np.median(ratios))
    if np.ptp(ratios) > CLOSE * np.max(np.abs(ratios)):
        return ""
    if factor == 0.0 or abs(factor) < CLOSE:
        return "; what they add is missing" if len(ratios) > 1 else "; what it adds is missing"
    flipped = abs(factor + 1.0) < CLOSE
    return "; there its sign is flipped" if flipped else f"; there it is {significant(factor, 6)} times the right one"


def _where(rows: Any, n: int) -> str:
    if len(rows) == 1:
        return f"at 1 of {n} observations only: row {rows[0]}"
    more = f" and {len(rows) - 6} more" if len(rows) > 6 else ""
    return f"at {len(rows)} of {n} observations only: rows {', '.join(str(row) for row in rows[:6])}{more}"


def _what_they_share(case: Case, rows: Any, n: int) -> str:
    """Name a leaf of the data whose values separate these rows from all others."""
    wrong = np.isin(np.arange(n), rows)
    if len(rows) < 2:
        return ""
    for name, leaf in zip(data_names(case.probe.args), jax.tree_util.tree_leaves(case.probe.args), strict=True):
        values = np.asarray(leaf)
        if values.shape != (n,):
            continue
        inside, outside, label = values[wrong], values[~wrong], name.removeprefix("data:")
        if np.all(inside == inside[0]) and not np.any(outside == inside[0]):
            return f", those with {label} = {significant(float(inside[0]), 4)}"
        if np.min(inside) > np.max(outside):
            return f", those with {label} of at least {significant(float(np.min(inside)), 6)}"
        if np.max(inside) < np.min(outside):
            return f", those with {label} of at most {significant(float(np.max(inside)), 6)}"
    return ""

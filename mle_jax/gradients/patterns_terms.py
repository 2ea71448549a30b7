"""Handwritten gradients in which a term of the function is missing, or has the wrong sign or factor."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mle_jax._text import listing, significant
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.slips import EXACT, ROUNDING, TELLING, Case, Mask, Slip, groups
from mle_jax.gradients.terms import Terms, split

SLIPS = (
    (-1.0, "missing_term", "is missing from", "are missing from"),
    (-2.0, "term_sign", "has the wrong sign in", "have the wrong sign in"),
    (1.0, "term_factor", "stands twice in", "stand twice in"),
    (-0.5, "term_factor", "has half its size in", "have half their size in"),
)
"""By how much of the term the gradient is off, and what is said of one term and of several."""
LARGEST = 2**24
"""Numbers that the gradients of the terms at all points may have."""
MOST_TOGETHER = 12
"""Of so many terms every set is tried."""


def some_terms(case: Case, left: Mask) -> Iterator[Slip]:
    """Find terms that are missing or wrong, but for whole branches: of these it is better to say at which rows."""
    return _wrong_terms(case, left, branches=False)


def whole_branches(case: Case, left: Mask) -> Iterator[Slip]:
    """Find branches that are missing or wrong."""
    return _wrong_terms(case, left, branches=True)


def _wrong_terms(case: Case, left: Mask, *, branches: bool) -> Iterator[Slip]:
    """Find ``hand = right + c * (gradient of one term)``, or of several terms that are all missing."""
    if not np.any(left) or case.coords.size * len(case.points) > LARGEST // 24:
        return
    found = split(case.probe, case.coords.leaf_names, case.points)
    if not found:
        return
    parts = np.stack([np.asarray(terms.gradients) for terms in found], axis=1)  # (m, P, k)
    left = left.copy()
    for group in groups(case, left):
        if np.any(group & ~left) or not case.is_finite(group):
            continue
        slip = _explain(case, parts, group, skip=lambda chosen: found[0].is_whole_branch(chosen) != branches)
        if slip is not None:
            (word, verb), chosen = slip
            yield Slip(word, _told(case, found[0], chosen, verb=verb, group=group), group)
            left &= ~group


def _explain(
    case: Case, parts: Vector, group: Mask, skip: Callable[[list[int]], bool]
) -> tuple[tuple[str, str], list[int]] | None:
    """Return the slip and the fewest terms that account for the difference exactly; None if it may be several slips."""
    slack = ROUNDING * np.sum(np.abs(parts), axis=0)
    telling = np.any((np.abs(parts) > TELLING * (case.bound + slack))[:, :, group], axis=(1, 2))
    fitting = []
    for share, word, one, several in SLIPS:
        for chosen in _sets(case, parts, np.flatnonzero(telling), share=share, group=group, slack=slack):
            part = np.sum(parts[chosen], axis=0)
            if not skip(chosen) and _fits(case, part, share, group=group, slack=slack):
                fitting.append(((word, one if len(chosen) == 1 else several), chosen))
                break
    fewest = min((len(chosen) for _, chosen in fitting), default=0)
    fitting = [(slip, chosen) for slip, chosen in fitting if len(chosen) == fewest]
    return fitting[0] if len(fitting) == 1 else None


def _sets(
    case: Case, parts: Vector, there: NDArray[np.int64], *, share: float, group: Mask, slack: Vector
) -> Iterator[list[int]]:
    """Yield the terms, then the sets of them, of which a share is the difference; the smaller sets first."""
    for i in there:
        yield [int(i)]
    if not 2 < len(there) <= MOST_TOGETHER or len(case.points) * group.sum() * 2 ** len(there) > LARGEST:
        return
    flat = share * parts[there][:, :, group].reshape(len(there), -1)
    wanted, allowed = (array[:, group].ravel() for array in (case.hand - case.right, EXACT * (case.bound + slack)))
    sets = (np.arange(2 ** len(there))[:, None] >> np.arange(len(there))) & 1
    sizes = sets.sum(axis=1)
    near = np.flatnonzero((sizes > 1) & np.all(np.abs(sets @ flat - wanted) <= allowed, axis=1))
    for number in near[np.argsort(sizes[near], kind="stable")]:
        yield [int(i) for i in there[sets[number].astype(bool)]]


def _fits(case: Case, part: Vector, share: float, *, group: Mask, slack: Vector) -> bool:
    """Whether a share of the terms is the difference, and they are not the whole gradient there."""
    if np.all((np.abs(part - case.right) <= EXACT * (case.bound + slack))[:, group]):
        return False  # that is a factor of the gradient, of which other patterns speak
    return case.explains(case.right + share * part, group, slack=slack)


def _told(case: Case, terms: Terms, chosen: list[int], *, verb: str, group: Mask) -> str:
    described = " and ".join(_describe(terms.leaves[i], float(terms.values[i])) for i in chosen)
    one = f"{described} {verb} the handwritten derivative in {listing(case.listed(group))}."
    return one[0].upper() + one[1:]


def _describe(leaves: frozenset[str], value: float) -> str:
    own = sorted(name for name in leaves if not name.startswith("data:"))
    data = sorted(name.removeprefix("data:") for name in leaves if name.startswith("data:"))
    on = f"{listing(own)} and the data ({listing(data)})" if data else f"{listing(own)} alone (a normalizing constant?)"
    return f"the term of the function that depends on {on}, with the value {significant(value, 6)},"

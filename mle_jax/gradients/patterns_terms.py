"""Handwritten gradients in which a term of the function is missing, or has the wrong sign or factor."""

from collections.abc import Callable, Iterator

import numpy as np

from mle_jax._text import listing, significant
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.slips import EXACT, ROUNDING, TELLING, Case, Mask, Slip, groups
from mle_jax.gradients.terms import Terms, split

SLIPS = (
    (-1.0, "missing_term", "is missing from"),
    (-2.0, "term_sign", "has the wrong sign in"),
    (1.0, "term_factor", "stands twice in"),
    (-0.5, "term_factor", "has half its size in"),
)
"""By how much of the term the gradient is off."""
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
    """Return the slip and the terms that account for the difference exactly; None if none or several slips do."""
    slack = ROUNDING * np.sum(np.abs(parts), axis=0)
    fitting: dict[tuple[str, str], list[int]] = {}
    for i, part in enumerate(parts):
        for share, word, verb in SLIPS:
            if not skip([i]) and _fits(case, part, share, group=group, slack=slack):
                fitting.setdefault((word, verb), []).append(i)
    if not fitting:
        several = _missing_together(case, parts, group=group, slack=slack, skip=skip)
        return None if several is None else (("missing_term", "are missing from"), several)
    slip, chosen = next(iter(fitting.items()))
    return (slip, chosen[:1]) if len(fitting) == 1 else None


def _missing_together(
    case: Case, parts: Vector, *, group: Mask, slack: Vector, skip: Callable[[list[int]], bool]
) -> list[int] | None:
    """Return the fewest terms, two or more, that are all missing."""
    there = [i for i, part in enumerate(parts) if np.any((np.abs(part) > TELLING * (case.bound + slack))[:, group])]
    if not 2 < len(there) <= MOST_TOGETHER or len(case.points) * group.sum() * 2 ** len(there) > LARGEST:
        return None
    flat = parts[there][:, :, group].reshape(len(there), -1)
    wanted, allowed = ((array[:, group]).ravel() for array in (case.right - case.hand, EXACT * (case.bound + slack)))
    sets = (np.arange(2 ** len(there))[:, None] >> np.arange(len(there))) & 1
    sets = sets[np.argsort(sets.sum(axis=1), kind="stable")]
    fits = np.all(np.abs(sets @ flat - wanted) <= allowed, axis=1)
    for chosen in sets[fits].astype(bool):
        terms = [i for i, inside in zip(there, chosen, strict=True) if inside]
        if (
            len(terms) > 1
            and not skip(terms)
            and _fits(case, np.sum(parts[terms], axis=0), -1.0, group=group, slack=slack)
        ):
            return terms
    return None


def _fits(case: Case, part: Vector, share: float, *, group: Mask, slack: Vector) -> bool:
    """Whether a share of the term is the difference, and the term is not the whole gradient there."""
    if np.all((np.abs(part - case.right) <= EXACT * (case.bound + slack))[:, group]):
        return False  # that is a factor of the gradient, of which other patterns speak
    tells = np.any((np.abs(part) > TELLING * (case.bound + slack))[:, group])
    return bool(tells) and case.explains(case.right + share * part, group, slack=slack)


def _told(case: Case, terms: Terms, chosen: list[int], *, verb: str, group: Mask) -> str:
    described = " and ".join(_describe(terms.leaves[i], float(terms.values[i])) for i in chosen)
    one = f"{described} {verb} the handwritten derivative in {listing(case.listed(group))}."
    return one[0].upper() + one[1:]


def _describe(leaves: frozenset[str], value: float) -> str:
    own = sorted(name for name in leaves if not name.startswith("data:"))
    data = sorted(name.removeprefix("data:") for name in leaves if name.startswith("data:"))
    on = f"{listing(own)} and the data ({listing(data)})" if data else f"{listing(own)} alone (a normalizing constant?)"
    return f"the term of the function that depends on {on}, with the value {significant(value, 6)},"

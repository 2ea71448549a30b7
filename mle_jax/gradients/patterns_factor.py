"""Handwritten gradients that are the right one times something: a number, n, a scale, or the slope of a transform."""

from collections.abc import Iterator

import numpy as np

from mle_jax._text import listing, significant
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.slips import EXACT, TELLING, Case, Mask, Slip, describe_worst, groups

MOST_SCALES = 12
"""Of so many scalar parameters the powers are tried as factors."""


def constant_factor(case: Case, left: Mask) -> Iterator[Slip]:
    """Find ``hand = c * right`` with a number c that people slip in or forget: -1, 2, 1/2, n, 1/n."""
    return _constant_factors(case, left, named=True)


def odd_factor(case: Case, left: Mask) -> Iterator[Slip]:
    """Find ``hand = c * right`` with any other number c."""
    return _constant_factors(case, left, named=False)


def _constant_factors(case: Case, left: Mask, *, named: bool) -> Iterator[Slip]:
    done = np.zeros_like(left)
    found: list[tuple[float, Mask]] = []
    for group in groups(case, left):
        factor = None if np.any(group & done) else _factor(case, group, named=named)
        if factor is None:
            continue
        done |= group
        known = [i for i, (other, _) in enumerate(found) if abs(factor - other) <= 1e-8 * abs(other)]
        if known:
            found[known[0]] = (found[known[0]][0], found[known[0]][1] | group)
        else:
            found.append((factor, group))
    for factor, group in found:
        word, sentence = _factor_told(case, factor, group)
        yield Slip(word, sentence, group)


def _factor(case: Case, group: Mask, *, named: bool) -> float | None:
    """Return c where hand = c * right holds exactly at every point and tells something, else None."""
    if not case.is_finite(group):
        return None
    hand, right, bound = (array[:, group] for array in (case.hand, case.right, case.bound))
    telling = np.abs(right) > TELLING * bound
    if telling.sum() < 2 or not np.all(telling.any(axis=0)):
        return None
    factor = float(np.median(hand[telling] / right[telling]))
    if (_name_factor(case, abs(factor)) is not None) != named:
        return None
    if not named and (abs(factor) < 1e-3 or not _turns(case, group)):
        return None
    return factor if np.all(np.abs(hand - factor * right) <= EXACT * bound * max(1.0, abs(factor))) else None


def _turns(case: Case, group: Mask) -> bool:
    """Whether the right gradient says more at several points than at one: only then is an odd number no accident.

    Within a group its size must vary; and where the group is one of several coordinates, its direction.
    """
    inside = np.abs(case.right[:, group])
    if np.ptp(inside) <= 1e-6 * np.max(inside):
        return False
    if group.sum() > 1 or group.size == 1:
        return True
    with np.errstate(all="ignore"):
        ratios = case.right[:, ~group] / case.right[:, group]
        return bool(np.any(np.ptp(ratios, axis=0) > 1e-6 * np.max(np.abs(ratios), axis=0)))


def _name_factor(case: Case, size: float) -> str | None:
    """Write a factor that people slip in or forget, with what it suggests; None for any other."""

    def close(number: float) -> bool:
        return abs(size - number) <= 1e-8 * number

    if close(1.0):
        return "1"
    for n, leaf in case.lengths.items():
        if close(n):
            return f"n = {n} times the right one (n is the length of {leaf}: a sum where the function takes a mean)"
        if close(1.0 / n):
            return f"1/n = 1/{n} times the right one (n is the length of {leaf}: a mean where the function takes a sum)"
    return "2 times the right one" if close(2.0) else "1/2 of the right one" if close(0.5) else None


def _factor_told(case: Case, factor: float, group: Mask) -> tuple[str, str]:
    """Return the pattern and the sentence."""
    names = case.listed(group)
    where = "every coordinate" if len(names) == case.coords.size else listing(names)
    told, minus = _name_factor(case, abs(factor)), "minus " if factor < 0 else ""
    if told == "1":
        return "sign", f"The sign of the handwritten gradient is flipped in {where}."
    word = "factor"
    if told is None:
        told = f"{significant(abs(factor), 8)} times the right one: {describe_worst(case, group)}"
    elif told.startswith(("n =", "1/n =")):
        word = "sum_instead_of_mean" if told.startswith("n =") else "mean_instead_of_sum"
    return word, f"In {where} the handwritten gradient is {minus}{told}."


def parameter_factor(case: Case, left: Mask) -> Iterator[Slip]:
    """Find ``hand = g(theta) * right``: the derivative in a transform of the parameter, or a power of a scale."""
    left = left.copy()
    for group in groups(case, left):
        if np.any(group & ~left):
            continue
        for word, told, ratio in (*_own_slopes(case), *_scale_powers(case)):
            for sign in (1.0, -1.0):
                if _is_ratio(case, sign * ratio, group):
                    minus = "minus " if sign < 0 else ""
                    where = listing(case.listed(group))
                    yield Slip(word, f"In {where} the handwritten gradient is {minus}{told}.", group)
                    left &= ~group
                    break
            if not np.any(group & left):
                break


def _is_ratio(case: Case, ratio: Vector, group: Mask) -> bool:
    with np.errstate(all="ignore"):
        return case.explains(ratio * case.right, group)


def _own_slopes(case: Case) -> Iterator[tuple[str, str, Vector]]:
    """Yield d theta / d t(theta), (P, k), for the transforms t that people differentiate in by mistake."""
    theta = case.points
    with np.errstate(all="ignore"):
        slopes = (
            ("log_derivative", "log", np.where(theta > 0.0, theta, np.nan)),
            ("square_derivative", "square", 0.5 / theta),
            ("inverse_derivative", "inverse", -(theta**2)),
            ("root_derivative", "square root", 2.0 * np.sqrt(theta)),
            ("logit_derivative", "logit", np.where((theta > 0.0) & (theta < 1.0), theta * (1.0 - theta), np.nan)),
        )
    for word, transform, slope in slopes:
        yield word, f"the derivative with respect to the {transform} of the parameter, not to the parameter", slope


def _scale_powers(case: Case) -> Iterator[tuple[str, str, Vector]]:
    """Yield powers of scalar parameters, (P, 1)."""
    scalars = [piece.start for piece in case.coords.slices.values() if piece.stop - piece.start == 1]
    if case.coords.is_bare and case.coords.size <= MOST_SCALES:
        scalars = list(range(case.coords.size))
    for j in scalars[:MOST_SCALES]:
        scale, name = case.points[:, j : j + 1], case.names[j]
        for power, told in ((2, f"{name}^2"), (-2, f"1/{name}^2"), (1, name), (-1, f"1/{name}")):
            with np.errstate(all="ignore"):
                ratio = scale**power
            yield "factor", f"{told} times the right one ({name} = {significant(float(scale[0, 0]), 6)})", ratio

"""What a wrong handwritten gradient looks like: one small function per slip, each silent unless the evidence is exact.

A pattern takes the case and returns sentences. To teach the check another slip, write another function and add it to
`PATTERNS`; the order is that of the report, and a coordinate explained by one pattern is not offered to the next.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mle_jax._text import listing, significant
from mle_jax.gradients.coordinates import Coordinates, Vector
from mle_jax.gradients.handwritten import NO_NAME

TELLING = 1e3
"""A derivative tells something when it exceeds its own error by this factor."""
EXACT = 8.0
"""Bounds that an exact relation may miss."""
ROUNDING = 1e-11
"""Rounding of a sum relative to the sum of the absolute values."""


@dataclass(frozen=True)
class Case:
    """A handwritten gradient next to the right one, at P points in k coordinates."""

    coords: Coordinates
    hand: Vector
    """(P, k)."""
    right: Vector
    """(P, k): two sources agree on it."""
    bound: Vector
    """(P, k): the difference that rounding explains."""
    wrong: NDArray[np.bool_]
    """(k,): judged wrong at one of the points."""
    misfits: tuple[dict[str, NDArray[np.float64] | None], ...]
    """Per point: leaves of another shape."""
    strangers: tuple[str, ...]
    lengths: dict[int, str]
    """Numbers of observations that the data suggest, with the name of a leaf that has it."""


class Finding(NamedTuple):
    """A sentence, and the coordinates that it explains."""

    sentence: str
    explained: NDArray[np.bool_]


Pattern = Callable[[Case, NDArray[np.bool_]], Iterator[Finding]]


def find_patterns(case: Case) -> list[str]:
    """Return a sentence for each slip that the evidence shows beyond doubt, then one about what is left."""
    left = case.wrong.copy()
    sentences = []
    for pattern in PATTERNS:
        for finding in pattern(case, left.copy()):
            sentences.append(finding.sentence)
            left &= ~finding.explained
    return sentences


def _strange_leaves(case: Case, left: NDArray[np.bool_]) -> Iterator[Finding]:
    missing = [name for name, array in case.misfits[0].items() if array is None]
    if not missing and not case.strangers:
        return
    names, shapes = case.coords.leaf_names, case.coords.shapes
    wanted = f"one array of shape {shapes[0]}" if case.coords.is_bare else f"a pytree with the leaves {listing(names)}"
    if case.strangers == (NO_NAME,):
        given = "returns a bare array"
    else:
        parts = [f"has no {listing(missing)}"] if missing and not case.coords.is_bare else []
        parts += [f"returns the leaves {listing(case.strangers)}"] if case.strangers else []
        given = " and ".join(parts) or "returns nothing"
    yield Finding(f"The handwritten gradient {given}; like params it should be {wanted}.", np.zeros_like(left))


def _wrong_shape(case: Case, left: NDArray[np.bool_]) -> Iterator[Finding]:
    """Say what is wrong with leaves of another shape, the same slip in several leaves in one sentence."""
    found: dict[str, list[str]] = {}
    for name, first in case.misfits[0].items():
        if first is None:
            continue
        piece = case.coords.slices[name]
        shape = case.coords.shapes[case.coords.leaf_names.index(name)]
        pairs = [(point.get(name), right[piece]) for point, right in zip(case.misfits, case.right, strict=True)]
        told = _dropped_sum(pairs, shape) or _turned(pairs, shape)
        found.setdefault(told, []).append(f"{name!r} has shape {first.shape} instead of {shape}")
    for told, shapes in found.items():
        has = f"In the handwritten gradient {', '.join(shapes)}"
        yield Finding(f"{has}: {told}." if told else f"{has}.", np.zeros_like(left))


def _dropped_sum(pairs: list[tuple[NDArray[np.float64] | None, Vector]], shape: tuple[int, ...]) -> str:
    """Say whether adding up one axis gives the right derivative at every point."""
    arrays = [array for array, _ in pairs if array is not None]
    if len(arrays) < len(pairs) or any(array.ndim != len(shape) + 1 for array in arrays):
        return ""
    axes = [
        axis
        for axis in dict.fromkeys((0, len(shape)))
        if all(np.delete(a.shape, axis).tolist() == [*shape] and a.shape[axis] > 1 for a in arrays)
    ]
    for axis in axes:
        sums = [(array.sum(axis=axis).ravel(), np.abs(array).sum(axis=axis).ravel()) for array in arrays]
        n = arrays[0].shape[axis]
        for factor, told in (
            (1.0, "the sum over observations is missing"),
            (-1.0, "the sum over observations is missing, and the sign is flipped"),
            (1.0 / n, "the mean over observations is missing"),
            (-1.0 / n, "the mean over observations is missing, and the sign is flipped"),
        ):
            errors = [
                (np.abs(factor * total - right), abs(factor) * size, right)
                for (total, size), (_, right) in zip(sums, pairs, strict=True)
            ]
            exact = all(np.all(e <= ROUNDING * size + 1e-9 * np.abs(right)) for e, size, right in errors)
            telling = any(np.any(np.abs(right) > TELLING * ROUNDING * size) for _, size, right in errors)
            if exact and telling:
                return f"{told} (its axis {axis} has length {n})"
    return ""


def _turned(pairs: list[tuple[NDArray[np.float64] | None, Vector]], shape: tuple[int, ...]) -> str:
    """Say whether the array is the right one transposed, or the right one in another shape."""
    turned = [array.T for array, _ in pairs if array is not None]
    if all(array.shape == shape for array in turned) and _all_equal(turned, pairs):
        return "it is transposed"
    plain = [array for array, _ in pairs if array is not None]
    return "its values are right, reshape it" if _all_equal(plain, pairs) else ""


def _all_equal(arrays: list[NDArray[np.float64]], pairs: list[tuple[NDArray[np.float64] | None, Vector]]) -> bool:
    rights = [right for _, right in pairs]
    return len(arrays) == len(rights) and all(
        array.size == right.size and np.allclose(array.ravel(), right, rtol=1e-9, atol=0.0)
        for array, right in zip(arrays, rights, strict=True)
    )


def _groups(case: Case, left: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
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


def _constant_factor(case: Case, left: NDArray[np.bool_]) -> Iterator[Finding]:
    done = np.zeros_like(left)
    found: list[tuple[float, NDArray[np.bool_]]] = []
    for group in _groups(case, left):
        factor = None if np.any(group & done) else _factor(case, group)
        if factor is None:
            continue
        done |= group
        known = [i for i, (other, _) in enumerate(found) if abs(factor - other) <= 1e-8 * abs(other)]
        if known:
            found[known[0]] = (found[known[0]][0], found[known[0]][1] | group)
        else:
            found.append((factor, group))
    for factor, group in found:
        yield Finding(_factor_sentence(case, factor, group), group)


def _factor(case: Case, group: NDArray[np.bool_]) -> float | None:
    """Return c where hand = c * right holds exactly at every point and tells something, else None."""
    hand, right, bound = (array[:, group] for array in (case.hand, case.right, case.bound))
    if not np.all(np.isfinite(hand)) or not np.all(np.isfinite(right)):
        return None
    telling = np.abs(right) > TELLING * bound
    if telling.sum() < 2 or not np.all(telling.any(axis=0)):
        return None
    factor = float(np.median(hand[telling] / right[telling]))
    if abs(factor) < 1e-3 and not any(abs(abs(factor) * n - 1.0) < 1e-6 for n in case.lengths):
        return None
    if not np.all(np.abs(hand - factor * right) <= EXACT * bound * max(1.0, abs(factor))):
        return None
    seen = right[telling]
    varied = np.ptp(np.abs(seen)) > 1e-6 * np.max(np.abs(seen))
    named = _name_factor(case, abs(factor)) is not None
    return factor if varied or named else None


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


def _factor_sentence(case: Case, factor: float, group: NDArray[np.bool_]) -> str:
    names = [name for name, inside in zip(case.coords.names, group, strict=True) if inside]
    where = "every coordinate" if len(names) == case.coords.size else listing(names)
    told = _name_factor(case, abs(factor))
    if told is None:
        size = f"{significant(abs(factor), 8)} times the right one"
        return f"In {where} the handwritten gradient is {'minus ' if factor < 0 else ''}{size}: {_worst(case, group)}."
    if told == "1":
        return f"The sign of the handwritten gradient is flipped in {where}."
    return f"In {where} the handwritten gradient is {'minus ' if factor < 0 else ''}{told}."


def _transposed(case: Case, left: NDArray[np.bool_]) -> Iterator[Finding]:
    for (name, piece), shape in zip(case.coords.slices.items(), case.coords.shapes, strict=True):
        if len(shape) != 2 or shape[0] != shape[1] or not np.any(left[piece]):
            continue
        turned = case.right[:, piece].reshape(-1, *shape).swapaxes(1, 2).reshape(case.right.shape[0], -1)
        error, bound = np.abs(case.hand[:, piece] - turned), case.bound[:, piece].max(axis=1, keepdims=True)
        telling = np.any(np.abs(case.right[:, piece] - turned) > TELLING * bound)
        if telling and np.all(error <= EXACT * bound):
            explained = np.zeros_like(left)
            explained[piece] = True
            yield Finding(f"The handwritten gradient of {name!r} is transposed.", explained)


def _remaining(case: Case, left: NDArray[np.bool_]) -> Iterator[Finding]:
    """Name what no pattern explains, and by how much it is off."""
    names = [name for name, wrong in zip(case.coords.names, left, strict=True) if wrong]
    if not names:
        return
    many = f" in {len(names)} of {left.size} coordinates, {listing(names)}; worst" if len(names) > 1 else ":"
    yield Finding(f"The handwritten gradient is wrong{many} {_worst(case, left)}.", left)


def _worst(case: Case, group: NDArray[np.bool_]) -> str:
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


PATTERNS: tuple[Pattern, ...] = (_strange_leaves, _wrong_shape, _transposed, _constant_factor, _remaining)

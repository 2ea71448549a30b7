"""Handwritten gradients of the wrong layout or shape, the sum over observations forgotten among them."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mle_jax._text import listing
from mle_jax.gradients.coordinates import Vector
from mle_jax.gradients.handwritten import NO_NAME
from mle_jax.gradients.slips import EXACT, ROUNDING, TELLING, Case, Mask, Slip


def strange_leaves(case: Case, left: Mask) -> Iterator[Slip]:
    """Name leaves that are missing or that are none of the parameters'."""
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
    yield Slip("layout", f"The handwritten gradient {given}; like params it should be {wanted}.", np.zeros_like(left))


def wrong_shape(case: Case, left: Mask) -> Iterator[Slip]:
    """Say what is wrong with leaves of another shape, the same slip in several leaves in one sentence."""
    found: dict[str, list[str]] = {}
    for name, first in case.misfits[0].items():
        if first is None:
            continue
        piece = case.coords.slices[name]
        shape = case.coords.shapes[case.coords.leaf_names.index(name)]
        pairs = [(point.get(name), right[piece]) for point, right in zip(case.misfits, case.right, strict=True)]
        told = _dropped_sum(pairs, shape) or _turned(pairs, shape, bounds=case.bound[:, piece])
        found.setdefault(told, []).append(f"{name!r} has shape {first.shape} instead of {shape}")
    for told, shapes in found.items():
        has = f"In the handwritten gradient {', '.join(shapes)}"
        word = (
            "shape"
            if not told
            else "transposed"
            if told == "it is transposed"
            else "dropped_sum"
            if "missing" in told
            else "shape"
        )
        yield Slip(word, f"{has}: {told}." if told else f"{has}.", np.zeros_like(left))


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


def _turned(pairs: list[tuple[NDArray[np.float64] | None, Vector]], shape: tuple[int, ...], *, bounds: Vector) -> str:
    """Say whether the array is the right one transposed, or the right one in another shape."""
    turned = [array.T for array, _ in pairs if array is not None]
    if all(array.shape == shape for array in turned) and _all_equal(turned, pairs, bounds):
        return "it is transposed"
    plain = [array for array, _ in pairs if array is not None]
    return "its values are right, reshape it" if _all_equal(plain, pairs, bounds) else ""


def _all_equal(
    arrays: list[NDArray[np.float64]], pairs: list[tuple[NDArray[np.float64] | None, Vector]], bounds: Vector
) -> bool:
    rights = [right for _, right in pairs]
    return len(arrays) == len(rights) and all(
        array.size == right.size and bool(np.all(np.abs(array.ravel() - right) <= 1e-9 * np.abs(right) + EXACT * bound))
        for array, right, bound in zip(arrays, rights, bounds, strict=True)
    )

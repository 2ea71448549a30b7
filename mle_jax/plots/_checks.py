"""What the pictures are given, checked before anything is drawn: an error leaves no empty figure behind."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mle_jax.gradients.coordinates import Vector


def finite_column(name: str, values: Any, *, length: int | None = None, of: str = "") -> Vector:
    """Return values as float64 (n,).

    Args:
        name: what the user calls them.
        values: numbers.
        length: how many there must be, or None.
        of: what they are counted against.

    Raises:
        TypeError: they are no real numbers.
        ValueError: they are none, of another shape or length, or not all finite.
    """
    array = column(name, values)
    if length is not None and array.size != length:
        raise ValueError(f"{name} has {array.size} entries, but {of} has {length}; pass one for each")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise ValueError(
            f"{name} is {array[bad[0]]} at entry {bad[0]}, but what is drawn must be finite; "
            f"leave out {'that entry' if bad.size == 1 else f'these {bad.size} entries'}"
        )
    return array


def column(name: str, values: Any) -> Vector:
    """Return values as float64 (n,), n at least 1, finite or not."""
    array = numbers(name, values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}, but it must be one-dimensional with at least one entry")
    return array


def numbers(name: str, values: Any) -> Vector:
    """Return values as an array of float64, or raise where they are no real numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub" and not str(array.dtype).startswith(("bfloat", "float")):
        raise TypeError(f"{name} is of type {array.dtype}, but real numbers are drawn; pass an array of floats")
    return array.astype(np.float64)


def mask(name: str, values: Any, length: int) -> np.ndarray:
    """Return a boolean mask (length,); None masks nothing."""
    if values is None:
        return np.zeros(length, bool)
    array = np.asarray(values)
    if array.dtype != bool or array.shape != (length,):
        raise ValueError(
            f"{name} is an array of {array.dtype} of shape {array.shape}, but it must say True or False for each of "
            f"the {length} points; pass for instance {name}=abs(residuals) > 5"
        )
    return array


def two_names(names: Any) -> tuple[str, str]:
    """Return the names of the two parameters."""
    if isinstance(names, str) or not isinstance(names, Sequence) or len(names) != 2:
        raise ValueError(f"names is {names!r}, but a surface has two parameters; pass for instance names=('w0', 'w1')")
    return str(names[0]), str(names[1])


def interval(name: str, values: Any) -> tuple[float, float]:
    """Return the two ends of a range of an axis."""
    ends = numbers(name, values)
    if ends.shape != (2,) or not np.all(np.isfinite(ends)) or not ends[0] < ends[1]:
        raise ValueError(
            f"{name} is {values!r}, but it must be two finite numbers, the smaller first; pass for instance (-1.0, 3.0)"
        )
    return float(ends[0]), float(ends[1])


def marked_points(marks: Any) -> dict[str, Vector]:
    """Return the points that the user wants marked by their labels, each (2,)."""
    if marks is None:
        return {}
    if not isinstance(marks, Mapping):
        raise TypeError(
            f"marks is a {type(marks).__name__}, but it must map labels to points; "
            "pass for instance marks={'minimum': (0.0, 2.0)}"
        )
    points = {str(label): finite_column(f"marks['{label}']", point) for label, point in marks.items()}
    for label, point in points.items():
        if point.shape != (2,):
            raise ValueError(f"marks['{label}'] has {point.size} entries, but a surface has two parameters; pass two")
    return points

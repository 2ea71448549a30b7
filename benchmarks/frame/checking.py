"""Right or wrong: how far an answer is from the reference. A fast wrong answer is reported as wrong."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LANES = ("converged", "steps")
"""What an answer may say of its lanes, beside what is held against the reference."""


def relative_difference(answer: Any, reference: Any) -> float:
    """Return the largest ``|a - b| / max|b|`` over the arrays that an answer has; it may have fewer than the reference.

    An answer to the first part of the work (fewer lanes) is held against the first part of the reference.
    """
    if not isinstance(reference, Mapping):
        answer, reference = {"": answer}, {"": reference}
    names = [name for name in answer if name not in LANES]
    return max(_apart(np.asarray(answer[name]), np.asarray(reference[name])) for name in names)


def of_lanes(answer: Any) -> dict[str, Any]:
    """Return the share of the lanes that converged, and their mean and most steps, where the answer says it."""
    said = {name: np.asarray(answer[name]) for name in LANES if isinstance(answer, Mapping) and name in answer}
    found: dict[str, Any] = {}
    if "converged" in said:
        found["converged"] = float(np.mean(said["converged"]))
    if "steps" in said:
        found["steps"] = {"mean": float(np.mean(said["steps"])), "max": int(np.max(said["steps"]))}
    return found


def _apart(answer: np.ndarray, reference: np.ndarray) -> float:
    if answer.ndim == reference.ndim > 0:
        reference = reference[: len(answer)]
    if answer.shape != reference.shape or answer.size == 0:
        return math.inf
    return float(np.max(np.abs(answer - reference)) / np.max(np.abs(reference)))


def verdict(discrepancy: float, tolerance: float) -> str:
    """Return "ok" or "wrong"; NaN is wrong."""
    return "ok" if discrepancy <= tolerance else "wrong"


def judged(discrepancy: Callable[[Any, Any], float], answers: list[Any], reference: Any) -> float:
    """Return the worst discrepancy of several answers of one contender; NaN is the worst of all."""
    found = [discrepancy(answer, reference) for answer in answers]
    return math.nan if any(math.isnan(value) for value in found) else max(found)

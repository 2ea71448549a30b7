"""Right or wrong: how far an answer is from the reference. A fast wrong answer is reported as wrong."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def relative_difference(answer: Any, reference: Any) -> float:
    """Return the largest ``|a - b| / max|b|`` over the arrays that an answer has; it may have fewer than the reference.

    An answer to the first part of the work (fewer lanes) is held against the first part of the reference.
    """
    if not isinstance(reference, Mapping):
        answer, reference = {"": answer}, {"": reference}
    return max(_apart(np.asarray(answer[name]), np.asarray(reference[name])) for name in answer)


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

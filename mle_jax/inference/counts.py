"""Sums of probabilities over counts: block after block, until nothing is left or the rest can be extrapolated."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

BLOCK = 256
MOST_BLOCKS = 64
"""Beyond 16384 counts the rest of the sum is extrapolated."""
NOTHING = 1e-14


class CountProbabilities(NamedTuple):
    """Probabilities of consecutive counts in R rows, and of what lies beyond them."""

    first: Vector
    """(R,), the first count of each row."""
    value: Vector
    """(R, L)."""
    tail: Vector
    """(R,), the sum beyond, extrapolated; 0 where nothing is left, infinite where the terms do not fall."""
    error: Vector
    """(R,), of the whole; infinite where that is not known."""


def probabilities_of_counts(
    log_density: Callable[[NDArray[np.int64], Vector], Vector], draws: Vector, low: Vector, high: Vector
) -> CountProbabilities:
    """Evaluate the probabilities of all counts that matter.

    Args:
        log_density: takes rows (m,) and counts (m, `BLOCK`).
        draws: (R, D), values that say where the mass is.
        low: (R,), the smallest possible count, or minus infinity.
        high: (R,), the largest possible count, or infinity.
    """
    rows = np.arange(len(draws))

    def block(start: Vector) -> Vector:
        counts = start[:, None] + np.arange(BLOCK)
        outside = (counts < low[:, None]) | (counts > high[:, None])
        safe = np.clip(counts, low[:, None], high[:, None])
        with np.errstate(over="ignore"):
            return np.where(outside, 0.0, np.exp(log_density(rows, safe)))

    begin = np.where(draws.min(axis=1) - low <= BLOCK, low, draws.min(axis=1))
    blocks = [block(begin)]
    first = begin
    for _ in range(MOST_BLOCKS):
        if np.all((first <= low) | (blocks[0].sum(axis=1) <= NOTHING) & (first < draws.min(axis=1))):
            break
        first = first - BLOCK
        blocks.insert(0, block(first))
    last = begin + BLOCK
    for _ in range(MOST_BLOCKS):
        past = last > draws.max(axis=1)
        if np.all((last > high) | (past & (blocks[-1].sum(axis=1) <= NOTHING))):
            break
        blocks.append(block(last))
        last = last + BLOCK
    value = np.concatenate(blocks, axis=1)
    tail, error = _tail(value, closed=last > high)
    return CountProbabilities(first, value, tail, error)


def _tail(value: Vector, *, closed: NDArray[np.bool_]) -> tuple[Vector, Vector]:
    """Extrapolate the sum beyond the last count: where terms fall like a power, doublings shrink by one factor."""
    length = value.shape[1]
    sums = np.cumsum(value, axis=1)
    with np.errstate(all="ignore"):
        marks = [sums[:, max(length // 2**power - 1, 0)] for power in range(4)]
        rises = [marks[i] - marks[i + 1] for i in range(3)]
        ratio, before = rises[0] / rises[1], rises[1] / rises[2]
        tail = rises[0] * ratio / (1.0 - ratio)
        doubt = np.abs(tail - rises[0] * before / (1.0 - before)) + 1e-3 * np.abs(tail)
    ended = closed | (rises[0] <= 1e-12) | (value[:, -BLOCK:].sum(axis=1) <= NOTHING)
    converges = ended | (np.isfinite(tail) & (ratio < 0.95) & (ratio >= 0.0))
    diverges = ~ended & (ratio >= 0.999)
    tail = np.where(diverges, np.inf, np.where(ended | ~converges, 0.0, tail))
    error = np.where(ended, 0.0, np.where(converges, doubt, np.inf))
    return tail, error + length * np.finfo(float).eps

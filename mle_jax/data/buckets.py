"""Groups of all sizes in a few shapes: which heights to fill them up to, so that few rows are evaluated in vain.

Every height is a compilation of some seconds, and every group is filled up to the height of its bucket by rows of
weight 0. Both are kept small: the heights are chosen from the sizes that there are, not from a fixed grid. An engine
that stops where the longest of a few lanes beside each other ends goes through hardly any of the rows filled in, so
that fewer heights do.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

MOST_WASTE = 1.5
"""Rows evaluated per row, at most, where 16 buckets suffice for that."""
MOST_FILLED = 2.75
"""Rows and rows filled in per row, at most, where these need not be evaluated: they only take up room."""
USUAL_BUCKETS = 8
MOST_BUCKETS = 16
ROWS_PER_COMPILATION = 10_000_000
"""A further bucket must save so many rows: its compilation takes 5 to 10 s, and some million are evaluated in one."""
FILLED_PER_COMPILATION = 100_000_000
"""The same of rows that are filled in and not evaluated."""
LANES_IN_STEP = 16
"""Many lanes are a multiple of so many, of which the engine makes its blocks: a rest would be compiled by itself."""
MANY_LANES = 160
MOST_HEIGHTS = 1000
"""Heights among which the best are chosen, spaced evenly in the logarithm where there are more sizes."""


class Together(NamedTuple):
    """How an engine skips rows of weight 0: it takes lanes in the order of their sizes, some at a time.

    Attributes:
        lanes: so many go through their rows together, as far as the longest of them has any.
        most_rows: of a lane; where there are longer ones, all are gone through to the height of their bucket.
    """

    lanes: int
    most_rows: int


class Bucket(NamedTuple):
    """Groups that are evaluated in one shape.

    Attributes:
        height: the rows of a lane, to which each of its groups is filled up.
        groups: how many groups there are.
        rows: how many rows they have in total.
        lanes: the groups of one chunk; the last chunk is filled up by repeating one.
        evaluated: the rows evaluated, those of weight 0 and those of repeated groups included.
    """

    height: int
    groups: int
    rows: int
    lanes: int
    evaluated: int

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return -(-self.groups // self.lanes)

    @property
    def filled(self) -> int:
        """The rows of all chunks, whether they are evaluated or not."""
        return self.chunks * self.lanes * self.height

    def parts(self) -> Iterator[tuple[int, int]]:
        """Yield the first group of every chunk and the one behind its last, counted within the bucket."""
        return ((first, min(first + self.lanes, self.groups)) for first in range(0, self.groups, self.lanes))


def choose_buckets(
    sizes: np.ndarray, counts: np.ndarray, *, chunk_rows: int, together: Together | None = None
) -> tuple[Bucket, ...]:
    """Choose heights by dynamic programming: of all ways to make K buckets the one with the fewest rows filled in.

    K is the smallest number for which at most `MOST_WASTE` rows are evaluated per row (`MOST_FILLED` with `together`),
    and larger, up to `USUAL_BUCKETS`, where a further bucket saves more than it costs to compile.

    Args:
        sizes: the distinct sizes of the groups, ascending, each at least 1.
        counts: how many groups have each.
        chunk_rows: about how many rows a chunk may have.
        together: how the engine skips rows of weight 0; None where it evaluates all.

    Returns:
        The buckets by height; their heights are sizes that occur.

    Reference:
        Fisher (1958), Journal of the American Statistical Association 53, 789-798: optimal groups of a sorted list.

    Example:
        >>> import numpy as np
        >>> [b.height for b in choose_buckets(np.array([9, 10, 99, 100]), np.array([50, 50, 5, 5]), chunk_rows=1000)]
        [10, 100]
    """
    tops = _candidates(sizes)
    ends = np.concatenate([[0], np.searchsorted(sizes, tops, side="right")])
    groups = np.concatenate([[0], np.cumsum(counts)])[ends]
    rows = np.concatenate([[0], np.cumsum(counts * sizes)])[ends]
    if together is not None and sizes[-1] > together.most_rows:
        together = None
    most, price = (MOST_WASTE, ROWS_PER_COMPILATION) if together is None else (MOST_FILLED, FILLED_PER_COMPILATION)
    best: tuple[Bucket, ...] = ()
    for edges in _best_edges(tops, groups):
        buckets = tuple(
            _bucket(int(tops[end - 1]), int(groups[end] - groups[begin]), int(rows[end] - rows[begin]), chunk_rows)
            for begin, end in itertools.pairwise(edges)
        )
        saved = _filled(best) - _filled(buckets)
        enough = bool(best) and _filled(best) <= most * rows[-1]
        if enough and (len(buckets) > USUAL_BUCKETS or saved < price):
            break
        if not best or saved > 0:
            best = buckets
    return best if together is None else _skipping(best, sizes, counts, together)


def _filled(buckets: Iterable[Bucket]) -> int:
    return sum(bucket.filled for bucket in buckets)


def _skipping(
    buckets: tuple[Bucket, ...], sizes: np.ndarray, counts: np.ndarray, together: Together
) -> tuple[Bucket, ...]:
    """Return the buckets with the rows that are evaluated where lanes go together: about, since chunks are sorted."""
    found, below = [], 0
    for bucket in buckets:
        here = (sizes > below) & (sizes <= bucket.height)
        longest = np.repeat(sizes[here], counts[here])[:: -together.lanes]
        found.append(bucket._replace(evaluated=together.lanes * int(longest.sum())))
        below = bucket.height
    return tuple(found)


def evaluated(buckets: Iterable[Bucket]) -> int:
    """Return the rows evaluated in all buckets."""
    return sum(bucket.evaluated for bucket in buckets)


def _candidates(sizes: np.ndarray) -> np.ndarray:
    """Return the sizes that may become heights, the largest among them."""
    if len(sizes) <= MOST_HEIGHTS:
        return sizes
    grid = np.geomspace(sizes[0], sizes[-1], MOST_HEIGHTS)
    places = np.unique(np.searchsorted(sizes, grid, side="right") - 1)
    return sizes[np.union1d(np.maximum(places, 0), [len(sizes) - 1])]


def _best_edges(tops: np.ndarray, groups: np.ndarray) -> Iterator[list[int]]:
    """Yield the edges of the best 1, 2, ... buckets, as positions among the candidates.

    cost_K(j) = min over i < j of cost_(K-1)(i) + tops[j - 1] (groups[j] - groups[i])
    """
    places = len(tops)
    # (end, begin): what a bucket from one candidate to another evaluates; infinite where it would be empty.
    piece = tops[:, None] * (groups[1:, None] - groups[None, :]).astype(float)
    piece[np.arange(places + 1)[None, :] >= np.arange(1, places + 1)[:, None]] = np.inf
    cost = np.concatenate([[0.0], np.full(places, np.inf)])
    chosen: list[np.ndarray] = []
    for _ in range(min(MOST_BUCKETS, places)):
        total = piece + cost[None, :]
        begins = np.argmin(total, axis=1)
        cost = np.concatenate([[np.inf], total[np.arange(places), begins]])
        chosen.append(begins)
        edges = [places]
        for earlier in reversed(chosen):
            edges.append(int(earlier[edges[-1] - 1]))
        yield edges[::-1]


def _bucket(height: int, groups: int, rows: int, chunk_rows: int) -> Bucket:
    """Choose the lanes of a chunk: as many as allowed or down to half of that, so that few are repeated at the end."""
    most = max(min(chunk_rows // height, groups), 1)
    step = LANES_IN_STEP if most >= MANY_LANES else 1
    choices = range(-(-most // step) * step, most // 2, -step)
    lanes = min(choices, key=lambda lanes: -(-groups // lanes) * lanes)
    return Bucket(height, groups, rows, lanes, evaluated=-(-groups // lanes) * lanes * height)

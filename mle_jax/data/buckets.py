"""Groups of all sizes in a few shapes: which heights to fill them up to, so that few rows are evaluated in vain.

Every height is a compilation of a second or more, and every group is filled up to the height of its bucket by rows of
weight 0. Both are kept small: the heights are chosen from the sizes that there are, not from a fixed grid.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

MOST_WASTE = 1.5
"""Rows evaluated per row, at most, where 16 buckets suffice for that."""
USUAL_BUCKETS = 8
MOST_BUCKETS = 16
ROWS_PER_COMPILATION = 10_000_000
"""A further bucket must save so many rows: its compilation takes 5 to 10 s, and some million are evaluated in one."""
LANES_IN_STEP = 16
"""Many lanes are a multiple of so many, of which the engine makes its blocks: a rest would be compiled by itself."""
MANY_LANES = 160
MOST_HEIGHTS = 1000
"""Heights among which the best are chosen, spaced evenly in the logarithm where there are more sizes."""


class Bucket(NamedTuple):
    """Groups that are evaluated in one shape.

    Attributes:
        height: the rows of a lane, to which each of its groups is filled up.
        groups: how many groups there are.
        rows: how many rows they have in total.
        lanes: the groups of one chunk; the last chunk is filled up by repeating one.
    """

    height: int
    groups: int
    rows: int
    lanes: int

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return -(-self.groups // self.lanes)

    @property
    def evaluated(self) -> int:
        """The rows evaluated, those of weight 0 and those of repeated groups included."""
        return self.chunks * self.lanes * self.height

    def parts(self) -> Iterator[tuple[int, int]]:
        """Yield the first group of every chunk and the one behind its last, counted within the bucket."""
        return ((first, min(first + self.lanes, self.groups)) for first in range(0, self.groups, self.lanes))


def choose_buckets(sizes: np.ndarray, counts: np.ndarray, *, chunk_rows: int) -> tuple[Bucket, ...]:
    """Choose heights by dynamic programming: of all ways to make K buckets the one with the fewest rows evaluated.

    K is the smallest number for which at most `MOST_WASTE` rows are evaluated per row, and larger, up to
    `USUAL_BUCKETS`, where a further bucket saves more than it costs to compile.

    Args:
        sizes: the distinct sizes of the groups, ascending, each at least 1.
        counts: how many groups have each.
        chunk_rows: about how many rows a chunk may have.

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
    best: tuple[Bucket, ...] = ()
    for edges in _best_edges(tops, groups):
        buckets = tuple(
            _bucket(int(tops[end - 1]), int(groups[end] - groups[begin]), int(rows[end] - rows[begin]), chunk_rows)
            for begin, end in itertools.pairwise(edges)
        )
        saved = evaluated(best) - evaluated(buckets)
        enough = bool(best) and evaluated(best) <= MOST_WASTE * rows[-1]
        if enough and (len(buckets) > USUAL_BUCKETS or saved < ROWS_PER_COMPILATION):
            break
        if not best or saved > 0:
            best = buckets
    return best


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
    return Bucket(height, groups, rows, min(choices, key=lambda lanes: -(-groups // lanes) * lanes))

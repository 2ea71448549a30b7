"""Sorting rows into groups and groups into few shapes: the waste is bounded and the best that so many shapes allow."""

import datetime
import itertools

import numpy as np
import pyarrow as pa
import pytest

from mle_jax.data.buckets import MOST_BUCKETS, MOST_FILLED, MOST_WASTE, Together, choose_buckets, evaluated
from mle_jax.data.groups import choose_columns, group_rows
from mle_jax.data.scattered import hash_keys


def buckets_of(sizes, chunk_rows=2**20):
    return choose_buckets(*np.unique(sizes, return_counts=True), chunk_rows=chunk_rows)


def log_uniform(count, low, high, seed=0):
    return np.exp(np.random.default_rng(seed).uniform(np.log(low), np.log(high), count)).astype(int)


@pytest.mark.parametrize("count", [20, 300, 100_000])
@pytest.mark.parametrize("chunk_rows", [1, 6000, 2**20])
def test_few_shapes_and_little_waste_for_log_uniform_sizes(count, chunk_rows):
    sizes = log_uniform(count, 5, 5000)
    buckets = buckets_of(sizes, chunk_rows)
    assert len(buckets) <= 8 and evaluated(buckets) <= MOST_WASTE * sizes.sum()
    assert sum(b.groups for b in buckets) == count and sum(b.rows for b in buckets) == sizes.sum()


@pytest.mark.parametrize(
    "sizes",
    [
        np.repeat(2 ** np.arange(20), 2 ** np.arange(20)[::-1]),  # as many rows in every octave: the worst there is
        np.array([1] * 1000 + [10**6]),
        np.array([7]),
        np.arange(1, 3000),
        log_uniform(1000, 1, 10**6),
    ],
    ids=["octaves", "one giant", "one", "all", "wide"],
)
def test_waste_is_bounded_for_difficult_sizes(sizes):
    buckets = buckets_of(sizes)
    assert len(buckets) <= MOST_BUCKETS and evaluated(buckets) <= MOST_WASTE * sizes.sum()
    heights = [bucket.height for bucket in buckets]
    assert heights == sorted(set(heights)) and heights[-1] == sizes.max()
    home = np.searchsorted(heights, sizes)
    assert np.bincount(home, minlength=len(buckets)).tolist() == [bucket.groups for bucket in buckets]


def test_an_engine_that_skips_rows_needs_fewer_shapes():
    sizes = log_uniform(20_000, 5, 5000)
    skipped = choose_buckets(*np.unique(sizes, return_counts=True), chunk_rows=2**20, together=Together(32, 6000))
    assert len(skipped) < len(buckets_of(sizes)) and sum(b.filled for b in skipped) <= MOST_FILLED * sizes.sum()
    # 32 lanes of neighboring sizes, in each bucket from the longest on
    below, rows = 0, 0
    for bucket in skipped:
        own = np.sort(sizes[(sizes > below) & (sizes <= bucket.height)])[::-1]
        rows += sum(32 * own[first] for first in range(0, len(own), 32))
        below = bucket.height
    assert evaluated(skipped) == rows < 1.05 * sizes.sum()
    # One lane of a size that cannot be skipped, and all are filled up as usual.
    longer = np.append(sizes, 6001)
    unique = np.unique(longer, return_counts=True)
    assert choose_buckets(*unique, chunk_rows=2**20, together=Together(32, 6000)) == buckets_of(longer)


def test_heights_are_the_best_of_all():
    rng = np.random.default_rng(3)
    for _ in range(20):
        sizes = rng.integers(1, 400, 40)
        buckets = buckets_of(sizes)
        tops = np.unique(sizes)

        def cost(edges, sizes=sizes):
            heights = np.array(edges)
            return heights[np.searchsorted(heights, sizes)].sum()

        rivals = [cost((*some, tops[-1])) for some in itertools.combinations(tops[:-1], len(buckets) - 1)]
        assert sum(b.height * b.groups for b in buckets) == min(rivals)


def test_further_shapes_where_they_pay():
    few = buckets_of(np.repeat(np.arange(100, 120), 10))  # 2 % to be saved of 22 000 rows
    many = buckets_of(np.repeat(np.arange(1000, 1400), 1000))
    assert len(few) == 1 and 1 < len(many) <= 8


@pytest.mark.parametrize(
    ("groups", "most"), [(1000, 64), (7, 3), (3, 2), (100, 1), (5, 1000), (170, 1000), (1001, 400)]
)
def test_chunks_are_full(groups, most):
    (bucket,) = buckets_of(np.full(groups, 10), chunk_rows=10 * most)
    assert bucket.lanes <= most + 15
    # Half of the allowed lanes or more, of which the last chunk repeats at most a few.
    assert bucket.lanes >= min(most, groups) / 2
    assert bucket.chunks * bucket.lanes - groups <= max(most // 8, 1)
    assert bucket.lanes % 16 == 0 or min(most, groups) < 160
    assert [end - first for first, end in bucket.parts()][:-1] == [bucket.lanes] * (bucket.chunks - 1)


def table_of(keys, **columns):
    n = len(keys)
    return pa.table({"k": keys, "y": np.arange(float(n)), **columns})


def grouped(table, by="k", columns=None, weights=None, missing="report"):
    return group_rows(table, choose_columns(table.column_names, by, columns, weights), missing=missing)


def test_rows_keep_their_order_inside_a_group():
    groups = grouped(table_of(["b", "a", "b", "b", "a"]))
    assert groups.keys["k"].to_pylist() == ["a", "b"] and groups.sizes.tolist() == [2, 3]
    assert groups.rows(0)[0]["y"].tolist() == [1, 4] and groups.rows(1)[0]["y"].tolist() == [0, 2, 3]
    data, weights = groups.padded(np.array([1, 0, 1]), 4)
    assert weights[:].tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]]
    assert data["y"][:].tolist() == [[0, 2, 3, 0], [1, 4, 0, 0], [0, 2, 3, 0]]
    sent = groups.some(np.array([1])).compact()
    assert sent.rows(0)[0]["y"].tolist() == [0, 2, 3] and len(sent.data["y"]) == 3


def test_weights_and_missing_values():
    table = table_of([1, 1, 2, 2, 3], w=[0.0, 2.0, 1.0, 1.0, 0.0], z=[1.0, 1.0, None, float("nan"), 1.0])
    groups = grouped(table, columns={"x": ["y", "z"]}, weights="w", missing="drop")
    assert groups.sizes.tolist() == [2, 0, 1] and groups.valid.tolist() == [1, 0, 0]
    assert groups.keys["k"].to_pylist() == [1, 2, 3]
    assert groups.padded(np.array([0]), 3)[1][:].tolist() == [[0, 2, 0]]


def test_equal_keys_have_equal_hashes_in_other_tables_and_types():
    dates = [datetime.date(2020, 1, day) for day in (1, 2, 1)]
    for keys in ([3, 4, 3], ["a", "b", "a"], [0.5, 1.5, 0.5], dates):
        first, again = (hash_keys(pa.table({"k": part})) for part in (keys, keys[2:]))
        assert first[0] == first[2] == again[0] != first[1]
    spread = np.bincount(hash_keys(pa.table({"k": np.arange(80_000)})) % np.uint64(8))
    assert np.abs(spread - 10_000).max() < 500  # five standard deviations of a binomial count

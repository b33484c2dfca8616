"""Intervals in bins, against a dense array of bases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epiattn.io import _overlaps
from epiattn.io._overlaps import Intervals, add_overlaps, clip, near, regions_of, union

LENGTH, PAD = 300, 400

some_intervals = st.lists(
    st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 120), st.sampled_from([0.0, 0.25, 1.0, 3.5, 1e6])), max_size=30
)
some_starts = st.lists(st.integers(-150, LENGTH + 50), min_size=1, max_size=12)


def made(rows) -> Intervals:
    start = np.array([row[0] for row in rows], np.int64)
    length = np.array([row[1] for row in rows], np.int64)
    return Intervals(start, start + length, np.array([row[2] for row in rows], float))


def dense(intervals: Intervals) -> np.ndarray:
    """Sum of the values at each base, the first of which is ``-PAD``."""
    bases = np.zeros(PAD + LENGTH + 2 * PAD)
    for start, end, value in zip(*intervals, strict=True):
        bases[PAD + start : PAD + end] += value
    return bases


@settings(deadline=None, derandomize=True, max_examples=150)
@given(some_intervals, some_starts, st.sampled_from([1, 7, 20]), st.integers(1, 9), st.sampled_from([1, 10, 10**6]))
def test_sums_are_those_of_the_bases(rows, starts, bin_size, n_bins, budget):
    intervals, starts = made(rows), np.sort(np.array(starts))
    total = np.full((len(starts), n_bins), 1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_overlaps, "_BUDGET", budget)
        add_overlaps(total, starts, intervals, bin_size=bin_size)
    bases = dense(intervals)
    expected = [
        bases[PAD + start : PAD + start + n_bins * bin_size].reshape(n_bins, bin_size).sum(1) for start in starts
    ]
    np.testing.assert_allclose(total - 1, expected, rtol=1e-12, atol=1e-9)


def test_a_bin_that_nothing_touches_is_exactly_0_beside_huge_values():
    rows = [(i, 1, 1e15 / (i + 3)) for i in range(0, 200, 2)]
    total = np.zeros((3, 40))
    add_overlaps(total, np.array([-20, 100, 180]), made(rows), bin_size=1)
    covered = np.zeros(600, bool)
    covered[100 : 100 + 200 : 2] = True
    expected = np.stack([covered[100 + start : 140 + start] for start in (-20, 100, 180)])
    np.testing.assert_array_equal(total > 0, expected)


def test_small_values_keep_their_digits_beside_huge_ones():
    total = np.zeros((1, 3))
    add_overlaps(total, np.array([0]), made([(0, 10, 1e20), (12, 5, 0.1), (20, 10, 1e20)]), bin_size=10)
    assert total[0, 1] == 5 * 0.1


@settings(deadline=None, derandomize=True, max_examples=100)
@given(some_intervals)
def test_a_union_covers_every_base_once(rows):
    intervals = made(rows)
    merged = union(intervals)
    covered = dense(intervals._replace(value=np.ones(len(rows)))) > 0
    np.testing.assert_array_equal(dense(merged), covered)
    assert (merged.start < merged.end).all()


@settings(deadline=None, derandomize=True, max_examples=100)
@given(some_intervals, st.integers(-50, LENGTH), st.integers(1, 200))
def test_clipped_intervals_are_the_same_within_and_nothing_outside(rows, start, length):
    intervals = made(rows)
    expected = dense(intervals)
    expected[: PAD + start] = 0
    expected[PAD + start + length :] = 0
    clipped = clip(intervals, start, start + length)
    np.testing.assert_allclose(dense(clipped), expected)
    assert (clipped.start < clipped.end).all()


@settings(deadline=None, derandomize=True, max_examples=100)
@given(some_intervals, some_starts, st.integers(1, 60), st.integers(0, 40))
def test_near_keeps_what_touches_a_region(rows, starts, width, gap):
    regions = regions_of(np.sort(np.array(starts)), width, gap=gap)
    intervals = made(rows)
    expected = [row for row in zip(*intervals, strict=True) if any(row[0] < end and row[1] > a for a, end in regions)]
    assert list(zip(*near(intervals, regions), strict=True)) == expected


@settings(deadline=None, derandomize=True, max_examples=100)
@given(some_starts, st.integers(1, 60), st.integers(0, 40), st.sampled_from([None, LENGTH]))
def test_regions_hold_the_windows_and_no_more_than_the_gaps(starts, width, gap, length):
    starts = np.sort(np.array(starts))
    inside = np.zeros(PAD + LENGTH + PAD, bool)
    for start in starts:
        inside[PAD + start : PAD + start + width] = True
    inside[:PAD] = False
    if length is not None:
        inside[PAD + length :] = False
    regions = regions_of(starts, width, gap=gap, length=length)
    found = np.zeros(len(inside), bool)
    for start, end in regions:
        assert not found[PAD + start : PAD + end].any()
        found[PAD + start : PAD + end] = True
    assert found[inside].all()
    if gap == 0:
        np.testing.assert_array_equal(found, inside)
    assert (regions[1:, 0] > regions[:-1, 1] + gap).all()


def test_windows_so_far_apart_come_together():
    starts = np.array([-30, 0, 100, 151, 400])
    np.testing.assert_array_equal(regions_of(starts, 50), [[0, 50], [100, 150], [151, 201], [400, 450]])
    np.testing.assert_array_equal(regions_of(starts, 50, gap=1), [[0, 50], [100, 201], [400, 450]])
    np.testing.assert_array_equal(regions_of(starts, 50, gap=50, length=420), [[0, 201], [400, 420]])
    np.testing.assert_array_equal(regions_of(np.array([-80, 500]), 50, length=420), np.empty((0, 2)))

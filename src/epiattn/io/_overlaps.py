"""Intervals along a chromosome, summed into the bins of windows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._places import expand

#: Overlaps of an interval with a bin that are worked out at once: some 100 bytes each.
_BUDGET = 500_000


class Intervals(NamedTuple):
    """Half-open intervals of a chromosome in any order, and the value of each."""

    start: np.ndarray
    end: np.ndarray
    value: np.ndarray

    def take(self, which: np.ndarray) -> Intervals:
        """Some of them.

        Parameters
        ----------
        which
            Boolean mask or positions.

        Returns
        -------
        The intervals there.
        """
        return Intervals(self.start[which], self.end[which], self.value[which])


def clip(intervals: Intervals, start: int, end: int) -> Intervals:
    """The parts of intervals within a region."""
    inside = intervals.take((intervals.end > start) & (intervals.start < end))
    return inside._replace(start=np.maximum(inside.start, start), end=np.minimum(inside.end, end))


def union(intervals: Intervals) -> Intervals:
    """Disjoint intervals of value 1 that cover the same bases."""
    intervals = intervals.take(np.argsort(intervals.start, kind="stable"))
    reached = np.maximum.accumulate(np.concatenate([[0], intervals.end[:-1]]))  # by those before
    start = np.maximum(intervals.start, reached)
    parts = Intervals(start, intervals.end, np.ones(len(start)))
    return parts.take(parts.end > start)


def near(intervals: Intervals, regions: np.ndarray) -> Intervals:
    """The intervals that touch regions, which are disjoint and in order, shape ``(n_regions, 2)``."""
    region = np.searchsorted(regions[:, 1], intervals.start, side="right")  # the first that ends beyond the start
    begin = np.append(regions[:, 0], np.iinfo(np.int64).max)  # after the last one comes none
    return intervals.take(begin[region] < intervals.end)


def regions_of(starts: np.ndarray, width: int, *, gap: int = 0, length: int | None = None) -> np.ndarray:
    """Disjoint regions, in order, that hold all windows.

    Parameters
    ----------
    starts
        Where the windows start, in increasing order; they may reach beyond the ends of the chromosome.
    width
        Their width in bp.
    gap
        Windows that are at most so far apart come into one region.
    length
        Of the chromosome, where it is known: no region reaches beyond it.

    Returns
    -------
    Starts and ends, shape ``(n_regions, 2)``.
    """
    first = np.flatnonzero(np.diff(starts, prepend=-np.inf) > width + gap)
    last = np.append(first[1:], len(starts)) - 1
    regions = np.stack([starts[first], starts[last] + width], axis=1)
    regions = regions.clip(0, length)
    return regions[regions[:, 0] < regions[:, 1]]


def add_overlaps(total: np.ndarray, starts: np.ndarray, intervals: Intervals, *, bin_size: int) -> None:
    """Add value x overlap of every interval to the bins that it touches.

    Sums hold nothing but what touches a bin (no differences of running totals): they are exact to float64, and
    exactly 0 where nothing does.

    Parameters
    ----------
    total
        Sum of each bin of each window, shape ``(n_windows, n_bins)``, C-ordered; changed in place.
    starts
        Where the windows start, in increasing order, shape ``(n_windows,)``.
    intervals
        What to add.
    bin_size
        Width of a bin in bp.
    """
    width = total.shape[1] * bin_size
    first = np.searchsorted(starts, intervals.start - width, side="right")  # window that an interval touches
    last = np.searchsorted(starts, intervals.end, side="left")  # the one after those
    touching = np.flatnonzero(first < last)
    intervals, first, last = intervals.take(touching), first[touching], last[touching]
    n_bins = np.minimum(intervals.end - intervals.start, width) // bin_size + 2  # in each window, at most
    cost = np.cumsum((last - first) * n_bins)
    cuts = np.flatnonzero(np.diff(cost // _BUDGET)) + 1
    for piece in np.split(np.arange(len(touching)), cuts):
        if len(piece):
            _add(total, starts, intervals.take(piece), first[piece], last[piece], bin_size)


def _add(
    total: np.ndarray, starts: np.ndarray, intervals: Intervals, first: np.ndarray, last: np.ndarray, bin_size: int
) -> None:
    n_bins = total.shape[1]
    # Every pair of an interval and a window that it touches; where it lies in that window.
    interval, window = _expand(first, last)
    left = np.maximum(intervals.start[interval] - starts[window], 0)
    right = np.minimum(intervals.end[interval] - starts[window], n_bins * bin_size)
    # Every bin that a pair touches.
    pair, place = _expand(left // bin_size, (right - 1) // bin_size + 1)
    overlap = np.minimum(right[pair], (place + 1) * bin_size) - np.maximum(left[pair], place * bin_size)
    low, high = first.min(), last.max()
    added = np.bincount(
        (window[pair] - low) * n_bins + place,
        weights=overlap * intervals.value[interval[pair]],
        minlength=(high - low) * n_bins,
    )
    total[low:high] += added.reshape(high - low, n_bins)


def _expand(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All members of ranges, ends excluded: which range each belongs to, and the member."""
    which, rank = expand(last - first)
    return which, first[which] + rank

"""bigWig of methylated fractions: an interval for each CpG, and the reads in a second bigWig where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from epiattn._logging import logger

from ._bigwig import BigWig
from ._cpgs import UNKNOWN, make_cpgs
from ._overlaps import Intervals
from ._places import expand

if TYPE_CHECKING:
    import pandas as pd

_PIECE = 5_000_000  # bp that are read at once
_LONGEST = 64  # bp; an interval that is longer holds no run of CpGs of one value
#: What the Roadmap consortium calls the two files; they lie side by side, or in folders that are named alike.
_FRACTION, _READS = "FractionalMethylation", "ReadCoverage"


def read_bigwig(path: str | Path) -> Iterator[pd.DataFrame]:
    """CpGs of a bigWig of methylated fractions (0 to 1) or percentages, as the Roadmap consortium and ENCODE give them.

    An interval of one or two bases is a CpG at its start; one that is longer is a run of CpGs with the same value.
    Values below 0, which some files have where nothing was measured, are passed over. The reads of
    ``…FractionalMethylation.bigwig`` are those of ``…ReadCoverage.bigwig``, in the same folder or in
    ``ReadCoverage_bigwig`` beside ``FractionalMethylation_bigwig``. Without such a file, every CpG counts as one read.

    Parameters
    ----------
    path
        The bigWig.

    Yields
    ------
    Tables as of :func:`epiattn.io._cpgs.make_cpgs`.

    Raises
    ------
    ValueError
        If it is no bigWig, a value is above 100, or an interval is too long to be of CpGs.
    """
    import pandas as pd

    reads = reads_beside(path)
    with BigWig(path) as track:
        scale = _scale(path, track)
        coverage = None if reads is None else BigWig(reads)
        n_missing = 0
        try:
            for chrom, length in track.chromosomes.items():
                for start in range(0, int(length or 0), _PIECE):
                    position, level = _cpgs(path, chrom, _within(track, chrom, start))
                    n_missing += int((level < 0).sum())
                    position, level = position[level >= 0], level[level >= 0] * scale
                    if len(position):
                        count = _reads_at(coverage, chrom, start, position)
                        names = pd.Series(pd.Categorical.from_codes(np.zeros(len(position), np.int8), [chrom]))
                        strand = np.full(len(position), UNKNOWN, np.int8)
                        yield make_cpgs(names, position, strand, level, count)
        finally:
            if coverage is not None:
                coverage.close()
    if n_missing:
        logger.info("%s: %d values below 0 are passed over: not measured.", path, n_missing)


def reads_beside(path: str | Path) -> Path | None:
    """The bigWig with the reads of a bigWig of fractions, if there is one."""
    path = Path(path)
    if _FRACTION not in path.name:
        return None
    name = path.name.replace(_FRACTION, _READS)
    places = (path.with_name(name), path.parent.parent / path.parent.name.replace(_FRACTION, _READS) / name)
    return next((place for place in places if place.is_file()), None)


def _scale(path: str | Path, track: BigWig) -> float:
    """1 for fractions, 1/100 for percentages."""
    highest = track.highest
    if highest > 100:
        msg = f"{path}: values up to {highest:g}: neither a methylated fraction (0 to 1) nor a percentage."
        raise ValueError(msg)
    return 0.01 if highest > 1.000_01 else 1.0


def _around(track: BigWig, chrom: str, start: int) -> Intervals:
    """Intervals in a piece and near it: the library cuts those at the ends of what is asked for."""
    length = int(track.chromosomes[chrom] or 0)
    return track.intervals(chrom, max(0, start - _LONGEST - 1), min(start + _PIECE + _LONGEST + 1, length))


def _within(track: BigWig, chrom: str, start: int) -> Intervals:
    """Intervals that begin in a piece, whole."""
    intervals = _around(track, chrom, start)
    keep = (intervals.start >= start) & (intervals.start < start + _PIECE) & ~np.isnan(intervals.value)
    return intervals.take(keep)


def _cpgs(path: str | Path, chrom: str, intervals: Intervals) -> tuple[np.ndarray, np.ndarray]:
    """Positions and values; an interval is as many CpGs as it has pairs of bases."""
    length = intervals.end - intervals.start
    if (length > _LONGEST).any():
        i = int(np.argmax(length > _LONGEST))
        msg = (
            f"{path}: the interval {chrom}:{intervals.start[i]}-{intervals.end[i]} is too long for CpGs: this is "
            "no bigWig with a value for each CpG."
        )
        raise ValueError(msg)
    row, rank = expand((length + 1) // 2)
    return intervals.start[row] + 2 * rank, intervals.value[row]


def _reads_at(coverage: BigWig | None, chrom: str, start: int, position: np.ndarray) -> np.ndarray:
    """Reads of CpGs: 0 where the file has none, 1 where there is no file."""
    if coverage is None:
        return np.ones(len(position), np.int64)
    if chrom not in coverage.chromosomes:
        return np.zeros(len(position), np.int64)
    there = _around(coverage, chrom, start)
    if not len(there.start):
        return np.zeros(len(position), np.int64)
    last = np.searchsorted(there.start, position, side="right") - 1
    inside = (last >= 0) & (position < there.end[last])
    return np.where(inside, np.rint(np.nan_to_num(there.value[last])), 0).clip(0).astype(np.int64)

"""bedGraph, BED, narrowPeak and broadPeak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from ._overlaps import Intervals, near
from ._signal import POSITIVE, Track
from ._text import NAN, Column, check_rows, first_line, read_chunks

_CHUNK = 500_000  # lines that are read at once


class _Text(Track):
    """Text files of intervals, plain or gzipped, in any order: read as a whole, what is near the genes is kept."""

    indexed = False
    #: Which column holds the value (0-based).
    column: ClassVar[int]

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        line = first_line(self.path)
        self._separator = "\t" if "\t" in line else None
        self._first = line.split(self._separator)
        self._whole: pd.DataFrame | None = None

    @property
    def _columns(self) -> dict[str, Column]:
        return {
            "chrom": Column(0, "category"),
            "start": Column(1, "int64"),
            "end": Column(2, "int64"),
            "value": Column(self.column, "float64", NAN),
        }

    @cached_property
    def chromosomes(self) -> dict[str, int | None]:  # type: ignore[override]
        """Chromosomes of the file; it has no lengths. The file is read for this, and kept if it is small."""
        names: dict[str, None] = {}
        for i, table in enumerate(self._tables()):
            names.update(dict.fromkeys(table["chrom"].cat.categories))
            self._whole = table if i == 0 else None
        if not names:
            msg = f"{self.path}: no intervals, only header lines."
            raise ValueError(msg)
        return dict(names)

    def read(self, regions: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Intervals]]:
        """Intervals that touch regions, see :meth:`Track.read`."""
        for table in self._tables() if self._whole is None else [self._whole]:
            codes = table["chrom"].cat.codes.to_numpy()
            start, end = table["start"].to_numpy(), table["end"].to_numpy()
            value = table["value"].to_numpy() if "value" in table else np.ones(len(table))
            intervals = Intervals(start, end, value)
            for code, chrom in enumerate(table["chrom"].cat.categories):
                if chrom in regions:
                    yield chrom, near(intervals.take(codes == code), regions[chrom])

    def _tables(self) -> Iterator[pd.DataFrame]:
        """The file in pieces, checked."""
        n = 0
        for table in read_chunks(self.path, self._columns, separator=self._separator, chunk_rows=_CHUNK):
            start, end = table["start"].to_numpy(), table["end"].to_numpy()
            check_rows(self.path, start < 0, n, "the start must be 0 or more")
            check_rows(self.path, end <= start, n, "the end must be greater than the start")
            if "value" in table:
                value = table["value"].to_numpy()
                check_rows(self.path, (value < 0) | np.isinf(value), n, POSITIVE)
            n += len(table)
            yield table


class BedGraph(_Text):
    """bedGraph: column 4."""

    column = 3


class Bed(_Text):
    """BED: the score (column 5), or 1 where the first line has none or ``.``."""

    column = 4

    @property
    def _columns(self) -> dict[str, Column]:
        columns = super()._columns
        if len(self._first) <= self.column or self._first[self.column] == ".":
            del columns["value"]
        return columns


class NarrowPeak(_Text):
    """narrowPeak: the signal (column 7)."""

    column = 6


class BroadPeak(_Text):
    """broadPeak: the signal (column 7)."""

    column = 6

"""bigWig and bigBed."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ._overlaps import Intervals, clip
from ._signal import Track

_HEADER = 64  # bytes
#: Of the table of chromosomes: its magic number, size of a block, of a name, of an id and a length, and their number.
_TREE, _TREE_MAGIC, _LENGTH = struct.Struct("<4IQ"), 0x78CA8C91, 8
_PIECE = 1_000_000  # bp that are read at once


class _BigFile(Track):
    """What bigWig and bigBed have in common: indexed blocks of records."""

    kind: ClassVar[str]
    #: How files begin, on machines of either byte order.
    magic: ClassVar[tuple[bytes, bytes]]

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self._check_header()
        import pybigtools

        with self._reading():
            self._file = pybigtools.open(str(self.path))
            self._chromosomes = {str(name): int(length) for name, length in self._file.chroms().items()}

    def _check_header(self) -> None:
        with self.path.open("rb") as file:
            head = file.read(_HEADER)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 4, 0))
            tail = file.read()
        if head[:4] not in self.magic:
            msg = f"{self.path}: not a {self.kind}, it begins with {head[:4]!r}."
            raise ValueError(msg)
        order = "<" if head[:4] == self.magic[0] else ">"
        # Where the chromosomes, the data and their index begin; at the very end the magic number comes again.
        if len(head) < _HEADER or max(struct.unpack_from(f"{order}3Q", head, 8)) >= size or tail != head[:4]:
            msg = f"{self.path}: the {self.kind} is cut off after {size:,} bytes; copy or download the file again."
            raise ValueError(msg)
        with self.path.open("rb") as file:
            file.seek(struct.unpack_from(f"{order}Q", head, 8)[0])
            tree = file.read(_TREE.size)
        magic, _, key, value, n = struct.Struct(order + _TREE.format[1:]).unpack(tree.ljust(_TREE.size, b"\0"))
        if magic != _TREE_MAGIC or value != _LENGTH or n * (key + value) > size:  # the library would take the memory
            msg = (
                f"{self.path}: the {self.kind} is damaged (its table of chromosomes); copy or download the file again."
            )
            raise ValueError(msg)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Name the file in errors; a damaged block makes the library panic, which is no Exception."""
        try:
            yield
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            msg = f"{self.path}: the {self.kind} is cut off or damaged ({error}); copy or download the file again."
            raise ValueError(msg) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def chromosomes(self) -> dict[str, int | None]:
        """Chromosomes of the file and their lengths."""
        return dict(self._chromosomes)

    def read(self, regions: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Intervals]]:
        """Intervals that touch regions, cut to them; see :meth:`Track.read`."""
        for chrom, each in regions.items():
            for start, end in each.tolist():
                for left in range(start, end, _PIECE):
                    right = min(left + _PIECE, end)
                    yield chrom, clip(self.intervals(chrom, left, right), left, right)

    def intervals(self, chrom: str, start: int, end: int) -> Intervals:
        """Intervals that touch a region; the library may cut them to it."""
        with self._reading():
            table = self._table(self._file.records(chrom, start, end))
        places = table[:, :2].astype(np.int64)
        return Intervals(places[:, 0], places[:, 1], table[:, 2])

    def _table(self, records: Iterator[tuple[Any, ...]]) -> np.ndarray:
        """Start, end and value of records, shape ``(n_records, 3)``."""
        return np.fromiter(chain.from_iterable(records), np.float64).reshape(-1, 3)


class BigWig(_BigFile):
    """bigWig; of a file of 1-bp values and of one of long intervals alike."""

    kind = "bigWig"
    magic = (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26")

    @property
    def highest(self) -> float:
        """The highest value, as the file tells it."""
        with self._reading():
            return float(self._file.info()["summary"]["max"])


class BigBed(_BigFile):
    """bigBed: the value is the field ``signalValue`` (narrowPeak, broadPeak), or else ``score``, or else 1."""

    kind = "bigBed"
    magic = (b"\xeb\xf2\x89\x87", b"\x87\x89\xf2\xeb")

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        with self._reading():
            fields = [name for name, *_ in self._file.sql(parse=True)["fields"]]
        self._column = next((fields.index(name) for name in ("signalValue", "score") if name in fields), None)

    def _table(self, records: Iterator[tuple[Any, ...]]) -> np.ndarray:
        column = None if self._column is None else self._column - 1  # chrom is no part of a record
        rows = ((row[0], row[1], 1.0 if column is None else float(row[column])) for row in records)
        return super()._table(rows)

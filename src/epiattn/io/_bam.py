"""BAM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ._overlaps import Intervals, clip
from ._signal import Track

_PIECE = 200_000  # bp that are read at once


class Bam(Track):
    """BAM with an index: how many reads cover a base.

    Reads that are unmapped, secondary, duplicates or failed quality control do not count; supplementary alignments
    do. A read covers the bases that it is aligned to: no deletions, introns or clipped ends, and nothing between
    mates, whose overlap counts twice.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        try:
            import pysam
        except ImportError as error:
            msg = 'Reading BAM files needs pysam: pip install "epiattn[bam]".'
            raise ImportError(msg) from error

        self._unwanted = pysam.FUNMAP | pysam.FSECONDARY | pysam.FDUP | pysam.FQCFAIL
        verbosity = pysam.set_verbosity(0)  # what htslib would print is in the errors
        try:
            with self._reading():
                self._file = pysam.AlignmentFile(str(self.path), "rb")
        finally:
            pysam.set_verbosity(verbosity)
        if not self._file.has_index():
            msg = f"{self.path}: has no index; make one with: samtools index {self.path}"
            raise ValueError(msg)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Name the file in errors."""
        try:
            yield
        except (OSError, ValueError) as error:
            msg = f"{self.path}: not a BAM file, or cut off ({error})."
            raise ValueError(msg) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def chromosomes(self) -> dict[str, int | None]:
        """Chromosomes of the file and their lengths."""
        return dict(zip(self._file.references, self._file.lengths, strict=True))

    def read(self, regions: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Intervals]]:
        """Aligned blocks of the reads that touch regions, cut to them; see :meth:`Track.read`."""
        for chrom, each in regions.items():
            for start, end in each.tolist():
                for left in range(start, end, _PIECE):
                    right = min(left + _PIECE, end)
                    with self._reading():
                        reads = self._file.fetch(chrom, left, right)
                        wanted = (read for read in reads if not read.flag & self._unwanted)
                        blocks = [block for read in wanted for block in read.get_blocks()]
                    places = np.array(blocks, np.int64).reshape(-1, 2)
                    yield chrom, clip(Intervals(places[:, 0], places[:, 1], np.ones(len(places))), left, right)

"""methylKit: a header, then chrBase, chr, base (1-based), strand (F or R), coverage, freqC and freqT (percent)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._cpgs import check_cpgs, make_cpgs, strand_codes
from ._sniff import head_of
from ._text import NAN, Column, read_chunks

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {
    "chrom": Column(1, "category"),
    "base": Column(2, "int64"),
    "strand": Column(3, "category"),
    "coverage": Column(4, "int64"),
    "percent": Column(5, "float64", NAN),
}


def read_methylkit(path: str | Path) -> Iterator[pd.DataFrame]:
    """CpGs of a methylKit file.

    Parameters
    ----------
    path
        Text file, gzipped or not, with or without the header.

    Yields
    ------
    Tables as of :func:`epiattn.io._cpgs.make_cpgs`.

    Raises
    ------
    ValueError
        If a position is less than 1, a strand is none of ``F``, ``R``, ``+``, ``-``, ``*`` and ``.``, the coverage is
        negative, or a percentage not between 0 and 100.
    """
    n_header = int(head_of(path, 1).lines[0].lower().startswith("chrbase"))
    for piece in read_chunks(path, _COLUMNS, n_header=n_header):
        base, coverage, percent = (piece[name].to_numpy() for name in ("base", "coverage", "percent"))
        strand = strand_codes(piece["strand"])
        bad = {
            "positions are counted from 1 here, and must not be less": base < 1,
            "the strand must be F or R": strand < 0,
            "the coverage must not be negative": coverage < 0,
            "the percentage freqC must lie between 0 and 100": (coverage > 0) & ~((percent >= 0) & (percent <= 100)),
        }
        check_cpgs(path, piece, bad, n_header=n_header)
        yield make_cpgs(piece["chrom"], base - 1, strand, np.nan_to_num(percent) / 100, coverage)

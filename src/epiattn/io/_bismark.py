"""Bismark coverage: chromosome, start and end (1-based, the same), percent, methylated reads, unmethylated reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._cpgs import UNKNOWN, check_cpgs, make_cpgs
from ._text import Column, read_chunks

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = {
    "chrom": Column(0, "category"),
    "start": Column(1, "int64"),
    "methylated": Column(4, "int64"),
    "unmethylated": Column(5, "int64"),
}


def read_bismark(path: str | Path) -> Iterator[pd.DataFrame]:
    """CpGs of a Bismark coverage file, also one whose strands were merged (``end`` = ``start + 1``).

    The file knows no strand; the level is that of the counts, which are exact where the percentage is rounded.

    Parameters
    ----------
    path
        ``.bismark.cov``, gzipped or not.

    Yields
    ------
    Tables as of :func:`epiattn.io._cpgs.make_cpgs`.

    Raises
    ------
    ValueError
        If a position is less than 1 or a count negative.
    """
    for piece in read_chunks(path, _COLUMNS):
        start, methylated, unmethylated = (piece[name].to_numpy() for name in list(_COLUMNS)[1:])
        bad = {
            "positions are counted from 1 here, and must not be less": start < 1,
            "the number of reads must not be negative": np.minimum(methylated, unmethylated) < 0,
        }
        check_cpgs(path, piece, bad)
        coverage = methylated + unmethylated
        level = methylated / np.maximum(coverage, 1)
        yield make_cpgs(piece["chrom"], start - 1, np.full(len(piece), UNKNOWN, np.int8), level, coverage)

"""CpGs of a file: the table that every reader makes of it, and the two strands of a CpG as one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k

from ._text import check_rows

if TYPE_CHECKING:
    import pandas as pd


STRANDS = ("+", "-", ".")
MINUS, UNKNOWN = 1, 2


def strand_codes(strand: pd.Series) -> np.ndarray:
    """Strands as numbers: 0 is ``+`` (or ``F``), 1 is ``-`` (or ``R``), 2 is not known (``.`` or ``*``), -1 is wrong.

    Parameters
    ----------
    strand
        Strands, categorical.
    """
    known = {"+": 0, "F": 0, "-": MINUS, "R": MINUS, ".": UNKNOWN, "*": UNKNOWN}
    codes = np.array([known.get(str(name), -1) for name in strand.cat.categories], np.int8)
    return codes[strand.cat.codes.to_numpy()]


def check_cpgs(path: str | Path, piece: pd.DataFrame, bad: Mapping[str, np.ndarray], *, n_header: int = 0) -> None:
    """Refuse rows of a piece of a file.

    Parameters
    ----------
    path
        The file.
    piece
        As of :func:`epiattn.io._text.read_chunks`.
    bad
        By what is wrong with them: which rows are so.
    n_header
        As given to :func:`epiattn.io._text.read_chunks`.

    Raises
    ------
    ValueError
        If there is one; the message names the line.
    """
    for what, rows in bad.items():
        if rows.any():
            check_rows(path, rows, int(piece.index[0]), what, n_header=n_header)


def make_cpgs(
    chrom: pd.Series, position: np.ndarray, strand: np.ndarray, level: np.ndarray, coverage: np.ndarray
) -> pd.DataFrame:
    """A table of CpGs, as readers of files yield it; those without reads are left out.

    Parameters
    ----------
    chrom
        Chromosome, categorical.
    position
        0-based position of the C.
    strand
        As of :func:`strand_codes`; becomes ``"+"``, ``"-"`` or ``"."``.
    level
        Methylated share, in [0, 1].
    coverage
        Reads.
    """
    import pandas as pd

    table = pd.DataFrame(
        {
            k.CHROM: chrom.array,
            "position": position,
            k.STRAND: pd.Categorical.from_codes(strand, categories=STRANDS),
            "level": level,
            k.COVERAGE: coverage,
        }
    )
    return table if (coverage > 0).all() else table[coverage > 0]


def add_up(
    group: np.ndarray, place: np.ndarray, level: np.ndarray, coverage: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One CpG of each group: its first place, its levels weighted by the reads, its reads added."""
    if (group[1:] < group[:-1]).any():
        order = np.argsort(group, kind="stable")
        group, place, level, coverage = group[order], place[order], level[order], coverage[order]
    first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]][: len(group)])
    if len(first) == len(group):
        return place, level, coverage
    total = np.add.reduceat(coverage, first)
    return place[first], np.add.reduceat(level * coverage, first) / total, total


def pair(place: np.ndarray) -> np.ndarray:
    """Groups of neighbouring bases: in a run of neighbours the first two, the next two …; a last one is alone."""
    new = np.r_[True, np.diff(place) != 1][: len(place)]
    start = np.maximum.accumulate(np.where(new, np.arange(len(place)), 0))
    return np.cumsum((np.arange(len(place)) - start) % 2 == 0)

"""bedMethyl: 0-based intervals, coverage in column 10, percent methylated in column 11; three tools, three dialects."""

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

_MISSING = (*NAN, ".")
_COLUMNS = {
    "chrom": Column(0, "category"),
    "start": Column(1, "int64"),
    "name": Column(3, "category"),
    "score": Column(4, "float64", _MISSING),
    "strand": Column(5, "category"),
    "coverage": Column(9, "int64"),
    "percent": Column(10, "float64", _MISSING),
}

#: What modkit calls 5-methylcytosine: its letter, its ChEBI number, and any modification of cytosine taken together.
_METHYLATED = ("m", "27551", "C")
#: What modbam2bed calls it, and what it calls other modifications.
_MODBAM2BED = "5mC"
_OTHERS = ("5hmC", "5fC", "5caC", "modC", "5hmU", "5fU", "5caU", "modT", "6mA", "modA", "8oxoG", "modG", "Xao")


def read_bedmethyl(path: str | Path) -> Iterator[pd.DataFrame]:
    """CpGs of a bedMethyl file, as modkit (18 columns), modbam2bed (11 or more) or ENCODE (9 + 2) write it.

    * modkit has a line for each modification: those of 5-methylcytosine are taken (``m``, or ``C`` where all
      modifications of cytosine were put together), 5-hydroxymethylcytosine and others are passed over. Files whose last
      columns are separated by blanks are understood.
    * modbam2bed counts in column 10 also reads that tell nothing; the coverage taken is that of the reads that were
      called (column 5 is their share), and a level of ``nan`` is one without such reads.
    * An interval of two bases holds both strands of a CpG; its position is its start.

    Parameters
    ----------
    path
        Text file, gzipped or not.

    Yields
    ------
    Tables as of :func:`epiattn.io._cpgs.make_cpgs`.

    Raises
    ------
    ValueError
        If a position or coverage is negative, a strand none of ``+``, ``-`` and ``.``, a percentage not between 0 and
        100, or no line is of 5-methylcytosine.
    """
    line = head_of(path, 1).lines[0]
    separator = None if len(line.split("\t")) == 10 else "\t"  # blanks separate the last columns
    modkit = len(line.split(separator)) >= 18
    seen: set[str] = set()
    used = False
    for piece in read_chunks(path, _COLUMNS, separator=separator):
        kinds = [str(name).split(",")[0] for name in piece["name"].cat.categories]
        taken = np.array([kind in _METHYLATED if modkit else kind not in _OTHERS for kind in kinds])
        rows = taken[piece["name"].cat.codes.to_numpy()]
        seen.update(kinds)
        used |= bool(rows.any())
        start, percent, coverage, score = (piece[name].to_numpy() for name in ("start", "percent", "coverage", "score"))
        if _MODBAM2BED in kinds:
            called = np.rint(coverage * (score + 0.5) / 1000)  # the score was rounded down
            own = (piece["name"] == _MODBAM2BED).to_numpy() & np.isfinite(called)
            coverage = np.where(own, np.minimum(called, coverage), coverage).astype(np.int64)
        strand = strand_codes(piece["strand"])
        bad = {
            "the start must not be negative": start < 0,
            "the strand (column 6) must be +, - or .": strand < 0,
            "the coverage (column 10) must not be negative": coverage < 0,
            "the percentage (column 11) must lie between 0 and 100": (
                (coverage > 0) & ~((percent >= 0) & (percent <= 100))
            ),
        }
        check_cpgs(path, piece, {what: wrong & rows for what, wrong in bad.items()})
        coverage = np.where(rows, coverage, 0)
        yield make_cpgs(piece["chrom"], start, strand, np.nan_to_num(percent) / 100, coverage)
    if seen and not used:
        msg = f"{path}: no line is of 5-methylcytosine; column 4 names only {sorted(seen)[:5]}."
        raise ValueError(msg)

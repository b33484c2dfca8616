"""Places on several chromosomes as single numbers, so that one search serves them all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k

from ._chromosomes import match_chromosomes, plain_name

if TYPE_CHECKING:
    import pandas as pd

_BITS = 40  # of a position; longer than any chromosome


def some(names: Iterable[object], n: int = 3) -> str:
    """The first of some names, for messages."""
    names = [str(name) for name in names]
    return ", ".join(map(repr, names[:n])) + (f", … ({len(names)})" if len(names) > n else "")


def check_genes(genes: pd.DataFrame) -> pd.DataFrame:
    """A table of genes as :func:`epiattn.io.read_annotation` gives it.

    Raises
    ------
    TypeError
        If it is no DataFrame.
    ValueError
        If it is empty, lacks a column, names a gene twice, or a chromosome, TSS or strand is none.
    """
    import pandas as pd

    if not isinstance(genes, pd.DataFrame):
        msg = f"genes must be a DataFrame such as read_annotation gives, not {type(genes).__name__}."
        raise TypeError(msg)
    if lacking := [name for name in (k.CHROM, k.TSS, k.STRAND) if name not in genes]:
        msg = f"genes lacks the columns {lacking}; it has {list(genes)}, and needs chrom, tss (0-based) and strand."
        raise ValueError(msg)
    if genes.empty:
        msg = "genes has no rows."
        raise ValueError(msg)
    if genes.index.has_duplicates:
        repeated = genes.index[genes.index.duplicated()].unique()
        msg = f"genes must name each gene once in its index, but {some(repeated)} repeat."
        raise ValueError(msg)
    tss = pd.to_numeric(genes[k.TSS], errors="coerce")
    for bad, what in (
        (~((tss >= 0) & (tss == np.floor(tss))), "tss must be a whole number, 0 or more"),
        (~genes[k.STRAND].isin(["+", "-"]), "strand must be '+' or '-'"),
        (genes[k.CHROM].isna(), "chrom must be named"),
    ):
        if bad.any():
            msg = f"genes: {what}, which does not hold for {some(genes.index[bad])}."
            raise ValueError(msg)
    return genes


class Places:
    """Places on the chromosomes of the genes, in a file that may name them otherwise.

    Parameters
    ----------
    genes
        Table of genes.
    """

    def __init__(self, genes: pd.DataFrame) -> None:
        check_genes(genes)
        self._wanted = set(genes[k.CHROM].astype(str))
        names = sorted({plain_name(name) for name in self._wanted})
        self._ids = {name: i for i, name in enumerate(names, start=1)}
        self._seen: set[str] = set()
        #: TSS of the genes, shape ``(n_genes,)``.
        self.tss = self._encode(genes[k.CHROM].astype(str).astype("category"), genes[k.TSS].to_numpy(np.int64))
        #: +1 or -1, shape ``(n_genes,)``.
        self.sign = np.where(genes[k.STRAND].to_numpy() == "+", 1, -1)

    def encode(self, chrom: pd.Series, position: np.ndarray) -> np.ndarray:
        """Places of a file as numbers; negative where no gene is on the chromosome.

        Parameters
        ----------
        chrom
            Chromosome, categorical.
        position
            0-based positions.
        """
        self._seen.update(map(str, chrom.cat.categories))
        return self._encode(chrom, position)

    def _encode(self, chrom: pd.Series, position: np.ndarray) -> np.ndarray:
        ids = np.array([self._ids.get(plain_name(str(name)), -1) for name in chrom.cat.categories], np.int64)
        first = ids[chrom.cat.codes.to_numpy()] << _BITS
        return np.where(first < 0, -1, first + np.clip(position, -1, 2**_BITS - 1))

    def report(self, path: str | Path) -> None:
        """Say which chromosomes of the genes the file lacks, once it was read.

        Raises
        ------
        ValueError
            If it has none of them.
        """
        if not self._seen:
            msg = f"{path}: the file has no data lines."
            raise ValueError(msg)
        match_chromosomes(self._wanted, self._seen, where=str(path))


def merge(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of disjoint, sorted intervals that cover the same places."""
    order = np.argsort(starts)
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    new = np.r_[True, starts[1:] > ends[:-1]]
    return starts[new], ends[np.r_[np.flatnonzero(new)[1:] - 1, len(ends) - 1]]


def expand(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a ragged table: for each entry, its row and its rank in the row."""
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)

"""What within-gene measures share: their result, and tables of genes and cell types.

Between genes, the activity that a gene has in every cell type explains most; within-gene measures leave it out. All
models are judged on the same genes: which ones count depends on the truth alone, and scores that do not differ between
cell types count as chance (0, or 0.5), not as missing. NaN is only where the data do not define the measure, with a
note that says why.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._check import codes, pair

#: A correlation over fewer genes, or cell types, is always 1 or -1.
MIN_CORRELATED = 3


class WithinGene(NamedTuple):
    """A within-gene measure."""

    value: float
    """The measure, or NaN where the data do not define it."""
    n_genes: int
    """Genes that it rests on."""
    n_excluded: int
    """Genes that were left out: in too few cell types, or without a difference in the truth."""
    note: str
    """Why the value is NaN, or what else to know of it; empty: nothing."""


class Tables(NamedTuple):
    """Truth and scores of genes (rows) in cell types (columns)."""

    truth: np.ndarray
    score: np.ndarray
    there: np.ndarray
    """Which entries are there; the others are 0."""
    cell_types: np.ndarray

    def varies(self, values: np.ndarray) -> np.ndarray:
        """Genes whose values differ between the cell types that are there."""
        low = values.min(axis=1, where=self.there, initial=np.inf)
        high = values.max(axis=1, where=self.there, initial=-np.inf)
        return low < high


def tables(y_true: ArrayLike, y_score: ArrayLike, gene: Any, cell_type: Any) -> Tables:
    """Arrange observations by gene and cell type.

    Raises
    ------
    ValueError
        If lengths differ, a value is NaN or infinite, a name is missing, or a gene is twice in a cell type.
    """
    truth, score = pair(y_true, y_score, finite=True)
    row, column, genes, cell_types = unique_cells(gene, cell_type, len(truth))
    shape = (len(genes), len(cell_types))
    table = Tables(np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=bool), cell_types)
    table.truth[row, column] = truth
    table.score[row, column] = score
    table.there[row, column] = True
    return table


def unique_cells(gene: Any, cell_type: Any, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gene and cell type of each observation as integers, and the names of both.

    Raises
    ------
    ValueError
        If a length differs, a name is missing, or a gene is twice in a cell type.
    """
    row, genes = codes(gene, "gene", n)
    column, cell_types = codes(cell_type, "cell_type", n)
    times = np.bincount(row * len(cell_types) + column, minlength=1)
    if times.max() > 1:
        i, j = divmod(int(times.argmax()), len(cell_types))
        msg = (
            f"Gene {str(genes[i])!r} has {times.max()} observations in cell type {str(cell_types[j])!r}; a gene has "
            "one in each."
        )
        raise ValueError(msg)
    return row, column, genes, cell_types

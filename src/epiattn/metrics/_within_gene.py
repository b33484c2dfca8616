"""Correlation across cell types, gene by gene."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._gene_tables import MIN_CORRELATED, WithinGene, tables


def within_gene_correlation(
    y_true: ArrayLike, y_score: ArrayLike, *, gene: ArrayLike, cell_type: ArrayLike
) -> WithinGene:
    """Pearson correlation across cell types in each gene, and the mean over genes.

    With held-out cell types, do not pool the folds of a baseline that knows the other cell types: the mean of the
    others is highest where the held-out one is lowest, so its correlation across such folds is exactly -1.

    Parameters
    ----------
    y_true
        Expression, or labels in {0, 1}, shape ``(n,)``.
    y_score
        Scores, shape ``(n,)``.
    gene, cell_type
        Gene and cell type of each observation, shape ``(n,)``.

    Returns
    -------
    The mean over genes that are in at least three cell types and whose truth varies between them; genes whose scores
    do not vary count as 0.

    Raises
    ------
    ValueError
        If lengths differ, a value is NaN or infinite, a name is missing, or a gene is twice in a cell type.

    Examples
    --------
    >>> import epiattn as attn
    >>> gene, cell_type = ["A", "A", "A", "B", "B", "B"], ["x", "y", "z", "x", "y", "z"]
    >>> y_true, y_score = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0], [0.1, 0.2, 0.3, 0.9, 0.9, 0.9]
    >>> attn.metrics.within_gene_correlation(y_true, y_score, gene=gene, cell_type=cell_type)
    WithinGene(value=0.5, n_genes=2, n_excluded=0, note='the scores of 1 of 2 genes do not vary: 0')
    """
    table = tables(y_true, y_score, gene, cell_type)
    n_cell_types = table.there.sum(axis=1)
    used = (n_cell_types >= MIN_CORRELATED) & table.varies(table.truth)
    n_excluded = int((~used).sum())
    if not used.any():
        enough = int((n_cell_types >= MIN_CORRELATED).sum())
        note = f"{enough} genes are in {MIN_CORRELATED} cell types or more, and the truth of none varies between them"
        return WithinGene(float("nan"), 0, n_excluded, note)
    there = table.there[used]
    truth, score = (_centred(values[used], there) for values in (table.truth, table.score))
    flat = ~table.varies(table.score)[used]
    scale = np.sqrt((truth**2).sum(axis=1) * (score**2).sum(axis=1))
    values = np.where(flat, 0.0, (truth * score).sum(axis=1) / np.where(flat, 1.0, scale))
    note = f"the scores of {int(flat.sum())} of {len(flat)} genes do not vary: 0" if flat.any() else ""
    return WithinGene(float(np.clip(values, -1, 1).mean()), int(used.sum()), n_excluded, note)


def _centred(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Values less the mean of their row over the entries that are there; 0 elsewhere."""
    mean = np.where(there, values, 0.0).sum(axis=1) / there.sum(axis=1)
    return np.where(there, values - mean[:, None], 0.0)

"""Genes whose label differs between cell types."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._binary import auc_of_ranks, ranks
from ._check import codes, pair
from ._gene_tables import WithinGene, unique_cells


def differing_gene_auc(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    gene: ArrayLike,
    cell_type: ArrayLike,
    share: tuple[float, float] = (0.0, 1.0),
) -> WithinGene:
    """ROC AUC on the genes whose label differs between cell types.

    Between these genes, too, some are high in more cell types than others; ``share`` narrows that down.

    Parameters
    ----------
    y_true
        Labels in {0, 1}, shape ``(n,)``.
    y_score
        Scores, shape ``(n,)``.
    gene, cell_type
        Gene and cell type of each observation, shape ``(n,)``.
    share
        Lowest and highest share of the cell types in which a gene has label 1, such as ``(0.3, 0.7)``.

    Returns
    -------
    The area, from 0 to 1; 0.5 is chance.

    Raises
    ------
    ValueError
        If lengths differ, a value is NaN, a label is not 0 or 1, a name is missing, or a gene is twice in a cell type.

    See Also
    --------
    label_differs : which observations these are, where a fold has only some of the cell types.

    Examples
    --------
    >>> import epiattn as attn
    >>> gene, cell_type = ["A", "B", "C", "A", "B", "C"], ["x", "x", "x", "y", "y", "y"]
    >>> y_true, y_score = [0, 0, 1, 1, 0, 0], [0.2, 0.2, 0.6, 0.5, 0.9, 0.3]
    >>> attn.metrics.differing_gene_auc(y_true, y_score, gene=gene, cell_type=cell_type)
    WithinGene(value=1.0, n_genes=2, n_excluded=1, note='')
    """
    truth, score = pair(y_true, y_score, binary=True)
    differs = label_differs(truth, gene=gene, share=share)
    found, _, names, _ = unique_cells(gene, cell_type, len(truth))
    n_genes = len(np.unique(found[differs]))
    note = "" if n_genes else "no gene has both labels, in the cell types that are here"
    return WithinGene(auc_of_ranks(truth[differs], ranks(score[differs])), n_genes, len(names) - n_genes, note)


def label_differs(y_true: ArrayLike, *, gene: ArrayLike, share: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """Which observations are of a gene whose label differs between its observations (cell types).

    Parameters
    ----------
    y_true
        Labels in {0, 1}, shape ``(n,)``.
    gene
        Gene of each observation, shape ``(n,)``.
    share
        Lowest and highest share of a gene's observations that have label 1, such as ``(0.3, 0.7)``.

    Returns
    -------
    Boolean, shape ``(n,)``.

    Raises
    ------
    ValueError
        If lengths differ, a value is NaN, a label is not 0 or 1, a name is missing, or the share is not two rising
        numbers from 0 to 1.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.metrics.label_differs([0, 1, 1, 1], gene=["A", "A", "B", "B"]).tolist()
    [True, True, False, False]
    """
    low, high = share
    if not 0 <= low <= high <= 1:
        msg = f"share must be two rising numbers from 0 to 1, not {share}."
        raise ValueError(msg)
    truth, _ = pair(y_true, y_true, binary=True)
    found, _ = codes(gene, "gene", len(truth))
    n = np.bincount(found)
    ones = np.bincount(found, truth)
    part = ones / n
    return ((ones > 0) & (ones < n) & (part >= low) & (part <= high))[found]

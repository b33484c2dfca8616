"""Differences between two cell types, in the same genes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from ._gene_tables import MIN_CORRELATED, Tables, WithinGene, tables
from ._regression import correlation


def difference_correlation(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    gene: ArrayLike,
    cell_type: ArrayLike,
    between: tuple[str, str] | None = None,
) -> WithinGene:
    """Pearson correlation, over genes, of the true and the predicted difference between two cell types.

    Parameters
    ----------
    y_true
        Expression, or labels in {0, 1}, shape ``(n,)``.
    y_score
        Scores, shape ``(n,)``.
    gene, cell_type
        Gene and cell type of each observation, shape ``(n,)``.
    between
        The two cell types; ``None``: the mean over all pairs of cell types (with two there is one).

    Returns
    -------
    The correlation over genes that are in both cell types; 0 if the scores of no gene differ.

    Raises
    ------
    ValueError
        If lengths differ, a value is NaN or infinite, a name is missing, a gene is twice in a cell type, or
        ``between`` does not name two of the cell types.

    Examples
    --------
    >>> import epiattn as attn
    >>> gene, cell_type = ["A", "B", "C", "A", "B", "C"], ["x", "x", "x", "y", "y", "y"]
    >>> y_true, y_score = [0, 0, 1, 1, 0, 0], [0.2, 0.2, 0.6, 0.9, 0.3, 0.5]
    >>> found = attn.metrics.difference_correlation(y_true, y_score, gene=gene, cell_type=cell_type)
    >>> round(found.value, 4), found.n_genes
    (0.9608, 3)
    """

    def measure(truth: np.ndarray, score: np.ndarray) -> float:
        if len(truth) < MIN_CORRELATED or np.ptp(truth) == 0:
            return float("nan")
        return correlation(truth, score) if np.ptp(score) else 0.0

    table = tables(y_true, y_score, gene, cell_type)
    need = f"{MIN_CORRELATED} genes or more are in both, and their true differences are not all equal"
    return _over_pairs(table, measure, between, need, count_equal=True)


def sign_agreement(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    gene: ArrayLike,
    cell_type: ArrayLike,
    between: tuple[str, str] | None = None,
) -> WithinGene:
    """Share of the genes that differ between two cell types whose difference is predicted with the right sign.

    Parameters
    ----------
    y_true
        Expression, or labels in {0, 1}, shape ``(n,)``.
    y_score
        Scores, shape ``(n,)``.
    gene, cell_type
        Gene and cell type of each observation, shape ``(n,)``.
    between
        The two cell types; ``None``: the mean over all pairs of cell types (with two there is one).

    Returns
    -------
    The share, from 0 to 1; equal scores in both cell types count as half right. Chance is 0.5 where as many genes
    rise as fall.

    Raises
    ------
    ValueError
        As :func:`difference_correlation`.

    Examples
    --------
    >>> import epiattn as attn
    >>> gene, cell_type = ["A", "B", "C", "A", "B", "C"], ["x", "x", "x", "y", "y", "y"]
    >>> y_true, y_score = [0, 0, 1, 1, 0, 0], [0.2, 0.2, 0.6, 0.9, 0.3, 0.7]
    >>> attn.metrics.sign_agreement(y_true, y_score, gene=gene, cell_type=cell_type)
    WithinGene(value=0.5, n_genes=2, n_excluded=1, note='')
    """

    def measure(truth: np.ndarray, score: np.ndarray) -> float:
        agreement = np.sign(truth) * np.sign(score)
        return float(((agreement[truth != 0] + 1) / 2).mean()) if (truth != 0).any() else float("nan")

    table = tables(y_true, y_score, gene, cell_type)
    return _over_pairs(table, measure, between, "some gene differs between them", count_equal=False)


def _over_pairs(
    table: Tables,
    measure: Callable[[np.ndarray, np.ndarray], float],
    between: tuple[str, str] | None,
    need: str,
    *,
    count_equal: bool,
) -> WithinGene:
    """Mean of a measure of the differences over pairs of cell types; ``count_equal``: equal truth is counted too."""
    pairs = list(combinations(range(len(table.cell_types)), 2)) if between is None else [_named(table, between)]
    values, used = [], np.zeros(len(table.there), dtype=bool)
    for i, j in pairs:
        rows = table.there[:, i] & table.there[:, j]
        truth, score = (each[rows, j] - each[rows, i] for each in (table.truth, table.score))
        if not np.isnan(value := measure(truth, score)):
            values.append(value)
            used[rows] |= count_equal | (truth != 0)
    n_genes, note = int(used.sum()), ""
    if not values:
        note = f"there is no pair of cell types such that {need}; cell types: {', '.join(map(str, table.cell_types))}"
    elif len(values) < len(pairs):
        note = f"{len(pairs) - len(values)} of {len(pairs)} pairs of cell types left out: not {need}"
    value = float(np.mean(values)) if values else float("nan")
    return WithinGene(value, n_genes, len(used) - n_genes, note)


def _named(table: Tables, between: tuple[str, str]) -> tuple[int, int]:
    names = [str(name) for name in table.cell_types]
    if len(between) != 2 or between[0] == between[1] or not set(map(str, between)) <= set(names):
        msg = f"between must name two of the cell types {names}, not {between!r}."
        raise ValueError(msg)
    return names.index(str(between[0])), names.index(str(between[1]))

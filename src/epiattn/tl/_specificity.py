"""How specific genes are to one of several groups, and whether two measurements agree about it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import false_discovery_control, rankdata

#: With fewer groups, tau and z say nothing but which one is higher.
MIN_GROUPS = 3


def tau(values: np.ndarray) -> np.ndarray:
    """Tau index of each gene: 0 where all groups have the same expression, 1 where a single one has any.

    Parameters
    ----------
    values
        Expression on a log scale, shape ``(n_groups, n_genes)``; what is below 0 counts as 0.

    Returns
    -------
    Shape ``(n_genes,)``; NaN for fewer than three groups, and where no group has any.

    References
    ----------
    Yanai et al., Bioinformatics 21:650 (2005), doi 10.1093/bioinformatics/bti042.
    """
    values = np.maximum(np.asarray(values, dtype=float), 0)
    highest = values.max(0)
    undefined = np.full(highest.shape, np.nan)
    if len(values) < MIN_GROUPS:
        return undefined
    share = values.sum(0) / np.where(highest > 0, highest, 1)
    return np.where(highest > 0, (len(values) - share) / (len(values) - 1), undefined)


def z_scores(values: np.ndarray) -> np.ndarray:
    """Standard deviations above the gene's mean over the groups, shape ``(n_groups, n_genes)``; see :func:`tau`."""
    values = np.asarray(values, dtype=float)
    if len(values) < MIN_GROUPS:
        return np.full(values.shape, np.nan)
    spread = values.std(0, ddof=1)
    return np.divide(values - values.mean(0), spread, out=np.zeros(values.shape), where=spread > 0)


def differences(values: np.ndarray) -> np.ndarray:
    """Each group less the mean of the others; shape ``(n_groups, n_genes, ...)``, as given."""
    values = np.asarray(values, dtype=float)
    return values - (values.sum(0) - values) / (len(values) - 1)


def share_above(difference: np.ndarray) -> np.ndarray:
    """Share of the genes that are at least as specific to the group, shape ``(n_groups, n_genes)``; never 0."""
    return rankdata(-np.asarray(difference, dtype=float), method="max", axis=1) / difference.shape[1]


class Agreement(NamedTuple):
    """Of each group and gene, shape ``(n_groups, n_genes)``: the larger of two shares, and p-values."""

    rank: np.ndarray
    p_value: np.ndarray
    adjusted: np.ndarray


def agreement(first: np.ndarray, second: np.ndarray) -> Agreement:
    """Is a gene more specific to a group in both of two measurements than they would be if they had nothing in common?

    Both are ranked within each group; the statistic is the worse of a gene's two ranks. The null are all exchanges of
    the group's name in one measurement, within each gene: how specific the gene is to this group in the first and to
    another one in the second. It holds all genes together, so that a gene that varies much in both measurements, but
    not alike, counts in it with its full weight.

    Parameters
    ----------
    first, second
        Each group less the others, shape ``(n_groups, n_genes)``.

    References
    ----------
    Phipson & Smyth, Stat. Appl. Genet. Mol. Biol. 9:39 (2010), doi 10.2202/1544-6115.1585 (p-values are never 0).
    """
    one, two = share_above(first), share_above(second)
    rank = np.maximum(one, two)
    p_value, adjusted = np.empty(rank.shape), np.empty(rank.shape)
    for i in range(len(rank)):
        null = np.sort(np.maximum(one[i], np.delete(two, i, axis=0)), axis=None)
        p_value[i] = (np.searchsorted(null, rank[i], side="right") + 1) / (null.size + 1)
        adjusted[i] = false_discovery_control(p_value[i])
    return Agreement(rank, p_value, adjusted)

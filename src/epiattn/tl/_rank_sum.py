"""Wilcoxon's rank sums of many features at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import norm, rankdata


class RankSum(NamedTuple):
    """Of each feature, shape ``(n_features,)``."""

    auc: np.ndarray
    """Probability that an observation of the group is above one of the reference; ties count half."""
    score: np.ndarray
    """Standard deviations from an AUC of 0.5."""
    p_value: np.ndarray
    n_group: np.ndarray
    n_reference: np.ndarray


def rank_sum(group: np.ndarray, reference: np.ndarray) -> RankSum:
    """Mann and Whitney's test in normal approximation, with ties and without continuity correction, as in scanpy.

    Parameters
    ----------
    group, reference
        Shape ``(n_obs, n_features)`` each; NaN is left out. A feature without observations on a side, or with a single
        value, has a p-value of 1 and an AUC of 0.5.
    """
    values = np.concatenate([group, reference])
    of_group = np.arange(len(values)) < len(group)
    auc, score = np.full(values.shape[1], 0.5), np.zeros(values.shape[1])
    known = np.isfinite(values)
    n_group, n_reference = known[of_group].sum(0), known[~of_group].sum(0)
    for i in np.flatnonzero((n_group > 0) & (n_reference > 0)):
        rows = known[:, i]
        ranks, n, m = rankdata(values[rows, i]), n_group[i], n_reference[i]
        above = ranks[of_group[rows]].sum() - n * (n + 1) / 2
        ties = np.unique(ranks, return_counts=True)[1].astype(float)
        total = n + m
        variance = n * m / 12 * (total + 1 - (ties**3 - ties).sum() / (total * (total - 1)))
        auc[i] = above / (n * m)
        score[i] = (above - n * m / 2) / np.sqrt(variance) if variance > 0 else 0
    return RankSum(auc, score, 2 * norm.sf(np.abs(score)), n_group, n_reference)

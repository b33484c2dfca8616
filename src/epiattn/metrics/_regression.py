"""How close predictions come to continuous truth, by value and by rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._binary import auc_of_ranks, ranks
from ._check import pair


def r2(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Coefficient of determination; NaN where the truth does not vary.

    Parameters
    ----------
    y_true
        Truth, shape ``(n,)``.
    y_pred
        Predictions, shape ``(n,)``.

    Returns
    -------
    The coefficient, at most 1; 0 is what predicting the mean of the truth gives.

    Raises
    ------
    ValueError
        If the lengths differ, or a value is NaN or infinite.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.metrics.r2([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    truth, predicted = pair(y_true, y_pred, name="y_pred", finite=True)
    if not truth.size or np.ptp(truth) == 0:
        return float("nan")
    return float(1 - ((truth - predicted) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def mse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean squared error, in squared units of the truth; lower is better. NaN of no observation.

    Parameters
    ----------
    y_true
        Truth, shape ``(n,)``.
    y_pred
        Predictions, shape ``(n,)``.

    Returns
    -------
    The error, 0 or more.

    Raises
    ------
    ValueError
        If the lengths differ, or a value is NaN or infinite.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.metrics.mse([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    truth, predicted = pair(y_true, y_pred, name="y_pred", finite=True)
    return float(((truth - predicted) ** 2).mean()) if truth.size else float("nan")


def mae(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean absolute error, in units of the truth; lower is better. NaN of no observation.

    Parameters
    ----------
    y_true
        Truth, shape ``(n,)``.
    y_pred
        Predictions, shape ``(n,)``.

    Returns
    -------
    The error, 0 or more.

    Raises
    ------
    ValueError
        If the lengths differ, or a value is NaN or infinite.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.metrics.mae([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    truth, predicted = pair(y_true, y_pred, name="y_pred", finite=True)
    return float(np.abs(truth - predicted).mean()) if truth.size else float("nan")


def pearson(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Pearson correlation; NaN where one side does not vary.

    Parameters
    ----------
    y_true
        Truth, shape ``(n,)``.
    y_pred
        Predictions, shape ``(n,)``.

    Returns
    -------
    The correlation, from -1 to 1.

    Raises
    ------
    ValueError
        If the lengths differ, or a value is NaN or infinite.

    Examples
    --------
    >>> import epiattn as attn
    >>> round(attn.metrics.pearson([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]), 4)
    0.982
    """
    truth, predicted = pair(y_true, y_pred, name="y_pred", finite=True)
    return correlation(truth, predicted)


def spearman(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Spearman correlation: Pearson's of the mid-ranks; NaN where one side does not vary.

    Parameters
    ----------
    y_true
        Truth, shape ``(n,)``.
    y_pred
        Predictions, shape ``(n,)``.

    Returns
    -------
    The correlation, from -1 to 1.

    Raises
    ------
    ValueError
        If the lengths differ, or a value is NaN.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.metrics.spearman([1.0, 2.0, 3.0], [1.0, 2.0, 40.0])
    1.0
    """
    truth, predicted = pair(y_true, y_pred, name="y_pred")
    return correlation(ranks(truth), ranks(predicted)) if truth.size else float("nan")


def kendall_tau(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Kendall's tau-b of scores and expression (or labels): the "rank concordance" of Kang et al. 2020.

    Of all pairs of observations, those in the same order less those in the opposite order, over the geometric mean of
    the pairs that are not tied on either side. With labels, perfect scores without ties stay below 1, as pairs of one
    class are tied in the truth; the continuous expression has no such limit.

    Parameters
    ----------
    y_true
        Expression, or labels in {0, 1}, shape ``(n,)``.
    y_score
        Scores, shape ``(n,)``.

    Returns
    -------
    The correlation, from -1 to 1; NaN where one side does not vary.

    Raises
    ------
    ValueError
        If the lengths differ, or a value is NaN.

    References
    ----------
    Kendall, Biometrika 33:239 (1945).

    Examples
    --------
    >>> import epiattn as attn
    >>> round(attn.metrics.kendall_tau([1.0, 2.0, 3.0, 4.0], [0.1, 0.4, 0.35, 0.8]), 4)
    0.6667
    """
    truth, score = pair(y_true, y_score)
    if truth.size < 2 or (truth == truth[0]).all() or (score == score[0]).all():
        return float("nan")
    if ((truth == truth.min()) | (truth == truth.max())).all():
        return kendall_of_ranks(truth == truth.max(), ranks(score))
    from scipy.stats import kendalltau

    return float(kendalltau(truth, score, method="asymptotic").statistic)


def kendall_of_ranks(truth: np.ndarray, rank: np.ndarray) -> float:
    """:func:`kendall_tau` of labels and non-negative whole numbers, without sorting.

    Between two classes, concordant less discordant pairs are 2 AUC - 1 of all pairs.
    """
    n, n_positive = len(truth), int(truth.sum())
    n_across = n_positive * (n - n_positive)
    ties = np.bincount(rank)
    untied = (n * (n - 1) - float(ties @ (ties - 1))) / 2
    if not n_across or not untied:
        return float("nan")
    return float((2 * auc_of_ranks(truth, rank) - 1) * np.sqrt(n_across / untied))


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson correlation of two arrays that have been checked."""
    if x.size < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))

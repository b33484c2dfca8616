"""Measures of agreement between predictions and truth, as plain functions of arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["average_precision", "pearson", "r2", "roc_auc"]


def roc_auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Area under the ROC curve; ties count half; NaN where only one class is there.

    Parameters
    ----------
    y_true
        Labels in {0, 1}, shape ``(n,)``.
    y_score
        Scores, higher for class 1, shape ``(n,)``.

    Returns
    -------
    The area, from 0 to 1; 0.5 is chance.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.metrics.roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    from scipy.stats import rankdata

    y_true, y_score = np.asarray(y_true).astype(bool), np.asarray(y_score)
    n_positive, n_negative = int(y_true.sum()), int((~y_true).sum())
    if not n_positive or not n_negative:
        return float("nan")
    rank_sum = rankdata(y_score)[y_true].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def average_precision(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Average precision (area under the precision-recall curve, as a sum); NaN where only one class is there.

    Parameters
    ----------
    y_true
        Labels in {0, 1}, shape ``(n,)``.
    y_score
        Scores, higher for class 1, shape ``(n,)``.

    Returns
    -------
    The average precision, from 0 to 1; chance is the share of class 1.

    Examples
    --------
    >>> import epiattn as attn
    >>> round(attn.metrics.average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    from sklearn.metrics import average_precision_score

    y_true = np.asarray(y_true).astype(bool)
    if y_true.all() or not y_true.any():  # an empty array too
        return float("nan")
    return float(average_precision_score(y_true, np.asarray(y_score)))


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

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.metrics.r2([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    y_true, y_pred = np.asarray(y_true, float), np.asarray(y_pred, float)
    total = ((y_true - y_true.mean()) ** 2).sum() if y_true.size else 0.0
    return float(1 - ((y_true - y_pred) ** 2).sum() / total) if total > 0 else float("nan")


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

    Examples
    --------
    >>> import epiattn as attn
    >>> round(attn.metrics.pearson([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]), 4)
    0.982
    """
    y_true, y_pred = np.asarray(y_true, float), np.asarray(y_pred, float)
    if y_true.size < 2 or np.ptp(y_true) == 0 or np.ptp(y_pred) == 0:
        return float("nan")
    return float(np.corrcoef(y_true, y_pred)[0, 1])

"""How well scores separate two classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._check import pair


def roc_auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Area under the ROC curve; ties count half; NaN where only one class is there.

    Scores of different models (folds) are never pooled: see ``fold`` of :func:`interval`.

    Parameters
    ----------
    y_true
        Labels in {0, 1}, shape ``(n,)``.
    y_score
        Scores, higher for class 1, shape ``(n,)``.

    Returns
    -------
    The area, from 0 to 1; 0.5 is chance.

    Raises
    ------
    ValueError
        If the lengths differ, a value is NaN, or a label is not 0 or 1.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.metrics.roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    truth, score = pair(y_true, y_score, binary=True)
    return auc_of_ranks(truth, ranks(score))


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

    Raises
    ------
    ValueError
        If the lengths differ, a value is NaN, or a label is not 0 or 1.

    Examples
    --------
    >>> import epiattn as attn
    >>> round(attn.metrics.average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    truth, score = pair(y_true, y_score, binary=True)
    return average_precision_of_ranks(truth, ranks(score))


def mcc(y_true: ArrayLike, y_score: ArrayLike, *, threshold: float = 0.5) -> float:
    """Matthews correlation coefficient of the classes above and below a threshold.

    Parameters
    ----------
    y_true
        Labels in {0, 1}, shape ``(n,)``.
    y_score
        Scores, shape ``(n,)``; class 1 is predicted where they are *above* the threshold.
    threshold
        In the units of the scores.

    Returns
    -------
    The coefficient, from -1 to 1; 0 is chance, and what predicting one class only gives. NaN where the truth has only
    one class.

    Raises
    ------
    ValueError
        If the lengths differ, a value is NaN, or a label is not 0 or 1.

    References
    ----------
    Matthews, Biochim. Biophys. Acta 405:442 (1975).

    Examples
    --------
    >>> import epiattn as attn
    >>> round(attn.metrics.mcc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.5774
    """
    truth, score = pair(y_true, y_score, binary=True)
    if truth.all() or not truth.any():  # an empty array too
        return float("nan")
    predicted = score > threshold
    if predicted.all() or not predicted.any():
        return 0.0
    # The Pearson correlation of two binary variables, from their shares.
    both, true, called = (truth & predicted).mean(), truth.mean(), predicted.mean()
    return float((both - true * called) / np.sqrt(true * (1 - true) * called * (1 - called)))


def ranks(score: np.ndarray) -> np.ndarray:
    """Ranks as whole numbers: twice the mid-rank, from 2 to 2n; all that the functions below need to know of scores."""
    from scipy.stats import rankdata

    return (2 * rankdata(score)).astype(np.int64)


def auc_of_ranks(truth: np.ndarray, rank: np.ndarray) -> float:
    """:func:`roc_auc` of non-negative whole numbers, without sorting."""
    positive, negative = _histograms(truth, rank)
    n_positive, n_negative = positive.sum(), negative.sum()
    if not n_positive or not n_negative:
        return float("nan")
    below = np.cumsum(negative) - 0.5 * negative
    return float(positive @ below / (n_positive * n_negative))


def average_precision_of_ranks(truth: np.ndarray, rank: np.ndarray) -> float:
    """:func:`average_precision` of non-negative whole numbers, without sorting."""
    positive, negative = (histogram[::-1] for histogram in _histograms(truth, rank))
    if not positive.any() or not negative.any():
        return float("nan")
    called = np.cumsum(positive + negative)
    precision = np.cumsum(positive) / np.maximum(called, 1)
    return float(positive @ precision / positive.sum())


def _histograms(truth: np.ndarray, rank: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of each class have each rank."""
    length = int(rank.max()) + 1 if len(rank) else 1
    every = np.bincount(rank, minlength=length)
    positive = np.bincount(rank[truth], minlength=length)
    return positive, every - positive

"""Whether predicted probabilities are the shares that are seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._check import pair


class CalibrationCurve(NamedTuple):
    """Reliability table, one entry for each bin of predicted probability; ``pd.DataFrame(curve._asdict())``."""

    low: np.ndarray
    """Lower edge of the bin (not in it, save 0)."""
    high: np.ndarray
    """Upper edge (in it)."""
    n: np.ndarray
    """Observations in the bin."""
    predicted: np.ndarray
    """Mean predicted probability; NaN in an empty bin."""
    observed: np.ndarray
    """Share of class 1; NaN in an empty bin."""


def brier(y_true: ArrayLike, y_prob: ArrayLike) -> float:
    """Brier score: mean squared difference of probability and label; lower is better. NaN of no observation.

    Parameters
    ----------
    y_true
        Labels in {0, 1}, shape ``(n,)``.
    y_prob
        Probabilities of class 1, shape ``(n,)``.

    Returns
    -------
    The score, from 0 to 1; always predicting the share p of class 1 gives p (1 - p).

    Raises
    ------
    ValueError
        If the lengths differ, a value is NaN, a label is not 0 or 1, or a probability lies outside [0, 1].

    References
    ----------
    Brier, Mon. Weather Rev. 78:1 (1950).

    Examples
    --------
    >>> import epiattn as attn
    >>> round(attn.metrics.brier([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.1581
    """
    truth, probability = pair(y_true, y_prob, name="y_prob", binary=True, probability=True)
    return float(((probability - truth) ** 2).mean()) if truth.size else float("nan")


def ece(y_true: ArrayLike, y_prob: ArrayLike, *, n_bins: int = 15) -> float:
    """Expected calibration error: mean distance of probability and share of class 1 over bins; lower is better.

    Bins are of equal width and weighted by their observations. The error is biased upwards, the more the fewer
    observations there are: on 2,000 genes even a perfectly calibrated model has 0.016 to 0.022. Compare it only
    between models on the same observations, and use out-of-fold predictions.

    Parameters
    ----------
    y_true
        Labels in {0, 1}, shape ``(n,)``.
    y_prob
        Probabilities of class 1, shape ``(n,)``.
    n_bins
        Bins of equal width between 0 and 1.

    Returns
    -------
    The error, from 0 to 1; NaN of no observation.

    Raises
    ------
    ValueError
        If the lengths differ, a value is NaN, a label is not 0 or 1, a probability lies outside [0, 1], or there is
        no bin.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger, ICML (2017), arXiv 1706.04599.

    Examples
    --------
    >>> import epiattn as attn
    >>> round(attn.metrics.ece([0, 1, 1, 1], [0.2, 0.2, 0.9, 0.9]), 4)
    0.2
    """
    curve = calibration_curve(y_true, y_prob, n_bins=n_bins)
    filled = curve.n > 0
    if not filled.any():
        return float("nan")
    distance = np.abs(curve.predicted - curve.observed)
    return float(np.average(distance[filled], weights=curve.n[filled]))


def calibration_curve(y_true: ArrayLike, y_prob: ArrayLike, *, n_bins: int = 15) -> CalibrationCurve:
    """Reliability table: in bins of predicted probability, the mean prediction and the share of class 1.

    Parameters
    ----------
    y_true
        Labels in {0, 1}, shape ``(n,)``.
    y_prob
        Probabilities of class 1, shape ``(n,)``.
    n_bins
        Bins of equal width between 0 and 1.

    Returns
    -------
    All bins, empty ones too, as arrays of shape ``(n_bins,)``.

    Raises
    ------
    ValueError
        As in :func:`ece`.

    Examples
    --------
    >>> import epiattn as attn
    >>> curve = attn.metrics.calibration_curve([0, 1, 1, 1], [0.2, 0.2, 0.9, 0.9], n_bins=2)
    >>> curve.n.tolist(), curve.observed.tolist()
    ([2, 2], [0.5, 1.0])
    """
    truth, probability = pair(y_true, y_prob, name="y_prob", binary=True, probability=True)
    if n_bins < 1:
        msg = f"n_bins must be 1 or more, not {n_bins}."
        raise ValueError(msg)
    edges = np.linspace(0, 1, n_bins + 1)
    bins = np.searchsorted(edges[1:-1], probability)  # (low, high], and 0 in the first
    n = np.bincount(bins, minlength=n_bins)
    divisor = np.where(n > 0, n, np.nan)
    return CalibrationCurve(
        low=edges[:-1],
        high=edges[1:],
        n=n,
        predicted=np.bincount(bins, probability, minlength=n_bins) / divisor,
        observed=np.bincount(bins, truth, minlength=n_bins) / divisor,
    )


def temperature(y_true: ArrayLike, y_logit: ArrayLike) -> float:
    """Temperature that calibrates scores: the number by which to divide logits so that the labels are most likely.

    Parameters
    ----------
    y_true
        Labels in {0, 1}, shape ``(n,)``; not those that the model learned from.
    y_logit
        Logits of class 1, shape ``(n,)``.

    Returns
    -------
    The temperature, between 0.05 and 20: above 1 where the model is too sure of itself. 1 for one class or none.

    Raises
    ------
    ValueError
        If the lengths differ, a value is NaN, or a label is not 0 or 1.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger, ICML (2017), arXiv 1706.04599.

    Examples
    --------
    >>> import epiattn as attn
    >>> round(attn.metrics.temperature([1, 1, 1, 0], [4.0, 4.0, 4.0, 4.0]), 2)  # sigmoid(4 / 3.64) = 3/4
    3.64
    """
    from scipy.optimize import minimize_scalar

    truth, logit = pair(y_true, y_logit, name="y_logit", binary=True)
    sign = 2 * truth - 1
    if not truth.size or abs(sign.sum()) == truth.size:
        return 1.0
    found = minimize_scalar(
        lambda log: np.logaddexp(0, -sign * logit / np.exp(log)).mean(), bounds=(-3, 3), method="bounded"
    )
    return float(np.exp(found.x))

"""Split-conformal prediction intervals, and how often intervals hold the truth."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ._check import numbers, pair


def conformal_half_width(y_true: ArrayLike, y_pred: ArrayLike, *, level: float = 0.9) -> float:
    """Half of the width of split-conformal prediction intervals: prediction ± half width holds a new truth at a level.

    With n calibration observations it is the k-th smallest absolute residual, k = ⌈(n + 1) · level⌉. Where
    calibration and new observations are exchangeable, and the model learned from neither, intervals hold at least
    ``level`` of the truths, and at most 1 / (n + 1) more if no residuals are tied. This is on average over all
    observations, not for every kind of gene.

    Parameters
    ----------
    y_true
        True values of the calibration observations, shape ``(n,)``.
    y_pred
        Their predictions, shape ``(n,)``, by a model that did not learn from them.
    level
        Share of new truths that the intervals shall hold, between 0 and 1.

    Returns
    -------
    The half width, in the units of the truth; infinite if there are fewer than level / (1 - level) observations (9
    for 0.9).

    Raises
    ------
    TypeError
        If an array does not hold numbers.
    ValueError
        If the lengths differ, a value is NaN or infinite, or the level is not between 0 and 1.

    References
    ----------
    Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, Springer (2005); Lei, G'Sell, Rinaldo,
    Tibshirani & Wasserman, J. Am. Stat. Assoc. 113:1094 (2018), doi 10.1080/01621459.2017.1307116.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.metrics.conformal_half_width([1.0, 2.0, 3.0, 4.0], [1.5, 2.0, 2.0, 2.0], level=0.6)  # third of 0, .5, 1, 2
    1.0
    """
    check_level(level)
    truth, prediction = pair(y_true, y_pred, name="y_pred", finite=True)
    residuals = np.sort(np.abs(truth - prediction))
    rank = math.ceil(round((len(residuals) + 1) * level, 9))  # 20 * 0.95 is 19, not 19.000000000000004
    return float(residuals[rank - 1]) if rank <= len(residuals) else float("inf")


def coverage(y_true: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of the truths that lie in their interval, ends included.

    Parameters
    ----------
    y_true
        True values, shape ``(n,)``.
    low, high
        Ends of the intervals, shape ``(n,)``.

    Returns
    -------
    The share, from 0 to 1; NaN of no observation.

    Raises
    ------
    TypeError
        If an array does not hold numbers.
    ValueError
        If the lengths differ, a value is NaN, or a lower end is above the upper one.

    Examples
    --------
    >>> import epiattn as attn
    >>> attn.metrics.coverage([1.0, 5.0], low=[0.0, 0.0], high=[2.0, 2.0])
    0.5
    """
    truth, low = pair(y_true, low, name="low")
    high = numbers(high, "high")
    if len(high) != len(low):
        msg = f"low has {len(low)} values and high has {len(high)}; they must be of the same observations."
        raise ValueError(msg)
    if (crossed := low > high).any():
        msg = f"low is above high in {int(crossed.sum())} of {len(low)} intervals."
        raise ValueError(msg)
    return float(((low <= truth) & (truth <= high)).mean()) if truth.size else float("nan")


def check_level(level: float, name: str = "level") -> None:
    """Refuse what is no level."""
    if not 0 < level < 1:
        msg = f"{name} must be between 0 and 1 (0.9 for 90 %), not {level}."
        raise ValueError(msg)

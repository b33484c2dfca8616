"""Checks of the arrays that metrics take: every error names the array, what is wrong and how many values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def pair(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    name: str = "y_score",
    binary: bool = False,
    finite: bool = False,
    probability: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Truth (boolean with ``binary``) and score as two arrays of one length without NaN.

    Raises
    ------
    TypeError
        If an array does not hold numbers.
    ValueError
        If an array is not one-dimensional or has NaN, the lengths differ, a label is not 0 or 1, a value is infinite
        (with ``finite``) or lies outside [0, 1] (with ``probability``).
    """
    truth, score = numbers(y_true, "y_true"), numbers(y_score, name)
    if len(truth) != len(score):
        msg = f"y_true has {len(truth)} values and {name} has {len(score)}; they must be of the same observations."
        raise ValueError(msg)
    if binary:
        _refuse((truth != 0) & (truth != 1), "y_true", "other than 0 and 1; pass (label == 'high'), for instance")
        truth = truth.astype(bool)
    if finite:
        _refuse(np.isinf(truth), "y_true", "infinite")
        _refuse(np.isinf(score), name, "infinite")
    if probability:
        _refuse((score < 0) | (score > 1), name, "outside [0, 1]; this metric is of probabilities")
    return truth, score


def numbers(values: ArrayLike, name: str) -> np.ndarray:
    """One-dimensional array of floats without NaN; errors as in :func:`pair`."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        msg = f"{name} must hold numbers (of labels: 0 and 1, such as (label == 'high')): {error}."
        raise TypeError(msg) from error
    if array.ndim != 1:
        msg = f"{name} must be one-dimensional, its shape is {array.shape}."
        raise ValueError(msg)
    _refuse(np.isnan(array), name, "NaN; leave out the observations without a label or a prediction")
    return array


def codes(values: Any, name: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Group names as integers from 0 (in order of appearance), and the names.

    Raises
    ------
    ValueError
        If there are not ``n`` values, or some are missing.
    """
    import pandas as pd

    values = values if hasattr(values, "dtype") else np.asarray(values)
    if np.ndim(values) != 1 or len(values) != n:
        msg = f"{name} must hold one value for each of the {n} observations, its shape is {np.shape(values)}."
        raise ValueError(msg)
    found, names = pd.factorize(values)
    _refuse(found < 0, name, "missing")
    return found, np.asarray(names)


def _refuse(bad: np.ndarray, name: str, what: str) -> None:
    if bad.any():
        msg = f"{name}: {int(bad.sum())} of {len(bad)} values are {what}."
        raise ValueError(msg)

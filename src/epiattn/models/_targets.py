"""What is learned, and on which observations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._columns import parts_of_split

if TYPE_CHECKING:
    from mudata import MuData


def encode_labels(values: np.ndarray) -> np.ndarray:
    """Labels as 0 (``low``) and 1 (``high``), NaN where missing: by name, whatever their type or order.

    Raises
    ------
    ValueError
        If there are other labels.
    """
    import pandas as pd

    missing = pd.isna(values)
    names = np.array([str(value) for value in values], dtype=object)
    if unknown := sorted(set(names[~missing]) - {k.LOW, k.HIGH}):
        hint = (
            f" Rename them: .map({{0: {k.LOW!r}, 1: {k.HIGH!r}}})." if set(unknown) <= {"0", "1", "0.0", "1.0"} else ""
        )
        msg = f"Labels must be {k.LOW!r} or {k.HIGH!r} (or missing), found {unknown[:5]}.{hint}"
        raise ValueError(msg)
    return np.where(missing, np.nan, (names == k.HIGH).astype(float))


def soften_labels(target: np.ndarray, expression: np.ndarray, groups: np.ndarray, *, noise: float) -> np.ndarray:
    r"""Probabilities that genes are high, given that their expression was measured with an error.

    Labels come from a threshold, and a gene a little above it says little more than one a little below. With an error
    of logistic distribution, a gene with expression e is high with probability
    :math:`1 / (1 + \exp((t - e) / \mathrm{noise}))`. On each side of 0.5, this is stretched so that the gene with the
    lowest (highest) expression is low (high) for certain. The threshold t of a group lies half way between its highest
    low and its lowest high gene; where these overlap, the labels are no threshold of this expression, and stay.

    Parameters
    ----------
    target
        1 for high, 0 for low, NaN where missing; shape ``(n_obs,)``.
    expression
        NaN where missing; shape ``(n_obs,)``.
    groups
        Observations that share a threshold have the same value, such as their cell type; shape ``(n_obs,)``.
    noise
        Scale of the error, in the units of the expression.

    Returns
    -------
    Shape ``(n_obs,)``; above 0.5 for high, below for low.
    """
    soft = target.astype(float)
    known = np.isfinite(target) & np.isfinite(expression)
    for group in np.unique(groups):
        rows = np.flatnonzero(known & (groups == group))
        low, high = (expression[rows[target[rows] == value]] for value in (0, 1))
        if len(low) and len(high) and low.max() < high.min():
            certainty = np.tanh((expression[rows] - (low.max() + high.min()) / 2) / (2 * noise))
            certainty /= np.where(certainty < 0, -certainty.min(), certainty.max())
            side = np.where(target[rows] == 1, 1, -1)
            soft[rows] = (1 + side * np.maximum(np.abs(certainty), 1e-6)) / 2
    return soft


def split_rows(mdata: MuData, target: np.ndarray, split_key: str) -> dict[str, np.ndarray]:
    """Observations of each part that have a target.

    Raises
    ------
    ValueError
        If there is no split, it has other parts, or one of them is empty.
    """
    if split_key not in mdata.obs:
        msg = f"obs[{split_key!r}] is missing: split the observations first, epiattn.pp.split(mdata)."
        raise ValueError(msg)
    values = parts_of_split(mdata, split_key)
    if unknown := sorted(set(values) - {*k.PARTS, ""}):
        msg = f"obs[{split_key!r}] must hold {list(k.PARTS)} (or be missing), found {unknown[:5]}."
        raise ValueError(msg)
    rows = {part: np.flatnonzero((values == part) & np.isfinite(target)) for part in k.PARTS}
    if empty := [part for part in k.PARTS if not len(rows[part])]:
        n_obs = {part: len(rows[part]) for part in k.PARTS}
        msg = f"obs[{split_key!r}] leaves {empty} without observations that have a target; parts: {n_obs}."
        raise ValueError(msg)
    return rows


def check_classes(target: np.ndarray, rows: Mapping[str, np.ndarray]) -> None:
    n_high = {part: int(target[index].sum()) for part, index in rows.items()}
    for part in (k.TRAIN, k.VALIDATION):
        if n_high[part] in (0, len(rows[part])):
            only = k.LOW if n_high[part] == 0 else k.HIGH
            msg = f"All {len(rows[part])} observations of the {part} split are {only!r}: two classes are needed."
            raise ValueError(msg)


def combine(truth: np.ndarray, score: np.ndarray, expression: np.ndarray) -> tuple[float, float, float]:
    """Temperature, weight of the expression and offset with which two readings say the labels best.

    The logit is ``(score + weight * expression + offset) / temperature``, a logistic regression whose slopes are not
    negative.

    Parameters
    ----------
    truth
        Labels in {0, 1} that the model did not learn from, both of them, shape ``(n,)``.
    score, expression
        Logits of class 1 and predicted expression, shape ``(n,)``.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    read = np.stack([score, expression, np.ones_like(score)], axis=1).astype(float)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logit = read @ weights
        value = np.logaddexp(0, logit) - truth * logit
        return value.mean(), (expit(logit) - truth) @ read / len(truth)

    bounds = [(0.05, 20), (0, 20), (-20, 20)]
    slope, weight, offset = minimize(loss, [1.0, 0.0, 0.0], jac=True, bounds=bounds, method="L-BFGS-B").x
    return float(1 / slope), float(weight / slope), float(offset / slope)

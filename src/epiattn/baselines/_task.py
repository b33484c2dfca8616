"""What a baseline learns, and on which observations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from epiattn import _keys as k
from epiattn._columns import parts_of_split
from epiattn._modalities import expression_of
from epiattn._validation import check_choice

if TYPE_CHECKING:
    from mudata import MuData


class Task(NamedTuple):
    """A target and the observations to learn it on; all of shape ``(n_obs,)``."""

    target: str
    y: np.ndarray  # 1 (high) or 0 (low), or expression; NaN where missing
    train: np.ndarray  # training observations that have a target
    validation: np.ndarray  # the same of the validation part; may be empty
    held_out: np.ndarray  # observations of the validation and test parts, with a target or without


def make_task(mdata: MuData, *, target: str, label_key: str, split_key: str) -> Task:
    """Find the target and the parts.

    Raises
    ------
    ValueError
        If there is no such target or no split, the training part is empty or has one class only.
    """
    check_choice("target", target, ("label", "expression"))
    needed = [split_key, label_key] if target == "label" else [split_key]
    for column in needed:
        if column not in mdata.obs:
            msg = f"obs[{column!r}] is missing: see epiattn.pp.label and epiattn.pp.split."
            raise ValueError(msg)
    part = parts_of_split(mdata, split_key)
    if target == "label":
        label = mdata.obs[label_key].astype(object)
        y = np.where(label.isna(), np.nan, label.isin([k.HIGH]).to_numpy(dtype=float))
    elif k.RNA in mdata.mod:
        y = expression_of(mdata)
    else:
        msg = f"target='expression' needs mdata['rna'].X, but the modalities are {list(mdata.mod)}."
        raise ValueError(msg)
    train, validation = ((part == name) & np.isfinite(y) for name in (k.TRAIN, k.VALIDATION))
    if target == "label" and (found := sorted(set(map(str, label[train])))) != [k.HIGH, k.LOW]:
        msg = f"The training split must hold the labels 'low' and 'high', but it holds {found}."
        raise ValueError(msg)
    if not train.any():
        msg = f"No training observation of obs[{split_key!r}] has expression."
        raise ValueError(msg)
    return Task(target, y, train, validation, np.isin(part, (k.VALIDATION, k.TEST)))


def loss(task: Task, predicted: np.ndarray) -> float:
    """Mean loss on the validation part (on training where there is none), to choose by.

    Cross-entropy of probabilities, squared error of expression.
    """
    rows = task.validation if task.validation.any() else task.train
    y, predicted = task.y[rows], predicted[rows]
    if task.target == "expression":
        return float(np.mean((y - predicted) ** 2))
    return float(-np.mean(np.log(np.clip(np.where(y == 1, predicted, 1 - predicted), 1e-12, 1))))


def fit_linear(features: np.ndarray, task: Task, *, strength: float | None = None) -> np.ndarray:
    """Logistic regression of labels or linear regression of expression, on features standardised on the training part.

    Parameters
    ----------
    features
        Shape ``(n_obs, n_features)``.
    task
        What to learn.
    strength
        Of the L2 penalty; ``None``: scikit-learn's default for labels, none for expression.

    Returns
    -------
    Probability of high expression, or predicted expression, of every observation, shape ``(n_obs,)``.
    """
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if task.target == "label":
        penalty = {} if strength is None else {"C": 1 / strength, "max_iter": 1_000}
        model = make_pipeline(StandardScaler(), LogisticRegression(**penalty))
        model.fit(features[task.train], task.y[task.train] == 1)
        return model.predict_proba(features)[:, 1].astype(float)
    model = make_pipeline(StandardScaler(), LinearRegression() if strength is None else Ridge(alpha=strength))
    model.fit(features[task.train], task.y[task.train])
    return model.predict(features).astype(float)

"""Boosted trees, the strongest simple model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._modalities import find_channels
from epiattn._validation import as_mudata

from ._features import bins, cpg_summary, factors, tf_summary, totals
from ._task import Task, loss, make_task

if TYPE_CHECKING:
    from mudata import MuData


#: Values from which on several threads pay.
_LARGE = 5_000_000
#: Chosen by cross-validation over the chromosomes of a human line, without chr14 and chr19.
OPTIONS = {
    "learning_rate": 0.04,
    "max_iter": 250,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 40,
    "l2_regularization": 1.0,
    "max_features": 0.2,
}


def gradient_boosting(
    mdata: MuData,
    *,
    target: str = "label",
    channels: Mapping[str, Sequence[str]] | None = None,
    label_key: str = k.LABEL,
    split_key: str = k.SPLIT,
    seed: int = 0,
    scale_by: str | None = k.CELL_TYPE,
) -> np.ndarray:
    """Gradient boosting on everything there is: all bins, totals of marks, and the CpGs and TFs in a few numbers.

    Signal is transformed by log(1 + x); a mark that was not measured counts as missing. The number of trees is the one
    with the lowest loss on the validation part.

    Parameters
    ----------
    mdata
        The object, with at least one of signal around the TSS, methylation and TFs, a target and a split.
    target
        ``"label"`` (default) or ``"expression"``.
    channels
        Modalities to read, each with its layers, such as ``{"histone": ["H3K4me3"]}``; ``None``: all.
    label_key, split_key
        Columns of ``obs`` with ``low`` and ``high``, and with ``train``, ``validation`` and ``test``.
    seed
        Seed of the choice of features for each split of a tree.
    scale_by
        Column of ``obs``, in each of whose groups the mean of a mark is brought to one value first, so that depth does
        not count, as in the models (:class:`epiattn.models.MultiAttention`); ``None``: signal is read as it is.

    Returns
    -------
    Probability of high expression, or predicted expression, of every observation, shape ``(n_obs,)``.

    Raises
    ------
    ValueError
        If there is nothing to read, no target or split, or the training part has one class only.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.pp.split(attn.datasets.simulate(n_genes=200, cell_types=1))
    >>> attn.baselines.gradient_boosting(mdata).shape
    (200,)
    """
    from threadpoolctl import threadpool_limits

    mdata = as_mudata(mdata)
    task = make_task(mdata, target=target, label_key=label_key, split_key=split_key)
    features = _features(mdata, channels, scale_by=scale_by, train=task.train)
    features = features[:, np.isfinite(features[task.train]).any(axis=0)]  # scikit-learn wants a value in each
    best, lowest = np.full(mdata.n_obs, np.nan), np.inf
    # On little data, threads wait for each other longer than they work.
    with threadpool_limits(None if features.size > _LARGE else 1, user_api="openmp"):
        for predicted in _stages(features, task, seed):
            if (now := loss(task, predicted)) < lowest:
                best, lowest = predicted, now
    return best


def _stages(features: np.ndarray, task: Task, seed: int) -> Iterator[np.ndarray]:
    """Predictions after each tree."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    if task.target == "label":
        classifier = HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **OPTIONS)
        classifier.fit(features[task.train], task.y[task.train] == 1)
        for probability in classifier.staged_predict_proba(features):
            yield probability[:, 1]
    else:
        regressor = HistGradientBoostingRegressor(early_stopping=False, random_state=seed, **OPTIONS)
        yield from regressor.fit(features[task.train], task.y[task.train]).staged_predict(features)


def _features(
    mdata: MuData, chosen: Mapping[str, Sequence[str]] | None, *, scale_by: str | None, train: np.ndarray
) -> np.ndarray:
    who = "Gradient boosting"
    modalities = find_channels(mdata, chosen)
    features = []
    if any(name.startswith(k.HISTONE) for name in modalities):
        scale = factors(mdata, chosen, who=who, scale_by=scale_by, train=train)
        features.append(bins(mdata, chosen, who=who, scale=scale, missing=np.nan))
        features.append(totals(mdata, chosen, who=who, scale=scale))
    if k.METHYLATION in modalities:
        features.append(cpg_summary(mdata, chosen))
    if k.TF in modalities:
        features.append(tf_summary(mdata, chosen))
    return np.hstack([each.astype(np.float32) for each in features])

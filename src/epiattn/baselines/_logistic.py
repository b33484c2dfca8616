"""Logistic regression, the simplest model of what marks say about expression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._modalities import find_channels, kind
from epiattn._validation import as_mudata, check_values

if TYPE_CHECKING:
    from mudata import MuData


def logistic(mdata: MuData, *, label_key: str = k.LABEL, split_key: str = k.SPLIT) -> np.ndarray:
    """Logistic regression on the total signal of each mark in the window, trained on the training split.

    Totals are transformed by log(1 + x) and standardised on the training split. The places of the signal, methylation
    and TFs are not used: what a model gains by them shows in the difference.

    Parameters
    ----------
    mdata
        MuData with signal around the TSS (any ``histone*`` modality), labels and a split; or a histone-only AnnData.
    label_key, split_key
        Columns of ``obs`` with ``low`` and ``high``, and with ``train``, ``validation`` and ``test``.

    Returns
    -------
    Probability of high expression of every observation, shape ``(n_obs,)``.

    Raises
    ------
    ValueError
        If there is no signal, label or split, or the training split has one class only.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.pp.split(attn.datasets.simulate(n_genes=200, cell_types=1))
    >>> attn.baselines.logistic(mdata).shape
    (200,)
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    mdata = as_mudata(mdata)
    channels = {name: marks for name, marks in find_channels(mdata).items() if kind(name) == k.HISTONE}
    if not channels:
        msg = f"Logistic regression reads signal around the TSS ('histone*'), but the modalities are {list(mdata.mod)}."
        raise ValueError(msg)
    for column in (label_key, split_key):
        if column not in mdata.obs:
            msg = f"obs[{column!r}] is missing: see epiattn.pp.label and epiattn.pp.split."
            raise ValueError(msg)
    check_values(mdata, channels)
    totals = [
        np.log1p(np.asarray(mdata[modality].layers[mark].sum(axis=1), dtype=float).ravel())
        for modality, marks in channels.items()
        for mark in marks
    ]
    features = np.stack(totals, axis=1)
    label = mdata.obs[label_key].astype(object)
    train = ((mdata.obs[split_key] == k.TRAIN) & label.notna()).to_numpy(dtype=bool)
    if (found := sorted(map(str, set(label[train])))) != [k.HIGH, k.LOW]:
        msg = f"The training split must hold the labels 'low' and 'high', but it holds {found}."
        raise ValueError(msg)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(features[train], (label[train] == k.HIGH).to_numpy())
    return model.predict_proba(features)[:, 1]

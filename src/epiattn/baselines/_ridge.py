"""Penalised regression on all bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._validation import as_mudata

from ._features import bins, factors
from ._task import fit_linear, loss, make_task

if TYPE_CHECKING:
    from mudata import MuData


#: Strengths of the L2 penalty to choose from.
STRENGTHS = (10.0, 100.0, 1_000.0, 10_000.0)


_WHO = "Ridge regression"


def ridge(
    mdata: MuData,
    *,
    target: str = "label",
    channels: Mapping[str, Sequence[str]] | None = None,
    label_key: str = k.LABEL,
    split_key: str = k.SPLIT,
    seed: int = 0,
    scale_by: str | None = k.CELL_TYPE,
) -> np.ndarray:
    """Ridge regression (of labels: logistic regression with the same penalty) on all bins of all marks.

    Bins are transformed by log(1 + x) and standardised on the training part; the strength of the penalty is the one
    with the lowest loss on the validation part.

    Parameters
    ----------
    mdata
        The object, with signal around the TSS (any ``histone*`` modality), a target and a split.
    target
        ``"label"`` (default) or ``"expression"``.
    channels
        Modalities to read, each with its layers, such as ``{"histone": ["H3K4me3"]}``; ``None``: all.
    label_key, split_key
        Columns of ``obs`` with ``low`` and ``high``, and with ``train``, ``validation`` and ``test``.
    seed
        Not used.
    scale_by
        Column of ``obs``, in each of whose groups the mean of a mark is brought to one value first, so that depth does
        not count, as in the models (:class:`epiattn.models.MultiAttention`); ``None``: signal is read as it is.

    Returns
    -------
    Probability of high expression, or predicted expression, of every observation, shape ``(n_obs,)``.

    Raises
    ------
    ValueError
        If there is no signal, target or split, or the training part has one class only.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.pp.split(attn.datasets.simulate(n_genes=200, cell_types=1))
    >>> attn.baselines.ridge(mdata).shape
    (200,)
    """
    mdata = as_mudata(mdata)
    task = make_task(mdata, target=target, label_key=label_key, split_key=split_key)
    scale = factors(mdata, channels, who=_WHO, scale_by=scale_by, train=task.train)
    features = bins(mdata, channels, who=_WHO, scale=scale)
    predicted = [fit_linear(features, task, strength=strength) for strength in STRENGTHS]
    return predicted[int(np.argmin([loss(task, each) for each in predicted]))]

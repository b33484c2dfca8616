"""The share of the positive class: what is right without looking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._validation import as_mudata

from ._task import make_task

if TYPE_CHECKING:
    from mudata import MuData


def prevalence(
    mdata: MuData,
    *,
    target: str = "label",
    channels: Mapping[str, Sequence[str]] | None = None,
    label_key: str = k.LABEL,
    split_key: str = k.SPLIT,
    seed: int = 0,
) -> np.ndarray:
    """The share of ``high`` in the training part, or its mean expression, for every observation.

    Parameters
    ----------
    mdata
        The object, with a target and a split.
    target
        ``"label"`` (default) or ``"expression"``.
    channels
        Not used.
    label_key, split_key
        Columns of ``obs`` with ``low`` and ``high``, and with ``train``, ``validation`` and ``test``.
    seed
        Not used.

    Returns
    -------
    Probability of high expression, or predicted expression, of every observation, shape ``(n_obs,)``.

    Raises
    ------
    ValueError
        If there is no target or split, or the training part has one class only.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.pp.split(attn.datasets.simulate(n_genes=200, cell_types=1))
    >>> attn.baselines.prevalence(mdata)[:2].round(3).tolist()
    [0.479, 0.479]
    """
    task = make_task(as_mudata(mdata), target=target, label_key=label_key, split_key=split_key)
    return np.full(len(task.y), task.y[task.train].mean())

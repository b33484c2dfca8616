"""How many TFs bind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._validation import as_mudata

from ._features import n_tfs
from ._task import fit_linear, make_task

if TYPE_CHECKING:
    from mudata import MuData


def tf_count(
    mdata: MuData,
    *,
    target: str = "label",
    channels: Mapping[str, Sequence[str]] | None = None,
    label_key: str = k.LABEL,
    split_key: str = k.SPLIT,
    seed: int = 0,
) -> np.ndarray:
    """Logistic or linear regression on the number of TFs with evidence at the gene, as log(1 + x).

    Active and well-studied genes have more TFs with evidence: a model that reads TFs may have learned no more than
    their number.

    Parameters
    ----------
    mdata
        The object, with TFs, a target and a split.
    target
        ``"label"`` (default) or ``"expression"``.
    channels
        Modalities to read, each with its layers, such as ``{"histone": ["H3K4me3"]}``; ``None``: all.
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
        If there are no TFs, there is no target or split, or the training part has one class only.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.pp.split(attn.datasets.simulate(n_genes=200, cell_types=1))
    >>> attn.baselines.tf_count(mdata).shape
    (200,)
    """
    mdata = as_mudata(mdata)
    features = np.log1p(n_tfs(mdata, channels))[:, None]
    return fit_linear(features, make_task(mdata, target=target, label_key=label_key, split_key=split_key))

"""How many CpGs were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._validation import as_mudata

from ._features import n_cpg
from ._task import fit_linear, make_task

if TYPE_CHECKING:
    from mudata import MuData


def cpg_count(
    mdata: MuData,
    *,
    target: str = "label",
    channels: Mapping[str, Sequence[str]] | None = None,
    label_key: str = k.LABEL,
    split_key: str = k.SPLIT,
    seed: int = 0,
) -> np.ndarray:
    """Logistic or linear regression on the number of CpGs that were measured in the window, as log(1 + x).

    Active promoters are rich in CpGs, and assays see more of them there: a model that reads CpG lists may have learned
    no more than their length.

    Parameters
    ----------
    mdata
        The object, with methylation, a target and a split.
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
        If there are no CpGs, there is no target or split, or the training part has one class only.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.pp.split(attn.datasets.simulate(n_genes=200, cell_types=1))
    >>> attn.baselines.cpg_count(mdata).shape
    (200,)
    """
    mdata = as_mudata(mdata)
    features = np.log1p(n_cpg(mdata, channels))[:, None]
    return fit_linear(features, make_task(mdata, target=target, label_key=label_key, split_key=split_key))

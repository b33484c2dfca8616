"""What the same gene does in other cell types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._validation import as_mudata
from epiattn.pp._parts import genes_of

from ._task import make_task

if TYPE_CHECKING:
    from mudata import MuData


def gene_mean(
    mdata: MuData,
    *,
    target: str = "label",
    channels: Mapping[str, Sequence[str]] | None = None,
    label_key: str = k.LABEL,
    split_key: str = k.SPLIT,
    seed: int = 0,
) -> np.ndarray:
    """Mean of the same gene over the other training observations, which are other cell types.

    It knows nothing of the cell type that it is asked about, and yet is hard to beat between genes: most genes do the
    same in most cell types.

    Parameters
    ----------
    mdata
        The object, with ``obs["gene_id"]``, a target and a split.
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
    Probability of high expression, or predicted expression, of every observation, shape ``(n_obs,)``; NaN where
    the gene is not in training (in another observation).

    Raises
    ------
    ValueError
        If there is no target or split, the training part has one class only, or no gene of the validation and test
        parts is in training, as in a split by chromosome or with one cell type.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.pp.split(attn.datasets.simulate(n_genes=200, cell_types=4), by="cell_type")
    >>> attn.baselines.gene_mean(mdata).shape
    (800,)
    """
    import pandas as pd

    mdata = as_mudata(mdata)
    task = make_task(mdata, target=target, label_key=label_key, split_key=split_key)
    gene = pd.factorize(genes_of(mdata))[0]
    known = np.where(task.train, task.y, 0.0)
    total, count = np.bincount(gene, known)[gene] - known, np.bincount(gene, task.train)[gene] - task.train
    if not (count[task.held_out] > 0).any():
        msg = (
            "The mean of a gene needs the gene in training, in another cell type: no gene of the validation and test "
            "parts is (one cell type, or a split by chromosome or gene)."
        )
        raise ValueError(msg)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)

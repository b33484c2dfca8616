"""What the same gene does in the most similar cell type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._validation import as_mudata
from epiattn.pp._label import cell_types_of
from epiattn.pp._parts import genes_of

from ._features import totals
from ._task import make_task

if TYPE_CHECKING:
    from mudata import MuData


MIN_GENES = 3  # shared by two cell types, for a correlation to say anything


def nearest_cell_type(
    mdata: MuData,
    *,
    target: str = "label",
    channels: Mapping[str, Sequence[str]] | None = None,
    label_key: str = k.LABEL,
    split_key: str = k.SPLIT,
    seed: int = 0,
) -> np.ndarray:
    """The target of the same gene in the training cell type whose marks are most similar.

    Similarity is the rank correlation of a mark's totals over the genes that both cell types have, averaged over the
    marks. It reads signal only, of all genes: for a held-out cell type there is no expression to compare. Where the
    most similar cell type lacks the gene in training, the next one is asked.

    Parameters
    ----------
    mdata
        The object, with ``obs["gene_id"]``, ``obs["cell_type"]``, signal, a target and a split.
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
    Probability of high expression, or predicted expression, of every observation, shape ``(n_obs,)``; NaN where
    the gene is not in training in another cell type.

    Raises
    ------
    ValueError
        If there is no signal, target or split, the training part has one class only, or no gene of the validation and
        test parts is in training in another cell type, as in a split by chromosome or with one cell type.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.pp.split(attn.datasets.simulate(n_genes=200, cell_types=4), by="cell_type")
    >>> attn.baselines.nearest_cell_type(mdata).shape
    (800,)
    """
    import pandas as pd

    mdata = as_mudata(mdata)
    signal = totals(mdata, channels, who="The nearest cell type")
    task = make_task(mdata, target=target, label_key=label_key, split_key=split_key)
    gene, (cell_type, names) = pd.factorize(genes_of(mdata))[0], pd.factorize(cell_types_of(mdata), sort=True)
    known = _table(np.where(task.train, task.y, np.nan), gene, cell_type)
    similarity = _similarity([_table(mark, gene, cell_type) for mark in signal.T])
    predicted = np.full(mdata.n_obs, np.nan)
    for i in range(len(names)):
        others = [j for j in np.argsort(-similarity[i], kind="stable") if j != i and np.isfinite(similarity[i, j])]
        here = cell_type == i
        for j in others:
            predicted[here] = np.where(np.isnan(predicted[here]), known[gene[here], j], predicted[here])
    if not np.isfinite(predicted[task.held_out]).any():
        msg = (
            "The nearest cell type needs the gene in training, in another cell type: no gene of the validation and "
            "test parts is (one cell type, or a split by chromosome or gene)."
        )
        raise ValueError(msg)
    return predicted


def _table(values: np.ndarray, gene: np.ndarray, cell_type: np.ndarray) -> np.ndarray:
    """Mean of the values of each gene in each cell type, shape ``(n_genes, n_cell_types)``; NaN where there is none."""
    there = np.isfinite(values)
    shape = (gene.max() + 1, cell_type.max() + 1)
    place = np.ravel_multi_index((gene[there], cell_type[there]), shape)
    count = np.bincount(place, minlength=shape[0] * shape[1])
    total = np.bincount(place, values[there], minlength=shape[0] * shape[1])
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0).reshape(shape)


def _similarity(marks: list[np.ndarray]) -> np.ndarray:
    """Rank correlation of cell types over the genes that both have, averaged over the marks; NaN where there is none.

    Parameters
    ----------
    marks
        Totals of each mark, shape ``(n_genes, n_cell_types)``.
    """
    import pandas as pd

    each = np.stack([pd.DataFrame(mark).corr(method="spearman", min_periods=MIN_GENES).to_numpy() for mark in marks])
    count = np.isfinite(each).sum(axis=0)
    return np.divide(np.nansum(each, axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)

"""Whether explanations find what a simulation planted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._modalities import kind
from epiattn.metrics import average_precision

if TYPE_CHECKING:
    from mudata import MuData


def planted_causes(
    mdata: MuData, channels: Mapping[str, Sequence[str]], rows: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Which values are causes, and which could be, by modality that holds a truth.

    Parameters
    ----------
    mdata
        The object.
    channels
        What the model reads.
    rows
        Observations.

    Returns
    -------
    Two boolean arrays of shape ``(n_rows, n_values)``. Candidates are all marks and bins, the CpGs of an observation,
    and its bound TFs.
    """
    found = {}
    for name, names in channels.items():
        adata = mdata[name]
        if kind(name) == k.HISTONE:
            if all(k.truth(mark) in adata.layers for mark in names):
                causes = np.stack([_dense(adata.layers[k.truth(mark)][rows]) != 0 for mark in names], axis=1)
                causes = causes.reshape(len(rows), -1)
                found[name] = causes, np.ones_like(causes)
            continue
        of_cpgs = kind(name) == k.METHYLATION
        if (layer := k.truth("cpg" if of_cpgs else "tf")) in adata.layers:
            if of_cpgs:
                candidates = np.arange(adata.n_vars) < adata.obs[k.N_CPG].to_numpy(dtype=int)[rows, None]
            else:
                candidates = np.any([_dense(adata.layers[channel][rows]) != 0 for channel in names], axis=0)
            found[name] = _dense(adata.layers[layer][rows]) != 0, candidates
    return found


def _dense(values: object) -> np.ndarray:
    return np.asarray(values.toarray() if sparse.issparse(values) else values)  # type: ignore[attr-defined]


def precision_of_each(causes: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision of each observation's causes, shape ``(n_rows,)``; NaN where all or none of them are causes."""
    found = np.full(len(causes), np.nan)
    for i, among in enumerate(candidates):
        truth = causes[i, among]
        if 0 < truth.sum() < len(truth):
            found[i] = average_precision(truth, scores[i, among])
    return found

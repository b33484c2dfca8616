"""CpGs of many observations along the distance to the TSS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from . import _keys as k

if TYPE_CHECKING:
    from anndata import AnnData


def by_position(adata: AnnData, values: np.ndarray, rows: np.ndarray, n_bins: int) -> np.ndarray:
    """Mean of the CpGs' values in bins of positions, observation by observation.

    Parameters
    ----------
    adata
        The modality of methylation.
    values
        Of the CpG slots, shape ``(n_rows, n_slots)``.
    rows
        The observations that these are.
    n_bins
        Bins of equal width from position -1 to 1.

    Returns
    -------
    Shape ``(n_rows, n_bins)``; NaN in bins without a CpG.
    """
    n_cpg = adata.obs[k.N_CPG].to_numpy(dtype=int)[rows, None]
    valid = np.arange(adata.n_vars) < n_cpg
    position = adata.layers[k.POSITION][rows]
    position = np.asarray(position.toarray() if sparse.issparse(position) else position, dtype=float)[valid]
    bins = np.clip(np.floor((position + 1) / 2 * n_bins).astype(int), 0, n_bins - 1)
    cell = np.nonzero(valid)[0] * n_bins + bins
    total, count = (np.bincount(cell, weights, len(rows) * n_bins) for weights in (values[valid].astype(float), None))
    mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return mean.reshape(len(rows), n_bins)

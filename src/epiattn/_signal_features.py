"""What was measured of each observation, in a few numbers: marks, CpGs, TFs and expression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from . import _keys as k
from ._modalities import bound_tfs, expression_of, find_channels, kind, measured
from ._regions import Regions, bins_of, in_regions

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData


def signal_features(mdata: MuData, *, regions: Regions | None = None, tfs: bool = False) -> pd.DataFrame:
    """Mean signal of each mark, level and number of CpGs, bound TFs, and expression.

    Parameters
    ----------
    mdata
        The object.
    regions
        Parts of the window to tell apart, in bp from the TSS; ``None``: the window as a whole.
    tfs
        Tell single TFs apart: whether each is bound, 0 or 1.

    Returns
    -------
    Observations x features, NaN where something was not measured: each mark (in each region), ``methylation`` (mean
    beta), ``n_cpg``, ``tf`` (share of the TFs that have evidence), or each TF, and ``expression``.

    Raises
    ------
    ValueError
        If a region holds no bin, or there is nothing to tell.
    """
    import pandas as pd

    inputs = any(kind(name) for name in mdata.mod)
    columns: dict[str, np.ndarray] = {}
    for modality, channels in (find_channels(mdata) if inputs else {}).items():
        adata = mdata[modality]
        if kind(modality) == k.HISTONE:
            known, parts = measured(adata, channels), bins_of(adata, modality, regions)
            for i, mark in enumerate(channels):
                values, name = adata.layers[mark], k.feature(modality, mark)
                for part, bins in parts.items():
                    mean = np.asarray(values[:, np.flatnonzero(bins)].mean(1, dtype=float)).ravel()
                    columns[f"{name} {part}".strip()] = np.where(known[:, i], mean, np.nan)
        elif kind(modality) == k.METHYLATION:
            columns |= _of_cpgs(adata, regions)
        else:
            bound = bound_tfs(adata, channels)
            known = np.asarray(measured(adata, channels).all(1))
            each = {str(tf): np.asarray(bound[:, [i]].todense(), dtype=float).ravel() for i, tf in _named(adata, tfs)}
            each = each if tfs else {modality: np.asarray(bound.mean(1), dtype=float).ravel()}
            columns |= {name: np.where(known, values, np.nan) for name, values in each.items()}
    if k.RNA in mdata.mod:
        columns[k.EXPRESSION] = expression_of(mdata)
    if not columns:
        msg = f"No marks, CpGs, TFs or expression: the modalities are {list(mdata.mod)}."
        raise ValueError(msg)
    return pd.DataFrame(columns, index=mdata.obs_names)


def _named(adata: AnnData, tfs: bool) -> Sequence[tuple[int, str]]:
    return list(enumerate(adata.var_names)) if tfs else []


def _of_cpgs(adata: AnnData, regions: Regions | None) -> dict[str, np.ndarray]:
    """Mean beta and number of the CpGs; both NaN where methylation was not measured, beta where there is no CpG."""
    beta = adata.layers[k.BETA]
    beta = np.asarray(beta.toarray() if sparse.issparse(beta) else beta, dtype=float)
    known = (adata.obs[k.N_CPG].to_numpy() > 0) & measured(adata, [k.BETA])[:, 0]
    found: dict[str, np.ndarray] = {}
    for name, here in in_regions(adata, regions).items():
        n = here.sum(1)
        mean = np.divide((beta * here).sum(1), n, out=np.full(len(n), np.nan), where=n > 0)
        found[f"{k.METHYLATION} {name}".strip()] = np.where(known, mean, np.nan)
        found[f"{k.N_CPG} {name}".strip()] = np.where(known, n, np.nan)
    return found

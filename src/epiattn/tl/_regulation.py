"""What regulates each observation, as a table of features: attribution or attention of marks, CpGs and TFs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._modalities import kind
from epiattn._results import result_of, run_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

Regions = Mapping[str, tuple[float, float]]


def regulation_of(
    mdata: MuData, key: str, *, of: str = "attribution", regions: Regions | None = None, tfs: bool = False
) -> pd.DataFrame:
    """Sum of the attribution, or of the attention, of each feature.

    Parameters
    ----------
    mdata
        The object.
    key
        ``key_added`` of the run.
    of
        ``"attribution"`` or ``"attention"``.
    regions
        Parts of the window to tell apart, in bp from the TSS; ``None``: the window as a whole.
    tfs
        Tell single TFs apart.

    Returns
    -------
    Observations x features: each mark (in each region), ``methylation`` (attribution only) and ``tf``, or each TF.

    Raises
    ------
    ValueError
        If it was not computed, or a region holds no bin.
    """
    import pandas as pd

    run = run_of(mdata, key)
    key_added = k.attribution(key) if of == "attribution" else k.attention(key)
    if of == "attribution":
        result_of(mdata, key_added, "attribute")
    columns: dict[str, np.ndarray] = {}
    for modality, channels in run["channels"].items():
        if modality not in mdata.mod:
            continue
        adata = mdata[modality]
        if kind(modality) == k.HISTONE:
            parts = {"": np.ones(adata.n_vars, bool)} if regions is None else bins_of(adata, modality, regions)
            for mark in channels:
                layer = k.mark_layer(key_added, mark)
                if layer not in adata.layers:
                    continue  # attention of a model that mixes the marks
                values = np.asarray(adata.layers[layer])
                name = k.feature(modality, mark)
                columns |= {f"{name} {part}".strip(): values[:, bins].sum(1) for part, bins in parts.items()}
        elif kind(modality) == k.METHYLATION:
            if of == "attribution":
                columns |= _of_cpgs(adata, np.asarray(adata.layers[key_added]), regions)
        elif tfs:
            values = np.asarray(sparse.csr_matrix(adata.layers[key_added]).todense())
            columns |= {str(tf): values[:, i] for i, tf in enumerate(adata.var_names)}
        else:
            columns[modality] = np.asarray(adata.layers[key_added].sum(1)).ravel()
    if not columns:
        msg = f"The attention of the run {key!r} tells no marks apart, and there are no TFs: use of='attribution'."
        raise ValueError(msg)
    return pd.DataFrame(columns, index=mdata.obs_names)


def bins_of(adata: AnnData, modality: str, regions: Regions) -> dict[str, np.ndarray]:
    """Bins of each region: those whose middle lies in it."""
    if not {k.START, k.END} <= set(adata.var):
        msg = f"regions need mdata[{modality!r}].var['start'] and ['end'], in bp from the TSS."
        raise ValueError(msg)
    middle = (adata.var[k.START].to_numpy(float) + adata.var[k.END].to_numpy(float)) / 2
    found = {name: (middle >= start) & (middle < end) for name, (start, end) in regions.items()}
    if empty := [name for name, bins in found.items() if not bins.any()]:
        where = f"from {middle[0]:g} to {middle[-1]:g} bp"
        msg = f"regions {empty} hold no bin of mdata[{modality!r}], whose bins lie {where}."
        raise ValueError(msg)
    return found


def _of_cpgs(adata: AnnData, values: np.ndarray, regions: Regions | None) -> dict[str, np.ndarray]:
    if regions is None:
        return {k.METHYLATION: values.sum(1)}
    position = adata.layers[k.POSITION]
    place = np.asarray(position.toarray() if sparse.issparse(position) else position, dtype=float)
    place = place * float(adata.uns.get("window", 1))
    valid = np.arange(adata.n_vars) < adata.obs[k.N_CPG].to_numpy(dtype=int)[:, None]
    return {
        f"{k.METHYLATION} {name}": (values * (valid & (place >= start) & (place < end))).sum(1)
        for name, (start, end) in regions.items()
    }

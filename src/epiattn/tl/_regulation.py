"""What regulates each observation, as a table of features: attribution or attention of marks, CpGs and TFs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._modalities import kind
from epiattn._regions import Regions, bins_of, in_regions
from epiattn._results import ATTENTION, result_of, run_of, warn_if_unfaithful

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


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
    record = result_of(mdata, key_added, "attribute") if of == "attribution" else {"method": ATTENTION}
    warn_if_unfaithful(mdata, key, method=str(record.get("method")), smooth=float(record.get("smooth", 0)))
    columns: dict[str, np.ndarray] = {}
    for modality, channels in run["channels"].items():
        if modality not in mdata.mod:
            continue
        adata = mdata[modality]
        if kind(modality) == k.HISTONE:
            parts = bins_of(adata, modality, regions)
            for mark in channels:
                layer = k.mark_layer(key_added, mark)
                if layer not in adata.layers:
                    continue  # attention of a model that mixes the marks
                values = np.asarray(adata.layers[layer])
                name = k.feature(modality, mark)
                columns |= {f"{name} {part}".strip(): values[:, bins].sum(1) for part, bins in parts.items()}
        elif kind(modality) == k.METHYLATION:
            if of == "attribution":
                values, parts = np.asarray(adata.layers[key_added]), in_regions(adata, regions)
                columns |= {f"{k.METHYLATION} {name}".strip(): (values * here).sum(1) for name, here in parts.items()}
        elif tfs:
            values = np.asarray(sparse.csr_matrix(adata.layers[key_added]).todense())
            columns |= {str(tf): values[:, i] for i, tf in enumerate(adata.var_names)}
        else:
            columns[modality] = np.asarray(adata.layers[key_added].sum(1)).ravel()
    if not columns:
        msg = f"The attention of the run {key!r} tells no marks apart, and there are no TFs: use of='attribution'."
        raise ValueError(msg)
    return pd.DataFrame(columns, index=mdata.obs_names)

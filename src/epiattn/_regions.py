"""Parts of the window that are told apart: their bins and CpGs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from . import _keys as k

if TYPE_CHECKING:
    from anndata import AnnData

#: By name: from and to, in bp from the TSS.
Regions = Mapping[str, tuple[float, float]]


def bins_of(adata: AnnData, modality: str, regions: Regions | None) -> dict[str, np.ndarray]:
    """Bins of each region, shape ``(n_bins,)``: those whose middle lies in it; ``None``: all, under the name ``""``.

    Raises
    ------
    ValueError
        If the places of the bins are not known, or a region holds none.
    """
    if regions is None:
        return {"": np.ones(adata.n_vars, bool)}
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


def in_regions(adata: AnnData, regions: Regions | None) -> dict[str, np.ndarray]:
    """Slots that hold a CpG of each region, shape ``(n_obs, n_slots)``; ``None``: any CpG, under the name ``""``."""
    valid = np.arange(adata.n_vars) < adata.obs[k.N_CPG].to_numpy(dtype=int)[:, None]
    if regions is None:
        return {"": valid}
    position = adata.layers[k.POSITION]
    place = np.asarray(position.toarray() if sparse.issparse(position) else position, dtype=float)
    place = place * float(adata.uns.get("window", 1))
    return {name: valid & (place >= start) & (place < end) for name, (start, end) in regions.items()}


def bin_size(adata: AnnData) -> float | None:
    """Width of a bin in bp; ``None`` where the places of the bins are not known."""
    if not {k.START, k.END} <= set(adata.var):
        return None
    size = float((adata.var[k.END].to_numpy(float) - adata.var[k.START].to_numpy(float)).mean())
    return size if size > 0 else None

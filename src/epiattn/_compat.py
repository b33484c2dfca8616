"""What differs between the supported versions of our dependencies, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData


def layer_names(adata: AnnData) -> list[str]:
    """Names of the layers; anndata 0.13 lists ``None`` (``X``) among them."""
    return [name for name in adata.layers.keys() if name is not None]  # noqa: SIM118 (a mapping of arrays)


def make_writable(mdata: MuData) -> None:
    """Let ``write_zarr`` work on an object read from h5mu: mudata 0.4 keeps its axis as a NumPy integer."""
    mdata._axis = int(mdata.axis)


def new_mudata(modalities: Mapping[str, AnnData], obs: pd.DataFrame) -> MuData:
    """A MuData that shares its modalities, with these ``obs`` columns (mudata 0.3 would pull the modalities' in)."""
    import mudata
    from mudata import MuData

    pulls = hasattr(mudata, "set_options")  # 0.3; gone in 0.4
    with mudata.set_options(pull_on_update=False) if pulls else nullcontext():
        mdata = MuData(dict(modalities))
    mdata.obs = obs.copy()
    make_writable(mdata)
    return mdata

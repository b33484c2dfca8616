"""What differs between the supported versions of our dependencies, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
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
    from mudata import MuData

    with _without_pulling():
        mdata = MuData(dict(modalities))
    mdata.obs = obs.copy()
    make_writable(mdata)
    return mdata


def read(path: Path) -> MuData:
    """Read ``.h5mu`` or ``.zarr`` as it was written."""
    import mudata

    with _without_pulling():
        mdata = mudata.read_zarr(path) if path.suffix == ".zarr" else mudata.read_h5mu(path)
    make_writable(mdata)
    return mdata


def take(mdata: MuData, rows: np.ndarray) -> MuData:
    """A copy of some observations."""
    with _without_pulling():
        taken = mdata[rows].copy()
    make_writable(taken)
    return taken


def _without_pulling() -> AbstractContextManager:
    """Keep mudata 0.3 from copying columns of the modalities, and from announcing that 0.4 does not."""
    import mudata

    pulls = hasattr(mudata, "set_options")  # 0.3; gone in 0.4
    return mudata.set_options(pull_on_update=False) if pulls else nullcontext()

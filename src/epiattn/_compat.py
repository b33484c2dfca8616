"""What differs between the supported versions of our dependencies, and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    if path.suffix == ".zarr":
        return _unpulled(lambda: mudata.read_zarr(path), lambda: _columns_in_zarr(path))
    return _unpulled(lambda: mudata.read_h5mu(path), lambda: _columns_in_h5mu(path))


def take(mdata: MuData, rows: np.ndarray) -> MuData:
    """A copy of some observations."""
    return _unpulled(lambda: mdata[rows].copy(), lambda: {"obs": list(mdata.obs), "var": list(mdata.var)})


def _unpulled(make: Callable[[], MuData], columns: Callable[[], dict[str, list[str]]]) -> MuData:
    """An object with these columns of ``obs`` and ``var``, and none that mudata 0.3 pulls from its modalities."""
    try:
        with _without_pulling():
            mdata = make()
    except ValueError as error:
        if "index names" not in str(error):
            raise
        with warnings.catch_warnings():  # without pulling, mudata 0.3 cannot join indices that have different names
            warnings.simplefilter("ignore", FutureWarning)
            mdata = make()
        for axis, names in columns().items():
            setattr(mdata, axis, getattr(mdata, axis)[names])
    make_writable(mdata)
    return mdata


def _columns_in_h5mu(path: Path) -> dict[str, list[str]]:
    import h5py

    with h5py.File(path) as file:
        return {axis: list(file[axis].attrs["column-order"]) for axis in ("obs", "var")}


def _columns_in_zarr(path: Path) -> dict[str, list[str]]:
    import zarr

    file: Any = zarr.open_group(path, mode="r")
    return {axis: list(file[axis].attrs["column-order"]) for axis in ("obs", "var")}


def _without_pulling() -> AbstractContextManager:
    """Keep mudata 0.3 from copying columns of the modalities, and from announcing that 0.4 does not."""
    import mudata

    pulls = hasattr(mudata, "set_options")  # 0.3; gone in 0.4
    return mudata.set_options(pull_on_update=False) if pulls else nullcontext()

"""What differs between the supported versions of our dependencies, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def layer_names(adata: AnnData) -> list[str]:
    """Names of the layers; anndata 0.13 lists ``None`` (``X``) among them."""
    return [name for name in adata.layers.keys() if name is not None]  # noqa: SIM118 (a mapping of arrays)


def make_writable(mdata: MuData) -> None:
    """Let ``write_zarr`` work on an object read from h5mu: mudata 0.4 keeps its axis as a NumPy integer."""
    mdata._axis = int(mdata.axis)


def wrap(adata: AnnData, modality: str) -> MuData:
    """One AnnData as a MuData that shares it; ``obs`` keeps its column names (mudata 0.3 would prefix them)."""
    import mudata
    from mudata import MuData

    if hasattr(mudata, "set_options") and mudata.__version__ < "0.4":
        with mudata.set_options(pull_on_update=False):
            mdata = MuData({modality: adata})
    else:
        mdata = MuData({modality: adata})
    mdata.obs = adata.obs.copy()
    return mdata

"""What trainings read of an object, written once in a file for other processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epiattn import _keys as k
from epiattn._compat import new_mudata, read
from epiattn._modalities import find_channels
from epiattn._validation import check_values
from epiattn.io._output import write

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


def write_shared(
    mdata: MuData, path: Path, *, channels: Mapping[str, Sequence[str]] | None, columns: Sequence[str]
) -> None:
    """Write what trainings read, and nothing else.

    Parameters
    ----------
    mdata
        The object.
    path
        The file; it is whole as soon as it is there.
    channels
        Modalities that are read, each with its layers; ``None``: all.
    columns
        Columns of ``obs`` that are read, beside those that say what an observation is; others than the object's do not
        matter.
    """
    from anndata import AnnData

    found = find_channels(mdata, channels)
    check_values(mdata, found)
    modalities = {}
    for name in [*found, *([k.RNA] if k.RNA in mdata.mod else [])]:
        adata = mdata[name]
        modalities[name] = AnnData(
            X=adata.X if name == k.RNA else None,
            layers={channel: adata.layers[channel] for channel in found.get(name, ())},
            obs=_only(adata.obs, [k.N_CPG]),
            var=_only(adata.var, ["start", "end"]),
            uns={key: adata.uns[key] for key in ("window", k.PACKAGE) if key in adata.uns},
            obsm={k.MEASURED: adata.obsm[k.MEASURED]} if k.MEASURED in adata.obsm else {},
        )
    obs = _only(mdata.obs, [k.GENE_ID, k.CELL_TYPE, k.CHROM, k.TSS, k.STRAND, *columns])
    write(new_mudata(modalities, obs), (), path)


def _only(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns, as far as they are there, and an index without a name that a column may have."""
    return table[[name for name in dict.fromkeys(columns) if name in table]].rename_axis(None)


@lru_cache(maxsize=1)
def read_shared(path: Path) -> MuData:
    """The object, read once in each process."""
    return read(path)


def named_columns(*options: Mapping[str, Any]) -> list[str]:
    """What may be the name of a column among options, such as that of ``scale_by``."""
    return [value for each in options for value in each.values() if isinstance(value, str)]

"""Several cell types into one object: marks are matched by name, and what was not measured is marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._compat import layer_names, new_mudata
from epiattn._logging import logger
from epiattn._modalities import Channels, find_channels, kind, measured
from epiattn._validation import as_mudata

from ._join import first_of_each_name, join_tables, stack

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData


@dataclass(frozen=True)
class _Part:
    """One of the objects, and what is needed to place it in the result."""

    where: str  # "mdatas['liver']", for messages
    mdata: MuData
    obs: pd.DataFrame
    channels: Channels
    results: set[str]  # places of the results of fits, as in `uns[key]["written"]`

    def get(self, modality: str) -> AnnData | None:
        """A modality, if the object has it."""
        return self.mdata.mod.get(modality)


def concat(mdatas: Sequence[MuData] | Mapping[str, MuData]) -> MuData:
    """Put several cell types, each a MuData of its own, into one.

    Marks, TFs and channels are matched by name, bins by their place around the TSS. A mark that an object lacks is
    filled with zeros, which look like "no signal"; ``obsm["measured"]`` says that they are not.

    Parameters
    ----------
    mdatas
        The objects, each with one cell type or several. The names of a mapping become ``obs["cell_type"]`` of the
        objects that have no such column.

    Returns
    -------
    A new object that shares no memory with the others. Of a modality that an object lacks, ``n_cpg`` is 0, TFs are
    empty rows, signal is 0, and expression is NaN. Where marks or channels are missing,
    ``mdata[modality].obsm["measured"]`` is a boolean DataFrame, observations x channels. Names of observations become
    ``{gene_id}@{cell_type}`` if they are not unique or lack the cell type. Results of earlier fits, normalised layers
    and other ``obsm`` and ``uns`` stay behind; layers named ``truth_*`` come along.

    Raises
    ------
    TypeError
        If an object is not a MuData.
    ValueError
        If there is no object, an object has no cell type, bins or windows differ, or a gene comes twice in a cell type.

    Examples
    --------
    >>> import epiattn as attn
    >>> liver = attn.datasets.simulate(100, ["liver"], marks=["H3K4me3", "H3K9ac"])
    >>> brain = attn.datasets.simulate(100, ["brain"], marks=["H3K4me3"], seed=1)
    >>> mdata = attn.pp.concat([liver, brain])
    >>> mdata["histone"].obsm["measured"].groupby(mdata.obs["cell_type"], observed=True).all()["H3K9ac"].to_dict()
    {'liver': True, 'brain': False}
    """
    parts = _name_observations(_collect(mdatas))
    names = list(dict.fromkeys(name for part in parts for name in part.mdata.mod))
    modalities = {name: _join_modality(parts, name) for name in names}
    mdata = new_mudata(modalities, join_tables([part.obs for part in parts]))
    mdata.uns[k.PACKAGE] = {"schema_version": k.SCHEMA_VERSION}
    if notes := [note for name in names for note in _missing(parts, name)]:
        logger.warning(" ".join(notes))
    return mdata


def _collect(mdatas: Any) -> list[_Part]:
    """Check the objects one by one, and find their cell types."""
    if not isinstance(mdatas, Mapping | Sequence):
        msg = f"pp.concat takes a list of MuData or a dict {{cell_type: MuData}}, not {type(mdatas).__name__}."
        raise TypeError(msg)
    if not mdatas:
        msg = "pp.concat needs at least one object, got none."
        raise ValueError(msg)
    if isinstance(mdatas, Mapping):
        return [_collect_one(f"mdatas[{name!r}]", mdata, str(name)) for name, mdata in mdatas.items()]
    return [_collect_one(f"mdatas[{i}]", mdata, None) for i, mdata in enumerate(mdatas)]


def _collect_one(where: str, mdata: Any, name: str | None) -> _Part:
    from mudata import MuData

    if not isinstance(mdata, MuData):
        msg = f"{where} must be a MuData, not {type(mdata).__module__}.{type(mdata).__name__}."
        raise TypeError(msg)
    try:
        mdata = as_mudata(mdata, copy=any(part.is_view for part in (mdata, *mdata.mod.values())))
        channels = find_channels(mdata) if any(map(kind, mdata.mod)) else {}
    except ValueError as error:
        msg = f"{where}: {error}"
        raise ValueError(msg) from error
    for modality in channels:
        if kind(modality) == k.METHYLATION and k.N_CPG not in mdata[modality].obs:
            msg = f"{where}: mdata[{modality!r}].obs['n_cpg'] is missing: how many slots hold a CpG."
            raise ValueError(msg)
    records = [record for key, record in mdata.uns.items() if key != k.PACKAGE and isinstance(record, Mapping)]
    results = {str(place) for record in records for place in record.get("written", [])}
    # mudata 0.3 copies the modalities' columns up; they may be results too, and each modality keeps its own.
    copied = {f"{modality}:{column}" for modality, adata in mdata.mod.items() for column in adata.obs}
    obs = mdata.obs.drop(columns=[name for name in mdata.obs if f"obs/{name}" in results or name in copied])
    if k.CELL_TYPE not in obs:
        if name is None:
            msg = f"{where} has no obs['cell_type']: write it, or pass a dict {{cell_type: MuData}}."
            raise ValueError(msg)
        obs = obs.assign(**{k.CELL_TYPE: name})
    if obs[k.CELL_TYPE].isna().any():
        msg = f"{where}: obs['cell_type'] is missing for {int(obs[k.CELL_TYPE].isna().sum())} observations: fill it."
        raise ValueError(msg)
    return _Part(where, mdata, obs, channels, results)


def _name_observations(parts: list[_Part]) -> list[_Part]:
    """Names that are unique over all objects."""
    import pandas as pd

    names = pd.Index([str(name) for part in parts for name in part.obs.index])
    types = [str(name) for part in parts for name in part.obs[k.CELL_TYPE]]
    if all(k.GENE_ID in part.obs and part.obs[k.GENE_ID].notna().all() for part in parts):
        genes = [str(name) for part in parts for name in part.obs[k.GENE_ID]]
        made = pd.Index([f"{gene}@{name}" for gene, name in zip(genes, types, strict=True)])
        _check_unique(made, "the same gene in the same cell type")
        if not names.is_unique or any(known not in name for known, name in zip(types, names, strict=True)):
            names = made
    _check_unique(names, "names of observations, and there is no obs['gene_id'] to make names from")
    ends = np.cumsum([len(part.obs) for part in parts]).tolist()
    spans = zip([0, *ends], ends, strict=False)
    return [replace(part, obs=part.obs.set_axis(names[i:j])) for part, (i, j) in zip(parts, spans, strict=True)]


def _check_unique(names: pd.Index, what: str) -> None:
    if not names.is_unique:
        repeated = names[names.duplicated()].unique()
        msg = f"{len(repeated)} observations come twice ({what}), such as {repeated[:3].tolist()}: remove one of each."
        raise ValueError(msg)


def _join_modality(parts: list[_Part], modality: str) -> AnnData:
    """One modality of all objects, with rows for those that lack it."""
    from anndata import AnnData

    given = [part.get(modality) for part in parts]
    var, columns = _align(parts, modality)
    sizes = [len(part.obs) for part in parts]
    fill = 0.0 if kind(modality) else np.nan
    kept = [_kept_layers(part, modality) for part in parts]
    layers = {}
    for name in dict.fromkeys(name for names in kept for name in names):
        matrices = [
            adata.layers[name] if adata is not None and name in names else None
            for adata, names in zip(given, kept, strict=True)
        ]
        layers[name] = stack(matrices, sizes, columns, len(var), fill)
    x = [None if adata is None else adata.X for adata in given]
    joined = AnnData(
        None if all(values is None for values in x) else stack(x, sizes, columns, len(var), fill),
        layers=layers,
        obs=join_tables([_modality_obs(part, modality) for part in parts]),
        var=var,
    )
    _write_notes(joined, parts, modality)
    return joined


def _modality_obs(part: _Part, modality: str) -> pd.DataFrame:
    import pandas as pd

    if (adata := part.get(modality)) is not None:
        table = adata.obs.set_axis(part.obs.index)
        return table.drop(columns=[column for column in table if f"{modality}/obs/{column}" in part.results])
    empty = pd.DataFrame(index=part.obs.index)
    # Of the smallest type, so that the others' type stays.
    return empty.assign(**{k.N_CPG: np.zeros(len(empty), np.int8)}) if modality == k.METHYLATION else empty


def _kept_layers(part: _Part, modality: str) -> list[str]:
    """Layers to carry over: all but those that the package wrote."""
    if (adata := part.get(modality)) is None:
        return []
    written = {str(name) for name in adata.uns.get(k.PACKAGE, {}).get("written", [])}
    return [name for name in layer_names(adata) if name not in written]


def _align(parts: list[_Part], modality: str) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """The columns of the result, and where those of each object go: TFs by name, bins and CpG slots by position."""
    tables = {part.where: adata.var for part in parts if (adata := part.get(modality)) is not None}
    if kind(modality) == k.METHYLATION:
        var = max(tables.values(), key=len).copy()
    elif kind(modality) == k.HISTONE or modality == k.RNA:
        first = next((where for where, table in tables.items() if {k.START, k.END} <= set(table)), next(iter(tables)))
        for where, table in tables.items():
            _check_bins(first, tables[first], where, table, modality)
        var = tables[first].copy()
    else:
        for where, table in tables.items():
            if not table.index.is_unique:
                repeated = table.index[table.index.duplicated()].unique()[:3].tolist()
                msg = f"{where}: mdata[{modality!r}].var_names must be unique, but {repeated} repeat."
                raise ValueError(msg)
        var = first_of_each_name(list(tables.values()))
        return var, [var.index.get_indexer(tables.get(part.where, var).index) for part in parts]
    return var, [np.arange(len(tables.get(part.where, var))) for part in parts]


def _check_bins(first: str, expected: pd.DataFrame, where: str, table: pd.DataFrame, modality: str) -> None:
    both = [column for column in (k.START, k.END) if column in expected and column in table]
    same = len(table) == len(expected) and all(
        np.array_equal(table[column].to_numpy(), expected[column].to_numpy()) for column in both
    )
    if not same:
        msg = (
            f"{where}: the bins of mdata[{modality!r}] ({_shown_bins(table)}) are not those of {first} "
            f"({_shown_bins(expected)}): build all objects with the same window and bins."
        )
        raise ValueError(msg)


def _shown_bins(table: pd.DataFrame) -> str:
    if {k.START, k.END} <= set(table) and len(table):
        return f"{len(table)} from {int(table[k.START].iloc[0]):+d} to {int(table[k.END].iloc[-1]):+d} bp"
    return f"{len(table)} columns"


def _write_notes(joined: AnnData, parts: list[_Part], modality: str) -> None:
    """Write the window, the order of the channels, and which channels were measured."""
    import pandas as pd

    here = {part.where: adata for part in parts if (adata := part.get(modality)) is not None}
    windows = {where: float(adata.uns["window"]) for where, adata in here.items() if "window" in adata.uns}
    if len(set(windows.values())) > 1:
        shown = ", ".join(f"{where}: {window:g} bp" for where, window in windows.items())
        msg = f"mdata[{modality!r}].uns['window'] differs, and positions are relative to it: {shown}."
        raise ValueError(msg)
    if windows:
        joined.uns["window"] = here[next(iter(windows))].uns["window"]
    channels = _channels(parts, modality)
    if any("channels" in adata.uns.get(k.PACKAGE, {}) for adata in here.values()):
        joined.uns[k.PACKAGE] = {**joined.uns.get(k.PACKAGE, {}), "channels": channels}
    masks = [_measured(part, modality, channels) for part in parts]
    # A whole methylation that is missing needs no mask: n_cpg = 0 says it.
    ignored = [modality == k.METHYLATION and part.get(modality) is None for part in parts]
    if not all(skip or mask.all() for skip, mask in zip(ignored, masks, strict=True)):
        joined.obsm[k.MEASURED] = pd.DataFrame(np.concatenate(masks), index=joined.obs_names, columns=channels)


def _channels(parts: list[_Part], modality: str) -> list[str]:
    return list(dict.fromkeys(name for part in parts for name in part.channels.get(modality, [])))


def _measured(part: _Part, modality: str, channels: list[str]) -> np.ndarray:
    """What an object measured, shape ``(n_obs, n_channels)``."""
    if (adata := part.get(modality)) is None:
        return np.zeros((len(part.obs), len(channels)), bool)
    return measured(adata, channels) & np.isin(channels, layer_names(adata))


def _missing(parts: list[_Part], modality: str) -> list[str]:
    """Sentences on what some cell types lack of a modality."""
    lacking: dict[str, dict[str, None]] = {}  # what was not measured: the cell types, in order
    for part in parts:
        if (adata := part.get(modality)) is None:
            names = [modality]
        else:
            names = [name for name in _channels(parts, modality) if name not in layer_names(adata)]
            names = names if modality == k.HISTONE else [f"{name} of {modality}" for name in names]
        for name in names:
            lacking.setdefault(name, {}).update(dict.fromkeys(part.obs[k.CELL_TYPE].astype(str)))
    sentences = []
    for name, types in lacking.items():
        done = "filled with zeros and marked in obsm['measured']."
        if name == modality and kind(modality) in (k.METHYLATION, None):
            done = "n_cpg is 0 there." if kind(modality) else "filled with NaN."
        sentences.append(f"{name} was not measured in {', '.join(types)}: {done}")
    return sentences

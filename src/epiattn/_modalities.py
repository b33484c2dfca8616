"""Which modalities of a MuData the package reads, and which of their layers are channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from . import _keys as k
from ._compat import layer_names
from ._messages import did_you_mean

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

Channels = dict[str, list[str]]


def kind(modality: str) -> str | None:
    """``"histone"`` (signal: any ``histone*``, and ``distal``), ``"methylation"``, ``"tf"``, or ``None``: no input."""
    if modality.startswith(k.HISTONE) or modality == k.DISTAL:
        return k.HISTONE
    return modality if modality in (k.METHYLATION, k.TF) else None


def find_channels(mdata: MuData, chosen: Mapping[str, Sequence[str]] | None = None) -> Channels:
    """Input modalities and their channels, in the order in which models use them.

    Parameters
    ----------
    mdata
        The object.
    chosen
        Modalities to use, each with its channels; ``None``: all that are there but ``distal``, which only makes sense
        to a model that knows it.

    Returns
    -------
    ``{modality: [channel, ...]}``: ``histone*``, then ``methylation``, ``tf`` and ``distal``.

    Raises
    ------
    ValueError
        If there is no input modality, a modality has no channel, or a named one does not exist.
    """
    order = {k.METHYLATION: 1, k.TF: 2, k.DISTAL: 3}
    available = sorted((name for name in mdata.mod if kind(name)), key=lambda name: (order.get(name, 0), name))
    if chosen is None:
        available = [name for name in available if name != k.DISTAL]
    else:
        if not hasattr(chosen, "keys"):
            msg = f"channels must be a mapping such as {{'histone': ['H3K4me3']}}, not {chosen!r}."
            raise TypeError(msg)
        if unknown := [name for name in chosen if name not in available]:
            msg = f"channels names the modalities {unknown}, but the input modalities here are {available}."
            raise ValueError(msg)
        available = [name for name in available if name in chosen]
    if not available:
        msg = (
            f"No input modality: need at least one of 'histone' (or any 'histone*'), 'methylation', 'tf', found "
            f"{list(mdata.mod)}."
        )
        raise ValueError(msg)
    if dotted := [name for name in available if "." in name]:
        msg = f"Modality names must not contain dots (PyTorch refuses them): rename {dotted}."
        raise ValueError(msg)
    return {name: _channels(mdata[name], name, None if chosen is None else chosen[name]) for name in available}


def _channels(adata: AnnData, modality: str, chosen: Sequence[str] | None) -> list[str]:
    record = adata.uns.get(k.PACKAGE, {})
    layers = layer_names(adata)
    source = "channels" if chosen is not None else f"mdata[{modality!r}].uns['epiattn']['channels']"
    written = {str(name) for name in record.get("written", [])}
    if chosen is None:
        chosen = record.get("channels")
    if chosen is None:
        channels = sorted(name for name in layers if name not in written and not name.startswith(k.truth("")))
    else:
        channels = [str(name) for name in ([chosen] if isinstance(chosen, str) else chosen)]
        if unknown := [name for name in channels if name not in layers]:
            there = sorted(set(layers) - written)
            hint = did_you_mean(unknown[0], there)
            msg = f"{source} names {unknown}, but the layers of mdata[{modality!r}] are {there}.{hint}"
            raise ValueError(msg)
    if not channels:
        msg = (
            f"mdata[{modality!r}] has no channel: put one matrix per mark (or channel) into its layers, each of shape "
            f"(n_obs, n_var) = {adata.shape}."
        )
        raise ValueError(msg)
    if kind(modality) == k.METHYLATION and (lacking := [name for name in (k.BETA, k.POSITION) if name not in channels]):
        msg = f"mdata[{modality!r}] needs the layers 'beta' and 'position'; missing: {lacking}."
        raise ValueError(msg)
    return channels


def measured(adata: AnnData, channels: Sequence[str]) -> np.ndarray:
    """Which channels were measured: all, unless ``obsm["measured"]`` says otherwise.

    Parameters
    ----------
    adata
        A modality.
    channels
        Its channels.

    Returns
    -------
    Boolean, shape ``(n_obs, n_channels)``.
    """
    table = adata.obsm.get(k.MEASURED)
    everywhere = np.ones(adata.n_obs, bool)
    known = [everywhere if table is None or name not in table else np.asarray(table[name], bool) for name in channels]
    return np.stack(known, axis=1) if known else np.ones((adata.n_obs, 0), bool)


def expression_of(mdata: MuData) -> np.ndarray:
    """Expression, shape ``(n_obs,)``; NaN where missing.

    Raises
    ------
    ValueError
        If ``mdata["rna"].X`` is not one numeric column.
    """
    values = mdata[k.RNA].X
    values = values.toarray() if sparse.issparse(values) else values
    if values is None or values.ndim != 2 or values.shape[1] != 1 or values.dtype.kind not in "biuf":
        found = "nothing" if values is None else f"{values.dtype} of shape {values.shape}"
        msg = f"mdata['rna'].X must be one numeric column, the expression; it is {found}."
        raise ValueError(msg)
    return values[:, 0].astype(float)


def present(mdata: MuData, channels: Channels) -> Channels:
    """Those of the modalities that an object has."""
    return {modality: names for modality, names in channels.items() if modality in mdata.mod}


def record_written(adata: AnnData, layer: str) -> None:
    """Note that the package wrote a layer, so that it is never taken for a mark."""
    record = dict(adata.uns.get(k.PACKAGE, {}))
    written = {str(name) for name in record.get("written", [])}
    adata.uns[k.PACKAGE] = {**record, "written": sorted(written | {layer})}


def bound_tfs(adata: AnnData, channels: Sequence[str]) -> sparse.csr_matrix:
    """Which TFs have evidence in some channel: 1 or nothing, shape ``(n_obs, n_tfs)``."""
    total = sum((abs(sparse.csr_matrix(adata.layers[name])) for name in channels), start=sparse.csr_matrix(adata.shape))
    total = sparse.csr_matrix(total)
    total.eliminate_zeros()
    total.data = np.ones(total.nnz)
    return total

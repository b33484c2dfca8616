"""Signal, attention and attribution along bins: where they lie in the object, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._compat import layer_names
from epiattn._messages import did_you_mean
from epiattn._modalities import find_channels, kind, measured
from epiattn._results import result_of, run_of
from epiattn._validation import check_choice

from ._data import dense

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

SIGNAL, ATTENTION, ATTRIBUTION = QUANTITIES = ("signal", "attention", "attribution")
#: What attention is of where the model mixes the marks before it attends.
ALL_MARKS = "all marks"


def histone_of(mdata: MuData, modality: str, plot: str) -> AnnData:
    """A modality with bins.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if known := [name for name in mdata.mod if kind(name) == k.HISTONE]:
        if modality in known:
            return mdata[modality]
        msg = f"pl.{plot} needs a modality with bins, one of {known}, not {modality!r}."
        raise ValueError(msg)
    msg = f"pl.{plot} needs the modality 'histone' (or any 'histone*'), but the modalities are {list(mdata.mod)}."
    raise ValueError(msg)


def layers_of(
    mdata: MuData, modality: str, marks: str | Sequence[str] | None = None, *, of: str = SIGNAL, key: str = "attn"
) -> dict[str, str]:
    """The layer of each mark; of a model that mixes the marks, the one layer of its attention.

    Raises
    ------
    ValueError
        If the quantity was not computed, the run did not read the modality, or a mark is unknown.
    """
    check_choice("of", of, QUANTITIES)
    if of == SIGNAL:
        known = find_channels(mdata)[modality]
        there = {name: name for name in layer_names(mdata[modality])}
    else:
        known, there = _about_run(mdata, modality, of, key)
    if marks is None:
        return {name: there[name] for name in known}
    chosen = [marks] if isinstance(marks, str) else list(marks)
    if unknown := [name for name in chosen if name not in there]:
        msg = f"Unknown marks {unknown}; the marks of mdata[{modality!r}] are {known}.{did_you_mean(unknown[0], known)}"
        raise ValueError(msg)
    if not chosen:
        msg = f"marks names no mark; the marks of mdata[{modality!r}] are {known}."
        raise ValueError(msg)
    return {name: there[name] for name in chosen}


def _about_run(mdata: MuData, modality: str, of: str, key: str) -> tuple[list[str], dict[str, str]]:
    """Marks that the quantity tells apart, and their layers."""
    channels = run_of(mdata, key)["channels"]
    if modality not in channels:
        msg = f"The run {key!r} did not read mdata[{modality!r}], only {list(channels)}."
        raise ValueError(msg)
    prefix, written = k.attribution(key), layer_names(mdata[modality])
    if of == ATTRIBUTION:
        result_of(mdata, prefix, "attribute")
    else:
        prefix = k.attention(key)
    layers = {str(mark): k.mark_layer(prefix, mark) for mark in channels[modality]}
    if of == ATTENTION and not set(layers.values()) <= set(written):
        layers = {ALL_MARKS: prefix}
    if lacking := [layer for layer in layers.values() if layer not in written]:
        msg = f"mdata[{modality!r}].layers[{lacking[0]!r}] is missing: what the run {key!r} wrote is gone."
        raise ValueError(msg)
    return list(layers), layers


def values_of(adata: AnnData, mark: str, layer: str, rows: np.ndarray) -> np.ndarray:
    """A mark's values of some observations, shape ``(n_rows, n_bins)``; NaN where it was not measured."""
    values = dense(adata.layers[layer][rows])
    known = (values != 0).any(1) if mark == ALL_MARKS else measured(adata, [mark])[rows, 0]
    return np.where(known[:, None], values, np.nan)


def unit_of(mdata: MuData, of: str, key: str) -> str:
    """The quantity with its unit, to follow a word such as "Mean"."""
    if of == ATTRIBUTION:
        expression = run_of(mdata, key).get("target") == "expression"
        return f"attribution ({'expression' if expression else 'log-odds'})"
    return of

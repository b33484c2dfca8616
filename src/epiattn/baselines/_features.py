"""What the baselines read: numbers for each observation, from every modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._depth import DepthScaling
from epiattn._modalities import Channels, find_channels, measured
from epiattn._validation import check_values

if TYPE_CHECKING:
    from mudata import MuData

Chosen = Mapping[str, Sequence[str]] | None
Factors = Mapping[str, np.ndarray] | None

BLOCK = 8_192  # rows that are made dense at a time
CORE = 0.2  # share of the window in which a CpG is near the TSS


def find_marks(mdata: MuData, chosen: Chosen, *, who: str) -> Channels:
    """Modalities with signal around the TSS, and their marks, after a check of the values.

    Parameters
    ----------
    mdata
        The object.
    chosen
        Modalities to use, each with its channels; ``None``: all.
    who
        Who reads them, for the message.

    Raises
    ------
    ValueError
        If there is no signal, or a value is missing or negative.
    """
    channels = {name: marks for name, marks in find_channels(mdata, chosen).items() if name.startswith(k.HISTONE)}
    if not channels:
        msg = f"{who} reads signal around the TSS ('histone*'), but the modalities are {list(mdata.mod)}."
        raise ValueError(msg)
    check_values(mdata, channels)
    return channels


def factors(
    mdata: MuData, chosen: Chosen, *, who: str, scale_by: str | None, train: np.ndarray
) -> dict[str, np.ndarray] | None:
    """What the signal is multiplied by, so that each mark has one mean in every cell type, as models have it.

    Parameters
    ----------
    mdata, chosen, who
        As for :func:`find_marks`.
    scale_by
        Column of ``obs``; ``None``: nothing is scaled.
    train
        Training observations, shape ``(n_obs,)``.

    Returns
    -------
    By modality, shape ``(n_obs, n_marks)``; ``None``: nothing is scaled.

    Raises
    ------
    ValueError
        As :func:`find_marks`, or if there is no such column.
    """
    if scale_by is None:
        return None
    channels = find_marks(mdata, chosen, who=who)
    return DepthScaling(mdata, channels, by=scale_by, train=np.flatnonzero(train)).factors(mdata)


def totals(mdata: MuData, chosen: Chosen, *, who: str, scale: Factors = None) -> np.ndarray:
    """Total signal of each mark of each ``histone*`` modality, log(1 + x), shape ``(n_obs, n_marks)``.

    Parameters
    ----------
    mdata, chosen, who
        As for :func:`find_marks`.
    scale
        What :func:`factors` returns.

    Raises
    ------
    ValueError
        As :func:`find_marks`.
    """
    columns = []
    for modality, marks in find_marks(mdata, chosen, who=who).items():
        sums = [np.asarray(mdata[modality].layers[mark].sum(axis=1), dtype=float).ravel() for mark in marks]
        columns.append(np.log1p(np.stack(sums, axis=1) * (1 if scale is None else scale[modality])))
    return np.concatenate(columns, axis=1)


def bins(mdata: MuData, chosen: Chosen, *, who: str, scale: Factors = None, missing: float = 0.0) -> np.ndarray:
    """All bins of all marks of all ``histone*`` modalities, log(1 + x), float32, shape ``(n_obs, n_features)``.

    Parameters
    ----------
    mdata, chosen, who
        As for :func:`find_marks`.
    scale
        What :func:`factors` returns.
    missing
        What to write for a mark that was not measured.

    Raises
    ------
    ValueError
        As :func:`find_marks`.
    """
    channels = find_marks(mdata, chosen, who=who)
    layers = [(modality, i, mark) for modality, marks in channels.items() for i, mark in enumerate(marks)]
    values = np.empty((mdata.n_obs, sum(mdata[modality].n_vars for modality, _, _ in layers)), np.float32)
    first = 0
    for modality, i, mark in layers:
        adata = mdata[modality]
        columns = slice(first, first + adata.n_vars)
        for rows, block in _blocks(adata.layers[mark]):
            factor = 1 if scale is None else scale[modality][rows, i, None]
            values[rows, columns] = np.log1p(block * factor, dtype=np.float32)
        values[~measured(adata, [mark])[:, 0], columns] = missing
        first = columns.stop
    return values


def n_cpg(mdata: MuData, chosen: Chosen) -> np.ndarray:
    """CpGs of each observation, shape ``(n_obs,)``.

    Raises
    ------
    ValueError
        If there is no methylation, or no observation has a CpG.
    """
    if k.METHYLATION not in (modalities := find_channels(mdata, chosen)):
        msg = f"There are no CpGs: the modalities are {list(modalities)}."
        raise ValueError(msg)
    check_values(mdata, {k.METHYLATION: []})
    counts = mdata[k.METHYLATION].obs[k.N_CPG].to_numpy(float)
    if not counts.any():
        msg = "There are no CpGs: mdata['methylation'].obs['n_cpg'] is 0 everywhere."
        raise ValueError(msg)
    return counts


def cpg_summary(mdata: MuData, chosen: Chosen) -> np.ndarray:
    """CpG lists in six numbers, shape ``(n_obs, 6)``.

    The number of CpGs, their mean and lowest beta, the distance of the nearest one to the TSS, and the number and mean
    beta of those within a fifth of the window. NaN where there is no CpG; numbers of CpGs are 0 there.

    Raises
    ------
    ValueError
        If a value is missing or out of range.
    """
    check_values(mdata, {k.METHYLATION: find_channels(mdata, chosen)[k.METHYLATION]})
    adata = mdata[k.METHYLATION]
    counts = adata.obs[k.N_CPG].to_numpy(float)
    summary = np.full((mdata.n_obs, 6), np.nan)
    for (rows, beta), (_, position) in zip(
        _blocks(adata.layers[k.BETA]), _blocks(adata.layers[k.POSITION]), strict=True
    ):
        valid = np.arange(adata.n_vars) < counts[rows, None]
        near = valid & (np.abs(position) < CORE)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
            summary[rows] = np.stack(
                [
                    counts[rows],
                    beta.sum(1, where=valid) / valid.sum(1),
                    beta.min(1, where=valid, initial=np.inf),
                    np.abs(position).min(1, where=valid, initial=np.inf),
                    near.sum(1),
                    beta.sum(1, where=near) / near.sum(1),
                ],
                axis=1,
            )
    return np.where(np.isinf(summary), np.nan, summary)


def n_tfs(mdata: MuData, chosen: Chosen) -> np.ndarray:
    """TFs with evidence at each observation, shape ``(n_obs,)``.

    Raises
    ------
    ValueError
        If there are no TFs, or none has evidence anywhere.
    """
    if k.TF not in (modalities := find_channels(mdata, chosen)):
        msg = f"There are no TFs: the modalities are {list(modalities)}."
        raise ValueError(msg)
    counts = tf_summary(mdata, chosen)[:, 0]
    if not counts.any():
        msg = "There are no TFs: the layers of mdata['tf'] are 0 everywhere."
        raise ValueError(msg)
    return counts


def tf_summary(mdata: MuData, chosen: Chosen) -> np.ndarray:
    """TFs in a few numbers, shape ``(n_obs, n_channels + 2)``: their number, sum of each channel and of their product.

    With the channels binding, mode and expression, the product is the net drive of activators and repressors that are
    expressed.

    Raises
    ------
    ValueError
        If a value is missing.
    """
    channels = find_channels(mdata, chosen)[k.TF]
    check_values(mdata, {k.TF: channels})
    layers = [sparse.csr_array(mdata[k.TF].layers[name]) for name in channels]
    bound = reduce(add, [layer != 0 for layer in layers])
    product = reduce(lambda a, b: a.multiply(b), layers)
    return np.stack([np.asarray(values.sum(axis=1), dtype=float).ravel() for values in (bound, *layers, product)], 1)


def _blocks(values: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows, dense."""
    values = values.tocsr() if sparse.issparse(values) else values
    for start in range(0, values.shape[0], BLOCK):
        part = values[start : start + BLOCK]
        yield slice(start, start + BLOCK), part.toarray() if sparse.issparse(part) else part

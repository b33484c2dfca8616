"""Quality of the measurements, cell type by cell type: what to look at before a model is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._modalities import find_channels, kind, measured
from epiattn._validation import as_mudata, check_values, give_back

from ._label import cell_types_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

#: Columns of the table; NaN where a column says nothing about a modality.
COLUMNS = ("n_obs", "depth", "empty", "saturated", "fold_depth", "coverage", "n_cpg", "reads", "n_tfs")

# When to warn. Rules of thumb: most genes of a usable track have some signal, tracks that differ more than threefold in
# depth are told apart by their depth, and clipping or a lack of CpGs beyond this changes what a model can see.
MAX_EMPTY = 0.5
MAX_FOLD = 3.0
MAX_SATURATED = 0.05
MIN_COVERAGE = 0.2

BLOCK = 4_096  # rows that are made dense at a time


def qc(mdata: MuData | AnnData, *, copy: bool = False) -> MuData | AnnData:
    """Describe each mark, the methylation and the TFs of every cell type, and warn about what looks wrong.

    Parameters
    ----------
    mdata
        The object. Where ``obs["cell_type"]`` is missing, all observations count as one cell type, ``all``.
    copy
        Work on a copy.

    Returns
    -------
    The object, with a table in ``uns["qc"]``: a row for each ``cell_type``, ``modality`` and ``channel`` (``beta`` for
    methylation and ``any`` for TFs, which have one row each). Observations that ``obsm["measured"]`` excludes do not
    count. The columns, NaN where they do not apply:

    ``n_obs``
        measured observations
    ``depth``, ``fold_depth``
        mean over the observations of the signal, summed over the bins; the same over the median of all cell types
    ``empty``
        share of observations without any signal
    ``saturated``
        share of bins that hold the largest value of the cell type, if more than one does: clipped signal
    ``coverage``, ``n_cpg``, ``reads``
        share of observations with a CpG; CpGs in an observation; mean of ``layers["coverage"]`` over the CpGs
    ``n_tfs``
        TFs in an observation with a value in any channel

    And for each observation ``obs["qc_signal"]`` (over all marks and bins of the first ``histone*`` modality),
    ``obs["qc_n_cpg"]`` and ``obs["qc_n_tfs"]``.

    Raises
    ------
    ValueError
        If there is no input modality, a value is missing or out of range, or some observations have no cell type.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.pp.qc(attn.datasets.simulate(n_genes=200, cell_types=["liver", "brain"]))
    >>> mdata.uns["qc"].query("modality == 'histone'").shape
    (14, 12)
    """
    import pandas as pd

    given, mdata = mdata, as_mudata(mdata, copy=copy)
    names, codes = np.unique(cell_types_of(mdata), return_inverse=True)
    rows: list[dict[str, Any]] = []
    columns: dict[str, np.ndarray] = {}
    for modality, channels in find_channels(mdata).items():
        check_values(mdata, {modality: channels})
        function = {k.HISTONE: _signal, k.METHYLATION: _methylation, k.TF: _tfs}[str(kind(modality))]
        column, values, found = function(mdata[modality], channels, codes, len(names))
        rows += [{"modality": modality, **row, "cell_type": names[row["cell_type"]]} for row in found]
        columns.setdefault(column, values)  # of several bin sizes, the first one
    for column, values in columns.items():
        mdata.obs[column] = values
    table = pd.DataFrame(rows).reindex(columns=["cell_type", "modality", "channel", *COLUMNS])
    mdata.uns["qc"] = table
    for warning in _warnings(table):
        logger.warning(warning)
    return give_back(mdata, given, copy=copy)


_Found = tuple[str, np.ndarray, list[dict[str, Any]]]  # column of obs, its values, rows of the table


def _signal(adata: AnnData, channels: list[str], codes: np.ndarray, n_types: int) -> _Found:
    total = np.zeros(adata.n_obs)
    rows: list[dict[str, Any]] = []
    for mark in channels:
        layer, is_measured = adata.layers[mark], measured(adata, [mark])[:, 0]
        depth, largest = np.zeros(adata.n_obs), np.zeros(adata.n_obs)
        for block, values in _blocks(layer):
            depth[block], largest[block] = values.sum(1, dtype=np.float64), values.max(1, initial=0)
        total += np.where(is_measured, depth, 0)
        top = np.zeros(n_types)
        np.maximum.at(top, codes[is_measured], largest[is_measured])
        at_top = np.zeros(adata.n_obs)
        for block, values in _blocks(layer):
            at_top[block] = (values == top[codes[block], None]).sum(1)
        mark_rows = []
        for i in range(n_types):
            here = is_measured & (codes == i)
            row = {"cell_type": i, "channel": mark, "n_obs": int(here.sum())}
            if here.any():
                clipped = at_top[here].sum() if top[i] > 0 else 0
                row["depth"], row["empty"] = depth[here].mean(), (depth[here] == 0).mean()
                row["saturated"] = clipped / (here.sum() * adata.n_vars) if clipped > 1 else 0.0
            mark_rows.append(row)
        median = np.median([row["depth"] for row in mark_rows if "depth" in row] or [0.0])
        rows += [
            {**row, "fold_depth": row["depth"] / median} if median and "depth" in row else row for row in mark_rows
        ]
    return "qc_signal", total, rows


def _methylation(adata: AnnData, channels: list[str], codes: np.ndarray, n_types: int) -> _Found:
    n_cpg = adata.obs[k.N_CPG].to_numpy().astype(np.int64)
    is_measured = measured(adata, [k.BETA])[:, 0]
    reads = np.zeros(adata.n_obs)
    if "coverage" in channels:
        for block, values in _blocks(adata.layers["coverage"]):
            valid = np.arange(adata.n_vars) < n_cpg[block, None]
            reads[block] = values.sum(1, where=valid, dtype=np.float64)
    rows: list[dict[str, Any]] = []
    for i in range(n_types):
        here = is_measured & (codes == i)
        row: dict[str, Any] = {"cell_type": i, "channel": k.BETA, "n_obs": int(here.sum())}
        if here.any():
            row["coverage"], row["n_cpg"] = (n_cpg[here] > 0).mean(), n_cpg[here].mean()
            if "coverage" in channels and n_cpg[here].any():
                row["reads"] = reads[here].sum() / n_cpg[here].sum()
        rows.append(row)
    return "qc_n_cpg", n_cpg, rows


def _tfs(adata: AnnData, channels: list[str], codes: np.ndarray, n_types: int) -> _Found:
    is_measured = measured(adata, channels).any(1)
    n_tfs = np.zeros(adata.n_obs, np.int64)
    for blocks in zip(*(_blocks(adata.layers[name]) for name in channels), strict=True):
        bound = np.any([values != 0 for _, values in blocks], axis=0)
        n_tfs[blocks[0][0]] = bound.sum(1)
    rows: list[dict[str, Any]] = []
    for i in range(n_types):
        here = is_measured & (codes == i)
        row: dict[str, Any] = {"cell_type": i, "channel": "any", "n_obs": int(here.sum())}
        rows.append({**row, "n_tfs": n_tfs[here].mean()} if here.any() else row)
    return "qc_n_tfs", n_tfs, rows


def _blocks(values: Any) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows, dense."""
    values = values.tocsr() if sparse.issparse(values) else values
    for start in range(0, values.shape[0], BLOCK):
        part = values[start : start + BLOCK]
        yield slice(start, start + BLOCK), part.toarray() if sparse.issparse(part) else part


def _warnings(table: pd.DataFrame) -> Iterator[str]:
    """What to look at, and what to do about it."""
    for row in table[table["n_obs"] > 0].itertuples():
        mark = f"{row.channel} ({row.modality}) in {row.cell_type}"
        if row.empty > MAX_EMPTY:
            yield (
                f"{mark}: {row.empty:.0%} of the observations have no signal at all. Check that the track covers these "
                "chromosomes and uses their names, or leave the mark out with channels=."
            )
        if row.fold_depth > MAX_FOLD or row.fold_depth < 1 / MAX_FOLD:
            yield (
                f"{mark}: {row.fold_depth:.2g} times the median depth of the cell types. Bring the tracks to one scale "
                "(such as reads per million, or fold over control), or a model learns the depth."
            )
        if row.saturated > MAX_SATURATED:
            yield (
                f"{mark}: {row.saturated:.0%} of the bins hold the largest value, so the signal is clipped. Build the "
                "layer from an unclipped track (a track of zeros and ones is fine as it is)."
            )
        if row.coverage < MIN_COVERAGE:
            yield (
                f"methylation in {row.cell_type}: only {row.coverage:.0%} of the observations have a CpG. Check the "
                "genome build, or leave methylation out with channels=."
            )
        if row.n_tfs == 0:
            yield (
                f"tf in {row.cell_type}: 0 bound TFs. Check that genes are named as in the regulons or peaks, "
                "or leave TFs out with channels=."
            )

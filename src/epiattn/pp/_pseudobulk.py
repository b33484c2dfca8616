"""Single cells to groups of cells: cell types, donors, metacells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse

from epiattn._compat import layer_names
from epiattn._logging import logger
from epiattn._validation import check_choice

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MODES = ("sum", "mean")
MILLION = 1_000_000


def pseudobulk(
    adata: AnnData,
    *,
    groupby: str | Sequence[str],
    layer: str | None = None,
    min_cells: int = 10,
    mode: Literal["sum", "mean"] = "sum",
    normalize: Literal["cpm"] | None = "cpm",
) -> AnnData:
    """Aggregate cells into groups, such as cell types or metacells.

    Parameters
    ----------
    adata
        Counts of cells x features (genes, peaks, bins of the genome, …).
    groupby
        Column of ``obs``, or several; cells without a value are left out.
    layer
        Layer with the counts; ``None``: ``X``.
    min_cells
        Groups of fewer cells are left out, with a warning.
    mode
        ``"sum"`` of the cells, or their ``"mean"``.
    normalize
        ``"cpm"``: counts per million counts of the group (with ``mode="mean"``: of each cell, so that all cells have
        the same weight). ``None``: as counted.

    Returns
    -------
    A new object, groups x features, sparse (CSR) if the counts are: ``var`` is that of the cells; ``obs`` has the
    columns of ``groupby``, ``n_cells`` and ``n_counts`` (before normalisation). Groups of several columns are called
    ``<value>_<value>``.

    Raises
    ------
    ValueError
        If there is no such column or layer, a count is negative or no number, or no group has enough cells.

    Examples
    --------
    >>> import anndata as ad
    >>> import numpy as np
    >>> import pandas as pd
    >>> import epiattn as attn
    >>> obs = pd.DataFrame({"cell_type": ["B", "B", "T"]}, index=["cell_0", "cell_1", "cell_2"])
    >>> cells = ad.AnnData(np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 4.0]]), obs=obs)
    >>> bulk = attn.pp.pseudobulk(cells, groupby="cell_type", min_cells=1)
    >>> bulk.to_df().loc["B"].tolist()
    [750000.0, 250000.0]
    """
    columns = [groupby] if isinstance(groupby, str) else list(groupby)
    if not columns or any(name not in adata.obs for name in columns):
        msg = f"groupby={groupby!r} must name one column of obs or several; columns are {list(adata.obs)}."
        raise ValueError(msg)
    return aggregate(
        adata, adata.obs[columns], layer=layer, min_cells=min_cells, mode=mode, normalize=normalize, where="adata"
    )


def aggregate(
    adata: AnnData,
    table: pd.DataFrame,
    *,
    layer: str | None,
    min_cells: int,
    mode: str,
    normalize: str | None,
    where: str,
) -> AnnData:
    """Do what :func:`pseudobulk` does, by the columns of a table with a row for each cell.

    Parameters
    ----------
    adata, layer, min_cells, mode, normalize
        As there.
    table
        What to group by.
    where
        Name of the object, for messages.

    Raises
    ------
    ValueError
        As there.
    """
    from anndata import AnnData

    check_choice("mode", mode, MODES)
    if normalize not in ("cpm", None):
        msg = f"normalize must be 'cpm' or None, not {normalize!r}."
        raise ValueError(msg)
    counts = _counts(adata, layer, where)
    code, obs = _groups(table)
    n_cells = np.bincount(code[code >= 0], minlength=len(obs))
    kept = n_cells >= min_cells
    _report(where, code, obs.index, n_cells, min_cells)
    cells = np.flatnonzero((code >= 0) & np.append(kept, False)[code])
    group = (np.cumsum(kept) - 1)[code[cells]]
    depth = np.asarray(counts.sum(axis=1), np.float64).ravel()
    total = np.bincount(group, weights=depth[cells], minlength=int(kept.sum()))
    if empty := obs.index[kept][total == 0].tolist():
        logger.warning("%s: no counts at all in %s.", where, empty)
    obs = obs[kept].assign(n_cells=n_cells[kept], n_counts=total)
    weight = np.ones(len(cells))
    if mode == "mean":
        weight = 1 / n_cells[kept][group]
    if normalize is not None:
        base = depth[cells] if mode == "mean" else total[group]
        weight *= np.divide(MILLION, base, out=np.zeros(len(cells)), where=base > 0)
    by_cell = sparse.csr_matrix((weight, (group, cells)), shape=(len(obs), adata.n_obs))
    values = by_cell @ counts
    if sparse.issparse(values):
        values = sparse.csr_matrix(values)
    return AnnData(values if normalize is None else values.astype(np.float32), obs=obs, var=adata.var.copy())


def _counts(adata: AnnData, layer: str | None, where: str) -> Any:
    """Counts of the cells, checked."""
    if adata.isbacked:
        msg = f"{where} is backed by a file: read it into memory (adata.to_memory()) first."
        raise ValueError(msg)
    if layer is not None and layer not in layer_names(adata):
        msg = f"{where} has no layer {layer!r}; layers are {layer_names(adata)}."
        raise ValueError(msg)
    counts = adata.X if layer is None else adata.layers[layer]
    place = f"{where}.X" if layer is None else f"{where}.layers[{layer!r}]"
    if not (isinstance(counts, np.ndarray) or sparse.issparse(counts)) or counts.dtype.kind not in "biuf":
        msg = f"{place} must be a numeric NumPy array or SciPy sparse matrix of counts, not {type(counts).__name__}."
        raise ValueError(msg)
    stored = counts.data if sparse.issparse(counts) else counts
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        msg = f"{place} has NaN or infinite values: pass counts (layer=)."
        raise ValueError(msg)
    if (stored < 0).any():
        msg = f"{place} has negative values, so it holds no counts: pass a layer that does (layer=)."
        raise ValueError(msg)
    if stored.dtype.kind == "f" and (stored % 1 != 0).any():
        logger.warning(
            "%s holds fractions, such as %.3g: if these are logarithms or otherwise normalised, pass counts (layer=).",
            place,
            stored[stored % 1 != 0].flat[0],
        )
    return counts


def _groups(table: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Group of each cell (-1: none), and a row for each group, in the order of the categories."""
    columns = [table[name].astype("category").cat.remove_unused_categories() for name in table]
    sizes = [len(column.cat.categories) for column in columns]
    codes = np.stack([column.cat.codes.to_numpy(np.int64) for column in columns])
    complete = (codes >= 0).all(0)
    code = np.full(len(table), -1)
    # Ranks in the table of all combinations, of which those that occur are kept.
    combined = np.ravel_multi_index(tuple(codes[:, complete]), sizes) if complete.any() else np.empty(0, np.int64)
    _, firsts, code[complete] = np.unique(combined, return_index=True, return_inverse=True)
    obs = table.iloc[np.flatnonzero(complete)[firsts]].copy()
    names = ["_".join(map(str, row)) for row in obs.itertuples(index=False)]
    if len(set(names)) < len(names):
        repeated = sorted({name for name in names if names.count(name) > 1})
        msg = f"Different groups would have the same name, {repeated[:3]}: rename values of {list(table)}."
        raise ValueError(msg)
    return code, obs.set_axis(names)


def _report(where: str, code: np.ndarray, names: pd.Index, n_cells: np.ndarray, min_cells: int) -> None:
    """Say which cells and groups are left out.

    Raises
    ------
    ValueError
        If all are.
    """
    sizes = dict(zip(names.tolist(), n_cells.tolist(), strict=True))
    small = {name: size for name, size in sizes.items() if size < min_cells}
    shown = ", ".join(f"{name} ({size})" for name, size in list(small.items())[:5]) + (", …" if len(small) > 5 else "")
    if len(small) == len(sizes):
        msg = f"{where}: no group has min_cells={min_cells} cells: {shown or 'no cell has a group'}."
        raise ValueError(msg)
    if small:
        logger.warning("%s: %d groups of fewer than %d cells are left out: %s.", where, len(small), min_cells, shown)
    if (code < 0).any():
        logger.warning("%s: %d of %d cells have no group and are left out.", where, (code < 0).sum(), len(code))

"""Count matrices of single cells, summed over groups of cells and spread over the bins around each TSS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn.pp import label
from epiattn.pp._pseudobulk import aggregate

from ._places import Places, check_genes, expand, some
from ._signal import check_bins
from ._to_mdata import GENE_NAME, coordinates, make_expression, make_mdata, make_obs, make_signal

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

#: Names of columns of ``var``, lower case.
_CHROM = ("chrom", "chr", "chromosome", "seqnames", "seqname")
_START = ("start", "chromstart", "chrom_start")
_END = ("end", "chromend", "chrom_end", "stop")
_PLACE = re.compile(r"^(.*[^:_-])[:_-](\d+)[_-](\d+)$")
_GENE_ID = ("gene_ids", "gene_id", "ensembl_id", "ensembl")
_EXPRESSION = "expression"  # how it is called in messages, and in `layer`
_KILOBASE = 1_000


def from_anndata(
    assays: Mapping[str, AnnData],
    genes: pd.DataFrame,
    *,
    groupby: str | Sequence[str] | pd.Series,
    expression: AnnData | None = None,
    layer: str | Mapping[str, str] | None = None,
    window: int = 2_000,
    bin_size: int = 100,
    min_cells: int = 10,
) -> MuData:
    """Make the input of a model from count matrices of single cells: multiome, scCUT&Tag, Paired-Tag, scATAC.

    Cells are summed over groups (:func:`epiattn.pp.pseudobulk`), sums are normalised for depth, and the counts of each
    feature (a peak, or a bin of the genome) are spread evenly over its bases. A bin's value is then the mean over its
    bases: counts per million and kilobase. Bases without a feature count as 0, overlapping features add.

    Parameters
    ----------
    assays
        Cells x features for each mark (``{"H3K27ac": …, "ATAC": …}``), with counts. Features are placed by the columns
        ``chrom``, ``start``, ``end`` of ``var`` (or ``interval``, as 10x has it), else by their names:
        ``chr1:1000-2000``, ``chr1-1000-2000`` or ``chr1_1000_2000``; start is 0-based, end is excluded.
    genes
        Table of genes as :func:`read_annotation` gives it.
    groupby
        What makes a group, and a cell type of the result: a column of ``obs``, or several, such as cell types or
        metacells; or a Series with a value for each cell. An assay whose ``obs`` lacks the column takes it from
        ``expression`` or from another assay by the names of the cells, which suits multiome.
    expression
        Cells x genes, with counts. Genes are found by ``var_names`` or ``var["gene_ids"]``: Ensembl ids with or without
        version, or names, whichever more genes have. ``None``: the result has no expression and no labels.
    layer
        Layer with the counts: of all objects, or of some, ``{"ATAC": "counts", "expression": "counts"}``; others have
        them in ``X``.
    window
        Bases on each side of the TSS.
    bin_size
        Width of a bin in bp.
    min_cells
        Groups of fewer cells are left out, separately for each assay.

    Returns
    -------
    A MuData with an observation for each gene in each group: ``histone`` with a layer for each assay, from 5' to 3';
    ``rna`` (log2(counts per million + 1)); in ``obs`` ``gene_id``, ``gene_name``, ``cell_type``, ``chrom``, ``tss``,
    ``strand`` and ``label`` (above the median of the cell type). A group that an assay lacks has zeros there and is
    marked in ``mdata["histone"].obsm["measured"]``; genes and groups without expression have NaN and no label.

    Raises
    ------
    TypeError
        If ``assays`` is not a mapping of AnnData.
    ValueError
        If features cannot be placed, share no chromosome with the genes, no gene is in ``expression``, a column or
        layer is missing, or counts are negative.

    Examples
    --------
    >>> import anndata as ad
    >>> import numpy as np
    >>> import pandas as pd
    >>> import epiattn as attn
    >>> cells = pd.DataFrame({"cell_type": ["B", "T"]}, index=["cell_0", "cell_1"])
    >>> peaks = pd.DataFrame(index=["chr1:900-1100", "chr2:0-500"])
    >>> atac = ad.AnnData(np.array([[1.0, 1.0], [3.0, 1.0]]), obs=cells, var=peaks)
    >>> genes = pd.DataFrame({"chrom": ["chr1"], "tss": [1000], "strand": ["+"]}, index=["G1"])
    >>> mdata = attn.io.from_anndata({"ATAC": atac}, genes, groupby="cell_type", window=200, min_cells=1)
    >>> mdata["histone"].layers["ATAC"][0].tolist()
    [0.0, 2500000.0, 2500000.0, 0.0]
    """
    _check_objects(assays, expression)
    check_genes(genes)
    check_bins(window, (bin_size,))
    objects = {**assays, **({} if expression is None else {_EXPRESSION: expression})}
    bulks = {}
    for name, adata in objects.items():
        place = name if name == _EXPRESSION else f"assays[{name!r}]"
        table = _table(place, adata, groupby, objects)
        chosen = layer.get(name) if isinstance(layer, Mapping) else layer
        options: dict[str, Any] = {"layer": chosen, "min_cells": min_cells, "mode": "sum", "normalize": "cpm"}
        bulks[name] = aggregate(adata, table, where=place, **options)
    expressed = bulks.pop(_EXPRESSION, None)
    groups = list(dict.fromkeys(name for bulk in bulks.values() for name in bulk.obs_names))
    n_genes, n_groups = len(genes), len(groups)
    rows = np.tile(np.arange(n_genes), n_groups)
    cell_type = np.repeat(np.array(groups, dtype=object), n_genes)
    columns = {**coordinates(genes, rows), **_other_columns(bulks, groups, n_genes)}
    obs = make_obs(genes.index.astype(str).to_numpy(object)[rows], cell_type, columns)
    layers, there = {}, np.zeros((len(obs), len(bulks)), bool)
    for i, (name, bulk) in enumerate(bulks.items()):
        layers[name], here = _bin(f"assays[{name!r}]", bulk, genes, groups, window, bin_size)
        there[:, i] = np.repeat(here, n_genes)
        if lacking := [group for group, has in zip(groups, here, strict=True) if not has]:
            logger.warning("%s was not measured in %s: zeros, marked in obsm['measured'].", name, some(lacking))
    modalities = {k.HISTONE: make_signal(obs.index, layers, bin_size, there)}
    notes = {"signal": "counts per million and kilobase"}
    if expressed is None:
        return make_mdata(modalities, obs, **notes)
    modalities[k.RNA] = make_expression(obs.index, _express(expressed, genes, groups))
    return label(make_mdata(modalities, obs, **notes, expression="log2(counts per million + 1)"))


def _check_objects(assays: Any, expression: Any) -> None:
    from anndata import AnnData

    if not isinstance(assays, Mapping) or not all(isinstance(adata, AnnData) for adata in assays.values()):
        msg = f"assays must be {{mark: AnnData}}, such as {{'ATAC': mdata['atac']}}, not {type(assays).__name__}."
        raise TypeError(msg)
    if not isinstance(expression, AnnData | None):
        msg = f"expression must be an AnnData of cells x genes, not {type(expression).__name__}."
        raise TypeError(msg)
    if not assays or _EXPRESSION in assays:
        msg = (
            f"assays must name at least one mark, and none of them 'expression', which has a parameter: {list(assays)}."
        )
        raise ValueError(msg)


def _table(
    where: str, adata: AnnData, groupby: str | Sequence[str] | pd.Series, objects: Mapping[str, AnnData]
) -> pd.DataFrame:
    """What cells are grouped by, a row for each cell."""
    import pandas as pd

    if isinstance(groupby, pd.Series):
        columns = [_look_up(where, adata, groupby.rename(groupby.name or "group"))]
    else:
        columns = []
        for name in [groupby] if isinstance(groupby, str) else groupby:
            if name in adata.obs:
                columns.append(adata.obs[name])
                continue
            others = [other.obs[name] for other in list(objects.values())[::-1] if name in other.obs]
            if not others:
                msg = f"No object has a column {name!r} in obs; that of {where} has {list(adata.obs)}."
                raise ValueError(msg)
            found = [column for column in others if column.index.isin(adata.obs_names).any()]
            columns.append(_look_up(where, adata, (found or others)[0]))
    if not columns:
        msg = "groupby must name at least one column."
        raise ValueError(msg)
    return pd.concat([column.set_axis(adata.obs_names) for column in columns], axis=1)


def _look_up(where: str, adata: AnnData, column: pd.Series) -> pd.Series:
    """Values of cells by their names."""
    column = column[~column.index.duplicated()]
    if not adata.obs_names.isin(column.index).any():
        msg = (
            f"{where}: obs has no column {column.name!r}, and where it is, no cell has the same name "
            f"({some(adata.obs_names)}; {some(column.index)}): write the column into obs."
        )
        raise ValueError(msg)
    return column.reindex(adata.obs_names)


def _other_columns(bulks: Mapping[str, AnnData], groups: list[str], n_genes: int) -> dict[str, Any]:
    """What groups of several columns are made of."""
    import pandas as pd

    tables = [bulk.obs.drop(columns=["n_cells", "n_counts"]) for bulk in bulks.values()]
    if tables[0].shape[1] < 2:
        return {}
    joined = pd.concat([table.astype(object) for table in tables])
    joined = joined[~joined.index.duplicated()].loc[groups]
    taken = {k.GENE_ID, GENE_NAME, k.CELL_TYPE, k.CHROM, k.TSS, k.STRAND, k.LABEL}
    return {
        str(name): pd.Categorical(np.repeat(joined[name].astype(str).to_numpy(object), n_genes))
        for name in joined
        if name not in taken
    }


# --- features to bins -------------------------------------------------------------------------------------------------


def _bin(
    where: str, bulk: AnnData, genes: pd.DataFrame, groups: list[str], window: int, bin_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Signal of all groups, shape ``(n_groups * n_genes, n_bins)``, and which groups were measured."""
    n_bins = 2 * window // bin_size
    signal = np.zeros((len(groups), len(genes) * n_bins), np.float32)
    weights = _weights(where, bulk, genes, window, bin_size)
    row = bulk.obs_names.get_indexer(groups)
    values = sparse.csr_matrix(bulk.X)
    for i in np.flatnonzero(row >= 0):
        signal[i] = (values[row[i]] @ weights).toarray()
    return signal.reshape(-1, n_bins), row >= 0


def _weights(where: str, bulk: AnnData, genes: pd.DataFrame, window: int, bin_size: int) -> sparse.csr_matrix:
    """What a count of each feature adds to each bin, shape ``(n_features, n_genes * n_bins)``."""
    chrom, start, end = _features(where, bulk.var)
    places = Places(genes)
    begin, stop = places.encode(chrom, start), places.encode(chrom, end)
    places.report(where)
    order = np.flatnonzero(begin >= 0)
    order = order[np.argsort(begin[order], kind="stable")]
    begin, stop = begin[order], stop[order]
    left, n_bins = places.tss - window, 2 * window // bin_size
    # Features that may touch a window: from the first one that reaches into it, to the last one that begins in it.
    first = np.searchsorted(np.maximum.accumulate(stop), left, side="right") if len(order) else np.zeros(len(left), int)
    last = np.searchsorted(begin, left + 2 * window, side="left")
    gene, rank = expand(np.maximum(last - first, 0))
    feature = first[gene] + rank
    touching = stop[feature] > left[gene]
    gene, feature = gene[touching], feature[touching]
    low = np.maximum(begin[feature] - left[gene], 0)
    high = np.minimum(stop[feature] - left[gene], 2 * window)
    # The bins that each of these pairs touches.
    pair, rank = expand((high - 1) // bin_size + 1 - low // bin_size)
    place = low[pair] // bin_size + rank
    overlap = np.minimum(high[pair], (place + 1) * bin_size) - np.maximum(low[pair], place * bin_size)
    gene, feature = gene[pair], feature[pair]
    place = np.where(places.sign[gene] > 0, place, n_bins - 1 - place)
    weight = overlap / (stop - begin)[feature] * (_KILOBASE / bin_size)
    shape = (bulk.n_vars, len(genes) * n_bins)
    return sparse.csr_matrix((weight, (order[feature], gene * n_bins + place)), shape=shape)


def _features(where: str, var: pd.DataFrame) -> tuple[pd.Series, np.ndarray, np.ndarray]:
    """Chromosome (categorical), start and end of each feature."""
    import pandas as pd

    by_name = {str(name).lower(): name for name in var}
    found = [next((by_name[name] for name in names if name in by_name), None) for names in (_CHROM, _START, _END)]
    if None not in found:
        table = pd.DataFrame({i: var[name].to_numpy() for i, name in enumerate(found)}, index=var.index)
        what = f"var[{found[1]!r}] and var[{found[2]!r}]"
    else:
        names = var["interval"] if "interval" in var else var.index.to_series()
        table = names.astype(str).str.extract(_PLACE)
        what = "var['interval']" if "interval" in var else "var_names"
    start, end = (pd.to_numeric(table[i].astype(object), errors="coerce") for i in (1, 2))
    good = (start >= 0) & (end > start) & (start % 1 == 0) & (end % 1 == 0) & table[0].notna()
    if not good.all():
        msg = (
            f"{where}: {what} must give chromosome, start and end (chr1:1000-2000, or columns chrom, start, end), with "
            f"0 <= start < end, but {int((~good).sum())} of {len(var)} features do not, such as "
            f"{some(var.index[~good])}."
        )
        raise ValueError(msg)
    return table[0].astype(str).astype("category"), start.to_numpy(np.int64), end.to_numpy(np.int64)


# --- expression -------------------------------------------------------------------------------------------------------


def _express(bulk: AnnData, genes: pd.DataFrame, groups: list[str]) -> np.ndarray:
    """Log-expression of all genes in all groups, shape ``(n_groups * n_genes,)``; NaN where it is not known."""
    feature, gene = _match(bulk.var, genes)
    pairs = sparse.csr_matrix((np.ones(len(gene)), (feature, gene)), shape=(bulk.n_vars, len(genes)))
    row = bulk.obs_names.get_indexer(groups)
    if not (row >= 0).any():
        msg = f"expression has the groups {some(bulk.obs_names)}, but the assays have {some(groups)}."
        raise ValueError(msg)
    if lost := [name for name in bulk.obs_names if name not in groups]:
        logger.warning("Only expression has the groups %s: they are left out.", some(lost))
    if lacking := [name for name, i in zip(groups, row, strict=True) if i < 0]:
        logger.warning("expression was not measured in %s: NaN there, and no label.", some(lacking))
    values = np.full((len(groups), len(genes)), np.nan)
    summed = sparse.csr_matrix(bulk.X) @ pairs
    values[row >= 0] = np.log2(summed.toarray()[row[row >= 0]] + 1)
    absent = np.setdiff1d(np.arange(len(genes)), gene)
    values[:, absent] = np.nan
    if len(absent):
        logger.warning("expression lacks %d genes, NaN there: %s.", len(absent), some(genes.index[absent]))
    return values.ravel()


def _match(var: pd.DataFrame, genes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a feature and its gene: by the names that most genes are found by."""
    import pandas as pd

    given = [pd.Index(names.astype(str)) for names in (var.index, *(var[name] for name in _GENE_ID if name in var))]
    ids = genes.index.astype(str).str.split(".").str[0]
    ways = [(ids, names.str.split(".").str[0]) for names in given]  # without versions
    if GENE_NAME in genes:
        ways += [(pd.Index(genes[GENE_NAME].astype(str)), names) for names in given]
    score, best = max((int(wanted.isin(found).sum()), -i) for i, (wanted, found) in enumerate(ways))
    if score == 0:
        msg = f"No gene of genes ({some(genes.index)}) is in expression ({some(var.index)}): do they name genes alike?"
        raise ValueError(msg)
    wanted, found = ways[-best]
    features = pd.DataFrame({"key": found.to_numpy(), "feature": np.arange(len(found))})
    pairs = features.merge(pd.DataFrame({"key": wanted.to_numpy(), "gene": np.arange(len(wanted))}), on="key")
    return pairs["feature"].to_numpy(), pairs["gene"].to_numpy()

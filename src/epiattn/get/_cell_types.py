"""Results as cell types x genes, for scanpy's plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._by_gene import by_gene
from epiattn._results import result_of, run_of
from epiattn._signal_features import signal_features
from epiattn._validation import as_mudata, check_choice

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

SCORE, PREDICTION, ATTRIBUTION = "score", "prediction", "attribution"


def cell_types(
    mdata: MuData,
    *,
    what: str | None = None,
    groupby: str = k.CELL_TYPE,
    genes: list[str] | None = None,
    key: str | None = "attn",
) -> AnnData:
    """Arrange data and results as an AnnData of cell types x genes, which scanpy's plots can draw.

    Parameters
    ----------
    mdata
        The object; what is not there (attributions, expression) has no layer.
    what
        The layer that is put into ``X`` too: ``"expression"``, ``"score"``, ``"attribution"``, a mark, …; ``None``:
        expression, or the score, or the first layer there is.
    groupby
        Column of ``obs``; where a gene has several observations in a group, their mean is taken.
    genes
        Names or ids of the genes, in their order; ``None``: all.
    key
        ``key_added`` of the run; ``None``: none.

    Returns
    -------
    An AnnData with a row for each cell type, which is also in ``obs[groupby]``, and a column for each gene, by its name
    where that is unique, else by its id (``var`` has ``gene_id`` and ``gene_name``). NaN: not measured. Layers:

    ``expression``
        ``mdata["rna"]``
    ``score``, ``prediction``
        of the model; of ``prediction``, the share that is ``high``
    each mark, ``methylation``, ``n_cpg``, ``tf``
        mean signal of the window, mean beta, number of CpGs, share of the TFs that have evidence
    ``attribution``, ``attribution_<feature>``
        what all features, or a mark (methylation, TFs), add to the model's output (:func:`epiattn.tl.attribute`)

    Raises
    ------
    ValueError
        If there is no such run, column, layer or gene.

    Examples
    --------
    >>> import epiattn as attn
    >>> import scanpy as sc
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=3)
    >>> adata = attn.get.cell_types(mdata, what="H3K27ac", key=None)
    >>> adata.shape
    (3, 100)
    >>> axes = sc.pl.matrixplot(adata, list(adata.var_names[:8]), groupby="cell_type", show=False)
    """
    import pandas as pd
    from anndata import AnnData

    mdata = as_mudata(mdata, copy=bool(getattr(mdata, "is_view", False)))
    place = by_gene(mdata, groupby)
    layers = {name: place.mean(values) for name, values in _values(mdata, key).items()}
    if what is None:
        what = next(name for name in (k.EXPRESSION, SCORE, *layers) if name in layers)
    check_choice("what", what, list(layers))
    var = place.genes.reset_index()
    repeated = var[k.GENE_NAME].duplicated(keep=False)
    names = np.where(repeated, var[k.GENE_ID], var[k.GENE_NAME]).astype(str)
    var.index = pd.Index(names.astype(object))
    obs = pd.DataFrame({groupby: pd.Categorical(place.groups, categories=place.groups)}, index=place.groups)
    adata = AnnData(layers[what].copy(), obs=obs, var=var, layers=layers)
    names, colors = pd.Categorical(mdata.obs[groupby]).categories, mdata.uns.get(f"{groupby}_colors", ())
    if len(colors) == len(names):  # one for each category, also for those without an observation
        by_name = dict(zip(map(str, names), map(str, colors), strict=True))
        adata.uns[f"{groupby}_colors"] = [by_name[name] for name in place.groups]
    return adata if genes is None else adata[:, _columns_of(var, genes)].copy()


def _values(mdata: MuData, key: str | None) -> dict[str, np.ndarray]:
    """Of each observation, shape ``(n_obs,)``, by the name of the layer."""
    signal = signal_features(mdata)
    found: dict[str, np.ndarray] = {str(name): signal[name].to_numpy() for name in signal}
    if key is None:
        return found
    run_of(mdata, key)
    found[SCORE] = mdata.obs[k.score(key)].to_numpy(dtype=float)
    if k.prediction(key) in mdata.obs:
        predicted = mdata.obs[k.prediction(key)]
        found[PREDICTION] = np.where(predicted.isna(), np.nan, (predicted.astype(str) == k.HIGH).astype(float))
    if k.attribution(key) in mdata.obsm:
        result_of(mdata, k.attribution(key), "attribute")
        table: pd.DataFrame = mdata.obsm[k.attribution(key)]
        found[ATTRIBUTION] = table.to_numpy(dtype=float).sum(1)
        found |= {f"{ATTRIBUTION}_{name}": table[name].to_numpy(dtype=float) for name in table}
    return found


def _columns_of(var: pd.DataFrame, genes: list[str]) -> list[int]:
    """Numbers of the genes, by name in ``var``, or by id."""
    by_name = {str(name): i for names in (var[k.GENE_ID], var.index) for i, name in enumerate(names)}
    if unknown := [gene for gene in genes if gene not in by_name]:
        msg = f"Unknown genes {unknown[:5]}: not in obs['gene_id'], nor a unique name in obs['gene_name']."
        raise ValueError(msg)
    return [by_name[gene] for gene in genes]

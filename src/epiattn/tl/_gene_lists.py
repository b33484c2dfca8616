"""Lists of genes to ask about: of a result, of groups of observations, or of the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from epiattn import _keys as k
from epiattn._columns import compared_groups
from epiattn._results import record_of, result_of

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


class GeneList(NamedTuple):
    """Ids of genes, and of those that could have been in the list."""

    genes: list[str]
    background: list[str]


def lists_of_result(mdata: MuData, of: str, *, fdr: float, n_top: int | None) -> dict[str, GeneList]:
    """Genes that a tool found, by cell type (specific genes), or by group, feature and direction (differential ones).

    Raises
    ------
    ValueError
        If there is no such result, or it has no adjusted p-values and ``n_top`` is not given.
    """
    tool = record_of(mdata, of).get("tool")
    table = result_of(mdata, of, "differential_regulation" if tool == "differential_regulation" else "specific_genes")
    genes: pd.DataFrame = table["genes"]
    if n_top is None and not genes["pvals_adj"].notna().any():
        msg = f"uns[{of!r}] has no adjusted p-values to choose genes by: take the best with n_top=."
        raise ValueError(msg)
    if tool == "differential_regulation":
        rises = (genes["effect"] > 0).map({True: "up", False: "down"})
        names = genes["group"].astype(str) + ": " + genes["feature"].astype(str) + " " + rises
    else:
        names = genes["group"].astype(str)
    background = {
        str(group): list(dict.fromkeys(rows[k.GENE_ID].astype(str)))
        for group, rows in genes.groupby(genes["group"].astype(str), sort=False)
    }
    found = {}
    for name, rows in genes.groupby(names, sort=False):
        chosen = rows[(rows["pvals_adj"] <= fdr).to_numpy()] if n_top is None else rows.iloc[:n_top]
        found[str(name)] = GeneList(list(chosen[k.GENE_ID].astype(str)), background[str(rows["group"].iloc[0])])
    return found


def lists_of_groups(mdata: MuData, groupby: str) -> dict[str, GeneList]:
    """Genes that have an observation in each group of a column of ``obs``.

    Raises
    ------
    ValueError
        If there is no such column, or it holds one group only.
    """
    groups, codes = compared_groups(mdata, groupby)
    ids = mdata.obs[k.GENE_ID].astype(str)
    background = list(dict.fromkeys(ids[codes >= 0]))
    found = {name: GeneList(list(dict.fromkeys(ids[codes == i])), background) for i, name in enumerate(groups)}
    if len(found) < 2:
        msg = f"obs[{groupby!r}] holds {list(found)} only: its genes are all there are."
        raise ValueError(msg)
    return found


def lists_of_user(mdata: MuData, genes: Mapping[str, Iterable[str]] | Iterable[str]) -> dict[str, GeneList]:
    """Genes by id or name; those of the object are the background.

    Raises
    ------
    ValueError
        If a gene is not in the object.
    """
    lists = genes if isinstance(genes, Mapping) else {"genes": [genes] if isinstance(genes, str) else genes}
    ids = mdata.obs[k.GENE_ID].astype(str)
    by_name: dict[str, list[str]] = {}
    if k.GENE_NAME in mdata.obs:
        for name, gene in zip(mdata.obs[k.GENE_NAME].astype(str), ids, strict=True):
            by_name.setdefault(name, []).append(gene)
    by_name |= {gene: [gene] for gene in ids}
    background = list(dict.fromkeys(ids))
    found = {}
    for label, asked in lists.items():
        asked = [str(gene) for gene in asked]
        if unknown := [gene for gene in asked if gene not in by_name]:
            msg = f"Unknown genes {unknown[:5]}: not in obs['gene_id'] or obs['gene_name']."
            raise ValueError(msg)
        found[str(label)] = GeneList(list(dict.fromkeys(i for gene in asked for i in by_name[gene])), background)
    return found

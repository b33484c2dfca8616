"""Observations arranged as groups x genes: what is said of a gene in each cell type, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import _keys as k
from ._columns import compared_groups

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData


class ByGene(NamedTuple):
    """Where each observation belongs in a table of groups x genes."""

    groups: list[str]
    genes: pd.DataFrame
    """Index: ids; ``gene_name`` (the id where there is no name), and those of ``chrom``, ``tss`` and ``strand``."""
    group: np.ndarray
    """Number of each observation's group, -1 where it has none, shape ``(n_obs,)``."""
    gene: np.ndarray
    """Number of each observation's gene, shape ``(n_obs,)``."""

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean over the observations of a gene in a group; NaN where there is none.

        Parameters
        ----------
        values
            Shape ``(n_obs,)``, or ``(n_obs, n_features)``; NaN is left out.

        Returns
        -------
        Shape ``(n_groups, n_genes)``, or ``(n_groups, n_genes, n_features)``.
        """
        values = np.asarray(values, dtype=float)
        shape = (len(self.groups), len(self.genes), *values.shape[1:])
        total, count = np.zeros(shape), np.zeros(shape)
        rows = np.flatnonzero(self.group >= 0)
        known, cell = np.isfinite(values[rows]), (self.group[rows], self.gene[rows])
        np.add.at(total, cell, np.where(known, values[rows], 0))
        np.add.at(count, cell, known)
        return np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)


def by_gene(mdata: MuData, groupby: str) -> ByGene:
    """Arrange observations by a column of ``obs`` and by gene.

    Raises
    ------
    ValueError
        If the column or the gene is missing, or no observation has a group.
    """
    import pandas as pd

    groups, group = compared_groups(mdata, groupby)
    if k.GENE_ID not in mdata.obs:
        msg = "obs['gene_id'] is missing: which gene each observation is about."
        raise ValueError(msg)
    gene, ids = pd.factorize(mdata.obs[k.GENE_ID].astype(str))
    first = mdata.obs.iloc[np.unique(gene, return_index=True)[1]]
    about = {column: first[column].to_numpy() for column in (k.CHROM, k.TSS, k.STRAND) if column in first}
    names = np.asarray(ids, dtype=object)
    if k.GENE_NAME in first:
        names = first[k.GENE_NAME].astype(object).where(first[k.GENE_NAME].notna(), names).to_numpy(dtype=object)
    genes = pd.DataFrame({k.GENE_NAME: names, **about}, index=pd.Index(np.asarray(ids, dtype=object), name=k.GENE_ID))
    return ByGene(groups, genes, group, gene)

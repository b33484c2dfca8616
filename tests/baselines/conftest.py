"""Small objects whose answers are known."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import epiattn as attn
from epiattn._registry import baselines


@pytest.fixture(scope="session")
def _four_types():
    mdata = attn.datasets.simulate(n_genes=120, cell_types=4, n_bins=8, max_cpgs=8, n_tfs=12, seed=5)
    return attn.pp.split(mdata, by="cell_type", test=("cell_type_3",), validation=("cell_type_2",))


@pytest.fixture
def four_types(_four_types):
    """Genes of two cell types to learn from, and of two held-out ones: every baseline can run."""
    return _four_types.copy()


@pytest.fixture(params=list(baselines))
def baseline(request):
    return baselines[request.param].load()


@pytest.fixture
def make():
    """Make an object of observations (gene, cell type, part, expression, total of H3K4me3, total of H3K27me3)."""

    def build(rows):
        columns = ["gene_id", "cell_type", "split", "expression", "H3K4me3", "H3K27me3"]
        table = pd.DataFrame(rows, columns=columns)
        table.index = [
            f"{gene}@{cell_type}" for gene, cell_type in zip(table["gene_id"], table["cell_type"], strict=True)
        ]
        halves = {mark: np.repeat(table[[mark]].to_numpy(float) / 2, 2, axis=1) for mark in columns[-2:]}
        mdata = MuData(
            {
                "histone": ad.AnnData(obs=table[[]], layers=halves),
                "rna": ad.AnnData(
                    table[["expression"]].to_numpy(float), obs=table[[]], var=pd.DataFrame(index=["rna"])
                ),
            }
        )
        mdata.obs = table[["gene_id", "cell_type", "split"]].copy()
        high = table["expression"] > 5
        mdata.obs["label"] = np.where(high, "high", "low").astype(object)
        return mdata

    return build

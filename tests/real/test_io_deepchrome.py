"""Real counts in the published layout: what is written comes back, and genes of either strand run 5' to 3'."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from epiattn.io import read_deepchrome
from epiattn.io._gene_bins import MARKS


@pytest.fixture
def counts(read_real):
    """600 genes of H1; bins along the genome, as they were published."""
    mdata = read_real("h1_k562_counts")
    return mdata[(mdata.obs["cell_type"] == "H1").to_numpy()].copy()


@pytest.fixture
def path(counts, tmp_path):
    layers = [np.asarray(counts["histone"].layers[mark]) for mark in MARKS]
    n_genes, n_bins = layers[0].shape
    table = pd.DataFrame({mark: layer.ravel() for mark, layer in zip(MARKS, layers, strict=True)}).astype(int)
    names = [f"{gene}_{i + 1}" for gene in counts.obs["gene_id"] for i in range(n_bins)]
    table.insert(0, "gene", names)
    table["label"] = np.repeat((counts.obs["label"] == "high").to_numpy(int), n_bins)
    (tmp_path / "H1").mkdir()
    table.to_csv(tmp_path / "H1" / "train.csv", header=False, index=False)
    return tmp_path


def test_what_is_written_comes_back(counts, path):
    mdata = read_deepchrome(path)
    assert mdata.obs_names.tolist() == counts.obs_names.tolist()
    assert mdata.obs["label"].astype(str).tolist() == counts.obs["label"].astype(str).tolist()
    for mark in MARKS:
        np.testing.assert_array_equal(mdata["histone"].layers[mark], counts["histone"].layers[mark])


@pytest.mark.parametrize("strand", ["+", "-"])
def test_genes_turn_the_minus_strand(counts, path, strand):
    """H3K36me3 lies over the body of active genes, which is behind the TSS."""
    genes = counts.obs.set_index("gene_id")[["gene_name", "chrom", "tss", "strand"]]
    mdata = read_deepchrome(path, genes=genes)
    active = ((mdata.obs["strand"] == strand) & (mdata.obs["label"] == "high")).to_numpy()
    profile = mdata["histone"].layers["H3K36me3"][active].mean(0)
    behind = (mdata["histone"].var["start"] >= 0).to_numpy()
    assert profile[behind].mean() > 1.5 * profile[~behind].mean()

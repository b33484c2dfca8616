"""Files of methylation as real tools write them."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from epiattn.io._bedmethyl import read_bedmethyl
from epiattn.io._methylation import cpg_lists, read_methylation

from .conftest import SHARED

FILES = {
    "bismark": "IMR90-chr22-hg18.bismark.cov.gz",
    "modkit": "HG002-chr21-chr22.modkit.bedmethyl.gz",
    "modbam2bed": "modbam2bed-chr10-chr11.bedmethyl.gz",
}


def find(tool):
    path = SHARED / "tracks" / FILES[tool]
    if not path.exists():
        pytest.skip(f"the real data {path.name} is not at {SHARED} (set EPIATTN_SHARED)")
    return path


def make_genes(table, n, *, seed=0):
    """Genes whose TSS lie among the CpGs of a file."""
    rng = np.random.default_rng(seed)
    near = table.iloc[rng.choice(len(table), n)]
    return pd.DataFrame(
        {
            "chrom": near["chrom"].astype(str).to_numpy(),
            "tss": near["position"].to_numpy() + rng.integers(-500, 500, n),
            "strand": rng.choice(["+", "-"], n),
        },
        index=[f"gene_{i}" for i in range(n)],
    )


def read_raw(tool):
    """``chrom``, ``position``, ``methylated`` and ``coverage``, by columns of counts that the readers do not use."""
    raw = pd.read_csv(find(tool), sep="\t", header=None)
    methylated, unmethylated = {"bismark": (4, 5), "modkit": (11, 12), "modbam2bed": (12, 11)}[tool]
    position = raw[1] - 1 if tool == "bismark" else raw[1]
    return pd.DataFrame(
        {
            "chrom": raw[0],
            "position": position,
            "methylated": raw[methylated],
            "coverage": raw[methylated] + raw[unmethylated],
        }
    )


@pytest.mark.parametrize("tool", FILES)
def test_the_lists_of_every_gene_hold_what_the_file_says(tool):
    raw = read_raw(tool)
    genes, window = make_genes(raw, 60), 2_000
    adata = read_methylation(find(tool), genes, window=window, merge_strands=False)
    assert adata.obs["n_cpg"].max() == adata.n_vars > 10
    for i, gene in enumerate(genes.itertuples()):
        cpgs = raw[(raw["chrom"] == gene.chrom) & raw["position"].between(gene.tss - window, gene.tss + window - 1)]
        cpgs = cpgs[cpgs["coverage"] > 0]
        if gene.strand == "-":
            cpgs = cpgs[::-1]
        n = len(cpgs)
        assert adata.obs["n_cpg"].iloc[i] == n
        sign = 1 if gene.strand == "+" else -1
        layers = {name: layer[i, :n] for name, layer in adata.layers.items()}
        np.testing.assert_allclose(layers["position"], sign * (cpgs["position"] - gene.tss) / window, atol=1e-6)
        # Tools round percentages to two decimals.
        np.testing.assert_allclose(layers["beta"], cpgs["methylated"] / cpgs["coverage"], atol=6e-5)
        np.testing.assert_array_equal(layers["coverage"], cpgs["coverage"])


def test_a_chromosome_of_wgbs_becomes_lists_within_two_seconds():
    genes = make_genes(read_raw("bismark"), 500, seed=1)
    start = time.perf_counter()
    lists = cpg_lists(find("bismark"), "bismark", genes, window=2_000, max_cpgs=436, min_coverage=1, merge_strands=True)
    assert time.perf_counter() - start < 2
    assert (lists.n_cpg > 0).all()
    assert ((lists.beta >= 0) & (lists.beta <= 1)).all()
    assert (np.abs(lists.position) <= 1).all()


def test_neighbouring_bases_of_wgbs_are_merged_without_loss_of_reads():
    raw = read_raw("bismark")
    assert (np.diff(raw["position"]) == 1).any()
    genes = pd.DataFrame({"chrom": "chr22", "tss": [32_000_000], "strand": "+"}, index=["all"])
    options = {"window": 32_000_000, "max_cpgs": 10**6, "min_coverage": 1}
    merged, apart = (cpg_lists(find("bismark"), "bismark", genes, **options, merge_strands=m) for m in (True, False))
    assert apart.n_cpg.tolist() == [len(raw)]
    assert len(raw) - (np.diff(raw["position"]) == 1).sum() <= merged.n_cpg[0] < len(raw)
    assert merged.coverage.sum() == apart.coverage.sum() == raw["coverage"].sum()
    np.testing.assert_allclose((merged.beta * merged.coverage).sum(), raw["methylated"].sum(), rtol=1e-5)


@pytest.mark.parametrize("tool", ["modkit", "modbam2bed"])
def test_every_line_of_bedmethyl_is_read(tool):
    table, raw = pd.concat(read_bedmethyl(find(tool))), read_raw(tool)
    assert len(table) == len(raw) == 1_000
    assert (table["chrom"].astype(str).to_numpy() == raw["chrom"].to_numpy()).all()
    np.testing.assert_array_equal(table["coverage"], raw["coverage"])
    assert set(table["strand"]) == {"."}

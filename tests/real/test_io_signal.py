"""Real tracks: equal to exact means base by base, and to the layers that were made of the same peaks elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pybigtools
import pytest

from epiattn.io._signal import bin_signal, read_signal

SHARED = Path(os.environ.get("EPIATTN_SHARED", Path(__file__).parents[3] / "shared" / "data"))
MARKS = ["H3K4me1", "H3K4me3", "H3K9me3", "H3K27me3", "H3K36me3", "H3K27ac", "H3K9ac"]
SIZES = (100, 500, 2_000)
WINDOW = 20_000


def track(name: str) -> Path:
    path = SHARED / "tracks" / name
    if not path.exists():
        pytest.skip(f"the real track {name} is not at {SHARED / 'tracks'} (set EPIATTN_SHARED)")
    return path


def exact_means(path: Path, genes: pd.DataFrame, window: int) -> dict[tuple[int, bool], np.ndarray]:
    """Averages in float64 of the value of each base, by bin size and whether uncovered bases count as 0."""
    file = pybigtools.open(str(path))
    bases = np.array(
        [file.values(gene.chrom, gene.tss - window, gene.tss + window, fillna=None) for gene in genes.itertuples()]
    )
    minus = (genes["strand"] == "-").to_numpy()
    bases[minus] = bases[minus, ::-1]
    result = {}
    for size in SIZES:
        each = bases.reshape(len(genes), -1, size)
        covered = (~np.isnan(each)).sum(2)
        total = np.nansum(each, axis=2)
        result[size, True] = total / size
        result[size, False] = np.divide(total, covered, out=np.full(total.shape, np.nan), where=covered > 0)
    return result


@pytest.mark.parametrize("mark", MARKS)
def test_bigwigs_agree_with_the_mean_of_their_bases(mark):
    genes = pd.read_csv(track("E003-genes.tsv"), sep="\t", index_col=0)
    assert set(genes["strand"]) == {"+", "-"}
    path = track(f"E003-{mark}.bw")
    expected = exact_means(path, genes, WINDOW)
    for zero in (True, False):
        bins = bin_signal(path, "bigwig", genes, window=WINDOW, bin_sizes=SIZES, uncovered=0.0 if zero else np.nan)
        for size in SIZES:
            assert bins[size].shape == (len(genes), 2 * WINDOW // size)
            np.testing.assert_array_equal(bins[size], expected[size, zero].astype(np.float32))
            assert (bins[size] > 0).mean() > 0.1


def test_a_dense_bigwig_agrees_with_the_mean_of_its_bases():
    path = track("GM12878_hg38_H3K27me3.chr21.bw")
    rng = np.random.default_rng(0)
    genes = pd.DataFrame(
        {"chrom": "21", "tss": rng.integers(5_000_000, 46_709_983, 300), "strand": rng.choice(["+", "-"], 300)},
        index=[f"g{i}" for i in range(300)],
    )
    bins = bin_signal(path, "bigwig", genes, window=2_000, bin_sizes=(100,))[100]
    file = pybigtools.open(str(path))
    for row, gene in zip(bins, genes.itertuples(), strict=True):
        bases = file.values("chr21", gene.tss - 2_000, gene.tss + 2_000, fillna=None, oob=0.0)
        expected = np.nan_to_num(bases).reshape(40, 100).mean(1)
        np.testing.assert_allclose(row, expected[:: 1 if gene.strand == "+" else -1], rtol=1e-6, atol=1e-12)


def test_peaks_reproduce_the_layers_made_of_them_elsewhere(read_real):
    histone = read_real("h1_hg38")["histone"]
    genes = pd.read_csv(track("h1_hg38/genes.tsv"), sep="\t", index_col=0)
    marks = [name for name in histone.layers if name is not None]
    files = {mark: track(f"h1_hg38/H1-{mark}.narrowPeak.gz") for mark in marks}
    adata = read_signal(files, genes, window=2_000, bin_size=100)
    np.testing.assert_array_equal(adata.obs_names, histone.obs_names.str.removesuffix("@H1"))
    np.testing.assert_array_equal(adata.var[["start", "end"]], histone.var[["start", "end"]])
    assert len(marks) == 7
    for mark in marks:
        np.testing.assert_array_equal(adata.layers[mark], histone.layers[mark])


def test_another_genome_build_is_noticed():
    """TSSs of hg19 lie beyond the end of chr21 of hg38, which is shorter."""
    genes = pd.DataFrame({"chrom": "chr21", "tss": [46_000_000, 48_000_000], "strand": "+"}, index=["A", "B"])
    with pytest.raises(ValueError, match=r"TSS of 1 of 2 genes .*'B'; chr21 has 46,709,983 bp there"):
        bin_signal(track("GM12878_hg38_H3K27me3.chr21.bw"), "bigwig", genes, window=2_000, bin_sizes=(100,))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7, 0.95, 0.999])
def test_a_bigwig_that_is_cut_off_is_noticed(tmp_path, share):
    whole = track("E003-H3K4me3.bw").read_bytes()
    path = tmp_path / "cut.bw"
    path.write_bytes(whole[: int(share * len(whole))])
    genes = pd.read_csv(track("E003-genes.tsv"), sep="\t", index_col=0)
    with pytest.raises(ValueError, match=r"cut\.bw: the bigWig is cut off"):
        bin_signal(path, "bigwig", genes, window=2_000, bin_sizes=(100,))

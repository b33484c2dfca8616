"""The leakage report."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mudata import MuData
from scipy import sparse

import epiattn as attn
from epiattn.pp._leakage import nearest


def make(rows, *, window=1_000, signal=None):
    """An object of observations (gene, cell type, chromosome, TSS, part); the signal differs unless it is given."""
    obs = pd.DataFrame(rows, columns=["gene_id", "cell_type", "chrom", "tss", "split"])
    obs.index = [f"{gene}@{cell_type}" for gene, cell_type in zip(obs["gene_id"], obs["cell_type"], strict=True)]
    signal = np.arange(1.0, 2 * len(obs) + 1).reshape(-1, 2) if signal is None else np.asarray(signal, float)
    var = pd.DataFrame({"start": [-window, 0], "end": [0, window]}, index=["a", "b"])
    adata = ad.AnnData(obs=obs[[]], var=var, layers={"H3K4me3": signal})
    mdata = MuData({"histone": adata})
    mdata.obs = obs
    return mdata


def counts(report, part="test", cell_types="all"):
    """``{leak: (n, of)}`` of a part."""
    rows = report[(report["part"] == part) & (report["cell_types"] == cell_types)]
    np.testing.assert_allclose(rows["share"], rows["n"] / rows["of"])
    return {leak: (n, of) for leak, n, of in zip(rows["leak"], rows["n"], rows["of"], strict=True)}


ROWS = [
    ("t1", "A", "chr1", 10_000, "train"),
    ("t2", "A", "chr1", 100_000, "train"),
    ("t3", "A", "chr2", 50_000, "train"),
    ("v1", "A", "chr1", 11_999, "validation"),  # its window [10999, 12999) shares 1 bp with [9000, 11000)
    ("v2", "A", "chr1", 8_000, "validation"),  # [7000, 9000) ends where the training window starts
    ("s1", "A", "chr1", 30_000, "test"),  # 20 kb from t1
    ("s2", "A", "chr1", 79_999, "test"),  # 20,001 bp from t2, far from t1
    ("s3", "A", "chr3", 10_000, "test"),  # nothing on this chromosome
    ("t1", "B", "chr1", 10_000, "test"),  # the gene is in training, in another cell type
]


def test_counts_on_paper():
    report = attn.pp.leakage(make(ROWS))
    assert list(report) == ["part", "cell_types", "leak", "n", "of", "share"]
    expected = {"overlap": (1, 2), "near": (2, 2), "same_gene": (0, 2), "identical": (0, 2), "cell_type": (2, 2)}
    assert counts(report, "validation") == expected
    expected = {"overlap": (1, 4), "near": (2, 4), "same_gene": (1, 4), "identical": (0, 4), "cell_type": (3, 4)}
    assert counts(report) == expected


def test_seen_and_unseen_cell_types_are_told_apart_where_a_part_has_both():
    report = attn.pp.leakage(make(ROWS))
    assert report.groupby("part")["cell_types"].unique().map(list).to_dict() == {
        "test": ["all", "seen", "unseen"],
        "validation": ["all"],
    }
    assert counts(report, cell_types="seen")["near"] == (1, 3)
    expected = {"overlap": (1, 1), "near": (1, 1), "same_gene": (1, 1), "identical": (0, 1), "cell_type": (0, 1)}
    assert counts(report, cell_types="unseen") == expected


def test_a_gene_counts_once_an_observation_each_time():
    rows = [("t", "A", "chr1", 10_000, "train"), *[("g", c, "chr1", 10_500, "test") for c in "ABC"]]
    found = counts(attn.pp.leakage(make(rows)))
    assert found["overlap"] == found["near"] == (1, 1)
    assert found["cell_type"] == (1, 3)


def test_the_window_is_that_of_the_widest_bins_or_as_given():
    mdata = make(ROWS)
    assert counts(attn.pp.leakage(mdata, window=10_000))["overlap"] == (1, 4)
    assert counts(attn.pp.leakage(mdata, window=10_001))["overlap"] == (3, 4)
    assert counts(attn.pp.leakage(mdata, window=500), "validation")["overlap"] == (0, 2)
    mdata.mod["histone_wide"] = make(ROWS, window=10_001)["histone"]
    assert counts(attn.pp.leakage(mdata))["overlap"] == (3, 4)


def test_identical_signal_is_that_of_all_marks_and_bins_and_not_empty():
    signal = [[1, 2], [0, 0], [3, 4], [1, 2], [0, 0], [1, 3], [3, 4], [0, 0], [2, 1]]
    mdata = make(ROWS, signal=signal)
    assert counts(attn.pp.leakage(mdata), "validation")["identical"] == (1, 2)
    assert counts(attn.pp.leakage(mdata))["identical"] == (1, 4)
    mdata["histone"].layers["H3K4me3"] = sparse.csc_matrix(signal)
    assert counts(attn.pp.leakage(mdata))["identical"] == (1, 4)
    mdata["histone"].layers["DNase"] = np.arange(18.0).reshape(9, 2)
    assert counts(attn.pp.leakage(mdata))["identical"] == (0, 4)


def naive(chrom, tss, train, window):
    """Overlap, and at most 20 kb, by comparing all with all."""
    overlap, near = np.zeros(len(tss), bool), np.zeros(len(tss), bool)
    for i in range(len(tss)):
        for j in np.flatnonzero(train):
            if chrom[i] == chrom[j]:
                overlap[i] |= max(tss[i], tss[j]) - window < min(tss[i], tss[j]) + window
                near[i] |= abs(tss[i] - tss[j]) <= 20_000
    return overlap, near


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200_000), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 30_000),
)
def test_distances_are_those_of_all_pairs(genes, window):
    chrom = np.array([f"chr{chrom}" for chrom, _, _ in genes], dtype=object)
    tss = np.array([tss for _, tss, _ in genes], float)
    train = np.array([train for *_, train in genes])
    distance = nearest(chrom, tss, train)
    overlap, near = naive(chrom, tss, train, window)
    np.testing.assert_array_equal(distance < 2 * window, overlap)
    np.testing.assert_array_equal(distance <= 20_000, near)


def test_the_report_is_that_of_all_pairs_on_simulated_genes(mdata):
    attn.pp.split(mdata, by="random")
    obs = mdata.obs
    parts = obs["split"].astype(str).to_numpy()
    overlap, near = naive(obs["chrom"].to_numpy(), obs["tss"].to_numpy(), parts == "train", 300_000)
    found = counts(attn.pp.leakage(mdata, window=300_000))
    test = parts == "test"
    assert 0 < found["overlap"][0] == obs["gene_id"][test & overlap].nunique() < found["overlap"][1]
    assert found["near"] == (obs["gene_id"][test & near].nunique(), obs["gene_id"][test].nunique())
    assert found["same_gene"][0] == 0


def test_missing_places_are_near_nothing():
    chrom = np.array(["chr1", None, "chr1", "chr1"], dtype=object)
    tss = np.array([5.0, 5.0, np.nan, 6.0])
    distance = nearest(chrom, tss, np.array([True, True, True, False]))
    assert distance.tolist() == [0, np.inf, np.inf, 1]
    assert np.isinf(nearest(chrom, np.full(4, np.nan), np.ones(4, bool))).all()


def test_what_the_object_does_not_hold_is_left_out():
    mdata = make(ROWS)
    del mdata.obs["tss"]
    assert set(counts(attn.pp.leakage(mdata))) == {"same_gene", "identical", "cell_type"}
    del mdata.obs["cell_type"]
    assert set(counts(attn.pp.leakage(mdata))) == {"same_gene", "identical"}
    mdata = make(ROWS)
    mdata.mod["tf"] = ad.AnnData(obs=mdata.obs[[]], layers={"binding": np.ones((9, 0))})
    del mdata.mod["histone"]
    assert set(counts(attn.pp.leakage(mdata, window=500))) == {"overlap", "near", "same_gene", "cell_type"}
    with pytest.raises(ValueError, match="width of the windows is not known"):
        attn.pp.leakage(mdata)


def test_the_object_stays_as_it_was_and_observations_without_a_part_do_not_count():
    mdata = make([*ROWS, ("x", "A", "chr1", 10_000, None)])
    before = mdata.obs.copy()
    assert counts(attn.pp.leakage(mdata)) == counts(attn.pp.leakage(make(ROWS)))
    pd.testing.assert_frame_equal(mdata.obs, before)


def test_splits_by_chromosome_share_nothing_and_held_out_cell_types_all_genes(mdata):
    by_chromosome = counts(attn.pp.leakage(attn.pp.split(mdata)))
    assert [by_chromosome[leak][0] for leak in ("overlap", "near", "same_gene", "identical")] == [0, 0, 0, 0]
    attn.pp.split(mdata, by="hybrid", key_added="hybrid")
    hybrid = counts(attn.pp.leakage(mdata, split_key="hybrid"))
    assert [n for n, _ in hybrid.values()] == [0, 0, 0, 0, 0]
    mdata.obs["held_out"] = np.where(mdata.obs["cell_type"] == "cell_type_0", "train", "test")
    found = counts(attn.pp.leakage(mdata, split_key="held_out"))
    assert found["same_gene"] == found["overlap"] == found["near"] == (200, 200)
    assert found["cell_type"] == (0, 200)


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    return caplog


def test_one_line_sums_it_up_where_information_is_asked_for(log):
    attn.pp.leakage(make(ROWS))
    assert not log.records
    attn.settings.verbosity = "info"
    attn.pp.leakage(make(ROWS))
    (record,) = log.records
    assert record.message == (
        "obs['split'], test against train: windows overlap 25.0%, within 20 kb 50.0%, same gene 25.0%, "
        "identical signal 0.0%, cell type seen 75.0%."
    )


def test_what_is_missing_is_named():
    mdata = make(ROWS)
    with pytest.raises(ValueError, match=r"obs\['fold'\] is missing"):
        attn.pp.leakage(mdata, split_key="fold")
    with pytest.raises(ValueError, match="window must be positive"):
        attn.pp.leakage(mdata, window=0)
    for parts in ("train", "test"):
        mdata.obs["split"] = parts
        with pytest.raises(ValueError, match="must hold 'train', and 'validation' or 'test'"):
            attn.pp.leakage(mdata)

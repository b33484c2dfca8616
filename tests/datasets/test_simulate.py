"""The simulator: the data model is kept, and the planted truth is true."""

from __future__ import annotations

import mudata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import epiattn as attn
from epiattn.datasets._programs import MARKS, NAMES

ACTIVE = ["promoter", "enhancer", "gene_body", "tf"]


@pytest.fixture(scope="module")
def planted():
    """Enough genes for statistics."""
    return attn.datasets.simulate(n_genes=1500, cell_types=3, seed=1)


def truth(mdata, name):
    return mdata.obs[f"truth_{name}"].to_numpy()


def rows(mdata, *programs):
    return np.isin(truth(mdata, "program").astype(str), programs)


# --- the data model --------------------------------------------------------------------------------------------------


def test_shapes_and_names_follow_the_data_model(simulated):
    assert list(simulated.mod) == ["histone", "methylation", "tf", "rna"]
    assert simulated["histone"].shape == (400, 40)
    assert simulated["histone"].var["start"].iloc[0] == -2000
    assert simulated["histone"].var["end"].iloc[-1] == 2000
    assert simulated.obs_names[0] == "gene_00000@cell_type_0"
    assert all(sparse.issparse(simulated["tf"].layers[name]) for name in ("binding", "expression", "mode"))
    assert {layer.format for layer in simulated["tf"].layers.values() if layer is not None} == {"csr"}
    assert (simulated.obs["label"] == "high").mean() == pytest.approx(0.5, abs=0.01)
    assert simulated.obs["chrom"].nunique() > 15
    assert set(simulated.obs["strand"]) == {"+", "-"}


def test_genes_have_the_same_place_in_all_cell_types_and_are_in_genome_order(planted):
    places = planted.obs.groupby("gene_id")[["chrom", "tss", "strand"]].nunique()
    assert (places == 1).all(axis=None)
    first = planted.obs.iloc[:1500]
    assert (first.groupby("chrom", sort=False)["tss"].diff().dropna() >= 0).all()


def test_truth_is_never_taken_for_a_mark(simulated):
    from epiattn._modalities import find_channels

    channels = find_channels(simulated)
    assert sorted(channels["histone"]) == sorted(MARKS)
    assert channels["methylation"] == ["beta", "position"]
    assert channels["tf"] == ["binding", "expression", "mode"]


def test_cpgs_are_left_aligned_ordered_and_partly_shared_between_cell_types(planted):
    adata = planted["methylation"]
    n_cpg, position = adata.obs["n_cpg"].to_numpy(), adata.layers["position"]
    assert 0.1 < (n_cpg == 0).mean() < 0.2
    assert (n_cpg > 30).any()
    assert ((n_cpg > 0) & (n_cpg < 8)).mean() > 0.15
    for row in range(0, planted.n_obs, 137):
        assert (np.diff(position[row, : n_cpg[row]]) >= 0).all()
        assert not adata.layers["beta"][row, n_cpg[row] :].any()
        assert not position[row, n_cpg[row] :].any()
    gene = int(np.argmax(n_cpg[:1500]))
    one, two = (set(position[row, : n_cpg[row]].tolist()) for row in (gene, gene + 1500))
    assert one != two
    assert len(one & two) > 0.6 * len(one)


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_the_object_survives_a_file(simulated, tmp_path, suffix):
    path = tmp_path / f"data.{suffix}"
    getattr(simulated, f"write_{suffix}")(path)
    read = getattr(mudata, f"read_{suffix}")(path)
    assert (read.obs["truth_program"].astype(str) == simulated.obs["truth_program"].astype(str)).all()
    before, after = (each["histone"].layers["truth_H3K4me3"] for each in (simulated, read))
    assert (before != after).nnz == 0
    assert list(read.uns["epiattn"]["simulated"]["cell_types"]) == ["cell_type_0", "cell_type_1"]


def test_the_same_seed_gives_the_same_data():
    one, two, other = (attn.datasets.simulate(30, 2, seed=seed) for seed in (5, 5, 6))
    for modality in ("histone", "methylation", "tf"):
        for name, layer in one[modality].layers.items():
            if name is not None:
                assert (abs(layer - two[modality].layers[name])).sum() == 0
    assert one.obs.equals(two.obs)
    assert not np.array_equal(one["rna"].X, other["rna"].X)


@given(
    n_genes=st.integers(2, 12),
    cell_types=st.integers(1, 4),
    n_bins=st.integers(1, 30),
    bin_size=st.integers(1, 600),
    max_cpgs=st.integers(1, 20),
    n_tfs=st.integers(1, 25),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=25, deadline=None)
def test_any_sizes_give_a_valid_object(n_genes, cell_types, n_bins, bin_size, max_cpgs, n_tfs, seed):
    from epiattn._modalities import find_channels
    from epiattn._validation import as_mudata, check_values

    mdata = attn.datasets.simulate(
        n_genes, cell_types, n_bins=n_bins, bin_size=bin_size, max_cpgs=max_cpgs, n_tfs=n_tfs, seed=seed
    )
    assert [mdata[name].shape[1] for name in ("histone", "methylation", "tf")] == [n_bins, max_cpgs, n_tfs]
    assert mdata.n_obs == n_genes * cell_types
    check_values(as_mudata(mdata), find_channels(mdata))


def test_resolutions_hold_the_same_reads():
    mdata = attn.datasets.simulate(40, 1, n_bins=20, bin_size=(100, 500), seed=2)
    fine, coarse = mdata["histone"].layers["H3K4me3"], mdata["histone_500bp"].layers["H3K4me3"]
    np.testing.assert_array_equal(fine.reshape(40, 4, 5).sum(2), coarse)
    assert mdata["histone_500bp"].var["start"].tolist() == [-1000, -500, 0, 500]
    causal = mdata["histone"].layers["truth_H3K4me3"].toarray().reshape(40, 4, 5)
    np.testing.assert_array_equal(np.sign(causal.sum(2)), mdata["histone_500bp"].layers["truth_H3K4me3"].toarray())


def test_resolutions_may_have_windows_of_their_own():
    mdata = attn.datasets.simulate(10, 1, n_bins=(40, 40), bin_size=(100, 500), seed=2)
    assert mdata["histone_500bp"].var["start"].iloc[0] == -10_000
    middle = mdata["histone_500bp"].layers["DNase"][:, 16:24].sum(1)
    np.testing.assert_array_equal(mdata["histone"].layers["DNase"].sum(1), middle)


def test_unknown_marks_are_background_without_any_cause():
    mdata = attn.datasets.simulate(400, 1, marks=["H3K4me3", "H2A.Z"], seed=3)
    high = (mdata.obs["label"] == "high").to_numpy()
    total = mdata["histone"].layers["H2A.Z"].sum(1)
    assert mdata["histone"].layers["truth_H2A.Z"].nnz == 0
    assert attn.metrics.roc_auc(high.astype(float), total) == pytest.approx(0.5, abs=0.08)


def test_eighteen_cell_types_of_the_size_of_the_paper_are_one_call():
    mdata = attn.datasets.simulate(30, 18, max_cpgs=436, n_tfs=1016)
    assert mdata.n_obs == 540
    assert mdata.obs["cell_type"].nunique() == 18


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_genes": 0}, "must be positive.*n_genes"),
        ({"cell_types": 0}, "must be positive.*cell_types"),
        ({"n_tfs": 0}, "must be positive.*n_tfs"),
        ({"marks": []}, "must be positive.*marks"),
        ({"marks": ["H3K4me3", "H3K4me3"]}, r"marks repeats \['H3K4me3'\]"),
        ({"cell_types": ["liver", "liver"]}, "cell_types repeats"),
        ({"n_bins": 0}, "n_bins=0"),
        ({"bin_size": (100, 150)}, "do not nest"),
        ({"bin_size": (100, 100)}, "do not nest"),
        ({"n_bins": (40, 40, 40), "bin_size": (100, 500)}, "one positive number of bins for each"),
        ({"switch": 1.5}, "switch must be between 0 and 1"),
        ({"noise": 0}, "noise must be positive"),
    ],
)
def test_nonsense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        attn.datasets.simulate(**arguments)


# --- the truth -------------------------------------------------------------------------------------------------------


def test_all_programs_occur_and_their_genes_are_expressed_or_not(planted):
    shares = planted.obs["truth_program"].value_counts(normalize=True)
    assert set(shares.index) == set(NAMES)
    assert shares.min() > 0.04
    high = (planted.obs["label"] == "high").groupby(planted.obs["truth_program"], observed=True).mean()
    assert (high[ACTIVE] > 0.75).all()
    assert (high.drop(ACTIVE) < 0.25).all()


def test_the_probability_is_that_of_the_label_and_the_best_score():
    quiet, loud = (attn.datasets.simulate(4000, 1, noise=noise, seed=4) for noise in (0.4, 3.0))
    auc = {}
    for name, mdata in (("quiet", quiet), ("loud", loud)):
        high, probability = (mdata.obs["label"] == "high").to_numpy().astype(float), truth(mdata, "probability")
        auc[name] = attn.metrics.roc_auc(high, probability)
        for lower in np.arange(0, 1, 0.2):  # calibrated
            here = (probability >= lower) & (probability < lower + 0.2)
            if here.sum() > 200:
                assert high[here].mean() == pytest.approx(probability[here].mean(), abs=0.06)
    assert auc["quiet"] > 0.97
    assert auc["loud"] < 0.85


def test_the_best_score_of_the_default_is_within_bounds_and_marks_alone_do_not_reach_it(planted):
    from sklearn.linear_model import LogisticRegression

    high = (planted.obs["label"] == "high").to_numpy().astype(float)
    oracle = attn.metrics.roc_auc(high, truth(planted, "probability"))
    layers = planted["histone"].layers
    totals = np.log1p(np.stack([layers[mark].sum(1) for mark in MARKS], axis=1))
    logistic = attn.metrics.roc_auc(high, LogisticRegression().fit(totals, high).decision_function(totals))
    assert 0.90 < oracle < 0.97
    assert logistic < oracle - 0.04


def test_genes_share_most_programs_between_cell_types(planted):
    program = truth(planted, "program").astype(str).reshape(3, 1500)
    same = (program[0] == program[1]).mean()
    assert 0.5 < same < 0.8  # 0.8 ** 2, and the same by chance; TFs differ more
    switched, specific = (truth(planted, name).reshape(3, 1500) for name in ("switched", "specific"))
    constant = (program == program[0]).all(0)
    assert not switched[:, constant].any()
    assert switched[:, ~constant].any(0).all()
    assert not switched.all(0).any()
    active = np.isin(program, ACTIVE)
    assert active[specific].mean() > 0.9
    assert (specific.sum(0) <= 1).all()
    np.testing.assert_allclose(truth(planted, "difference").reshape(3, 1500).sum(0), 0, atol=1e-9)


def test_causal_bins_hold_the_signal_of_their_program(planted):
    layers = planted["histone"].layers
    for mark, program, effect in [
        ("H3K4me3", "promoter", 1),
        ("H3K27ac", "enhancer", 1),
        ("H3K36me3", "gene_body", 1),
        ("H3K27me3", "polycomb", -1),
        ("H3K27me3", "bivalent", -1),
    ]:
        causal = layers[f"truth_{mark}"][rows(planted, program)].toarray()
        signal = layers[mark][rows(planted, program)]
        assert set(np.unique(causal)) == {0, effect}
        assert (causal != 0).any(1).all()
        if mark != "H3K27me3":  # broad: all bins of a Polycomb domain look alike
            assert signal[causal != 0].mean() > 2 * signal[causal == 0].mean()
    assert layers["truth_H3K4me3"][rows(planted, "bivalent")].nnz == 0  # it comes along
    assert layers["H3K4me3"][rows(planted, "bivalent")].mean() > 2 * layers["H3K4me3"][rows(planted, "polycomb")].mean()
    assert layers["truth_H3K9me3"].nnz == layers["truth_DNase"].nnz == 0


def test_the_places_of_causal_bins_are_those_of_the_program(planted):
    middle = planted["histone"].var[["start", "end"]].mean(axis=1).to_numpy()
    where = {
        name: middle[planted["histone"].layers[f"truth_{mark}"][rows(planted, name)].tocoo().col]
        for mark, name in (("H3K4me3", "promoter"), ("H3K27ac", "enhancer"), ("H3K36me3", "gene_body"))
    }
    assert abs(np.median(where["promoter"])) < 400
    assert -1400 < np.median(where["enhancer"]) < -800
    assert np.median(where["gene_body"]) > 900


def test_causal_cpgs_are_methylated_and_at_the_promoter(planted):
    adata = planted["methylation"]
    causal = adata.layers["truth_cpg"].toarray() != 0
    assert not causal[~rows(planted, "methylated")].any()
    assert set(adata.layers["truth_cpg"].data) == {-1}
    valid = np.arange(adata.n_vars) < adata.obs["n_cpg"].to_numpy()[:, None]
    assert not causal[~valid].any()
    assert np.abs(adata.layers["position"][causal]).max() <= 0.2
    near = valid & (np.abs(adata.layers["position"]) <= 0.2)
    assert adata.layers["beta"][causal].mean() > 0.6
    assert adata.layers["beta"][near & rows(planted, "promoter")[:, None]].mean() < 0.3


def test_causal_tfs_are_bound_expressed_and_decide_between_tf_and_quiescent(planted):
    adata = planted["tf"]
    causal = adata.layers["truth_tf"].toarray()
    assert not causal[~rows(planted, "tf")].any()
    assert (causal[rows(planted, "tf")] > 0).any(1).all()
    level, mode = adata.layers["expression"].toarray(), adata.layers["mode"].toarray()
    idle = (causal == 0) & (mode != 0) & rows(planted, "quiescent")[:, None]
    assert level[causal != 0].mean() > 3 * level[idle].mean()
    np.testing.assert_array_equal(np.sign(causal[causal != 0]), mode[causal != 0])
    drive = (adata.layers["binding"].toarray() * mode * (level > 1.2)).sum(1)
    assert drive[rows(planted, "tf")].mean() > 3
    assert drive[rows(planted, "quiescent")].mean() < 1.5


def test_reads_are_overdispersed_correlated_and_differ_in_depth():
    mdata = attn.datasets.simulate(3000, 6, marks=["input"], seed=5)
    counts = mdata["histone"].layers["input"].reshape(6, 3000, 40)
    assert np.array_equal(counts, counts.round())
    assert (counts.var(axis=(1, 2)) > 1.1 * counts.mean(axis=(1, 2))).all()
    depth = counts.mean(axis=(1, 2))
    assert depth.max() > 1.3 * depth.min()
    deep = counts[depth.argmax()]
    neighbours, far = (np.corrcoef(deep[:, 20], deep[:, 20 + step])[0, 1] for step in (1, 15))
    assert neighbours > far + 0.01


def test_a_switch_of_zero_leaves_no_differences_but_those_of_tfs():
    mdata = attn.datasets.simulate(300, 3, switch=0.0, seed=6)
    program = truth(mdata, "program").astype(str).reshape(3, 300)
    changed = (program != program[0]).any(0)
    assert np.isin(program[:, changed], ["tf", "quiescent"]).all()
    assert changed.any()

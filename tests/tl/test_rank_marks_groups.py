"""What marks each group, in scanpy's layout."""

from __future__ import annotations

import mudata
import numpy as np
import pytest
import scanpy as sc
from scipy.stats import mannwhitneyu

import epiattn as attn


@pytest.fixture(scope="module")
def ranked(explained_by_truth):
    regions = {"promoter": (-500, 500), "upstream": (-2000, -500)}
    return attn.tl.rank_marks_groups(explained_by_truth, groupby="truth_program", regions=regions, copy=True)


def test_programs_are_described_by_the_marks_that_were_planted(ranked):
    first = {}
    for group in ("promoter", "enhancer", "polycomb", "gene_body"):
        table = attn.get.rank_marks_groups(ranked, group=group)
        first[group] = table[table["feature"] != "expression"]["feature"].iloc[0]
        assert table["score"].is_monotonic_decreasing
    assert first["promoter"] in {"H3K4me3 promoter", "H3K27ac promoter"}
    assert first["enhancer"] in {"H3K4me1 upstream", "H3K27ac upstream"}
    assert first["polycomb"].startswith("H3K27me3 ")  # which is broad
    methylated = attn.get.rank_marks_groups(ranked, group="methylated").set_index("feature")
    assert methylated.loc["methylation promoter", "auc"] > 0.95
    assert methylated.loc["expression", "effect"] < 0


def test_numbers_are_those_of_a_loop(explained):
    mdata = attn.tl.rank_marks_groups(explained, groupby="label", scale_by=None)
    table = attn.get.rank_marks_groups(mdata, group="high").set_index("feature")
    high = (mdata.obs["label"] == "high").to_numpy()
    signal = mdata["histone"].layers["H3K4me3"].mean(1, dtype=float)
    value = np.log2(1 + signal / signal.mean())
    n_cpg = mdata["methylation"].obs["n_cpg"].to_numpy()
    beta = mdata["methylation"].layers["beta"].astype(float)
    mean_beta = np.array([row[:n].mean() if n else np.nan for row, n in zip(beta, n_cpg, strict=True)])
    count = np.where(n_cpg > 0, n_cpg, np.nan)
    bound = (sum(abs(mdata["tf"].layers[name]) for name in ("binding", "mode", "expression")) > 0).mean(1)
    values = {"H3K4me3": value, "methylation": mean_beta, "n_cpg": count, "tf": np.asarray(bound).ravel()}
    for feature, each in {**values, "expression": mdata["rna"].X[:, 0]}.items():
        one, other = (each[rows & np.isfinite(each)].astype(float) for rows in (high, ~high))
        row = table.loc[feature]
        assert row["effect"] == pytest.approx(one.mean() - other.mean(), rel=1e-4)
        assert (row["mean_group"], row["mean_reference"]) == pytest.approx((one.mean(), other.mean()), rel=1e-4)
        assert row["cohen_d"] == pytest.approx(
            (one.mean() - other.mean()) / np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2), rel=1e-3
        )
        expected = mannwhitneyu(one, other, method="asymptotic", use_continuity=False)
        assert row["pvals"] == pytest.approx(expected.pvalue, rel=1e-3)
        assert (row["n_group"], row["n_reference"]) == (len(one), len(other))


def test_depth_does_not_count_when_marks_are_scaled(explained):
    first = (explained.obs["cell_type"] == "cell_type_0").to_numpy()
    before = attn.tl.rank_marks_groups(explained, groupby="label", copy=True)
    explained["histone"].layers["H3K4me3"][first] *= 10
    after = attn.tl.rank_marks_groups(explained, groupby="label", copy=True)
    one, other = (attn.get.rank_marks_groups(each)["effect"] for each in (before, after))
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    raw = attn.tl.rank_marks_groups(explained, groupby="cell_type", scale_by=None)
    table = attn.get.rank_marks_groups(raw, group="cell_type_0")
    assert table["feature"].iloc[0] == "H3K4me3"


def test_scanpy_reads_it(ranked):
    table = sc.get.rank_genes_groups_df(ranked, "promoter", key="attn_rank_marks_groups")
    ours = attn.get.rank_marks_groups(ranked, group="promoter")
    assert list(table["names"]) == list(ours["feature"])
    np.testing.assert_allclose(table["logfoldchanges"], ours["effect"])


def test_genes_are_exchanged_as_a_whole(explained):
    """Groups by gene, at random: observations of a gene in four cell types are no four observations."""
    shares = {"wilcoxon": [], "permutation": []}
    for seed in range(8):
        rng = np.random.default_rng(seed)
        names = dict(zip(explained.obs["gene_id"].unique(), rng.choice(["a", "b"], 300), strict=True))
        explained.obs["random"] = explained.obs["gene_id"].map(names).astype(object)
        for method, found in shares.items():
            options = {"groupby": "random", "group": "a", "method": method, "n_permutations": 200}
            table = attn.get.rank_marks_groups(attn.tl.rank_marks_groups(explained, **options))
            found.append((table["pvals"] < 0.05).mean())
    assert np.mean(shares["permutation"]) < 0.12 < np.mean(shares["wilcoxon"])


def test_single_tfs_and_groups_of_groups(explained):
    mdata = attn.tl.rank_marks_groups(
        explained, groupby="truth_program", group=["promoter", "enhancer"], reference=["polycomb"], tfs=True
    )
    table = attn.get.rank_marks_groups(mdata)
    assert set(table["group"]) == {"promoter, enhancer"}
    assert set(mdata["tf"].var_names) <= set(table["feature"])
    tf = mdata["tf"].var_names[0]
    bound = (mdata["tf"].layers["binding"][:, [0]] != 0).toarray().ravel()
    inside = mdata.obs["truth_program"].isin(["promoter", "enhancer"]).to_numpy()
    assert table.set_index("feature").loc[tf, "mean_group"] == pytest.approx(bound[inside].mean())


def test_it_survives_writing(ranked, tmp_path):
    ranked.write_h5mu(tmp_path / "a.h5mu")
    read = attn.get.rank_marks_groups(mudata.read_h5mu(tmp_path / "a.h5mu"), fdr=0.01)
    np.testing.assert_allclose(read["score"], attn.get.rank_marks_groups(ranked, fdr=0.01)["score"])


def test_a_histone_only_object_is_welcome(explained):
    adata = explained["histone"].copy()
    adata.obs = explained.obs.copy()
    adata = attn.tl.rank_marks_groups(adata, groupby="truth_program")
    assert len(attn.get.rank_marks_groups(adata, group="polycomb")) == 7


def test_what_cannot_be_done_is_said(explained):
    for options, message in (
        ({}, r"obs\['attn_cluster'\] is missing.* Run attn\.tl\.cluster"),
        ({"groupby": "label", "group": "middle"}, r"holds \['low', 'high'\], not \['middle'\]"),
        ({"groupby": "label", "method": "guess"}, "method must be one of"),
        ({"groupby": "label", "scale_by": "nothing"}, r"scale_by: obs\['nothing'\] is missing"),
        ({"groupby": "label", "n_permutations": 0}, "n_permutations must be 1 or more"),
        ({"groupby": "label", "regions": {"far": (9e5, 1e6)}}, r"regions \['far'\] hold no bin"),
    ):
        with pytest.raises(ValueError, match=message):
            attn.tl.rank_marks_groups(explained, **options)
    explained.obs["attn_cluster"] = explained.obs["label"]
    explained.uns["attn_cluster"] = {"tool": "cluster", "key": "attn", "fingerprint": "an earlier model"}
    for tool in (
        attn.tl.rank_marks_groups,
        lambda mdata: attn.tl.differential_regulation(mdata, groupby="attn_cluster"),
        lambda mdata: attn.tl.enrich(mdata, {"all": list(mdata.obs["gene_id"])}, groupby="attn_cluster"),
    ):
        with pytest.raises(ValueError, match="has been replaced"):
            tool(explained)
    explained.uns["attn_cluster"] = np.arange(3)  # of somebody else
    attn.tl.rank_marks_groups(explained)

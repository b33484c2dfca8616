"""What regulates genes here and not there."""

from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from sklearn.metrics import average_precision_score

import epiattn as attn


@pytest.fixture(scope="module")
def three():
    mdata = attn.datasets.simulate(n_genes=150, cell_types=3, max_cpgs=12, n_tfs=20, seed=1)
    mdata.obs["gene_name"] = mdata.obs["gene_id"].str.replace("gene_", "G")
    return attn.tl.attribute(attn.tl.fit(mdata, max_epochs=3), n_steps=10)


@pytest.fixture(scope="module")
def compared(three):
    return attn.tl.differential_regulation(three, n_permutations=100, copy=True)


def test_effects_are_differences_of_means(compared):
    total = compared.obsm["attn_attribution"].astype(float)
    inside = (compared.obs["cell_type"] == "cell_type_1").to_numpy()
    features = attn.get.differential_regulation(compared, level="features", group="cell_type_1").set_index("feature")
    by_gene = total.groupby([compared.obs["gene_id"], inside], observed=True).mean()
    expected = by_gene.xs(True, level=1) - by_gene.xs(False, level=1)
    np.testing.assert_allclose(features.loc[total.columns, "effect"], expected.mean(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(features.loc[total.columns, "mean_group"], total[inside].mean(), rtol=1e-5, atol=1e-7)
    genes = attn.get.differential_regulation(compared, group="cell_type_1", feature="H3K27ac").set_index("gene_id")
    np.testing.assert_allclose(genes["effect"], expected.loc[genes.index, "H3K27ac"], rtol=1e-4, atol=1e-6)
    assert (genes["gene_name"].str.replace("G", "gene_") == genes.index).all()
    assert genes["score"].abs().is_monotonic_decreasing


def test_every_group_is_compared_with_the_rest_by_default(compared):
    genes = attn.get.differential_regulation(compared)
    assert set(genes["group"]) == {"cell_type_0", "cell_type_1", "cell_type_2"}
    marks = genes[~genes["feature"].isin(["methylation", "tf"])]  # many genes have no CpG or TF
    assert len(marks) == 3 * 150 * 7
    assert genes["pvals"].between(0, 1).all()
    adjusted = genes[genes["group"] == "cell_type_0"]
    assert (adjusted["pvals_adj"] >= adjusted["pvals"] - 1e-12).all()


def test_every_other_group_is_compared_with_the_reference(three):
    reference = ["cell_type_0", "cell_type_1"]
    mdata = attn.tl.differential_regulation(three, reference=reference, n_permutations=20, copy=True)
    features = attn.get.differential_regulation(mdata, level="features")
    assert set(features["group"].astype(str)) == {"cell_type_2"}
    assert set(features["reference"].astype(str)) == {"cell_type_0, cell_type_1"}


def test_scanpy_reads_the_features(compared):
    table = sc.get.rank_genes_groups_df(compared, "cell_type_2", key="attn_differential")
    features = attn.get.differential_regulation(compared, level="features", group="cell_type_2").set_index("feature")
    assert list(table.columns) == ["names", "scores", "logfoldchanges", "pvals", "pvals_adj"]
    np.testing.assert_allclose(table["logfoldchanges"], features.loc[table["names"], "effect"])
    assert table["scores"].is_monotonic_decreasing


def test_it_survives_writing(compared, tmp_path):
    compared.write_h5mu(tmp_path / "a.h5mu")
    read = mudata.read_h5mu(tmp_path / "a.h5mu")
    for level in ("genes", "features"):
        pd.testing.assert_frame_equal(
            attn.get.differential_regulation(read, level=level),
            attn.get.differential_regulation(compared, level=level),
            check_dtype=False,
            check_categorical=False,
            check_column_type=False,
        )


def test_one_against_one_has_ranks_and_no_adjusted_p_values(three, caplog, monkeypatch):
    mdata = attn.tl.differential_regulation(three, group="cell_type_0", reference="cell_type_2", copy=True)
    genes = attn.get.differential_regulation(mdata)
    assert genes["pvals_adj"].isna().all()
    np.testing.assert_array_equal(genes["score"], genes["effect"])
    one = genes[genes["feature"] == "H3K4me3"]
    np.testing.assert_allclose(one["pvals"], np.arange(1, 151) / 150)
    exchanged = mdata.uns["attn_differential"]["exchanged"]
    assert exchanged.to_dict("list") == {
        "group": ["cell_type_0"],
        "exchanged": ["within genes; p-values of genes are ranks"],
    }
    monkeypatch.setattr("epiattn._logging.logger.propagate", True)
    assert attn.get.differential_regulation(mdata, fdr=0.1).empty
    assert "No row has a value in 'pvals_adj', so that none passes 0.1: one cell type against one other" in caplog.text


def test_clusters_hold_different_genes(three):
    mdata = three.copy()
    number = mdata.obs["gene_id"].str[-3:].astype(int)
    mdata.obs["cluster"] = np.where(number < 70, "a", np.where(number < 140, "b", None))
    mdata = attn.tl.differential_regulation(mdata, groupby="cluster", n_permutations=50)
    assert mdata.uns["attn_differential"]["exchanged"]["exchanged"].tolist() == ["between genes"] * 2
    features = attn.get.differential_regulation(mdata, level="features")
    assert (features["n_units"] == 140).all()
    a, b = (features[features["group"] == name].set_index("feature")["effect"] for name in "ab")
    np.testing.assert_allclose(a, -b.loc[a.index])
    assert len(attn.get.differential_regulation(mdata)) == 0


def test_regions_and_single_tfs(three):
    regions = {"promoter": (-500, 500), "upstream": (-2000, -500)}
    mdata = attn.tl.differential_regulation(three, regions=regions, tfs=True, n_permutations=20, copy=True)
    features = attn.get.differential_regulation(mdata, level="features", group="cell_type_0").set_index("feature")
    assert {"H3K27ac promoter", "H3K27ac upstream", "methylation promoter"} <= set(features.index)
    bins = mdata["histone"].var.eval("start >= -500 and end <= 500").to_numpy()
    inside = (mdata.obs["cell_type"] == "cell_type_0").to_numpy()
    layer = mdata["histone"].layers["attn_attribution_H3K27ac"][:, bins].sum(1)
    assert features.loc["H3K27ac promoter", "mean_group"] == pytest.approx(layer[inside].mean(), rel=1e-4)
    assert set(mdata["tf"].var_names) <= set(features.index)


def test_attention_can_be_compared_too(three):
    mdata = attn.tl.differential_regulation(three, of="attention", n_permutations=20, copy=True)
    features = attn.get.differential_regulation(mdata, level="features", group="cell_type_0").set_index("feature")
    marks = list(mdata.uns["attn"]["channels"]["histone"])
    assert set(features.index) == {*marks, "tf"}
    assert features.loc[marks, "mean_group"].sum() == pytest.approx(1, rel=1e-4)
    figure = attn.pl.differential_regulation(mdata, level="features")
    assert figure.get_supxlabel() == "Difference of attention"


def test_genes_whose_program_differs_come_first():
    mdata = attn.datasets.simulate(n_genes=400, cell_types=2, max_cpgs=12, n_tfs=20, seed=0)
    mdata = attn.tl.attribute(attn.tl.fit(mdata, max_epochs=20), n_steps=10)
    mdata = attn.tl.differential_regulation(mdata, group="cell_type_0", reference="cell_type_1")
    table = attn.get.differential_regulation(mdata)
    largest = table.assign(size=table["effect"].abs()).groupby("gene_id", observed=True)["size"].max()
    program = mdata.obs.pivot(index="gene_id", columns="cell_type", values="truth_program").astype(str)
    differs = (program["cell_type_0"] != program["cell_type_1"]).loc[largest.index]
    assert average_precision_score(differs, largest) > 0.8 > 2 * differs.mean() - 0.2


def test_what_cannot_be_done_is_said(three, mdata):
    with pytest.raises(ValueError, match=r"No result of tl\.attribute"):
        attn.tl.differential_regulation(attn.tl.fit(mdata, max_epochs=1))
    for options, message in {
        ("groupby", "nothing"): r"obs\['nothing'\] is missing",
        ("group", "liver"): r"obs\['cell_type'\] holds \['cell_type_0', .*\], not \['liver'\]",
        ("of", "magic"): r"of",
        ("n_permutations", 0): r"n_permutations must be 1 or more",
        ("regions", (("far", (9e5, 1e6)),)): r"regions \['far'\] hold no bin",
    }.items():
        name, value = options
        value = dict(value) if name == "regions" else value
        with pytest.raises(ValueError, match=message):
            attn.tl.differential_regulation(three, **{name: value}, copy=True)
    with pytest.raises(ValueError, match=r"\['cell_type_0'\] cannot be in the group and in the reference"):
        attn.tl.differential_regulation(three, group="cell_type_0", reference="cell_type_0", copy=True)
    with pytest.raises(ValueError, match="feature"):
        attn.get.differential_regulation(
            attn.tl.differential_regulation(three, n_permutations=5, copy=True), feature="H9"
        )

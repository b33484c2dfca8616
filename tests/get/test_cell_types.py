"""Cell types x genes, and scanpy's plots of them."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc

import epiattn as attn


@pytest.fixture(scope="module")
def adata(explained_by_truth):
    return attn.get.cell_types(explained_by_truth)


def test_every_value_is_that_of_its_observation(adata, explained):
    obs = explained.obs
    rows = adata.obs_names.get_indexer(obs["cell_type"].astype(str))
    columns = adata.var["gene_id"].astype(str).searchsorted(obs["gene_id"].astype(str))
    assert (adata.var_names[columns] == obs["gene_name"]).all()
    total = explained.obsm["attn_attribution"]
    expected = {
        "expression": explained["rna"].X[:, 0],
        "score": obs["attn_score"],
        "prediction": obs["attn_prediction"] == "high",
        "H3K27ac": explained["histone"].layers["H3K27ac"].mean(1),
        "attribution": total.sum(axis=1),
        "attribution_H3K27me3": total["H3K27me3"],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(adata.layers[name][rows, columns], values, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(adata.X, adata.layers["expression"])
    n_cpg = explained["methylation"].obs["n_cpg"].to_numpy()
    assert np.isnan(adata.layers["methylation"][rows, columns][n_cpg == 0]).all()
    assert list(adata.obs["cell_type"]) == [f"cell_type_{i}" for i in range(4)]


def test_scanpy_draws_it(adata):
    genes = list(adata.var_names[:6])
    for what in ("expression", "H3K4me3", "attribution_H3K27ac"):
        axes = sc.pl.matrixplot(adata, genes, groupby="cell_type", layer=what, show=False)
        image = axes["mainplot_ax"]
        assert len(image.get_yticklabels()) == 4
        assert [label.get_text() for label in image.get_xticklabels()] == genes
    assert "mainplot_ax" in sc.pl.dotplot(adata, genes, groupby="cell_type", show=False)
    assert "heatmap_ax" in sc.pl.heatmap(adata, genes, groupby="cell_type", show=False)
    assert "mainplot_ax" in sc.pl.matrixplot(
        adata, {"first": genes[:3], "second": genes[3:]}, groupby="cell_type", standard_scale="var", show=False
    )


def test_genes_are_chosen_by_name_or_id_in_their_order(explained):
    adata = attn.get.cell_types(explained, what="H3K4me1", genes=["G00007", "gene_00002"])
    assert list(adata.var["gene_id"]) == ["gene_00007", "gene_00002"]
    whole = attn.get.cell_types(explained, what="H3K4me1")
    np.testing.assert_array_equal(adata.X, whole[:, ["G00007", "G00002"]].X)


def test_names_that_several_genes_have_are_replaced_by_ids(explained):
    explained.obs["gene_name"] = explained.obs["gene_name"].replace("G00001", "G00002")
    adata = attn.get.cell_types(explained)
    assert list(adata.var_names[:4]) == ["G00000", "gene_00001", "gene_00002", "G00003"]


def test_other_groups_are_means_and_what_is_not_there_is_nan(explained):
    explained = explained[3:].copy()
    explained.obs["half"] = explained.obs["cell_type"].isin(["cell_type_0"]).map({True: "a", False: "b"})
    adata = attn.get.cell_types(explained, groupby="half")
    assert np.isnan(adata["a", ["G00000", "G00001", "G00002"]].X).all()
    one = explained.obs["gene_name"] == "G00005"
    inside = (one & (explained.obs["half"] == "b")).to_numpy()
    assert adata["b", "G00005"].X[0, 0] == pytest.approx(explained["rna"].X[inside].mean(), rel=1e-5)


def test_groups_keep_the_colours_of_their_names(explained):
    explained.uns["cell_type_colors"] = ["#000000", "#111111", "#222222", "#333333"]
    explained.uns["label_colors"] = ["#aaaaaa", "#bbbbbb"]
    part = explained[explained.obs["cell_type"].isin(["cell_type_1", "cell_type_3"])].copy()
    part.obs["cell_type"] = part.obs["cell_type"].cat.set_categories(explained.obs["cell_type"].cat.categories)
    adata = attn.get.cell_types(part)
    assert list(adata.obs_names) == ["cell_type_1", "cell_type_3"]
    assert list(adata.uns["cell_type_colors"]) == ["#111111", "#333333"]
    by_label = attn.get.cell_types(explained, groupby="label")
    expected = dict(zip(explained.obs["label"].cat.categories, ["#aaaaaa", "#bbbbbb"], strict=True))
    assert dict(zip(by_label.obs_names, by_label.uns["label_colors"], strict=True)) == expected


def test_without_a_run_there_is_what_was_measured(mdata, tmp_path):
    adata = attn.get.cell_types(mdata, key=None)
    assert {"expression", "H3K4me3", "methylation", "n_cpg", "tf"} <= set(adata.layers)
    assert not {"score", "attribution"} & set(adata.layers)
    adata.write_h5ad(tmp_path / "a.h5ad")
    histone = mdata["histone"].copy()
    histone.obs = mdata.obs.copy()
    assert attn.get.cell_types(histone, what="DNase", key=None).shape == (2, 200)


def test_what_cannot_be_done_is_said(explained):
    with pytest.raises(ValueError, match=r"what must be one of \['DNase', 'H3K27ac'.*not 'H9'"):
        attn.get.cell_types(explained, what="H9")
    with pytest.raises(ValueError, match=r"Unknown genes \['GATA1'\]"):
        attn.get.cell_types(explained, genes=["GATA1"])
    with pytest.raises(ValueError, match="No fit under key 'other'"):
        attn.get.cell_types(explained, key="other")
    with pytest.raises(ValueError, match=r"obs\['nothing'\] is missing"):
        attn.get.cell_types(explained, groupby="nothing")
    del explained.obs["gene_id"]
    with pytest.raises(ValueError, match=r"obs\['gene_id'\] is missing"):
        attn.get.cell_types(explained)

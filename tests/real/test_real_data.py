"""The main job on the three real files: fit, scanpy, plots, the disk, reload, embed."""

from __future__ import annotations

import matplotlib as mpl
import mudata
import numpy as np
import pytest
import scanpy as sc

import epiattn as attn

mpl.use("Agg")

pytestmark = pytest.mark.filterwarnings("ignore")  # scanpy's, numba's and matplotlib's own

FILES = ["h1_hg38", "h1_k562_counts", "lung_chr21"]


@pytest.fixture(scope="module", params=FILES)
def fitted(request, read_real, tmp_path_factory):
    """Each file, fitted with the published model (a few epochs: accuracy is measured elsewhere)."""
    mdata = read_real(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    fitted = attn.tl.fit(mdata, model="kang2020", max_epochs=3, model_dir=folder)
    assert fitted is mdata
    return request.param, fitted, folder


def test_it_predicts_better_than_chance_on_held_out_genes(fitted):
    name, mdata, _ = fitted
    least = {"h1_hg38": 0.88, "h1_k562_counts": 0.6, "lung_chr21": 0.5}[name]
    assert mdata.uns["attn"]["metrics"]["test"]["auc"] > least


def test_scanpy_works_on_the_object_itself(fitted, tmp_path):
    mdata = fitted[1][:2_000].copy()
    sc.pp.neighbors(mdata, use_rep="X_attn")
    sc.tl.leiden(mdata, flavor="igraph")
    sc.tl.umap(mdata, maxiter=20)
    figure = sc.pl.umap(mdata, color=["leiden", "label", "attn_score"], show=False, return_fig=True)
    figure.savefig(tmp_path / "umap.png")
    assert mdata.obsm["X_umap"].shape == (mdata.n_obs, 2)
    assert mdata.obs["leiden"].nunique() > 1
    histone = mdata["histone"][:200].copy()
    histone.obs["label"] = mdata.obs["label"].iloc[:200].to_numpy()
    axes = sc.pl.heatmap(histone, histone.var_names, groupby="label", layer="attn_attention", show=False)
    assert axes


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_the_disk_keeps_everything(fitted, tmp_path, suffix):
    _, mdata, folder = fitted
    path = tmp_path / f"data.{suffix}"
    {"h5mu": mdata.write_h5mu, "zarr": mdata.write_zarr}[suffix](path)
    back = {"h5mu": mudata.read_h5mu, "zarr": mudata.read_zarr}[suffix](path)
    np.testing.assert_array_equal(back.obsm["X_attn"], mdata.obsm["X_attn"])
    np.testing.assert_array_equal(back["histone"].layers["attn_attention"], mdata["histone"].layers["attn_attention"])
    attn.tl.embed(back, folder)
    np.testing.assert_allclose(back.obsm["X_attn"], mdata.obsm["X_attn"], atol=1e-6)


def test_new_data_without_truth_is_embedded(fitted):
    _, mdata, folder = fitted
    new = mdata[100:150].copy()
    expected = new.obsm["X_attn"].copy()
    for column in ("label", "split"):
        del new.obs[column]
    del new.mod["rna"]
    attn.tl.embed(new, folder)
    np.testing.assert_allclose(new.obsm["X_attn"], expected, atol=1e-4)


def test_cpg_attention_is_zero_where_there_is_no_cpg(fitted):
    _, mdata, _ = fitted
    if "methylation" not in mdata.mod:
        assert "X_attn_methylation" not in mdata.obsm
        return
    attention = mdata["methylation"].layers["attn_attention"]
    n_cpg = mdata["methylation"].obs["n_cpg"].to_numpy()
    np.testing.assert_allclose(attention.sum(1), n_cpg > 0, atol=1e-5)

"""Clusters of the latent space, beside scanpy's own steps."""

from __future__ import annotations

import mudata
import numpy as np
import pytest
import scanpy as sc
from sklearn.metrics import adjusted_rand_score

import epiattn as attn


@pytest.fixture(scope="module")
def clustered(explained_by_truth):
    return attn.tl.cluster(explained_by_truth, seed=1, copy=True)


def test_it_is_what_scanpy_does_step_by_step(clustered, explained):
    sc.pp.neighbors(explained, use_rep="X_attn", random_state=1)
    sc.tl.leiden(explained, flavor="igraph", n_iterations=2, directed=False, random_state=1)
    assert (clustered.obs["attn_cluster"].astype(str) == explained.obs["leiden"].astype(str)).all()
    difference = clustered.obsp["attn_cluster_connectivities"] - explained.obsp["connectivities"]
    assert abs(difference).max() < 1e-3  # in single precision
    assert clustered.obsm["X_attn_cluster_umap"].shape == (1200, 2)
    assert "leiden" not in clustered.obs
    assert "neighbors" not in clustered.uns


def test_clusters_are_the_planted_programs(clustered):
    program = clustered.obs["truth_program"].isin(["promoter", "enhancer", "gene_body", "polycomb"])
    rows = clustered.obs[program]
    assert adjusted_rand_score(rows["truth_program"], rows["attn_cluster"]) > 0.4


def test_scanpy_goes_on_from_there(clustered):
    mdata = clustered.copy()
    sc.tl.paga(mdata, groups="attn_cluster", neighbors_key="attn_cluster")
    n = len(mdata.obs["attn_cluster"].cat.categories)
    assert mdata.uns["paga"]["connectivities"].shape == (n, n)
    assert len(attn.pl.latent(mdata, color=["attn_cluster"], basis="X_attn_cluster_umap").axes) == 1


def test_again_and_side_by_side(clustered):
    mdata = clustered.copy()
    coarse = attn.tl.cluster(mdata, resolution=0.1, umap=False)
    assert coarse is mdata
    assert len(mdata.obs["attn_cluster"].cat.categories) < len(clustered.obs["attn_cluster"].cat.categories)
    assert "X_attn_cluster_umap" not in mdata.obsm  # of the clusters that were replaced
    mdata.obsm["X_other"] = np.random.default_rng(0).normal(size=(1200, 3))
    mdata = attn.tl.cluster(mdata, use_rep="X_other", key_added="other", umap=False)
    assert {"attn_cluster", "other"} <= set(mdata.obs)
    assert mdata.uns["other"]["params"]["use_rep"] == "X_other"


def test_it_survives_writing_and_works_on_a_histone_only_object(clustered, explained, tmp_path):
    small = mudata.MuData({"rna": clustered["rna"]})
    small.obs, small.obsp, small.uns = clustered.obs.copy(), dict(clustered.obsp), dict(clustered.uns)
    small.write_h5mu(tmp_path / "a.h5mu")
    assert mudata.read_h5mu(tmp_path / "a.h5mu").uns["attn_cluster"]["tool"] == "cluster"
    adata = explained["histone"].copy()
    adata.obsm["X_attn"] = explained.obsm["X_attn"]
    adata = attn.tl.cluster(adata, use_rep="X_attn")
    assert {"attn_cluster_connectivities", "attn_cluster_distances"} <= set(adata.obsp)
    assert adata.obs["attn_cluster"].notna().all()


def test_what_cannot_be_done_is_said(explained):
    with pytest.raises(ValueError, match="No fit under key 'other'"):
        attn.tl.cluster(explained, key="other")
    with pytest.raises(ValueError, match="use_rep='X_nothing' is not in obsm"):
        attn.tl.cluster(explained, use_rep="X_nothing")
    explained.obs["attn_cluster"] = "mine"
    with pytest.raises(ValueError, match="would overwrite"):
        attn.tl.cluster(explained)


def test_one_model_for_each_cell_type_is_warned_of(explained, caplog, monkeypatch):
    monkeypatch.setattr("epiattn._logging.logger.propagate", True)
    attn.tl.cluster(explained, umap=False, copy=True)
    assert "one model for each cell type" not in caplog.text
    explained.uns["attn"]["per"] = "cell_type"
    for tool in (
        lambda mdata: attn.tl.cluster(mdata, umap=False, copy=True),
        lambda mdata: attn.tl.specific_genes(mdata, copy=True),
        lambda mdata: attn.tl.differential_regulation(mdata, groupby="cell_type", copy=True),
    ):
        caplog.clear()
        tool(explained)
        assert "The run 'attn' has one model for each cell type" in caplog.text


def test_clusters_of_other_coordinates_are_not_about_the_run(explained):
    explained.obsm["X_other"] = explained.obsm["X_attn"][:, :5].copy()
    mdata = attn.tl.cluster(explained, use_rep="X_other", umap=False, key_added="other", copy=True)
    assert "fingerprint" not in mdata.uns["other"]
    assert "fingerprint" in attn.tl.cluster(explained, use_rep="X_attn", umap=False, copy=True).uns["attn_cluster"]

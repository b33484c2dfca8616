"""What one call writes, and that it can be repeated, saved and read again."""

from __future__ import annotations

import logging

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import epiattn as attn
from epiattn._logging import heard

QUICK = {"max_epochs": 2, "batch_size": 128}


@pytest.fixture(scope="module")
def fitted(simulated):
    return attn.tl.fit(simulated.copy(), **QUICK)


def test_everything_in_the_data_model_is_written(fitted):
    n = fitted.n_obs
    n_marks = len(fitted.uns["attn"]["channels"]["histone"])
    assert fitted.obsm["X_attn"].shape == (n, 64)
    sizes = [fitted.obsm[f"X_attn_{name}"].shape[1] for name in ("histone", "methylation", "tf")]
    assert sizes == [48 + n_marks, 16 + 5 * 3, 8 + 5 + 16]
    assert list(fitted.obsm["attn_modality"].columns) == ["histone", "methylation", "tf"]
    assert fitted.obs["attn_score"].between(0, 1).all()
    assert ((fitted.obs["attn_score"] > 0.5) == (fitted.obs["attn_prediction"] == "high")).all()
    assert set(fitted.obs["split"]) == {"train", "validation", "test"}
    assert {"history", "metrics", "versions", "seed", "channels", "seconds"} <= set(fitted.uns["attn"])


def test_attention_sums_to_one(fitted):
    np.testing.assert_allclose(fitted["histone"].layers["attn_attention"].sum(1), 1, rtol=1e-5)
    n_cpg = fitted["methylation"].obs["n_cpg"].to_numpy()
    cpgs = fitted["methylation"].layers["attn_attention"]
    np.testing.assert_allclose(cpgs.sum(1), n_cpg > 0, rtol=1e-5)
    assert (cpgs[np.arange(cpgs.shape[1]) >= n_cpg[:, None]] == 0).all()
    tfs = fitted["tf"].layers["attn_attention"]
    assert sparse.issparse(tfs)
    total = np.asarray(tfs.sum(1)).ravel() + fitted["tf"].obs["attn_unbound"].to_numpy()
    np.testing.assert_allclose(total, 1, rtol=1e-5)
    bound = sum(abs(fitted["tf"].layers[name]) for name in ("binding", "expression", "mode")) > 0
    assert (tfs > 0).multiply(bound).nnz == (tfs > 0).nnz


def test_modality_weights_are_relative_to_a_uniform_share(fitted):
    np.testing.assert_allclose(fitted.obsm["attn_modality"].to_numpy().mean(1), 1, rtol=1e-5)


def test_modality_weights_of_the_published_fusion_are_relative_to_a_uniform_share(mdata):
    attn.tl.fit(mdata, model="kang2020", **QUICK)
    shares = mdata.obsm["attn_modality"].to_numpy() * np.array([80, 20, 5]) / 105
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)


def test_history_holds_what_means_something(fitted):
    history = fitted.uns["attn"]["history"]
    quantities = ("loss", "auc", "reconstruction", "expression")
    assert set(history) == {f"{name}_{part}" for name in quantities for part in ("train", "validation")}
    assert all(len(values) == 2 for values in history.values())


def test_metrics_are_those_of_the_scores(fitted):
    rows = (fitted.obs["split"] == "test").to_numpy()
    truth = (fitted.obs["label"] == "high").to_numpy()[rows]
    expected = attn.metrics.roc_auc(truth, fitted.obs["attn_score"].to_numpy()[rows])
    assert fitted.uns["attn"]["metrics"]["test"]["auc"] == pytest.approx(expected)


def test_the_same_seed_gives_the_same_latent_and_another_does_not(mdata, fitted):
    again = attn.tl.fit(mdata, copy=True, **QUICK)
    other = attn.tl.fit(mdata, copy=True, seed=1, **QUICK)
    np.testing.assert_array_equal(again.obsm["X_attn"], fitted.obsm["X_attn"])
    assert not np.allclose(other.obsm["X_attn"], fitted.obsm["X_attn"])


def test_the_users_random_state_is_left_alone(mdata):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    attn.tl.fit(mdata, **QUICK)
    torch.testing.assert_close(torch.rand(3), expected)


def test_it_learns(mdata):
    attn.tl.fit(mdata, max_epochs=25)
    assert mdata.uns["attn"]["metrics"]["test"]["auc"] > 0.8


def test_the_explicit_steps_give_the_same_numbers(mdata, fitted):
    import scvi

    attn.pp.split(mdata)
    verbosity = scvi.settings.verbosity
    with torch.random.fork_rng():
        scvi.settings.seed = 0
        attn.models.MultiAttention.setup_mudata(mdata)
        model = attn.models.MultiAttention(mdata)
        model.train(**QUICK)
    scvi.settings.verbosity = verbosity
    np.testing.assert_array_equal(model.get_latent_representation(), fitted.obsm["X_attn"])
    np.testing.assert_array_equal(model.predict(), fitted.obs["attn_score"].to_numpy())


def test_fitting_twice_never_takes_attention_for_a_mark(mdata):
    attn.tl.fit(mdata, **QUICK)
    first = mdata.obsm["X_attn"].copy()
    attn.tl.fit(mdata, **QUICK)
    np.testing.assert_array_equal(mdata.obsm["X_attn"], first)
    assert "attn_attention" not in list(mdata.uns["attn"]["channels"]["histone"])


def test_a_second_key_stands_beside_the_first(mdata):
    attn.tl.fit(mdata, **QUICK)
    before = mdata.obsm["X_attn"].copy()
    attn.tl.fit(mdata, key_added="second", seed=5, **QUICK)
    np.testing.assert_array_equal(mdata.obsm["X_attn"], before)
    assert {"X_second", "second_modality"} <= set(mdata.obsm.keys())


def test_results_of_an_earlier_run_with_the_key_are_replaced(mdata):
    attn.tl.fit(mdata, **QUICK)
    attn.tl.fit(mdata, target="expression", channels={"histone": ["H3K4me3"]}, **QUICK)
    assert "attn_prediction" not in mdata.obs
    assert "X_attn_tf" not in mdata.obsm
    assert "attn_attention" not in mdata["tf"].layers


def test_regression_of_expression(mdata):
    del mdata.obs["label"]
    attn.tl.fit(mdata, target="expression", max_epochs=20)
    assert mdata.uns["attn"]["metrics"]["test"]["pearson"] > 0.5
    assert {"loss_train", "loss_validation", "r2_train", "r2_validation"} <= set(mdata.uns["attn"]["history"])


@pytest.mark.parametrize("loss", ["focal", "pairwise"])
def test_other_losses_train(mdata, loss):
    attn.tl.fit(mdata, loss=loss, max_epochs=15)
    assert mdata.uns["attn"]["metrics"]["train"]["auc"] > 0.7


@pytest.mark.parametrize("modalities", [["histone"], ["methylation"], ["tf"], ["methylation", "tf"]])
def test_any_subset_of_modalities(mdata, modalities):
    subset = mudata.MuData({name: mdata[name].copy() for name in modalities})
    subset.obs = mdata.obs.copy()
    attn.tl.fit(subset, **QUICK)
    assert list(subset.obsm["attn_modality"].columns) == modalities


@pytest.mark.filterwarnings("ignore:Cannot join columns", "ignore:var_names are not unique")
def test_several_resolutions_get_an_encoder_each(mdata):
    coarse = mdata["histone"][:, ::2].copy()
    modalities = {"histone": mdata["histone"].copy(), "histone_500bp": coarse}
    both = mudata.MuData(modalities)
    both.obs = mdata.obs.copy()
    attn.tl.fit(both, **QUICK)
    assert list(both.obsm["attn_modality"]) == ["histone", "histone_500bp"]
    assert both.obsm["X_attn_histone_500bp"].shape == both.obsm["X_attn_histone"].shape
    assert both["histone_500bp"].layers["attn_attention"].shape == (400, 20)


@pytest.mark.parametrize("convert", [
    lambda x: x.astype(str).to_numpy(dtype=object),
    lambda x: pd.Categorical(x, categories=["high", "low"]),
    lambda x: pd.Categorical(x, categories=["low", "high"], ordered=True),
], ids=["string", "unordered", "ordered"])  # fmt: skip
def test_high_is_the_positive_class_by_name(mdata, fitted, convert):
    mdata.obs["label"] = convert(mdata.obs["label"])
    attn.tl.fit(mdata, **QUICK)
    np.testing.assert_array_equal(mdata.obsm["X_attn"], fitted.obsm["X_attn"])


def test_observations_without_a_label_are_left_out_of_training(mdata):
    mdata.obs["label"] = mdata.obs["label"].where(np.arange(mdata.n_obs) % 10 != 0)
    attn.tl.fit(mdata, **QUICK)
    n_used = sum(part["n_obs"] for part in mdata.uns["attn"]["metrics"].values())
    assert n_used == 360
    assert np.isfinite(mdata.obsm["X_attn"]).all()


def test_histone_only_anndata_comes_back_with_the_results(mdata):
    adata = ad.AnnData(obs=mdata.obs, var=mdata["histone"].var, layers=dict(mdata["histone"].layers))
    assert attn.tl.fit(adata, **QUICK) is adata
    assert {"X_attn", "X_attn_histone", "attn_modality"} <= set(adata.obsm)
    assert {"attn_score", "attn_prediction", "split"} <= set(adata.obs)
    assert "attn_attention" in adata.layers
    copied = attn.tl.fit(adata, copy=True, key_added="b", **QUICK)
    assert "X_b" in copied.obsm
    assert "X_b" not in adata.obsm


def test_fitting_an_anndata_again_replaces_its_results_and_nothing_else(mdata):
    adata = ad.AnnData(obs=mdata.obs, var=mdata["histone"].var, layers=dict(mdata["histone"].layers))
    adata.obsm["X_mine"] = np.ones((adata.n_obs, 2))
    adata.uns["mine"] = "kept"
    first = attn.tl.fit(adata, **QUICK).obsm["X_attn"].copy()
    np.testing.assert_array_equal(attn.tl.fit(adata, **QUICK).obsm["X_attn"], first)
    assert "attn_attention" not in list(adata.uns["attn"]["channels"]["histone"])
    assert (adata.obsm["X_mine"] == 1).all()
    assert adata.uns["mine"] == "kept"
    adata.obs["expression"] = mdata["rna"].X[:, 0]
    attn.tl.fit(adata, key_added="b", **QUICK)
    np.testing.assert_array_equal(adata.obsm["X_attn"], first)


def test_copy_leaves_the_object_alone(mdata):
    assert attn.tl.fit(mdata, copy=True, **QUICK) is not mdata
    assert "X_attn" not in mdata.obsm
    assert "attn_attention" not in mdata["histone"].layers


def test_no_trace_of_scvi_tools_is_left(mdata):
    attn.tl.fit(mdata, **QUICK)
    assert not [name for name in mdata.uns if name.startswith("_scvi")]
    assert not attn.models.MultiAttention._setup_adata_manager_store.get(mdata.uns.get("_scvi_uuid"))


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
@pytest.mark.filterwarnings("ignore::UserWarning:zarr", "ignore:.*zarr v2.*")
def test_the_object_survives_the_disk(fitted, mdata, tmp_path, suffix):
    read = {"h5mu": mudata.read_h5mu, "zarr": mudata.read_zarr}[suffix]
    mdata.write_h5mu(tmp_path / "raw.h5mu")
    fresh = attn.tl.fit(mudata.read_h5mu(tmp_path / "raw.h5mu"), **QUICK)
    getattr(fresh, {"h5mu": "write_h5mu", "zarr": "write_zarr"}[suffix])(tmp_path / f"out.{suffix}")
    back = read(tmp_path / f"out.{suffix}")
    np.testing.assert_array_equal(back.obsm["X_attn"], fitted.obsm["X_attn"])
    assert back.uns["attn"]["metrics"]["test"]["n_obs"] == fitted.uns["attn"]["metrics"]["test"]["n_obs"]
    attn.tl.fit(back, **QUICK)  # its own layers are still told from marks
    np.testing.assert_array_equal(back.obsm["X_attn"], fitted.obsm["X_attn"])


def test_few_training_observations_are_said_once(mdata, monkeypatch):
    few = attn.pp.split(mdata, copy=True)
    few.obs["split"] = few.obs["split"].astype(object)
    few.obs.loc[few.obs_names[np.flatnonzero(few.obs["split"] == "train")[90:]], "split"] = np.nan
    quick = {"model": "kang2020", "max_epochs": 1}

    def warned(data, **options):
        with heard() as said:
            attn.tl.fit(data, copy=True, **quick, **options)
        return [message for level, message in said if level == logging.WARNING]

    [message] = warned(few, n_models=2)
    assert message.startswith("The training part has 90 observations. Networks need some hundreds")
    assert warned(mdata) == []
    monkeypatch.setattr("epiattn.tl._fit._FEW", 1_000)
    [message] = warned(mdata, per="cell_type")
    assert message.startswith("The training part of 'cell_type_0' (and of 1 more) has")


@pytest.mark.parametrize("dtype", ["string", object, "category"])
def test_observations_without_a_part_are_left_out_whatever_their_column_is(mdata, dtype):
    attn.pp.split(mdata)
    parts = mdata.obs["split"].astype(object).copy()
    parts.iloc[::7] = None
    mdata.obs["split"] = pd.Series(parts, dtype=dtype)
    fitted = attn.tl.fit(mdata, model="kang2020", max_epochs=1, copy=True)
    of_test = (parts == "test").to_numpy(dtype=bool)
    assert fitted.uns["attn"]["metrics"]["test"]["n_obs"] == of_test.sum()
    assert np.isfinite(attn.baselines.logistic(mdata)).all()
    leakage = attn.pp.leakage(mdata).set_index(["part", "leak"])["of"]
    assert leakage["test", "overlap"] == mdata.obs["gene_id"][of_test].nunique()

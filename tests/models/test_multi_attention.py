"""The model of gated attentions: one interface with all models, and what it alone says."""

from __future__ import annotations

import mudata
import numpy as np
import pytest
import torch

import epiattn as attn
from epiattn.models import MultiAttention, RegulatoryModel
from epiattn.models._multi_attention import dropout_for

QUICK = {"model": "multi_attention", "max_epochs": 2, "batch_size": 128}


@pytest.fixture(scope="module")
def fitted(simulated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gated")
    return attn.tl.fit(simulated, model_dir=folder, copy=True, **QUICK), folder


def test_what_is_written(fitted):
    mdata, _ = fitted
    marks = list(mdata.uns["attn"]["channels"]["histone"])
    assert mdata.obsm["X_attn"].shape == (400, 64)
    sizes = [mdata.obsm[f"X_attn_{name}"].shape[1] for name in ("histone", "methylation", "tf")]
    assert sizes == [48 + len(marks), 16 + 5 * 3, 8 + 5 + 16]
    np.testing.assert_allclose(mdata.obsm["attn_modality"].to_numpy().mean(1), 1, rtol=1e-5)
    histone = mdata["histone"].layers
    np.testing.assert_allclose(histone["attn_attention"].sum(1), 1, rtol=1e-5)
    per_mark = sum(histone[f"attn_attention_{mark}"] for mark in marks)
    np.testing.assert_allclose(per_mark, histone["attn_attention"], rtol=1e-4)
    n_cpg = mdata["methylation"].obs["n_cpg"].to_numpy()
    np.testing.assert_allclose(mdata["methylation"].layers["attn_attention"].sum(1), n_cpg > 0, rtol=1e-5)
    tfs = np.asarray(mdata["tf"].layers["attn_attention"].sum(1)).ravel() + mdata["tf"].obs["attn_unbound"].to_numpy()
    np.testing.assert_allclose(tfs, 1, rtol=1e-5)
    history = mdata.uns["attn"]["history"]
    quantities = ("loss", "auc", "reconstruction", "expression")
    assert set(history) == {f"{name}_{part}" for name in quantities for part in ("train", "validation")}


def test_a_saved_model_gives_the_same(fitted):
    mdata, folder = fitted
    again = attn.tl.embed(mdata, folder, copy=True)
    np.testing.assert_array_equal(again.obsm["X_attn"], mdata.obsm["X_attn"])
    np.testing.assert_array_equal(again.obs["attn_score"], mdata.obs["attn_score"])
    model = RegulatoryModel.load(folder)
    assert isinstance(model, MultiAttention)
    assert model.module.temperature != 1


def test_the_seed_decides(fitted, simulated):
    again = attn.tl.fit(simulated, copy=True, **QUICK)
    np.testing.assert_array_equal(again.obsm["X_attn"], fitted[0].obsm["X_attn"])
    other = attn.tl.fit(simulated, copy=True, seed=1, **QUICK)
    assert not np.allclose(other.obsm["X_attn"], fitted[0].obsm["X_attn"])


@pytest.mark.parametrize("modalities", [["histone"], ["methylation"], ["tf"], ["histone", "tf"]])
def test_any_modalities_will_do(simulated, modalities):
    mdata = mudata.MuData({name: simulated[name].copy() for name in modalities})
    mdata.obs = simulated.obs.copy()
    attn.tl.fit(mdata, **QUICK)
    assert list(mdata.obsm["attn_modality"]) == modalities
    assert np.isfinite(mdata.obsm["X_attn"]).all()


def test_it_can_do_without_a_modality(simulated, tmp_path):
    attn.tl.fit(simulated.copy(), model_dir=tmp_path, modality_dropout=0.3, **QUICK)
    less = mudata.MuData({name: simulated[name].copy() for name in ("histone", "tf")})
    less.obs = simulated.obs.copy()
    attn.settings.verbosity = "error"
    assert attn.tl.embed(less, tmp_path).obs["attn_score"].between(0, 1).all()


def test_expression_is_a_target_too(simulated):
    mdata = attn.tl.fit(simulated, target="expression", copy=True, **QUICK)
    assert np.isfinite(mdata.obs["attn_score"]).all()
    assert "expression_train" not in mdata.uns["attn"]["history"]


def test_all_modalities_train_in_mixed_precision(simulated):
    mdata = attn.pp.split(simulated, copy=True)
    MultiAttention.setup_mudata(mdata)
    model = MultiAttention(mdata)
    model.train(2, batch_size=128, precision="bf16-mixed", accelerator="cpu")
    assert np.isfinite(model.history["loss_train"].to_numpy(float)).all()
    assert model.get_latent_representation().dtype == np.float32


def test_sizes_are_parameters(simulated):
    mdata = attn.pp.split(simulated.copy())
    MultiAttention.setup_mudata(mdata)
    sizes = {"n_features": 6, "n_queries": 2, "n_blocks": 3, "n_features_methylation": 3, "n_features_tf": 2}
    model = MultiAttention(mdata, n_latent=5, **sizes)
    model.train(max_epochs=1)
    assert model.get_latent_representation().shape == (400, 5)
    assert model.get_latent_representation(modality="tf").shape == (400, 2 + 5 + 4)


@pytest.mark.parametrize(
    "parts",
    [
        {"histone_encoder": "crnn"},
        {"methylation_encoder": "rnn"},
        {"tf_encoder": "self_attention"},
        {"fusion": "concatenation"},
        {"fusion": "multi_attention"},
    ],
)
def test_parts_are_chosen_by_name(simulated, parts):
    mdata = attn.tl.fit(simulated, copy=True, **QUICK, **parts)
    assert np.isfinite(mdata.obsm["X_attn"]).all()
    network = mdata.uns["attn"]["model_options"]
    assert network == parts
    plain = attn.tl.fit(simulated, copy=True, **QUICK)
    assert not np.array_equal(mdata.obs["attn_score"], plain.obs["attn_score"])


def test_published_parts_have_their_published_sizes(simulated):
    mdata = attn.pp.split(simulated.copy())
    MultiAttention.setup_mudata(mdata)
    parts = {"histone_encoder": "crnn", "methylation_encoder": "rnn", "tf_encoder": "self_attention"}
    network = MultiAttention(mdata, fusion="multi_attention", n_features=3, kernel_size=3, **parts).module.network
    assert network.n_latent == 80 + 20 + 5


def test_an_unknown_part_is_refused(simulated):
    with pytest.raises(ValueError, match=r"Unknown fusion 'gate'.*Did you mean 'gated'"):
        attn.tl.fit(simulated.copy(), fusion="gate", **QUICK)
    with pytest.raises(ValueError, match="Unknown encoder of histone marks 'rnn'"):
        attn.tl.fit(simulated.copy(), histone_encoder="rnn", **QUICK)


def test_it_learns(simulated):
    mdata = attn.datasets.simulate(n_genes=800, cell_types=2, seed=1)
    attn.tl.fit(mdata, model="multi_attention", max_epochs=8)
    assert mdata.uns["attn"]["metrics"]["test"]["auc"] > 0.85


def test_the_expression_is_a_second_reading_of_the_label(simulated):
    mdata = attn.pp.split(simulated, copy=True)
    MultiAttention.setup_mudata(mdata)
    scores = {}
    for calibrate in (False, True):
        torch.manual_seed(0)
        model = MultiAttention(mdata)
        model.train(max_epochs=4, batch_size=128, calibrate=calibrate, enable_progress_bar=False)
        scores[calibrate] = model.predict()
        weight = model.module.second_reading[0]
        assert weight > 0 if calibrate else weight == 0
    rows = (mdata.obs["split"] == "validation").to_numpy()
    high = (mdata.obs["label"] == "high").to_numpy(float)[rows]
    loss = {name: attn.metrics.brier(high, score[rows]) for name, score in scores.items()}
    assert loss[True] < loss[False]


def test_without_expression_there_is_none(simulated):
    mdata = mudata.MuData({"histone": simulated["histone"].copy()})
    mdata.obs = simulated.obs.copy()
    attn.pp.split(mdata)
    MultiAttention.setup_mudata(mdata)
    model = MultiAttention(mdata)
    model.train(max_epochs=1, enable_progress_bar=False)
    assert model.module.temperature != 1
    np.testing.assert_array_equal(model.module.second_reading, 0)


@pytest.mark.parametrize(("n_train", "share"), [(0, 0.5), (2_000, 0.5), (4_000, 0.3), (8_000, 0.1), (10**6, 0.1)])
def test_the_more_there_is_to_learn_from_the_less_is_dropped(n_train, share):
    assert dropout_for(n_train) == pytest.approx(share, abs=1e-4)


def test_all_own_parts_drop_that_share_unless_another_is_given(mdata, monkeypatch):
    def shares(**options):
        model = MultiAttention(mdata, **options)
        made = _shares(model)
        for _ in range(2):  # training goes on with the same share
            model.train(1, batch_size=256)
        return made, _shares(model)

    n_train = int((attn.pp.split(mdata).obs["split"] == "train").sum())
    MultiAttention.setup_mudata(mdata)
    assert shares() == ({0.1, 0.02}, {0.5, 0.1})  # residual blocks: a fifth
    assert shares(dropout=0.2) == ({0.2, 0.04},) * 2
    assert shares(dropout=0.0) == ({0.0},) * 2
    monkeypatch.setattr("epiattn.models._multi_attention.dropout_for", {n_train: 0.3}.__getitem__)
    assert shares()[1] == {0.3, 0.06}
    published = {"histone_encoder": "crnn", "methylation_encoder": "rnn", "tf_encoder": "self_attention"}
    assert shares(**published)[1] == {0.3}  # the head


def _shares(model):
    return {round(part.p, 6) for part in model.module.network.modules() if isinstance(part, torch.nn.Dropout)}

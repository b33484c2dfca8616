"""Ensembles: each member is the model trained alone with its seed, and what is written is put together from them."""

from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback
from scipy.special import expit, logit

import epiattn as attn
from epiattn import _engine
from epiattn.tl import _members
from epiattn.tl._ensemble import name_of, parse_name

SHORT = {"max_epochs": 1, "batch_size": 128}
QUICK = {"model": "kang2020", **SHORT}
DEFAULT = {**QUICK, "model": "multi_attention"}  # calibrates its probabilities
N_MODELS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("model")


@pytest.fixture(scope="module")
def data():
    data = attn.datasets.simulate(n_genes=90, cell_types=2, n_bins=20, max_cpgs=8, n_tfs=12, seed=3)
    return attn.pp.split(data)


@pytest.fixture(scope="module")
def fitted(data, folder):
    return attn.tl.fit(data, n_models=N_MODELS, model_dir=folder, copy=True, **QUICK)


@pytest.fixture(scope="module")
def alone(data):
    """The members, each trained on its own."""
    return [attn.tl.fit(data, seed=seed, copy=True, **QUICK) for seed in range(N_MODELS)]


def scores(mdata, key="attn"):
    return mdata.obs[f"{key}_score"].to_numpy()


def layer(mdata, modality):
    values = mdata[modality].layers["attn_attention"]
    return values.toarray() if hasattr(values, "toarray") else values


def assert_same(one, other):
    """Everything that was written is the same, field by field."""
    assert one.uns["attn"]["written"] == other.uns["attn"]["written"]
    for name in [column for column in one.obs if column.startswith("attn_")]:
        pd.testing.assert_series_equal(one.obs[name], other.obs[name])
    for name in [name for name in one.obsm if "attn" in name]:
        np.testing.assert_array_equal(np.asarray(one.obsm[name]), np.asarray(other.obsm[name]))
    for modality in ("histone", "methylation", "tf"):
        np.testing.assert_array_equal(layer(one, modality), layer(other, modality))


# --- what is written -------------------------------------------------------------------------------------------------


def test_the_score_is_the_mean_and_its_deviation_that_between_the_members(fitted, alone):
    members = np.array([scores(each) for each in alone])
    np.testing.assert_allclose(scores(fitted), members.mean(0), rtol=1e-5)
    sd = fitted.obs["attn_score_sd"].to_numpy()
    np.testing.assert_allclose(sd, members.std(0, ddof=1), rtol=1e-4, atol=1e-6)
    assert (sd > 0).all()
    assert ((scores(fitted) > 0.5) == (fitted.obs["attn_prediction"] == "high")).all()


def test_attention_and_modality_weights_are_means(fitted, alone):
    weights = np.mean([each.obsm["attn_modality"].to_numpy() for each in alone], 0)
    np.testing.assert_allclose(fitted.obsm["attn_modality"].to_numpy(), weights, rtol=1e-5)
    for modality in ("histone", "methylation", "tf"):
        mean = np.mean([layer(each, modality) for each in alone], 0)
        np.testing.assert_allclose(layer(fitted, modality), mean, rtol=1e-4, atol=1e-6)
    unbound = np.mean([each["tf"].obs["attn_unbound"].to_numpy() for each in alone], 0)
    np.testing.assert_allclose(fitted["tf"].obs["attn_unbound"], unbound, rtol=1e-5)


def test_latent_spaces_and_contexts_are_side_by_side(fitted, alone):
    for name in ("X_attn", "X_attn_histone", "X_attn_methylation", "X_attn_tf"):
        np.testing.assert_array_equal(fitted.obsm[name], np.hstack([each.obsm[name] for each in alone]))


def test_the_record_says_which_training_is_whose(fitted, alone):
    record = fitted.uns["attn"]
    assert record["n_models"] == N_MODELS
    history = pd.DataFrame(record["history"])
    for seed, each in enumerate(alone):
        own = history[history["seed"] == seed]
        np.testing.assert_array_equal(own["loss_validation"], each.uns["attn"]["history"]["loss_validation"])
        assert own.loc[own["kept"], "epoch"].tolist() == [each.uns["attn"]["best_epoch"]]
    rows = (fitted.obs["split"] == "test").to_numpy()
    truth = (fitted.obs["label"] == "high").to_numpy()[rows]
    assert record["metrics"]["test"]["auc"] == pytest.approx(attn.metrics.roc_auc(truth, scores(fitted)[rows]))
    assert len(attn.pl.history(fitted).axes) == 2


def test_one_model_is_what_it_was(data, alone):
    one = attn.tl.fit(data, n_models=1, copy=True, **QUICK)
    assert_same(one, alone[0])
    assert "attn_score_sd" not in one.obs
    assert set(one.uns["attn"]) == set(alone[0].uns["attn"])
    assert not {"n_models", "interval"} & set(one.uns["attn"])


def test_an_ensemble_is_replaced_by_one_model_without_a_trace(fitted, data):
    again = attn.tl.fit(fitted, copy=True, **QUICK)
    assert "attn_score_sd" not in again.obs
    assert again.obsm["X_attn"].shape[1] * N_MODELS == fitted.obsm["X_attn"].shape[1]


def test_the_mean_is_calibrated_on_the_validation_part_where_the_model_is(data):
    members = [scores(attn.tl.fit(data, seed=s, copy=True, **DEFAULT)) for s in (0, 1)]
    fitted = attn.tl.fit(data, n_models=2, copy=True, **DEFAULT)
    mean = np.mean(members, 0, dtype=float)
    rows = (data.obs["split"] == "validation").to_numpy()
    truth = (data.obs["label"] == "high").to_numpy(dtype=float)
    found = attn.metrics.temperature(truth[rows], logit(mean[rows]))
    assert abs(found - 1) > 0.01
    np.testing.assert_allclose(scores(fitted), expit(logit(mean) / found), rtol=1e-4)
    raw = attn.tl.fit(data, n_models=2, calibrate=False, copy=True, **DEFAULT)
    alone = attn.tl.fit(data, calibrate=False, copy=True, **DEFAULT)
    half = alone.obsm["X_attn"].shape[1]
    np.testing.assert_array_equal(raw.obsm["X_attn"][:, :half], alone.obsm["X_attn"])


@pytest.mark.parametrize("model", list(attn._registry.models))
def test_every_model_can_be_an_ensemble(data, model):
    mdata = data.copy()
    if model == "deep_chrome":  # needs a wide window
        mdata = attn.datasets.simulate(n_genes=90, cell_types=1, n_bins=100, max_cpgs=8, n_tfs=12)
    mdata = attn.tl.fit(mdata, n_models=2, **{**QUICK, "model": model})
    assert np.isfinite(scores(mdata)).all()
    assert (mdata.obs["attn_score_sd"] >= 0).all()


# --- saved and applied ------------------------------------------------------------------------------------------------


def test_a_saved_ensemble_gives_the_same_again(data, fitted, folder):
    assert sorted(path.name for path in folder.iterdir()) == ["ensemble.json", "seed_0", "seed_1", "seed_2"]
    assert_same(attn.tl.embed(data, folder, copy=True), fitted)
    member = attn.models.RegulatoryModel.load(folder / "seed_1")
    assert member.predict(data.copy()).shape == (data.n_obs,)


def test_a_folder_holds_what_was_saved_last(data, alone, tmp_path):
    options = {"model_dir": tmp_path, "copy": True, **QUICK}
    calibrated = attn.tl.fit(data, n_models=2, **{**options, **DEFAULT})
    assert_same(attn.tl.embed(data, tmp_path, copy=True), calibrated)
    attn.tl.fit(data, **options)
    assert_same(attn.tl.embed(data, tmp_path, copy=True), alone[0])
    own = attn.tl.fit(data, per="cell_type", n_models=2, **options)
    assert_same(attn.tl.embed(data, tmp_path, copy=True), own)
    pair = attn.tl.fit(data, n_models=2, **options)
    assert_same(attn.tl.embed(data, tmp_path, copy=True), pair)


def test_the_object_can_be_written_and_read(fitted, tmp_path):
    fitted.write_h5mu(tmp_path / "fitted.h5mu")
    again = mudata.read_h5mu(tmp_path / "fitted.h5mu")
    np.testing.assert_array_equal(again.obs["attn_score_sd"], fitted.obs["attn_score_sd"])
    assert attn.pl.history(again).axes


def test_each_cell_type_has_its_own_ensemble(data):
    fitted = attn.tl.fit(data, per="cell_type", n_models=2, copy=True, **QUICK)
    members = [attn.tl.fit(data, per="cell_type", seed=seed, copy=True, **QUICK) for seed in range(2)]
    np.testing.assert_allclose(scores(fitted), np.mean([scores(each) for each in members], 0), rtol=1e-5)
    history = pd.DataFrame(fitted.uns["attn"]["history"])
    assert set(zip(history["cell_type"], history["seed"], strict=True)) == {
        (name, seed) for name in data.obs["cell_type"].unique() for seed in range(2)
    }


def test_expression_is_averaged_too(data):
    options = {"target": "expression", "copy": True, **QUICK}
    fitted = attn.tl.fit(data, n_models=2, **options)
    members = [scores(attn.tl.fit(data, seed=seed, **options)) for seed in range(2)]
    np.testing.assert_allclose(scores(fitted), np.mean(members, 0), rtol=1e-5, atol=1e-6)
    assert "attn_prediction" not in fitted.obs


# --- in comparisons ---------------------------------------------------------------------------------------------------


def test_cross_validation_trains_the_members_of_a_fold_with_seeds_of_their_own(data):
    options = {"n_folds": 2, "copy": True, **QUICK}
    found = attn.tl.cross_validate(data, n_models=2, seeds=(1,), **options)
    members = attn.tl.cross_validate(data, seeds=(2, 3), **options)
    np.testing.assert_allclose(scores(found, "cv"), scores(members, "cv"), rtol=1e-5)
    assert found.uns["cv"]["folds"]["model"].unique().tolist() == ["kang2020 x2"]


def test_an_ensemble_stands_beside_its_model_in_a_benchmark(data, tmp_path):
    names = ["hm_crnn", "hm_crnn x2", "prevalence"]
    mdata = data.copy()
    table = attn.tl.benchmark(mdata, models=names, n_folds=2, folder=tmp_path, **SHORT)
    assert table["model"].drop_duplicates().tolist() == names
    assert table.groupby("model")["kind"].first().to_dict() == dict(
        zip(names, ["model", "model", "baseline"], strict=True)
    )
    out_of_fold = mdata.obsm["benchmark_scores"]
    assert not np.allclose(out_of_fold["hm_crnn"], out_of_fold["hm_crnn x2"], equal_nan=True)
    assert len(list(tmp_path.glob("*.npz"))) == 6  # kept apart
    again = attn.tl.benchmark(data.copy(), models=names, n_folds=2, folder=tmp_path, **SHORT)
    pd.testing.assert_frame_equal(again, table)


def test_names_of_ensembles_are_read_as_they_are_written():
    assert parse_name(name_of("multi_attention", 5)) == ("multi_attention", 5)
    assert parse_name(name_of("hm_crnn", 12)) == ("hm_crnn", 12)
    assert name_of("hm_crnn", 1) == "hm_crnn"
    for name in ("hm_crnn", "hm_crnn x1", "hm_crnn x0", "hm_crnn x", "logistic x5", "hm_crnnx5"):
        assert parse_name(name) == (name, 1)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_models", [0, -1, 1.5, "5", True, None])
def test_a_number_of_models_is_refused_that_is_none(data, n_models):
    with pytest.raises(ValueError, match=f"n_models must be a whole number, 1 or more, not {n_models!r}"):
        attn.tl.fit(data, n_models=n_models, copy=True)
    with pytest.raises(ValueError, match="n_models must be a whole number"):
        attn.tl.cross_validate(data, n_models=n_models, copy=True)


def test_baselines_are_no_ensembles(data):
    with pytest.raises(ValueError, match="n_models=3 is for models, not for the baseline 'logistic'"):
        attn.tl.cross_validate(data, model="logistic", n_models=3, copy=True)
    with pytest.raises(ValueError, match=r"models names \['logistic x3'\]"):
        attn.tl.benchmark(data.copy(), models=["logistic x3"])


def test_the_deviation_of_someone_else_is_not_overwritten(data):
    mdata = data.copy()
    mdata.obs["attn_score_sd"] = 1.0
    with pytest.raises(ValueError, match="would overwrite .*obs/attn_score_sd"):
        attn.tl.fit(mdata, n_models=2, **QUICK)


# --- in several processes ---------------------------------------------------------------------------------------------


def test_members_trained_in_other_processes_are_the_same(data, fitted, tmp_path):
    before = torch.get_rng_state()
    options = {"accelerator": "cpu", "devices": 1}
    elsewhere = attn.tl.fit(data, n_models=N_MODELS, n_jobs=2, model_dir=tmp_path / "m", copy=True, **QUICK, **options)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same(elsewhere, fitted)
    assert elsewhere.uns["attn"]["fingerprint"] == fitted.uns["attn"]["fingerprint"]
    pd.testing.assert_frame_equal(
        pd.DataFrame(elsewhere.uns["attn"]["history"]), pd.DataFrame(fitted.uns["attn"]["history"])
    )
    assert elsewhere.uns["attn"]["metrics"] == fitted.uns["attn"]["metrics"]
    assert_same(attn.tl.embed(data, tmp_path / "m", copy=True), fitted)
    attn.tl.attribute(elsewhere, n_steps=2)  # the models are at hand


@pytest.fixture
def as_elsewhere(monkeypatch):
    """Tasks of other processes are done in this one; that they come there is tested above, and with the engine."""
    run = _engine.run
    monkeypatch.setattr(_members, "run", lambda *args, n_jobs, **options: run(*args, n_jobs=1, **options))


def test_so_are_models_of_cell_types_with_columns_and_options_of_their_own(data, as_elsewhere):
    mdata = data.copy()
    mdata.obs["batch"] = np.where(np.arange(mdata.n_obs) % 2, "one", "two")
    mdata.obs["active"] = mdata.obs["label"]
    mdata.obs["part"] = mdata.obs["split"]
    mdata["histone"].obs["unwritable"] = [[i] for i in range(mdata.n_obs)]
    mdata["histone"].var.index.name = "start"
    options = {"per": "cell_type", "label_key": "active", "split_key": "part", "scale_by": "batch", **DEFAULT}
    here, elsewhere = (attn.tl.fit(mdata, n_jobs=n, copy=True, **options) for n in (1, 2))
    assert_same(elsewhere, here)
    assert elsewhere.uns["attn"]["fingerprint"] == here.uns["attn"]["fingerprint"]


def test_an_error_of_another_process_names_the_cell_type(data, as_elsewhere):
    mdata = data.copy()
    first = mdata.obs["cell_type"].astype(str) == mdata.obs["cell_type"].astype(str).iloc[0]
    mdata.obs.loc[first, "label"] = "high"
    with pytest.raises(ValueError, match=f"Cell type '{mdata.obs['cell_type'].iloc[0]}'.*two classes are needed"):
        attn.tl.fit(mdata, per="cell_type", n_jobs=2, **QUICK)


def test_by_default_only_large_objects_are_trained_elsewhere_and_never_where_one_watches(data, monkeypatch):
    asked = []
    monkeypatch.setattr(_members, "run", lambda *_, n_jobs, **__: asked.append(n_jobs) or 1 / 0)
    attn.tl.fit(data, n_models=2, copy=True, **QUICK)
    monkeypatch.setattr(_engine, "_MANY", data.n_obs)
    monkeypatch.setattr(_engine, "_n_cores", lambda: 8)
    attn.tl.fit(data, copy=True, **QUICK)
    attn.tl.fit(data, n_models=2, callbacks=[Callback()], copy=True, **QUICK)
    assert asked == []
    with pytest.raises(ZeroDivisionError):
        attn.tl.fit(data, n_models=5, copy=True, **QUICK)
    assert asked == [5]


def test_what_one_process_does_is_done_here_whatever_n_jobs_says(data, monkeypatch):
    monkeypatch.setattr(_members, "run", lambda *_, **__: 1 / 0)
    assert attn.tl.fit(data, n_jobs=4, copy=True, **QUICK).obsm["X_attn"].shape[0] == data.n_obs
    monkeypatch.setattr(_engine, "_n_cores", lambda: 1)
    two = attn.tl.fit(data, n_models=2, n_jobs=-1, copy=True, **QUICK)
    assert_same(two, attn.tl.fit(data, n_models=2, copy=True, **QUICK))


def test_a_number_of_processes_that_is_none_is_refused(data):
    with pytest.raises(ValueError, match="n_jobs must be"):
        attn.tl.fit(data, n_models=2, n_jobs=0, copy=True, **QUICK)

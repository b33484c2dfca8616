"""The test of faithfulness in the object, and who is warned of what fails it."""

from __future__ import annotations

import logging

import mudata
import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

import epiattn as attn
from epiattn._logging import logger
from epiattn._results import unfaithful
from epiattn.tl import _trained
from epiattn.tl._faithfulness import _chosen
from epiattn.tl._trained import Trained, fingerprint
from epiattn.tl._untrained import _shuffle_targets, trained_again, with_random_weights

FAST = {"n_obs": 40, "n_points": 4, "n_random": 2, "n_steps": 4}


@pytest.fixture(scope="module")
def fitted(simulated):
    return attn.tl.fit(simulated, max_epochs=2, copy=True)


@pytest.fixture(scope="module")
def tested(fitted):
    return attn.tl.faithfulness(fitted, **FAST, copy=True)


@pytest.fixture
def logged(caplog):
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING, logger="epiattn"):
        yield caplog
    logger.removeHandler(caplog.handler)


def test_every_modality_and_method_gets_a_verdict(tested):
    found = attn.get.faithfulness(tested)
    methods = ["attention", "integrated_gradients", "occlusion"]
    assert list(zip(found["modality"], found["method"], strict=True)) == [
        (modality, method) for modality in ("histone", "methylation", "tf") for method in methods
    ]
    tests = attn.get.faithfulness(tested, table="tests")
    assert set(tests["method"]) == {*methods, "signal"}
    assert (tests["low"] < tests["difference"]).all()
    assert (tests["difference"] < tests["high"]).all()
    assert set(tests["interval"].str.replace(r"\d+", "n", regex=True)) == {"jackknife-t over n groups"}
    histone = tests[(tests["modality"] == "histone") & (tests["against"] == "random") & (tests["curve"] == "deletion")]
    assert (histone["low"][histone["method"].isin(["integrated_gradients", "occlusion"])] > 0).all()


def test_curves_start_at_nothing_and_end_where_all_orders_end(tested):
    curves = attn.get.faithfulness(tested, table="curves")
    for _, of_modality in curves.groupby("modality"):
        assert (of_modality.loc[of_modality["share"] == 0, "mean"].abs() < 1e-5).all()
        np.testing.assert_allclose(np.ptp(of_modality.loc[of_modality["share"] == 1, "mean"]), 0, atol=1e-5)
        assert (of_modality.loc[of_modality["share"] == 1, "mean"] > 0).all()
    assert len(curves) == 3 * 5 * 2 * 5


def test_the_end_of_a_curve_is_what_the_modality_is_worth(fitted):
    """Histone marks set to 0, CpGs and TFs as they are: as an object without signal would be predicted."""
    genes = list(fitted.obs_names[:30])
    found = attn.tl.faithfulness(fitted, methods="attention", checks=[], genes=genes, n_points=2, n_random=1, copy=True)
    curves = attn.get.faithfulness(found, table="curves")
    silent = fitted.copy()
    for mark in fitted.uns["attn"]["channels"]["histone"]:
        silent["histone"].layers[mark] = np.zeros_like(silent["histone"].layers[mark])
    model = _trained.find_models(fitted, "attn")[""].first
    full, empty = (logit(model.predict(each)[:30].astype(float)) for each in (fitted, silent))
    end = curves[(curves["modality"] == "histone") & (curves["share"] == 1) & (curves["curve"] == "deletion")]
    np.testing.assert_allclose(end["mean"], np.abs(full - empty).mean(), rtol=1e-3)


def test_the_same_seed_gives_the_same(fitted, tested):
    again = attn.tl.faithfulness(fitted, **FAST, copy=True)
    other = attn.tl.faithfulness(fitted, **FAST, seed=1, copy=True)
    for table in ("tests", "sanity", "agreement", "planted"):
        expected = attn.get.faithfulness(tested, table=table)
        pd.testing.assert_frame_equal(attn.get.faithfulness(again, table=table), expected)
    assert not attn.get.faithfulness(other, table="tests").equals(attn.get.faithfulness(tested, table="tests"))


def test_it_survives_writing(tested, tmp_path):
    tested.write_h5mu(tmp_path / "a.h5mu")
    tested.copy().write_zarr(tmp_path / "a.zarr")
    for read in (mudata.read_h5mu(tmp_path / "a.h5mu"), mudata.read_zarr(tmp_path / "a.zarr")):
        for table in ("verdicts", "tests", "curves", "sanity", "planted"):
            found, expected = (attn.get.faithfulness(each, table=table) for each in (read, tested))
            assert list(found) == list(expected)
            assert all(found[name].astype(str).tolist() == expected[name].astype(str).tolist() for name in expected)
        assert unfaithful(read, "attn") == unfaithful(tested, "attn")


def test_planted_causes_are_looked_for_on_simulated_data_only(fitted, tested):
    found = attn.get.faithfulness(tested, table="planted").set_index(["modality", "method"])["average_precision"]
    assert found["histone", "integrated_gradients"] > found["histone", "attention"]
    real = fitted.copy()
    for adata in real.mod.values():
        for name in [name for name in adata.layers if str(name).startswith("truth_")]:
            del adata.layers[name]
    real = attn.tl.faithfulness(real, methods="attention", checks=[], **FAST)
    with pytest.raises(ValueError, match=r"holds no table 'planted', which needs simulated data"):
        attn.get.faithfulness(real, table="planted")


def test_observations_are_drawn_from_all_cell_types_and_predictions(fitted):
    rows = _chosen(fitted, "attn", np.random.default_rng(0), 40)
    assert len(np.unique(rows)) == 40
    obs = fitted.obs.iloc[rows]
    high = (
        obs["attn_score"] > fitted.obs.groupby("cell_type", observed=True)["attn_score"].transform("median").iloc[rows]
    )
    assert pd.crosstab(obs["cell_type"].to_numpy(), high.to_numpy()).to_numpy().tolist() == [[10, 10], [10, 10]]
    everyone = _chosen(fitted, "attn", np.random.default_rng(0), 10_000)
    np.testing.assert_array_equal(everyone, np.arange(fitted.n_obs))


def test_histone_only_anndata(simulated):
    adata = simulated["histone"].copy()
    adata.obs = simulated.obs.copy()
    adata = attn.tl.fit(adata, max_epochs=1, model="deep_chrome")
    adata = attn.tl.faithfulness(adata, methods=["attention", "gradient_x_input"], checks=[], **FAST)
    assert adata.uns["attn_faithfulness"]["verdicts"]["method"].tolist() == ["gradient_x_input"]  # it has no attention


# --- models that learned nothing, or with another seed ---------------------------------------------------------------


def test_random_weights_are_the_same_ones_elsewhere(fitted):
    trained = Trained(fitted, "attn")
    before = fingerprint(_trained.find_models(fitted, "attn"))
    random = with_random_weights(trained, 0)
    assert fingerprint(_trained.find_models(fitted, "attn")) == before
    moved = 0
    for one, other in zip(
        trained.parts[0][1][0].module.parameters(), random.parts[0][1][0].module.parameters(), strict=True
    ):
        one, other = (each.detach().numpy().ravel() for each in (one, other))
        np.testing.assert_array_equal(np.sort(one), np.sort(other))
        moved += (one != other).any()
    assert moved > 10
    again = with_random_weights(trained, 0)
    np.testing.assert_array_equal(random.output(np.arange(9)), again.output(np.arange(9)))
    assert not np.allclose(random.output(np.arange(9)), trained.output(np.arange(9)))


def test_a_model_that_is_trained_again_is_the_run_s_own(fitted):
    trained = Trained(fitted, "attn")
    before = fitted.obs.copy()
    assert trained_again(fitted, trained, seed=0).fingerprint == trained.fingerprint
    for options in ({"seed": 1}, {"seed": 0, "shuffle": True}, {"seed": 0, "max_epochs": 1}):
        assert trained_again(fitted, trained, **options).fingerprint != trained.fingerprint
    pd.testing.assert_frame_equal(fitted.obs, before)


def test_labels_are_exchanged_within_cell_types_and_parts(fitted):
    mdata = fitted.copy()
    _shuffle_targets(mdata, "label", "split", 0)
    blocks = ["cell_type", "split", "label"]
    pd.testing.assert_series_equal(
        mdata.obs[blocks].value_counts().sort_index(), fitted.obs[blocks].value_counts().sort_index()
    )
    assert (mdata.obs["label"] != fitted.obs["label"]).mean() > 0.3
    before, after = (np.asarray(each["rna"].X)[:, 0] for each in (fitted, mdata))
    higher = fitted["rna"].X[:, 0][(fitted.obs["label"] == "high").to_numpy()].min()
    assert ((after > higher - 1e-6) == (mdata.obs["label"] == "high")).mean() > 0.8  # labels go with the expression
    assert (before != after).any()


def test_checks_train_models(fitted):
    found = attn.tl.faithfulness(
        fitted, methods="attention", checks=["weights", "labels", "seeds"], max_epochs=1, **FAST, copy=True
    )
    assert list(attn.get.faithfulness(found, table="sanity")["check"]) == ["weights", "labels"] * 3
    stability = attn.get.faithfulness(found, table="stability")
    assert set(stability["n_models"]) == {2}
    assert stability["correlation"].between(-1, 1).all()


def test_members_of_an_ensemble_are_compared(simulated):
    mdata = attn.tl.fit(simulated, n_models=2, per="cell_type", max_epochs=1, copy=True)
    mdata = attn.tl.faithfulness(mdata, methods="attention", checks=[], **FAST)
    assert set(attn.get.faithfulness(mdata, table="stability")["n_models"]) == {2}
    with pytest.raises(ValueError, match=r"no table 'sanity', which needs checks="):
        attn.get.faithfulness(mdata, table="sanity")


def test_a_run_of_embed_cannot_be_trained_again(simulated, tmp_path):
    attn.tl.fit(simulated, max_epochs=1, model_dir=tmp_path / "model", copy=True)
    mdata = attn.tl.embed(simulated.copy(), tmp_path / "model")
    with pytest.raises(ValueError, match=r"was applied by tl\.embed"):
        attn.tl.faithfulness(mdata, checks=["labels"])
    attn.tl.faithfulness(mdata, methods="attention", checks=["weights"], model_dir=tmp_path / "model", **FAST)


def test_an_object_may_lack_a_modality_and_an_ensemble_is_not_trained_again(simulated, tmp_path):
    options = {"max_epochs": 1, "n_models": 2, "modality_dropout": 0.2}
    attn.tl.fit(simulated, model_dir=tmp_path / "model", copy=True, **options)
    fewer = simulated.copy()
    del fewer.mod["tf"]
    mdata = attn.tl.embed(fewer, tmp_path / "model")
    attn.tl.faithfulness(mdata, methods="attention", checks=["seeds"], **FAST)
    assert set(attn.get.faithfulness(mdata)["modality"]) == {"histone", "methylation"}
    assert set(attn.get.faithfulness(mdata, table="stability")["n_models"]) == {2}


# --- warnings --------------------------------------------------------------------------------------------------------


def judged(mdata, **passes):
    """The object with these verdicts on its attention."""
    mdata = mdata.copy()
    table = mdata.uns["attn_faithfulness"]["verdicts"].copy()
    of_attention = table["method"] == "attention"
    table["passes"] = [
        passes.get(name, True) if about else True for name, about in zip(table["modality"], of_attention, strict=True)
    ]
    table["sane"] = True
    mdata.uns["attn_faithfulness"]["verdicts"] = table
    return mdata


def test_attention_that_fails_is_warned_of_wherever_it_is_read(tested, logged):
    mdata = judged(tested, histone=False)
    attn.tl.attention(mdata)
    assert list(mdata.uns["attn_attention"]["unfaithful"]) == ["histone"]
    attn.get.attention(mdata)
    attn.get.attention(mdata, modality="histone")
    attn.pl.attention(mdata)
    assert len(logged.records) == 4
    assert all("The attention of the run 'attn' over histone failed" in r.getMessage() for r in logged.records)
    attn.get.attention(mdata, modality="tf")
    attn.pl.attention(mdata, modality="tf")
    assert len(logged.records) == 4


def test_attention_that_passes_or_was_not_tested_is_not_warned_of(fitted, tested, logged):
    for mdata in (judged(tested), fitted.copy()):
        attn.tl.attention(mdata)
        attn.get.attention(mdata)
        attn.pl.attention(mdata)
        assert list(mdata.uns["attn_attention"]["unfaithful"]) == []
    assert not logged.records


def test_attribution_that_fails_is_warned_of_too(fitted, logged):
    mdata = attn.tl.attribute(fitted, n_steps=2, copy=True)
    attn.tl.faithfulness(mdata, methods="integrated_gradients", n_obs=40, n_steps=2, checks=[])
    table = mdata.uns["attn_faithfulness"]["verdicts"]
    table["passes"] = table["modality"] != "tf"
    assert "sane" not in table
    logged.clear()
    attn.tl.attribute(mdata, n_steps=2)
    attn.tl.differential_regulation(mdata, groupby="label")
    attn.tl.attribute(mdata, method="gradient_x_input", key_added="other")  # was not tested
    attn.tl.attribute(mdata, n_steps=2, smooth=200, key_added="smooth")  # nor was this
    failed = [r.getMessage() for r in logged.records if "failed the test of tl.faithfulness" in r.getMessage()]
    assert len(failed) == 2
    assert all("The attribution by 'integrated_gradients' of the run 'attn' over tf failed" in text for text in failed)


def test_attention_that_is_not_sane_is_warned_of(tested, logged):
    mdata = judged(tested)
    verdicts, sanity = (attn.get.faithfulness(tested, table=name) for name in ("verdicts", "sanity"))
    for row in verdicts.itertuples():
        of_row = sanity[(sanity["modality"] == row.modality) & (sanity["method"] == row.method)]
        assert row.sane == of_row["passes"].all()
    table = mdata.uns["attn_faithfulness"]["verdicts"]
    table["sane"] = ~((table["modality"] == "tf") & (table["method"] == "attention"))
    assert unfaithful(mdata, "attn") == ["tf"]
    attn.tl.attention(mdata)
    assert "or than that of a model that learned nothing does" in logged.text


def test_a_verdict_is_about_one_run(tested, logged):
    mdata = judged(tested, histone=False, tf=False)
    assert unfaithful(mdata, "attn") == ["histone", "tf"]
    attn.tl.fit(mdata, max_epochs=1, seed=3)
    attn.tl.attention(mdata)
    assert unfaithful(mdata, "attn") == []
    assert unfaithful(mdata, "nobody") == []
    assert not logged.records
    with pytest.raises(ValueError, match=r"about an earlier fit under key 'attn'"):
        attn.get.faithfulness(mdata)


def test_the_test_notes_its_verdict_in_earlier_results(fitted, tested, monkeypatch, logged):
    from epiattn.tl import _faithfulness_tables

    failed = judged(tested, methylation=False).uns["attn_faithfulness"]["verdicts"]
    monkeypatch.setattr(_faithfulness_tables, "verdicts", lambda *_: failed)
    mdata = attn.tl.attention(fitted, copy=True)
    assert list(mdata.uns["attn_attention"]["unfaithful"]) == []
    attn.tl.faithfulness(mdata, methods="attention", checks=[], **FAST)
    assert list(mdata.uns["attn_attention"]["unfaithful"]) == ["methylation"]
    assert "Faithfulness of attention over methylation: does not beat random orders" in logged.text


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["magic"]}, r"methods must be one of \['attention', .*'occlusion'\], not 'magic'"),
        ({"methods": []}, "methods is empty"),
        ({"checks": ["luck"]}, r"checks must be one of \['weights', 'labels', 'seeds'\], not 'luck'"),
        ({"n_obs": 5}, "n_obs must be 10 or more, not 5"),
        ({"n_points": 1}, "n_points must be 2 or more, not 1"),
        ({"n_random": 0}, "n_random must be 1 or more, not 0"),
        ({"smooth": -1.0}, r"smooth must be 0 or more, not -1\.0"),
        ({"genes": ["nobody"]}, r"Unknown genes \['nobody'\]"),
        ({"genes": ["gene_00001"]}, "Nothing to test"),
        ({"key": "other"}, "No fit under key 'other'"),
        ({"key_added": "histone"}, "name of a modality"),
    ],
)
def test_what_cannot_be_done_is_said(fitted, options, message):
    with pytest.raises(ValueError, match=message):
        attn.tl.faithfulness(fitted, copy=True, **options)


def test_nothing_of_others_is_overwritten(fitted):
    mdata = fitted.copy()
    mdata.uns["attn_faithfulness"] = "mine"
    with pytest.raises(ValueError, match=r"would overwrite \['uns/attn_faithfulness'\]"):
        attn.tl.faithfulness(mdata)
    with pytest.raises(ValueError, match=r"No result of tl\.faithfulness"):
        attn.get.faithfulness(mdata)
    with pytest.raises(ValueError, match=r"table must be one of"):
        attn.get.faithfulness(mdata, table="everything")

"""Models of known quality are ranked as they should be; nothing leaks, nothing is lost."""

from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest

import epiattn as attn
from epiattn._registry import Entry, baselines

CALLS: list[str] = []


def truth_of(mdata, label_key="label"):
    return (mdata.obs[label_key].astype(str) == "high").to_numpy(float)


def oracle(mdata, *, target, channels, label_key, split_key, seed):
    """The truth itself, on another scale in every fold: scores of folds must never be pooled."""
    CALLS.append("oracle")
    n_train = int((mdata.obs[split_key] == "train").sum())
    return truth_of(mdata, label_key) + n_train


def noisy(mdata, *, target, channels, label_key, split_key, seed):
    CALLS.append("noisy")
    return truth_of(mdata) + np.random.default_rng(seed).normal(size=mdata.n_obs)


def memory(mdata, *, target, channels, label_key, split_key, seed):
    """1 for what it was trained on, 0 for the rest: an out-of-fold score of 1 is a leak."""
    CALLS.append("memory")
    return (mdata.obs[split_key] == "train").to_numpy(float)


def impossible(mdata, *, target, channels, label_key, split_key, seed):
    msg = "this object has no moon phase"
    raise ValueError(msg)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    fakes = {function.__name__: function for function in (oracle, noisy, memory, impossible)}
    entries = {name: Entry(f"{__name__}:{name}", "for tests") for name in fakes}
    monkeypatch.setattr(baselines, "_entries", {**baselines._entries, **entries})
    monkeypatch.setattr(
        Entry, "load", lambda entry, load=Entry.load: fakes.get(entry.target.split(":")[1]) or load(entry)
    )
    CALLS.clear()


FAKES = ["noisy", "impossible", "oracle", "memory"]


def test_models_are_ranked_within_folds(mdata):
    table = attn.tl.benchmark(mdata, models=FAKES, n_folds=3, seeds=(0, 1))
    aucs = table[table["metric"] == "auc"].groupby("model", sort=False)["value"]
    assert aucs.get_group("oracle").tolist() == [1.0] * 6
    assert aucs.get_group("memory").tolist() == [0.5] * 6
    assert 0.6 < aucs.get_group("noisy").mean() < 0.9
    summary = attn.get.benchmark(mdata)
    assert summary["model"].tolist() == ["oracle", "noisy", "memory", "impossible"]
    assert summary["value"].iloc[1] == pytest.approx(aucs.get_group("noisy").mean())
    assert summary["low"].iloc[1] < summary["value"].iloc[1] < summary["high"].iloc[1]


def test_differences_are_to_the_best_baseline(mdata):
    attn.tl.benchmark(mdata, models=FAKES, n_folds=3)
    summary = attn.get.benchmark(mdata)
    assert summary.attrs["best_baseline"] == "oracle"
    one = summary.set_index("model")
    assert np.isnan(one.loc["oracle", "difference"])
    assert one.loc["memory", "difference"] == pytest.approx(-0.5)
    assert one.loc["memory", "p_value"] < 0.01
    assert one.loc["noisy", "difference"] == pytest.approx(one.loc["noisy", "value"] - 1)


def test_no_observation_is_scored_by_a_model_that_saw_it(mdata):
    attn.tl.benchmark(mdata, models=["memory"], n_folds=4)
    scores = mdata.obsm["benchmark_scores"]["memory"]
    assert scores.eq(0).all()
    assert mdata.obs["benchmark_fold"].value_counts().gt(0).all()
    assert mdata.obs.groupby("chrom", observed=True)["benchmark_fold"].nunique().eq(1).all()


def test_what_cannot_be_trained_is_in_the_table_with_the_reason(mdata):
    table = attn.tl.benchmark(mdata, models=["oracle", "impossible"], n_folds=3)
    rows = table[table["model"] == "impossible"]
    assert rows["value"].isna().all()
    assert rows["note"].eq("this object has no moon phase").all()
    assert mdata.obsm["benchmark_scores"]["impossible"].isna().all()
    assert attn.get.benchmark(mdata).set_index("model").loc["impossible", "note"] == "this object has no moon phase"


def test_seeds_are_averaged(mdata):
    attn.tl.benchmark(mdata, models=["noisy"], n_folds=3, seeds=(0, 1))
    expected = truth_of(mdata) + np.mean([np.random.default_rng(i).normal(size=mdata.n_obs) for i in (0, 1)], axis=0)
    np.testing.assert_allclose(mdata.obsm["benchmark_scores"]["noisy"], expected, rtol=1e-5)


def test_held_out_cell_types_have_residual_metrics(mdata):
    table = attn.tl.benchmark(mdata, models=["oracle"], by="cell_type")
    values = table.set_index("metric")["value"]
    assert values["residual_correlation"].notna().all()
    by_chrom = attn.tl.benchmark(mdata, models=["oracle"], n_folds=3)
    rows = by_chrom[by_chrom["metric"] == "residual_correlation"]
    assert rows["value"].isna().all()
    assert rows["note"].str.contains("split").all()


def test_networks_and_baselines_stand_side_by_side(mdata):
    table = attn.tl.benchmark(mdata, models={"kang2020": {"n_heads": 2}, "oracle": {}}, n_folds=2, max_epochs=1)
    assert table.groupby("model", sort=False)["kind"].first().to_dict() == {"kang2020": "model", "oracle": "baseline"}
    scores = mdata.obsm["benchmark_scores"]["kang2020"]
    assert scores.between(0, 1).all()
    assert scores.nunique() > 100
    assert "split" not in mdata.obs


def test_the_object_keeps_all_of_it_on_disk(mdata, tmp_path):
    attn.tl.benchmark(mdata, models=FAKES, n_folds=3)
    mdata.write_h5mu(tmp_path / "data.h5mu")
    again = mudata.read_h5mu(tmp_path / "data.h5mu")
    pd.testing.assert_frame_equal(attn.get.benchmark(again), attn.get.benchmark(mdata), check_dtype=False)
    pd.testing.assert_frame_equal(again.obsm["benchmark_scores"], mdata.obsm["benchmark_scores"])


def test_what_is_done_is_not_done_again(mdata, tmp_path):
    attn.tl.benchmark(mdata, models=["oracle"], n_folds=3, folder=tmp_path)
    assert CALLS == ["oracle"] * 3
    attn.tl.benchmark(mdata, models=["oracle", "noisy"], n_folds=3, folder=tmp_path)
    assert CALLS == ["oracle"] * 3 + ["noisy"] * 3
    mdata["histone"].layers["H3K4me3"][0, 0] += 1
    attn.tl.benchmark(mdata, models=["oracle"], n_folds=3, folder=tmp_path)
    assert CALLS[6:] == ["oracle"] * 3


def test_another_version_does_it_anew(mdata, tmp_path, monkeypatch):
    attn.tl.benchmark(mdata, models=["oracle"], n_folds=3, folder=tmp_path)
    before = set(tmp_path.glob("*.npz"))
    monkeypatch.setattr("epiattn.tl._jobs.version", lambda _: "9.9")
    attn.tl.benchmark(mdata, models=["oracle"], n_folds=3, folder=tmp_path)
    assert len(set(tmp_path.glob("*.npz")) - before) == len(before) == 3


def test_a_second_run_replaces_the_first(mdata):
    attn.tl.benchmark(mdata, models=["oracle", "noisy"], n_folds=3)
    attn.tl.benchmark(mdata, models=["memory"], n_folds=2)
    assert list(mdata.obsm["benchmark_scores"]) == ["memory"]
    mdata.obs["other_fold"] = 1
    with pytest.raises(ValueError, match="would overwrite.*obs/other_fold"):
        attn.tl.benchmark(mdata, models=["memory"], n_folds=2, key_added="other")


def test_an_anndata_holds_the_results_itself(mdata):
    adata = mdata["histone"].copy()
    adata.obs = mdata.obs.copy()
    attn.tl.benchmark(adata, models=["oracle", "memory"], n_folds=3)
    assert attn.get.benchmark(adata)["model"].tolist() == ["oracle", "memory"]
    assert list(adata.obsm["benchmark_scores"]) == ["oracle", "memory"]
    assert "benchmark_fold" in adata.obs


def test_regression(mdata):
    table = attn.tl.benchmark(mdata, models=["memory"], target="expression", n_folds=3)
    assert table["metric"].iloc[0] == "pearson"


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"models": ["kang2021"]}, ValueError, "kang2021.*known are.*kang2020"),
        ({"models": []}, ValueError, "no model"),
        ({"models": ["kang2020"], "n_head": 3}, TypeError, "n_head.*Did you mean 'n_heads'"),
        ({"models": ["oracle"], "target": "lable"}, ValueError, "target must be"),
        ({"models": ["oracle"], "by": "colour"}, ValueError, "colour"),
    ],
)
def test_bad_options_are_refused_before_any_work(mdata, options, error, match):
    with pytest.raises(error, match=match):
        attn.tl.benchmark(mdata, **options)
    assert CALLS == []
    assert "benchmark" not in mdata.uns


def test_get_says_what_there_is(mdata):
    with pytest.raises(ValueError, match=r"tl\.benchmark"):
        attn.get.benchmark(mdata)
    attn.tl.benchmark(mdata, models=["oracle"], n_folds=2)
    with pytest.raises(ValueError, match="metric must be one of .*'auc'.*not 'AUC'"):
        attn.get.benchmark(mdata, metric="AUC")
    assert attn.get.benchmark(mdata, metric="brier").attrs["metric"] == "brier"


# --- cross_validate ---------------------------------------------------------------------------------------------------


def test_cross_validation_writes_out_of_fold_scores(mdata):
    mdata = attn.tl.cross_validate(mdata, model="memory", n_folds=4)
    assert mdata.obs["cv_score"].eq(0).all()
    assert list(mdata.obs["cv_fold"].cat.categories) == ["fold_0", "fold_1", "fold_2", "fold_3"]
    record = mdata.uns["cv"]
    assert record["summary"].set_index("metric").loc["auc", "value"] == 0.5
    assert sorted(record["splits"]["fold_0"]["test"]) == sorted(
        mdata.obs.loc[mdata.obs["cv_fold"] == "fold_0", "chrom"].astype(str).unique()
    )


def test_cross_validation_raises_what_goes_wrong(mdata):
    with pytest.raises(ValueError, match="no moon phase"):
        attn.tl.cross_validate(mdata, model="impossible", n_folds=3)
    assert "cv" not in mdata.uns


def test_processes_give_the_same_scores(simulated):
    scores = [
        attn.tl.cross_validate(simulated, model="logistic", n_folds=3, n_jobs=n_jobs, copy=True).obs["cv_score"]
        for n_jobs in (1, 2)
    ]
    pd.testing.assert_series_equal(*scores)
    assert "cv_score" not in simulated.obs

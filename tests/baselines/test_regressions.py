"""Baselines on one number, on totals and on bins."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

import epiattn as attn
from epiattn.baselines import _features as features

PARTS = ("train", "validation", "test")


@pytest.fixture
def split(mdata):
    return attn.pp.split(mdata)


def rows_of(mdata):
    return [(mdata.obs["split"] == part).to_numpy() for part in PARTS]


def plant(mdata, mark, values):
    """Give a mark this total, spread over its bins."""
    n_bins = mdata["histone"].n_vars
    mdata["histone"].layers[mark] = np.repeat(values[:, None] / n_bins, n_bins, axis=1)


def test_prevalence_is_the_share_of_the_training_part(split):
    train, *_ = rows_of(split)
    high = (split.obs["label"] == "high").to_numpy()
    assert (attn.baselines.prevalence(split) == high[train].mean()).all()
    np.testing.assert_allclose(
        attn.baselines.prevalence(split, target="expression"), split["rna"].X[train].mean(), 1e-6
    )


@pytest.mark.parametrize("name", ["cpg_count", "tf_count"])
def test_counts_are_regressed_on_as_logarithms(split, name):
    count = {"cpg_count": features.n_cpg, "tf_count": features.n_tfs}[name](split, None)
    train, *_ = rows_of(split)
    x = StandardScaler().fit(np.log1p(count[train, None])).transform(np.log1p(count[:, None]))
    high, expression = (split.obs["label"] == "high").to_numpy(), split["rna"].X[:, 0].astype(float)
    function = getattr(attn.baselines, name)
    expected = LogisticRegression().fit(x[train], high[train]).predict_proba(x)[:, 1]
    np.testing.assert_allclose(function(split), expected, atol=1e-8)
    expected = LinearRegression().fit(x[train], expression[train]).predict(x)
    np.testing.assert_allclose(function(split, target="expression"), expected, atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_count_that_says_all_is_learned_in_either_direction(split, sign):
    high = (split.obs["label"] == "high").to_numpy()
    split["methylation"].obs["n_cpg"] = np.where(high == (sign > 0), 9, 1)
    for layer in split["methylation"].layers.values():
        if isinstance(layer, np.ndarray):
            layer[~np.isfinite(layer)] = 0
    assert attn.metrics.roc_auc(high, attn.baselines.cpg_count(split)) == 1


@pytest.mark.parametrize("target", ["label", "expression"])
def test_the_best_mark_is_chosen_on_validation(split, target):
    train, validation, test = rows_of(split)
    expression = split["rna"].X[:, 0].astype(float)
    truth = expression if target == "expression" else (split.obs["label"] == "high").to_numpy(float)
    rng = np.random.default_rng(0)
    noise = rng.random(len(truth))
    # H3K27ac knows the training part best, H3K9me3 (with the other sign) holds on validation and test.
    plant(split, "H3K27ac", np.expm1(np.where(train, 0.1 * truth, noise)))
    plant(split, "H3K9me3", np.expm1(3 - 0.1 * truth + 0.01 * noise))
    score = attn.baselines.best_mark(split, target=target)
    only = attn.baselines.logistic(split, target=target, channels={"histone": ["H3K9me3"]})
    np.testing.assert_allclose(score, only, atol=1e-8)
    assert np.corrcoef(score[test], truth[test])[0, 1] > 0.95


def test_without_a_validation_part_training_decides(split):
    high = (split.obs["label"] == "high").to_numpy(float)
    plant(split, "H3K36me3", 1 + high)
    split.obs["split"] = split.obs["split"].astype(object).replace("validation", "train")
    assert attn.metrics.roc_auc(high, attn.baselines.best_mark(split)) == 1
    assert np.isfinite(attn.baselines.ridge(split)).all()
    assert np.isfinite(attn.baselines.gradient_boosting(split)).all()


def test_expression_is_regressed_on_totals(split):
    train, *_ = rows_of(split)
    x, y = features.totals(split, None, who=""), split["rna"].X[:, 0].astype(float)
    expected = LinearRegression().fit(x[train], y[train]).predict(x)
    np.testing.assert_allclose(attn.baselines.logistic(split, target="expression", scale_by=None), expected, atol=1e-6)


@pytest.mark.parametrize("target", ["label", "expression"])
def test_ridge_is_the_best_of_its_penalties_on_validation(split, target):
    train, validation, _ = rows_of(split)
    x = features.bins(split, None, who="").astype(float)
    x = StandardScaler().fit(x[train]).transform(x)
    high, expression = (split.obs["label"] == "high").to_numpy(), split["rna"].X[:, 0].astype(float)
    tried = []
    for strength in (10, 100, 1_000, 10_000):
        if target == "label":
            p = LogisticRegression(C=1 / strength, max_iter=5_000).fit(x[train], high[train]).predict_proba(x)[:, 1]
            error = -np.log(np.where(high, p, 1 - p))
        else:
            p = Ridge(alpha=strength).fit(x[train], expression[train]).predict(x)
            error = (expression - p) ** 2
        tried.append((error[validation].mean(), p))
    expected = min(tried, key=lambda each: each[0])[1]
    np.testing.assert_allclose(attn.baselines.ridge(split, target=target, scale_by=None), expected, atol=2e-3)


def test_ridge_and_boosting_see_where_the_signal_is(split):
    """A mark with the same total everywhere, upstream of some genes and downstream of the others."""
    high = (split.obs["label"] == "high").to_numpy()
    layer = np.zeros((split.n_obs, split["histone"].n_vars))
    layer[high, 3] = layer[~high, 30] = 5
    split["histone"].layers["H3K4me1"] = layer
    *_, test = rows_of(split)
    chosen = {"histone": ["H3K4me1"]}
    assert attn.metrics.roc_auc(high[test], attn.baselines.logistic(split, channels=chosen)[test]) == 0.5
    for name in ("ridge", "gradient_boosting"):
        score = getattr(attn.baselines, name)(split, channels=chosen)
        assert attn.metrics.roc_auc(high[test], score[test]) == 1


@pytest.mark.parametrize("modality", ["methylation", "tf"])
@pytest.mark.parametrize("target", ["label", "expression"])
def test_boosting_reads_cpgs_and_tfs(split, modality, target):
    high = (split.obs["label"] == "high").to_numpy()
    split["rna"].X = high[:, None] * 3.0 + 1
    if modality == "tf":
        layer = np.zeros((split.n_obs, split["tf"].n_vars))
        layer[:, 0] = np.where(high, 2, -1)
        split["tf"].layers["binding"] = layer
        channels = {"tf": ["binding"]}
    else:
        split["methylation"].obs["n_cpg"] = np.full(split.n_obs, 2)
        n = split["methylation"].n_vars
        split["methylation"].layers["beta"] = np.repeat(np.where(high, 0.1, 0.9)[:, None], n, axis=1)
        split["methylation"].layers["position"] = np.zeros((split.n_obs, n))
        channels = {"methylation": ["beta", "position"]}
    *_, test = rows_of(split)
    score = attn.baselines.gradient_boosting(split, target=target, channels=channels)
    assert score[test & high].min() > score[test & ~high].max()


def test_boosting_reads_bins_totals_cpgs_and_tfs(split):
    from epiattn.baselines._gradient_boosting import _features

    parts = [function(split, None, who="") for function in (features.bins, features.totals)]
    parts += [function(split, None) for function in (features.cpg_summary, features.tf_summary)]
    np.testing.assert_allclose(_features(split, None, scale_by=None, train=None), np.hstack(parts).astype(np.float32))


@pytest.mark.parametrize("target", ["label", "expression"])
def test_boosting_follows_the_seed(split, target):
    first, second = (attn.baselines.gradient_boosting(split, target=target, seed=seed) for seed in (0, 1))
    assert not np.allclose(first, second)


def test_boosting_stops_where_validation_is_best(split, monkeypatch):
    from epiattn.baselines import _gradient_boosting as module

    stages = [np.where(np.arange(split.n_obs) % 2, 0.5, p) for p in (0.4, 0.5, 0.45, 0.9)]
    split.obs["label"] = np.where(np.arange(split.n_obs) % 2, "high", "low")
    monkeypatch.setattr(module, "_stages", lambda *_: iter(stages[1:]))
    np.testing.assert_array_equal(attn.baselines.gradient_boosting(split), stages[2])


def test_boosting_runs_without_any_cpg_or_tf(split):
    split["methylation"].obs["n_cpg"] = 0
    for name in ("binding", "expression", "mode"):
        split["tf"].layers[name] = split["tf"].layers[name] * 0
    assert np.isfinite(attn.baselines.gradient_boosting(split)).all()
    with pytest.raises(ValueError, match="There are no CpGs"):
        attn.baselines.cpg_count(split)
    with pytest.raises(ValueError, match="There are no TFs"):
        attn.baselines.tf_count(split)

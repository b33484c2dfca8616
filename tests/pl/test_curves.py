"""Curves are means of the curves of the folds, and their areas are the metrics."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from sklearn.metrics import precision_recall_curve, roc_curve

import epiattn as attn
from epiattn.pl._curves import GRID, precision_points, roc_points

PLOTS = {"auc": attn.pl.roc, "average_precision": attn.pl.precision_recall}
POINTS = {"auc": roc_points, "average_precision": precision_points}
METRICS = {"auc": attn.metrics.roc_auc, "average_precision": attn.metrics.average_precision}

samples = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40)  # scores with many ties


def split(sample):
    truth, score = (np.array(values, dtype=float) for values in zip(*sample, strict=True))
    assume(0 < truth.sum() < len(truth))
    return truth, score


@settings(deadline=None, derandomize=True)
@given(samples)
def test_roc_points_lie_on_the_curve(sample):
    truth, score = split(sample)
    false, true, _ = roc_curve(truth, score, drop_intermediate=False)
    for x, y in zip(GRID, roc_points(truth, score), strict=True):
        i = np.flatnonzero(false <= x).max()  # the highest point at or before x, and the next one
        if i + 1 == len(false):
            expected = true[i]
        else:
            expected = true[i] + (true[i + 1] - true[i]) * (x - false[i]) / (false[i + 1] - false[i])
        assert y == pytest.approx(expected)
    assert np.trapezoid(roc_points(truth, score), GRID) == pytest.approx(attn.metrics.roc_auc(truth, score), abs=1e-3)


@settings(deadline=None, derandomize=True)
@given(samples)
def test_precision_is_that_of_the_highest_threshold_that_reaches_the_recall(sample):
    truth, score = split(sample)
    precision, recall, _ = precision_recall_curve(truth, score)
    for x, y in zip(GRID[1:], precision_points(truth, score)[1:], strict=True):
        assert y == precision[np.flatnonzero(recall >= x - 1e-9).max()]
    average = attn.metrics.average_precision(truth, score)
    assert precision_points(truth, score)[1:].mean() == pytest.approx(average, abs=len(truth) / 1_000)


def test_hand_worked_points():
    truth, score = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    found = roc_points(truth, score)[[0, 250, 499, 500, 1000]]
    np.testing.assert_allclose(found, [0.5, 0.5, 0.5, 1, 1])
    np.testing.assert_allclose(precision_points(truth, score)[[0, 500, 501, 1000]], [1, 1, 2 / 3, 2 / 3])


@pytest.mark.parametrize("points", [roc_points, precision_points])
def test_a_constant_score_is_chance(points):
    truth = np.array([0.0, 0, 0, 1])
    np.testing.assert_allclose(points(truth, np.ones(4)), GRID if points is roc_points else 0.25)


def lines(ax):
    return {line.get_label().split("  ")[0]: line for line in ax.get_lines()}


def folds_of(mdata, model, key="benchmark"):
    """Truth and score of each fold."""
    truth = (mdata.obs["label"] == "high").to_numpy(float)
    score = (mdata.obsm["benchmark_scores"][model] if key == "benchmark" else mdata.obs["cv_score"]).to_numpy(float)
    fold = mdata.obs[f"{key}_fold"]
    return [(truth[fold == name], score[fold == name]) for name in fold.cat.categories]


def without_start(line):
    """The first point is drawn beside that of 0."""
    x, y = line.get_data()
    np.testing.assert_array_equal(x[1:], GRID)
    return y[1:]


@pytest.mark.parametrize("metric", PLOTS)
def test_a_curve_is_the_mean_of_the_folds_curves(evaluated, metric):
    ax = PLOTS[metric](evaluated)
    for model in ("noisy", "flat", "deep_chrome"):
        parts = folds_of(evaluated, model)
        found = without_start(lines(ax)[model])
        np.testing.assert_allclose(found, np.mean([POINTS[metric](*part) for part in parts], axis=0))
        area = np.mean([METRICS[metric](*part) for part in parts])
        assert np.trapezoid(found, GRID) == pytest.approx(area, abs=2e-3)
    assert "impossible" not in lines(ax)


def test_scores_of_folds_are_not_pooled(evaluated):
    """A model that is perfect in each fold, on scales that do not overlap."""
    table = evaluated.obsm["benchmark_scores"].copy()
    table["noisy"] = (evaluated.obs["label"] == "high").to_numpy(float) + 10 * evaluated.obs["benchmark_fold"].cat.codes
    evaluated.obsm["benchmark_scores"] = table
    assert without_start(lines(attn.pl.roc(evaluated))["noisy"]).min() == 1
    assert without_start(lines(attn.pl.precision_recall(evaluated))["noisy"]).min() == 1


@pytest.mark.parametrize("metric", PLOTS)
def test_the_legend_has_the_metric_of_the_table(evaluated, summary, metric):
    ax = PLOTS[metric](evaluated)
    row = summary(metric).loc["noisy"]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"noisy  {row['value']:.3f} ({row['low']:.3f}–{row['high']:.3f})" in labels
    title = ax.get_legend().get_title().get_text().replace("\N{NO-BREAK SPACE}", " ")
    assert title == f"{'ROC AUC' if metric == 'auc' else 'Average precision'}, 95 % interval\n{row['method']}"


@pytest.mark.parametrize("metric", PLOTS)
def test_one_model_is_drawn_with_its_folds(evaluated, metric):
    for options in ({"models": "noisy"}, {"key": "cv"}):
        ax = PLOTS[metric](evaluated, **options)
        thin = [without_start(line) for line in ax.get_lines() if line.get_label() == "_fold"]
        parts = folds_of(evaluated, "noisy", options.get("key", "benchmark"))
        np.testing.assert_allclose(thin, [POINTS[metric](*part) for part in parts])
        assert set(lines(ax)) == {"chance", "_fold", "noisy"}
    assert "_fold" not in lines(PLOTS[metric](evaluated))


def test_chance(evaluated):
    np.testing.assert_array_equal(lines(attn.pl.roc(evaluated))["chance"].get_data(), [[0, 1], [0, 1]])
    share = np.mean([truth.mean() for truth, _ in folds_of(evaluated, "noisy")])
    np.testing.assert_allclose(lines(attn.pl.precision_recall(evaluated))["chance"].get_ydata(), share)


def test_baselines_are_dashed_and_colours_differ(evaluated):
    drawn = lines(attn.pl.roc(evaluated))
    assert {name: drawn[name].get_linestyle() for name in ("noisy", "flat", "deep_chrome")} == {
        "noisy": "--",
        "flat": "--",
        "deep_chrome": "-",
    }
    assert len({line.get_color() for line in drawn.values()}) == 4


def add_models(mdata, values):
    """Models with a given metric and the scores of ``noisy``."""
    record, table = mdata.uns["benchmark"], mdata.obsm["benchmark_scores"].copy()
    summary = record["summary"]
    row = summary[summary["model"] == "noisy"]
    copies = [row.assign(model=name, kind="model", value=value) for name, value in values.items()]
    summary = pd.concat([summary, *copies]).sort_values("value", ascending=False, kind="stable")
    record["summary"] = pd.concat([summary[summary["metric"] == name] for name in record["summary"]["metric"].unique()])
    mdata.obsm["benchmark_scores"] = table.assign(**dict.fromkeys(values, table["noisy"]))


def test_the_best_models_and_the_best_baseline_are_shown(evaluated):
    add_models(evaluated, {f"m{i}": 0.999 - i / 1000 for i in range(12)})
    assert list(lines(attn.pl.roc(evaluated))) == ["chance", "m0", "m1", "m2", "m3", "noisy"]
    assert list(lines(attn.pl.precision_recall(evaluated))) == ["chance", "m0", "m1", "m2", "m3", "noisy"]
    named = ["flat", "m7", "m0"]
    assert list(lines(attn.pl.roc(evaluated, models=named))) == ["chance", *named]
    with pytest.raises(ValueError, match="models names 13 models, and no more than 12 can be told apart"):
        attn.pl.roc(evaluated, models=[f"m{i}" for i in range(12)] + ["noisy"])


def test_folds_with_one_class_are_left_out(evaluated):
    first = (evaluated.obs["benchmark_fold"] == "fold_0").to_numpy()
    evaluated.obs["label"] = evaluated.obs["label"].mask(first, "low")
    parts = folds_of(evaluated, "noisy")[1:]
    found = without_start(lines(attn.pl.roc(evaluated, models="noisy"))["noisy"])
    np.testing.assert_allclose(found, np.mean([roc_points(*part) for part in parts], axis=0))
    evaluated.obs["label"] = "low"
    with pytest.raises(ValueError, match="No fold of the run 'benchmark' has observations of both classes"):
        attn.pl.precision_recall(evaluated)


def test_missing_labels_are_left_out(evaluated):
    rest = np.arange(evaluated.n_obs) >= 40
    evaluated.obs["label"] = evaluated.obs["label"].where(rest)
    fold = evaluated.obs["benchmark_fold"].where(rest)
    truth = (evaluated.obs["label"] == "high").to_numpy(float)
    score = evaluated.obsm["benchmark_scores"]["noisy"].to_numpy(float)
    parts = [roc_points(truth[fold == name], score[fold == name]) for name in fold.cat.categories]
    found = without_start(lines(attn.pl.roc(evaluated, models="noisy"))["noisy"])
    np.testing.assert_allclose(found, np.mean(parts, axis=0))


@pytest.mark.parametrize("plot", PLOTS.values())
def test_expression_has_no_such_curves(evaluated, plot):
    with pytest.raises(ValueError, match=r"'expression' predicted expression.*attn.pl.calibration.*target='label'"):
        plot(evaluated, key="expression")

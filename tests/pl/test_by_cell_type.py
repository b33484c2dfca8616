"""Each cell holds a model's metric in a cell type, within folds."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import kendalltau

import epiattn as attn
from epiattn.pl._results import _OF_LABELS, TITLES, function_of
from epiattn.tl._scoring import MEASURES


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def cells(ax):
    """Values by cell type and model."""
    values = ax.images[0].get_array().filled(np.nan)
    rows, columns = labels(ax.yaxis), labels(ax.xaxis)
    assert values.shape == (len(rows), len(columns))
    return {(row, column): values[i, j] for i, row in enumerate(rows) for j, column in enumerate(columns)}


def naive(mdata, metric, model, cell_type, truth, key="benchmark"):
    """The mean over the folds."""
    own = (mdata.obs["cell_type"] == cell_type).to_numpy()
    score, fold = mdata.obsm[f"{key}_scores"][model].to_numpy(float), mdata.obs[f"{key}_fold"]
    parts = [own & (fold == name).to_numpy() for name in fold.cat.categories]
    return np.mean([metric(truth[part], score[part]) for part in parts])


@pytest.mark.parametrize("metric", [None, "brier"])
def test_cells_are_means_over_folds(evaluated, metric):
    ax = attn.pl.by_cell_type(evaluated, metric=metric)
    truth = (evaluated.obs["label"] == "high").to_numpy(float)
    function = attn.metrics.brier if metric else attn.metrics.roc_auc
    for (cell_type, model), value in cells(ax).items():
        assert value == pytest.approx(naive(evaluated, function, model, cell_type, truth))
    assert len(cells(ax)) == 2 * 3
    assert ax.get_xlabel() == ("Brier score (lower is better)" if metric else "ROC AUC")


def test_rank_correlation_is_with_expression(evaluated):
    truth = evaluated["rna"].X[:, 0].astype(float)
    for (cell_type, model), value in cells(
        attn.pl.by_cell_type(evaluated, metric="kendall_tau", models="noisy")
    ).items():
        assert value == pytest.approx(naive(evaluated, lambda a, b: kendalltau(a, b)[0], model, cell_type, truth))


def test_expression(evaluated):
    truth = evaluated["rna"].X[:, 0].astype(float)
    ax = attn.pl.by_cell_type(evaluated, key="expression", metric="mse")
    for (cell_type, model), value in cells(ax).items():
        expected = naive(evaluated, attn.metrics.mse, model, cell_type, truth, "expression")
        assert value == pytest.approx(expected)


def test_models_are_before_baselines_each_from_the_best(evaluated):
    ax = attn.pl.by_cell_type(evaluated)
    assert labels(ax.xaxis) == ["deep_chrome", "noisy", "flat"]
    names = [text for text in ax.texts if text.get_text() in ("model", "baselines")]
    assert [(text.get_text(), text.xy[0]) for text in names] == [("model", 0), ("baselines", 1.5)]
    assert labels(attn.pl.by_cell_type(evaluated, models=["flat", "noisy"]).xaxis) == ["noisy", "flat"]


@pytest.mark.parametrize("metric", ["auc", "brier"])
def test_the_easiest_cell_type_is_at_the_top_and_better_is_darker(evaluated, metric):
    ax = attn.pl.by_cell_type(evaluated, metric=metric)
    values = ax.images[0].get_array().filled(np.nan)
    sign = 1 if metric == "auc" else -1
    assert (sign * np.diff(values.mean(axis=1)) < 0).all()
    brightness = ax.images[0].to_rgba(values)[..., :3].sum(axis=2)
    better = sign * values > np.median(sign * values)
    assert brightness[better].max() < brightness[~better].min()


def test_values_are_written_where_there_is_room(evaluated):
    ax = attn.pl.by_cell_type(evaluated)
    numbers = {text.get_position()[::-1]: text.get_text() for text in ax.texts if text.get_text()[0].isdigit()}
    assert numbers == {where: f"{value:.2f}" for where, value in np.ndenumerate(ax.images[0].get_array())}
    small = plt.subplots(figsize=(0.5, 0.5))[1]
    assert not [text for text in attn.pl.by_cell_type(evaluated, ax=small).texts if text.get_text()[0].isdigit()]


def test_a_cell_type_of_one_class_has_a_dash(evaluated):
    name = evaluated.obs["cell_type"].iloc[0]
    of_type = (evaluated.obs["cell_type"] == name).to_numpy()
    evaluated.obs["label"] = evaluated.obs["label"].mask(of_type, "low")
    ax = attn.pl.by_cell_type(evaluated)
    found = cells(ax)
    assert [where for where, value in found.items() if np.isnan(value)] == [(name, model) for model in labels(ax.xaxis)]
    assert sum(text.get_text() == "–" for text in ax.texts) == 3
    assert labels(ax.yaxis)[-1] == name
    evaluated.obs["label"] = "low"
    with pytest.raises(ValueError, match="'auc' is not defined in any cell type"):
        attn.pl.by_cell_type(evaluated)


def test_a_fold_of_one_class_is_left_out(evaluated):
    name = evaluated.obs["cell_type"].iloc[0]
    of_type = (evaluated.obs["cell_type"] == name).to_numpy()
    first = (evaluated.obs["benchmark_fold"] == "fold_0").to_numpy()
    evaluated.obs["label"] = evaluated.obs["label"].mask(first & of_type, "low")
    truth, score = (evaluated.obs["label"] == "high").to_numpy(float), evaluated.obsm["benchmark_scores"]["noisy"]
    parts = [of_type & (evaluated.obs["benchmark_fold"] == fold).to_numpy() for fold in ("fold_1", "fold_2")]
    expected = np.mean([attn.metrics.roc_auc(truth[part], score[part]) for part in parts])
    assert cells(attn.pl.by_cell_type(evaluated))[name, "noisy"] == pytest.approx(expected)


@pytest.mark.parametrize("n", [1, 56])
def test_few_and_many_cell_types(evaluated, n):
    evaluated.obs["cell_type"] = [f"epithelial cell of tissue {i % n}" for i in range(evaluated.n_obs)]
    ax = attn.pl.by_cell_type(evaluated, metric="brier")
    ax.figure.canvas.draw()
    assert len(labels(ax.yaxis)) == n
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(lower.y1 <= upper.y0 + 1 for upper, lower in zip(boxes, boxes[1:], strict=False))
    assert [text for text in ax.texts if text.get_text()[0].isdigit()]


def test_metrics_between_cell_types_have_no_value_within_one(evaluated):
    with pytest.raises(ValueError, match=r"'within_gene_correlation' compares cell types.*\['auc', .*'ece'\]"):
        attn.pl.by_cell_type(evaluated, metric="within_gene_correlation")
    with pytest.raises(ValueError, match="metric must be one of"):
        attn.pl.by_cell_type(evaluated, metric="f1")


def test_cell_types_are_needed(evaluated):
    del evaluated.obs["cell_type"]
    with pytest.raises(ValueError, match=r"obs\['cell_type'\] is missing"):
        attn.pl.by_cell_type(evaluated)


@pytest.mark.parametrize("target", MEASURES)
def test_plots_and_tables_mean_the_same_metrics(target):
    for name, measure in MEASURES[target].items():
        assert name in TITLES
        assert function_of(name) is measure.function
        assert ("label" if name in _OF_LABELS else "expression") == measure.truth

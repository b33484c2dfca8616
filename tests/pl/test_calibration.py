"""Bins of predictions against what was observed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

import epiattn as attn
from epiattn.pl._calibration import wilson


def lines(ax):
    return {line.get_label().split("  ")[0]: line for line in ax.get_lines()}


def histogram(ax):
    (below,) = ax.child_axes
    return [part.get_data() for part in below.patches]


def error_bars(ax):
    (part,) = ax.collections
    return np.array([segment[:, 1] for segment in part.get_segments()])


def pair(mdata, model):
    return (mdata.obs["label"] == "high").to_numpy(float), mdata.obsm["benchmark_scores"][model].to_numpy(float)


@pytest.mark.parametrize("n_bins", [4, 15])
def test_points_are_those_of_the_reliability_table(evaluated, n_bins):
    ax = attn.pl.calibration(evaluated, n_bins=n_bins)
    for i, model in enumerate(list(lines(ax))[1:]):
        curve = attn.metrics.calibration_curve(*pair(evaluated, model), n_bins=n_bins)
        x, y = lines(ax)[model].get_data()
        np.testing.assert_array_equal(x, curve.predicted[curve.n > 0])
        np.testing.assert_array_equal(y, curve.observed[curve.n > 0])
        values, edges, _ = histogram(ax)[i]
        np.testing.assert_allclose(values, curve.n / curve.n.sum())
        np.testing.assert_allclose(edges, [*curve.low, 1])
    assert set(lines(ax)) == {"perfect", "noisy", "flat", "deep_chrome"}


def test_one_model_has_error_bars(evaluated):
    ax = attn.pl.calibration(evaluated, models="noisy", n_bins=5)
    truth, score = pair(evaluated, "noisy")
    edges = np.linspace(0, 1, 6)
    bars = []
    for low, high in zip(edges, edges[1:], strict=False):
        own = truth[(score > low) & (score <= high)].astype(int)
        if len(own):
            interval = binomtest(int(own.sum()), len(own)).proportion_ci(method="wilson")
            bars.append([interval.low, interval.high])
    np.testing.assert_allclose(error_bars(ax), bars, atol=1e-6)
    assert not attn.pl.calibration(evaluated).collections


def test_wilson_of_none_and_all():
    found = wilson(np.array([0.0, 1.0]), np.array([1, 30])).T
    for ends, share, n in zip(found, (0, 1), (1, 30), strict=True):
        expected = binomtest(share * n, n).proportion_ci(method="wilson")
        np.testing.assert_allclose(ends, expected, atol=1e-6)


def test_the_legend_has_the_error_of_the_table(evaluated, summary):
    ax = attn.pl.calibration(evaluated, models="noisy")
    row = summary("ece").loc["noisy"]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert f"noisy  {row['value']:.3f} ({row['low']:.3f}–{row['high']:.3f})" in labels
    assert ax.get_legend().get_title().get_text().startswith("Expected calibration error")
    assert ax.get_ylabel() == "Observed share of high"


def test_one_cross_validated_model(evaluated):
    ax = attn.pl.calibration(evaluated, key="cv")
    truth, score = pair(evaluated, "noisy")[0], evaluated.obs["cv_score"].to_numpy(float)
    curve = attn.metrics.calibration_curve(truth, score)
    np.testing.assert_array_equal(lines(ax)["noisy"].get_ydata(), curve.observed[curve.n > 0])


def test_expression_is_compared_in_bins_of_equally_many_observations(evaluated, summary):
    ax = attn.pl.calibration(evaluated, key="expression", models="noisy", n_bins=8)
    score = evaluated.obsm["expression_scores"]["noisy"].to_numpy(float)
    truth = evaluated["rna"].X[:, 0]
    parts = np.array_split(np.argsort(score), 8)  # 400 observations: bins of 50
    x, y = lines(ax)["noisy"].get_data()
    np.testing.assert_allclose(x, [score[part].mean() for part in parts], rtol=1e-6)
    np.testing.assert_allclose(y, [truth[part].mean() for part in parts], rtol=1e-6)
    errors = [1.96 * truth[part].std(ddof=1) / np.sqrt(len(part)) for part in parts]
    np.testing.assert_allclose(np.diff(error_bars(ax), axis=1)[:, 0], 2 * np.array(errors), rtol=1e-4)
    (counts, _, _) = histogram(ax)[0]
    assert counts.sum() == pytest.approx(1)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[-1].startswith(f"noisy  {summary('r2', 'expression').loc['noisy', 'value']:.3f}")
    assert ax.child_axes[0].get_xlabel() == "Predicted expression"


def test_a_constant_prediction_is_one_point(evaluated):
    ax = attn.pl.calibration(evaluated, key="expression", models="flat")
    np.testing.assert_allclose(lines(ax)["flat"].get_data(), [[0.25], [evaluated["rna"].X.mean()]], rtol=1e-6)


def test_what_cannot_be_drawn(evaluated):
    with pytest.raises(ValueError, match="n_bins must be 1 or more, not 0"):
        attn.pl.calibration(evaluated, n_bins=0)
    evaluated.obsm["benchmark_scores"] = evaluated.obsm["benchmark_scores"] * 10
    with pytest.raises(ValueError, match=r"The scores of '.*' are no probabilities: they run from"):
        attn.pl.calibration(evaluated)

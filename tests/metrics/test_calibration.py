"""Calibration against scikit-learn and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as skm
from sklearn.calibration import calibration_curve

from epiattn import metrics


@pytest.fixture
def predicted():
    rng = np.random.default_rng(0)
    y_prob = np.round(rng.beta(0.5, 0.5, 300), 2)  # many on edges of bins, and 0 and 1
    return (rng.random(300) < y_prob**2).astype(int), y_prob


def test_brier_equals_scikit_learn_and_hand(predicted):
    assert metrics.brier(*predicted) == pytest.approx(skm.brier_score_loss(*predicted))
    assert metrics.brier([0, 1], [0.5, 0.0]) == (0.25 + 1) / 2


@pytest.mark.parametrize("n_bins", [1, 5, 10, 15])
def test_the_curve_equals_that_of_scikit_learn(predicted, n_bins):
    curve = metrics.calibration_curve(*predicted, n_bins=n_bins)
    observed, mean = calibration_curve(*predicted, n_bins=n_bins, strategy="uniform")
    filled = curve.n > 0
    np.testing.assert_allclose(curve.observed[filled], observed)
    np.testing.assert_allclose(curve.predicted[filled], mean)
    assert curve.n.sum() == 300
    assert np.isnan(curve.observed[~filled]).all()
    assert (curve.low[0], curve.high[-1]) == (0, 1)


def test_the_curve_becomes_a_table(predicted):
    import pandas as pd

    table = pd.DataFrame(metrics.calibration_curve(*predicted)._asdict())
    assert table.shape == (15, 5)


def test_edges_belong_to_the_bin_below():
    curve = metrics.calibration_curve([0, 0, 1, 1, 1], [0.0, 0.5, 0.5000001, 1.0, 1.0], n_bins=2)
    assert curve.n.tolist() == [2, 3]


def test_ece_by_hand():
    # bins of a third: {0.1, 0.2} predict .15, see .5; {0.9} predicts .9, sees 1; weights 2/3 and 1/3
    assert metrics.ece([0, 1, 1], [0.1, 0.2, 0.9], n_bins=3) == pytest.approx(2 / 3 * 0.35 + 1 / 3 * 0.1)


def test_ece_is_the_weighted_gap_of_the_curve(predicted):
    curve = metrics.calibration_curve(*predicted)
    gap = np.nansum(curve.n / 300 * np.abs(curve.observed - curve.predicted))
    assert metrics.ece(*predicted) == pytest.approx(gap)


def test_ece_of_a_perfect_model_is_not_zero_on_2000_genes():
    rng = np.random.default_rng(0)
    values = []
    for _ in range(50):
        y_prob = rng.random(2000)
        values.append(metrics.ece(rng.random(2000) < y_prob, y_prob))
    assert 0.016 < np.median(values) < 0.033


def test_constant_predictions_and_one_class_are_judged():
    assert metrics.ece([0, 1, 1, 1], [0.5] * 4) == 0.25
    assert metrics.ece([1, 1], [1.0, 1.0]) == metrics.brier([1, 1], [1.0, 1.0]) == 0


def test_no_observation_is_nan():
    assert np.isnan(metrics.ece([], []))
    assert np.isnan(metrics.brier([], []))
    assert metrics.calibration_curve([], []).n.tolist() == [0] * 15


@pytest.mark.parametrize("function", [metrics.brier, metrics.ece, metrics.calibration_curve])
def test_scores_that_are_no_probabilities_are_refused(function):
    with pytest.raises(ValueError, match=r"y_prob: 2 of 3 values are outside \[0, 1\]"):
        function([0, 1, 1], [-0.1, 0.5, 7.0])


def test_a_curve_needs_a_bin():
    with pytest.raises(ValueError, match="n_bins must be 1 or more, not 0"):
        metrics.ece([0, 1], [0.1, 0.2], n_bins=0)


def test_temperature_finds_the_factor_that_was_put_in():
    rng = np.random.default_rng(0)
    logit = rng.normal(0, 2, 20_000)
    y_true = (rng.random(20_000) < 1 / (1 + np.exp(-logit))).astype(int)
    for factor in (0.4, 1.0, 3.0):
        assert metrics.temperature(y_true, logit * factor) == pytest.approx(factor, rel=0.05)


def test_temperature_by_hand():
    # Three of four are right at the same score s: sigmoid(s / T) = 3/4, so T = s / ln 3.
    assert metrics.temperature([1, 1, 1, 0], [2.0] * 4) == pytest.approx(2 / np.log(3), rel=1e-4)


def test_temperature_of_one_class_or_of_nothing_is_one():
    assert metrics.temperature([1, 1], [3.0, -1.0]) == 1.0
    assert metrics.temperature([], []) == 1.0
    with pytest.raises(ValueError, match="y_logit"):
        metrics.temperature([0, 1], [np.nan, 0.0])

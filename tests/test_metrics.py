"""Metrics against scikit-learn, SciPy and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as skm

from epiattn import metrics


@pytest.fixture
def binary():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, 200)
    return y_true, np.round(y_true * 0.4 + rng.normal(size=200), 1)  # rounded: with ties


def test_roc_auc_and_average_precision_equal_scikit_learn_with_ties(binary):
    assert metrics.roc_auc(*binary) == pytest.approx(skm.roc_auc_score(*binary), abs=1e-12)
    assert metrics.average_precision(*binary) == pytest.approx(skm.average_precision_score(*binary), abs=1e-12)


def test_roc_auc_by_hand():
    # pairs (positive, negative): (.9, .5) right, (.9, .9) tie, (.2, .5) wrong, (.2, .9) wrong: 1.5 of 4
    assert metrics.roc_auc([1, 0, 1, 0], [0.9, 0.5, 0.2, 0.9]) == 1.5 / 4


def test_constant_scores_give_one_half():
    assert metrics.roc_auc([0, 1, 1], [2.0, 2.0, 2.0]) == 0.5


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_has_no_auc(labels):
    assert np.isnan(metrics.roc_auc(labels, np.arange(len(labels))))
    assert np.isnan(metrics.average_precision(labels, np.arange(len(labels))))


def test_r2_and_pearson_equal_scikit_learn_and_scipy():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=50)
    predicted = truth + rng.normal(size=50)
    assert metrics.r2(truth, predicted) == pytest.approx(skm.r2_score(truth, predicted))
    assert metrics.pearson(truth, predicted) == pytest.approx(stats.pearsonr(truth, predicted).statistic)


def test_regression_metrics_without_variation_are_nan():
    assert np.isnan(metrics.r2([1.0, 1.0], [1.0, 2.0]))
    assert np.isnan(metrics.pearson([1.0, 2.0], [3.0, 3.0]))
    assert np.isnan(metrics.pearson([1.0], [1.0]))
    assert np.isnan(metrics.r2([], []))

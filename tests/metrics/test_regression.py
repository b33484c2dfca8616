"""Measures of continuous truth against scikit-learn, SciPy and numbers worked out by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as skm

from epiattn import metrics

ALL = [metrics.r2, metrics.mse, metrics.mae, metrics.pearson, metrics.spearman, metrics.kendall_tau]
CORRELATIONS = ALL[3:]


@pytest.fixture
def continuous():
    rng = np.random.default_rng(1)
    truth = np.round(rng.normal(size=120), 1)
    return truth, np.round(truth + rng.normal(size=120), 1)  # rounded: with ties


def test_equal_scikit_learn_and_scipy_with_ties(continuous):
    assert metrics.r2(*continuous) == pytest.approx(skm.r2_score(*continuous))
    assert metrics.mse(*continuous) == pytest.approx(skm.mean_squared_error(*continuous))
    assert metrics.mae(*continuous) == pytest.approx(skm.mean_absolute_error(*continuous))
    assert metrics.pearson(*continuous) == pytest.approx(stats.pearsonr(*continuous).statistic)
    assert metrics.spearman(*continuous) == pytest.approx(stats.spearmanr(*continuous).statistic)
    assert metrics.kendall_tau(*continuous) == pytest.approx(stats.kendalltau(*continuous).statistic)


def test_kendall_tau_of_labels_equals_scipy_and_the_auc(continuous):
    score = continuous[1]
    labels = (np.random.default_rng(2).normal(size=120) + score > 0).astype(int)
    assert metrics.kendall_tau(labels, score) == pytest.approx(stats.kendalltau(labels, score).statistic)
    # the labels' numbers do not matter, only their order
    assert metrics.kendall_tau(labels * 3.5 - 7, score) == metrics.kendall_tau(labels, score)
    # perfect scores of two equal classes without ties: n^2 pairs of n (2n - 1)
    assert metrics.kendall_tau([0, 0, 1, 1], [1, 2, 3, 4]) == pytest.approx(np.sqrt(4 / 6))


values = st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0])


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.tuples(values, values), min_size=2, max_size=20))
def test_kendall_tau_counts_pairs(rows):
    signs = [(np.sign(a[0] - b[0]), np.sign(a[1] - b[1])) for a, b in combinations(rows, 2)]
    untied = [sum(sign[side] != 0 for sign in signs) for side in (0, 1)]
    found = metrics.kendall_tau([row[0] for row in rows], [row[1] for row in rows])
    if all(untied):
        assert found == pytest.approx(sum(a * b for a, b in signs) / np.sqrt(untied[0] * untied[1]))
    else:
        assert np.isnan(found)


def test_by_hand():
    truth, predicted = [1.0, 2.0, 3.0], [1.0, 2.0, 5.0]
    assert metrics.r2(truth, predicted) == -1  # 4 left of 2
    assert metrics.mse(truth, predicted) == pytest.approx(4 / 3)
    assert metrics.mae(truth, predicted) == pytest.approx(2 / 3)
    assert metrics.spearman(truth, predicted) == pytest.approx(1)
    assert metrics.kendall_tau(truth, predicted) == pytest.approx(1)


def test_without_variation_there_is_no_correlation():
    assert np.isnan(metrics.r2([1.0, 1.0], [1.0, 2.0]))
    for metric in CORRELATIONS:
        assert np.isnan(metric([1.0, 2.0], [3.0, 3.0]))
        assert np.isnan(metric([3.0, 3.0], [1.0, 2.0]))
        assert np.isnan(metric([1.0], [1.0]))
    assert metrics.mse([1.0, 1.0], [3.0, 3.0]) == 4
    assert metrics.mae([1.0, 1.0], [3.0, 3.0]) == 2


def test_correlations_stay_within_one():
    for n in range(2, 40):
        x = np.random.default_rng(n).normal(size=n) * 1e3
        for metric in CORRELATIONS:
            assert abs(metric(x, 3 * x)) <= 1


@pytest.mark.parametrize("metric", ALL)
def test_no_observation_is_nan(metric):
    assert np.isnan(metric([], []))


@pytest.mark.parametrize("metric", ALL)
def test_errors_name_the_array_and_how_many_values_are_wrong(metric):
    with pytest.raises(ValueError, match="y_true: 2 of 3 values are NaN"):
        metric([np.nan, 1.0, np.nan], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"y_(pred|score): 1 of 3 values are NaN"):
        metric([1.0, 2.0, 3.0], [np.nan, 1.0, 2.0])
    with pytest.raises(ValueError, match="y_true has 1 values and y_.* has 2"):
        metric([1.0], [1.0, 2.0])


@pytest.mark.parametrize("metric", ALL[:4])
def test_infinite_values_are_refused_where_they_are_reckoned_with(metric):
    with pytest.raises(ValueError, match="y_pred: 1 of 2 values are infinite"):
        metric([1.0, 2.0], [1.0, np.inf])
    with pytest.raises(ValueError, match="y_true: 1 of 2 values are infinite"):
        metric([1.0, -np.inf], [1.0, 2.0])


def test_infinite_values_have_a_rank():
    assert metrics.spearman([1.0, 2.0, np.inf], [-np.inf, 0.0, 1.0]) == pytest.approx(1)
    assert metrics.kendall_tau([1.0, 2.0, np.inf], [-np.inf, 0.0, 1.0]) == pytest.approx(1)

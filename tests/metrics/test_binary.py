"""Measures of two classes against scikit-learn, naive definitions and numbers worked out by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as skm

from epiattn import metrics

BINARY = [metrics.roc_auc, metrics.average_precision, metrics.mcc, metrics.brier, metrics.ece]
ON_SCORES = BINARY[:3]


@pytest.fixture
def binary():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, 200)
    return y_true, np.round(y_true * 0.4 + rng.normal(size=200), 1)  # rounded: with ties


def test_equal_scikit_learn_with_ties(binary):
    y_true, y_score = binary
    assert metrics.roc_auc(y_true, y_score) == pytest.approx(skm.roc_auc_score(y_true, y_score), abs=1e-12)
    expected = skm.average_precision_score(y_true, y_score)
    assert metrics.average_precision(y_true, y_score) == pytest.approx(expected, abs=1e-12)
    for threshold in (0.5, -0.3, 1.0):
        expected = skm.matthews_corrcoef(y_true, y_score > threshold)
        assert metrics.mcc(y_true, y_score, threshold=threshold) == pytest.approx(expected, abs=1e-12)


labelled = st.lists(st.tuples(st.booleans(), st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])), min_size=2, max_size=30)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(labelled)
def test_roc_auc_is_the_share_of_pairs_in_the_right_order(rows):
    y_true, y_score = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    pairs = [(a > b) + (a == b) / 2 for a, b in product(y_score[y_true], y_score[~y_true])]
    found = metrics.roc_auc(y_true, y_score)
    assert found == pytest.approx(np.mean(pairs)) if pairs else np.isnan(found)


def test_roc_auc_by_hand():
    # pairs (positive, negative): (.9, .5) right, (.9, .9) tie, (.2, .5) wrong, (.2, .9) wrong: 1.5 of 4
    assert metrics.roc_auc([1, 0, 1, 0], [0.9, 0.5, 0.2, 0.9]) == 1.5 / 4


def test_average_precision_by_hand():
    # from the top: .9 holds one of each class (precision 1/2), .5 a 0, .2 a 1 (precision 2/4); each recalls a half
    assert metrics.average_precision([1, 0, 1, 0], [0.9, 0.5, 0.2, 0.9]) == 0.5


def test_mcc_by_hand_is_of_scores_above_the_threshold():
    # .5 is not above .5: predicted 1, 0, 0, 0, so TP 1, FN 1, TN 2, FP 0: 2 / sqrt(1 * 2 * 2 * 3)
    assert metrics.mcc([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1]) == pytest.approx(2 / np.sqrt(12))


def test_constant_scores_are_chance():
    assert metrics.roc_auc([0, 1, 1], [2.0, 2.0, 2.0]) == 0.5
    assert metrics.average_precision([0, 1, 1], [2.0, 2.0, 2.0]) == pytest.approx(2 / 3)
    assert metrics.mcc([0, 1, 1], [2.0, 2.0, 2.0]) == metrics.mcc([0, 1, 1], [0.1, 0.2, 0.3]) == 0


@pytest.mark.parametrize("metric", ON_SCORES)
@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_or_no_observation_is_nan(metric, labels):
    assert np.isnan(metric(labels, np.arange(len(labels))))


def test_the_order_and_the_container_do_not_matter(binary):
    import pandas as pd

    y_true, y_score = binary
    shuffled = np.random.default_rng(1).permutation(200)
    for metric in ON_SCORES:
        value = metric(y_true, y_score)
        assert metric(y_true[shuffled], y_score[shuffled]) == pytest.approx(value, abs=1e-12)
        assert metric(pd.Series(y_true == 1, index=shuffled), list(y_score)) == value
        assert metric(y_true.astype(np.float32), y_score) == value


@pytest.mark.parametrize("metric", BINARY)
@pytest.mark.parametrize(
    ("y_true", "y_score", "error", "message"),
    [
        ([0, 1, 1], [0.1, np.nan, np.nan], ValueError, "2 of 3 values are NaN; leave out"),
        ([0, np.nan, 1], [0.1, 0.2, 0.3], ValueError, "y_true: 1 of 3 values are NaN"),
        ([0, 1, 2, -1], [0.1, 0.2, 0.3, 0.4], ValueError, "y_true: 2 of 4 values are other than 0 and 1"),
        ([0, 1], [0.1, 0.2, 0.3], ValueError, "y_true has 2 values and y_.* has 3"),
        ([0, 1], [[0.1], [0.2]], ValueError, r"y_.* must be one-dimensional, its shape is \(2, 1\)"),
        (["low", "high"], [0.1, 0.2], TypeError, "y_true must hold numbers .*label == 'high'.*could not convert"),
    ],
)
def test_errors_name_the_array_and_how_many_values_are_wrong(metric, y_true, y_score, error, message):
    with pytest.raises(error, match=message):
        metric(y_true, y_score)

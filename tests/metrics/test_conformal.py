"""Split-conformal intervals against counts by hand, their bounds, and what must hold of any quantile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epiattn.metrics import conformal_half_width, coverage

RESIDUALS = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)
LEVELS = st.floats(0.01, 0.99)


def half_width(residuals, level):
    return conformal_half_width(residuals, np.zeros(len(residuals)), level=level)


def test_the_half_width_is_the_residual_of_the_finite_sample_rank():
    truth = np.array([3.0, 0.0, -1.0, 5.0, 2.0, 2.0, 7.0, 1.0, 4.0])
    prediction = np.array([2.0, 2.0, 2.0, 1.0, -3.0, 8.0, 0.0, -7.0, -5.0])  # residuals 1, …, 9
    found = [conformal_half_width(truth, prediction, level=level) for level in (0.1, 0.5, 0.55, 0.9)]
    assert found == [1, 5, 6, 9]  # ⌈10 · level⌉
    assert conformal_half_width(truth, prediction) == 9
    assert conformal_half_width(truth[:8], prediction[:8]) == np.inf  # 9 · 0.9 = 8.1: a ninth would be needed


@pytest.mark.parametrize(("n", "level"), [(19, 0.95), (99, 0.07), (9, 0.7), (999, 0.29)])
def test_a_rank_that_is_whole_is_not_rounded_up(n, level):
    assert half_width(np.arange(1, n + 1), level) == round((n + 1) * level)


def test_the_half_width_of_no_observation_is_infinite():
    assert conformal_half_width([], []) == np.inf


@pytest.mark.parametrize(("n", "level"), [(9, 0.9), (20, 0.8), (50, 0.9)])
def test_exchangeable_data_are_covered_within_the_bounds(n, level):
    rng = np.random.default_rng(0)
    n_draws = 4_000
    residuals = rng.standard_cauchy((n_draws, n + 1))
    widths = np.array([half_width(row[:n], level) for row in residuals])
    share = (np.abs(residuals[:, n]) <= widths).mean()
    expected = np.ceil(round((n + 1) * level, 9)) / (n + 1)
    assert level <= expected < level + 1 / (n + 1)
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / n_draws)


@settings(max_examples=60, deadline=None)
@given(RESIDUALS, LEVELS, LEVELS)
def test_a_higher_level_is_no_narrower(residuals, one, other):
    low, high = sorted((one, other))
    assert half_width(residuals, low) <= half_width(residuals, high)


@settings(max_examples=60, deadline=None)
@given(RESIDUALS, LEVELS)
def test_it_is_infinite_just_where_there_are_too_few_and_else_holds_the_share(residuals, level):
    found, n = half_width(residuals, level), len(residuals)
    if np.isfinite(found):
        assert found in residuals
        assert np.mean(np.array(residuals) <= found) * n >= (n + 1) * level - 1e-6
    else:
        assert (n + 1) * level > n


def test_coverage_counts_the_ends():
    assert coverage([0.0, 1.0, 2.0, 3.0], low=[0, 0, 0, 0], high=[2, 1, 2, 2.9]) == 0.75
    assert coverage([5.0, -5.0], low=[-np.inf, -np.inf], high=[np.inf, np.inf]) == 1
    assert np.isnan(coverage([], [], []))


@pytest.mark.parametrize("level", [0, 1, -0.1, 90, float("nan")])
def test_a_level_is_a_share(level):
    with pytest.raises(ValueError, match=rf"level must be between 0 and 1 \(0.9 for 90 %\), not {level}"):
        conformal_half_width([1.0], [1.0], level=level)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="y_true has 1 values and y_pred has 2"):
        conformal_half_width([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="y_pred: 1 of 1 values are infinite"):
        conformal_half_width([1.0], [np.inf])
    with pytest.raises(ValueError, match="y_true: 1 of 2 values are NaN"):
        coverage([np.nan, 1.0], [0, 0], [1, 1])
    with pytest.raises(ValueError, match="low has 1 values and high has 2"):
        coverage([1.0], [0.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="low is above high in 1 of 2 intervals"):
        coverage([1.0, 1.0], [0.0, 2.0], [1.0, 1.0])

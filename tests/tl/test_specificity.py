"""Tau, z-scores, differences, and the test of two measurements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import zscore

from epiattn.tl._specificity import agreement, differences, share_above, tau, z_scores


def test_tau_as_on_paper():
    """Yanai's formula, gene by gene: one tissue alone, all alike, and the example of the article's kind."""
    values = np.array([[0, 8, 0, 0, 0], [4, 4, 4, 4, 4], [0, 8, 0, 2, 8]], float).T
    expected = [1, 0, ((1 - 0) + 0 + (1 - 0) + (1 - 0.25) + 0) / 4]
    np.testing.assert_allclose(tau(values), expected)


def test_tau_takes_what_is_below_zero_as_no_expression_and_is_undefined_without_any():
    np.testing.assert_allclose(tau(np.array([[5.0, -1], [-2, 0], [-3, 0]])), [1, np.nan])


def test_two_groups_have_neither_tau_nor_z_but_a_difference():
    values = np.array([[3.0, 1], [1, 1]])
    assert np.isnan(tau(values)).all()
    assert np.isnan(z_scores(values)).all()
    np.testing.assert_array_equal(differences(values), [[2, 0], [-2, 0]])


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(arrays(float, (4, 3), elements=st.floats(0, 20)))
def test_tau_lies_between_0_and_1_and_does_not_depend_on_the_order_of_groups(values):
    found = tau(values)
    known = np.isfinite(found)
    assert ((found[known] >= -1e-12) & (found[known] <= 1 + 1e-12)).all()
    np.testing.assert_allclose(found, tau(values[::-1]), atol=1e-12)
    np.testing.assert_allclose(found, tau(values * 2), atol=1e-9)


def test_z_scores_and_differences_are_those_of_scipy_and_of_a_loop():
    values = np.random.default_rng(0).normal(size=(5, 7, 2))
    np.testing.assert_allclose(z_scores(values[..., 0]), zscore(values[..., 0], axis=0, ddof=1))
    expected = [values[i] - np.delete(values, i, axis=0).mean(0) for i in range(5)]
    np.testing.assert_allclose(differences(values), expected)
    np.testing.assert_array_equal(z_scores(np.ones((4, 2))), np.zeros((4, 2)))


def test_share_above_counts_ties_as_above():
    np.testing.assert_allclose(share_above(np.array([[3.0, 1, 3, 0]])), [[0.5, 0.75, 0.5, 1]])


def slow_agreement(first, second):
    """p-values as the docstring says, one exchange at a time."""
    n_groups, n_genes = first.shape
    p_value = np.empty(first.shape)
    share = [
        [[np.mean(each[t] >= each[t, g]) for g in range(n_genes)] for t in range(n_groups)] for each in (first, second)
    ]
    for t in range(n_groups):
        null = [max(share[0][t][g], share[1][u][g]) for g in range(n_genes) for u in range(n_groups) if u != t]
        for g in range(n_genes):
            observed = max(share[0][t][g], share[1][t][g])
            p_value[t, g] = (1 + sum(each <= observed for each in null)) / (1 + len(null))
    return p_value


@pytest.mark.parametrize("n_groups", [2, 3, 4])
def test_p_values_are_those_of_one_exchange_at_a_time(n_groups):
    first, second = np.random.default_rng(1).normal(size=(2, n_groups, 12)).round(1)
    np.testing.assert_allclose(agreement(first, second).p_value, slow_agreement(first, second))


@pytest.mark.parametrize("n_groups", [2, 3, 5])
@pytest.mark.parametrize("null", ["unrelated", "specific in both, but not in the same groups"])
def test_five_percent_of_p_values_are_below_five_percent_where_there_is_nothing(n_groups, null):
    shares, found = [], 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        size = rng.gamma(0.5, 1, 2_000)  # genes differ in how much they vary, in both measurements
        first, second = rng.normal(size=(2, n_groups, 2_000)) * size
        if null != "unrelated":
            specific = 5.0 * (rng.random(first.shape) < 0.05)
            first, second = first + specific, rng.permuted(second + specific, axis=0)
        tested = agreement(differences(first), differences(second))
        shares.append((tested.p_value < 0.05).mean())
        found += (tested.adjusted <= 0.05).sum()
    assert 0.04 < np.mean(shares) < 0.06
    assert found <= 2


def test_genes_that_are_specific_in_both_are_found_and_others_are_not():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 4, 1_000))
    both, one = np.zeros(first.shape, bool), np.zeros(first.shape, bool)
    both[2, :30], one[2, 30:60] = True, True
    tested = agreement(differences(first + 6 * (both | one)), differences(second + 6 * both))
    chosen = tested.adjusted <= 0.05
    assert chosen[both].mean() > 0.9
    assert (chosen & ~both).sum() <= 0.1 * chosen.sum()
    assert chosen[one].mean() < 0.1


def test_p_values_are_never_0():
    first = np.random.default_rng(0).normal(size=(2, 50))
    assert agreement(first, first).p_value.min() == pytest.approx(1 / 51)

"""Permutation tests, against plain loops and under the null."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind, ttest_rel

from epiattn.tl._comparisons import units_of
from epiattn.tl._permutation import (
    compare_genes,
    compare_units,
    compare_within_genes,
    differences,
    namings,
    pair_genes,
)


def observations(n_genes, n_group, n_reference, n_features=1, seed=0):
    """Values of genes in random order, their genes and sides."""
    rng = np.random.default_rng(seed)
    gene = np.repeat(np.arange(n_genes), n_group + n_reference)
    side = np.tile([1] * n_group + [-1] * n_reference, n_genes)
    order = rng.permutation(len(gene))
    return rng.normal(size=(len(gene), n_features)), gene[order], side[order], rng


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([-1, 0, 1])), max_size=40))
@settings(max_examples=60, deadline=None)
def test_genes_are_paired_by_how_many_observations_they_have(drawn):
    gene, side = (np.array([each[i] for each in drawn], dtype=int) for i in (0, 1))
    found = {}
    for block in pair_genes(gene, side):
        for name, rows in zip(block.genes, block.rows, strict=True):
            found[int(name)] = (set(rows[: block.n_group]), set(rows[block.n_group :]))
    expected = {}
    for name in set(gene.tolist()):
        group, reference = (set(np.flatnonzero((gene == name) & (side == value))) for value in (1, -1))
        if group and reference:
            expected[name] = (group, reference)
    assert found == expected


def test_names_are_exchanged_in_all_ways_or_in_some():
    rng = np.random.default_rng(0)
    ways = namings(5, 2, rng)
    assert {tuple(np.flatnonzero(way)) for way in ways} == set(combinations(range(5), 2))
    assert list(np.flatnonzero(ways[0])) == [0, 1]
    many = namings(12, 6, rng)
    assert len(many) == 40
    assert (many.sum(1) == 6).all()
    assert list(np.flatnonzero(many[0])) == list(range(6))


def test_differences_and_their_errors_equal_a_t_test():
    from scipy.stats import ttest_ind

    values = np.random.default_rng(0).normal(size=(3, 7, 2))
    named = np.arange(7) < 3
    difference, error = differences(values, named)
    expected = ttest_ind(values[:, :3], values[:, 3:], axis=1).statistic
    np.testing.assert_allclose(difference / error, expected)


def test_features_within_genes_equal_a_plain_loop_over_all_exchanges():
    values, gene, side, rng = observations(3, 1, 2, n_features=2, seed=4)
    found = compare_within_genes(values, pair_genes(gene, side), n_permutations=20_000, rng=rng)
    expected = np.zeros(2)
    totals = [np.zeros(2)]
    for name in range(3):
        group, reference = values[(gene == name) & (side == 1)], values[(gene == name) & (side == -1)]
        expected += (group.mean(0) - reference.mean(0)) / 3
        three = np.concatenate([group, reference])
        own = [(three[i] - np.delete(three, i, axis=0).mean(0)) / 3 for i in range(3)]
        totals = [total + each for total in totals for each in own]
    np.testing.assert_allclose(found.effect, expected)
    exact = (np.abs(totals) >= np.abs(expected) * (1 - 1e-12)).mean(0)  # all 27 exchanges
    np.testing.assert_allclose(found.p_value, exact, atol=0.015)
    assert found.n_units == 3


def test_p_values_of_features_are_uniform_under_the_null():
    values, gene, side, rng = observations(30, 1, 1, n_features=2_000)
    found = compare_within_genes(values, pair_genes(gene, side), n_permutations=400, rng=rng)
    assert 0.04 <= (found.p_value <= 0.05).mean() <= 0.06
    units = compare_units(values[:20], values[20:], n_permutations=400, rng=rng)
    assert 0.04 <= (units.p_value <= 0.05).mean() <= 0.06


@pytest.mark.parametrize(("n_group", "n_reference"), [(1, 1), (1, 2), (2, 2), (1, 5), (4, 6)])
def test_p_values_of_genes_are_uniform_under_the_null(n_group, n_reference):
    values, gene, side, rng = observations(8_000, n_group, n_reference)
    found = compare_genes(values, pair_genes(gene, side), rng)
    assert found.replicated == (n_group + n_reference > 2)
    assert 0.04 <= (found.p_value <= 0.05).mean() <= 0.06
    assert 0.46 <= (found.p_value <= 0.5).mean() <= 0.54


def test_genes_that_differ_have_small_p_values():
    values, gene, side, rng = observations(2_000, 3, 3)
    values[(gene < 20) & (side == 1)] += 6
    found = compare_genes(values, pair_genes(gene, side), rng)
    true = found.p_value[np.isin(found.genes, range(20)), 0]
    assert np.median(true) < 1e-3
    assert (found.effect[np.isin(found.genes, range(20))] > 2).all()


def test_units_that_differ_are_found():
    rng = np.random.default_rng(0)
    group, reference = rng.normal(size=(30, 2)) + [1.5, 0], rng.normal(size=(50, 2))
    found = compare_units(group, reference, n_permutations=300, rng=rng)
    np.testing.assert_allclose(found.effect, group.mean(0) - reference.mean(0))
    assert found.p_value[0] == pytest.approx(1 / 301)
    assert found.p_value[1] > 0.05
    assert found.low[0] < 1.5 < found.high[0]
    assert found.n_units == 80


def test_units_on_both_sides_change_places_with_themselves():
    rng = np.random.default_rng(0)
    own = 5 * rng.normal(size=(40, 500))  # what a unit has of its own
    group, reference = own + rng.normal(size=own.shape), own + rng.normal(size=own.shape)
    alone = [5 * rng.normal(size=(n, 500)) for n in (10, 15)]
    sides = [np.concatenate(each) for each in zip((group, reference), alone, strict=True)]
    found = compare_units(*sides, n_permutations=400, rng=rng, n_paired=40)
    assert found.n_units == 65
    assert 0.03 <= (found.p_value <= 0.05).mean() <= 0.07
    np.testing.assert_allclose(found.effect, sides[0].mean(0) - sides[1].mean(0))
    assert 0.92 <= ((found.low < 0) & (found.high > 0)).mean() <= 0.98
    paired = compare_units(group + 1, reference, n_permutations=400, rng=rng, n_paired=40)
    assert (paired.p_value <= 0.05).mean() > 0.9
    assert (compare_units(group + 1, reference, n_permutations=400, rng=rng).p_value <= 0.05).mean() < 0.5


def test_all_exchanges_of_a_few_units_are_as_likely():
    group, reference = np.array([[1.0], [5.0]]), np.array([[2.0], [9.0], [7.0]])
    rng = np.random.default_rng(0)
    found = compare_units(group, reference, n_permutations=20_000, rng=rng, n_paired=1)
    exact = []  # the first changes places or not; two of three others are the reference
    for a, b in ((1, 2), (2, 1)):
        for one, others in ((5, (9, 7)), (9, (5, 7)), (7, (5, 9))):
            exact.append((a + one) / 2 - (b + sum(others)) / 3)
    distance = np.abs(exact - np.mean(exact))
    expected = np.mean(distance >= distance[0] - 1e-9)
    assert found.p_value[0] == pytest.approx(expected, abs=0.01)
    assert found.score[0] == pytest.approx((exact[0] - np.mean(exact)) / np.std(exact), rel=0.02)


@pytest.mark.parametrize("effect", [-0.7, 0.0, 0.7])
def test_units_on_both_sides_that_are_other_than_the_rest(effect):
    """Most exchanges give a difference then that has nothing to do with the groups."""
    rng = np.random.default_rng(0)
    own, alone = 3 * rng.normal(size=(60, 300)), 3 * rng.normal(size=(240, 300)) - 2
    group = own + rng.normal(size=own.shape) + effect
    reference = np.concatenate([own + rng.normal(size=own.shape), alone])
    found = compare_units(group, reference, n_permutations=300, rng=rng, n_paired=60)
    share = (found.p_value <= 0.05).mean()
    if effect:
        assert share > 0.7
        assert np.median(np.sign(found.score)) == np.sign(effect)
    else:
        assert 0.02 <= share <= 0.08
        assert abs(found.score.mean()) < 0.2


def test_intervals_of_pairs_are_those_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    own = 5 * rng.normal(size=(7, 4))
    group, reference = own + rng.normal(size=own.shape), own + rng.normal(size=own.shape)
    found = compare_units(group, reference, n_permutations=10, rng=rng, n_paired=7)
    interval = ttest_rel(group, reference).confidence_interval(0.95)
    np.testing.assert_allclose(found.low, interval.low)
    np.testing.assert_allclose(found.high, interval.high)


def test_genes_on_both_sides_come_first_and_in_the_same_order():
    gene = np.array([7, 3, 7, 9, 3, 5, 9, 7, 1])
    side = np.array([1, 1, -1, -1, -1, 1, 0, 1, 0])
    values = np.arange(9.0)[:, None]
    group, reference, n_paired = units_of(values, gene, side)
    assert n_paired == 2
    assert group.ravel().tolist() == [1.0, (0 + 7) / 2, 5.0]  # genes 3, 7; then 5
    assert reference.ravel().tolist() == [4.0, 2.0, 3.0]  # genes 3, 7; then 9


def test_intervals_are_welch_s():
    rng = np.random.default_rng(0)
    group, reference = rng.normal(size=(6, 3)), rng.normal(size=(9, 3))
    found = compare_units(group, reference, n_permutations=10, rng=rng)
    interval = ttest_ind(group, reference, equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose(found.low, interval.low)
    np.testing.assert_allclose(found.high, interval.high)

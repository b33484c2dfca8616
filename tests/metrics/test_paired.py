"""Differences between two models against naive versions of the same."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from epiattn import metrics


def test_the_difference_of_a_metric_and_its_sign(genes):
    a, b = genes.scores
    for metric in (metrics.roc_auc, metrics.average_precision, metrics.kendall_tau, metrics.spearman):
        for groups in (genes.groups, None):
            options = {"groups": groups, "n_permutations": 50, "n_resamples": 50}
            found = metrics.paired_difference(metric, genes.y_true, a, score_b=b, **options)
            assert found.value == pytest.approx(metric(genes.y_true, a) - metric(genes.y_true, b))
            assert found.low < found.value < found.high
            back = metrics.paired_difference(metric, genes.y_true, b, score_b=a, **options)
            np.testing.assert_allclose(back[:3], (-found.value, -found.high, -found.low), atol=1e-12)
            assert back.p_value == found.p_value


def test_folds_are_not_pooled(genes):
    a, b = genes.scores
    found = metrics.paired_difference(
        metrics.roc_auc, genes.y_true, a, score_b=b, groups=genes.groups, fold=genes.fold, n_permutations=50
    )
    folds = [genes.fold == k for k in range(3)]
    expected = [metrics.roc_auc(genes.y_true[k], a[k]) - metrics.roc_auc(genes.y_true[k], b[k]) for k in folds]
    assert found.value == pytest.approx(np.mean(expected))
    assert found.n_folds == 3
    moved = metrics.paired_difference(
        metrics.roc_auc,
        genes.y_true,
        a - 50 * genes.fold,
        score_b=b * 10.0**genes.fold,
        groups=genes.groups,
        fold=genes.fold,
        n_permutations=50,
    )
    np.testing.assert_allclose(moved[:4], found[:4])


def test_paired_delong_equals_all_pairs(genes):
    a, b = np.round(genes.scores[0], 1), np.round(genes.scores[1], 1)
    positive, negative = genes.y_true == 1, genes.y_true == 0

    def wins(score):
        left, right = score[positive][:, None], score[negative]
        return (left > right) + 0.5 * (left == right)

    change = wins(a) - wins(b)
    variance = change.mean(axis=1).var(ddof=1) / positive.sum() + change.mean(axis=0).var(ddof=1) / negative.sum()
    found = metrics.paired_difference(metrics.roc_auc, genes.y_true, a, score_b=b, n_permutations=0)
    assert found.high - found.value == pytest.approx(stats.norm.ppf(0.975) * np.sqrt(variance))
    assert np.isnan(found.p_value)
    assert found.method == "DeLong over observations"


@pytest.mark.parametrize("metric", [metrics.roc_auc, metrics.average_precision, metrics.brier])
def test_the_p_value_is_the_share_of_all_swaps_of_groups(metric):
    """All 1,024 swaps of ten groups, with the metric itself, against random ones."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 8)
    y_true = rng.integers(0, 2, 80)
    a = np.clip(0.5 + 0.24 * (2 * y_true - 1) + rng.normal(0, 0.2, 80), 0, 1)
    b = np.clip(0.5 + 0.10 * (2 * y_true - 1) + rng.normal(0, 0.2, 80), 0, 1)
    ranked = (a, b) if metric is metrics.brier else (stats.rankdata(a), stats.rankdata(b))

    def difference(swap):
        return metric(y_true, np.where(swap, *ranked[::-1])) - metric(y_true, np.where(swap, *ranked))

    observed = abs(difference(np.zeros(80, dtype=bool)))
    every = [abs(difference(np.array(swap, dtype=bool)[groups])) for swap in product([0, 1], repeat=10)]
    exact = np.mean(np.array(every) >= observed - 1e-12)
    found = metrics.paired_difference(metric, y_true, a, score_b=b, groups=groups, n_permutations=4000)
    assert 0.01 < exact < 0.5
    assert found.p_value == pytest.approx(exact, abs=3.5 * np.sqrt(exact * (1 - exact) / 4000))
    assert found.method == "jackknife-t over 10 groups; scores swapped by group"


def test_p_values_are_never_zero_and_large_for_no_difference(genes):
    worse = np.random.default_rng(0).normal(size=400)
    options = {"groups": genes.groups, "n_permutations": 99}
    found = metrics.paired_difference(metrics.roc_auc, genes.y_true, genes.scores[0], score_b=worse, **options)
    assert found.p_value == 1 / 100
    same = metrics.paired_difference(
        metrics.roc_auc, genes.y_true, genes.scores[0], score_b=3 * genes.scores[0] + 5, **options
    )
    assert same[:4] == (0, 0, 0, 1)
    assert same.note == "the metric is the same in all parts of the jackknife-t over 12 groups"


def test_models_on_different_scales_can_be_swapped(genes):
    """What the metric does not see does not change the p-value."""
    a, b = genes.scores
    options = {"groups": genes.groups, "n_permutations": 100}
    for metric, other in ((metrics.roc_auc, np.log(b)), (metrics.spearman, np.log(b)), (metrics.pearson, 1e3 * b - 7)):
        one = metrics.paired_difference(metric, genes.y_true, a, score_b=b, **options)
        two = metrics.paired_difference(metric, genes.y_true, a, score_b=other, **options)
        assert two.p_value == one.p_value


def test_fewer_than_ten_groups_swap_genes_with_all_their_observations():
    rng = np.random.default_rng(1)
    gene, y_true = np.repeat(np.arange(60), 2), rng.integers(0, 2, 120)
    a, b = rng.normal(size=(2, 120)) + y_true
    found = metrics.paired_difference(
        metrics.roc_auc, y_true, a, score_b=b, groups=gene // 20, gene=gene, n_permutations=50
    )
    assert found.method == "DeLong over genes; scores swapped by gene"
    assert found.n_groups == 3
    # a gene whose swap changes nothing as a whole: its two observations have each other's scores
    y_true = np.ones(120)
    y_true[::2] = 0
    a = rng.normal(size=120)
    b = a.reshape(60, 2)[:, ::-1].ravel()

    def p_value(**options):
        return metrics.paired_difference(
            lambda truth, score: float(np.mean(score * truth)), y_true, a, score_b=b, n_permutations=200, **options
        ).p_value

    assert p_value(gene=gene) > 0.1


def test_permutations_are_seeded(genes):
    def run(seed):
        return metrics.paired_difference(
            metrics.roc_auc, genes.y_true, genes.scores[0], score_b=genes.scores[1], n_permutations=60, seed=seed
        )

    assert run(1) == run(1)
    assert len({run(seed).p_value for seed in range(4)}) > 1


def test_within_gene_measures_of_two_models():
    rng = np.random.default_rng(2)
    gene, cell_type = np.repeat(np.arange(60), 2), np.tile(["A", "B"], 60)
    truth = rng.normal(size=120)
    good, flat = truth + rng.normal(size=120), np.repeat(rng.normal(size=60), 2)
    for groups in (gene // 5, None):
        found = metrics.paired_difference(
            metrics.difference_correlation,
            truth,
            good,
            score_b=flat,
            groups=groups,
            gene=gene,
            arrays={"cell_type": cell_type},
            n_permutations=99,
            n_resamples=50,
        )
        expected = metrics.difference_correlation(truth, good, gene=gene, cell_type=cell_type).value
        assert found.value == pytest.approx(expected)  # the flat one is 0
        assert found.low > 0
        assert found.p_value == 0.01


def test_one_class_and_errors(genes):
    found = metrics.paired_difference(metrics.roc_auc, np.ones(400), genes.scores[0], score_b=genes.scores[1])
    assert np.isnan(found[:4]).all()
    assert found.note == "the metric is not defined in any fold"
    with pytest.raises(ValueError, match="score_b: 400 of 400 values are NaN"):
        metrics.paired_difference(metrics.roc_auc, genes.y_true, genes.scores[0], score_b=np.full(400, np.nan))
    with pytest.raises(ValueError, match="y_true has 400 values and score_b has 1"):
        metrics.paired_difference(metrics.roc_auc, genes.y_true, genes.scores[0], score_b=[1.0])
    with pytest.raises(ValueError, match="level must be between"):
        metrics.paired_difference(metrics.roc_auc, [0, 1], [0, 1], score_b=[1, 0], level=0)

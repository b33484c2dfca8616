"""Intervals against formulas worked out by hand and naive versions of the same."""

from __future__ import annotations

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from epiattn import metrics
from epiattn.metrics._design import strata
from epiattn.metrics._spread import delong_influence
from epiattn.metrics._traits import TRAITS, from_line, to_line, traits_of


def mean_score(_, y_score):
    """A metric whose standard errors are known."""
    return float(np.mean(y_score))


def half_width(found):
    assert (found.low + found.high) / 2 == pytest.approx(found.value)
    return (found.high - found.low) / 2


# --- jackknife --------------------------------------------------------------------------------------------------------


def test_the_jackknife_of_a_mean_is_students_interval():
    rng = np.random.default_rng(0)
    means = rng.normal(size=12)
    score = np.repeat(means, 5)
    found = metrics.interval(mean_score, np.zeros(60), score, groups=np.repeat(np.arange(12), 5))
    expected = stats.t.ppf(0.975, 11) * means.std(ddof=1) / np.sqrt(12)
    assert half_width(found) == pytest.approx(expected)
    assert found[3:] == ("jackknife-t over 12 groups", 12, 1, "")
    wider = metrics.interval(mean_score, np.zeros(60), score, groups=np.repeat(np.arange(12), 5), level=0.99)
    assert half_width(wider) == pytest.approx(expected / stats.t.ppf(0.975, 11) * stats.t.ppf(0.995, 11))


def test_groups_are_left_out_of_their_own_fold():
    """Folds that differ in level do not widen the interval: they are strata."""
    rng = np.random.default_rng(1)
    means, fold = rng.normal(size=12), np.repeat([0, 1, 2], [3, 4, 5])
    score, groups = np.repeat(means + 100 * fold, 4), np.repeat(np.arange(12), 4)
    found = metrics.interval(mean_score, np.zeros(48), score, groups=groups, fold=np.repeat(fold, 4))
    n = np.bincount(fold)
    variance = np.array([means[fold == k].var(ddof=1) / n[k] for k in range(3)])
    degrees = variance.sum() ** 2 / (variance**2 / (n - 1)).sum()  # Satterthwaite
    assert found.value == pytest.approx(np.mean([means[fold == k].mean() + 100 * k for k in range(3)]))
    assert half_width(found) == pytest.approx(stats.t.ppf(0.975, degrees) * np.sqrt(variance.sum()) / 3)
    assert found.n_folds == 3


def test_groups_in_all_folds_are_left_out_of_all_of_them():
    """Held-out cell types, and several seeds: the same chromosomes are in each fold."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(12, 3)) + rng.normal(size=(12, 1))
    groups, fold = np.repeat(np.arange(12), 3), np.tile(np.arange(3), 12)
    found = metrics.interval(mean_score, np.zeros(36), values.ravel(), groups=groups, fold=fold)
    means = values.mean(axis=1)
    assert half_width(found) == pytest.approx(stats.t.ppf(0.975, 11) * means.std(ddof=1) / np.sqrt(12))


def test_folds_of_one_group_vary_as_the_folds_do():
    means = np.random.default_rng(3).normal(size=11)
    groups = np.repeat(np.arange(11), 4)
    found = metrics.interval(mean_score, np.zeros(44), np.repeat(means, 4), groups=groups, fold=groups)
    assert half_width(found) == pytest.approx(stats.t.ppf(0.975, 10) * means.std(ddof=1) / np.sqrt(11))


def test_one_fold_of_one_group_among_others_widens_the_interval():
    means = np.random.default_rng(4).normal(size=11)
    groups = np.repeat(np.arange(11), 4)
    fold = np.where(groups < 5, 0, np.where(groups < 10, 1, 2))
    found = metrics.interval(mean_score, np.zeros(44), np.repeat(means, 4), groups=groups, fold=fold)
    parts = [means[:5], means[5:10], means[10:]]
    assert found.value == pytest.approx(np.mean([part.mean() for part in parts]))
    between = np.var([part.mean() for part in parts], ddof=1)
    v = np.array([parts[0].var(ddof=1) / 5, parts[1].var(ddof=1) / 5, between]) / 9
    degrees = v.sum() ** 2 / (v**2 / [4, 4, 2]).sum()
    assert half_width(found) == pytest.approx(stats.t.ppf(0.975, degrees) * np.sqrt(v.sum()))


def test_the_interval_of_an_auc_is_on_the_logit_scale(genes):
    found = metrics.interval(metrics.roc_auc, genes.y_true, genes.scores[0], groups=genes.groups)
    names, sizes = np.unique(genes.groups, return_counts=True)
    without = [
        metrics.roc_auc(genes.y_true[genes.groups != name], genes.scores[0][genes.groups != name]) for name in names
    ]
    error = np.sqrt(11 / 12 * ((without - np.mean(without)) ** 2).sum())
    degrees = sizes.sum() ** 2 / (sizes**2).sum() - 1  # of groups of unequal size there are fewer than 12
    assert found.value == metrics.roc_auc(genes.y_true, genes.scores[0])
    half = stats.t.ppf(0.975, degrees) * error / (found.value * (1 - found.value))
    np.testing.assert_allclose((found.low, found.high), expit(logit(found.value) + np.array([-half, half])))


def test_an_auc_of_folds_is_never_of_pooled_scores(genes):
    score = genes.scores[0] + 10 * genes.fold * (1 - 2 * genes.y_true.mean())
    folds = [metrics.roc_auc(genes.y_true[genes.fold == k], score[genes.fold == k]) for k in range(3)]
    for groups in (genes.groups, None):
        found = metrics.interval(metrics.roc_auc, genes.y_true, score, groups=groups, fold=genes.fold)
        assert found.value == pytest.approx(np.mean(folds), abs=1e-12)
        assert abs(found.value - metrics.roc_auc(genes.y_true, score)) > 0.02
        # shifting the scores of one model changes nothing
        shifted = metrics.interval(
            metrics.roc_auc, genes.y_true, score + 7 * (genes.fold == 1), groups=groups, fold=genes.fold
        )
        np.testing.assert_allclose(shifted[:3], found[:3])


def test_strata_are_folds_that_share_no_group():
    fold_stratum, group_stratum = strata(np.array([0, 0, 1, 2, 2, 3]), np.array([0, 1, 1, 2, 3, 4]))
    assert fold_stratum.tolist() == [0, 0, 1, 2]
    assert group_stratum.tolist() == [0, 0, 1, 1, 2]


# --- fewer than ten groups --------------------------------------------------------------------------------------------


def test_fewer_than_ten_groups_do_not_tell_how_groups_vary(genes):
    few = np.isin(genes.groups, [f"chr{i}" for i in range(1, 10)])
    nine = metrics.interval(metrics.roc_auc, genes.y_true[few], genes.scores[0][few], groups=genes.groups[few])
    assert nine[3:6] == ("DeLong over observations", 9, 1)
    gene = np.arange(few.sum())
    nine = metrics.interval(
        metrics.average_precision, genes.y_true[few], genes.scores[0][few], groups=genes.groups[few], gene=gene
    )
    assert nine[3:6] == ("bootstrap over genes", 9, 1)
    ten = metrics.interval(metrics.roc_auc, genes.y_true, genes.scores[0], groups=genes.groups)
    assert ten[3:6] == ("jackknife-t over 12 groups", 12, 1)


def naive_components(y_true, y_score):
    """DeLong's structural components from all pairs."""
    positive, negative = y_score[y_true == 1], y_score[y_true == 0]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return wins.mean(axis=1), wins.mean(axis=0)


def test_delong_equals_all_pairs_with_ties(genes):
    score = np.round(genes.scores[0], 1)
    v10, v01 = naive_components(genes.y_true, score)
    variance = v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01)
    assert (delong_influence(genes.y_true == 1, score) ** 2).sum() == pytest.approx(variance)
    found = metrics.interval(metrics.roc_auc, genes.y_true, score)
    half = stats.norm.ppf(0.975) * np.sqrt(variance) / (found.value * (1 - found.value))
    np.testing.assert_allclose((found.low, found.high), expit(logit(found.value) + np.array([-half, half])))


def test_delong_of_folds_adds_their_variances(genes):
    parts = [(genes.y_true[genes.fold == k], genes.scores[0][genes.fold == k]) for k in range(3)]
    each = [naive_components(*part) for part in parts]
    variance = sum(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b) for a, b in each) / 9
    found = metrics.interval(metrics.roc_auc, genes.y_true, genes.scores[0], fold=genes.fold)
    width = stats.norm.ppf(0.975) * np.sqrt(variance) / (found.value * (1 - found.value))
    assert logit(found.high) - logit(found.value) == pytest.approx(width)


@pytest.mark.parametrize("metric", [metrics.roc_auc, metrics.pearson])
def test_observations_of_one_gene_are_not_new_information(genes, metric):
    """Each gene three times over: as precise as once, if genes are named."""
    y_true, score = genes.y_true, genes.scores[0]
    once = metrics.interval(metric, y_true, score)
    options = {"fold": np.repeat([0, 0, 0], 400), "gene": np.tile(np.arange(400), 3)}
    thrice = metrics.interval(metric, np.tile(y_true, 3), np.tile(score, 3), **options)
    np.testing.assert_allclose(thrice[:3], once[:3], atol=5e-4)
    assert thrice.method.endswith("over genes")
    options.pop("gene")
    ignored = metrics.interval(metric, np.tile(y_true, 3), np.tile(score, 3), **options)
    assert (ignored.high - ignored.low) == pytest.approx((once.high - once.low) / np.sqrt(3), rel=0.1)


def test_the_bootstrap_of_a_mean_has_the_known_standard_error():
    score = np.random.default_rng(5).normal(size=300)
    found = metrics.interval(mean_score, np.zeros(300), score, n_resamples=4000)
    assert half_width(found) == pytest.approx(1.96 * score.std() / np.sqrt(300), rel=0.05)
    # within folds: levels of the folds do not count
    fold = np.repeat([0, 1, 2], 100)
    apart = metrics.interval(mean_score, np.zeros(300), score + 100 * fold, fold=fold, n_resamples=4000)
    expected = np.sqrt(sum(score[fold == k].var() / 100 for k in range(3))) / 3
    assert half_width(apart) == pytest.approx(1.96 * expected, rel=0.05)


def test_the_bootstrap_empties_no_fold():
    """Two genes of a fold among 300: one resample in seven would hold neither, if folds did not keep their sizes."""
    fold = (np.arange(300) > 297).astype(int)
    found = metrics.interval(mean_score, np.zeros(300), np.sin(np.arange(300)), fold=fold)
    assert found.low < found.value < found.high


def test_the_bootstrap_is_seeded(genes):
    def run(seed):
        return metrics.interval(metrics.mcc, genes.y_true, genes.scores[0], n_resamples=50, seed=seed)

    assert run(1) == run(1)
    assert run(1).low != run(2).low


def test_within_gene_measures_have_intervals_over_chromosomes_and_genes():
    rng = np.random.default_rng(6)
    gene, cell_type = np.repeat([f"g{i}" for i in range(60)], 3), np.tile(["A", "B", "C"], 60)
    truth = rng.normal(size=180)
    score = truth + rng.normal(size=180)
    chrom = np.repeat(np.arange(12), 15)
    options = {"gene": gene, "arrays": {"cell_type": cell_type}}
    for metric in (metrics.within_gene_correlation, metrics.difference_correlation):
        plain, widths = metric(truth, score, gene=gene, cell_type=cell_type), []
        for groups, method in ((chrom, "jackknife-t over 12 groups"), (chrom // 4, "bootstrap over genes")):
            found = metrics.interval(metric, truth, score, groups=groups, n_resamples=100, **options)
            assert found.value == pytest.approx(plain.value)
            assert -1 < found.low < found.value < found.high < 1
            assert found.method == method
            widths.append(found.high - found.low)
        assert max(widths) < 1.6 * min(widths)  # independent genes: both ways say much the same
    mean = metrics.training_gene_mean(truth, gene=gene, train=cell_type == "A")
    arrays = {"gene_mean": mean + rng.normal(size=180)}
    found = metrics.interval(metrics.residual_correlation, truth, score, groups=chrom, gene=gene, arrays=arrays)
    assert 0 < found.low < found.value < found.high < 1


# --- what is not defined ----------------------------------------------------------------------------------------------


def test_folds_of_one_class_are_left_out_and_noted(genes):
    y_true = np.where(genes.fold == 1, 0, genes.y_true)
    found = metrics.interval(metrics.roc_auc, y_true, genes.scores[0], groups=genes.groups, fold=genes.fold)
    kept = genes.fold != 1
    expected = metrics.interval(
        metrics.roc_auc, y_true[kept], genes.scores[0][kept], groups=genes.groups[kept], fold=genes.fold[kept]
    )
    assert found[:6] == expected[:6]
    assert found.n_folds == 2
    assert found.note == "1 of 3 folds left out: the metric is not defined there"


def test_groups_of_folds_that_are_left_out_do_not_count():
    groups = np.repeat(np.arange(12), 10)
    y_true = np.where(groups < 4, 0, np.arange(120) % 2)
    found = metrics.interval(metrics.roc_auc, y_true, np.sin(np.arange(120)), groups=groups, fold=groups // 4)
    assert found[3:6] == ("DeLong over observations", 8, 2)


def test_one_class_has_no_interval():
    found = metrics.interval(metrics.roc_auc, np.zeros(30), np.arange(30), groups=np.arange(30) % 12)
    assert np.isnan(found[:3]).all()
    assert found[3:] == ("", 12, 0, "the metric is not defined in any fold")
    empty = metrics.interval(metrics.roc_auc, [], [])
    assert np.isnan(empty[:3]).all()
    assert empty[3:] == ("", 0, 0, "there is no observation")


def test_the_reason_of_the_metric_itself_is_given():
    options = {"gene": np.arange(30), "arrays": {"cell_type": ["A"] * 30}}
    found = metrics.interval(metrics.within_gene_correlation, np.arange(30), np.arange(30), **options)
    assert found.note.startswith("the metric is not defined in any fold: 0 genes are in 3 cell types or more")


def test_a_group_with_all_of_one_class_has_no_jackknife():
    groups = np.repeat(np.arange(12), 10)
    found = metrics.interval(metrics.roc_auc, groups == 0, np.sin(np.arange(120)), groups=groups)
    assert np.isfinite(found.value)
    assert np.isnan([found.low, found.high]).all()
    assert found.note == "no interval: the metric is not defined in parts of the jackknife-t over 12 groups"


def test_few_of_a_class_have_no_interval():
    found = metrics.interval(metrics.roc_auc, [1, 0, 0, 0], [0.5, 0.1, 0.7, 0.2])
    assert found.value == pytest.approx(2 / 3)
    assert np.isnan([found.low, found.high]).all()
    found = metrics.interval(metrics.average_precision, [1, 0, 0, 0], [0.5, 0.1, 0.7, 0.2])
    assert found.note == "no interval: the metric is not defined in parts of the bootstrap over observations"


def test_perfect_and_constant_scores_are_noted(genes):
    perfect = metrics.interval(metrics.roc_auc, genes.y_true, genes.y_true, groups=genes.groups)
    assert perfect[:3] == (1, 1, 1)
    assert perfect.note == "the metric is the same in all parts of the jackknife-t over 12 groups"
    constant = metrics.interval(metrics.roc_auc, genes.y_true, np.ones(400))
    assert constant[:3] == (0.5, 0.5, 0.5)
    assert constant.note == "the metric is the same in all parts of the DeLong over observations"


# --- scales, arguments, errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", TRAITS)
def test_scales_without_bounds_lead_there_and_back(metric):
    traits = TRAITS[metric]
    for value in (0.03, 0.5, 0.99):
        line, slope = to_line(value, traits)
        assert from_line(line, traits) == pytest.approx(value)
        numeric = (to_line(value + 1e-6, traits)[0] - to_line(value - 1e-6, traits)[0]) / 2e-6
        assert slope == pytest.approx(numeric, rel=1e-4)
    for far in (-1e6, 1e6):  # never beyond, and without a warning
        assert traits.low <= from_line(far, traits) <= traits.high


def test_every_metric_has_traits():
    numbers = {name for name in metrics.__all__ if callable(getattr(metrics, name)) and name[0].islower()}
    helpers = {
        "calibration_curve",
        "conformal_half_width",
        "coverage",
        "interval",
        "label_differs",
        "paired_difference",
        "temperature",
        "training_gene_mean",
    }
    assert {metric.__name__ for metric in TRAITS} == numbers - helpers
    assert {metric.__name__ for metric, traits in TRAITS.items() if not traits.higher_is_better} == {
        "brier",
        "ece",
        "mae",
        "mse",
    }


def test_options_of_a_metric_go_through_partial(genes):
    metric = partial(metrics.mcc, threshold=1.0)
    found = metrics.interval(metric, genes.y_true, genes.scores[0], groups=genes.groups)
    assert found.value == metrics.mcc(genes.y_true, genes.scores[0], threshold=1.0)
    assert traits_of(metric) == TRAITS[metrics.mcc]


@pytest.mark.parametrize("name", ["groups", "fold", "gene"])
def test_errors_name_the_argument(genes, name):
    def refused(message, **options):
        with pytest.raises(ValueError, match=message):
            metrics.interval(metrics.roc_auc, genes.y_true, genes.scores[0], **options)

    refused(rf"{name} must hold one value for each of the 400 observations, its shape is \(2,\)", **{name: ["a", "b"]})
    missing = np.array(["a"] * 397 + [None] * 3, dtype=object)
    refused(f"{name}: 3 of 400 values are missing", **{name: missing})
    refused("cell_type must hold one value for each of the 400", arrays={"cell_type": ["A"]})
    refused("Pass the gene of each observation as gene=", arrays={"gene": np.arange(400)})
    refused(r"level must be between 0 and 1 \(0.95 for 95 %\), not 95", level=95)


def test_nan_is_an_error(genes):
    score = genes.scores[0].copy()
    score[:5] = np.nan
    with pytest.raises(ValueError, match="y_score: 5 of 400 values are NaN"):
        metrics.interval(metrics.roc_auc, genes.y_true, score)


def test_combinations_of_names_do_not_matter(genes):
    """Groups by name, category or number are the same groups."""
    import pandas as pd

    numbers = pd.factorize(genes.groups)[0]
    found = [
        metrics.interval(metrics.roc_auc, genes.y_true, genes.scores[0], groups=groups)
        for groups in (genes.groups, list(genes.groups), pd.Series(genes.groups, dtype="category"), numbers)
    ]
    assert all(a == b for a, b in combinations(found, 2))

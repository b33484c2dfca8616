"""Within-gene measures against naive loops and numbers worked out by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from epiattn import metrics

ON_CELL_TYPES = [
    metrics.within_gene_correlation,
    metrics.difference_correlation,
    metrics.sign_agreement,
    metrics.differing_gene_auc,
]


def simulated(n_genes=40, cell_types="ABCD", seed=0, missing=0.2):
    """Genes in cell types, some missing, some constant in truth or score, in random order."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [(f"g{i}", cell_type) for i in range(n_genes) for cell_type in cell_types], columns=["gene", "cell_type"]
    )
    level = np.repeat(rng.normal(0, 3, n_genes), len(cell_types))
    table["truth"] = np.round(level + rng.normal(size=len(table)), 1)
    table["score"] = np.round(table["truth"] + rng.normal(size=len(table)), 1)
    table.loc[table["gene"].isin(["g3", "g4"]), "truth"] = 1.5
    table.loc[table["gene"].isin(["g5", "g6"]), "score"] = -2.5
    table["label"] = (table["truth"] > level).astype(int)
    return table[rng.random(len(table)) >= missing].sample(frac=1, random_state=seed)


def call(metric, table, truth="truth", **options):
    return metric(table[truth], table["score"], gene=table["gene"], cell_type=table["cell_type"], **options)


# --- correlation across cell types ------------------------------------------------------------------------------------


def test_within_gene_correlation_equals_a_loop():
    table = simulated()
    values, flat, excluded = [], 0, 0
    for _, rows in table.groupby("gene"):
        if len(rows) < 3 or rows["truth"].nunique() == 1:
            excluded += 1
        elif rows["score"].nunique() == 1:
            values.append(0.0)
            flat += 1
        else:
            values.append(np.corrcoef(rows["truth"], rows["score"])[0, 1])
    found = call(metrics.within_gene_correlation, table)
    assert flat
    assert excluded > 2
    assert found.value == pytest.approx(np.mean(values))
    assert (found.n_genes, found.n_excluded) == (len(values), excluded)
    assert found.note == f"the scores of {flat} of {len(values)} genes do not vary: 0"


def test_what_all_cell_types_have_in_common_does_not_count():
    table = simulated()
    before = call(metrics.within_gene_correlation, table).value
    shift = table["gene"].str[1:].astype(float) * 10
    table["truth"] += shift
    table["score"] -= 3 * shift
    assert call(metrics.within_gene_correlation, table).value == pytest.approx(before)
    assert call(metrics.difference_correlation, simulated()).value == pytest.approx(
        call(metrics.difference_correlation, table).value
    )


def test_two_cell_types_have_no_correlation_across_them():
    found = call(metrics.within_gene_correlation, simulated(cell_types="AB", missing=0))
    assert np.isnan(found.value)
    assert (found.n_genes, found.n_excluded) == (0, 40)
    assert found.note == "0 genes are in 3 cell types or more, and the truth of none varies between them"


def test_constant_truth_has_no_correlation():
    table = simulated().assign(truth=1.0)
    found = call(metrics.within_gene_correlation, table)
    assert np.isnan(found.value)
    assert "and the truth of none varies" in found.note


def test_the_gene_mean_of_the_other_cell_types_is_exactly_wrong():
    # the warning in the docstring
    table = simulated(missing=0).query("gene not in ['g3', 'g4']")
    table["score"] = table.groupby("gene")["truth"].transform(lambda values: (values.sum() - values) / 3)
    assert call(metrics.within_gene_correlation, table).value == pytest.approx(-1)


# --- differences between two cell types -------------------------------------------------------------------------------


def wide(table, first, second):
    both = table.pivot(index="gene", columns="cell_type", values=["truth", "score"])
    change = both.xs(second, axis=1, level=1) - both.xs(first, axis=1, level=1)
    return change.dropna()


def test_differences_equal_a_pivot_table():
    table = simulated()
    change = wide(table, "B", "D")
    found = call(metrics.difference_correlation, table, between=("B", "D"))
    assert found.value == pytest.approx(change["truth"].corr(change["score"]))
    assert (found.n_genes, found.n_excluded) == (len(change), table["gene"].nunique() - len(change))
    agreement = call(metrics.sign_agreement, table, between=("B", "D"))
    differs = change[change["truth"] != 0]
    expected = (1 + np.sign(differs["truth"]) * np.sign(differs["score"])) / 2
    assert 0.5 in set(expected)  # a tie counts half
    assert agreement.value == pytest.approx(expected.mean())
    assert agreement.n_genes == len(differs) < len(change)
    # the other way round both change their sign
    assert call(metrics.difference_correlation, table, between=("D", "B")).value == pytest.approx(found.value)
    assert call(metrics.sign_agreement, table, between=("D", "B")).value == pytest.approx(agreement.value)


@pytest.mark.parametrize("metric", [metrics.difference_correlation, metrics.sign_agreement])
def test_all_pairs_of_cell_types_by_default(metric):
    table = simulated()
    expected = np.mean([call(metric, table, between=pair).value for pair in combinations("ABCD", 2)])
    assert call(metric, table).value == pytest.approx(expected)


def test_differences_by_hand():
    gene, cell_type = list("PQRPQR"), list("aaabbb")
    truth, score = [0, 0, 1, 1, 0, 0], [0.2, 0.2, 0.6, 0.9, 0.3, 0.7]
    # true changes 1, 0, -1; predicted .7, .1, .1: of those that change, P is right and R wrong
    found = metrics.sign_agreement(truth, score, gene=gene, cell_type=cell_type)
    assert (found.value, found.n_genes, found.n_excluded, found.note) == (0.5, 2, 1, "")
    correlation = metrics.difference_correlation(truth, score, gene=gene, cell_type=cell_type)
    assert correlation.value == pytest.approx(np.sqrt(3) / 2)  # .6 / sqrt(2 * .24)


def test_scores_that_are_equal_in_all_cell_types_are_chance():
    table = simulated()
    table["score"] = table["gene"].str[1:].astype(float)
    assert call(metrics.difference_correlation, table).value == 0
    assert call(metrics.sign_agreement, table).value == 0.5


def test_truth_that_is_equal_in_all_cell_types_defines_no_difference():
    table = simulated()
    table["truth"] = table["gene"].str[1:].astype(float)
    for metric in (metrics.difference_correlation, metrics.sign_agreement):
        found = call(metric, table)
        assert np.isnan(found.value)
        assert found.n_genes == 0
        assert found.note.startswith("there is no pair of cell types such that ")
        assert found.note.endswith("cell types: " + ", ".join(dict.fromkeys(table["cell_type"])))


def test_pairs_without_common_genes_are_left_out_and_noted():
    table = simulated(cell_types="ABC", missing=0)
    table = table[(table["cell_type"] != "C") | (table["gene"] == "g0")]
    found = call(metrics.difference_correlation, table)
    assert found.value == pytest.approx(call(metrics.difference_correlation, table, between=("A", "B")).value)
    assert found.note.startswith("2 of 3 pairs of cell types left out: not 3 genes or more")


@pytest.mark.parametrize("between", [("A", "E"), ("A", "A"), ("A",)])
def test_between_names_two_cell_types(between):
    with pytest.raises(ValueError, match=r"between must name two of the cell types \["):
        call(metrics.difference_correlation, simulated(), between=between)


# --- genes whose label differs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [(0.0, 1.0), (0.3, 0.7), (0.5, 0.5)])
def test_auc_of_genes_whose_label_differs_equals_a_selection(share):
    table = simulated(missing=0)
    mean = table.groupby("gene")["label"].transform("mean")
    rows = table[(mean > 0) & (mean < 1) & (mean >= share[0]) & (mean <= share[1])]
    found = call(metrics.differing_gene_auc, table, truth="label", share=share)
    assert found.value == pytest.approx(roc_auc_score(rows["label"], rows["score"]))
    assert found.n_genes == rows["gene"].nunique() < table["gene"].nunique() == found.n_genes + found.n_excluded
    mask = metrics.label_differs(table["label"], gene=table["gene"], share=share)
    assert mask.tolist() == table.index.isin(rows.index).tolist()


def test_one_cell_type_has_no_gene_that_differs():
    table = simulated(cell_types="A", missing=0)
    found = call(metrics.differing_gene_auc, table, truth="label")
    assert np.isnan(found.value)
    assert (found.n_genes, found.n_excluded) == (0, 40)
    assert found.note == "no gene has both labels, in the cell types that are here"


def test_share_must_rise():
    with pytest.raises(ValueError, match="share must be two rising numbers from 0 to 1"):
        metrics.label_differs([0, 1], gene=["a", "a"], share=(0.7, 0.3))


# --- residuals --------------------------------------------------------------------------------------------------------


def test_residual_correlation_equals_partial_correlation():
    rng = np.random.default_rng(0)
    mean = np.repeat(rng.normal(size=50), 2)
    truth, score = mean + rng.normal(size=100), 2 * mean + rng.normal(size=100)
    score += 0.5 * (truth - mean)
    gene = np.repeat(np.arange(50), 2)
    r = np.corrcoef([truth, score, mean])
    expected = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    found = metrics.residual_correlation(truth, score, gene=gene, gene_mean=mean)
    assert found.value == pytest.approx(expected)
    assert (found.n_genes, found.n_excluded, found.note) == (50, 0, "")
    # genes that training had not seen are left out
    unseen = np.where(gene < 10, np.nan, mean)
    some = metrics.residual_correlation(truth, score, gene=gene, gene_mean=unseen)
    kept = metrics.residual_correlation(truth[20:], score[20:], gene=gene[20:], gene_mean=mean[20:])
    assert some.value == pytest.approx(kept.value)
    assert (some.n_genes, some.n_excluded) == (40, 10)


def test_saying_nothing_beyond_the_gene_mean_is_worth_nothing():
    rng = np.random.default_rng(0)
    level = rng.normal(size=3000)
    truth, mean = level + rng.normal(size=3000), level + rng.normal(0, 0.7, size=3000)
    gene = np.arange(3000)
    for score in (np.full(3000, 0.1), mean, 3 - 2 * mean):
        found = metrics.residual_correlation(truth, score, gene=gene, gene_mean=mean)
        assert found.value == 0
        assert found.note == "the scores are a linear function of the gene's mean in training"
    noise = rng.normal(0, 0.1, size=3000)
    assert abs(metrics.residual_correlation(truth, noise, gene=gene, gene_mean=mean).value) < 0.05
    # why the mean is not simply subtracted: noise would look informative
    assert np.corrcoef(truth - mean, noise - mean)[0, 1] > 0.2


def test_residuals_are_not_defined_where_training_saw_none_of_the_genes():
    found = metrics.residual_correlation([0, 1, 1], [0.1, 0.2, 0.3], gene=list("abc"), gene_mean=[np.nan] * 3)
    assert np.isnan(found.value)
    assert found.note.startswith("training had seen 0 of these 3 genes, in other cell types")
    exact = metrics.residual_correlation([1, 2, 3], [0.1, 0.2, 0.4], gene=list("abc"), gene_mean=[2.0, 4.0, 6.0])
    assert np.isnan(exact.value)
    assert exact.note == "the truth is a linear function of the gene's mean in training"


def test_training_gene_mean_equals_a_group_mean():
    table = simulated()
    train = (table["cell_type"] != "A").to_numpy()
    expected = table["gene"].map(table[train].groupby("gene")["truth"].mean())
    found = metrics.training_gene_mean(table["truth"], gene=table["gene"], train=train)
    np.testing.assert_allclose(found, expected)
    with pytest.raises(ValueError, match=f"train must hold True or False for each of the {len(table)} observations"):
        metrics.training_gene_mean(table["truth"], gene=table["gene"], train=np.flatnonzero(train))


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ON_CELL_TYPES)
def test_errors(metric):
    table = simulated(missing=0)

    def refused(message, **columns):
        with pytest.raises(ValueError, match=message):
            call(metric, table.assign(**columns), truth="label")

    refused("y_score: 160 of 160 values are NaN", score=np.nan)
    refused("gene: 4 of 160 values are missing", gene=table["gene"].where(table["gene"] != "g7"))
    refused("Gene '.*' has 4 observations in cell type 'A'; a gene has one in each", cell_type="A")
    with pytest.raises(ValueError, match=r"cell_type must hold one value for each of the 2 .* shape is \(1,\)"):
        metric([0, 1], [0.1, 0.2], gene=["a", "a"], cell_type=["A"])


@pytest.mark.parametrize("metric", ON_CELL_TYPES)
def test_no_observation_is_nan_with_a_reason(metric):
    found = metric([], [], gene=[], cell_type=[])
    assert np.isnan(found.value)
    assert (found.n_genes, found.n_excluded) == (0, 0)
    assert found.note


def test_errors_of_residuals():
    with pytest.raises(ValueError, match=r"gene_mean must hold one value for each of the 2 .* shape is \(3,\)"):
        metrics.residual_correlation([0, 1], [0.1, 0.2], gene=["a", "b"], gene_mean=[1, 2, 3])

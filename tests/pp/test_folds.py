"""Folds: of one split, and all of a cross-validation."""

from __future__ import annotations

import logging

import mudata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import epiattn as attn
from epiattn.pp._folds import folds
from epiattn.pp._parts import balanced

CHROMOFORMER = [
    {"1", "5", "6", "8", "14", "Y"},
    {"7", "10", "11", "12", "15", "21"},
    {"2", "3", "4", "16", "18", "20"},
    {"9", "13", "17", "19", "22", "X"},
]


@pytest.fixture(scope="module")
def _three_types():
    return attn.datasets.simulate(n_genes=150, cell_types=3, n_bins=4, max_cpgs=2, n_tfs=2, seed=1)


@pytest.fixture
def three_types(_three_types):
    return _three_types.copy()


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    attn.settings.verbosity = "info"
    return caplog


def held_out(found, column):
    """The groups that each fold tests on."""
    return [set(column[np.asarray(fold.values == "test")]) for fold in found]


def test_the_largest_group_goes_to_the_smallest_fold():
    sizes = {"chr1": 5, "chr10": 3, "chr2": 4, "chr3": 3, "chr4": 1}
    # chr1 -> 0 (5), chr2 -> 1 (4), chr3 -> 1 (7), chr10 -> 0 (8), chr4 -> 1 (8)
    assert balanced(sizes, 2, what="") == [["chr1", "chr10"], ["chr2", "chr3", "chr4"]]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 300), min_size=5, max_size=40), st.integers(2, 5))
def test_folds_share_the_groups_and_differ_by_less_than_the_largest(sizes, n_folds):
    sizes = {f"chr{i}": size for i, size in enumerate(sizes)}
    found = balanced(sizes, n_folds, what="")
    assert sorted(name for names in found for name in names) == sorted(sizes)
    assert balanced(dict(reversed(sizes.items())), n_folds, what="") == found
    filled = [sum(sizes[name] for name in names) for names in found]
    assert min(filled) > 0
    assert max(filled) - min(filled) <= max(sizes.values())


@pytest.mark.parametrize(
    ("by", "column", "n"), [("chrom", "chrom", 4), ("random", "gene_id", 5), ("cell_type", "cell_type", 3)]
)
def test_every_group_is_tested_once_and_lies_in_one_part_of_each_fold(three_types, by, column, n):
    found = folds(three_types, by=by, n_folds=n)
    assert [fold.name for fold in found] == [f"fold_{i}" for i in range(n)]
    groups = held_out(found, three_types.obs[column])
    assert sum(map(len, groups)) == len(set.union(*groups)) == three_types.obs[column].nunique()
    for fold in found:
        parts = {part: set(three_types.obs[column][np.asarray(fold.values == part)]) for part in fold.values.categories}
        assert list(parts) == ["train", "validation", "test"]
        assert all(parts.values())
        assert sum(map(len, parts.values())) == three_types.obs[column].nunique()


@pytest.mark.parametrize("by", ["chrom", "random"])
def test_folds_have_about_as_many_genes_and_validation_is_about_15_percent(three_types, by):
    n_genes = []
    for fold in folds(three_types, by=by, n_folds=4):
        n_genes.append(three_types.obs["gene_id"][np.asarray(fold.values == "test")].nunique())
        assert np.mean(fold.values == "validation") == pytest.approx(0.15, abs=0.02)
    assert max(n_genes) - min(n_genes) <= 2


def test_folds_count_genes_not_observations(three_types):
    kept = (three_types.obs["chrom"] == "chr1") | (three_types.obs["cell_type"] == "cell_type_0")
    some = three_types[kept.to_numpy()].copy()
    n_genes = [some.obs["gene_id"][np.asarray(fold.values == "test")].nunique() for fold in folds(some, n_folds=4)]
    assert max(n_genes) - min(n_genes) <= 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_folds": 3},
        {"n_folds": 3, "by": "random", "seed": 5},
        {"by": "cell_type"},
        {"by": "hybrid", "n_folds": 3},
        {"preset": "chromoformer"},
    ],
)
def test_all_folds_are_the_splits_one_by_one(three_types, arguments):
    before = list(three_types.obs)
    found = folds(three_types, **arguments)
    assert list(three_types.obs) == before
    n_folds = len(found)
    for i, fold in enumerate(found):
        arguments = {"n_folds": n_folds, **arguments}
        attn.pp.split(three_types, fold=i, **arguments)
        assert fold.values.equals(three_types.obs["split"].array)
        assert fold.record == three_types.uns["epiattn"]["splits"]["split"]
        assert (fold.record["n_folds"], fold.record["fold"]) == (n_folds, i)


def test_random_folds_follow_the_seed(three_types):
    first, again, other = (folds(three_types, by="random", n_folds=3, seed=seed)[0].values for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_there_are_four_folds_by_default_and_one_for_each_cell_type(three_types):
    assert len(folds(three_types)) == 4
    groups = held_out(folds(three_types, by="cell_type"), three_types.obs["cell_type"])
    assert groups == [{"cell_type_0"}, {"cell_type_1"}, {"cell_type_2"}]
    three_types.obs["cell_type"] = "one"
    with pytest.raises(ValueError, match="there is one only"):
        folds(three_types, by="cell_type")


def test_wrong_numbers_of_folds_are_refused(three_types):
    for n_folds in (1, 0, -2):
        with pytest.raises(ValueError, match="n_folds must be 2 or more"):
            folds(three_types, n_folds=n_folds)
    with pytest.raises(ValueError, match="has 4 folds, not n_folds=3"):
        folds(three_types, preset="chromoformer", n_folds=3)


# --- Chromoformer's folds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["chr", "", "Chr"])
def test_the_preset_has_the_published_chromosomes_however_they_are_called(three_types, prefix):
    plain = three_types.obs["chrom"].astype(str).str.removeprefix("chr")
    three_types.obs["chrom"] = prefix + plain
    groups = held_out(folds(three_types, preset="chromoformer"), plain)
    assert groups == [fold & set(plain) for fold in CHROMOFORMER]


def test_the_preset_reports_absent_chromosomes_and_leaves_others_out(three_types, log):
    chrom = three_types.obs["chrom"].astype(str)
    three_types.obs["chrom"] = chrom.replace({"chr3": "chrM"})
    found = folds(three_types, preset="chromoformer")
    for fold in found:
        np.testing.assert_array_equal(fold.values.isna(), chrom == "chr3")
        assert fold.record["n_left_out"] == (chrom == "chr3").sum()
    assert log.text.count("no gene is on chromosome 3, Y.") == 1
    assert log.text.count("does not know chrM: the genes there are left out.") == 1
    levels = [record.levelno for record in log.records]
    assert levels == [logging.INFO, logging.WARNING]


def test_a_fold_of_the_preset_without_genes_is_refused(three_types):
    three_types.obs["chrom"] = np.where(three_types.obs["chrom"].isin(["chr1", "chr5"]), "chr1", "chr7")
    with pytest.raises(ValueError, match="none of the chromosomes of fold 2 is in"):
        folds(three_types, preset="chromoformer")


# --- hybrid ----------------------------------------------------------------------------------------------------------


def test_hybrid_folds_take_cell_types_and_chromosomes_in_turn(three_types):
    found = folds(three_types, by="hybrid", n_folds=4)
    types = held_out(found, three_types.obs["cell_type"])
    assert types == [{"cell_type_0"}, {"cell_type_1"}, {"cell_type_2"}, {"cell_type_0"}]
    assert held_out(found, three_types.obs["chrom"]) == held_out(
        folds(three_types, n_folds=4), three_types.obs["chrom"]
    )
    for fold in found:
        values = np.asarray(fold.values, dtype=object)
        for column in ("cell_type", "chrom"):
            groups = [set(three_types.obs[column][values == part]) for part in ("train", "validation", "test")]
            assert all(groups)
            assert sum(map(len, groups)) == len(set.union(*groups)) == three_types.obs[column].nunique()


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_folds": 3, "fold": 1},
        {"by": "random", "n_folds": 3, "fold": 1},
        {"by": "hybrid"},
        {"by": "hybrid", "test": ("cell_type_0", "cell_type_1")},
        {"by": "cell_type", "test": ("cell_type_0", "cell_type_1")},
        {"preset": "chromoformer", "fold": 2},
    ],
)
def test_the_record_survives_a_file(three_types, tmp_path, arguments):
    attn.pp.split(three_types, **arguments)
    record = three_types.uns["epiattn"]["splits"]["split"]
    three_types.write_h5mu(tmp_path / "a.h5mu")
    read = mudata.read_h5mu(tmp_path / "a.h5mu")
    assert read.obs["split"].array.equals(three_types.obs["split"].array)
    stored = read.uns["epiattn"]["splits"]["split"]
    assert set(stored) == set(record)
    for name, value in record.items():
        assert np.array_equal(stored[name], value), name
    assert record["n_train"] + record["n_validation"] + record["n_test"] + record.get("n_left_out", 0) == 450

"""Splits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import epiattn as attn
from epiattn.pp._split import ensure_split


def parts_of(mdata, column):
    return mdata.obs.groupby(column, observed=True)["split"].nunique()


def test_default_holds_whole_chromosomes_out_at_70_15_15(mdata):
    assert attn.pp.split(mdata) is mdata
    assert (parts_of(mdata, "chrom") == 1).all()
    shares = mdata.obs["split"].value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.70, abs=0.03)
    assert shares["validation"] == pytest.approx(0.15, abs=0.03)
    assert shares["test"] == pytest.approx(0.15, abs=0.03)


def test_an_anndata_comes_back_with_the_split(mdata):
    adata = mdata["histone"].copy()
    adata.obs = mdata.obs.copy()
    assert attn.pp.split(adata) is adata
    assert set(adata.obs["split"]) == {"train", "validation", "test"}
    assert "splits" in adata.uns["epiattn"]


def test_default_is_deterministic(mdata):
    first = attn.pp.split(mdata.copy(), seed=1).obs["split"]
    second = attn.pp.split(mdata, seed=2).obs["split"]
    assert (first == second).all()


def test_named_chromosomes_are_the_test_part_and_validation_is_filled(mdata):
    attn.pp.split(mdata, test=("chr3", "chr10"))
    test = mdata.obs.loc[mdata.obs["split"] == "test", "chrom"]
    assert set(test) == {"chr3", "chr10"}
    assert (mdata.obs["split"] == "validation").mean() == pytest.approx(0.15, abs=0.03)


def test_random_split_keeps_a_gene_together_and_follows_the_seed(mdata):
    attn.pp.split(mdata, by="random", seed=0)
    assert (parts_of(mdata, "gene_id") == 1).all()
    assert mdata.obs["split"].value_counts()["train"] == pytest.approx(280, abs=4)
    other = attn.pp.split(mdata, by="random", seed=1, copy=True)
    assert (other.obs["split"] != mdata.obs["split"]).any()


def test_any_column_can_group(mdata):
    mdata.obs["arm"] = [f"arm_{i % 5}" for i in range(mdata.n_obs)]
    attn.pp.split(mdata, by="arm", validation="arm_1", test=["arm_2"])
    assert (parts_of(mdata, "arm") == 1).all()


def test_what_was_done_is_recorded(mdata):
    attn.pp.split(mdata, test=("chr3",), key_added="fold")
    record = mdata.uns["epiattn"]["splits"]["fold"]
    assert record["by"] == "chrom"
    assert record["test"] == ["chr3"]
    assert record["n_test"] == (mdata.obs["fold"] == "test").sum()
    assert record["train"].index("chr2") < record["train"].index("chr11")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test": ("chr99",)}, r"test= names \['chr99'\]"),
        ({"test": ("chr1",), "validation": ("chr1",)}, "both in validation= and in test="),
        ({"by": "nothing"}, "neither 'random' nor a column"),
        ({"by": "cell_type"}, "empty"),
        ({"by": "random", "test": ("chr1",)}, "by='random' does not have"),
        ({"test": ()}, "names no group"),
        ({"test": tuple(f"chr{i}" for i in range(1, 23))}, "empty"),
    ],
)
def test_impossible_splits_are_refused(mdata, arguments, message):
    with pytest.raises(ValueError, match=message):
        attn.pp.split(mdata, **arguments)
    assert "split" not in mdata.obs


def test_missing_groups_are_refused(mdata):
    mdata.obs["chrom"] = mdata.obs["chrom"].where(mdata.obs["chrom"] != "chr1")
    with pytest.raises(ValueError, match="is missing for"):
        attn.pp.split(mdata)


def test_ensure_split_keeps_what_is_there(mdata):
    mdata.obs["split"] = "mine"
    ensure_split(mdata)
    assert (mdata.obs["split"] == "mine").all()


@pytest.mark.parametrize("chromosomes", [["chr21"], ["chr1", "chr2"], None])
def test_too_few_chromosomes_are_split_by_gene_with_a_warning(mdata, caplog, chromosomes, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    if chromosomes is None:
        del mdata.obs["chrom"]
    else:
        mdata.obs["chrom"] = [chromosomes[i % len(chromosomes)] for i in range(mdata.n_obs)]
    ensure_split(mdata, seed=4)
    assert "at random by gene" in caplog.text
    assert mdata.uns["epiattn"]["splits"]["split"]["by"] == "random"
    assert mdata.obs["split"].nunique() == 3


# --- held-out cell types ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _four_types():
    return attn.datasets.simulate(n_genes=150, cell_types=4, n_bins=4, max_cpgs=2, n_tfs=2, seed=1)


@pytest.fixture
def four_types(_four_types):
    return _four_types.copy()


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    return caplog


def test_a_held_out_cell_type_is_the_test_part_and_another_one_validation(four_types):
    attn.pp.split(four_types, by="cell_type", test="cell_type_2")
    table = four_types.obs.groupby("cell_type", observed=True)["split"].agg(["nunique", "first"])
    assert (table["nunique"] == 1).all()
    assert table["first"].tolist() == ["train", "train", "test", "validation"]


def test_with_one_cell_type_to_learn_from_its_chromosomes_make_the_validation_part(mdata, log):
    attn.pp.split(mdata, by="cell_type", test=("cell_type_0",))
    obs = mdata.obs
    np.testing.assert_array_equal(obs["split"] == "test", obs["cell_type"] == "cell_type_0")
    learned = obs[obs["cell_type"] == "cell_type_1"]
    assert learned.groupby("chrom", observed=True)["split"].nunique().eq(1).all()
    assert (learned["split"] == "validation").mean() == pytest.approx(0.15, abs=0.04)
    record = mdata.uns["epiattn"]["splits"]["split"]
    assert record["train"] == record["validation"] == ["cell_type_1"]
    assert set(record["validation_chrom"]) == set(learned.loc[learned["split"] == "validation", "chrom"])
    assert "Only cell_type_1 is left to learn from" in log.text


def test_one_cell_type_cannot_be_held_out():
    one = attn.datasets.simulate(n_genes=30, cell_types=1, n_bins=4, max_cpgs=2, n_tfs=2)
    with pytest.raises(ValueError, match=r"leaves \['validation', 'test'\] empty"):
        attn.pp.split(one, by="cell_type")
    with pytest.raises(ValueError, match=r"leaves \['train', 'validation'\] empty"):
        attn.pp.split(one, by="cell_type", test="cell_type_0")


def test_hybrid_tests_unseen_cell_types_on_unseen_chromosomes(four_types):
    attn.pp.split(four_types, by="hybrid", test=("cell_type_1", "chr2", "chr5"), validation=("chr1", "cell_type_3"))
    record = four_types.uns["epiattn"]["splits"]["split"]
    sides = {
        "test": ({"cell_type_1"}, {"chr2", "chr5"}),
        "validation": ({"cell_type_3"}, {"chr1"}),
        "train": ({"cell_type_0", "cell_type_2"}, set(four_types.obs["chrom"]) - {"chr1", "chr2", "chr5"}),
    }
    for cell_type, chrom, part in four_types.obs[["cell_type", "chrom", "split"]].astype(object).to_numpy():
        expected = [name for name, (types, chroms) in sides.items() if cell_type in types and chrom in chroms]
        assert ([part] if isinstance(part, str) else []) == expected
    for name, (types, chroms) in sides.items():
        assert set(record[f"{name}_cell_type"]) == types
        assert set(record[f"{name}_chrom"]) == chroms
        assert record[f"n_{name}"] == (four_types.obs["split"] == name).sum() > 0
    assert record["n_left_out"] == four_types.obs["split"].isna().sum() > 0


def test_hybrid_fills_what_is_not_named(four_types):
    attn.pp.split(four_types, by="hybrid")
    obs = four_types.obs
    for column in ("cell_type", "chrom"):
        groups = [set(obs.loc[obs["split"] == part, column]) for part in ("train", "validation", "test")]
        assert all(groups)
        assert sum(map(len, groups)) == len(set.union(*groups)), "a group is in two parts"
    assert (obs["chrom"].isin(obs.loc[obs["split"] == "test", "chrom"])).mean() == pytest.approx(0.15, abs=0.04)


def test_hybrid_of_two_cell_types_validates_on_other_chromosomes_of_the_one_to_learn_from(mdata, log):
    attn.pp.split(mdata, by="hybrid", test=("cell_type_1",))
    obs = mdata.obs
    parts = {part: obs[obs["split"] == part] for part in ("train", "validation", "test")}
    assert [set(part["cell_type"]) for part in parts.values()] == [{"cell_type_0"}, {"cell_type_0"}, {"cell_type_1"}]
    chroms = [set(part["chrom"]) for part in parts.values()]
    assert sum(map(len, chroms)) == len(set.union(*chroms)) == obs["chrom"].nunique()
    assert "Only cell_type_0 is left to learn from" in log.text


@pytest.mark.parametrize("by", ["chrom", "hybrid"])
def test_a_gene_on_two_chromosomes_is_never_on_both_sides(four_types, log, by):
    obs = four_types.obs
    gene = obs["gene_id"].astype(str).to_numpy(copy=True)
    first = {chrom: np.flatnonzero(obs["chrom"] == chrom)[0] for chrom in ("chr1", "chr2", "chr3", "chr4")}
    rows = {chrom: np.flatnonzero(gene == gene[i]) for chrom, i in first.items()}
    gene[rows["chr1"]] = gene[rows["chr2"]] = "across"  # test and training
    gene[rows["chr3"]] = gene[rows["chr4"]] = "along"  # both in training
    four_types.obs["gene_id"] = gene
    attn.pp.split(four_types, by=by, test=("chr1",), validation=("chr7",))
    split = four_types.obs["split"]
    assert (four_types.obs.groupby("gene_id")["split"].nunique() <= 1).all()
    assert split.iloc[rows["chr2"]].isna().all()
    assert (split.iloc[rows["chr1"]] == "test").sum() == (4 if by == "chrom" else 1)
    assert (split.iloc[rows["chr3"]] == "train").sum() == (4 if by == "chrom" else 2)
    assert "1 genes, such as across, lie on chromosomes of different parts" in log.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "hybrid", "test": ("liver",)}, "'liver', which is neither a cell type nor a chromosome"),
        ({"by": "hybrid", "test": ("chr1",), "validation": ("chr1",)}, "both in validation= and in test="),
        (
            {"by": "hybrid", "test": ("cell_type_0", "cell_type_1"), "validation": ("cell_type_2", "cell_type_3")},
            "empty",
        ),
        ({"by": "hybrid", "test": tuple(f"cell_type_{i}" for i in range(4))}, r"\['train', 'validation'\] empty"),
        ({"n_folds": 4}, "fold= must name the fold to test on, 0 to 3; it is None"),
        ({"n_folds": 4, "fold": 4}, "0 to 3; it is 4"),
        ({"n_folds": 1, "fold": 0}, "n_folds must be 2 or more, not 1"),
        ({"n_folds": 99, "fold": 0}, r"more than the \d+ groups of obs\['chrom'\]: chr1, chr2"),
        ({"n_folds": 999, "fold": 0, "by": "random"}, "more than the 150 genes"),
        ({"fold": 0}, "needs the number of folds"),
        ({"n_folds": 4, "fold": 0, "test": ("chr1",)}, "give one of the two"),
        ({"preset": "chromformer", "fold": 0}, "preset must be one of"),
        ({"preset": "chromoformer"}, "0 to 3; it is None"),
        ({"preset": "chromoformer", "fold": 0, "n_folds": 5}, "has 4 folds, not n_folds=5"),
        ({"preset": "chromoformer", "fold": 0, "by": "random"}, "is a split by chromosome"),
        ({"preset": "chromoformer", "fold": 0, "validation": "chr1"}, "both in validation= and in test="),
    ],
)
def test_impossible_folds_and_hybrids_are_refused(four_types, arguments, message):
    with pytest.raises(ValueError, match=message):
        attn.pp.split(four_types, **arguments)
    assert "split" not in four_types.obs


def test_hybrid_needs_two_cell_types(four_types):
    four_types.obs["cell_type"] = "one"
    with pytest.raises(ValueError, match="there is one only: 'one'"):
        attn.pp.split(four_types, by="hybrid")
    del four_types.obs["cell_type"]
    with pytest.raises(ValueError, match="by='cell_type' is neither 'random' nor a column"):
        attn.pp.split(four_types, by="hybrid")


def test_a_name_of_both_a_cell_type_and_a_chromosome_is_refused(four_types):
    four_types.obs["cell_type"] = four_types.obs["cell_type"].astype(str).replace("cell_type_0", "chr1")
    with pytest.raises(ValueError, match="a cell type and a chromosome"):
        attn.pp.split(four_types, by="hybrid", test=("chr1",))


# --- pure functions --------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 500), min_size=3, max_size=30))
def test_no_part_is_ever_empty_and_the_shares_are_close(sizes):
    import pandas as pd

    from epiattn.pp._parts import fill_largest_first

    series = pd.Series({f"chr{i}": size for i, size in enumerate(sizes)})
    assigned = fill_largest_first(series, {})
    assert set(assigned) == set(series.index)
    assert set(assigned.values()) == {"train", "validation", "test"}
    for part, share in {"validation": 0.15, "test": 0.15}.items():
        size = sum(series[name] for name, value in assigned.items() if value == part)
        smallest_possible_error = series.max()
        assert abs(size - share * series.sum()) <= smallest_possible_error

"""Splits."""

from __future__ import annotations

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


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 500), min_size=3, max_size=30))
def test_no_part_is_ever_empty_and_the_shares_are_close(sizes):
    import pandas as pd

    from epiattn.pp._split import _fill_largest_first

    series = pd.Series({f"chr{i}": size for i, size in enumerate(sizes)})
    assigned = _fill_largest_first(series, {})
    assert set(assigned) == set(series.index)
    assert set(assigned.values()) == {"train", "validation", "test"}
    for part, share in {"validation": 0.15, "test": 0.15}.items():
        size = sum(series[name] for name, value in assigned.items() if value == part)
        smallest_possible_error = series.max()
        assert abs(size - share * series.sum()) <= smallest_possible_error

"""Count matrices of single cells: against a loop over cells, features and bases."""

from __future__ import annotations

import re

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import epiattn as attn
from epiattn._logging import logger
from epiattn.io._from_anndata import from_anndata


@pytest.fixture
def messages(monkeypatch):
    """What is logged as a warning."""
    found: list[str] = []
    monkeypatch.setattr(logger, "warning", lambda text, *values: found.append(text % values))
    return found


def make_cells(counts, groups, var, prefix: str = "cell") -> ad.AnnData:
    obs = pd.DataFrame({"cell_type": groups}, index=[f"{prefix}_{i}" for i in range(len(groups))])
    return ad.AnnData(counts, obs=obs, var=var)


@pytest.fixture
def genes():
    """One gene on either strand, one at the beginning of a chromosome."""
    return pd.DataFrame(
        {
            "gene_name": ["PLUS", "MINUS", "FIRST"],
            "chrom": ["chr1", "chr1", "chr2"],
            "tss": [1_000, 1_100, 50],
            "strand": ["+", "-", "+"],
        },
        index=["ENSG1", "ENSG2", "ENSG3"],
    )


@pytest.fixture
def atac():
    """Two B cells, one T cell; 1 + 1 + 2 counts in B, 4 in T."""
    var = pd.DataFrame(index=["chr1:950-1050", "chr2:0-400", "chr3:0-10"])
    return make_cells(np.array([[1.0, 1, 0], [0, 0, 2], [4, 0, 0]]), ["B", "B", "T"], var)


@pytest.fixture
def rna(genes):
    return make_cells(np.array([[3.0, 1, 0], [0, 4, 0], [0, 1, 3]]), ["B", "B", "T"], pd.DataFrame(index=genes.index))


OPTIONS = {"groupby": "cell_type", "window": 200, "min_cells": 1}


# --- signal -----------------------------------------------------------------------------------------------------------


def test_values_by_hand(atac, genes):
    mdata = from_anndata({"ATAC": atac}, genes, **OPTIONS)
    assert mdata.obs_names.tolist() == [f"{gene}@{group}" for group in "BT" for gene in genes.index]
    assert mdata["histone"].var["start"].tolist() == [-200, -100, 0, 100]
    million, kb = 1e6, 1_000
    peak = 1 / 4 * million / 100 * kb  # counts per million in B, over 100 bp, per kb
    first = 1 / 4 * million / 400 * kb
    expected = [
        [0, peak / 2, peak / 2, 0],  # 50 bp in each of two bins of [800, 1200)
        [0, 0, peak / 2, peak / 2],  # [900, 1300): 50 bp in its first bin and in its second one, reversed
        [0, first / 2, first, first],  # [-150, 250): what lies before the chromosome is 0
        [0, 2 * peak * 4 / 4, 2 * peak, 0],
        [0, 0, 2 * peak, 2 * peak],
        [0, 0, 0, 0],
    ]
    np.testing.assert_allclose(mdata["histone"].layers["ATAC"], expected, rtol=1e-6)
    for name in ("gene_name", "chrom", "tss", "strand"):
        assert mdata.obs[name].tolist() == genes[name].tolist() * 2
    assert mdata.obs["cell_type"].tolist() == ["B"] * 3 + ["T"] * 3
    assert list(mdata.mod) == ["histone"]
    assert "label" not in mdata.obs
    assert "measured" not in mdata["histone"].obsm
    assert mdata.uns["epiattn"]["signal"] == "counts per million and kilobase"


def naive(counts, intervals, groups, genes, *, window, bin_size) -> dict[str, np.ndarray]:
    """Base by base."""
    result = {}
    for group in sorted(set(groups)):
        total = counts[[i for i, name in enumerate(groups) if name == group]].sum(0)
        density = np.zeros((3, 1_000))  # chromosome x base
        for value, (chrom, start, end) in zip(total, intervals, strict=True):
            density[chrom, start:end] += value / (end - start)
        density *= 1e9 / total.sum() if total.sum() else 0
        rows = []
        for gene in genes.itertuples():
            bases = [
                density[int(gene.chrom[3:]), base] if 0 <= base < 1_000 else 0.0
                for base in range(gene.tss - window, gene.tss + window)
            ]
            bins = np.reshape(bases, (-1, bin_size)).mean(1)
            rows.append(bins if gene.strand == "+" else bins[::-1])
        result[group] = np.array(rows)
    return result


@settings(deadline=None, derandomize=True, max_examples=40)
@given(data=st.data())
def test_it_equals_a_loop_over_bases(data):
    """Overlapping, unsorted and nested features on several chromosomes, some without genes."""
    draw = data.draw
    interval = st.tuples(st.integers(0, 2), st.integers(0, 950), st.integers(1, 400))
    drawn = draw(st.lists(interval, min_size=1, max_size=8))
    drawn = [(chrom, start, min(start + width, 1_000)) for chrom, start, width in drawn]
    intervals = list(dict.fromkeys([*drawn, (0, 0, 1), (1, 0, 1)]))
    gene = st.tuples(st.integers(0, 1), st.integers(0, 999), st.sampled_from("+-"))
    table = pd.DataFrame(draw(st.lists(gene, min_size=1, max_size=5)), columns=["chrom", "tss", "strand"])
    table = table.assign(chrom="chr" + table["chrom"].astype(str)).set_axis([f"G{i}" for i in range(len(table))])
    bin_size, half = draw(st.sampled_from([(10, 5), (7, 7), (100, 2), (60, 1)]))
    window = bin_size * half
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    counts = rng.poisson(1, (4, len(intervals)))
    groups = rng.choice(["a", "b"], 4).tolist()
    logger.setLevel("ERROR")
    prefix = draw(st.sampled_from(["", "chr"]))
    names = [f"{prefix}{chrom}:{start}-{end}" for chrom, start, end in intervals]
    cells = make_cells(sparse.csr_matrix(counts), groups, pd.DataFrame(index=names))
    found = from_anndata({"ATAC": cells}, table, groupby="cell_type", window=window, bin_size=bin_size, min_cells=1)
    expected = naive(counts, intervals, groups, table, window=window, bin_size=bin_size)
    np.testing.assert_allclose(
        found["histone"].layers["ATAC"], np.concatenate(list(expected.values())), rtol=1e-5, atol=1e-3
    )


def test_wide_features_reach_over_narrow_ones(genes):
    """A feature that begins far before a window covers it, however many end before."""
    names = ["chr1:0-4000", *(f"chr1:{start}-{start + 10}" for start in range(10, 400, 20))]
    cells = make_cells(np.eye(1, len(names)), ["B"], pd.DataFrame(index=names))
    mdata = from_anndata({"ATAC": cells}, genes[:1], **OPTIONS)
    np.testing.assert_allclose(mdata["histone"].layers["ATAC"], np.full((1, 4), 1e9 / 4_000))


@pytest.mark.parametrize("form", ["chr1-950-1050", "chr1_950_1050", "1:950-1050", "interval", "columns", "text"])
def test_features_are_placed_by_names_or_columns(atac, genes, form):
    expected = from_anndata({"ATAC": atac}, genes, **OPTIONS)["histone"].layers["ATAC"]
    names = atac.var_names.to_series()
    if form == "interval":
        atac.var["interval"] = names
        atac.var_names = ["a", "b", "c"]
    elif form in ("columns", "text"):
        parts = names.str.extract(r"(.+):(.+)-(.+)").set_axis(["seqnames", "Start", "End"], axis=1)
        atac.var = parts if form == "text" else parts.astype({"seqnames": "category", "Start": int, "End": int})
        atac.var_names = ["a", "b", "c"]
    elif form.startswith("chr"):
        atac.var_names = names.str.replace("[:-]", form[4], regex=True)
    else:
        atac.var_names = names.str.removeprefix("chr")
    found = from_anndata({"ATAC": atac}, genes, **OPTIONS)["histone"].layers["ATAC"]
    np.testing.assert_array_equal(found, expected)


def test_a_mark_that_lacks_a_cell_type_is_marked(atac, genes, messages):
    h3k27ac = atac[atac.obs["cell_type"] == "T"].copy()
    mdata = from_anndata({"ATAC": atac, "H3K27ac": h3k27ac}, genes, **OPTIONS)
    measured = mdata["histone"].obsm["measured"]
    assert list(measured) == ["ATAC", "H3K27ac"]
    assert measured["ATAC"].all()
    assert measured["H3K27ac"].tolist() == [False] * 3 + [True] * 3
    assert not mdata["histone"].layers["H3K27ac"][:3].any()
    np.testing.assert_array_equal(mdata["histone"].layers["H3K27ac"][3:], mdata["histone"].layers["ATAC"][3:])
    assert messages == ["H3K27ac was not measured in 'B': zeros, marked in obsm['measured']."]


# --- groups -----------------------------------------------------------------------------------------------------------


def test_small_groups_are_left_out(atac, genes, messages):
    mdata = from_anndata({"ATAC": atac}, genes, groupby="cell_type", window=200, min_cells=2)
    assert mdata.obs["cell_type"].unique().tolist() == ["B"]
    assert messages == ["assays['ATAC']: 1 groups of fewer than 2 cells are left out: T (1)."]


def test_groups_of_several_columns(atac, genes):
    atac.obs["donor"] = [1, 2, 1]
    mdata = from_anndata({"ATAC": atac}, genes, **{**OPTIONS, "groupby": ["cell_type", "donor"]})
    assert mdata.obs["cell_type"].unique().tolist() == ["B_1", "B_2", "T_1"]
    assert mdata.obs["donor"].tolist() == ["1"] * 3 + ["2"] * 3 + ["1"] * 3


def test_the_column_may_be_in_the_other_object(atac, rna, genes):
    """Multiome: cells have names in common, in another order, and types stand in the object with expression."""
    expected = from_anndata({"ATAC": atac}, genes, expression=rna, **OPTIONS)
    bare = atac[::-1].copy()
    del bare.obs["cell_type"]
    found = from_anndata({"ATAC": bare}, genes, expression=rna, **OPTIONS)
    np.testing.assert_array_equal(found["histone"].layers["ATAC"], expected["histone"].layers["ATAC"])
    series = from_anndata({"ATAC": bare}, genes, **{**OPTIONS, "groupby": rna.obs["cell_type"]})
    np.testing.assert_array_equal(series["histone"].layers["ATAC"], expected["histone"].layers["ATAC"])
    bare.obs_names = ["x", "y", "z"]
    with pytest.raises(ValueError, match=r"assays\['ATAC'\]: obs has no column 'cell_type', .* no cell has the same"):
        from_anndata({"ATAC": bare}, genes, expression=rna, **OPTIONS)
    with pytest.raises(ValueError, match="No object has a column 'cell_type' in obs"):
        from_anndata({"ATAC": bare}, genes, **OPTIONS)


# --- expression -------------------------------------------------------------------------------------------------------


def test_expression_and_labels(atac, rna, genes):
    mdata = from_anndata({"ATAC": atac}, genes, expression=rna, **OPTIONS)
    cpm = np.array([3 / 8, 5 / 8, 0, 0, 1 / 4, 3 / 4]) * 1e6
    np.testing.assert_allclose(mdata["rna"].X[:, 0], np.log2(cpm + 1), rtol=1e-6)
    assert mdata.obs["label"].tolist() == ["low", "high", "low", "low", "low", "high"]


@pytest.mark.parametrize("way", ["version", "table version", "symbol", "gene_ids", "duplicate"])
def test_genes_are_found_by_ids_or_names(atac, rna, genes, way):
    expected = from_anndata({"ATAC": atac}, genes, expression=rna, **OPTIONS)["rna"].X
    if way == "version":
        rna.var_names = [f"{name}.7" for name in rna.var_names]
    elif way == "table version":
        genes = genes.set_axis([f"{name}.3" for name in genes.index])
    elif way == "symbol":
        rna.var_names = genes["gene_name"].tolist()
    elif way == "gene_ids":
        rna.var["gene_ids"] = pd.Categorical(rna.var_names)
        rna.var_names = ["PLUS", "other", "name"]
    else:  # counts of two features of one gene are summed
        counts = np.concatenate([rna.X, rna.X[:, 1:2] / 2], axis=1)
        counts[:, 1] -= counts[:, 3]
        rna = make_cells(2 * counts, rna.obs["cell_type"].tolist(), pd.DataFrame(index=[*rna.var_names, "ENSG2.1"]))
    found = from_anndata({"ATAC": atac}, genes, expression=rna, **OPTIONS)["rna"].X
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_genes_and_groups_without_expression_have_no_label(atac, rna, genes, messages):
    few = rna[rna.obs["cell_type"] == "B", ["ENSG1", "ENSG2"]].copy()
    mdata = from_anndata({"ATAC": atac}, genes, expression=few, **OPTIONS)
    np.testing.assert_array_equal(np.isnan(mdata["rna"].X[:, 0]), [False, False, True, True, True, True])
    assert mdata.obs["label"].isna().tolist() == [False, False, True, True, True, True]
    assert messages[:2] == [
        "expression was not measured in 'T': NaN there, and no label.",
        "expression lacks 1 genes, NaN there: 'ENSG3'.",
    ]


def test_groups_with_expression_alone_are_left_out(atac, rna, genes, messages):
    mdata = from_anndata({"ATAC": atac[:2].copy()}, genes, expression=rna, **OPTIONS)
    assert mdata.obs["cell_type"].unique().tolist() == ["B"]
    assert messages[0] == "Only expression has the groups 'T': they are left out."
    rna.obs["cell_type"] = "NK"
    with pytest.raises(ValueError, match="expression has the groups 'NK', but the assays have 'B', 'T'"):
        from_anndata({"ATAC": atac}, genes, expression=rna, **OPTIONS)


def test_depth_counts_genes_that_are_not_asked_for(atac, rna, genes):
    mdata = from_anndata({"ATAC": atac}, genes.iloc[:2], expression=rna, **OPTIONS)
    np.testing.assert_allclose(mdata["rna"].X[3, 0], np.log2(0.25e6 + 1), rtol=1e-6)


def test_layers_hold_the_counts(atac, rna, genes):
    expected = from_anndata({"ATAC": atac}, genes, expression=rna, **OPTIONS)
    for adata in (atac, rna):
        adata.layers["counts"] = adata.X.copy()
        adata.X = np.log1p(adata.X)
    both = from_anndata({"ATAC": atac}, genes, expression=rna, layer="counts", **OPTIONS)
    atac.X = atac.layers["counts"]
    one = from_anndata({"ATAC": atac}, genes, expression=rna, layer={"expression": "counts"}, **OPTIONS)
    for found in (both, one):
        np.testing.assert_array_equal(found["histone"].layers["ATAC"], expected["histone"].layers["ATAC"])
        np.testing.assert_array_equal(found["rna"].X, expected["rna"].X)
    with pytest.raises(ValueError, match=r"expression has no layer 'raw'; layers are \['counts'\]"):
        from_anndata({"ATAC": atac}, genes, expression=rna, layer={"expression": "raw"}, **OPTIONS)


# --- what goes on with it ---------------------------------------------------------------------------------------------


@pytest.fixture
def large():
    """60 genes, 3 cell types, two marks of which one lacks a cell type, expression."""
    rng = np.random.default_rng(0)
    tss = 10_000 * np.arange(1, 61)
    genes = pd.DataFrame(
        {
            "gene_name": [f"N{i}" for i in range(60)],
            "chrom": [f"chr{i % 5 + 1}" for i in range(60)],
            "tss": tss,
            "strand": rng.choice(["+", "-"], 60),
        },
        index=[f"G{i}" for i in range(60)],
    )
    peaks = pd.DataFrame(index=[f"{gene.chrom}:{gene.tss - 300}-{gene.tss + 400}" for gene in genes.itertuples()])
    types = np.repeat(["B", "NK", "T"], 10).tolist()
    atac = make_cells(sparse.csr_matrix(rng.poisson(2, (30, 60))), types, peaks)
    h3k27ac = make_cells(sparse.csr_matrix(rng.poisson(2, (20, 60))), types[:20], peaks, prefix="other")
    rna = make_cells(sparse.csr_matrix(rng.poisson(4, (30, 60))), types, pd.DataFrame(index=genes["gene_name"]))
    return {"ATAC": atac, "H3K27ac": h3k27ac}, genes, rna


def test_it_can_be_written_and_read(large, tmp_path):
    assays, genes, rna = large
    mdata = from_anndata(assays, genes, expression=rna, groupby="cell_type")
    mdata.write_h5mu(tmp_path / "data.h5mu")
    back = mudata.read_h5mu(tmp_path / "data.h5mu")
    np.testing.assert_array_equal(back["histone"].layers["ATAC"], mdata["histone"].layers["ATAC"])
    assert not back["histone"].obsm["measured"]["H3K27ac"].all()
    assert back.obs["label"].tolist() == mdata.obs["label"].tolist()


def test_a_model_can_be_fitted(large):
    assays, genes, rna = large
    mdata = from_anndata(assays, genes, expression=rna, groupby="cell_type")
    attn.tl.fit(mdata, max_epochs=1)
    assert np.isfinite(mdata.obsm["X_attn"]).all()
    assert mdata.uns["attn"]["metrics"]["test"]["n_obs"] > 0


def test_the_input_stays_as_it_was(large):
    assays, genes, rna = large
    before = [adata.copy() for adata in (*assays.values(), rna)]
    from_anndata(assays, genes, expression=rna, groupby="cell_type")
    for old, new in zip(before, (*assays.values(), rna), strict=True):
        pd.testing.assert_frame_equal(old.obs, new.obs)
        pd.testing.assert_frame_equal(old.var, new.var)
        assert (old.X != new.X).nnz == 0


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["peak_1", "chr1:950", "chr1:1050-950", "chr1:950-950", "chr1:-5-10", "chr1:a-b", ":1-2"]
)
def test_features_without_a_place_are_refused(atac, genes, name):
    atac.var_names = [*atac.var_names[:2], name]
    message = rf"assays\['ATAC'\]: var_names must give chromosome, start and end .* but 1 of 3 features .*'{name}'"
    with pytest.raises(ValueError, match=message):
        from_anndata({"ATAC": atac}, genes, **OPTIONS)


def test_columns_without_a_place_are_refused(atac, genes):
    atac.var = pd.DataFrame({"chrom": "chr1", "start": [0, 5, np.nan], "end": [1, 5.5, 9]}, index=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"var\['start'\] and var\['end'\] must give .* but 2 of 3 .* 'b', 'c'"):
        from_anndata({"ATAC": atac}, genes, **OPTIONS)


def test_chromosomes_are_matched(atac, genes, messages):
    atac.var_names = ["chr1:950-1050", "chr4:0-400", "chr5:0-10"]
    from_anndata({"ATAC": atac}, genes, **OPTIONS)
    assert len(messages) == 1
    assert re.search(r"assays\['ATAC'\].* no .*chr2", messages[0])
    atac.var_names = ["chr3:950-1050", "chr4:0-400", "chr5:0-10"]
    with pytest.raises(ValueError, match=r"assays\['ATAC'\]: no chromosome of the genes"):
        from_anndata({"ATAC": atac}, genes, **OPTIONS)


def test_wrong_objects_are_refused(atac, genes):
    with pytest.raises(TypeError, match=r"assays must be \{mark: AnnData\}.* not AnnData"):
        from_anndata(atac, genes, **OPTIONS)
    with pytest.raises(TypeError, match="assays must be"):
        from_anndata({"ATAC": atac.to_df()}, genes, **OPTIONS)
    with pytest.raises(TypeError, match="expression must be an AnnData of cells x genes, not DataFrame"):
        from_anndata({"ATAC": atac}, genes, expression=atac.to_df(), **OPTIONS)
    with pytest.raises(TypeError, match="genes must be a DataFrame"):
        from_anndata({"ATAC": atac}, genes.to_dict(), **OPTIONS)
    for assays in ({}, {"expression": atac}):
        with pytest.raises(ValueError, match="assays must name at least one mark"):
            from_anndata(assays, genes, **OPTIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 130}, "260 must be a multiple of the bin size"),
        ({"bin_size": 0}, "Bins of 0 bp do not fit"),
        ({"groupby": []}, "groupby must name at least one column"),
        ({"min_cells": 3}, r"assays\['ATAC'\]: no group has min_cells=3 cells"),
    ],
)
def test_wrong_arguments_are_named(atac, genes, change, message):
    with pytest.raises(ValueError, match=message):
        from_anndata({"ATAC": atac}, genes, **{**OPTIONS, **change})


def test_genes_that_are_not_expressed_anywhere_are_refused(atac, rna, genes):
    rna.var_names = ["a", "b", "c"]
    with pytest.raises(ValueError, match="No gene of genes .*'ENSG1'.* is in expression .*'a'"):
        from_anndata({"ATAC": atac}, genes, expression=rna, **OPTIONS)


def test_duplicate_genes_and_strands_are_checked(atac, genes):
    with pytest.raises(ValueError, match="'ENSG1' repeat"):
        from_anndata({"ATAC": atac}, genes.set_axis(["ENSG1", "ENSG1", "ENSG3"]), **OPTIONS)
    with pytest.raises(ValueError, match="strand must be"):
        from_anndata({"ATAC": atac}, genes.assign(strand="*"), **OPTIONS)


def test_normalised_values_are_told(atac, genes, messages):
    atac.X = np.log1p(atac.X)
    from_anndata({"ATAC": atac}, genes, **OPTIONS)
    assert messages[0].startswith("assays['ATAC'].X holds fractions")
    atac.X = -atac.X
    with pytest.raises(ValueError, match=r"assays\['ATAC'\]\.X has negative values"):
        from_anndata({"ATAC": atac}, genes, **OPTIONS)

"""Baselines that know the gene from other cell types."""

from __future__ import annotations

import numpy as np
import pytest

import epiattn as attn

NAN = np.nan

#      gene, cell type, part, expression, H3K4me3, H3K27me3
ROWS = [
    ("g0", "A", "train", 9, 40, 1),
    ("g1", "A", "train", 2, 10, 2),
    ("g2", "A", "train", 8, 30, 3),
    ("g3", "A", "train", 1, 20, 4),
    ("g0", "B", "train", 1, 11, 4),
    ("g1", "B", "train", 7, 42, 3),
    ("g2", "B", "train", 4, 22, 2),
    ("g4", "B", "train", 6, 25, 1),
    ("g0", "C", "test", 0, 80, 10),  # marks in the order of A, at twice the depth
    ("g1", "C", "test", 0, 20, 20),
    ("g2", "C", "test", 0, 60, 30),
    ("g3", "C", "test", 0, 40, 40),
    ("g4", "C", "test", 0, 50, 15),
    ("g5", "C", "test", 0, 50, 15),
    ("g2", "D", "validation", 0, 22, 2),  # in the order of B
    ("g0", "D", "validation", 0, 11, 4),
    ("g1", "D", "validation", 0, 42, 3),
]


def test_gene_mean_on_paper(make):
    # A training observation is left out of its own mean.
    expected = [1, 7, 4, NAN, 9, 2, 8, NAN, 5, 4.5, 6, 1, 6, NAN, 6, 5, 4.5]
    np.testing.assert_allclose(attn.baselines.gene_mean(make(ROWS), target="expression"), expected)
    labels = [0, 1, 0, NAN, 1, 0, 1, NAN, 0.5, 0.5, 0.5, 0, 1, NAN, 0.5, 0.5, 0.5]
    np.testing.assert_allclose(attn.baselines.gene_mean(make(ROWS)), labels)


def test_nearest_cell_type_on_paper(make):
    # A is next to C, B to D; where A lacks the gene (g4), B answers.
    expected = [1, 7, 4, NAN, 9, 2, 8, NAN, 9, 2, 8, 1, 6, NAN, 4, 1, 7]
    np.testing.assert_allclose(attn.baselines.nearest_cell_type(make(ROWS), target="expression"), expected)
    labels = [0, 1, 0, NAN, 1, 0, 1, NAN, 1, 0, 1, 0, 1, NAN, 0, 0, 1]
    np.testing.assert_allclose(attn.baselines.nearest_cell_type(make(ROWS)), labels)


def test_the_nearest_cell_type_reads_marks_of_the_test_part_but_no_target(make):
    mdata = make(ROWS)
    c = (mdata.obs["cell_type"] == "C").to_numpy()
    for layer in mdata["histone"].layers.values():
        layer[c] = layer[c].max() + 1 - layer[c]  # now in the order of B
    score = attn.baselines.nearest_cell_type(mdata, target="expression")
    np.testing.assert_allclose(score[c], [1, 7, 4, 1, 6, NAN])


def test_a_cell_type_without_common_genes_or_marks_is_not_near(make):
    rows = [*ROWS, ("g6", "E", "train", 3, 1, 1), ("g6", "C", "test", 3, 1, 1), ("g0", "E", "train", 3, 80, 10)]
    with_another = attn.baselines.nearest_cell_type(make(rows), target="expression")
    np.testing.assert_allclose(with_another[-3:], [NAN, NAN, NAN])  # two genes say nothing about likeness
    np.testing.assert_allclose(with_another[8:14], [9, 2, 8, 1, 6, NAN])
    mdata = make(ROWS)
    mdata["histone"].layers["H3K27me3"][:] = 0  # says nothing
    np.testing.assert_allclose(attn.baselines.nearest_cell_type(mdata, target="expression")[8:14], [9, 2, 8, 1, 6, NAN])


def test_planted_twins_are_found():
    mdata = attn.datasets.simulate(300, 4, n_bins=8, max_cpgs=2, n_tfs=2, seed=1)
    types = mdata.obs["cell_type"].to_numpy()
    for layer in mdata["histone"].layers.values():  # cell type 3 is cell type 1, sequenced deeper
        if layer is not None and not hasattr(layer, "tocsr"):
            layer[types == "cell_type_3"] = 2 * layer[types == "cell_type_1"]
    attn.pp.split(mdata, by="cell_type", test=("cell_type_3",), validation=("cell_type_2",))
    score = attn.baselines.nearest_cell_type(mdata, target="expression")
    np.testing.assert_array_equal(score[types == "cell_type_3"], mdata["rna"].X[types == "cell_type_1", 0])


def test_unseen_genes_are_nan(four_types):
    unseen = four_types.obs["gene_id"].astype(str).isin(four_types.obs["gene_id"].astype(str).unique()[:7])
    parts = four_types.obs["split"].astype(object)
    four_types.obs["split"] = parts.where(~unseen | (parts != "train"), None)
    for function in (attn.baselines.gene_mean, attn.baselines.nearest_cell_type):
        missing = np.isnan(function(four_types)) & (parts != "train").to_numpy()
        np.testing.assert_array_equal(missing, (unseen & (parts != "train")).to_numpy())


@pytest.mark.parametrize("name", ["gene_mean", "nearest_cell_type"])
def test_they_say_why_they_cannot_be_where_all_genes_are_new(mdata, name):
    function = getattr(attn.baselines, name)
    with pytest.raises(ValueError, match="needs the gene in training, in another cell type"):
        function(attn.pp.split(mdata))
    one = attn.pp.split(attn.datasets.simulate(60, 1, n_bins=4, max_cpgs=2, n_tfs=2), by="random")
    with pytest.raises(ValueError, match="one cell type, or a split by chromosome"):
        function(one)
    del mdata.obs["gene_id"]
    with pytest.raises(ValueError, match="needs the gene in training"):
        function(mdata)

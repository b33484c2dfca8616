"""The panels of a gene show the values of its observations."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

import epiattn as attn

MARKS = ["H3K27ac", "H3K27me3", "H3K4me3"]


def rows_of(mdata, name):
    return np.flatnonzero((mdata.obs["gene_name"] == name).to_numpy())


def panels(figure):
    """Axes of each panel, one for each cell type, by the name of the panel."""
    found, name = {}, None
    for ax in figure.axes:
        if ax.get_subplotspec() is None or ax.get_label() == "<colorbar>":
            continue
        if ax.get_subplotspec().is_first_col():
            name = ax.get_ylabel()
        found.setdefault(name, []).append(ax)
    return found


def test_a_column_for_each_cell_type_and_a_row_for_each_kind_of_data(made):
    figure = attn.pl.gene(made, "GENE3")
    found = panels(figure)
    assert list(found) == ["", "Signal", "Attribution", "Attention", "Methylation", "TFs"]
    assert {len(axes) for axes in found.values()} == {3}
    assert [ax.get_title() for ax in found[""]] == ["liver", "lung", "stem"]
    assert figure.get_suptitle() == "GENE3"
    assert figure.get_size_inches()[0] <= 180 / 25.4


def test_maps_and_tracks_hold_the_gene(made):
    found, rows = panels(attn.pl.gene(made, "GENE3")), rows_of(made, "GENE3")
    histone = made["histone"]
    for of in ("attribution", "attention"):
        for ax, row in zip(found[of.capitalize()], rows, strict=True):
            expected = np.stack([histone.layers[f"attn_{of}_{mark}"][row] for mark in MARKS])
            np.testing.assert_allclose(ax.images[0].get_array(), expected)
    highest = histone.layers["H3K4me3"][rows].max()
    for ax, row in zip(found["Signal"], rows, strict=True):
        track = ax.patches[2].get_data()
        np.testing.assert_allclose(track.baseline - track.values, 0.85 * histone.layers["H3K4me3"][row] / highest)
    assert found["Signal"][0].get_yticklabels()[2].get_text() == f"H3K4me3 ({highest:.3g})"


def test_prediction_and_expression_have_their_values_and_the_colour_of_their_class(made):
    rows = rows_of(made, "GENE3")
    for ax, row in zip(panels(attn.pl.gene(made, "GENE3"))[""], rows, strict=True):
        score, expression = made.obs["attn_score"].iloc[row], made["rna"].X[row, 0]
        assert [text.get_text() for text in ax.texts] == [f"{score:.2f}", f"{expression:.2f}"]
        assert ax.patches[0].get_width() == pytest.approx(score)
        assert to_hex(ax.patches[0].get_facecolor()) == ("#d55e00" if score > 0.5 else "#0072b2")
        assert ax.patches[1].get_width() == pytest.approx(expression / made["rna"].X[rows].max())
        ((low, _), (high, _)) = ax.collections[0].get_segments()[0]
        assert high - low == pytest.approx(2 * made.obs["attn_score_sd"].iloc[row])


def test_cpgs_are_at_their_place_as_high_as_methylated_and_coloured_by_what_they_add(made):
    methylation = made["methylation"]
    for ax, row in zip(panels(attn.pl.gene(made, "GENE3"))["Methylation"], rows_of(made, "GENE3"), strict=True):
        n = methylation.obs["n_cpg"].iloc[row]
        heads = ax.collections[-1]
        expected = np.column_stack(
            [2_000 * methylation.layers["position"][row, :n], methylation.layers["beta"][row, :n]]
        )
        np.testing.assert_allclose(heads.get_offsets(), expected)
        np.testing.assert_allclose(heads.get_array(), methylation.layers["attn_attribution"][row, :n])
    first = panels(attn.pl.gene(made, "GENE0"))["Methylation"][0]
    assert [text.get_text() for text in first.texts] == ["no CpG measured"]


def test_factors_are_those_that_add_the_most_in_any_cell_type(made):
    rows, tf = rows_of(made, "GENE3"), made["tf"]
    values = tf.layers["attn_attribution"][rows].toarray()
    top = np.argsort(-np.abs(values).max(0), kind="stable")[:4]
    axes = panels(attn.pl.gene(made, "GENE3", n_tfs=4))["TFs"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(tf.var_names[top])
    for ax, each, row in zip(axes, values, rows, strict=True):
        np.testing.assert_allclose([bar.get_width() for bar in ax.patches], each[top])
        assert ax.get_title("right") == f"{tf.layers['attn_attention'][[row]].nnz} bound"
    assert "TFs" not in panels(attn.pl.gene(made, "GENE3", n_tfs=0))


def test_without_attribution_there_are_data_and_attention(made):
    del made.uns["attn_attribution"]
    found = panels(attn.pl.gene(made, "ENSG03"))
    assert list(found) == ["", "Signal", "Attention", "Methylation", "TFs"]
    assert found["TFs"][0].get_xlabel() == "Attention"
    assert all(bar.get_width() >= 0 for ax in found["TFs"] for bar in ax.patches)


def test_cell_types_and_marks_can_be_chosen(made):
    found = panels(attn.pl.gene(made, "GENE3", cell_type=["stem"], marks="H3K4me3"))
    assert {len(axes) for axes in found.values()} == {1}
    assert found["Attribution"][0].images[0].get_array().shape == (1, 20)


def test_labels_stand_for_expression_that_is_not_there(made):
    made["rna"].X[:] = np.nan
    ax = panels(attn.pl.gene(made, "GENE3"))[""][0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["P(high)", "Observed"]


def test_a_histone_only_object_is_welcome(adata):
    gene = adata.obs["gene_id"].iloc[0]
    assert list(panels(attn.pl.gene(adata, gene))) == ["", "Signal", "Attention"]


def test_errors_say_what_is_wrong(made):
    with pytest.raises(ValueError, match=r"Unknown genes \['GENE99'\]"):
        attn.pl.gene(made, "GENE99")
    with pytest.raises(ValueError, match=r"Unknown cell types \['heart'\]"):
        attn.pl.gene(made, "GENE3", cell_type="heart")
    made.obs["gene_name"] = ["one"] * made.n_obs
    with pytest.raises(ValueError, match=r"'one' has 42 observations, and no more than 6 fit side by side"):
        attn.pl.gene(made, "one")
    with pytest.raises(ValueError, match="No fit under key 'x'"):
        attn.pl.gene(made, "ENSG03", key="x")

"""Each gene is where its effect and p-value are, and the strongest are named."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

import epiattn as attn


def of_group(mdata, level, group):
    table = mdata.uns["attn_differential"][level]
    return table[(table["group"] == group).to_numpy()]


def test_points_of_the_volcano(made):
    figure = attn.pl.differential_regulation(made)
    assert [ax.get_title() for ax in figure.axes] == [f"{name} against rest" for name in ("liver", "lung", "stem")]
    for ax, name in zip(figure.axes, ("liver", "lung", "stem"), strict=True):
        table = of_group(made, "genes", name)
        found = (table["pvals_adj"] <= 0.05).to_numpy()
        for part, rows in zip(ax.collections, (~found, found), strict=True):
            points = np.column_stack([table["effect"], -np.log10(table["pvals"])])[rows]
            np.testing.assert_allclose(part.get_offsets(), points)
        assert ax.get_xlim()[0] == -ax.get_xlim()[1]
    assert figure.get_supxlabel() == "Difference of attribution (log-odds)"


def test_colours_are_features_and_names_are_of_the_strongest_that_are_found(made):
    figure = attn.pl.differential_regulation(made, group="liver", n_labels=3)
    (ax,) = figure.axes
    handles = figure.legends[0].legend_handles
    colors = {handle.get_label(): to_hex(handle.get_color()) for handle in handles}
    table = of_group(made, "genes", "liver")
    found = table[(table["pvals_adj"] <= 0.05).to_numpy()]
    assert [to_hex(color) for color in ax.collections[1].get_facecolors()] == list(found["feature"].map(colors))
    assert [text.get_text() for text in ax.texts] == list(found["gene_name"].iloc[:3])


def test_names_are_inside_and_cover_no_other_name(made):
    figure = attn.pl.differential_regulation(made, group="liver", n_labels=30, fdr=0.9)
    figure.canvas.draw()
    (ax,) = figure.axes
    boxes = [text.get_window_extent().padded(-1) for text in ax.texts]
    assert len(boxes) > 8
    # an annotation's own box holds its point too, so compare the texts only
    texts = [text for text in ax.texts if text.arrow_patch is None]
    boxes = [text.get_window_extent().padded(-1) for text in texts]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_nothing_found_is_said(made):
    (ax,) = attn.pl.differential_regulation(made, group="liver", fdr=1e-30).axes
    assert [text.get_text() for text in ax.texts] == ["none with an adjusted p ≤ 1e-30"]


def test_ranks_are_drawn_in_a_row_per_feature(made):
    genes = made.uns["attn_differential"]["genes"]
    made.uns["attn_differential"]["genes"] = genes.assign(pvals_adj=np.nan, score=genes["effect"])
    (ax,) = attn.pl.differential_regulation(made, group="lung", features=["H3K27ac", "H3K4me3"], n_labels=2).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["H3K27ac", "H3K4me3"]
    table = of_group(made, "genes", "lung")
    for i, part in enumerate(ax.collections):
        points = np.asarray(part.get_offsets())
        expected = table["effect"][(table["feature"] == ["H3K27ac", "H3K4me3"][i]).to_numpy()]
        np.testing.assert_allclose(points[:, 0], expected)
        assert np.abs(points[:, 1] - i).max() <= 0.33
    assert len(ax.texts) == 2


def test_features_have_their_intervals_and_are_filled_where_significant(made):
    (ax,) = attn.pl.differential_regulation(made, level="features", group="stem").axes
    table = of_group(made, "features", "stem")
    segments = [segment[:, 0] for part in ax.collections for segment in part.get_segments()]
    np.testing.assert_allclose(segments, table[["low", "high"]])
    points = [line for line in ax.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose([line.get_xdata()[0] for line in points], table["effect"])
    filled = [line.get_markerfacecolor() != "w" for line in points]
    assert filled == list(table["pvals_adj"] <= 0.05)
    assert any(filled)
    assert not all(filled)
    assert [to_hex(line.get_color()) == "#d55e00" for line in points] == list(table["effect"] > 0)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(table["feature"])


def test_errors_say_what_there_is(made):
    with pytest.raises(ValueError, match="level must be one of"):
        attn.pl.differential_regulation(made, level="marks")
    with pytest.raises(ValueError, match=r"Unknown groups \['heart'\]; the groups are"):
        attn.pl.differential_regulation(made, group="heart")
    with pytest.raises(ValueError, match=r"Unknown features \['H2AZ'\]"):
        attn.pl.differential_regulation(made, features="H2AZ")
    made.uns["attn_differential"]["genes"] = made.uns["attn_differential"]["genes"][:0]
    with pytest.raises(ValueError, match="has no table of genes"):
        attn.pl.differential_regulation(made)
    with pytest.raises(ValueError, match=r"run attn.tl.differential_regulation\(mdata\) first"):
        attn.pl.differential_regulation(made, key="x")

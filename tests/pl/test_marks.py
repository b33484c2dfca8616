"""Maps of marks hold the means of what the tools wrote."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import epiattn as attn

MARKS = ["H3K27ac", "H3K27me3", "H3K4me3"]


def maps(figure):
    return {ax.get_title().split(" (n")[0]: ax.images[0] for ax in figure.axes if ax.images}


@pytest.mark.parametrize("of", ["attribution", "attention"])
def test_each_map_is_the_mean_of_its_group_and_all_have_one_scale(made, of):
    figure = attn.pl.marks(made, of=of, groupby="cell_type")
    found = maps(figure)
    assert list(found) == ["liver", "lung", "stem"]
    expected = {}
    for name in found:
        rows = (made.obs["cell_type"] == name).to_numpy()
        expected[name] = np.stack([made["histone"].layers[f"attn_{of}_{mark}"][rows].mean(0) for mark in MARKS])
        np.testing.assert_allclose(found[name].get_array(), expected[name])
    largest = max(np.abs(each).max() for each in expected.values())
    assert {image.get_clim() for image in found.values()} == {(-largest if of == "attribution" else 0, largest)}
    assert found["liver"].get_extent() == [-2_000, 2_000, 2.5, -0.5]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == MARKS


def test_zero_is_in_the_middle_of_the_colours_of_attribution(made):
    image = maps(attn.pl.marks(made, groupby=None))["all"]
    red, green, blue, _ = image.cmap(image.norm(0.0))
    assert min(red, green, blue) > 0.95
    low, high = image.cmap(0.2), image.cmap(0.8)
    assert low[2] > low[0]  # blue lowers
    assert high[0] > high[2]  # orange raises


def test_lines_are_the_signal_as_a_share_of_the_highest_mean(made):
    figure = attn.pl.marks(made, groupby="cell_type", marks=["H3K4me3", "H3K27me3"])
    signal = made["histone"].layers["H3K4me3"]
    means = {name: signal[(made.obs["cell_type"] == name).to_numpy()].mean(0) for name in ("liver", "lung", "stem")}
    highest = max(mean.max() for mean in means.values())
    for ax, mean in zip(figure.axes, means.values(), strict=False):
        line = ax.patches[0].get_data()
        np.testing.assert_allclose(line.values, 0.42 - 0.84 * mean / highest)
        np.testing.assert_allclose(line.edges, np.linspace(-2_000, 2_000, 21))
    assert not attn.pl.marks(made, signal=False).axes[0].patches


def test_signal_itself_is_a_share_too(made):
    found = maps(attn.pl.marks(made, of="signal"))
    together = np.stack([image.get_array() for image in found.values()])
    np.testing.assert_allclose(together.max((0, 2)), 1)


def test_marks_that_were_not_measured_are_grey_and_rows_without_attribution_left_out(made):
    known = made.obs["cell_type"].to_numpy() != "lung"
    made["histone"].obsm["measured"] = pd.DataFrame({"H3K4me3": known}, made.obs_names)
    layer = made["histone"].layers["attn_attribution_H3K27ac"]
    layer[:5] = np.nan
    found = maps(attn.pl.marks(made, groupby="cell_type"))
    assert np.isnan(found["lung"].get_array()[2].filled(np.nan)).all()
    np.testing.assert_allclose(found["liver"].get_array()[0], layer[5:14].mean(0))


def test_a_model_that_mixes_the_marks_has_one_row_of_attention(made):
    for mark in MARKS:
        del made["histone"].layers[f"attn_attention_{mark}"]
    figure = attn.pl.marks(made, of="attention", groupby=None)
    np.testing.assert_allclose(maps(figure)["all"].get_array()[0], made["histone"].layers["attn_attention"].mean(0))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["all marks"]


def test_the_profile_of_attribution_is_its_mean(made):
    figure = attn.pl.profile(made, of="attribution", groupby=None)
    for ax, mark in zip(figure.axes, MARKS, strict=True):
        (line,) = (line for line in ax.get_lines() if line.get_label().startswith("all"))
        np.testing.assert_allclose(line.get_ydata(), made["histone"].layers[f"attn_attribution_{mark}"].mean(0))
    assert figure.get_supylabel() == "Mean attribution (log-odds)"
    made.uns["attn"]["target"] = "expression"
    assert attn.pl.profile(made, of="attribution").get_supylabel() == "Mean attribution (expression)"


def test_errors_say_what_is_missing(made):
    with pytest.raises(ValueError, match="of must be one of"):
        attn.pl.marks(made, of="gradient")
    with pytest.raises(ValueError, match=r"Unknown marks \['H2AZ'\]; the marks of mdata\['histone'\] are"):
        attn.pl.marks(made, marks="H2AZ")
    with pytest.raises(ValueError, match="marks names no mark"):
        attn.pl.marks(made, marks=[])
    with pytest.raises(ValueError, match=r"pl.marks needs a modality with bins, one of \['histone'\], not 'tf'"):
        attn.pl.marks(made, modality="tf")
    del made["histone"].layers["attn_attribution_H3K4me3"]
    with pytest.raises(ValueError, match=r"layers\['attn_attribution_H3K4me3'\] is missing: what the run"):
        attn.pl.marks(made)
    del made.uns["attn_attribution"]
    with pytest.raises(ValueError, match=r"run attn.tl.attribute\(mdata\) first"):
        attn.pl.marks(made)
    made.uns["attn"]["channels"] = {"tf": ["binding"]}
    with pytest.raises(ValueError, match=r"did not read mdata\['histone'\], only \['tf'\]"):
        attn.pl.marks(made, of="attention")

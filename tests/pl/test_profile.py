"""The lines are the means of the signal, and the bands their standard errors."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import sparse

import epiattn as attn


def line(ax, name):
    (found,) = (line for line in ax.get_lines() if line.get_label().split(" (n")[0] == name)
    return found


def test_a_panel_per_mark_with_the_mean_of_each_class(unchanged, band):
    figure = attn.pl.profile(unchanged)
    assert isinstance(figure, Figure)
    histone = unchanged["histone"]
    marks = list(unchanged.uns["attn"]["channels"]["histone"])
    assert [ax.get_title() for ax in figure.axes] == marks
    middle = (histone.var["start"] + histone.var["end"]).to_numpy() / 2
    for ax in figure.axes:
        for i, name in enumerate(("low", "high")):
            rows = (unchanged.obs["label"] == name).to_numpy()
            signal = np.asarray(histone.layers[ax.get_title()][rows], dtype=float)
            x, y = line(ax, name).get_data()
            np.testing.assert_array_equal(x, middle)
            np.testing.assert_allclose(y, signal.mean(0))
            error = 1.96 * signal.std(0, ddof=1) / np.sqrt(rows.sum())
            np.testing.assert_allclose(band(ax, i, middle), [y - error, y + error])
    assert figure.get_supxlabel() == "Distance to TSS (kb)"
    assert figure.get_supylabel() == "Mean signal"


def test_the_legend_counts_the_observations(fitted):
    fitted.obs["label"] = fitted.obs["label"].where(np.arange(fitted.n_obs) >= 50)
    n = fitted.obs["label"].value_counts()
    (legend,) = attn.pl.profile(fitted).legends
    assert [text.get_text() for text in legend.get_texts()] == [f"{name} (n = {n[name]})" for name in ("low", "high")]


def test_sparse_layers_give_the_same(fitted):
    expected = attn.pl.profile(fitted, marks="DNase").axes[0].get_lines()[1].get_ydata()
    fitted["histone"].layers["DNase"] = sparse.csr_matrix(fitted["histone"].layers["DNase"])
    found = attn.pl.profile(fitted, marks="DNase").axes[0].get_lines()[1].get_ydata()
    np.testing.assert_allclose(found, expected)


def test_other_groups_or_none(fitted):
    (ax,) = attn.pl.profile(fitted, marks=["DNase"], groupby="cell_type", errorbar=False).axes
    assert not ax.collections
    for name in fitted.obs["cell_type"].cat.categories:
        rows = (fitted.obs["cell_type"] == name).to_numpy()
        np.testing.assert_allclose(line(ax, name).get_ydata(), fitted["histone"].layers["DNase"][rows].mean(0), 1e-5)
    (ax,) = attn.pl.profile(fitted, marks=["DNase"], groupby=None).axes
    np.testing.assert_allclose(line(ax, "all").get_ydata(), fitted["histone"].layers["DNase"].mean(0), 1e-5)


def test_one_cell_type(fitted):
    first = fitted.obs["cell_type"].cat.categories[0]
    (ax,) = attn.pl.profile(fitted, marks="DNase", cell_type=first).axes
    rows = ((fitted.obs["cell_type"] == first) & (fitted.obs["label"] == "low")).to_numpy()
    np.testing.assert_allclose(line(ax, "low").get_ydata(), fitted["histone"].layers["DNase"][rows].mean(0), 1e-5)
    with pytest.raises(ValueError, match=r"Unknown cell types \['liver'\]; obs\['cell_type'\] holds"):
        attn.pl.profile(fitted, cell_type="liver")


def test_a_class_of_one_observation_has_a_line_and_no_band(fitted):
    fitted.obs["who"] = np.where(np.arange(fitted.n_obs) == 0, "one", "rest")
    (ax,) = attn.pl.profile(fitted, marks="DNase", groupby="who").axes
    np.testing.assert_allclose(line(ax, "one").get_ydata(), fitted["histone"].layers["DNase"][0])


def test_observations_without_a_measurement_are_left_out(fitted):
    import pandas as pd

    histone = fitted["histone"]
    measured = np.arange(fitted.n_obs) % 2 == 0
    histone.obsm["measured"] = pd.DataFrame({"DNase": measured}, index=histone.obs_names)
    for mark, rows in {"DNase": measured, "H3K4me3": slice(None)}.items():
        (ax,) = attn.pl.profile(fitted, marks=mark, groupby=None).axes
        np.testing.assert_allclose(line(ax, "all").get_ydata(), histone.layers[mark][rows].mean(0), 1e-5)


def test_without_coordinates_bins_are_counted(fitted):
    del fitted["histone"].var["start"]
    figure = attn.pl.profile(fitted, marks="DNase")
    np.testing.assert_array_equal(line(figure.axes[0], "low").get_xdata(), np.arange(1, 41))
    assert figure.get_supxlabel() == "Bin"


def test_rows_and_what_is_labelled(fitted):
    figure = attn.pl.profile(fitted, ncols=3)
    figure.canvas.draw()
    assert [ax.get_subplotspec().rowspan.start for ax in figure.axes] == [0, 0, 0, 1, 1, 1, 2]
    labelled = [any(label.get_visible() for label in ax.get_xticklabels()) for ax in figure.axes]
    assert labelled == [False] * 4 + [True] * 3


def test_a_written_layer_can_be_asked_for_and_is_no_mark(fitted):
    histone = fitted["histone"]
    histone.layers["DNase_normalized"] = np.log1p(histone.layers["DNase"])
    histone.uns["epiattn"]["written"] = ["DNase_normalized", *histone.uns["epiattn"]["written"]]
    assert "DNase_normalized" not in [ax.get_title() for ax in attn.pl.profile(fitted).axes]
    assert [ax.get_title() for ax in attn.pl.profile(fitted, marks="DNase_normalized").axes] == ["DNase_normalized"]


def test_neither_a_fit_nor_a_mudata_is_needed(mdata, adata):
    assert len(attn.pl.profile(mdata).axes) == 7
    assert len(attn.pl.profile(adata).axes) == 7


def test_a_view_is_welcome(fitted):
    rows = np.arange(fitted.n_obs) < 100
    (ax,) = attn.pl.profile(fitted[rows], marks="DNase", groupby=None).axes
    np.testing.assert_allclose(line(ax, "all").get_ydata(), fitted["histone"].layers["DNase"][rows].mean(0), 1e-5)


def test_errors_name_what_there_is(fitted):
    with pytest.raises(ValueError, match=r"Unknown marks \['H2AZ'\]; the marks of mdata\['histone'\] are \['DNase'"):
        attn.pl.profile(fitted, marks=["DNase", "H2AZ"])
    with pytest.raises(ValueError, match="names no mark"):
        attn.pl.profile(fitted, marks=[])
    with pytest.raises(ValueError, match=r"one of \['histone'\], not 'tf'"):
        attn.pl.profile(fitted, modality="tf")
    with pytest.raises(ValueError, match=r"obs\['class'\] is missing; the columns are"):
        attn.pl.profile(fitted, groupby="class")
    with pytest.raises(ValueError, match="has 200 groups, and no more than 12"):
        attn.pl.profile(fitted, groupby="gene_id")
    fitted.obs["empty"] = np.full(fitted.n_obs, np.nan)
    with pytest.raises(ValueError, match=r"No observation has a value in obs\['empty'\]"):
        attn.pl.profile(fitted, groupby="empty")

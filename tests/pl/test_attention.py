"""The attention that is drawn is the mean of what the run wrote."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from scipy import sparse

import epiattn as attn


def lines(ax):
    return {line.get_label().split(" (n")[0]: line for line in ax.get_lines()}


def rows_of(mdata, name):
    return (mdata.obs["label"] == name).to_numpy()


def test_bins_show_the_mean_of_each_class_and_uniform_attention(unchanged, band):
    ax = attn.pl.attention(unchanged)
    assert isinstance(ax, Axes)
    histone = unchanged["histone"]
    middle = (histone.var["start"] + histone.var["end"]).to_numpy() / 2
    for i, name in enumerate(("low", "high")):
        weights = np.asarray(histone.layers["attn_attention"][rows_of(unchanged, name)], dtype=float)
        x, y = lines(ax)[name].get_data()
        np.testing.assert_array_equal(x, middle)
        np.testing.assert_allclose(y, weights.mean(0))
        error = 1.96 * weights.std(0, ddof=1) / np.sqrt(len(weights))
        np.testing.assert_allclose(band(ax, i, middle), [y - error, y + error])
    uniform = ax.get_lines()[-1].get_ydata()
    assert uniform.sum() == pytest.approx(1)
    np.testing.assert_allclose(uniform, 1 / len(middle), rtol=1e-6)
    assert ax.get_xlabel() == "Distance to TSS (kb)"


def test_the_reference_can_be_left_out(fitted):
    n = len(attn.pl.attention(fitted).get_lines())
    assert len(attn.pl.attention(fitted, reference=False).get_lines()) == n - 1


def naive_by_position(adata, rows, n_bins):
    """Every observation's mean in every bin, with loops."""
    result = np.full((len(rows), n_bins), np.nan)
    weights, position = adata.layers["attn_attention"], adata.layers["position"]
    for i, row in enumerate(rows):
        n = int(adata.obs["n_cpg"].iloc[row])
        found = {}
        for slot in range(n):
            bin_ = min(int(np.floor((float(position[row, slot]) + 1) / 2 * n_bins)), n_bins - 1)
            found.setdefault(bin_, []).append(float(weights[row, slot]) * n)
        for bin_, values in found.items():
            result[i, bin_] = np.mean(values)
    return result


@pytest.mark.parametrize("n_bins", [4, 10])
def test_cpgs_show_attention_relative_to_uniform_by_position(unchanged, band, n_bins):
    methylation = unchanged["methylation"]
    ax = attn.pl.attention(unchanged, modality="methylation", n_bins=n_bins)
    window = methylation.uns["window"]
    middle = (np.arange(n_bins) + 0.5) / n_bins * 2 * window - window
    for i, name in enumerate(("low", "high")):
        values = naive_by_position(methylation, np.flatnonzero(rows_of(unchanged, name)), n_bins)
        x, y = lines(ax)[name].get_data()
        np.testing.assert_allclose(x, middle)
        np.testing.assert_allclose(y, np.nanmean(values, 0))
        error = 1.96 * np.nanstd(values, 0, ddof=1) / np.sqrt(np.isfinite(values).sum(0))
        np.testing.assert_allclose(band(ax, i, middle), [y - error, y + error])
    assert ax.get_ylabel() == "Attention relative to uniform"


def test_uniform_attention_over_cpgs_is_one_whatever_their_number(fitted):
    methylation = fitted["methylation"]
    n_cpg = methylation.obs["n_cpg"].to_numpy()
    valid = np.arange(methylation.n_vars) < n_cpg[:, None]
    methylation.layers["attn_attention"] = np.where(valid, 1 / np.maximum(n_cpg, 1)[:, None], 0)
    ax = attn.pl.attention(fitted, modality="methylation", groupby=None)
    np.testing.assert_allclose(lines(ax)["all"].get_ydata(), 1)


def test_cpgs_without_a_window_are_at_relative_positions(fitted):
    del fitted["methylation"].uns["window"]
    ax = attn.pl.attention(fitted, modality="methylation", n_bins=4)
    np.testing.assert_allclose(lines(ax)["low"].get_xdata(), [-0.75, -0.25, 0.25, 0.75])
    assert "window" in ax.get_xlabel()


def test_bins_without_a_cpg_are_gaps(fitted):
    position = fitted["methylation"].layers["position"]
    fitted["methylation"].layers["position"] = np.abs(position)
    y = lines(attn.pl.attention(fitted, modality="methylation", n_bins=4))["low"].get_ydata()
    np.testing.assert_array_equal(np.isnan(y), [True, True, False, False])


def test_factors_are_ranked_by_their_attention_where_bound(unchanged):
    ax = attn.pl.attention(unchanged, modality="tf", n_top=5)
    tf = unchanged["tf"]
    weights = tf.layers["attn_attention"].toarray().astype(float)
    bound = weights > 0
    mean = pd.Series(weights.sum(0) / bound.sum(0), tf.var_names).nlargest(5)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == list(mean.index)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], mean)
    counts = [text.get_text() for text in ax.texts]
    assert counts == ["n", *(f"{n:,}" for n in pd.Series(bound.sum(0), tf.var_names)[names])]
    for group in ("low", "high"):
        rows = rows_of(unchanged, group)
        expected = pd.Series(weights[rows].sum(0) / bound[rows].sum(0), tf.var_names)[names]
        np.testing.assert_allclose(lines(ax)[group].get_xdata(), expected)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the highest on top


def test_factors_that_are_bound_in_a_few_observations_come_last(fitted):
    weights = fitted["tf"].layers["attn_attention"].toarray()
    weights[:, 3:] = 0
    weights[:, 1] = 0
    weights[:9, 1] = 0.9
    fitted["tf"].layers["attn_attention"] = sparse.csr_matrix(weights)
    ax = attn.pl.attention(fitted, modality="tf", groupby=None)
    assert [text.get_text() for text in ax.texts][-1] == "9"
    assert ax.get_yticklabels()[-1].get_text() == fitted["tf"].var_names[1]


def test_factors_that_are_bound_nowhere_are_not_shown(fitted):
    weights = fitted["tf"].layers["attn_attention"].toarray()
    weights[:, 3:] = 0
    fitted["tf"].layers["attn_attention"] = sparse.csr_matrix(weights)
    ax = attn.pl.attention(fitted, modality="tf", groupby=None)
    assert len(ax.patches) == 3
    assert ax.get_legend() is None


@pytest.mark.parametrize("modality", ["histone", "methylation", "tf"])
def test_it_draws_on_the_given_axes(unchanged, modality):
    _, ax = plt.subplots()
    assert attn.pl.attention(unchanged, modality=modality, ax=ax) is ax
    assert not ax.spines["top"].get_visible()
    assert len(plt.get_fignums()) == 1


def test_many_groups_are_named_above_the_data(fitted):
    fitted.obs["group"] = [f"a group with a long name {i % 12}" for i in range(fitted.n_obs)]
    ax = attn.pl.attention(fitted, groupby="group")
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1
    assert ax.get_window_extent().height > 100


def test_rows_without_attention_are_left_out(fitted):
    layer = np.array(fitted["histone"].layers["attn_attention"], dtype=float)
    layer[:20] = np.nan
    fitted["histone"].layers["attn_attention"] = layer
    y = lines(attn.pl.attention(fitted, groupby=None))["all"].get_ydata()
    np.testing.assert_allclose(y, layer[20:].mean(0))


def test_anndata_is_welcome(adata):
    assert "low" in lines(attn.pl.attention(adata))


def test_errors_say_what_there_is(fitted):
    with pytest.raises(ValueError, match="No fit under key 'x'"):
        attn.pl.attention(fitted, key="x")
    with pytest.raises(ValueError, match=r"obs\['class'\] is missing"):
        attn.pl.attention(fitted, groupby="class")
    with pytest.raises(
        ValueError, match=r"there is attention of the run 'attn' over \['histone', 'methylation', 'tf'\]"
    ):
        attn.pl.attention(fitted, modality="rna")
    del fitted["tf"].layers["attn_attention"]
    with pytest.raises(ValueError, match=r"mdata\['tf'\].layers\['attn_attention'\] is missing"):
        attn.pl.attention(fitted, modality="tf")

"""Every observation is drawn, at its place and in its colour."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import epiattn as attn


def panels(figure):
    return {ax.get_title(): ax for ax in figure.axes if ax.get_title()}


def drawn(ax):
    """Positions and colours of all points, sorted by position."""
    (part,) = ax.collections
    points, colors = np.asarray(part.get_offsets()), np.array([to_hex(color) for color in part.get_facecolors()])
    order = np.lexsort(points.T)
    return points[order], colors[order]


def expected(mdata, values):
    order = np.lexsort(mdata.obsm["X_umap"].T)
    return mdata.obsm["X_umap"][order], np.asarray(values)[order]


def test_panels_by_default(unchanged):
    figure = attn.pl.latent(unchanged)
    assert isinstance(figure, Figure)
    assert list(panels(figure)) == ["cell_type", "label", "attn_score"]
    assert figure.axes[0].get_xlabel() == "UMAP 1"


def test_clusters_are_named_on_the_panel(fitted):
    fitted.obs["leiden"] = pd.Categorical(np.where(np.arange(fitted.n_obs) % 2, "0", "1"))
    ax = panels(attn.pl.latent(fitted))["leiden"]
    assert sorted(text.get_text() for text in ax.texts) == ["0", "1"]
    rows = (fitted.obs["leiden"] == "0").to_numpy()
    (zero,) = (text for text in ax.texts if text.get_text() == "0")
    np.testing.assert_allclose(zero.get_position(), np.median(fitted.obsm["X_umap"][rows], axis=0))
    assert ax.get_legend() is None


def test_too_many_clusters_are_counted_instead(fitted):
    fitted.obs["leiden"] = pd.Categorical([str(i % 150) for i in range(fitted.n_obs)])
    ax = panels(attn.pl.latent(fitted, color="leiden"))["leiden (150 clusters)"]
    assert not ax.texts


def test_categories_have_their_colour_and_a_legend(unchanged):
    ax = panels(attn.pl.latent(unchanged, color="label"))["label"]
    colors = {"low": "#0072b2", "high": "#d55e00"}
    points, found = drawn(ax)
    where, wanted = expected(unchanged, unchanged.obs["label"].map(colors).astype(str))
    np.testing.assert_allclose(points, where)
    np.testing.assert_array_equal(found, wanted)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["low", "high"]


def test_colours_of_the_object_are_used(fitted):
    fitted.uns["cell_type_colors"] = ["#111111", "#222222"]
    first, second = fitted.obs["cell_type"].cat.categories
    _, found = drawn(panels(attn.pl.latent(fitted, color="cell_type"))["cell_type"])
    colors = fitted.obs["cell_type"].map({first: "#111111", second: "#222222"}).astype(str)
    np.testing.assert_array_equal(found, expected(fitted, colors)[1])


def test_values_have_a_bar_and_probabilities_run_from_0_to_1(fitted):
    figure = attn.pl.latent(fitted, color="attn_score")
    points = panels(figure)["attn_score"].collections[-1]
    assert points.get_clim() == (0, 1)
    np.testing.assert_allclose(np.sort(points.get_array()), np.sort(fitted.obs["attn_score"]))
    (bar,) = panels(figure)["attn_score"].child_axes
    assert bar.get_ylabel() == "Probability of high"


@pytest.mark.parametrize("column", ["label", "attn_score"])
def test_missing_values_are_grey_and_below(fitted, column):
    fitted.obs[column] = fitted.obs[column].where(np.arange(fitted.n_obs) >= 50)
    ax = panels(attn.pl.latent(fitted, color=column))[column]
    missing, known = ax.collections
    np.testing.assert_allclose(np.sort(missing.get_offsets(), 0), np.sort(fitted.obsm["X_umap"][:50], 0))
    assert to_hex(missing.get_facecolor()[0]) == "#d9d9d9"
    assert len(known.get_offsets()) == fitted.n_obs - 50
    if column == "label":
        assert ax.get_legend().get_texts()[-1].get_text() == "missing"


def test_the_order_of_drawing_is_random_and_repeatable(fitted):
    first, again, other = (
        np.asarray(attn.pl.latent(fitted, color="label", seed=seed).axes[0].collections[-1].get_offsets())
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, fitted.obsm["X_umap"])


@pytest.mark.parametrize("n", [14, 30])
def test_many_categories_get_colours_and_columns_of_a_legend(fitted, n):
    fitted.obs["many"] = [f"group {i % n}" for i in range(fitted.n_obs)]
    ax = panels(attn.pl.latent(fitted, color="many"))["many"]
    assert len(ax.get_legend().get_texts()) == n
    assert len(set(drawn(ax)[1])) == n


def test_rows_of_panels(fitted):
    figure = attn.pl.latent(fitted, color=["label", "chrom", "attn_score"], ncols=2)
    assert len({round(ax.get_subplotspec().rowspan.start) for ax in panels(figure).values()}) == 2


def test_other_coordinates(fitted):
    ax = attn.pl.latent(fitted, color="label", basis="X_attn").axes[0]
    np.testing.assert_allclose(np.sort(ax.collections[-1].get_offsets(), 0), np.sort(fitted.obsm["X_attn"][:, :2], 0))
    assert ax.get_xlabel() == "attn 1"


def test_anndata_and_views_are_welcome(adata, fitted):
    assert "label" in panels(attn.pl.latent(adata))
    view = fitted[np.arange(fitted.n_obs) < 30]
    assert sum(len(part.get_offsets()) for part in attn.pl.latent(view, color="label").axes[0].collections) == 30


def test_errors_say_what_is_missing_and_what_to_run(fitted):
    with pytest.raises(ValueError, match="No fit under key 'x'"):
        attn.pl.latent(fitted, key="x")
    with pytest.raises(ValueError, match=r"obs\['colour'\] is missing; the columns are"):
        attn.pl.latent(fitted, color="colour")
    with pytest.raises(ValueError, match=r"obs\['gene_id'\] has 200 categories"):
        attn.pl.latent(fitted, color="gene_id")
    with pytest.raises(ValueError, match="No column to colour by"):
        attn.pl.latent(fitted, color=[])
    with pytest.raises(ValueError, match=r"obsm\['X_pca'\] is missing; obsm holds \["):
        attn.pl.latent(fitted, basis="X_pca")
    fitted.obsm["X_line"] = fitted.obsm["X_umap"][:, :1]
    with pytest.raises(ValueError, match="two columns are needed"):
        attn.pl.latent(fitted, basis="X_line")
    del fitted.obsm["X_umap"]
    with pytest.raises(ValueError, match=r"neighbors\(mdata, use_rep='X_attn'\); sc.tl.umap\(mdata\)"):
        attn.pl.latent(fitted)


def test_the_umap_of_tl_cluster_is_drawn_where_scanpy_wrote_none(fitted):
    umap = fitted.obsm["X_umap"]
    del fitted.obsm["X_umap"]
    with pytest.raises(ValueError, match=r"Run attn\.tl\.cluster\(mdata\)"):
        attn.pl.latent(fitted)
    fitted.obsm["X_attn_cluster_umap"] = umap + 5
    fitted.obs["attn_cluster"] = pd.Categorical(np.where(np.arange(fitted.n_obs) % 2, "0", "1"))
    axes = attn.pl.latent(fitted).axes
    assert axes[0].get_xlabel() == "UMAP 1"
    assert "attn_cluster" in [ax.get_title() for ax in axes]
    drawn = np.concatenate([np.asarray(each.get_offsets()) for each in axes[0].collections])
    np.testing.assert_allclose(np.sort(drawn, 0), np.sort(umap + 5, 0))

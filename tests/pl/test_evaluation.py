"""What holds for all plots of an evaluation."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import mudata
import numpy as np
import pandas as pd
import pytest

import epiattn as attn

PLOTS = [attn.pl.benchmark, attn.pl.roc, attn.pl.precision_recall, attn.pl.calibration, attn.pl.by_cell_type]
OF_SCORES = PLOTS[1:]
plots = pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
of_scores = pytest.mark.parametrize("plot", OF_SCORES, ids=lambda plot: plot.__name__)


def adata_of(mdata):
    """The same as a histone-only AnnData."""
    adata = mdata["histone"].copy()
    adata.obs = mdata.obs.copy()
    adata.obsm["benchmark_scores"] = mdata.obsm["benchmark_scores"]
    adata.uns["benchmark"] = mdata.uns["benchmark"]
    return adata


def drawn(ax):
    """All numbers of lines, points and images."""
    values = [np.asarray(line.get_xydata(), float) for line in ax.get_lines()]
    values += [np.asarray(part.get_offsets(), float) for part in ax.collections]
    return [*values, *(image.get_array().filled(np.nan) for image in ax.images)]


@plots
def test_axes_are_returned_and_nothing_else_happens(evaluated, plot, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: pytest.fail("plt.show was called"))
    style, record = dict(mpl.rcParams), evaluated.uns["benchmark"]
    before = {name: record[name].copy() for name in ("folds", "summary")}
    scores, obs, keys = evaluated.obsm["benchmark_scores"].copy(), evaluated.obs.copy(), set(evaluated.uns)
    ax = plot(evaluated)
    assert isinstance(ax, plt.Axes)
    assert dict(mpl.rcParams) == style
    for name, table in before.items():
        pd.testing.assert_frame_equal(evaluated.uns["benchmark"][name], table)
    pd.testing.assert_frame_equal(evaluated.obsm["benchmark_scores"], scores)
    pd.testing.assert_frame_equal(evaluated.obs, obs)
    assert set(evaluated.uns) == keys


@plots
def test_all_is_on_the_page(evaluated, plot, tmp_path):
    ax = plot(evaluated)
    figure = ax.figure
    assert figure.get_size_inches()[0] <= 180 / 25.4 + 1e-6  # the width of a page
    figure.canvas.draw()
    box, page = figure.get_tightbbox(), figure.bbox_inches
    assert min(box.x0, box.y0) >= -0.01
    assert box.x1 <= page.x1 + 0.01
    assert box.y1 <= page.y1 + 0.01
    for suffix in ("png", "pdf"):
        figure.savefig(tmp_path / f"plot.{suffix}", dpi=50)


@plots
def test_given_axes_are_drawn_on(evaluated, plot):
    ax = plt.subplots()[1]
    assert plot(evaluated, ax=ax) is ax
    assert plt.get_fignums() == [ax.figure.number]


@plots
def test_anndata_is_welcome(evaluated, plot):
    for found, expected in zip(drawn(plot(adata_of(evaluated))), drawn(plot(evaluated)), strict=True):
        np.testing.assert_array_equal(found, expected)


@plots
def test_files_hold_all_that_is_drawn(evaluated, plot, tmp_path):
    evaluated.write_h5mu(tmp_path / "a.h5mu")
    for found, expected in zip(drawn(plot(mudata.read_h5mu(tmp_path / "a.h5mu"))), drawn(plot(evaluated)), strict=True):
        np.testing.assert_array_equal(found, expected)


@of_scores
def test_of_a_part_the_tables_are_of_the_whole(evaluated, plot, caplog, monkeypatch):
    monkeypatch.setattr("epiattn._logging.logger.propagate", True)
    plot(evaluated)
    assert not caplog.records
    plot(evaluated[np.arange(evaluated.n_obs) < 150])
    assert "holds 150 of the 400 observations that were evaluated under the key 'benchmark'" in caplog.text


@plots
def test_without_a_run_the_error_says_what_to_call(evaluated, plot):
    with pytest.raises(
        ValueError, match=r"No evaluation under key 'x': uns holds those of .*'cv'.*attn.tl.benchmark\(.*key_added='x'"
    ):
        plot(evaluated, key="x")
    evaluated.uns.clear()
    with pytest.raises(ValueError, match="uns holds none"):
        plot(evaluated)


@of_scores
def test_without_scores_the_error_says_what_is_gone(evaluated, plot):
    del evaluated.obsm["benchmark_scores"]
    with pytest.raises(ValueError, match=r"Neither obsm\['benchmark_scores'\] nor obs\['benchmark_score'\] is there"):
        plot(evaluated)


@of_scores
def test_folds_are_needed(evaluated, plot):
    del evaluated.obs["benchmark_fold"]
    with pytest.raises(ValueError, match=r"obs\['benchmark_fold'\] is missing"):
        plot(evaluated)


@of_scores
def test_models_that_are_not_there(evaluated, plot):
    with pytest.raises(ValueError, match=r"models names \['gpt'\]; under the key 'benchmark' there are \['noisy'"):
        plot(evaluated, models=["noisy", "gpt"])
    with pytest.raises(ValueError, match=r"no scores of \['impossible'\]: this object has no moon phase"):
        plot(evaluated, models="impossible")
    with pytest.raises(ValueError, match="models names no model"):
        plot(evaluated, models=[])

"""The curves that are drawn are those of the record."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import epiattn as attn


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def test_all_panels_show_train_and_validation(unchanged):
    figure = attn.pl.history(unchanged)
    assert isinstance(figure, Figure)
    assert [ax.get_ylabel() for ax in figure.axes] == ["Loss", "ROC AUC", "Reconstruction error"]
    curves = unchanged.uns["attn"]["history"]
    for ax, metric in zip(figure.axes, ("loss", "auc", "reconstruction"), strict=True):
        for part in ("train", "validation"):
            x, y = lines(ax)[part].get_data()
            np.testing.assert_array_equal(x, [1, 2])
            np.testing.assert_array_equal(y, curves[f"{metric}_{part}"])


def test_the_kept_epoch_is_marked(fitted):
    fitted.uns["attn"]["best_epoch"] = 2
    for ax in attn.pl.history(fitted).axes:
        assert list(lines(ax)["kept: epoch 2"].get_xdata()) == [2, 2]


@pytest.mark.parametrize("n", [1, 2, 7, 300])
def test_epochs_are_whole_numbers_from_one(fitted, n):
    fitted.uns["attn"]["history"] = {f"loss_{part}": np.linspace(1, 0.5, n) for part in ("train", "validation")}
    (ax,) = attn.pl.history(fitted).axes
    ax.figure.canvas.draw()
    ticks = [tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    assert ticks
    assert all(tick == int(tick) and tick >= 1 for tick in ticks)


def test_regression_shows_r2(fitted):
    curves = fitted.uns["attn"]["history"]
    fitted.uns["attn"]["history"] = {name.replace("auc", "r2"): values for name, values in curves.items()}
    assert [ax.get_ylabel() for ax in attn.pl.history(fitted).axes][:2] == ["Loss", "R²"]


def test_anndata_is_welcome(adata):
    assert len(attn.pl.history(adata).axes) == 3


def test_an_unknown_key_says_what_there_is_and_what_to_run(fitted):
    with pytest.raises(ValueError, match=r"key 'x': uns holds the runs \['attn'\]; run .*key_added='x'"):
        attn.pl.history(fitted, key="x")
    del fitted.uns["attn"]
    with pytest.raises(ValueError, match="holds no run"):
        attn.pl.history(fitted)


def test_embedded_data_have_no_history(fitted):
    del fitted.uns["attn"]["history"]
    with pytest.raises(ValueError, match="has no history: only attn.tl.fit"):
        attn.pl.history(fitted)

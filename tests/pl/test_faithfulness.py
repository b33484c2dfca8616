"""The figure of a test of faithfulness."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

import epiattn as attn


@pytest.fixture(scope="module")
def tested(simulated):
    mdata = attn.tl.fit(simulated, max_epochs=1, n_models=2, copy=True)
    options = {"n_obs": 40, "n_points": 4, "n_random": 2}
    return attn.tl.faithfulness(mdata, methods=["attention", "gradient_x_input"], **options)


def test_each_modality_is_a_column_of_panels(tested):
    figure = attn.pl.faithfulness(tested)
    assert len(figure.axes) == 3 * 6
    assert [ax.get_title() for ax in figure.axes[:3]] == ["histone", "methylation", "tf"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "Attention", "Gradient × input", "Size of the input", "Random order",
    ]  # fmt: skip


def test_curves_are_those_of_the_table(tested):
    ax = attn.pl.faithfulness(tested, modality="tf").axes[0]
    table = attn.get.faithfulness(tested, table="curves")
    for line, method in zip(ax.lines, ["attention", "gradient_x_input", "signal", "random"], strict=True):
        rows = table[(table["modality"] == "tf") & (table["method"] == method) & (table["curve"] == "deletion")]
        np.testing.assert_allclose(line.get_ydata(), rows["mean"])
        np.testing.assert_allclose(line.get_xdata(), [0, 25, 50, 75, 100])


def test_only_what_passes_is_filled(tested):
    mdata = tested.copy()
    table = mdata.uns["attn_faithfulness"]["tests"].copy()
    table["low"] = np.where(table["method"] == "attention", -1.0, 0.01)
    mdata.uns["attn_faithfulness"]["tests"] = table
    ax = attn.pl.faithfulness(mdata, modality="histone").axes[2]
    points = [line for line in ax.lines if line.get_marker() in ("o", "^")]
    faces = [to_hex(line.get_markerfacecolor()) for line in points]
    assert faces[:2] == ["#ffffff"] * 2
    assert "#ffffff" not in faces[2:]
    assert len(points) == 6
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Attention", "Grad. × input", "Input size"]


def test_rows_without_anything_are_left_out(simulated):
    mdata = simulated.copy()
    for adata in mdata.mod.values():
        for name in [name for name in adata.layers if str(name).startswith("truth_")]:
            del adata.layers[name]
    mdata = attn.tl.fit(mdata, max_epochs=1)
    mdata = attn.tl.faithfulness(mdata, methods="attention", checks=[], n_obs=20, n_points=2, n_random=1)
    figure = attn.pl.faithfulness(mdata, modality=["histone", "tf"])
    assert len(figure.axes) == 2 * 4  # no sanity checks, nothing planted


def test_what_is_not_there_is_said(tested, simulated):
    with pytest.raises(ValueError, match=r"modality must be one of \['histone', 'methylation', 'tf'\], not 'rna'"):
        attn.pl.faithfulness(tested, modality="rna")
    with pytest.raises(ValueError, match=r"No result of tl\.faithfulness"):
        attn.pl.faithfulness(simulated)

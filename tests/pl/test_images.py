"""Plots of a made-up object look as they did: compared with small pictures, which a change of the data must fail.

Pictures are without text, which each version of matplotlib and FreeType draws in its own way, and which moves all else.

After an intended change, look at the plots, and draw new pictures: ``EPIATTN_DRAW_BASELINE=1 pytest
tests/pl/test_images.py``.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter

import epiattn as attn

BASELINE = Path(__file__).parent / "baseline"
DPI = 50
#: Root mean square of the difference of two pictures, of 255, that versions of matplotlib may make.
TOLERANCE = 1.0

COLORS = ["H3K4me3", "attention:histone", "attribution:tf"]
PLOTS = {
    "ablation": lambda mdata: attn.pl.ablation(mdata, groupby="cell_type"),
    "ablation_accuracy": lambda mdata: attn.pl.ablation(mdata, what="accuracy"),
    "ablation_effects": lambda mdata: attn.pl.ablation(mdata, what="effects", groupby="label"),
    "attention": lambda mdata: attn.pl.attention(mdata),
    "attention_methylation": lambda mdata: attn.pl.attention(mdata, modality="methylation", n_bins=8),
    "attention_tf": lambda mdata: attn.pl.attention(mdata, modality="tf"),
    "benchmark": lambda mdata: attn.pl.benchmark(mdata),
    "by_cell_type": lambda mdata: attn.pl.by_cell_type(mdata),
    "calibration": lambda mdata: attn.pl.calibration(mdata, n_bins=4),
    "differential_features": lambda mdata: attn.pl.differential_regulation(mdata, level="features"),
    "differential_genes": lambda mdata: attn.pl.differential_regulation(mdata),
    "faithfulness": lambda mdata: attn.pl.faithfulness(mdata, modality="tf"),
    "gene": lambda mdata: attn.pl.gene(mdata, "GENE3"),
    "history": lambda mdata: attn.pl.history(mdata),
    "latent": lambda mdata: attn.pl.latent(mdata),
    "latent_colors": lambda mdata: attn.pl.latent(mdata, color=COLORS),
    "marks": lambda mdata: attn.pl.marks(mdata, groupby="cell_type"),
    "marks_attention": lambda mdata: attn.pl.marks(mdata, of="attention"),
    "modality": lambda mdata: attn.pl.modality(mdata, groupby="cell_type"),
    "perturbation": lambda mdata: attn.pl.perturbation(mdata, groupby="label"),
    "precision_recall": lambda mdata: attn.pl.precision_recall(mdata),
    "profile": lambda mdata: attn.pl.profile(mdata),
    "profile_attribution": lambda mdata: attn.pl.profile(mdata, of="attribution"),
    "roc": lambda mdata: attn.pl.roc(mdata),
    "tf_network": lambda mdata: attn.pl.tf_network(mdata, n_edges=20),
}


def picture(plot, mdata):
    """The plot as pixels, shape ``(height, width, 3)``, from 0 to 255."""
    stream = BytesIO()
    with plt.style.context("default"):
        figure = plot(mdata).figure
        remove_text(figure)
        figure.savefig(stream, dpi=DPI, metadata={"Software": None})
    plt.close("all")
    stream.seek(0)
    return stream.getvalue(), pixels(stream)


def remove_text(figure):
    for artist in figure.findobj():
        if isinstance(artist, Text | Legend):
            artist.set_visible(False)
            artist.set_in_layout(False)
        if isinstance(artist, Axis):
            artist.set_major_formatter(NullFormatter())


def pixels(source):
    return 255 * plt.imread(source, format="png")[..., :3].astype(float)


def difference(one, other):
    """Root mean square over the pixels that either picture has; sizes may differ by a few."""
    height, width = (max(sizes) for sizes in zip(one.shape[:2], other.shape[:2], strict=True))
    padded = []
    for each in (one, other):
        canvas = np.full((height, width, 3), 255.0)
        canvas[: each.shape[0], : each.shape[1]] = each
        padded.append(canvas)
    return float(np.sqrt(np.mean((padded[0] - padded[1]) ** 2)))


@pytest.mark.skipif(mpl.__version_info__ < (3, 11), reason="the pictures were drawn with matplotlib 3.11")
@pytest.mark.parametrize("name", PLOTS)
def test_plots_look_as_they_did(name, made):
    data, found = picture(PLOTS[name], made)
    path = BASELINE / f"{name}.png"
    if os.environ.get("EPIATTN_DRAW_BASELINE"):
        path.write_bytes(data)
    assert difference(found, pixels(path)) <= TOLERANCE


@pytest.mark.parametrize("name", PLOTS)
def test_other_data_would_be_noticed(name, make_object):
    _, found = picture(PLOTS[name], make_object(phase=1))
    assert difference(found, pixels(BASELINE / f"{name}.png")) > 2 * TOLERANCE


def test_every_picture_is_small_and_of_a_plot():
    assert {path.stem for path in BASELINE.glob("*.png")} == set(PLOTS)
    assert max(path.stat().st_size for path in BASELINE.glob("*.png")) < 30_000


def test_every_plot_has_a_picture():
    drawn = {name for plot in PLOTS.values() for name in plot.__code__.co_names}
    assert set(attn.pl.__all__) <= drawn


@pytest.mark.parametrize("name", ["gene", "latent_colors", "modality"])
def test_text_stays_text_in_pdf_and_svg(name, made, tmp_path):
    figure = PLOTS[name](made).figure
    before = dict(mpl.rcParams)
    for suffix in ("pdf", "svg"):
        figure.savefig(tmp_path / f"plot.{suffix}")
    assert dict(mpl.rcParams) == before
    pdf, svg = ((tmp_path / f"plot.{suffix}").read_bytes() for suffix in ("pdf", "svg"))
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    for text in {"gene": ["GENE3", "H3K27me3"], "latent_colors": ["tf attribution"], "modality": ["liver", "tf"]}[name]:
        assert f">{text}".encode() in svg


def test_the_users_own_settings_for_export_are_kept(made, tmp_path):
    figure = PLOTS["modality"](made).figure
    with mpl.rc_context({"pdf.fonttype": 3, "savefig.dpi": 50}):
        figure.savefig(tmp_path / "plot.png")
    height, width = plt.imread(tmp_path / "plot.png").shape[:2]
    np.testing.assert_allclose([width, height], 50 * figure.get_size_inches(), atol=1)
    figure.savefig(tmp_path / "plot.png")
    assert plt.imread(tmp_path / "plot.png").shape[1] == pytest.approx(300 * figure.get_size_inches()[0], abs=1)

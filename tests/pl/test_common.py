"""What holds for all plots."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

import epiattn as attn

PLOTS = [
    lambda mdata: attn.pl.history(mdata),
    lambda mdata: attn.pl.latent(mdata),
    lambda mdata: attn.pl.profile(mdata),
    lambda mdata: attn.pl.attention(mdata),
    lambda mdata: attn.pl.attention(mdata, modality="methylation"),
    lambda mdata: attn.pl.attention(mdata, modality="tf"),
    lambda mdata: attn.pl.gene(mdata, "gene_00003"),
    lambda mdata: attn.pl.latent(mdata, color=["H3K4me3", "attention:tf"]),
    lambda mdata: attn.pl.marks(mdata, of="attention"),
    lambda mdata: attn.pl.modality(mdata),
]


@pytest.mark.parametrize("plot", PLOTS)
def test_nothing_is_shown_or_warned_of_and_the_users_style_is_left_alone(fitted, plot, tmp_path, monkeypatch):
    def show(*_args, **_options):
        pytest.fail("plt.show was called")

    monkeypatch.setattr(plt, "show", show)
    before = dict(mpl.rcParams)
    drawn = plot(fitted)
    assert dict(mpl.rcParams) == before
    figure = drawn if hasattr(drawn, "savefig") else drawn.figure
    assert figure.get_size_inches()[0] <= 180 / 25.4 + 1e-6  # the width of a page
    for suffix in ("png", "pdf"):
        figure.savefig(tmp_path / f"plot.{suffix}", dpi=50)


def test_plots_need_no_torch_and_load_nothing_heavy():
    heavy = ["torch", "scvi", "matplotlib", "pandas", "scanpy"]
    code = f"import sys, epiattn as a; a.pl.latent; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

"""Colours of the latent space besides columns of ``obs``."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import epiattn as attn
from epiattn.pl._colorings import coloring_of, known_colorings


def test_values_of_each_name(made):
    histone, methylation, tf = made["histone"], made["methylation"], made["tf"]
    n_cpg = methylation.obs["n_cpg"].to_numpy()
    with np.errstate(invalid="ignore"):
        beta = methylation.layers["beta"].sum(1) / n_cpg
    bound = tf.layers["binding"].toarray() > 0
    added = tf.layers["attn_attribution"].toarray()[:, 1]
    expected = {
        "H3K4me3": np.log1p(histone.layers["H3K4me3"].mean(1)),
        "signal:H3K4me3": np.log1p(histone.layers["H3K4me3"].mean(1)),
        "methylation": beta,
        "tf": bound.sum(1),
        "MYC": bound[:, 1],
        "expression": made["rna"].X[:, 0],
        "attention:methylation": made.obsm["attn_modality"]["methylation"],
        "attention:H3K4me3": histone.layers["attn_attention_H3K4me3"].sum(1),
        "attribution:H3K27me3": made.obsm["attn_attribution"]["H3K27me3"],
        "attribution:MYC": np.where(bound[:, 1], added, np.nan),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(
            coloring_of(made, name, "attn").values, np.asarray(values, dtype=float), err_msg=name
        )


def test_every_known_name_can_be_drawn(made):
    names = known_colorings(made, "attn")
    assert {"H3K27ac", "methylation", "tf", "expression", "attention:tf", "attribution:tf"} <= set(names)
    figure = attn.pl.latent(made, color=names[:4], ncols=4)
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == names[:4]
    for name in names:
        assert np.isfinite(coloring_of(made, name, "attn").values).any()


def panel(figure):
    (ax,) = (ax for ax in figure.axes if ax.get_title())
    return ax


def test_attribution_is_coloured_around_zero_and_cut_off_at_a_percentile(made):
    ax = panel(attn.pl.latent(made, color="attribution:H3K4me3"))
    values = made.obsm["attn_attribution"]["H3K4me3"].to_numpy()
    last = np.percentile(np.abs(values), 99)
    assert ax.collections[-1].get_clim() == pytest.approx((-last, last))
    assert ax.get_title() == "H3K4me3 attribution"
    assert ax.child_axes[0].get_ylabel() == "Attribution (log-odds)"
    ax = panel(attn.pl.latent(made, color="attribution:H3K4me3", vmax=2))
    assert ax.collections[-1].get_clim() == (-2, 2)
    ax = panel(attn.pl.latent(made, color="expression", vmax="p50"))
    assert ax.collections[-1].get_clim()[1] == pytest.approx(np.median(made["rna"].X))


def test_what_was_not_measured_is_grey(made):
    known = np.arange(made.n_obs) >= 10
    made["histone"].obsm["measured"] = pd.DataFrame({"H3K4me3": known}, made.obs_names)
    missing, drawn = panel(attn.pl.latent(made, color="H3K4me3")).collections
    assert len(missing.get_offsets()) == 10
    assert len(drawn.get_offsets()) == made.n_obs - 10


def test_a_column_goes_before_a_feature(made):
    made.obs["H3K4me3"] = np.arange(made.n_obs, dtype=float)
    drawn = panel(attn.pl.latent(made, color="H3K4me3")).collections[-1]
    np.testing.assert_allclose(np.sort(drawn.get_array()), np.arange(made.n_obs))


def test_errors_say_what_there_is(made):
    with pytest.raises(ValueError, match=r"other colours are \['H3K27ac', 'H3K27me3', 'H3K4me3', 'methylation', 'tf'"):
        attn.pl.latent(made, color="attention:H2AZ")
    for vmax in ("99", "p101", "most"):
        with pytest.raises(ValueError, match="vmax must be a number, or a percentile such as 'p99'"):
            attn.pl.latent(made, color="expression", vmax=vmax)
    del made.uns["attn_attribution"]
    with pytest.raises(ValueError, match=r"attn.tl.attribute\(mdata\) first"):
        attn.pl.latent(made, color="attribution:tf")

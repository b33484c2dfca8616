"""Weights of modalities: their means and where most of them lie."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import epiattn as attn


def test_points_are_means_and_lines_hold_a_half_and_90_percent(made):
    ax = attn.pl.modality(made, groupby="cell_type")
    points = {line.get_label(): line.get_xdata() for line in ax.get_lines() if not line.get_label().startswith("_")}
    assert list(points) == ["histone", "methylation", "tf"]
    lines = [[segment[:, 0] for segment in part.get_segments()] for part in ax.collections]
    for i, (name, means) in enumerate(points.items()):
        values = made.obsm["attn_modality"][name].groupby(made.obs["cell_type"], observed=True)
        np.testing.assert_allclose(means, values.mean())
        np.testing.assert_allclose(lines[2 * i], np.stack([values.quantile(0.05), values.quantile(0.95)], axis=1))
        np.testing.assert_allclose(lines[2 * i + 1], np.stack([values.quantile(0.25), values.quantile(0.75)], axis=1))
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"{x}\n(n = 14)" for x in ("liver", "lung", "stem")]


def test_it_draws_on_the_given_axes_and_of_some_cell_types(made):
    _, ax = plt.subplots()
    assert attn.pl.modality(made, groupby=None, cell_type="lung", ax=ax) is ax
    rows = (made.obs["cell_type"] == "lung").to_numpy()
    line = next(line for line in ax.get_lines() if line.get_label() == "tf")
    np.testing.assert_allclose(line.get_xdata(), made.obsm["attn_modality"]["tf"][rows].mean())


def test_errors_say_what_is_missing(made):
    with pytest.raises(ValueError, match="No fit under key 'x'"):
        attn.pl.modality(made, key="x")
    del made.obsm["attn_modality"]
    with pytest.raises(ValueError, match=r"obsm\['attn_modality'\] is missing"):
        attn.pl.modality(made)

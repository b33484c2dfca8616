"""What is drawn of perturbations is what was written."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

import epiattn as attn


@pytest.fixture(scope="module")
def perturbed_once(fitted_once):
    perturbations = {
        "no H3K27ac": attn.tl.ScaleSignal("H3K27ac", 0),
        "both": [attn.tl.ScaleSignal("H3K4me3", 0), attn.tl.KnockOut("TF003")],
    }
    return attn.tl.perturb(fitted_once, perturbations, interaction=True, copy=True)


@pytest.fixture
def perturbed(perturbed_once):
    return perturbed_once.copy()


def boxes(ax):
    """Left and right end of each box, from the top to the bottom."""
    drawn = [patch for patch in ax.patches if np.isfinite(patch.get_width()) and patch.get_height() < 1]
    return np.array([(box.get_x(), box.get_x() + box.get_width()) for box in drawn])


def points(ax):
    return [float(line.get_xdata()[0]) for line in ax.get_lines() if line.get_marker() == "o"]


def test_a_row_for_each_perturbation_with_its_distribution(perturbed):
    ax = attn.pl.perturbation(perturbed)
    assert isinstance(ax, Axes)
    table, changed = perturbed.obsm["attn_perturbation"], perturbed.obsm["attn_perturbation_changed"]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["no H3K27ac", "both", "H3K4me3 × 0", "TF003 knocked out", "interaction"]
    values = [table[name].to_numpy(float)[changed[name]] for name in table]
    np.testing.assert_allclose(boxes(ax), [np.quantile(each, [0.25, 0.75]) for each in values], rtol=1e-5)
    np.testing.assert_allclose(points(ax), [each.mean() for each in values], rtol=1e-5)
    assert [text.get_text() for text in ax.texts] == ["n", *(f"{len(each)}" for each in values)]
    assert ax.get_xlabel() == "Change of the log-odds of high expression"


def test_groups_are_side_by_side_in_their_colours(perturbed):
    ax = attn.pl.perturbation(perturbed, groupby="label", value="probability", changed_only=False)
    table = perturbed.obsm["attn_perturbation_probability"]
    label = perturbed.obs["label"].astype(str).to_numpy()
    expected = [table[name].to_numpy(float)[label == group].mean() for name in table for group in ("low", "high")]
    np.testing.assert_allclose(points(ax), expected, rtol=1e-5, atol=1e-9)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["low", "high"]
    assert {text.get_text() for text in ax.texts} == {"n", "400"}
    assert ax.get_xlabel() == "Change of the probability of high expression"


def test_it_draws_on_given_axes_and_leaves_the_object_as_it_was(perturbed):
    before = {name: list(perturbed.obsm[name]) for name in perturbed.obsm if "perturbation" in name}
    _, ax = plt.subplots()
    assert attn.pl.perturbation(perturbed, ax=ax) is ax
    assert {name: list(perturbed.obsm[name]) for name in perturbed.obsm if "perturbation" in name} == before


def test_what_cannot_be_drawn_is_said(fitted, perturbed):
    with pytest.raises(ValueError, match=r"No result of tl\.perturb"):
        attn.pl.perturbation(fitted)
    with pytest.raises(ValueError, match=r"value must be one of \['effect', 'probability'\], not 'score'"):
        attn.pl.perturbation(perturbed, value="score")
    with pytest.raises(ValueError, match=r"obs\['nothing'\] is missing"):
        attn.pl.perturbation(perturbed, groupby="nothing")

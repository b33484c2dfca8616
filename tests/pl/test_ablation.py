"""What is drawn of an ablation is what was written."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import epiattn as attn


@pytest.fixture(scope="module")
def ablated_once(fitted_once):
    return attn.tl.ablate(fitted_once, copy=True)


@pytest.fixture
def ablated(ablated_once):
    return ablated_once.copy()


def test_shares_of_each_group_fill_the_row(ablated):
    ax = attn.pl.ablation(ablated, groupby="cell_type")
    table = attn.get.ablation(ablated, groupby="cell_type")
    shares = table[table["quantity"] == "share"]
    bars = {label: [bar.get_width() for bar in of] for of, label in zip(*legend_of(ax), strict=True)}
    for name, widths in bars.items():
        np.testing.assert_allclose(widths, shares["mean"][(shares["ablated"] == name).to_numpy()], rtol=1e-5)
    np.testing.assert_allclose(np.sum(list(bars.values()), axis=0), 1, rtol=1e-6)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cell_type_0", "cell_type_1"]


def legend_of(ax):
    return ax.get_legend_handles_labels()


def test_effects_have_a_row_for_each_modality_and_mark(ablated):
    ax = attn.pl.ablation(ablated, what="effects", groupby="label")
    table = ablated.obsm["attn_ablation"]
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"no {name}" for name in table]
    label = ablated.obs["label"].astype(str).to_numpy()
    means = [table[name].to_numpy(float)[label == group].mean() for name in table for group in ("low", "high")]
    drawn = [float(line.get_xdata()[0]) for line in ax.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(drawn, means, rtol=1e-5)


def test_accuracy_is_drawn_with_its_intervals_worst_first(ablated):
    _, ax = plt.subplots()
    assert attn.pl.ablation(ablated, what="accuracy", ax=ax) is ax
    table = attn.get.ablation(ablated, level="accuracy").set_index("ablated")
    names = [label.get_text().removeprefix("no ") for label in ax.get_yticklabels()]
    assert sorted(names) == sorted(table.index)
    assert list(table.loc[names, "kind"]) == ["modality"] * 3 + ["mark"] * (len(names) - 3)
    assert table.loc[names[:3], "change"].is_monotonic_increasing
    assert table.loc[names[3:], "change"].is_monotonic_increasing
    points = {line.get_gid(): float(line.get_xdata()[0]) for line in ax.get_lines() if line.get_marker() == "o"}
    assert points == pytest.approx(table["change"].to_dict())
    spans = [line.get_xdata() for line in ax.get_lines() if line.get_marker() == "None" and len(line.get_xdata()) == 2]
    np.testing.assert_allclose(spans[: len(names)], table.loc[names, ["low", "high"]])
    assert f"{table['full'].iloc[0]:.3f}" in ax.get_xlabel()


def test_what_cannot_be_drawn_is_said(fitted, ablated):
    with pytest.raises(ValueError, match=r"No result of tl\.ablate"):
        attn.pl.ablation(fitted)
    with pytest.raises(ValueError, match=r"what must be one of .*'accuracy'.*, not 'all'"):
        attn.pl.ablation(ablated, what="all")
    ablated.uns["attn_ablation"]["accuracy"]["change"] = np.nan
    with pytest.raises(ValueError, match=r"no observation with a known label"):
        attn.pl.ablation(ablated, what="accuracy")

"""What modalities and marks are worth to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn._effects import tables_of
from epiattn._results import result_of
from epiattn._validation import check_choice

from ._data import groups_of, read
from ._distributions import draw_boxes, height_of, name_groups
from ._perturbation import label_of
from ._results import title_of
from ._style import DASHED, DOUBLE, GREY, PALETTE, SINGLE, colors_of, legend_above, legend_height, new_axes, styled

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from mudata import MuData

_SHARES, _EFFECTS, _ACCURACY = "shares", "effects", "accuracy"
_MIN_WRITTEN = 0.06  # share of a modality from which on it is written into its bar
_KINDS = {"modality": PALETTE[0], "mark": PALETTE[1]}


def ablation(
    mdata: MuData,
    *,
    what: str = _SHARES,
    groupby: str | None = None,
    key: str = "attn_ablation",
    ax: Axes | None = None,
) -> Axes:
    """What modalities and marks are worth to a model.

    - ``"shares"``: the mean absolute Shapley value of each modality in each group, as a share of all.
    - ``"effects"``: how the output changes without each modality and each mark. A box holds the middle half of the
      observations, its line 90 % of them; the bar is the median, the point the mean.
    - ``"accuracy"``: by how much the metric of the test part falls without each, with 95 % intervals.

    Parameters
    ----------
    mdata
        Object that ``tl.ablate`` wrote to.
    what
        ``"shares"``, ``"effects"`` or ``"accuracy"``.
    groupby
        Column of ``obs``, of no more than 12 groups; ``None``: all observations together. Not for the accuracy.
    key
        The ``key_added`` of :func:`epiattn.tl.ablate`.
    ax
        Axes to draw on; ``None``: those of a new figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError
        If there is no such result or column, or no observation to measure accuracy on.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.ablate(attn.tl.fit(mdata, max_epochs=1))
    >>> ax = attn.pl.ablation(mdata, groupby="label")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['low', 'high']
    """
    check_choice("what", what, (_SHARES, _EFFECTS, _ACCURACY))
    mdata = read(mdata)
    record = result_of(mdata, key, "ablate")
    with styled():
        if what == _ACCURACY:
            return _draw_accuracy(ax, record["accuracy"])
        tables = tables_of(mdata, key, ["", "shapley"])
        groups = groups_of(mdata, groupby, tables["shapley"].notna().all(axis=1).to_numpy())
        if what == _SHARES:
            return _draw_shares(ax, tables["shapley"], groups)
        colors = {name: color for name, color in colors_of(mdata, groupby, list(groups)).items() if name in groups}
        return _draw_effects(ax, tables[""], groups, colors, record)


def _draw_shares(ax: Axes | None, table: pd.DataFrame, groups: Mapping[str, np.ndarray]) -> Axes:
    names = list(table)
    ax = new_axes(ax, width=1.2 * SINGLE, height=0.75 + 0.26 * len(groups) + legend_height(names, SINGLE))
    size = np.array([np.nanmean(np.abs(table.to_numpy(dtype=float)[rows]), axis=0) for rows in groups.values()])
    shares = size / size.sum(1, keepdims=True)
    starts = shares.cumsum(1) - shares
    for j, name in enumerate(names):
        color = PALETTE[j % len(PALETTE)]
        ax.barh(range(len(groups)), shares[:, j], left=starts[:, j], height=0.72, color=color, label=name)
        for i, share in enumerate(shares[:, j]):
            if share >= _MIN_WRITTEN:
                middle = starts[i, j] + share / 2
                ax.text(middle, i, f"{share:.0%}", ha="center", va="center", color="white", fontsize=7)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    ax.set_yticks(range(len(groups)), list(groups))
    ax.set_ylim(len(groups) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("Share of the mean absolute Shapley value")
    legend_above(ax)
    return ax


def _draw_effects(
    ax: Axes | None,
    table: pd.DataFrame,
    groups: Mapping[str, np.ndarray],
    colors: Mapping[str, Any],
    record: Mapping[str, Any],
) -> Axes:
    top = legend_height(list(groups), SINGLE) if len(groups) > 1 else 0
    ax = new_axes(ax, width=0.75 * DOUBLE, height=0.55 + height_of(table.shape[1], len(groups)) + top)
    values = table.to_numpy(dtype=float).T
    rows = [{name: column[which] for name, which in groups.items()} for column in values]
    draw_boxes(ax, rows, [f"no {name}" for name in table], colors)
    ax.axhline(_n_modalities(table, record) - 0.5, color=GREY, linewidth=0.5)
    ax.set_xlabel(label_of(str(record["target"]), "effect"))
    if len(groups) > 1:
        name_groups(ax, colors)
        legend_above(ax)
    return ax


def _n_modalities(table: pd.DataFrame, record: Mapping[str, Any]) -> int:
    return sum(str(record["kinds"][name]) == "modality" for name in table)


def _draw_accuracy(ax: Axes | None, table: pd.DataFrame) -> Axes:
    table = table[np.isfinite(table["change"].to_numpy(dtype=float))]
    if not len(table):
        msg = "There was no observation with a known label (or expression) in the test part: accuracy is not known."
        raise ValueError(msg)
    order = np.lexsort((table["change"].to_numpy(dtype=float), (table["kind"] != "modality").to_numpy()))
    table = table.iloc[order]
    ax = new_axes(ax, width=1.2 * SINGLE, height=0.6 + 0.2 * len(table))
    for y, (name, low, change, high, kind) in enumerate(
        zip(*(table[column] for column in ("ablated", "low", "change", "high", "kind")), strict=True)
    ):
        color = _KINDS[str(kind)]
        ax.plot([low, high], [y, y], color=color, solid_capstyle="butt")
        ax.plot(change, y, "o", markersize=4, color=color, gid=str(name))
    ax.axvline(0, color=GREY, linewidth=0.7, linestyle=DASHED, zorder=0.5)
    n_modalities = int((table["kind"] == "modality").sum())
    if n_modalities < len(table):
        ax.axhline(n_modalities - 0.5, color=GREY, linewidth=0.5)
    ax.set_yticks(range(len(table)), [f"no {name}" for name in table["ablated"]])
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    first = table.iloc[0]
    where = "on the test part" if str(first["part"]) == "test" else "on all observations"
    ax.set_xlabel(f"Change of the {title_of(str(first['metric']))} {where}\n(with everything: {first['full']:.3f})")
    return ax

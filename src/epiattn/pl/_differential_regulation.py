"""Differences of regulation between groups: genes and features."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._results import result_of
from epiattn._validation import check_choice

from ._data import read
from ._names import name_points
from ._quantities import unit_of
from ._style import DASHED, DOUBLE, GREY, LABELS, PALETTE, grid, legend_columns, legend_height, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

_SPREAD = 0.32  # of points around the line of their feature, in rows
_MAX_ROWS = 30
_GOLDEN = 0.6180339887498949  # multiples of it fill an interval evenly


def differential_regulation(
    mdata: MuData,
    *,
    level: str = "genes",
    group: str | Sequence[str] | None = None,
    features: str | Sequence[str] | None = None,
    fdr: float = 0.05,
    n_labels: int = 10,
    ncols: int = 3,
    key: str = "attn_differential",
) -> Figure:
    """Volcano of genes, or the features' differences with their 95 % intervals; one panel per group.

    *Genes*: a point is a gene and a feature, at the difference between the group and the reference and at its p-value.
    Its colour is the feature; those with an adjusted p-value above ``fdr`` are pale, the strongest others are named. Of
    one cell type against one, p-values are ranks and a volcano would be one curve: then there is a row per feature with
    all genes, and the largest differences are named.

    *Features*: difference and interval of each feature, over all genes; filled where the adjusted p-value is up to
    ``fdr``, orange where it is higher in the group and blue where it is lower.

    Parameters
    ----------
    mdata
        Object that ``tl.differential_regulation`` wrote to.
    level
        ``"genes"`` or ``"features"``.
    group
        Groups to show; ``None``: all.
    features
        Features to show, such as ``"H3K27ac"``; ``None``: those with the largest scores, up to 30 (features), or up to
        12, for which there are colours (genes).
    fdr
        False discovery rate.
    n_labels
        Genes to name in a panel.
    ncols
        Panels in a row.
    key
        The ``key_added`` of ``tl.differential_regulation``.

    Returns
    -------
    The figure: a panel per group.

    Raises
    ------
    ValueError
        If there is no such result, level, group or feature, or there is no table of genes (groups of other genes than
        the reference).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=3)
    >>> mdata = attn.tl.attribute(attn.tl.fit(mdata, max_epochs=1), n_steps=5)
    >>> mdata = attn.tl.differential_regulation(mdata, n_permutations=100)
    >>> fig = attn.pl.differential_regulation(mdata)
    >>> fig = attn.pl.differential_regulation(mdata, level="features")
    """
    check_choice("level", level, ("genes", "features"))
    mdata = read(mdata)
    record = result_of(mdata, key, "differential_regulation")
    table = record[level]
    if not len(table):
        msg = f"uns[{key!r}] has no table of genes: its groups hold other genes than their references."
        raise ValueError(msg)
    groups = _chosen(table, "group", group)
    names = _chosen(table, "feature", features)
    if features is None:
        names = _first(table, names, len(PALETTE)) if level == "genes" else _first(table, names, _MAX_ROWS)
    table = table[(table["group"].isin(groups) & table["feature"].isin(names)).to_numpy()]
    colors = dict(zip(names, PALETTE, strict=False)) if len(names) <= len(PALETTE) else dict.fromkeys(names, PALETTE[0])
    unit = unit_of(mdata, str(record["params"]["of"]), str(record["key"]))
    references = dict(zip(table["group"].astype(str), table["reference"].astype(str), strict=True))
    with styled():
        n_columns = min(len(groups), ncols)
        width = DOUBLE / max(n_columns, 2)
        ranks = level == "genes" and not np.isfinite(table["pvals_adj"].to_numpy(dtype=float)).any()
        rows = level == "features" or ranks
        legend = [] if rows else names
        top = legend_height(legend, width * n_columns) if legend else 0
        height = 0.8 + (0.3 if ranks else 0.2) * len(names) if rows else 2.5
        figure, axes = grid(len(groups), ncols, width=width, height=height, top=top, sharey=rows, sharex=rows)
        for ax, name in zip(axes, groups, strict=True):
            of_group = table[(table["group"] == name).to_numpy() & table["pvals"].notna().to_numpy()]
            if level == "features":
                _draw_features(ax, of_group, names, fdr)
            elif ranks:
                _draw_genes_in_rows(ax, of_group, names, colors, n_labels)
            else:
                _draw_volcano(ax, of_group, colors, fdr, n_labels)
            ax.axvline(0, color=GREY, linewidth=0.7, linestyle=DASHED, zorder=0.5)
            ax.set_title(fill(f"{name} against {references[name]}", int(16 * width)))
        figure.supxlabel(f"Difference of {unit}")
        if legend:
            n_rows = -(-len(legend) // legend_columns(legend, width * n_columns))
            columns = -(-len(legend) // n_rows)
            figure.legend(handles=_entries(colors), loc="outside upper center", ncols=columns, handletextpad=0)
    return figure


def _chosen(table: pd.DataFrame, column: str, asked: str | Sequence[str] | None) -> list[str]:
    """Names that were asked for, or all, in the order of the table."""
    known = list(dict.fromkeys(table[column].astype(str)))
    if asked is None:
        return sorted(known) if column == "group" else known
    names = [asked] if isinstance(asked, str) else list(asked)
    if unknown := [name for name in names if name not in known]:
        msg = f"Unknown {column}s {unknown}; the {column}s are {known}."
        raise ValueError(msg)
    return names


def _first(table: pd.DataFrame, names: list[str], n: int) -> list[str]:
    """The features with the largest scores of a gene."""
    largest = table.assign(size=table["score"].abs()).groupby("feature", observed=True)["size"].max()
    first = set(sorted(names, key=lambda name: -largest[name])[:n])
    return [name for name in names if name in first]


def _draw_volcano(ax: Axes, table: pd.DataFrame, colors: dict[str, str], fdr: float, n_labels: int) -> None:
    from matplotlib.colors import to_rgb

    effect, p_value = (table[name].to_numpy(dtype=float) for name in ("effect", "pvals"))
    height = -np.log10(p_value)
    found = table["pvals_adj"].to_numpy(dtype=float) <= fdr
    shade = np.array([to_rgb(colors[name]) for name in table["feature"].astype(str)])
    ax.scatter(effect[~found], height[~found], s=4, color=shade[~found], alpha=0.3, linewidths=0, rasterized=True)
    ax.scatter(effect[found], height[found], s=9, color=shade[found], linewidths=0, rasterized=True)
    if not found.any():
        text = f"none with an adjusted p \N{LESS-THAN OR EQUAL TO} {fdr:g}"
        ax.text(0.5, 1, text, transform=ax.transAxes, ha="center", va="top", fontsize=6, color=GREY)
    else:
        ax.axhline(-np.log10(p_value[found].max()), color=GREY, linewidth=0.7, linestyle=DASHED, zorder=0.5)
    furthest = 1.25 * max(np.abs(effect).max(initial=0), np.finfo(float).tiny)
    ax.set(xlim=(-furthest, furthest), ylim=(0, 1.08 * height.max(initial=0.1)))
    ax.set_ylabel(r"$-\log_{10}\,p$")
    # the table is sorted by score: the first rows are the strongest
    _name_genes(ax, table, effect, height, np.flatnonzero(found)[:n_labels])


def _draw_genes_in_rows(ax: Axes, table: pd.DataFrame, names: list[str], colors: dict[str, str], n_labels: int) -> None:
    """All genes of a feature in its row; those that are close together spread."""
    effect = table["effect"].to_numpy(dtype=float)
    row = table["feature"].astype(str).map({name: i for i, name in enumerate(names)}).to_numpy(dtype=float)
    y = row.copy()
    for i, name in enumerate(names):
        of_feature = row == i
        y[of_feature] += _spread(effect[of_feature])
        ax.scatter(effect[of_feature], y[of_feature], s=4, color=colors[name], alpha=0.6, linewidths=0, rasterized=True)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.margins(x=0.15)
    _name_genes(ax, table, effect, y, np.arange(min(n_labels, len(table))))


def _spread(values: np.ndarray) -> np.ndarray:
    """Up and down, the more the denser the values are; as if at random, but always the same."""
    counts, edges = np.histogram(values, bins=60)
    which = np.clip(np.digitize(values, edges) - 1, 0, len(counts) - 1)
    place = np.zeros(len(values))
    for each in np.unique(which):
        members = np.flatnonzero(which == each)
        place[members] = (2 * ((0.5 + _GOLDEN * np.arange(len(members))) % 1) - 1) * len(members) / counts.max()
    return _SPREAD * place


def _draw_features(ax: Axes, table: pd.DataFrame, names: list[str], fdr: float) -> None:
    table = table.set_index(table["feature"].astype(str)).reindex(names)
    for y, row in enumerate(table.itertuples()):
        color = LABELS[k.HIGH if row.effect > 0 else k.LOW]
        ax.hlines(y, row.low, row.high, color=color, linewidth=1.4)
        inside = color if row.pvals_adj <= fdr else "w"
        ax.plot(row.effect, y, "o", markersize=4, color=color, markerfacecolor=inside)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)


def _name_genes(ax: Axes, table: pd.DataFrame, x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> None:
    """Names beside points."""
    names = table["gene_name"].astype(str).to_numpy()[rows]
    name_points(ax, x[rows], y[rows], names, others=np.column_stack([x, y]))


def _entries(colors: dict[str, str]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], marker="o", linestyle="", markersize=4, color=c, label=name) for name, c in colors.items()]

"""Marks and bins around the TSS as a map of colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k

from ._data import groups_of, mean_and_error, read, rows_of_cell_types
from ._quantities import ALL_MARKS, ATTRIBUTION, SIGNAL, histone_of, layers_of, unit_of, values_of
from ._style import DOUBLE, bin_axis, bin_edges, color_bar, color_limits, color_map, grid, styled

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from mudata import MuData


def marks(
    mdata: MuData,
    *,
    of: str = ATTRIBUTION,
    marks: str | Sequence[str] | None = None,
    groupby: str | None = k.LABEL,
    modality: str = k.HISTONE,
    cell_type: str | Sequence[str] | None = None,
    signal: bool = True,
    vmax: float | None = None,
    ncols: int = 4,
    key: str = "attn",
) -> Figure:
    """Mean attribution or attention of each mark and bin around the TSS, one map per group, under the mean signal.

    Each row is a mark: its colour says how much a bin adds to the model's output (blue lowers, orange raises), or what
    share of the attention it gets. The line in a row is the mark's mean signal, as a share of its highest value in all
    groups. Colours and lines have one scale for all groups. Marks that were not measured are grey.

    Parameters
    ----------
    mdata
        Object that ``tl.fit``, and ``tl.attribute`` for attribution, wrote to.
    of
        ``"attribution"``; ``"attention"``, for marks that the model keeps apart (otherwise there is one row for all
        marks); or ``"signal"``, each mark as a share of its highest value.
    marks
        Marks to show, from top to bottom; ``None``: all.
    groupby
        Column of ``obs``, of no more than 12 groups; ``None``: all observations together.
    modality
        ``"histone"``, or any other ``histone*`` that the run read.
    cell_type
        Cell types to use; ``None``: all.
    signal
        Draw the signal.
    vmax
        Value of the darkest colour; ``None``: the largest mean.
    ncols
        Maps in a row.
    key
        ``key_added`` of the run.

    Returns
    -------
    The figure: a panel per group. Its horizontal axis is in bp, labelled in kb.

    Raises
    ------
    ValueError
        If a modality, mark, column or cell type does not exist, there are too many groups, or the attribution was not
        computed.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.tl.attribute(attn.tl.fit(mdata, max_epochs=1), n_steps=5)
    >>> fig = attn.pl.marks(mdata, groupby="cell_type")
    """
    mdata = read(mdata)
    adata = histone_of(mdata, modality, "marks")
    layers = layers_of(mdata, modality, marks, of=of, key=key)
    groups = groups_of(mdata, groupby, rows_of_cell_types(mdata, cell_type))
    maps = means_of(adata, layers, groups)
    lines = None
    if of == SIGNAL:
        maps = shares_of_highest(maps)
    elif signal and ALL_MARKS not in layers:
        lines = shares_of_highest(means_of(adata, {mark: mark for mark in layers}, groups))
    limits = color_limits(maps.values(), signed=of == ATTRIBUTION, vmax=vmax)
    with styled():
        n_columns = min(len(groups), ncols)
        width = (DOUBLE if n_columns > 2 else 0.5 * DOUBLE * (n_columns + 1) / 2) / n_columns
        figure, axes = grid(len(groups), ncols, width=width, height=0.6 + 0.19 * max(len(layers), 2), sharey=True)
        for i, (ax, (name, rows)) in enumerate(zip(axes, groups.items(), strict=True)):
            image = draw_map(ax, adata, maps[name], list(layers), signed=of == ATTRIBUTION, **limits)
            if lines is not None:
                draw_lines(ax, adata, lines[name])
            distance = bin_axis(ax, adata)[1]
            ax.tick_params(labelbottom=i + ncols >= len(groups))
            ax.set_title(f"{name}\n(n = {len(rows):,})" if width < 1.5 else f"{name} (n = {len(rows):,})")
        figure.supxlabel(distance)
        label = "Mean signal (share of the highest)" if of == SIGNAL else f"Mean {unit_of(mdata, of, key)}"
        color_bar(image, axes, label.replace(" (", "\n("))
    return figure


Maps = dict[str, np.ndarray]


def means_of(adata: AnnData, layers: dict[str, str], groups: dict[str, np.ndarray]) -> Maps:
    """Mean of each mark (row) and bin in each group, shape ``(n_marks, n_bins)``; NaN where none was measured."""
    return {
        name: np.stack([mean_and_error(values_of(adata, mark, layer, rows))[0] for mark, layer in layers.items()])
        for name, rows in groups.items()
    }


def shares_of_highest(maps: Maps) -> Maps:
    """Each mark divided by its highest value in all groups."""
    highest = np.nan_to_num(np.fmax.reduce([np.fmax.reduce(each, axis=1) for each in maps.values()]))
    return {name: each / np.where(highest > 0, highest, 1)[:, None] for name, each in maps.items()}


def draw_map(
    ax: Axes, adata: AnnData, values: np.ndarray, names: list[str], *, signed: bool, **limits: Any
) -> AxesImage:
    """A row of colours for each mark, the first one on top."""
    image = ax.imshow(
        values,
        cmap=color_map(signed=signed),
        aspect="auto",
        interpolation="none",
        extent=(*bin_edges(adata), len(names) - 0.5, -0.5),
        **limits,
    )
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_visible(True)
    for i in range(1, len(names)):
        ax.axhline(i - 0.5, color="w", linewidth=1.5)
    return image


def draw_lines(ax: Axes, adata: AnnData, shares: np.ndarray) -> None:
    """The signal of each mark in its row."""
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=1.8, foreground="w", alpha=0.8)]
    x = np.linspace(*bin_edges(adata), adata.n_vars + 1)
    for i, values in enumerate(shares):
        if np.isfinite(values).any():
            ax.stairs(i + 0.42 - 0.84 * values, x, baseline=None, color="k", linewidth=0.7, path_effects=outline)

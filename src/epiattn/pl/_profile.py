"""Signal around the TSS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from epiattn import _keys as k

from ._data import groups_of, mean_and_error, read, rows_of_cell_types
from ._quantities import ATTRIBUTION, SIGNAL, histone_of, layers_of, unit_of, values_of
from ._style import (
    DOUBLE,
    GREY,
    bin_axis,
    colors_of,
    counted,
    grid,
    legend_columns,
    legend_height,
    mean_line,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mudata import MuData


def profile(
    mdata: MuData,
    *,
    of: str = SIGNAL,
    marks: str | Sequence[str] | None = None,
    groupby: str | None = k.LABEL,
    modality: str = k.HISTONE,
    cell_type: str | Sequence[str] | None = None,
    errorbar: bool = True,
    ncols: int = 4,
    key: str = "attn",
) -> Figure:
    """Mean signal, attribution or attention of each mark around the TSS, one line per class.

    Parameters
    ----------
    mdata
        MuData with a histone modality, or a histone-only AnnData. It need not have been fitted to show the signal.
    of
        ``"signal"``; ``"attribution"``, what a bin adds to the model's output (after ``tl.attribute``); or
        ``"attention"``, a bin's share of 1, for marks that the model keeps apart.
    marks
        Layers to show; ``None``: all marks.
    groupby
        Column of ``obs``, of no more than 12 groups; ``None``: all observations together.
    modality
        ``"histone"``, or any other ``histone*``.
    cell_type
        Cell types to use; ``None``: all.
    errorbar
        Draw a band of 1.96 standard errors of the mean (a 95 % confidence interval if the observations were
        independent).
    ncols
        Panels in a row.
    key
        ``key_added`` of the run (attribution and attention).

    Returns
    -------
    The figure: a panel per mark. Its horizontal axis is in bp, labelled in kb; without ``var["start"]`` and
    ``var["end"]`` it counts bins.

    Raises
    ------
    ValueError
        If a modality, mark, column or cell type does not exist, there are too many groups, or the attribution was not
        computed.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> fig = attn.pl.profile(mdata, marks=["H3K4me3", "H3K27me3"])
    >>> [ax.get_title() for ax in fig.axes]
    ['H3K4me3', 'H3K27me3']
    """
    from matplotlib.ticker import MaxNLocator

    mdata = read(mdata)
    adata = histone_of(mdata, modality, "profile")
    layers = layers_of(mdata, modality, marks, of=of, key=key)
    groups = groups_of(mdata, groupby, rows_of_cell_types(mdata, cell_type))
    colors, labels = colors_of(mdata, groupby, list(groups)), counted(groups)
    with styled():
        width = DOUBLE / 4 * min(len(layers), ncols)
        columns = min(len(groups), legend_columns(labels.values(), width))
        top = legend_height(list(labels.values()), width)
        figure, axes = grid(len(layers), ncols, width=DOUBLE / 4, height=1.4, top=top, sharex=True)
        for i, (ax, (mark, layer)) in enumerate(zip(axes, layers.items(), strict=True)):
            x, distance = bin_axis(ax, adata)
            ax.tick_params(labelbottom=i + ncols >= len(layers))  # those without a panel below
            ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            for name, rows in groups.items():
                mean, error = mean_and_error(values_of(adata, mark, layer, rows))
                mean_line(ax, x, mean, error if errorbar else None, color=colors[name], label=labels[name])
            if of == ATTRIBUTION:
                ax.axhline(0, color=GREY, linewidth=0.7, zorder=0.5)
            else:
                ax.set_ylim(bottom=0)
            ax.set_title(mark)
        figure.supxlabel(distance)
        figure.supylabel(f"Mean {unit_of(mdata, of, key)}")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=columns)
    return figure

"""Signal around the TSS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from epiattn import _keys as k
from epiattn._compat import layer_names
from epiattn._modalities import find_channels, kind, measured

from ._data import dense, groups_of, mean_and_error, read, rows_of_cell_types
from ._style import (
    DOUBLE,
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
    from anndata import AnnData
    from matplotlib.figure import Figure
    from mudata import MuData


def profile(
    mdata: MuData,
    *,
    marks: str | Sequence[str] | None = None,
    groupby: str | None = k.LABEL,
    modality: str = k.HISTONE,
    cell_type: str | Sequence[str] | None = None,
    errorbar: bool = True,
    ncols: int = 4,
) -> Figure:
    """Mean signal of each mark around the TSS, one line per class.

    Parameters
    ----------
    mdata
        MuData with a histone modality, or a histone-only AnnData. It need not have been fitted.
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

    Returns
    -------
    The figure: a panel per mark. Its horizontal axis is in bp, labelled in kb; without ``var["start"]`` and
    ``var["end"]`` it counts bins.

    Raises
    ------
    ValueError
        If a modality, mark, column or cell type does not exist, or there are too many groups.

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
    adata = _histone(mdata, modality)
    marks = _marks(mdata, modality, marks)
    groups = groups_of(mdata, groupby, rows_of_cell_types(mdata, cell_type))
    colors, labels = colors_of(mdata, groupby, list(groups)), counted(groups)
    with styled():
        width = DOUBLE / 4 * min(len(marks), ncols)
        columns = min(len(groups), legend_columns(labels.values(), width))
        top = legend_height(list(labels.values()), width)
        figure, axes = grid(len(marks), ncols, width=DOUBLE / 4, height=1.4, top=top, sharex=True)
        for i, (ax, mark) in enumerate(zip(axes, marks, strict=True)):
            x, distance = bin_axis(ax, adata)
            ax.tick_params(labelbottom=i + ncols >= len(marks))  # those without a panel below
            ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            known = measured(adata, [mark])[:, 0]
            for name, rows in groups.items():
                mean, error = mean_and_error(dense(adata.layers[mark][rows[known[rows]]]))
                mean_line(ax, x, mean, error if errorbar else None, color=colors[name], label=labels[name])
            ax.set_ylim(bottom=0)
            ax.set_title(mark)
        figure.supxlabel(distance)
        figure.supylabel("Mean signal")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=columns)
    return figure


def _histone(mdata: MuData, modality: str) -> AnnData:
    if known := [name for name in mdata.mod if kind(name) == k.HISTONE]:
        if modality in known:
            return mdata[modality]
        msg = f"pl.profile needs a modality with bins, one of {known}, not {modality!r}."
        raise ValueError(msg)
    msg = f"pl.profile needs the modality 'histone' (or any 'histone*'), but the modalities are {list(mdata.mod)}."
    raise ValueError(msg)


def _marks(mdata: MuData, modality: str, marks: str | Sequence[str] | None) -> list[str]:
    known = find_channels(mdata)[modality]
    if marks is None:
        return known
    chosen = [marks] if isinstance(marks, str) else list(marks)
    if unknown := [name for name in chosen if name not in layer_names(mdata[modality])]:
        msg = f"Unknown marks {unknown}; the marks of mdata[{modality!r}] are {known}."
        raise ValueError(msg)
    if not chosen:
        msg = f"marks names no mark; the marks of mdata[{modality!r}] are {known}."
        raise ValueError(msg)
    return chosen

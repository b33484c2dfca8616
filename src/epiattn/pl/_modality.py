"""How much each modality counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._results import run_of

from ._data import groups_of, read, rows_of_cell_types
from ._style import DOTTED, GREY, PALETTE, SINGLE, counted, legend_above, legend_height, new_axes, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from mudata import MuData

_RANGES = {(5, 95): 0.9, (25, 75): 3.2}  # percentiles, and the width of their line


def modality(
    mdata: MuData,
    *,
    groupby: str | None = k.LABEL,
    cell_type: str | Sequence[str] | None = None,
    key: str = "attn",
    ax: Axes | None = None,
) -> Axes:
    """How much of the attention each modality gets in the fusion, group by group.

    Weights are relative to uniform attention (the dotted line): of three modalities of equal size, 1.5 is a share of a
    half. The point is the mean; the thick line holds the middle half of the observations, the thin one 90 %.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to.
    groupby
        Column of ``obs``, of no more than 12 groups; ``None``: all observations together.
    cell_type
        Cell types to use; ``None``: all.
    key
        ``key_added`` of the run.
    ax
        Axes to draw on; ``None``: those of a new figure.

    Returns
    -------
    The Axes: a row per group, and in it a line per modality.

    Raises
    ------
    ValueError
        If there is no run under the key, its weights are gone, or a column or cell type does not exist.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> ax = attn.pl.modality(mdata, groupby="cell_type")
    >>> ax.get_xlabel()
    'Attention relative to uniform'
    """
    mdata = read(mdata)
    run_of(mdata, key)
    name = k.modality_weights(key)
    if name not in mdata.obsm:
        msg = f"obsm[{name!r}] is missing: what the run {key!r} wrote is gone."
        raise ValueError(msg)
    weights = mdata.obsm[name]
    groups = groups_of(mdata, groupby, rows_of_cell_types(mdata, cell_type))
    names = [str(each) for each in weights]
    step = 0.8 / len(names)
    with styled():
        height = 0.6 + legend_height(names, 0.775 * SINGLE) + len(groups) * (0.1 + 0.16 * len(names))
        ax = new_axes(ax, height=height)
        ax.axvline(1, color=GREY, linewidth=0.8, linestyle=DOTTED, zorder=0.5)
        for i, (each, color) in enumerate(zip(names, PALETTE, strict=False)):
            values = weights[each].to_numpy(dtype=float)
            y = np.arange(len(groups)) + step * (i - (len(names) - 1) / 2)
            for percentiles, width in _RANGES.items():
                ends = np.array([np.nanpercentile(values[rows], percentiles) for rows in groups.values()])
                ax.hlines(y, *ends.T, color=color, linewidth=width, alpha=0.55)
            means = [np.nanmean(values[rows]) for rows in groups.values()]
            ax.plot(means, y, "o", color=color, markersize=4.5, markeredgecolor="w", markeredgewidth=0.7, label=each)
        labels = counted(groups).values() if groupby is not None else groups
        ax.set_yticks(range(len(groups)), [label.replace(" (n", "\n(n") for label in labels])
        ax.set_ylim(len(groups) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.set_xlim(left=0)
        ax.set_xlabel("Attention relative to uniform")
        legend_above(ax)
    return ax

"""Everything about one gene, cell types side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from epiattn import _keys as k
from epiattn._results import run_of
from epiattn._validation import rows_of_genes

from ._data import read, rows_of_cell_types
from ._gene_panels import cpg_panel, map_panel, outcome_panel, signal_panel, tf_panel
from ._quantities import ATTENTION, ATTRIBUTION
from ._style import DOUBLE, SINGLE, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

MAX_COLUMNS = 6
_WIDE = 4  # more columns are too narrow for labels of one line


class Panel(NamedTuple):
    """A row of the figure: its name and height in inches, and what draws it on the Axes of all cell types."""

    name: str
    height: float
    draw: Callable[[list[Axes]], None]
    along_bins: bool = True


def gene(
    mdata: MuData,
    gene: str,
    *,
    cell_type: str | Sequence[str] | None = None,
    marks: str | Sequence[str] | None = None,
    modality: str = k.HISTONE,
    n_tfs: int = 8,
    key: str = "attn",
) -> Figure:
    """One gene in all its cell types: what was measured, what the model made of it, and what came out.

    From top to bottom, as far as there is data: the prediction (with the standard deviation of an ensemble, or the
    interval) and the expression, coloured by class; the signal of each mark, on one scale in all cell types (its end is
    in the name); what each mark and bin adds to the prediction, after ``tl.attribute``; the attention to them; CpGs, as
    high as they are methylated, coloured by what they add; and the bound TFs that add the most (without attribution:
    those with the most attention).

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to; ``tl.attribute`` adds panels.
    gene
        Name or id of a gene.
    cell_type
        Cell types to show, up to 6; ``None``: all.
    marks
        Marks to show, from top to bottom; ``None``: all.
    modality
        ``"histone"``, or any other ``histone*`` that the run read.
    n_tfs
        TFs to show, the same in all cell types.
    key
        ``key_added`` of the run.

    Returns
    -------
    The figure: a column per cell type.

    Raises
    ------
    ValueError
        If there is no run under the key, the gene, a cell type or a mark does not exist, or the gene has more than 6
        observations.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.tl.attribute(attn.tl.fit(mdata, max_epochs=1), n_steps=5)
    >>> fig = attn.pl.gene(mdata, mdata.obs["gene_id"].iloc[0])
    """
    import matplotlib.pyplot as plt

    from ._figure import Figure

    mdata = read(mdata)
    run_of(mdata, key)
    rows = _rows(mdata, gene, cell_type)
    panels = _panels(mdata, rows, marks=marks, modality=modality, n_tfs=n_tfs, key=key)
    along_bins = [i for i, panel in enumerate(panels) if panel.along_bins]
    with styled():
        heights = [panel.height for panel in panels]
        figure, axes = plt.subplots(
            len(panels),
            len(rows),
            figsize=(min(DOUBLE, 0.9 * SINGLE + 1.3 * (len(rows) - 1)), sum(heights) + 0.11 * len(panels) + 0.6),
            height_ratios=heights,
            sharey="row",
            squeeze=False,
            FigureClass=Figure,
        )
        figure.set_layout_engine("constrained", hspace=0.03, h_pad=0.02)
        for i, (panel, of_panel) in enumerate(zip(panels, axes, strict=True)):
            panel.draw(list(of_panel))
            of_panel[0].set_ylabel(panel.name)
            for ax in of_panel[1:]:
                ax.tick_params(labelleft=False)
            if panel.along_bins and i < along_bins[-1]:
                for ax in of_panel:
                    ax.tick_params(labelbottom=False)
                    ax.set_xlabel("")
        if len(rows) > _WIDE:
            for ax in axes.flat:
                ax.set_xlabel(fill(ax.get_xlabel(), 12))
        for ax, name in zip(axes[0], _names(mdata, rows), strict=True):
            ax.set_title(name)
        figure.align_ylabels(axes[:, 0])
        figure.suptitle(_title(mdata, rows[0], gene), fontsize=9, fontstyle="italic")
    return figure


def _rows(mdata: MuData, gene: str, cell_type: str | Sequence[str] | None) -> np.ndarray:
    rows = rows_of_genes(mdata, [gene])
    within = rows_of_cell_types(mdata, cell_type)
    if within is not None:
        rows = rows[within[rows]]
    if not len(rows):
        msg = f"The gene {gene!r} was not measured in the cell types {cell_type!r}."
        raise ValueError(msg)
    if len(rows) > MAX_COLUMNS:
        msg = (
            f"{gene!r} has {len(rows)} observations, and no more than {MAX_COLUMNS} fit side by side: choose some with "
            f"cell_type=; they are {_names(mdata, rows)}."
        )
        raise ValueError(msg)
    return rows


def _names(mdata: MuData, rows: np.ndarray) -> list[str]:
    """Cell types, where they tell the observations apart."""
    names = list(mdata.obs[k.CELL_TYPE].iloc[rows].astype(str)) if k.CELL_TYPE in mdata.obs else []
    return names if len(set(names)) == len(rows) else list(mdata.obs_names[rows].astype(str))


def _title(mdata: MuData, row: int, gene: str) -> str:
    return str(mdata.obs[k.GENE_NAME].iloc[row]) if k.GENE_NAME in mdata.obs else gene


def _panels(
    mdata: MuData,
    rows: np.ndarray,
    *,
    marks: str | Sequence[str] | None,
    modality: str,
    n_tfs: int,
    key: str,
) -> list[Panel]:
    """What there is to draw."""
    channels = run_of(mdata, key)["channels"]
    attributed = k.attribution(key) in mdata.uns
    panels = [outcome_panel(mdata, rows, key)]
    if modality in mdata.mod:
        panels.append(signal_panel(mdata, rows, modality, marks))
        for of in (ATTRIBUTION, ATTENTION) if attributed else (ATTENTION,):
            panels.append(map_panel(mdata, rows, modality, marks, of=of, key=key))
    if k.METHYLATION in channels and k.METHYLATION in mdata.mod:
        panels.append(cpg_panel(mdata, rows, modality, attributed=attributed, key=key))
    if k.TF in channels and k.TF in mdata.mod and n_tfs:
        panels.append(tf_panel(mdata, rows, n_tfs, attributed=attributed, key=key))
    return [Panel(*panel) for panel in panels]

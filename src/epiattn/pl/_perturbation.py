"""Effects of perturbations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn._effects import tables_of
from epiattn._results import result_of
from epiattn._validation import check_choice

from ._data import groups_of, read
from ._distributions import draw_boxes, height_of, name_groups
from ._style import DOUBLE, GREY, colors_of, legend_above, legend_height, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData


def perturbation(
    mdata: MuData,
    *,
    value: str = "effect",
    groupby: str | None = None,
    changed_only: bool = True,
    key: str = "attn_perturbation",
    ax: Axes | None = None,
) -> Axes:
    """How far perturbations move predictions: a row for each perturbation, and in it a box for each group.

    A box holds the middle half of the observations, its line 90 % of them (5 % to 95 %); the bar is the median, the
    point the mean, and the numbers on the right say how many observations there are in all groups together. Single
    edits and interactions stand in grey below the perturbation that they belong to.

    Parameters
    ----------
    mdata
        Object that ``tl.perturb`` wrote to.
    value
        ``"effect"``: change of the log-odds, or of the expression; ``"probability"``: of the probability.
    groupby
        Column of ``obs``, of no more than 12 groups; ``None``: all observations together.
    changed_only
        Leave observations out whose inputs the perturbation did not change.
    key
        The ``key_added`` of :func:`epiattn.tl.perturb`.
    ax
        Axes to draw on; ``None``: those of a new figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError
        If there is no such result, column or value, or the perturbations were of a model of expression, which has no
        probability.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> mdata = attn.tl.perturb(mdata, {"no H3K27ac": attn.tl.ScaleSignal("H3K27ac", 0)})
    >>> ax = attn.pl.perturbation(mdata, groupby="label")
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['no H3K27ac']
    """
    mdata = read(mdata)
    record = result_of(mdata, key, "perturb")
    tables = tables_of(mdata, key, list(record["tables"]))
    choices = ["effect"] + (["probability"] if "probability" in tables else [])
    check_choice("value", value, choices)
    table = tables["" if value == "effect" else value].to_numpy(dtype=float)
    if changed_only:
        table = np.where(tables["changed"].to_numpy(dtype=bool), table, np.nan)
    groups = groups_of(mdata, groupby)
    colors = {name: color for name, color in colors_of(mdata, groupby, list(groups)).items() if name in groups}
    rows = [{name: column[which] for name, which in groups.items()} for column in table.T]
    with styled():
        top = legend_height(list(groups), 0.6 * DOUBLE) if groupby is not None else 0
        ax = new_axes(ax, width=0.75 * DOUBLE, height=0.55 + height_of(len(rows), len(groups)) + top)
        draw_boxes(ax, rows, _labels(record["perturbations"]), colors)
        for label, kind in zip(ax.get_yticklabels(), record["perturbations"]["kind"], strict=True):
            label.set_color("black" if kind == "given" else GREY)
        counts = [sum(int(np.isfinite(values).sum()) for values in row.values()) for row in rows]
        for y, text in zip([-0.75, *range(len(rows))], ["n", *(f"{n:,}" for n in counts)], strict=True):
            ax.text(1.02, y, text, transform=ax.get_yaxis_transform(), va="center", color=GREY, fontsize=6)
        ax.set_xlabel(label_of(str(record["target"]), value))
        if groupby is not None:
            name_groups(ax, colors)
            legend_above(ax)
    return ax


def label_of(target: str, value: str) -> str:
    """What is on the axis."""
    if value == "probability":
        return "Change of the probability of high expression"
    return f"Change of the {'log-odds of high' if target == 'label' else 'predicted'} expression"


def _labels(done: Any) -> list[str]:
    """Names of perturbations; of what belongs to one, the rest of the name."""
    names = zip(done["perturbation"].astype(str), done["of"].astype(str), strict=True)
    return [name.removeprefix(f"{of}: ").replace(" -", " \N{MINUS SIGN}") for name, of in names]

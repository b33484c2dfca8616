"""Models and baselines compared."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ._data import read
from ._results import BASELINE, Tables, higher_is_better, tables_of, title_of, with_interval
from ._style import DOTTED, DOUBLE, GREY, PALETTE, legend_above, new_axes, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from mudata import MuData

_COLORS = {"model": PALETTE[0], BASELINE: PALETTE[1]}
_MARKERS = {"model": "o", BASELINE: "D"}
_OFFSET = 0.27  # of single folds below the interval, in rows
_MIN_TOGETHER = 3


def benchmark(mdata: MuData, *, metric: str | None = None, key: str = "benchmark", ax: Axes | None = None) -> Axes:
    """Models and baselines from the best to the worst, with 95 % intervals.

    Each row has the mean over folds and seeds with its interval and, below it, the single folds and seeds; the dotted
    line is the best baseline. Models that are far behind (after a gap that is wider than three or more models before
    it with their intervals) are not drawn to scale: an arrow and the numbers stand for them. Models that could not be
    trained, or whose metric is not defined, are listed below the others with the reason.

    Parameters
    ----------
    mdata
        Object that ``tl.benchmark`` wrote to (or ``tl.cross_validate``, with ``key="cv"``).
    metric
        One of the metrics of the table; ``None``: the first one, ``"auc"`` for labels and ``"pearson"`` for
        expression.
    key
        ``key_added`` of the run.
    ax
        Axes to draw on; ``None``: those of a new figure.

    Returns
    -------
    The Axes; its rows are those of :func:`epiattn.get.benchmark`.

    Raises
    ------
    ValueError
        If there is no run under the key, the metric is unknown, or it is not defined for any model.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=300, cell_types=1)
    >>> _ = attn.tl.benchmark(mdata, models=["logistic", "prevalence"], n_folds=3)
    >>> ax = attn.pl.benchmark(mdata)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['logistic', 'prevalence']
    """
    tables = tables_of(read(mdata), key)
    table = tables.summary(metric)
    metric = str(table["metric"].iloc[0])
    defined = table[np.isfinite(table["value"])]
    if not len(defined):
        msg = f"{metric!r} is not defined for any model: {table['note'].iloc[0] or 'the table gives no reason'}."
        raise ValueError(msg)
    with styled():
        ax = new_axes(ax, width=0.6 * DOUBLE, height=1.1 + 0.24 * len(table))
        n_drawn = together(defined)
        _draw_values(ax, tables, metric, defined[:n_drawn], kinds=set(defined["kind"]))
        _draw_far(ax, defined[n_drawn:], n_drawn, higher=higher_is_better(metric))
        _draw_best_baseline(ax, defined[:n_drawn])
        _draw_reasons(ax, table)
        ax.set_ylim(len(table) - 0.5, -0.6)
        ax.set_yticks(range(len(table)), list(table["model"]))
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel(title_of(metric))
        _add_notes(ax, defined)
        legend_above(ax)
    return ax


def together(table: pd.DataFrame) -> int:
    """How many models, from the best on, are drawn to scale: those before a gap wider than all of them together."""
    value = table["value"].to_numpy()
    low, high = (table[name].fillna(table["value"]).to_numpy() for name in ("low", "high"))
    for n in range(_MIN_TOGETHER, len(table)):
        if abs(value[n] - value[n - 1]) > high[:n].max() - low[:n].min():
            return n
    return len(table)


def _draw_values(ax: Axes, tables: Tables, metric: str, table: pd.DataFrame, *, kinds: set[str]) -> None:
    """Means with intervals, and single folds below them."""
    for kind, color in _COLORS.items():
        if kind in kinds:  # far ones need an entry in the legend too
            rows = np.flatnonzero(table["kind"] == kind)
            of_kind = table.iloc[rows]
            single = [tables.values(metric, model) for model in of_kind["model"]]
            y = np.repeat(rows + _OFFSET, list(map(len, single)))
            ax.scatter(np.concatenate([*single, []]), y, s=7, color=color, alpha=0.35, linewidths=0)
            ax.hlines(rows, of_kind["low"], of_kind["high"], color=color, linewidth=1.4)
            ax.scatter(of_kind["value"], rows, s=18, color=color, marker=_MARKERS[kind], zorder=3, label=kind)
    ax.scatter([], [], s=7, color=GREY, alpha=0.6, linewidths=0, label="single folds and seeds")


def _draw_far(ax: Axes, table: pd.DataFrame, start: int, *, higher: bool) -> None:
    """An arrow to where the models that are far behind would be, and their numbers."""
    x, marker, ha, sign = (0.015, "<", "left", 1) if higher else (0.985, ">", "right", -1)
    where = ax.get_yaxis_transform()
    for y, (_, row) in enumerate(table.iterrows(), start):
        color = _COLORS[row["kind"]]
        ax.scatter(x, y, s=14, color=color, marker=marker, transform=where, label="_far")
        ax.text(x + 0.02 * sign, y, with_interval(row), transform=where, ha=ha, va="center", fontsize=6, color=color)


def _draw_best_baseline(ax: Axes, table: pd.DataFrame) -> None:
    best = table["best_baseline"].iloc[0]
    if best in table.index and len(table) > 1:
        value = table.loc[best, "value"]
        style: dict[str, Any] = {"color": _COLORS[BASELINE], "linewidth": 0.9, "linestyle": DOTTED, "zorder": 0.5}
        ax.plot([value, value], [-0.6, len(table) - 0.5], **style, label=f"best baseline: {best}")


def _draw_reasons(ax: Axes, table: pd.DataFrame) -> None:
    """Why a model has no value, in as many words as fit into its row."""
    room = ax.get_window_extent().height / ax.figure.dpi / len(table)
    for row, (value, note) in enumerate(zip(table["value"], table["note"], strict=True)):
        if not np.isfinite(value):
            text = f"not defined: {note}".removesuffix(": ").replace(": the metric is not defined", "", 1)
            lines = wrap(text, _characters(ax), max_lines=1 if room < 0.19 else 2, placeholder=" …")
            style: dict[str, Any] = {"va": "center", "fontsize": 6, "color": GREY, "linespacing": 1.1}
            ax.text(0.01, row, "\n".join(lines), transform=ax.get_yaxis_transform(), **style)


def _add_notes(ax: Axes, table: pd.DataFrame) -> None:
    """How intervals were found and what was left out, below the axis."""
    lines = []
    varies = table[table["low"] != table["high"]]  # an interval of no width needs no explanation
    for column, what in (("method", "95\N{NO-BREAK SPACE}% intervals: "), ("note", "")):
        for text in [text for text in dict.fromkeys(varies[column]) if text]:
            models = list(varies["model"][varies[column] == text])
            lines.append(f"{what}{text}" + ("" if len(models) == len(varies) else f" ({', '.join(models)})"))
    ax.annotate(
        "\n".join(part for line in lines for part in wrap(line, _characters(ax))),
        (0, 0),
        (0, -3),
        xycoords=("axes fraction", ax.xaxis.label),
        textcoords="offset points",
        va="top",
        fontsize=6,
        color=GREY,
        annotation_clip=False,
    )


def _characters(ax: Axes) -> int:
    """How many small letters are as wide as the Axes."""
    return max(20, int(19 * ax.get_window_extent().width / ax.figure.dpi))

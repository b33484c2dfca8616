"""How a test of faithfulness came out, in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn._results import result_of
from epiattn._validation import check_choice

from ._data import read
from ._style import DASHED, DOTTED, DOUBLE, GREY, PALETTE, mean_line, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

_HEADING = "heading"
RANDOM, SIGNAL = "random", "signal"
NAMES = {
    "attention": "Attention",
    "integrated_gradients": "Integrated gradients",
    "gradient_x_input": "Gradient × input",
    "gradient_shap": "Gradient SHAP",
    "deeplift": "DeepLIFT",
    "occlusion": "Occlusion",
    SIGNAL: "Size of the input",
    RANDOM: "Random order",
}
SHORT = {"integrated_gradients": "Int. gradients", "gradient_x_input": "Grad. × input", SIGNAL: "Input size"}
#: Whose explanation is compared, and how it is drawn.
COMPARED = {"seeds": ("another seed", "o"), "labels": ("random labels", "s"), "weights": ("random weights", "D")}


def faithfulness(
    mdata: MuData, *, modality: str | Sequence[str] | None = None, key: str = "attn_faithfulness"
) -> Figure:
    """Curves of deletion and insertion, what they are worth, sanity checks, agreement, and recovered causes.

    Each modality is a column. From top to bottom:

    - mean distance that the output has come when values are taken away, and put back, in the order of each explanation;
      bands are 1.96 standard errors
    - by how much the areas exceed those of random orders, with 95 % intervals; filled: it beats them by deletion and by
      insertion
    - mean rank correlation of explanations with those of other models: another seed (high is good), random weights and
      random labels (low is good), with 95 % intervals
    - mean rank correlation between explanations
    - on simulated data, average precision of planted causes, mean over observations, with 95 % intervals; the dotted
      line is chance

    Rows for which there is nothing are left out.

    Parameters
    ----------
    mdata
        Object that ``tl.faithfulness`` wrote to.
    modality
        One or several of those that were tested; ``None``: all.
    key
        The ``key_added`` of :func:`epiattn.tl.faithfulness`.

    Returns
    -------
    The figure.

    Raises
    ------
    ValueError
        If there is no such result or modality.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> mdata = attn.tl.faithfulness(mdata, methods=["attention"], n_obs=40)
    >>> figure = attn.pl.faithfulness(mdata, modality="histone")
    >>> figure.axes[0].get_title()
    'histone'
    """
    import matplotlib.pyplot as plt

    record = result_of(read(mdata), key, "faithfulness")
    known = list(dict.fromkeys(record["verdicts"]["modality"].astype(str)))
    shown = known if modality is None else [modality] if isinstance(modality, str) else list(modality)
    for name in shown:
        check_choice("modality", name, known)
    rows = _rows(record)
    heights = [height for _, height in rows]
    width = DOUBLE if len(shown) > 1 else DOUBLE / 1.8
    with styled():
        figure, axes = plt.subplots(
            len(rows),
            len(shown),
            figsize=(width, sum(heights) + 0.5),
            height_ratios=heights,
            layout="constrained",
            squeeze=False,
        )
        for (draw, _), of_row in zip(rows, axes, strict=True):
            for i, (ax, name) in enumerate(zip(of_row, shown, strict=True)):
                draw(ax, name)
                if i:
                    ax.set_ylabel("")
                    for text in list(ax.texts):
                        if text.get_gid() == _HEADING:
                            text.remove()
                    if draw.func is not _draw_curves:
                        ax.set_yticklabels([])
        for ax, name in zip(axes[0], shown, strict=True):
            ax.set_title(name, fontweight="bold")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 6), columnspacing=1.2)
    return figure


def _rows(record: Mapping[str, Any]) -> list[tuple[partial[None], float]]:
    """What is drawn in each row of panels, and its height in inches."""
    methods = [str(method) for method in record["methods"]]
    colors = dict(zip(methods, PALETTE, strict=False)) | {SIGNAL: "black", RANDOM: GREY}
    unit = "log-odds" if str(record["target"]) == "label" else "expression"
    given = [*methods, SIGNAL]
    bars = 0.55 + 0.17 * len(given)
    curves = record["curves"]
    rows: list[tuple[partial[None], float]] = [
        (partial(_draw_curves, curves, curve, colors, unit), 1.45) for curve in ("deletion", "insertion")
    ]
    rows.append((partial(_draw_gains, record["tests"], given, colors, unit), bars))
    if "sanity" in record or "stability" in record:
        rows.append((partial(_draw_sanity, record, methods, colors), bars + 0.15))
    if "agreement" in record:
        rows.append((partial(_draw_agreement, record["agreement"], given), 0.75 + 0.24 * len(given)))
    if "planted" in record:
        rows.append((partial(_draw_planted, record["planted"], given, colors), bars))
    return rows


def _of(table: pd.DataFrame, **values: str) -> pd.DataFrame:
    """Rows of a table in which columns have these values."""
    which = np.all([(table[column].astype(str) == value).to_numpy() for column, value in values.items()], axis=0)
    return table[which]


def _draw_curves(
    table: pd.DataFrame, curve: str, colors: Mapping[str, str], unit: str, ax: Axes, modality: str
) -> None:
    for method, color in colors.items():
        found = _of(table, modality=modality, method=method, curve=curve)
        if not len(found):
            continue
        style = {RANDOM: DASHED, SIGNAL: DOTTED}.get(method, "-")
        x, mean, error = (100 * found["share"].to_numpy(), found["mean"].to_numpy(), found["error"].to_numpy())
        mean_line(ax, x, mean, 1.96 * error, color=color, linestyle=style, label=NAMES.get(method, method))
    ax.set_xlim(0, 100)
    ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
    ax.set_xlabel("Values taken away (%)" if curve == "deletion" else "Values put back (%)")
    ax.set_ylabel(f"{curve.capitalize()}\n({unit})")


def _head(ax: Axes, text: str) -> None:
    """A heading of a row of panels, which may reach over its neighbours."""
    ax.set_title(" ", loc="left")  # takes the height
    made = ax.annotate(text, (0, 1), xytext=(0, 6), xycoords="axes fraction", textcoords="offset points", gid=_HEADING)
    made.set_in_layout(False)


def _name_rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(np.arange(len(names)), [SHORT.get(name, NAMES.get(name, name)) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)


def _whisker(ax: Axes, y: float, value: float, low: float, high: float, color: str, **options: Any) -> None:
    if np.isfinite(low):
        ax.plot([low, high], [y, y], color=color, linewidth=1)
    ax.plot([value], [y], color=color, markersize=4, linestyle="none", **options)


def _draw_gains(
    table: pd.DataFrame, methods: Sequence[str], colors: Mapping[str, str], unit: str, ax: Axes, modality: str
) -> None:
    against = _of(table, modality=modality, against=RANDOM)
    for y, method in enumerate(methods):
        found = _of(against, method=method)
        passes = len(found) and bool((found["low"] > 0).all())
        for shift, marker, curve in ((-0.17, "o", "deletion"), (0.17, "^", "insertion")):
            for row in _of(found, curve=curve).itertuples():
                face = colors[method] if passes else "white"
                place = (y + shift, row.difference, row.low, row.high, colors[method])
                _whisker(ax, *place, marker=marker, markerfacecolor=face)
    ax.axvline(0, color=GREY, linewidth=0.8, linestyle=DASHED, zorder=0.5)
    _name_rows(ax, methods)
    ax.set_xlabel(f"Difference of areas ({unit})")
    _head(ax, "Above random orders: ○ deletion, △ insertion; filled: passes")


def _draw_sanity(
    record: Mapping[str, Any], methods: Sequence[str], colors: Mapping[str, str], ax: Axes, modality: str
) -> None:
    used = {}
    for y, method in enumerate(methods):
        found = []
        if "stability" in record:
            for row in _of(record["stability"], modality=modality, method=method).itertuples():
                found.append(("seeds", row.correlation, row.low, row.high))
        if "sanity" in record:
            for row in _of(record["sanity"], modality=modality, method=method).itertuples():
                found.append((str(row.check), row.correlation, row.correlation_low, row.correlation_high))
        for check, value, low, high in found:
            name, marker = COMPARED[check]
            shift = 0.22 * (list(COMPARED).index(check) - 1)
            face = colors[method] if check == "seeds" else "white"
            _whisker(ax, y + shift, value, low, high, colors[method], marker=marker, markerfacecolor=face)
            used[name] = marker
    ax.axvline(0, color=GREY, linewidth=0.8, linestyle=DASHED, zorder=0.5)
    ax.set_xlim(min(-0.15, ax.get_xlim()[0]), 1.03)
    _name_rows(ax, methods)
    signs = {"o": "●", "s": "□", "D": "◇"}
    ax.set_xlabel("Rank correlation")
    _head(ax, "Same explanation with " + ", ".join(f"{signs[marker]} {name}" for name, marker in used.items()))


def _draw_agreement(table: pd.DataFrame, methods: Sequence[str], ax: Axes, modality: str) -> None:
    found = _of(table, modality=modality)
    matrix = np.full((len(methods), len(methods)), np.nan)
    np.fill_diagonal(matrix, 1.0)
    for row in found.itertuples():
        i, j = methods.index(str(row.method)), methods.index(str(row.other))
        matrix[i, j] = matrix[j, i] = row.correlation
    there = {str(name) for column in ("method", "other") for name in found[column]}
    for i, method in enumerate(methods):
        if method not in there:
            matrix[i, i] = np.nan
    ax.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for i, j in np.argwhere(np.isfinite(matrix)):
        color = "white" if abs(matrix[i, j]) > 0.6 else "black"
        text = f"{matrix[i, j]:.2f}".replace("-", "\N{MINUS SIGN}")
        ax.text(j, i, text, ha="center", va="center", fontsize=6, color=color)
    ax.spines[:].set_visible(False)
    names = [SHORT.get(name, NAMES.get(name, name)) for name in methods]
    ax.set_xticks(range(len(methods)), names, rotation=30, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(methods)), names)
    ax.tick_params(length=0)
    _head(ax, "Agreement of explanations: rank correlation")


def _draw_planted(
    table: pd.DataFrame, methods: Sequence[str], colors: Mapping[str, str], ax: Axes, modality: str
) -> None:
    found = _of(table, modality=modality)
    for y, method in enumerate(methods):
        for row in _of(found, method=method).itertuples():
            ax.barh(y, row.average_precision, height=0.7, color=colors[method], alpha=0.6, linewidth=0)
            if np.isfinite(row.low):
                ax.plot([row.low, row.high], [y, y], color=colors[method], linewidth=1)
    if len(found):
        ax.axvline(float(found["chance"].iloc[0]), color=GREY, linewidth=0.8, linestyle=DOTTED)
    ax.set_xlim(0, 1)
    _name_rows(ax, methods)
    ax.set_xlabel("Average precision")
    _head(ax, "Planted causes that are found; dotted: chance")

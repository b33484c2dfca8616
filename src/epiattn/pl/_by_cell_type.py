"""Models in each cell type."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._columns import column_of

from ._data import read
from ._results import BASELINE, Scores, function_of, higher_is_better, scores_of, title_of
from ._style import DOUBLE, GREY, LIGHT, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData


def by_cell_type(
    mdata: MuData,
    *,
    metric: str | None = None,
    models: str | Sequence[str] | None = None,
    key: str = "benchmark",
    ax: Axes | None = None,
) -> Axes:
    """A metric of every model in every cell type.

    The metric is computed in each fold on the observations of the cell type, and the mean over the folds is shown
    (with several seeds, of the mean score of the seeds). Rows are cell types, those on which models do best at the
    top; columns are models and baselines, from the best to the worst; darker is better. A dash: not defined, for
    instance as there is one class only.

    Parameters
    ----------
    mdata
        Object that ``tl.benchmark`` wrote to (or ``tl.cross_validate``, with ``key="cv"``).
    metric
        One of the metrics of the table that exist within a cell type; ``None``: the first one, ``"auc"`` for labels
        and ``"pearson"`` for expression.
    models
        Names of models and baselines; ``None``: all that were trained.
    key
        ``key_added`` of the run.
    ax
        Axes to draw on; ``None``: those of a new figure.

    Returns
    -------
    The Axes. Values are written into the cells where these are large enough.

    Raises
    ------
    ValueError
        If there is no run under the key, the metric is unknown, compares cell types or is nowhere defined, a model is
        unknown or was not trained, or there is no column of cell types.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=300, cell_types=2)
    >>> _ = attn.tl.benchmark(mdata, models=["logistic", "prevalence"], n_folds=3)
    >>> ax = attn.pl.by_cell_type(mdata)
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['logistic', 'prevalence']
    """
    mdata = read(mdata)
    found = scores_of(mdata, key)
    metric = str(found.summary(metric)["metric"].iloc[0])
    _check_within(found, metric)
    names = np.array(sorted(set(column_of(mdata, k.CELL_TYPE).dropna().astype(str))), dtype=object)
    codes = _codes(mdata, names)
    summary = found.summary(metric)
    chosen = found.choose(models, None)
    shown = [name for name in summary["model"] if name in chosen]
    shown.sort(key=lambda name: summary["kind"][name] == BASELINE)
    values = np.array([_within(found, metric, model, codes, len(names)) for model in shown]).T
    if not np.isfinite(values).any():
        msg = f"{metric!r} is not defined in any cell type, for instance as each has one class only in every fold."
        raise ValueError(msg)
    there = np.isfinite(values)
    means = np.where(there, values, 0).sum(1) / np.where(there.any(1), there.sum(1), np.nan)
    order = np.argsort(-means if higher_is_better(metric) else means, kind="stable")
    n_baselines = int((summary.loc[shown, "kind"] == BASELINE).sum())
    with styled():
        ax = new_axes(ax, width=min(DOUBLE, 2 + 0.36 * len(shown)), height=1.4 + 0.14 * len(names))
        _draw(ax, values[order], metric)
        ax.set_yticks(range(len(names)), [*names[order]])
        ax.set_xticks(range(len(shown)), shown, rotation=45, ha="left", rotation_mode="anchor")
        _name_kinds(ax, len(shown) - n_baselines, n_baselines)
        ax.set_xlabel(title_of(metric))
    return ax


def _check_within(found: Scores, metric: str) -> None:
    """Refuse metrics that compare cell types."""
    within = [name for name in found.metrics if _takes_arrays(name)]
    if metric not in within:
        msg = f"{metric!r} compares cell types, it has no value within one; those that do are {within}."
        raise ValueError(msg)


def _takes_arrays(metric: str) -> bool:
    """Whether a metric needs truth and scores alone."""
    return not {"gene", "cell_type", "gene_mean"} & set(signature(function_of(metric)).parameters)


def _codes(mdata: MuData, names: np.ndarray) -> np.ndarray:
    """Number of each observation's cell type; -1: missing."""
    import pandas as pd

    return pd.Categorical(column_of(mdata, k.CELL_TYPE).astype(str), categories=list(names)).codes.astype(int)


def _within(found: Scores, metric: str, model: str, codes: np.ndarray, n: int) -> np.ndarray:
    """The metric in each cell type, mean over the folds in which it is defined; NaN: in none."""
    function, truth, score = function_of(metric), found.truth(metric), found.scores[model]
    values = np.full((found.fold.max() + 1, n), np.nan)
    for fold, rows in enumerate(found.rows(metric, model)):
        for code in np.unique(codes[rows][codes[rows] >= 0]):
            own = rows[codes[rows] == code]
            values[fold, code] = function(truth[own], score[own])
    there = np.isfinite(values)
    return np.where(there, values, 0).sum(0) / np.where(there.any(0), there.sum(0), np.nan)


def _draw(ax: Axes, values: np.ndarray, metric: str) -> None:
    """Cells, with their values where there is room."""
    import matplotlib as mpl

    colors = mpl.colormaps["YlGnBu" if higher_is_better(metric) else "YlGnBu_r"].with_extremes(bad=LIGHT)
    image = ax.imshow(np.ma.masked_invalid(values), aspect="auto", cmap=colors, interpolation="nearest")
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0, 0.03, 1)))
    bar.outline.set_visible(False)  # type: ignore[operator]
    box = ax.get_window_extent()
    height, width = (size / ax.figure.dpi / n for size, n in zip((box.height, box.width), values.shape, strict=True))
    if width < 0.22 or height < 0.08:  # inches
        return
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else f"{value:.2f}"
        red, green, blue, _ = image.to_rgba(value)
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        ax.text(column, row, text, ha="center", va="center", fontsize=6, color="w" if dark else "k")


def _name_kinds(ax: Axes, n_models: int, n_baselines: int) -> None:
    """Ticks above, and where there are models and baselines, which are which, below."""
    ax.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    if not (n_models and n_baselines):
        return
    ax.axvline(n_models - 0.5, color="w", linewidth=3)
    ax.xaxis.labelpad = 14
    for start, n, name in ((0, n_models, "model"), (n_models, n_baselines, "baseline")):
        text = name if n == 1 else f"{name}s"
        ax.annotate(
            text,
            (start + (n - 1) / 2, 0),
            (0, -3),
            xycoords=ax.get_xaxis_transform(),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7,
            color=GREY,
            annotation_clip=False,
        )

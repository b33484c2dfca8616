"""Curves of classifiers: means of the curves of the folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._data import read
from ._results import Scores, legend_of_models, scores_of
from ._style import DOTTED, GREY, SINGLE, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData

#: Where curves are averaged; their areas are off by no more than half a step.
GRID = np.linspace(0, 1, 1_001)


def roc(
    mdata: MuData, *, models: str | Sequence[str] | None = None, key: str = "benchmark", ax: Axes | None = None
) -> Axes:
    """ROC curves of out-of-fold scores.

    Scores of different folds are from different models and are never pooled: a curve is the mean, over the folds, of
    the true positive rate at each false positive rate. One model alone is drawn with its folds. The legend has the
    area from the table, with its 95 % interval. With several seeds, curves are those of the mean score of the seeds,
    which is often a bit better than the seeds' mean area in the legend.

    Parameters
    ----------
    mdata
        Object that ``tl.benchmark`` wrote to (or ``tl.cross_validate``, with ``key="cv"``).
    models
        Names of models and baselines, no more than 12; ``None``: the best ones by the first metric, five with the
        best baseline.
    key
        ``key_added`` of the run.
    ax
        Axes to draw on; ``None``: those of a new figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError
        If there is no run under the key, it predicted expression, or a model is unknown or was not trained.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=300, cell_types=1)
    >>> _ = attn.tl.benchmark(mdata, models=["logistic", "prevalence"], n_folds=3)
    >>> ax = attn.pl.roc(mdata, models="logistic")
    """
    return _draw(mdata, "auc", models, key, ax)


def precision_recall(
    mdata: MuData, *, models: str | Sequence[str] | None = None, key: str = "benchmark", ax: Axes | None = None
) -> Axes:
    """Precision-recall curves of out-of-fold scores.

    As in :func:`roc`, a curve is the mean over the folds: of the precision at each recall. Precision is a step
    function (that of the highest threshold that reaches the recall), so that the area is the average precision.
    Chance is the share of ``high``.

    Parameters
    ----------
    mdata, models, key, ax
        As in :func:`roc`.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError
        As in :func:`roc`.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=300, cell_types=1)
    >>> _ = attn.tl.benchmark(mdata, models=["logistic", "prevalence"], n_folds=3)
    >>> ax = attn.pl.precision_recall(mdata)
    """
    return _draw(mdata, "average_precision", models, key, ax)


class _Curve(NamedTuple):
    """A curve of one fold: from labels and scores to points over :data:`GRID`; names of the axes."""

    points: Callable[[np.ndarray, np.ndarray], np.ndarray]
    x: str
    y: str


def roc_points(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    """True positive rate at each false positive rate of :data:`GRID`, linear between thresholds."""
    called, true = _counts(truth, score)
    true_rate = np.append(0, true / true[-1])
    false_rate = np.append(0, (called - true) / (called - true)[-1])
    return np.interp(GRID, false_rate, true_rate)


def precision_points(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Precision at each recall of :data:`GRID`: of the highest threshold that reaches it."""
    called, true = _counts(truth, score)
    wanted = np.maximum(GRID * true[-1], 0.5)  # at recall 0, the threshold of the first true positive
    return (true / called)[np.searchsorted(true, wanted - 1e-9)]


def _counts(truth: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many observations, and how many of class 1, are at or above each threshold, from the highest on."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, [True])  # of observations with the same score
    return (np.flatnonzero(last) + 1).astype(float), np.cumsum(truth[order])[last]


_CURVES = {
    "auc": _Curve(roc_points, "False positive rate", "True positive rate"),
    "average_precision": _Curve(precision_points, "Recall", "Precision"),
}


def _draw(mdata: MuData, metric: str, models: str | Sequence[str] | None, key: str, ax: Axes | None) -> Axes:
    found = scores_of(read(mdata), key)
    if found.target != "label":
        msg = (
            f"The run {key!r} predicted expression, and these are curves of classifiers: draw attn.pl.calibration, or "
            f"run attn.tl.benchmark(mdata, target='label', key_added=…)."
        )
        raise ValueError(msg)
    shown = found.choose(models)
    curves = {model: _folds(found, metric, model) for model in shown}
    if not any(curves.values()):
        msg = f"No fold of the run {key!r} has observations of both classes: there is no curve."
        raise ValueError(msg)
    labels, title = found.labels(metric, shown)
    aspect = 1 if ax is None else ax.get_box_aspect()
    with styled():
        ax = new_axes(ax, height=SINGLE + 0.15 * (len(shown) + 3))
        _draw_chance(ax, found, metric)
        for model, style in found.lines(shown).items():
            if len(shown) == 1:
                for curve in curves[model]:
                    _line(ax, metric, curve, color=style["color"], linewidth=0.6, alpha=0.5, label="_fold")
            if curves[model]:
                _line(ax, metric, np.mean(curves[model], axis=0), **style, label=labels[model])
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), box_aspect=aspect)
        ax.set_xlabel(_CURVES[metric].x)
        ax.set_ylabel(_CURVES[metric].y)
        legend_of_models(ax, title)
    return ax


def _folds(found: Scores, metric: str, model: str) -> list[np.ndarray]:
    """The curves of the folds that have both classes."""
    truth, score = found.truth(metric), found.scores[model]
    points = _CURVES[metric].points
    return [points(truth[rows], score[rows]) for rows in found.rows(metric, model) if _has_both(truth[rows])]


def _has_both(truth: np.ndarray) -> bool:
    return bool(truth.any() and not truth.all())


def _line(ax: Axes, metric: str, curve: np.ndarray, **options: object) -> None:
    start = [0] if metric == "auc" else curve[:1]
    ax.plot(np.append(0, GRID), np.append(start, curve), **options)  # type: ignore[arg-type]


def _draw_chance(ax: Axes, found: Scores, metric: str) -> None:
    if metric == "auc":
        ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=DOTTED, zorder=0.5, label="chance")
        return
    truth = found.truth(metric)
    tested = [truth[(found.fold == fold) & np.isfinite(truth)] for fold in range(found.fold.max() + 1)]
    share = float(np.mean([values.mean() for values in tested if _has_both(values)]))
    ax.plot([0, 1], [share] * 2, color=GREY, linewidth=0.8, linestyle=DOTTED, zorder=0.5, label=f"chance  {share:.3f}")

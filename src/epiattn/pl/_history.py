"""The history of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from epiattn import _keys as k
from epiattn._results import run_of

from ._data import read
from ._style import DOTTED, DOUBLE, GREY, PARTS, grid, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

_NAMES = {"loss": "Loss", "auc": "ROC AUC", "r2": "R²", "reconstruction": "Reconstruction error"}


def history(mdata: MuData, *, key: str = "attn") -> Figure:
    """Loss and metric of every epoch, for training and validation.

    The epoch whose weights were kept is marked. With several models (one per cell type, or an ensemble) there is a thin
    line for each, and a thick one for their mean over the models that were still in training.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` wrote to.
    key
        ``key_added`` of the run.

    Returns
    -------
    The figure: a panel each for the loss of the prediction, the metric (ROC AUC, or R² for expression), and the
    reconstruction error where the model has one.

    Raises
    ------
    ValueError
        If there is no run under the key, or it has no history.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=2)
    >>> fig = attn.pl.history(mdata)
    """
    from matplotlib.ticker import MaxNLocator

    record = run_of(read(mdata), key)
    if "history" not in record:
        msg = f"uns[{key!r}] has no history: only attn.tl.fit writes one (attn.tl.embed does not train)."
        raise ValueError(msg)
    runs = _runs(record)
    found = {name.rpartition("_")[0] for name in runs[0].curves}
    metrics = [name for name in _NAMES if name in found]
    with styled():
        figure, axes = grid(len(metrics), len(metrics), width=DOUBLE / len(metrics), height=2.2)
        for ax, metric in zip(axes, metrics, strict=True):
            for part in (k.TRAIN, k.VALIDATION):
                _draw(ax, [run.curves[f"{metric}_{part}"] for run in runs if f"{metric}_{part}" in run.curves], part)
            if len(runs) == 1 and runs[0].kept is not None:
                kept = runs[0].kept
                ax.axvline(kept, color=GREY, linewidth=0.8, linestyle=DOTTED, zorder=0.5, label=f"kept: epoch {kept}")
            elif len(runs) > 1:
                _mark_kept(ax, runs, f"{metric}_{k.VALIDATION}")
            ax.set_xlim(0.5, max(map(_length, runs)) + 0.5)
            ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
            ax.set_xlabel("Epoch")
            ax.set_ylabel(_NAMES[metric])
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


class _Run(NamedTuple):
    """One training: a value of every epoch by name, and the epoch that was kept."""

    curves: dict[str, np.ndarray]
    kept: int | None


def _runs(record: Mapping[str, Any]) -> list[_Run]:
    """The trainings of a record: one, or one for each cell type and seed."""
    columns = {name: np.asarray(values) for name, values in record["history"].items()}
    if "epoch" not in columns:
        return [_Run(columns, record.get("best_epoch"))]
    curves = {name: values for name, values in columns.items() if name not in ("cell_type", "seed", "epoch", "kept")}
    starts = np.flatnonzero(columns["epoch"] == 1)
    runs = []
    for rows in np.split(np.arange(len(columns["epoch"])), starts[1:]):
        kept = columns["epoch"][rows][columns["kept"][rows].astype(bool)]
        runs.append(_Run({name: values[rows] for name, values in curves.items()}, int(kept[0])))
    return runs


def _length(run: _Run) -> int:
    return max(map(len, run.curves.values()))


def _draw(ax: Axes, curves: list[np.ndarray], part: str) -> None:
    """The curve of one training, or thin curves of several and their mean."""
    if not curves:
        return
    if len(curves) > 1:
        for curve in curves:
            ax.plot(np.arange(1, len(curve) + 1), curve, color=PARTS[part], linewidth=0.5, alpha=0.4)
    longest = max(map(len, curves))
    padded = np.full((len(curves), longest), np.nan)
    for row, curve in zip(padded, curves, strict=True):
        row[: len(curve)] = curve
    marker: dict[str, Any] = {"marker": "o", "markersize": 3} if longest <= 20 else {}
    label = part if len(curves) == 1 else f"{part}, mean"
    ax.plot(np.arange(1, longest + 1), np.nanmean(padded, axis=0), color=PARTS[part], label=label, **marker)


def _mark_kept(ax: Axes, runs: list[_Run], name: str) -> None:
    """A point on every curve where it was kept."""
    points = [(run.kept, run.curves[name][run.kept - 1]) for run in runs if run.kept is not None and name in run.curves]
    ax.plot(*zip(*points, strict=True), "o", color=PARTS[k.VALIDATION], markersize=3, label="kept epochs")

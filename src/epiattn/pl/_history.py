"""The history of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k

from ._data import read, record_of
from ._style import DOTTED, DOUBLE, GREY, PARTS, STYLE, grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from mudata import MuData

_NAMES = {"loss": "Loss", "auc": "ROC AUC", "r2": "R²"}


def history(mdata: MuData, *, key: str = "attn") -> Figure:
    """Loss and metric of every epoch, for training and validation.

    The epoch whose weights were kept is marked.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` wrote to.
    key
        ``key_added`` of the run.

    Returns
    -------
    The figure: a panel for the loss and one for the metric (ROC AUC, or R² for expression).

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
    import matplotlib.pyplot as plt

    record = record_of(read(mdata), key)
    if "history" not in record:
        msg = f"uns[{key!r}] has no history: only attn.tl.fit writes one (attn.tl.embed does not train)."
        raise ValueError(msg)
    curves = record["history"]
    metrics = sorted({name.rpartition("_")[0] for name in curves}, key=lambda name: (name != "loss", name))
    with plt.rc_context(STYLE):
        figure, axes = grid(len(metrics), len(metrics), width=DOUBLE / 2, height=2.2)
        for ax, metric in zip(axes, metrics, strict=True):
            _draw(ax, curves, metric, best=record.get("best_epoch"))
            ax.set_xlabel("Epoch")
            ax.set_ylabel(_NAMES.get(metric, metric))
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _draw(ax: Axes, curves: Mapping[str, Any], metric: str, *, best: int | None) -> None:
    """Curves of one run and one metric."""
    from matplotlib.ticker import MaxNLocator

    n = 0
    for part in (k.TRAIN, k.VALIDATION):
        if f"{metric}_{part}" not in curves:
            continue
        values = np.asarray(curves[f"{metric}_{part}"], dtype=float)
        n = max(n, len(values))
        marker: dict[str, Any] = {"marker": "o", "markersize": 3} if len(values) <= 20 else {}
        ax.plot(np.arange(1, len(values) + 1), values, color=PARTS[part], label=part, **marker)
    if best is not None:
        ax.axvline(best, color=GREY, linewidth=0.8, linestyle=DOTTED, zorder=0.5, label=f"kept: epoch {best}")
    ax.set_xlim(0.5, n + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))

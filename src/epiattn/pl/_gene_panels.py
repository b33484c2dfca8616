"""The panels of one gene: each function returns a panel's name and height in inches, and what draws it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._modalities import expression_of, kind
from epiattn._results import run_of

from ._data import dense
from ._marks import draw_map, shares_of_highest
from ._quantities import ALL_MARKS, ATTENTION, ATTRIBUTION, histone_of, layers_of, unit_of, values_of
from ._style import (
    GREY,
    LABELS,
    LIGHT,
    PALETTE,
    bin_axis,
    bin_edges,
    color_bar,
    color_limits,
    color_map,
    distance_axis,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData

Drawing = Callable[[list["Axes"]], None]
Drawn = tuple[str, float, Drawing, bool]
_ROW = 0.17  # inches


def outcome_panel(mdata: MuData, rows: np.ndarray, key: str) -> Drawn:
    """Prediction and expression as bars, with their values."""
    of_labels = run_of(mdata, key).get("target") != "expression"
    score, low, high = _prediction(mdata, rows, key)
    classes: list[np.ndarray] = [np.where(score > 0.5, k.HIGH, k.LOW) if of_labels else np.full(len(rows), "")]
    names, values = ["P(high)" if of_labels else "Predicted"], [score]
    if k.RNA in mdata.mod and np.isfinite(observed := expression_of(mdata)[rows]).any():
        names.append("Expression")
        values.append(observed)
        classes.append(_labels(mdata, rows))
    elif of_labels and k.LABEL in mdata.obs:
        names.append("Observed")
        values.append(np.where(_labels(mdata, rows) == k.HIGH, 1.0, 0.0))
        classes.append(_labels(mdata, rows))
    ends = [1.0 if of_labels else np.nanmax([score, *values[1:]]), np.nanmax(values[-1])]
    scales = [max(end, np.finfo(float).tiny) for end in ends[: len(values)]]

    def draw(axes: list[Axes]) -> None:
        for column, ax in enumerate(axes):
            for y, (each, scale, name) in enumerate(zip(values, scales, classes, strict=True)):
                value = each[column]
                if not np.isfinite(value):
                    ax.text(0, y, "not measured", va="center", fontsize=6, color=GREY)
                    continue
                color = LABELS.get(str(name[column]), GREY)
                ax.barh(y, value / scale, height=0.7, color=color)
                end = max(value, high[column] if y == 0 else value) / scale
                ax.text(max(end, 0) + 0.03, y, f"{value:.2f}", va="center", fontsize=6)
            if high[column] > low[column]:
                ax.hlines(0, low[column] / scales[0], high[column] / scales[0], color="k", linewidth=0.8)
            ax.set(xlim=(min(0, *(np.nanmin(v) / s for v, s in zip(values, scales, strict=True))), 1.25), xticks=[])
            ax.spines["bottom"].set_visible(False)
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        for ax in axes:
            ax.tick_params(axis="y", length=0)

    return "", _ROW * len(names) + 0.05, draw, False


def _prediction(mdata: MuData, rows: np.ndarray, key: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The score, and where its interval (or a standard deviation of the ensemble) starts and ends."""
    score = mdata.obs[k.score(key)].to_numpy(dtype=float)[rows]
    if k.score_low(key) in mdata.obs:
        return score, *(mdata.obs[name].to_numpy(dtype=float)[rows] for name in (k.score_low(key), k.score_high(key)))
    sd = mdata.obs[k.score_sd(key)].to_numpy(dtype=float)[rows] if k.score_sd(key) in mdata.obs else 0.0
    return score, score - sd, score + sd


def _labels(mdata: MuData, rows: np.ndarray) -> np.ndarray:
    if k.LABEL not in mdata.obs:
        return np.full(len(rows), "")
    return mdata.obs[k.LABEL].astype(str).to_numpy()[rows]


def signal_panel(mdata: MuData, rows: np.ndarray, modality: str, marks: str | Sequence[str] | None) -> Drawn:
    """A track for each mark."""
    adata = histone_of(mdata, modality, "gene")
    layers = layers_of(mdata, modality, marks)
    values = _of_rows(adata, layers, rows)
    highest = [np.nanmax([each[i] for each in values.values()], initial=0) for i in range(len(layers))]
    shares = shares_of_highest(values)

    def draw(axes: list[Axes]) -> None:
        edges = np.linspace(*bin_edges(adata), adata.n_vars + 1)
        for ax, each in zip(axes, shares.values(), strict=True):
            ax.set_xlabel(bin_axis(ax, adata)[1])
            for i, track in enumerate(each):
                ax.axhline(i + 0.45, color=LIGHT, linewidth=0.5)
                if np.isfinite(track).any():
                    ax.stairs(i + 0.45 - 0.85 * track, edges, baseline=i + 0.45, fill=True, color=GREY)
                else:
                    ax.text(0.02, i, "not measured", transform=ax.get_yaxis_transform(), va="center", fontsize=6)
        names = [f"{name} ({end:.3g})" for name, end in zip(layers, highest, strict=True)]
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        for ax in axes:
            ax.tick_params(axis="y", length=0)

    return "Signal", 0.2 * len(layers), draw, True


def map_panel(
    mdata: MuData, rows: np.ndarray, modality: str, marks: str | Sequence[str] | None, *, of: str, key: str
) -> Drawn:
    """Attribution or attention of marks and bins."""
    adata = histone_of(mdata, modality, "gene")
    apart = ALL_MARKS not in layers_of(mdata, modality, of=of, key=key)
    layers = layers_of(mdata, modality, marks if apart else None, of=of, key=key)
    values = _of_rows(adata, layers, rows)
    signed = of == ATTRIBUTION
    limits = color_limits(values.values(), signed=signed)

    def draw(axes: list[Axes]) -> None:
        for ax, each in zip(axes, values.values(), strict=True):
            image = draw_map(ax, adata, each, list(layers), signed=signed, **limits)
            ax.set_xlabel(bin_axis(ax, adata)[1])
        color_bar(image, axes, unit_of(mdata, of, key).split(" (")[-1].rstrip(")") if signed else "share", inches=0.8)

    return of.capitalize(), max(_ROW * len(layers), 0.62), draw, True


def _of_rows(adata: AnnData, layers: dict[str, str], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Marks x bins of each observation."""
    stacked = np.stack([values_of(adata, mark, layer, rows) for mark, layer in layers.items()], axis=1)
    return {str(row): each for row, each in zip(rows, stacked, strict=True)}


def cpg_panel(mdata: MuData, rows: np.ndarray, modality: str, *, attributed: bool, key: str) -> Drawn:
    """CpGs at their place, as high as they are methylated."""
    adata = mdata[k.METHYLATION]
    window = float(adata.uns.get("window", 1))
    n_cpg = adata.obs[k.N_CPG].to_numpy(dtype=int)[rows]
    layers = [adata.layers[name][rows] for name in (k.POSITION, k.BETA)]
    position, beta = (dense(values) for values in layers)
    added = dense(adata.layers[k.attribution(key)][rows]) if attributed else np.zeros_like(beta)
    valid = [np.arange(adata.n_vars) < n for n in n_cpg]
    limits = color_limits([each[here] for each, here in zip(added, valid, strict=True)], signed=True)

    def draw(axes: list[Axes]) -> None:
        edges = np.array([-window, window])
        if modality in mdata.mod and kind(modality) == k.HISTONE and "window" in adata.uns:
            edges = np.array(bin_edges(mdata[modality]))
        for i, ax in enumerate(axes):
            ax.set_xlabel(distance_axis(ax, edges))
            x, y = position[i, valid[i]] * window, beta[i, valid[i]]
            ax.vlines(x, 0, y, color=GREY, linewidth=0.6)
            colors: dict[str, Any] = {"c": added[i, valid[i]], "cmap": color_map(signed=True), **limits}
            heads = ax.scatter(
                x,
                y,
                s=13,
                edgecolors="k",
                linewidths=0.4,
                zorder=2,
                clip_on=False,
                **(colors if attributed else {"color": GREY}),
            )
            if not n_cpg[i]:
                ax.text(
                    0.5,
                    0.5,
                    "no CpG measured",
                    transform=ax.transAxes,
                    ha="center",
                    va="center",
                    fontsize=6,
                    color=GREY,
                )
        axes[0].set_ylim(0, 1.05)
        axes[0].set_yticks([0, 0.5, 1])
        if attributed:
            color_bar(heads, axes, unit_of(mdata, ATTRIBUTION, key).split(" (")[-1].rstrip(")"), inches=0.6)

    return "Methylation", 0.65, draw, True


def tf_panel(mdata: MuData, rows: np.ndarray, n_tfs: int, *, attributed: bool, key: str) -> Drawn:
    """Bound TFs that add the most, or that get the most attention."""
    adata = mdata[k.TF]
    values = dense(adata.layers[k.attribution(key) if attributed else k.attention(key)][rows])
    n_bound = (dense(adata.layers[k.attention(key)][rows]) != 0).sum(1)
    size = np.abs(values).max(0)
    top = np.argsort(-size, kind="stable")[:n_tfs]
    top = top[size[top] > 0]

    def draw(axes: list[Axes]) -> None:
        shown = values[:, top]
        lowest, highest = (1.08 * float(end) for end in (shown.min(initial=0), shown.max(initial=1e-6)))
        for i, ax in enumerate(axes):
            each = values[i, top]
            colors = [LABELS[k.HIGH if value > 0 else k.LOW] if attributed else PALETTE[0] for value in each]
            ax.barh(range(len(top)), each, height=0.7, color=colors)
            ax.axvline(0, color=GREY, linewidth=0.7)
            ax.set_xlim(lowest, highest)
            ax.locator_params(axis="x", nbins=3)
            ax.set_xlabel(unit_of(mdata, ATTRIBUTION if attributed else ATTENTION, key).capitalize())
            ax.set_title(f"{n_bound[i]} bound", loc="right", fontsize=6, color=GREY, pad=1)
            ax.tick_params(axis="y", length=0)
        axes[0].set_yticks(range(len(top)), adata.var_names[top])
        axes[0].set_ylim(len(top) - 0.4, -0.6)

    return "TFs", 0.14 * max(len(top), 2) + 0.1, draw, False

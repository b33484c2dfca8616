"""How plots look: fonts, colours, axes and legends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from mudata import MuData

# Column widths of journals, in inches
SINGLE, DOUBLE = 85 / 25.4, 180 / 25.4

#: For ``matplotlib.rc_context``.
STYLE: dict[Any, Any] = {
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8,
    "axes.titleweight": "normal",
    "figure.labelsize": 8,
    "font.size": 8,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.2,
    "legend.handletextpad": 0.5,
    "lines.linewidth": 1.2,
    "xtick.labelsize": 7,
    "xtick.major.size": 3,
    "xtick.major.width": 0.7,
    "ytick.labelsize": 7,
    "ytick.major.size": 3,
    "ytick.major.width": 0.7,
}

# Colour-blind safe: Okabe and Ito (2008) without yellow and black, then Tol's muted scheme.
PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
    "#332288", "#882255", "#44AA99", "#999933", "#AA4499", "#117733",
)  # fmt: skip
LABELS = {k.LOW: "#0072B2", k.HIGH: "#D55E00"}
PARTS = {k.TRAIN: "#999999", k.VALIDATION: "#0072B2"}
GREY, LIGHT = "#767676", "#D9D9D9"
DASHED, DOTTED = (0, (4, 3)), (0, (1, 1.5))
# Maps of values: of either sign around a pale 0 (blue lowers, orange raises, as the labels), and from 0 up.
_SIGNED = ("#003A5C", "#0072B2", "#7FB8DA", "#F7F7F7", "#F0AE7F", "#D55E00", "#6B2F00")
_UPWARD = ("#F7F7F7", "#C9B6DB", "#8A6BB5", "#4B2991", "#1F0A4A")


def colors_of(mdata: MuData, column: str | None, names: Sequence[str]) -> dict[str, Any]:
    """A colour for each category of a column: those in ``uns`` (as scanpy stores them), or the package's own."""
    if column is None:
        return dict.fromkeys(names, PALETTE[0])
    categories = getattr(mdata.obs[column], "cat", None)
    stored = mdata.uns.get(f"{column}_colors", ())
    if categories is not None and len(stored) == len(categories.categories):
        return dict(zip(map(str, categories.categories), map(str, stored), strict=True))
    if set(names) <= set(LABELS):
        return LABELS
    if len(names) <= len(PALETTE):
        return dict(zip(names, PALETTE, strict=False))
    from scanpy.plotting import palettes

    sets = (palettes.default_20, palettes.default_102)
    many = next((colors for colors in sets if len(colors) >= len(names)), sets[-1])
    return dict(zip(names, cycle(many), strict=False))


def color_map(*, signed: bool) -> Colormap:
    """The map of values of either sign, or of values from 0 up; grey where there is none."""
    from matplotlib.colors import LinearSegmentedColormap

    colors = LinearSegmentedColormap.from_list("epiattn", _SIGNED if signed else _UPWARD)
    return colors.with_extremes(bad=LIGHT)


def color_limits(values: Iterable[np.ndarray], *, signed: bool, vmax: float | None = None) -> dict[str, float]:
    """From 0, or from the other sign, to the largest value (at least a little above 0)."""
    largest = max((float(np.nanmax(np.abs(each))) for each in values if np.isfinite(each).any()), default=0.0)
    last = max(largest if vmax is None else vmax, 1e-30)
    return {"vmin": -last if signed else 0.0, "vmax": last}


def styled() -> AbstractContextManager:
    """Draw in the package's style; the user's stays as it is."""
    import matplotlib.pyplot as plt

    # Chooses the backend. Notebooks' switches interactive mode on then, which leaving the context would undo, and
    # later figures would not be shown.
    plt.draw_if_interactive()
    return plt.rc_context(STYLE)


def new_axes(ax: Axes | None, width: float = SINGLE, height: float = 2.4) -> Axes:
    """The given Axes in the package's style, or those of a new figure (in inches)."""
    import matplotlib.pyplot as plt

    if ax is None:
        from ._figure import Figure

        return plt.subplots(figsize=(width, height), layout="constrained", FigureClass=Figure)[1]
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=STYLE["xtick.labelsize"])
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(STYLE["axes.labelsize"])
    return ax


def grid(
    n: int, n_columns: int, *, width: float, height: float, top: float = 0, layout: str = "constrained", **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of ``n`` panels in rows; width and height are those of a panel, ``top`` is for a legend; in inches."""
    import matplotlib.pyplot as plt

    from ._figure import Figure

    n_columns = max(1, min(n, n_columns))
    n_rows = -(-n // n_columns)
    size = (n_columns * width, n_rows * height + top)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=size, layout=layout, squeeze=False, FigureClass=Figure, **options
    )
    for ax in axes.flat[n:]:
        ax.remove()
    return figure, list(axes.flat[:n])


def mean_line(ax: Axes, x: np.ndarray, mean: np.ndarray, error: np.ndarray | None, **options: Any) -> None:
    """A line, with its band if there is an error."""
    if error is not None:
        ax.fill_between(x, mean - error, mean + error, color=options["color"], alpha=0.25, linewidth=0)
    ax.plot(x, mean, **options)


def distance_axis(ax: Axes, edges: np.ndarray) -> str:
    """A horizontal axis in bp from the TSS, marked at the TSS, ticks in kb in a large window; returns its label."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    unit, size = ("kb", 1_000) if np.abs(edges).max() >= 1_000 else ("bp", 1)
    ax.set_xlim(edges.min(), edges.max())
    ax.axvline(0, color=GREY, linewidth=0.7, linestyle=DASHED, zorder=0.5)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / size:g}".replace("-", "\N{MINUS SIGN}")))
    return f"Distance to TSS ({unit})"


def bin_edges(adata: AnnData) -> tuple[float, float]:
    """Where the first bin starts and the last one ends: in bp from the TSS, or by their number."""
    if not {k.START, k.END} <= set(adata.var):
        return 0.5, adata.n_vars + 0.5
    return float(adata.var[k.START].iloc[0]), float(adata.var[k.END].iloc[-1])


def color_bar(mappable: ScalarMappable, axes: Sequence[Axes], label: str, *, inches: float = 1.2) -> None:
    """A thin colour bar on the right of some Axes."""
    figure = axes[0].figure
    extents = [ax.get_window_extent() for ax in axes]
    height = (max(each.y1 for each in extents) - min(each.y0 for each in extents)) / figure.dpi
    shrink = min(1.0, inches / height)
    bar = figure.colorbar(mappable, ax=list(axes), shrink=shrink, aspect=inches / 0.08, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(length=2)
    bar.set_label(label)


def bin_axis(ax: Axes, adata: AnnData) -> tuple[np.ndarray, str]:
    """A horizontal axis for the bins of a modality: where their centres lie, shape ``(n_bins,)``, and its label."""
    if not {k.START, k.END} <= set(adata.var):
        ax.set_xlim(0.5, adata.n_vars + 0.5)
        return np.arange(1, adata.n_vars + 1, dtype=float), "Bin"
    start, end = (adata.var[name].to_numpy(dtype=float) for name in (k.START, k.END))
    return (start + end) / 2, distance_axis(ax, np.concatenate([start, end]))


def counted(groups: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Names of groups with their numbers of observations, for a legend."""
    return {name: f"{name} (n = {len(rows):,})" for name, rows in groups.items()}


def legend_columns(labels: Iterable[str], width: float) -> int:
    """How many labels fit side by side into a width in inches."""
    longest = max(len(label) for label in labels)
    return max(1, int(width * 72 / (3.6 * longest + 20)))


def legend_height(labels: Collection[str], width: float) -> float:
    """Height in inches of a legend of a given width."""
    return 0.15 * -(-len(labels) // legend_columns(labels, width))


def legend_above(ax: Axes) -> None:
    """A legend above the data, in as many rows as its labels need."""
    labels = ax.get_legend_handles_labels()[1]
    width = ax.get_window_extent().width / ax.figure.dpi
    columns = min(len(labels), legend_columns(labels, width))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, ncols=columns, columnspacing=1.2)

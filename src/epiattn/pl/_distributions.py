"""Distributions side by side: a row for each thing, and in it a box for each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import DASHED, GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def height_of(n_rows: int, n_groups: int) -> float:
    """Height in inches of the rows."""
    return n_rows * (0.16 * n_groups + 0.1)


def draw_boxes(
    ax: Axes, values: Sequence[Mapping[str, np.ndarray]], labels: Sequence[str], colors: Mapping[str, Any]
) -> None:
    """Draw the middle half as a box, 5 % to 95 % as a line, the median as a bar and the mean as a point.

    Parameters
    ----------
    ax
        Axes to draw on.
    values
        By row, by group: values of observations; NaN is left out.
    labels
        Of the rows.
    colors
        By group; groups without a value in a row leave their place empty.
    """
    groups = list(colors)
    height = 0.8 / len(groups)
    for i, of_row in enumerate(values):
        for j, group in enumerate(groups):
            known = of_row[group][np.isfinite(of_row[group])]
            if not len(known):
                continue
            y = i + (j - (len(groups) - 1) / 2) * height
            lowest, low, middle, high, highest = np.quantile(known, _QUANTILES)
            ax.plot([lowest, highest], [y, y], color=colors[group], linewidth=0.9, solid_capstyle="butt", zorder=2)
            ax.barh(y, high - low, left=low, height=0.72 * height, color=colors[group], alpha=0.55, zorder=3)
            ends = [y - 0.36 * height, y + 0.36 * height]
            ax.plot([middle, middle], ends, color=colors[group], linewidth=1.6, solid_capstyle="butt", zorder=4)
            options = {"markerfacecolor": "white", "markeredgecolor": colors[group], "markeredgewidth": 0.9}
            ax.plot(known.mean(), y, "o", markersize=3.2, zorder=5, **options)
    ax.axvline(0, color=GREY, linewidth=0.7, linestyle=DASHED, zorder=0.5)
    ax.set_yticks(range(len(labels)), list(labels))
    ax.set_ylim(len(labels) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)


def name_groups(ax: Axes, colors: Mapping[str, Any]) -> None:
    """Entries of the legend, as boxes."""
    for name, color in colors.items():
        ax.bar(np.nan, np.nan, color=color, alpha=0.55, label=name)

"""Names beside points, where they cover neither each other nor other points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._style import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE, _RADIUS = 6, 1.5  # of the font, and of other points; in points
_FAR = 7  # from here on a line leads from the name to its point


class _Place(NamedTuple):
    """Where a name may be: how far from its point, in points, and which of its ends or its middle is there."""

    dx: float
    dy: float
    align: str


_DIRECTIONS = (
    (4, 0, "left"),
    (-4, 0, "right"),
    (3, 5, "left"),
    (-3, 5, "right"),
    (3, -5, "left"),
    (-3, -5, "right"),
    (0, 6, "center"),
    (0, -6, "center"),
)
_PLACES = [_Place(dx * far, dy * far, align) for far in (1, 2, 3.2, 4.5) for dx, dy, align in _DIRECTIONS]
_START = {"left": 0.0, "center": -0.5, "right": -1.0}  # of a name, in its widths


def name_points(ax: Axes, x: np.ndarray, y: np.ndarray, names: Sequence[str], *, others: np.ndarray) -> None:
    """Name points, the most important first; a name that finds no place is left out.

    Limits and size of the Axes must be final, as far as they can be before a layout.

    Parameters
    ----------
    ax
        The Axes.
    x, y
        The points, in data coordinates.
    names
        Their names.
    others
        Points that names should not cover, shape ``(n, 2)``; they do where there is no other place.
    """
    from matplotlib.patheffects import withStroke

    ax.autoscale_view()
    scale = 72 / ax.figure.dpi
    points = ax.transData.transform(np.column_stack([x, y])) * scale
    obstacles = ax.transData.transform(others) * scale
    inside = np.array(ax.get_window_extent().extents) * scale
    style: dict[str, Any] = {
        "fontsize": _SIZE,
        "va": "center",
        "path_effects": [withStroke(linewidth=1.8, foreground="w")],
    }
    line = {"arrowstyle": "-", "linewidth": 0.4, "color": GREY, "shrinkA": 0, "shrinkB": 1.5}
    taken: list[np.ndarray] = []
    for point, name, xy in zip(points, names, zip(x, y, strict=True), strict=True):
        boxes = {place: _box(point, place, name) for place in _PLACES}
        free = [place for place, box in boxes.items() if _is_free(box, inside, taken)]
        if not free:
            continue
        best = min(free, key=lambda place: _cost(point, place, boxes[place], obstacles, taken))
        taken.append(boxes[best])
        arrow = None
        if np.hypot(best.dx, best.dy) > _FAR:
            arrow = line
            obstacles = np.vstack([obstacles, _line(point, best)])
        ax.annotate(name, xy, best[:2], textcoords="offset points", ha=best.align, arrowprops=arrow, **style)


def _box(point: np.ndarray, place: _Place, name: str) -> np.ndarray:
    """Left, lower, right and upper end of a name, in points."""
    width, height = 0.58 * _SIZE * len(name), 1.15 * _SIZE
    left, bottom = point + (place.dx + _START[place.align] * width, place.dy - height / 2)
    return np.array([left, bottom, left + width, bottom + height])


def _is_free(box: np.ndarray, inside: np.ndarray, taken: list[np.ndarray]) -> bool:
    if (box[:2] < inside[:2]).any() or (box[2:] > inside[2:]).any():
        return False
    return not any((box[:2] < other[2:]).all() and (other[:2] < box[2:]).all() for other in taken)


def _line(point: np.ndarray, place: _Place) -> np.ndarray:
    """Points between a point and its name."""
    return point + np.linspace(0, 1, 12)[:, None] * (place.dx, place.dy)


def _cost(point: np.ndarray, place: _Place, box: np.ndarray, obstacles: np.ndarray, taken: list[np.ndarray]) -> float:
    """Points that the name covers, names that its line crosses, and how far away it is."""
    covered = ((obstacles > box[:2] - _RADIUS) & (obstacles < box[2:] + _RADIUS)).all(1).sum()
    on_line = _line(point, place)
    crossed = sum(bool(((on_line > other[:2]) & (on_line < other[2:])).all(1).any()) for other in taken)
    return float(covered) + 2 * crossed + 0.01 * float(np.hypot(place.dx, place.dy))

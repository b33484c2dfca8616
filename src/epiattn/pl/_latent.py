"""The latent space in two dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k
from epiattn._columns import levels_of
from epiattn._results import run_of

from ._colorings import Coloring, coloring_of, limits, title_of
from ._data import read
from ._style import DOUBLE, GREY, LIGHT, color_map, colors_of, grid, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure
    from mudata import MuData

_MAX_CATEGORIES = 40  # of a legend


def latent(
    mdata: MuData,
    *,
    color: str | Sequence[str] | None = None,
    key: str = "attn",
    basis: str | None = None,
    ncols: int | None = None,
    vmax: float | str | None = None,
    size: float | None = None,
    seed: int = 0,
) -> Figure:
    """Observations on the UMAP of the latent space, one panel per colouring.

    Compute the UMAP with ``tl.cluster`` or with scanpy first (see the example). Points are drawn in random order, so
    that no class hides another, and those without a value below all others, in grey.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to.
    color
        Columns of ``obs``; ``None``: cell type, label, score and the clusters of ``tl.cluster``, or ``leiden``, if they
        are there (those that vary). Where there is no such column: ``"H3K4me3"``, the mean signal of a mark;
        ``"methylation"``, the mean of the CpGs; ``"tf"``, how many TFs are bound; the name of a TF, where it is bound;
        ``"expression"``; ``"attribution:H3K4me3"`` (or of methylation, all TFs or one TF), after ``tl.attribute``;
        ``"attention:H3K4me3"``, the share of a mark or TF; ``"attention:histone"``, the weight of a modality.
    key
        ``key_added`` of the run.
    basis
        Coordinates to draw, in ``obsm``; the first two columns are used. ``None``: scanpy's ``"X_umap"``, or, where
        there is none, that of ``tl.cluster``.
    ncols
        Panels in a row; ``None``: three, or two for four panels.
    vmax
        Value of the last colour, or its percentile, such as ``"p95"``, as in scanpy; of attribution, with either sign.
        ``None``: the largest of a column of ``obs`` (1 for scores of a classifier), the 99th percentile of others.
    size
        Area of a point in square points; ``None``: from the number of observations.
    seed
        Seed of the order in which points are drawn.

    Returns
    -------
    The figure: a panel per colour. Clusters (categories that are numbers; up to 40) are named on the panel, other
    categories beside it; the score of a classifier is shown from 0 to 1.

    Raises
    ------
    ValueError
        If there is no run under the key, the coordinates or a colour do not exist, a column has more than 40
        categories, or ``vmax`` is neither a number nor a percentile.

    Examples
    --------
    >>> import epiattn as attn
    >>> import scanpy as sc
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=2)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> sc.pp.neighbors(mdata, use_rep="X_attn")
    >>> sc.tl.umap(mdata)
    >>> fig = attn.pl.latent(mdata, color=["cell_type", "H3K4me3", "attention:methylation"])
    """
    mdata = read(mdata)
    record = run_of(mdata, key)
    basis = _basis(mdata, key) if basis is None else basis
    points = _points(mdata, key, basis)
    columns = _columns(mdata, key, color)
    colorings = [_coloring(mdata, column, key, str(record.get("target"))) for column in columns]
    ends = [None if coloring is None else limits(coloring, vmax) for coloring in colorings]
    ncols = ncols or (2 if len(columns) == 4 else 3)
    size = size or float(np.clip(160 / np.sqrt(mdata.n_obs), 0.3, 12))
    order = np.random.default_rng(seed).permutation(mdata.n_obs)
    width = DOUBLE / 3 if min(ncols, len(columns)) > 2 else 0.4 * DOUBLE
    with styled():
        figure, axes = grid(len(columns), ncols, width=width, height=2.15, layout="compressed")
        for ax, column, coloring, end in zip(axes, columns, colorings, ends, strict=True):
            ax.set_title(title_of(column) if column not in mdata.obs else column)
            if coloring is None or end is None:
                _draw_categories(ax, points, mdata, column, order, size)
            else:
                _draw_values(ax, points, coloring, order, size, end)
            _bare(ax)
        name = "UMAP" if basis.endswith("_umap") else basis.removeprefix("X_")
        axes[0].set_xlabel(f"{name} 1", loc="left")
        axes[0].set_ylabel(f"{name} 2", loc="bottom")
    return figure


def _basis(mdata: MuData, key: str) -> str:
    """The UMAP that scanpy wrote, or that of ``tl.cluster``."""
    of_cluster = k.umap(k.cluster(key))
    return of_cluster if of_cluster in mdata.obsm and "X_umap" not in mdata.obsm else "X_umap"


def _points(mdata: MuData, key: str, basis: str) -> np.ndarray:
    if basis in mdata.obsm:
        points = np.asarray(mdata.obsm[basis], dtype=float)
        if points.ndim == 2 and points.shape[1] >= 2:
            return points[:, :2]
        msg = f"obsm[{basis!r}] has the shape {points.shape}, but two columns are needed."
        raise ValueError(msg)
    held = [name for name in mdata.obsm if name not in mdata.mod]
    msg = f"obsm[{basis!r}] is missing; obsm holds {held}."
    if basis == "X_umap":
        msg += f" Run attn.tl.cluster(mdata), or sc.pp.neighbors(mdata, use_rep={k.latent(key)!r}); sc.tl.umap(mdata)."
    raise ValueError(msg)


def _columns(mdata: MuData, key: str, color: str | Sequence[str] | None) -> list[str]:
    if color is not None:
        columns = [color] if isinstance(color, str) else list(color)
    else:
        clusters = k.cluster(key) if k.cluster(key) in mdata.obs else "leiden"
        usual = (k.CELL_TYPE, k.LABEL, k.score(key), clusters)
        columns = [name for name in usual if name in mdata.obs and mdata.obs[name].nunique() > 1]
    if not columns:
        msg = f"No column to colour by: name some with color=; the columns of obs are {list(mdata.obs.columns)}."
        raise ValueError(msg)
    return columns


def _is_numeric(mdata: MuData, column: str) -> bool:
    import pandas as pd

    values = mdata.obs[column]
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _coloring(mdata: MuData, column: str, key: str, target: str) -> Coloring | None:
    """Values to colour by; ``None`` for categories."""
    if column not in mdata.obs:
        return coloring_of(mdata, column, key)
    if not _is_numeric(mdata, column):
        return None
    values = mdata.obs[column].to_numpy(dtype=float, na_value=np.nan)
    if column != k.score(key):
        return Coloring(values, "")
    of_labels = target == "label"
    label = {"label": "Probability of high", "expression": "Predicted expression"}.get(target, "")
    return Coloring(values, label, ends=(0, 1) if of_labels else None)


def _draw_values(
    ax: Axes, points: np.ndarray, coloring: Coloring, order: np.ndarray, size: float, ends: tuple[float, float]
) -> None:
    values = coloring.values
    known = _draw_missing(ax, points, np.isnan(values), order, size)
    options: dict[str, Any] = dict(zip(("vmin", "vmax"), ends, strict=True))
    if coloring.signed:
        options |= {"cmap": color_map(signed=True), "linewidths": 0.15, "edgecolors": GREY}  # 0 is almost white
    mappable = _scatter(ax, points[known], values[known], size, **options)
    beyond = np.nanmax(np.abs(values) if coloring.signed else values, initial=-np.inf) > options["vmax"]
    extend = "both" if beyond and coloring.signed else "max" if beyond else "neither"
    bar = ax.figure.colorbar(mappable, cax=ax.inset_axes((1.04, 0.2, 0.035, 0.6)), extend=extend)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.ax.tick_params(length=2)
    bar.set_label(coloring.label)


def _draw_categories(ax: Axes, points: np.ndarray, mdata: MuData, column: str, order: np.ndarray, size: float) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.lines import Line2D

    names, codes = levels_of(mdata, column)
    used = [i for i in range(len(names)) if (codes == i).any()]
    clusters = all(name.isdigit() for name in names)
    if len(used) > _MAX_CATEGORIES and not clusters:
        msg = f"obs[{column!r}] has {len(used):,} categories; a legend holds no more than {_MAX_CATEGORIES}."
        raise ValueError(msg)
    colors = colors_of(mdata, column, names)
    known = _draw_missing(ax, points, codes < 0, order, size)
    _scatter(ax, points[known], np.array([to_rgb(colors[name]) for name in names])[codes[known]], size)
    if clusters and len(used) > _MAX_CATEGORIES:  # names would cover the points
        ax.set_title(f"{column} ({len(used)} clusters)")
        return
    if clusters:
        _name_clusters(ax, points, codes, {i: names[i] for i in used})
        return
    entries = [(names[i], colors[names[i]]) for i in used] + [("missing", LIGHT)] * bool((codes < 0).any())
    handles = [Line2D([], [], marker="o", linestyle="", markersize=4, color=c, label=name) for name, c in entries]
    ax.legend(
        handles=handles,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        ncols=1 + (len(handles) - 1) // 12,
        handletextpad=0,
        borderaxespad=0.2,
        columnspacing=0.5,
    )


def _draw_missing(ax: Axes, points: np.ndarray, missing: np.ndarray, order: np.ndarray, size: float) -> np.ndarray:
    """Draw those without a value, and return the rows of the others in the order in which to draw them."""
    if missing.any():
        _scatter(ax, points[missing], LIGHT, size)
    return order[~missing[order]]


def _scatter(ax: Axes, points: np.ndarray, color: Any, size: float, **options: Any) -> PathCollection:
    return ax.scatter(points[:, 0], points[:, 1], c=color, s=size, **{"linewidths": 0, "rasterized": True, **options})


def _name_clusters(ax: Axes, points: np.ndarray, codes: np.ndarray, names: Mapping[int, str]) -> None:
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=2, foreground="w")]
    for code, name in names.items():
        x, y = np.median(points[codes == code], axis=0)
        ax.text(x, y, name, ha="center", va="center", fontsize=7, path_effects=outline)


def _bare(ax: Axes) -> None:
    """A square without ticks or frame: the axes of an embedding have no unit."""
    ax.set(xticks=[], yticks=[], box_aspect=1)
    ax.spines[:].set_visible(False)

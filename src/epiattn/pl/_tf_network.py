"""Attention between transcription factors as a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from epiattn import _keys as k
from epiattn._columns import column_of
from epiattn._modalities import bound_tfs, find_channels
from epiattn._results import result_of

from ._data import dense, read
from ._style import GREY, SINGLE, color_bar, color_map, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData


def tf_network(
    mdata: MuData,
    *,
    group: str | None = None,
    n_tfs: int = 25,
    n_edges: int = 50,
    key: str = "attn_attention",
    ax: Axes | None = None,
) -> Axes:
    """Which TFs attend to which: the strongest pairs as arrows.

    An arrow runs from the TF that attends to the one that is attended to; the darker and wider, the more attention. The
    area of a TF is the mean attention that it gets from all, its colour the share of the observations at which it is
    bound. Attention between TFs says what the model reads together, and not that the factors touch.

    Parameters
    ----------
    mdata
        Object that ``tl.attention(mdata, pairs=True)`` wrote to.
    group
        One of its groups; ``None``: all observations.
    n_tfs
        TFs to show: those that get the most attention.
    n_edges
        Arrows to show: the strongest between these TFs; TFs without one are left out.
    key
        The ``key_added`` of ``tl.attention``.
    ax
        Axes to draw on; ``None``: those of a new figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    ValueError
        If there is no attention between TFs, or not of the group.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=60, cell_types=1, n_tfs=12)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1, tf_encoder="self_attention")
    >>> mdata = attn.tl.attention(mdata, pairs=True)
    >>> ax = attn.pl.tf_network(mdata, n_edges=10)
    """
    mdata = read(mdata)
    record = result_of(mdata, key, "attention")
    pairs = _pairs(mdata, key, group)
    adata = mdata[k.TF]
    received = pairs.mean(0)
    top = np.argsort(-received, kind="stable")[:n_tfs]
    edges = strongest(pairs, top, n_edges)
    shown = np.array([tf for tf in top if tf in edges[:, :2]], dtype=int)
    if not len(shown):
        msg = "No TF attends to another one: there is no arrow to draw."
        raise ValueError(msg)
    bound = share_bound(mdata, record.get("groupby"), group)
    with styled():
        ax = new_axes(ax, width=1.3 * SINGLE, height=1.1 * SINGLE)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        points = _layout(edges, pairs, shown)
        sizes = 25 + 300 * received[shown] / received[shown].max()
        _draw_edges(ax, edges, pairs, dict(zip(shown, zip(points, sizes, strict=True), strict=True)))
        options: dict[str, Any] = {"cmap": color_map(signed=False), "vmin": 0, "edgecolors": "w", "zorder": 2}
        nodes = ax.scatter(points[:, 0], points[:, 1], s=sizes, c=bound[shown], **options)
        _name_nodes(ax, points, adata.var_names[shown])
        ax.margins(0.09)
        color_bar(nodes, [ax], "Share of observations where bound")
        _explain(ax, received[shown], pairs[tuple(edges.T)], 1 / adata.n_vars)
        ax.set_title("All observations" if group is None else group)
    return ax


def _pairs(mdata: MuData, key: str, group: str | None) -> np.ndarray:
    """Mean attention of each TF (row) to each (column)."""
    held = mdata[k.TF].varp if k.TF in mdata.mod else {}
    groups = sorted(unquote(name.removeprefix(f"{key}_")) for name in held if name.startswith(f"{key}_"))
    if key not in held:
        msg = f"mdata['tf'].varp[{key!r}] is missing: run attn.tl.attention(mdata, pairs=True) first."
        raise ValueError(msg)
    if group is not None and group not in groups:
        msg = f"There is no attention between TFs of the group {group!r}; the groups are {groups}."
        raise ValueError(msg)
    return dense(held[key if group is None else k.pairs_of_group(key, group)])


def strongest(pairs: np.ndarray, among: np.ndarray, n: int) -> np.ndarray:
    """The pairs with the most attention, the weakest first, shape ``(n, 2)``: who attends, and to whom."""
    inside = np.zeros_like(pairs)
    inside[np.ix_(among, among)] = pairs[np.ix_(among, among)]
    np.fill_diagonal(inside, 0)
    order = np.argsort(-inside, axis=None, kind="stable")[:n]
    order = order[inside.ravel()[order] > 0]
    return np.stack(np.unravel_index(order[::-1], pairs.shape), axis=1)


def share_bound(mdata: MuData, groupby: str | None, group: str | None) -> np.ndarray:
    """Share of the observations (of a group) at which each TF is bound: not 0 in all channels."""
    rows = np.ones(mdata.n_obs, bool)
    if group is not None and groupby is not None:
        rows = (column_of(mdata, groupby).astype(str) == group).to_numpy()
    adata = mdata[k.TF]
    bound = bound_tfs(adata, find_channels(mdata)[k.TF])[rows]
    return np.asarray(bound.sum(0)).ravel() / max(int(rows.sum()), 1)


def _layout(edges: np.ndarray, pairs: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Where TFs lie, from a circle on: pairs with much attention come together; shape ``(n_shown, 2)``."""
    import igraph

    number = {tf: i for i, tf in enumerate(shown)}
    graph = igraph.Graph([(number[a], number[b]) for a, b in edges], n=len(shown), directed=False)
    weights = pairs[tuple(edges.T)]
    start = graph.layout_circle()  # and no random number
    points = np.array(graph.layout_kamada_kawai(seed=start, weights=np.sqrt(weights.max() / weights)).coords)
    return (points - points.min(0)) / np.maximum(np.ptp(points, axis=0), np.finfo(float).tiny)


def _draw_edges(ax: Axes, edges: np.ndarray, pairs: np.ndarray, nodes: dict[int, tuple[np.ndarray, float]]) -> None:
    from matplotlib.patches import FancyArrowPatch

    weights = pairs[tuple(edges.T)]
    share = weights / weights.max()
    for (a, b), strength in zip(edges, share, strict=True):
        (start, size), (end, end_size) = nodes[a], nodes[b]
        arrow = FancyArrowPatch(
            tuple(start),
            tuple(end),
            arrowstyle="-|>",
            mutation_scale=4 + 3 * strength,
            connectionstyle="arc3,rad=0.12",
            shrinkA=np.sqrt(size) / 2,
            shrinkB=np.sqrt(end_size) / 2 + 1,
            linewidth=0.2 + 1.5 * strength,
            color=str(0.9 - 0.65 * strength),
            zorder=1,
        )
        ax.add_patch(arrow)


def _name_nodes(ax: Axes, points: np.ndarray, names: Any) -> None:
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=1.8, foreground="w")]
    for (x, y), name in zip(points, names, strict=True):
        ax.text(x, y, name, ha="center", va="center", fontsize=6, path_effects=outline, zorder=3)


def _explain(ax: Axes, received: np.ndarray, weights: np.ndarray, uniform: float) -> None:
    """What areas and arrows stand for."""
    text = (
        f"Area: attention received, {received.min():.3g} to {received.max():.3g}\n"
        f"Arrows: attention, {weights.min():.3g} to {weights.max():.3g}\n"
        f"Uniform attention: {uniform:.3g}"
    )
    ax.text(0, -0.01, text, transform=ax.transAxes, ha="left", va="top", fontsize=6, color=GREY)

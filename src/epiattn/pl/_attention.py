"""Attention over bins, CpGs and transcription factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._cpgs import by_position
from epiattn._modalities import kind
from epiattn._results import run_of, warn_if_unfaithful

from ._data import dense, groups_of, mean_and_error, read
from ._style import (
    DOTTED,
    GREY,
    LIGHT,
    SINGLE,
    bin_axis,
    colors_of,
    counted,
    distance_axis,
    legend_above,
    legend_height,
    mean_line,
    new_axes,
    styled,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from mudata import MuData

Groups = dict[str, np.ndarray]

#: A mean over fewer observations says little.
_RARE = 10


def attention(
    mdata: MuData,
    *,
    modality: str = k.HISTONE,
    groupby: str | None = k.LABEL,
    key: str = "attn",
    reference: bool = True,
    n_top: int = 20,
    n_bins: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """Where the attention of a modality lies: along the distance to the TSS, or on which TFs.

    - ``histone*``: mean attention of each bin. The model attends to positions that see several bins each, and the
      outermost bins are seen by fewest; the dotted line is what a bin gets if all positions weigh the same.
    - ``methylation``: attention of CpGs by their position, times the number of CpGs of the observation, so that genes
      with many and few CpGs compare; 1 is uniform. Each observation counts once per bin of positions.
    - ``tf``: the TFs of highest mean attention over the observations at which they are bound; how many these are is
      on the right, and TFs with fewer than 10 come last. The dotted line is uniform attention over all TFs; points are
      the means of the groups.

    Bands are 1.96 standard errors of the mean.

    Parameters
    ----------
    mdata
        Object that ``tl.fit`` or ``tl.embed`` wrote to.
    modality
        A modality that the run read.
    groupby
        Column of ``obs``, of no more than 12 groups; ``None``: all observations together.
    key
        ``key_added`` of the run.
    reference
        Draw the level of uniform attention.
    n_top
        TFs to show.
    n_bins
        Bins of CpG positions.
    ax
        Axes to draw on; ``None``: those of a new figure.

    Returns
    -------
    The Axes. Distances on it are in bp, labelled in kb.

    Raises
    ------
    ValueError
        If there is no run under the key, it did not read the modality, or the column does not exist.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=100, cell_types=1)
    >>> mdata = attn.tl.fit(mdata, max_epochs=1)
    >>> ax = attn.pl.attention(mdata)
    >>> ax.get_ylabel()
    'Mean attention'
    """
    mdata = read(mdata)
    record = run_of(mdata, key)
    adata = _attended(mdata, modality, key)
    groups = groups_of(mdata, groupby)
    colors = colors_of(mdata, groupby, list(groups))
    warn_if_unfaithful(mdata, key, modality)
    with styled():
        height = legend_height(list(counted(groups).values()), 0.775 * SINGLE)
        if kind(modality) == k.TF:
            ax = new_axes(ax, height=height + 0.5 + 0.145 * min(n_top, adata.n_vars))
            _draw_tfs(ax, adata, key, groups, colors, n_top=n_top, reference=reference)
        elif kind(modality) == k.METHYLATION:
            ax = new_axes(ax, height=height + 2.2)
            _draw_cpgs(ax, adata, key, groups, colors, n_bins=n_bins, reference=reference)
        else:
            ax = new_axes(ax, height=height + 2.2)
            uniform = record["uniform_attention"][modality] if reference else None
            _draw_bins(ax, adata, key, groups, colors, uniform=uniform)
        if groupby is not None:
            legend_above(ax)
    return ax


def _attended(mdata: MuData, modality: str, key: str) -> AnnData:
    name = k.attention(key)
    known = [other for other in mdata.mod if kind(other) and name in mdata[other].layers]
    if modality in known:
        return mdata[modality]
    msg = f"mdata[{modality!r}].layers[{name!r}] is missing; there is attention of the run {key!r} over {known}."
    raise ValueError(msg)


def _draw_bins(
    ax: Axes, adata: AnnData, key: str, groups: Groups, colors: dict[str, str], *, uniform: np.ndarray | None
) -> None:
    (x, distance), labels = bin_axis(ax, adata), counted(groups)
    for name, rows in groups.items():
        mean, error = mean_and_error(dense(adata.layers[k.attention(key)][rows]))
        mean_line(ax, x, mean, error, color=colors[name], label=labels[name])
    if uniform is not None:
        ax.plot(x, uniform, color=GREY, linewidth=0.8, linestyle=DOTTED, zorder=0.5)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(distance)
    ax.set_ylabel("Mean attention")


def _draw_cpgs(
    ax: Axes, adata: AnnData, key: str, groups: Groups, colors: dict[str, str], *, n_bins: int, reference: bool
) -> None:
    edges = np.linspace(-1, 1, n_bins + 1)
    x = (edges[:-1] + edges[1:]) / 2
    if "window" in adata.uns:
        window = float(adata.uns["window"])
        ax.set_xlabel(distance_axis(ax, edges * window))
        x = x * window
    else:
        ax.set_xlim(-1, 1)
        ax.set_xlabel("Position of the CpG (1: edge of the window)")
    n_cpg = adata.obs[k.N_CPG].to_numpy(dtype=int)
    labels = counted({name: rows[n_cpg[rows] > 0] for name, rows in groups.items()})
    for name, rows in groups.items():
        relative = dense(adata.layers[k.attention(key)][rows]) * n_cpg[rows, None]
        mean, error = mean_and_error(by_position(adata, relative, rows, n_bins))
        mean_line(ax, x, mean, error, color=colors[name], label=labels[name])
    if reference:
        ax.axhline(1, color=GREY, linewidth=0.8, linestyle=DOTTED, zorder=0.5)
    low, high = ax.get_ylim()
    ax.set_ylim(min(low, 0.9), max(high, 1.1))  # no less: it would make noise look like a pattern
    ax.set_ylabel("Attention relative to uniform")


def _draw_tfs(
    ax: Axes, adata: AnnData, key: str, groups: Groups, colors: dict[str, str], *, n_top: int, reference: bool
) -> None:
    mean, count = _over_bound(adata, key, np.concatenate(list(groups.values())))
    top = np.lexsort((-np.nan_to_num(mean), count < _RARE))[:n_top]
    top = top[count[top] > 0]
    y = np.arange(len(top))
    ax.barh(y, mean[top], height=0.7, color=LIGHT)
    for name, rows in groups.items() if len(groups) > 1 else ():
        ax.plot(_over_bound(adata, key, rows)[0][top], y, "o", markersize=3, color=colors[name], label=name)
    if reference:
        ax.axvline(1 / adata.n_vars, color=GREY, linewidth=0.8, linestyle=DOTTED)
    ax.set_yticks(y, adata.var_names[top])
    ax.set_ylim(len(top) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("Mean attention where bound")
    for height, text in zip([-1, *y], ["n", *(f"{n:,}" for n in count[top])], strict=True):
        ax.text(1.02, height, text, transform=ax.get_yaxis_transform(), color=GREY, fontsize=6, va="center")


def _over_bound(adata: AnnData, key: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean attention of each TF over those of the rows at which it is bound (NaN: nowhere), and their number."""
    weights = sparse.csr_array(adata.layers[k.attention(key)])[rows]
    count = np.bincount(weights.indices, minlength=adata.n_vars)
    total = np.bincount(weights.indices, weights.data, minlength=adata.n_vars)
    return np.divide(total, count, out=np.full(adata.n_vars, np.nan), where=count > 0), count

"""Whether predictions can be taken at their word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from epiattn.metrics import calibration_curve

from ._data import mean_and_error, read
from ._results import Scores, legend_of_models, scores_of
from ._style import DOTTED, GREY, SINGLE, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mudata import MuData


Pair = tuple[np.ndarray, np.ndarray]  # truth and prediction


def calibration(
    mdata: MuData,
    *,
    models: str | Sequence[str] | None = None,
    key: str = "benchmark",
    n_bins: int = 15,
    ax: Axes | None = None,
) -> Axes:
    """Predictions against what was observed, in bins of out-of-fold predictions; the diagonal is perfect.

    For labels: the share of ``high`` in bins of equal width of the predicted probability, with Wilson's 95 % interval,
    and the expected calibration error in the legend. For expression: the mean of the expression in bins of equally
    many observations, with 1.96 standard errors, and R² in the legend. Below is how often a model predicts what.

    A prediction is meant in the same unit in every fold, so bins hold the observations of all folds; the number in the
    legend is from the table, the mean over folds and seeds. Error bars take observations as independent.

    Parameters
    ----------
    mdata
        Object that ``tl.benchmark`` wrote to (or ``tl.cross_validate``, with ``key="cv"``).
    models
        Names of models and baselines, no more than 12; ``None``: the best ones by the first metric, five with the
        best baseline.
    key
        ``key_added`` of the run.
    n_bins
        Bins; 15 are those of the error in the legend.
    ax
        Axes to draw on; ``None``: those of a new figure. The histogram takes the lower part of it.

    Returns
    -------
    The Axes of the diagram.

    Raises
    ------
    ValueError
        If there is no run under the key, a model is unknown or was not trained, its scores are no probabilities, or
        there is no bin.

    References
    ----------
    Wilson, J. Am. Stat. Assoc. 22:209 (1927) (interval of a share).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=300, cell_types=1)
    >>> _ = attn.tl.benchmark(mdata, models=["logistic", "prevalence"], n_folds=3)
    >>> ax = attn.pl.calibration(mdata, models="logistic")
    >>> ax.get_ylabel()
    'Observed share of high'
    """
    if n_bins < 1:
        msg = f"n_bins must be 1 or more, not {n_bins}."
        raise ValueError(msg)
    found = scores_of(read(mdata), key)
    of_labels = found.target == "label"
    metric = "ece" if of_labels else "r2"
    shown = found.choose(models)
    pairs = {model: _pair(found, metric, model) for model in shown}
    curves = {model: (_shares if of_labels else _means)(*pair, n_bins) for model, pair in pairs.items()}
    edges = np.linspace(0, 1, n_bins + 1) if of_labels else _edges(pairs)
    low, high = (0.0, 1.0) if of_labels else _limits(pairs, curves)
    labels, title = found.labels(metric, shown)
    aspect = 1 if ax is None else ax.get_box_aspect()
    with styled():
        ax = new_axes(ax, height=SINGLE + 0.85 + 0.15 * (len(shown) + 3))
        below = _add_below(ax)
        ax.axline((low, low), (high, high), color=GREY, linewidth=0.8, linestyle=DOTTED, zorder=0.5, label="perfect")
        for model, style in found.lines(shown).items():
            curve = curves[model]
            if len(shown) == 1:
                ax.errorbar(curve.x, curve.y, yerr=curve.error, fmt="none", color=style["color"], elinewidth=0.8)
            ax.plot(curve.x, curve.y, **style, marker="o", markersize=3, label=labels[model])
            below.stairs(_share_of_bins(pairs[model][1], edges), edges, **style, fill=len(shown) == 1)
        margin = 0.03 * (high - low)
        ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), box_aspect=aspect)
        ax.tick_params(labelbottom=False)
        ax.set_ylabel("Observed share of high" if of_labels else "Observed expression")
        below.set_xlabel("Predicted probability of high" if of_labels else "Predicted expression")
        below.set_ylabel("Share")
        below.spines[["top", "right"]].set_visible(False)
        legend_of_models(ax, title)
    return ax


def _add_below(ax: Axes) -> Axes:
    """Axes of 0.6 inches below the given ones; layouts cannot settle on a height that is a share of another."""
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    inches = ax.figure.dpi_scale_trans + ScaledTranslation(0, 0, ax.transAxes)  # type: ignore[arg-type]
    return ax.inset_axes((0, -0.75, 1, 0.6), transform=blended_transform_factory(ax.transAxes, inches), sharex=ax)


class _Binned(NamedTuple):
    """Mean prediction and mean truth of bins, and how far the error bars reach down and up, shape ``(2, n_bins)``."""

    x: np.ndarray
    y: np.ndarray
    error: np.ndarray


def _pair(found: Scores, metric: str, model: str) -> Pair:
    """Truth and prediction of all folds."""
    rows = np.concatenate(list(found.rows(metric, model)))
    truth, score = found.truth(metric)[rows], found.scores[model][rows]
    if found.target == "label" and ((score < 0) | (score > 1)).any():
        msg = f"The scores of {model!r} are no probabilities: they run from {score.min():.3g} to {score.max():.3g}."
        raise ValueError(msg)
    return truth, score


def _shares(truth: np.ndarray, score: np.ndarray, n_bins: int) -> _Binned:
    """Bins of equal width."""
    curve = calibration_curve(truth, score, n_bins=n_bins)
    filled = curve.n > 0
    n, share = curve.n[filled], curve.observed[filled]
    return _Binned(curve.predicted[filled], share, np.abs(wilson(share, n) - share))


def wilson(share: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Lower and upper end of Wilson's 95 % interval of a share of ``n`` independent observations."""
    z = 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.stack([middle - half, middle + half])


def _means(truth: np.ndarray, score: np.ndarray, n_bins: int) -> _Binned:
    """Bins of equally many observations; those with the same prediction stay together."""
    edges = np.unique(np.quantile(score, np.linspace(0, 1, n_bins + 1)[1:-1]))
    bins = np.searchsorted(edges, score)
    parts = [bins == i for i in np.unique(bins)]
    errors = [np.nan_to_num(mean_and_error(truth[part, None])[1][0]) for part in parts]
    x, y = (np.array([values[part].mean() for part in parts]) for values in (score, truth))
    return _Binned(x, y, np.tile(errors, (2, 1)))


def _share_of_bins(score: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How much of the predictions lies in each bin; a value on an edge is in the lower bin, as in the metrics."""
    return np.bincount(np.searchsorted(edges[1:-1], score), minlength=len(edges) - 1) / len(score)


def _edges(pairs: Mapping[str, Pair]) -> np.ndarray:
    """30 bins over the predictions of all models."""
    return np.histogram_bin_edges(np.concatenate([score for _, score in pairs.values()]), 30)


def _limits(pairs: Mapping[str, Pair], curves: Mapping[str, _Binned]) -> tuple[float, float]:
    """The range of all points and of the middle 99 % of the predictions."""
    tails = [np.quantile(score, [0.005, 0.995]) for _, score in pairs.values()]
    every = np.concatenate([*tails, *(values for curve in curves.values() for values in (curve.x, curve.y))])
    return float(every.min()), float(every.max())

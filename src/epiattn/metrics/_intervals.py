"""Confidence intervals of metrics that know that neighbouring genes are not independent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._design import defined_folds, design
from ._spread import Spread, spread
from ._traits import Metric, Traits, from_line, to_line, traits_of


class Interval(NamedTuple):
    """A metric with its confidence interval."""

    value: float
    """The metric: the mean over the folds."""
    low: float
    """Lower end; NaN where the interval is not defined."""
    high: float
    """Upper end."""
    method: str
    """How the interval was found, and over what."""
    n_groups: int
    """Groups (chromosomes) of the observations; 0 if none were given."""
    n_folds: int
    """Folds in which the metric is defined."""
    note: str
    """What was left out, or why something is NaN; empty: nothing."""


def interval(
    metric: Metric,
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    fold: ArrayLike | None = None,
    gene: ArrayLike | None = None,
    arrays: Mapping[str, ArrayLike] | None = None,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Confidence interval of a metric, over chromosomes where there are enough of them.

    Genes on a chromosome are not independent, and chromosomes differ. With ten groups or more, the interval is a
    jackknife-t over groups: each is left out of its own fold, and the metric is taken on its scale without bounds
    (logit of an AUC). With fewer, groups cannot tell how they vary: genes are taken as independent, with DeLong's
    formula for :func:`roc_auc` and a bootstrap standard error for others, and the method says so. Such an interval is
    too narrow where chromosomes differ.

    Parameters
    ----------
    metric
        Function of truth and scores, such as :func:`roc_auc`; options by :func:`functools.partial`.
    y_true, y_score
        Truth and scores, as the metric takes them, shape ``(n,)``.
    groups
        Groups that are independent of each other, such as ``mdata.obs["chrom"]``, shape ``(n,)``.
    fold
        Which model a score is from (fold, or fold and seed), shape ``(n,)``. The metric is computed in each fold, and
        the mean over folds is what the interval is of. ``None``: all are from one model.
    gene
        Gene of each observation, shape ``(n,)``: without enough groups, observations of one gene (in several cell
        types) stay together. It is passed on to a metric that takes ``gene``.
    arrays
        Further arrays that the metric takes, by name, such as ``{"cell_type": mdata.obs["cell_type"]}``.
    level
        Confidence level.
    n_resamples
        Resamples of the bootstrap.
    seed
        Seed of the bootstrap.

    Returns
    -------
    Value, ends, method, number of groups and folds, and a note. Folds in which the metric is not defined (one class)
    are left out and noted.

    Raises
    ------
    ValueError
        If lengths differ, a value is NaN, a name is missing, or ``level`` is not between 0 and 1.

    Notes
    -----
    In 2,000 simulations each, with 10 to 23 chromosomes in 1 to 4 folds, 95 % intervals of the jackknife-t held the
    true AUC in 93 to 98 %, whether or not chromosomes differed. DeLong's held it in 94 to 96 % where they did not, and
    in 62 to 90 % where they did. With a fold for each chromosome, the area within chromosomes is what is estimated.

    References
    ----------
    Efron & Stein, Ann. Stat. 9:586 (1981) (jackknife); MacKinnon, Nielsen & Webb, J. Econometrics 232:272 (2023)
    (few and unequal groups); DeLong, DeLong & Clarke-Pearson, Biometrics 44:837 (1988).

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.datasets.simulate(n_genes=600, cell_types=1)
    >>> high = (mdata.obs["label"] == "high").to_numpy()
    >>> signal = mdata["histone"].layers["H3K27ac"].sum(axis=1)
    >>> found = attn.metrics.interval(attn.metrics.roc_auc, high, signal, groups=mdata.obs["chrom"])
    >>> found.method
    'jackknife-t over 23 groups'
    >>> found.low < found.value < found.high
    True
    """
    check_level(level)
    data = design(metric, y_true, [y_score], groups=groups, fold=fold, gene=gene, arrays=arrays)
    data, values, note = defined_folds(data)
    if not len(values):
        return Interval(np.nan, np.nan, np.nan, "", data.n_groups, 0, note)
    found = spread(data, values, n_resamples=n_resamples, seed=seed)
    value = float(values.mean())
    low, high, also = ends(value, found, level, traits_of(metric))
    notes = [each for each in (note, also) if each]
    return Interval(value, low, high, found.method, data.n_groups, len(values), "; ".join(notes))


def ends(value: float, found: Spread, level: float, traits: Traits) -> tuple[float, float, str]:
    """Ends of an interval on the scale without bounds, and a note where it is degenerate."""
    from scipy.stats import norm
    from scipy.stats import t as student

    if np.isnan(found.error):
        return float("nan"), float("nan"), f"no interval: the metric is not defined in parts of the {found.method}"
    if found.error == 0:
        return value, value, f"the metric is the same in all parts of the {found.method}"
    tail = (1 + level) / 2
    quantile = float(norm.ppf(tail) if np.isinf(found.degrees) else student.ppf(tail, found.degrees))
    if not traits.low < value < traits.high:
        half = quantile * found.error
        return max(value - half, traits.low), min(value + half, traits.high), ""
    middle, slope = to_line(value, traits)
    half = quantile * found.error * slope
    return from_line(middle - half, traits), from_line(middle + half, traits), ""


def check_level(level: float) -> None:
    """Refuse a confidence level that is none.

    Raises
    ------
    ValueError
        If it is not between 0 and 1.
    """
    if not 0 < level < 1:
        msg = f"level must be between 0 and 1 (0.95 for 95 %), not {level}."
        raise ValueError(msg)

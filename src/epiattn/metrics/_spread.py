"""How much a metric varies: standard errors by the jackknife over groups, by DeLong's formula and by the bootstrap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._binary import roc_auc
from ._design import Design, rows_by, strata
from ._traits import unwrapped


class Spread(NamedTuple):
    """A standard error and how it was found."""

    error: float
    degrees: float
    """Degrees of freedom of Student's t; infinite: the normal distribution."""
    method: str


def spread(data: Design, values: np.ndarray, *, n_resamples: int, seed: int) -> Spread:
    """Standard error of the mean over folds, by the method that suits the number of groups and the metric."""
    if data.group is not None:
        return jackknife(data, values, data.group)
    if unwrapped(data.metric) is roc_auc and not data.arrays:
        return Spread(delong(data), np.inf, f"DeLong over {data.unit_name}")
    error = bootstrap(data, n_resamples=n_resamples, seed=seed)
    return Spread(error, np.inf, f"bootstrap over {data.unit_name}")


def jackknife(data: Design, values: np.ndarray, group: np.ndarray) -> Spread:
    """Leave each group out of its own fold (or folds), within strata of folds that share no group.

    A stratum of one group has no jackknife; its variance is taken to be that between strata. Degrees of freedom
    are Satterthwaite's over strata; in a stratum, the effective number of groups of unequal size, less 1.

    References
    ----------
    Efron & Stein, Ann. Stat. 9:586 (1981); Carter, Schnepel & Steigerwald, Rev. Econ. Stat. 99:698 (2017) (effective
    number of groups); Satterthwaite, Biometrics 2:110 (1946).
    """
    n_folds = len(values)
    fold_stratum, group_stratum = strata(data.fold, group)
    sizes = np.bincount(group)
    shift = np.zeros(len(sizes))  # of the mean over folds, when a group is left out
    folds = data.folds()
    for i, rows in enumerate(rows_by(group)):
        for k in np.unique(data.fold[rows]):
            left = folds[k][group[folds[k]] != i]
            shift[i] += ((data.evaluate(left) if len(left) else np.nan) - values[k]) / n_folds
    variance, degrees, lonely = [], [], []
    for stratum in np.unique(fold_stratum):
        ours = group_stratum == stratum
        n = int(ours.sum())
        if n < 2 or np.isnan(shift[ours]).any():
            lonely.append(stratum)
            continue
        variance.append((n - 1) / n * ((shift[ours] - shift[ours].mean()) ** 2).sum())
        degrees.append(max(sizes[ours].sum() ** 2 / (sizes[ours] ** 2).sum() - 1, 1.0))
    if lonely:
        means = np.array([values[fold_stratum == stratum].mean() for stratum in np.unique(fold_stratum)])
        weights = np.bincount(fold_stratum)[lonely] / n_folds
        between = float(means.var(ddof=1)) if len(means) > 1 else float("nan")
        variance.append(between * float((weights**2).sum()))
        degrees.append(max(len(means) - 1.0, 1.0))
    total = float(np.sum(variance))
    parts = float(np.sum(np.square(variance) / degrees))
    return Spread(
        float(np.sqrt(total)), total**2 / parts if parts else np.inf, f"jackknife-t over {data.n_groups} groups"
    )


def delong(data: Design) -> float:
    """Standard error of an AUC, or of the difference of two, over independent genes.

    Observations of one gene may depend on each other: their influences are added up first (Obuchowski's extension).

    References
    ----------
    DeLong, DeLong & Clarke-Pearson, Biometrics 44:837 (1988); Sun & Xu, IEEE Signal Process. Lett. 21:1389 (2014);
    Obuchowski, Biometrics 53:567 (1997).
    """
    folds = data.folds()
    influence = np.zeros(len(data.truth))
    for rows in folds:
        each = [delong_influence(data.truth[rows] == 1, score[rows]) for score in data.scores]
        influence[rows] = (each[0] if len(each) == 1 else each[0] - each[1]) / len(folds)
    return float(np.sqrt((np.bincount(data.unit, influence) ** 2).sum()))


def delong_influence(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    """What each observation adds to an AUC less its mean; the squares sum to DeLong's variance.

    The share of the other class that an observation is on the right side of comes from mid-ranks, in n log n steps.
    NaN where a class has fewer than two observations.
    """
    from scipy.stats import rankdata

    n_positive, n_negative = int(truth.sum()), int((~truth).sum())
    if min(n_positive, n_negative) < 2:
        return np.full(len(truth), np.nan)
    rank, right = rankdata(score), np.empty(len(truth))
    right[truth] = (rank[truth] - rankdata(score[truth])) / n_negative
    right[~truth] = 1 - (rank[~truth] - rankdata(score[~truth])) / n_positive
    n = np.where(truth, n_positive, n_negative)
    return (right - right[truth].mean()) / np.sqrt(n * (n - 1.0))


def bootstrap(data: Design, *, n_resamples: int, seed: int) -> float:
    """Standard deviation over resamples of genes, with replacement, within strata of folds that share no gene.

    Resamples in which the metric is not defined are left out; NaN where those are more than one in ten.
    """
    rng = np.random.default_rng(seed)
    n_folds = int(data.fold.max()) + 1
    order, size = np.argsort(data.unit, kind="stable"), np.bincount(data.unit)
    start = np.cumsum(size) - size
    pools = rows_by(strata(data.fold, data.unit)[1])  # the genes of each stratum
    values = np.empty(n_resamples)
    for b in range(n_resamples):
        drawn = np.concatenate([rng.choice(pool, len(pool)) for pool in pools])
        times = size[drawn]
        within = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        rows = order[np.repeat(start[drawn], times) + within]
        gene = np.repeat(np.arange(len(drawn)), times)
        ours = [data.fold[rows] == k for k in range(n_folds)]
        values[b] = np.mean([data.evaluate(rows[k], gene[k]) if k.any() else np.nan for k in ours])
    defined = ~np.isnan(values)
    return float(values[defined].std(ddof=1)) if defined.mean() >= 0.9 else float("nan")

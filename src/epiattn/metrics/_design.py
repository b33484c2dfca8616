"""Observations in folds, groups and genes; a metric of them is the mean over the folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._check import codes, pair
from ._traits import Metric, takes

#: With as many groups, variation between groups can be estimated from them.
MIN_GROUPS = 10


class Design(NamedTuple):
    """A metric of one score, or the difference of a metric between two, on observations in folds."""

    metric: Metric
    truth: np.ndarray
    scores: list[np.ndarray]
    fold: np.ndarray
    """Fold of each observation as an integer; scores of different folds are never pooled."""
    group: np.ndarray | None
    """Group (chromosome) of each observation as an integer; ``None`` with fewer than ten."""
    n_groups: int
    unit: np.ndarray
    """Gene of each observation as an integer, or the observation itself."""
    unit_name: str
    arrays: dict[str, Any]
    """Further arrays that the metric takes, one value for each observation."""

    def evaluate(self, rows: np.ndarray, gene: np.ndarray | None = None) -> float:
        """The metric of some observations of one fold, or the difference of the two scores' metrics.

        ``gene`` are other names for the genes of these rows: in a resample a gene that is drawn twice is two genes.
        """
        arrays = {name: values[rows] for name, values in self.arrays.items()}
        if gene is not None and "gene" in arrays:
            arrays["gene"] = gene
        values = [number(self.metric(self.truth[rows], score[rows], **arrays)) for score in self.scores]
        return values[0] if len(values) == 1 else values[0] - values[1]

    def folds(self) -> list[np.ndarray]:
        """Rows of each fold."""
        return rows_by(self.fold)


def design(
    metric: Metric,
    y_true: ArrayLike,
    scores: Sequence[ArrayLike],
    *,
    groups: ArrayLike | None,
    fold: ArrayLike | None,
    gene: ArrayLike | None,
    arrays: Mapping[str, ArrayLike] | None,
    names: Sequence[str] = ("y_score",),
) -> Design:
    """Check the arrays and turn names into integers.

    Raises
    ------
    ValueError
        If lengths differ, a value is NaN, a name is missing, or ``arrays`` holds the gene.
    """
    if "gene" in (arrays or {}):
        msg = "Pass the gene of each observation as gene=, not in arrays=."
        raise ValueError(msg)
    checked = [pair(y_true, score, name=name) for score, name in zip(scores, names, strict=True)]
    truth = checked[0][0]
    n = len(truth)
    fold_code = np.zeros(n, dtype=int) if fold is None else codes(fold, "fold", n)[0]
    group = None if groups is None else codes(groups, "groups", n)[0]
    n_groups = 0 if group is None else len(np.unique(group))
    unit = np.arange(n) if gene is None else codes(gene, "gene", n)[0]
    further = {name: _array(values, name, n) for name, values in (arrays or {}).items()}
    if gene is not None and takes(metric, "gene"):
        further["gene"] = unit
    return Design(
        metric=metric,
        truth=truth,
        scores=[score for _, score in checked],
        fold=fold_code,
        group=group if n_groups >= MIN_GROUPS else None,
        n_groups=n_groups,
        unit=unit,
        unit_name="observations" if gene is None else "genes",
        arrays=further,
    )


def defined_folds(data: Design) -> tuple[Design, np.ndarray, str]:
    """The design without the folds in which the metric is not defined, its value in each fold left, and a note."""
    values = np.array([data.evaluate(rows) for rows in data.folds()])
    defined = ~np.isnan(values)
    if defined.all():
        return data, values, "" if len(values) else "there is no observation"
    if not defined.any():
        return data, values[:0], "the metric is not defined in any fold" + _why(data)
    note = f"{int((~defined).sum())} of {len(values)} folds left out: the metric is not defined there"
    rows = np.flatnonzero(defined[data.fold])
    _, fold = np.unique(data.fold[rows], return_inverse=True)
    kept = data._replace(
        truth=data.truth[rows],
        scores=[score[rows] for score in data.scores],
        fold=fold,
        group=None if data.group is None else np.unique(data.group[rows], return_inverse=True)[1],
        unit=np.unique(data.unit[rows], return_inverse=True)[1],
        arrays={name: array[rows] for name, array in data.arrays.items()},
    )
    if kept.group is not None:
        n_groups = len(np.unique(kept.group))
        kept = kept._replace(n_groups=n_groups, group=kept.group if n_groups >= MIN_GROUPS else None)
    return kept, values[defined], note


def _why(data: Design) -> str:
    """The reason that the metric itself gives, if it gives one."""
    rows = data.folds()[0]
    arrays = {name: values[rows] for name, values in data.arrays.items()}
    note = getattr(data.metric(data.truth[rows], data.scores[0][rows], **arrays), "note", "")
    return f": {note}" if note else ""


def strata(fold: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sets of folds that share no group with the others: the set of each fold and of each group.

    In a split by chromosome each fold is a stratum, with its chromosomes; where every fold has all chromosomes (held
    out cell types; several seeds) there is one.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n_folds, n_groups = fold.max() + 1, group.max() + 1
    n = n_folds + n_groups
    links = csr_array((np.ones(len(fold), dtype=np.int8), (fold, n_folds + group)), shape=(n, n))
    _, label = connected_components(links, directed=False)
    return label[:n_folds], label[n_folds:]


def rows_by(code: np.ndarray) -> list[np.ndarray]:
    """Rows of each code, in order."""
    order = np.argsort(code, kind="stable")
    return np.split(order, np.cumsum(np.bincount(code))[:-1]) if len(code) else []


def number(result: Any) -> float:
    """The value of a metric that returns a number, or a NamedTuple with a ``value``."""
    return float(getattr(result, "value", result))


def _array(values: Any, name: str, n: int) -> Any:
    """An array as the metric takes it; names become a categorical, which is quick to slice and to count."""
    import pandas as pd

    array = np.asarray(values)
    if array.ndim != 1 or len(array) != n:
        msg = f"{name} must hold one value for each of the {n} observations, its shape is {array.shape}."
        raise ValueError(msg)
    return array if array.dtype.kind in "biuf" else pd.Categorical(array)

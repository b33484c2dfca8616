"""What intervals and permutations need to know of a metric."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ._binary import auc_of_ranks, average_precision, average_precision_of_ranks, mcc, roc_auc
from ._calibration import brier, ece
from ._differences import difference_correlation, sign_agreement
from ._differing import differing_gene_auc
from ._regression import kendall_of_ranks, kendall_tau, mae, mse, pearson, r2, spearman
from ._residual import residual_correlation
from ._within_gene import within_gene_correlation

#: A function of truth and scores that returns a number, or a NamedTuple with a ``value``.
Metric = Callable[..., Any]


class Traits(NamedTuple):
    """What is known of a metric; the defaults are those of one that is not known."""

    low: float = -np.inf
    high: float = np.inf
    invariant: str = ""
    """To which changes of the scores: ``"ranks"`` (any that keeps the order), ``"scale"`` (linear), or ``""``."""
    of_ranks: Callable[[np.ndarray, np.ndarray], float] | None = None
    """The same from boolean truth and ranks as whole numbers, without sorting."""
    higher_is_better: bool = True


TRAITS: dict[Metric, Traits] = {
    roc_auc: Traits(0, 1, "ranks", auc_of_ranks),
    average_precision: Traits(0, 1, "ranks", average_precision_of_ranks),
    mcc: Traits(-1, 1),
    kendall_tau: Traits(-1, 1, "ranks", kendall_of_ranks),
    spearman: Traits(-1, 1, "ranks"),
    pearson: Traits(-1, 1, "scale"),
    r2: Traits(-np.inf, 1),
    mse: Traits(0, np.inf, higher_is_better=False),
    mae: Traits(0, np.inf, higher_is_better=False),
    brier: Traits(0, 1, higher_is_better=False),
    ece: Traits(0, 1, higher_is_better=False),
    within_gene_correlation: Traits(-1, 1, "scale"),
    difference_correlation: Traits(-1, 1, "scale"),
    sign_agreement: Traits(0, 1, "scale"),
    differing_gene_auc: Traits(0, 1, "ranks"),
    residual_correlation: Traits(-1, 1, "scale"),
}


def unwrapped(metric: Metric) -> Metric:
    """The function inside ``functools.partial``."""
    return getattr(metric, "func", metric)


def traits_of(metric: Metric) -> Traits:
    """What is known of a metric, also inside ``functools.partial``."""
    return TRAITS.get(unwrapped(metric), Traits())


def takes(metric: Metric, name: str) -> bool:
    """Whether a metric has a parameter of this name."""
    return name in inspect.signature(metric).parameters


#: Above it, the exponential of a float is infinite.
_LARGEST = 700.0


def to_line(value: float, traits: Traits) -> tuple[float, float]:
    """A value of a metric on an unbounded scale (logit, atanh, log or as it is), and the slope of the scale there."""
    low, high = traits.low, traits.high
    if np.isfinite(low) and np.isfinite(high):
        below, above = value - low, high - value
        return float(np.log(below / above)), (high - low) / (below * above)
    if np.isfinite(low):
        return float(np.log(value - low)), 1 / (value - low)
    if np.isfinite(high):
        return float(-np.log(high - value)), 1 / (high - value)
    return value, 1.0


def from_line(value: float, traits: Traits) -> float:
    """The inverse of :func:`to_line`."""
    low, high = traits.low, traits.high
    if np.isfinite(low) and np.isfinite(high):
        return float(low + (high - low) * (1 + np.tanh(value / 2)) / 2)
    if np.isfinite(low):
        return float(low + np.exp(min(value, _LARGEST)))
    if np.isfinite(high):
        return float(high - np.exp(min(-value, _LARGEST)))
    return value

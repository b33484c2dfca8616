"""Genes on chromosomes that differ: how well scores tell the classes apart, and where they lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import norm


class Simulated(NamedTuple):
    y_true: np.ndarray
    scores: list[np.ndarray]
    groups: np.ndarray
    fold: np.ndarray


def simulate(rng, *, sizes, distance=1.7, shift=0.2, slope=0.15, n_scores=1, n_folds=1):
    """Scores of ``n_scores`` equally good models, on different scales, of genes on groups of given sizes."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    n, n_groups = len(group), len(sizes)
    y_true = rng.random(n) < 0.45
    common, scores = rng.normal(size=n), []
    for i in range(n_scores):
        signal = y_true * (distance + rng.normal(0, slope, n_groups))[group] + rng.normal(0, shift, n_groups)[group]
        own = rng.normal(size=n) if n_scores == 1 else np.sqrt(0.7) * common + np.sqrt(0.3) * rng.normal(size=n)
        scores.append(np.exp(i * (signal + own)) if i else signal + own)
    return Simulated(y_true.astype(int), scores, np.array([f"chr{i + 1}" for i in group]), group % n_folds)


def true_auc(*, distance=1.7, shift=0.2, slope=0.15):
    """The area over an endless number of groups."""
    return norm.cdf(distance / np.sqrt(2 * (1 + shift**2) + slope**2))


@pytest.fixture
def genes():
    """400 genes on 12 chromosomes of unequal size, in three folds, scored by two models."""
    rng = np.random.default_rng(0)
    return simulate(rng, sizes=[60, 55, 50, 45, 40, 35, 30, 25, 20, 15, 15, 10], n_scores=2, n_folds=3)

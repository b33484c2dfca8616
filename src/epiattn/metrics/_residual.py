"""What scores say beyond the mean of a gene in the training cell types."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._check import codes, numbers, pair
from ._gene_tables import MIN_CORRELATED, WithinGene
from ._regression import correlation


def residual_correlation(y_true: ArrayLike, y_score: ArrayLike, *, gene: ArrayLike, gene_mean: ArrayLike) -> WithinGene:
    """Correlation of truth and scores after the gene's mean over the training cell types is removed from both.

    It is removed by linear regression (a partial correlation). Subtracting it would reward saying nothing: the mean
    of a few cell types is itself noisy, and a constant less a noisy mean correlates with the truth less that mean.

    Parameters
    ----------
    y_true
        Expression, or labels in {0, 1}, shape ``(n,)``.
    y_score
        Scores, shape ``(n,)``.
    gene
        Gene of each observation, shape ``(n,)``.
    gene_mean
        Mean truth of the observation's gene in the training cell types, shape ``(n,)``, NaN where training had not
        seen the gene: see :func:`training_gene_mean`.

    Returns
    -------
    The correlation over all observations whose gene was seen in training; 0 for scores that are a linear function of
    the gene's mean.

    Raises
    ------
    ValueError
        If lengths differ, a value is NaN (other than in ``gene_mean``) or infinite, or a name is missing.

    Examples
    --------
    >>> import epiattn as attn
    >>> y_true, y_score, mean = [0.0, 1.0, 2.0, 4.0], [0.1, 0.2, 0.2, 0.5], [0.0, 0.0, 3.0, 3.0]
    >>> found = attn.metrics.residual_correlation(y_true, y_score, gene=["A", "B", "C", "D"], gene_mean=mean)
    >>> round(found.value, 4)
    0.9899
    """
    truth, score = pair(y_true, y_score, finite=True)
    found, names = codes(gene, "gene", len(truth))
    mean = np.asarray(gene_mean, dtype=float)
    if mean.shape != truth.shape:
        msg = f"gene_mean must hold one value for each of the {len(truth)} observations, its shape is {mean.shape}."
        raise ValueError(msg)
    seen = ~np.isnan(mean)
    n_genes = len(np.unique(found[seen]))
    if n_genes < MIN_CORRELATED:
        note = (
            f"training had seen {n_genes} of these {len(names)} genes, in other cell types; it sees them in splits by "
            "cell type"
        )
        return WithinGene(float("nan"), n_genes, len(names) - n_genes, note)
    left, predicted = (_without(values[seen], mean[seen]) for values in (truth, score))
    value, note = correlation(left, predicted), ""
    if not left.any():
        note = "the truth is a linear function of the gene's mean in training"
    elif not predicted.any():
        value, note = 0.0, "the scores are a linear function of the gene's mean in training"
    return WithinGene(value, n_genes, len(names) - n_genes, note)


def training_gene_mean(y_true: ArrayLike, *, gene: ArrayLike, train: ArrayLike) -> np.ndarray:
    """Mean truth of each observation's gene over the training observations (of other cell types).

    Parameters
    ----------
    y_true
        Expression, or labels in {0, 1}, of training and other observations, shape ``(n,)``.
    gene
        Gene of each observation, shape ``(n,)``.
    train
        Which observations the model was trained on, boolean, shape ``(n,)``.

    Returns
    -------
    The mean, shape ``(n,)``; NaN where no training observation is of the gene.

    Raises
    ------
    ValueError
        If lengths differ, a value is NaN, or a name is missing.

    Examples
    --------
    >>> import epiattn as attn
    >>> train = [True, True, False, False]
    >>> attn.metrics.training_gene_mean([0.0, 1.0, 1.0, 1.0], gene=["A", "A", "A", "B"], train=train).tolist()
    [0.5, 0.5, 0.5, nan]
    """
    truth = numbers(y_true, "y_true")
    found, names = codes(gene, "gene", len(truth))
    rows = np.asarray(train)
    if rows.shape != truth.shape or rows.dtype != bool:
        msg = f"train must hold True or False for each of the {len(truth)} observations."
        raise ValueError(msg)
    n = np.bincount(found[rows], minlength=len(names))
    total = np.bincount(found[rows], truth[rows], minlength=len(names))
    return (total / np.where(n > 0, n, np.nan))[found]


def _without(values: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Residuals of a linear regression on the mean; exactly 0 where nothing but rounding is left."""
    centred, regressor = values - values.mean(), mean - mean.mean()
    power = regressor @ regressor
    left = centred - regressor * (centred @ regressor / power) if power else centred
    return left if left @ left > 1e-20 * (values @ values) else np.zeros_like(left)

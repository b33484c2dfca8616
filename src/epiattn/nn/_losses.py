"""Losses, all means over the batch: the step does not depend on the batch size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def bce_loss(logit: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of labels, from logits.

    Parameters
    ----------
    logit
        Logits of class 1, shape ``(batch,)``.
    target
        Labels in {0, 1}, shape ``(batch,)``.

    Returns
    -------
    Mean over the batch, a scalar tensor.
    """
    return F.binary_cross_entropy_with_logits(logit, target.to(logit.dtype))


def focal_loss(logit: Tensor, target: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Focal loss of labels, from logits (finite at any logit).

    Parameters
    ----------
    logit
        Logits of class 1, shape ``(batch,)``.
    target
        Labels in {0, 1}, shape ``(batch,)``.
    gamma
        How strongly observations that are predicted well are weighted down; 0 gives binary cross-entropy.

    Returns
    -------
    Mean over the batch, a scalar tensor.

    References
    ----------
    Lin et al., ICCV (2017), arXiv 1708.02002.
    """
    margin = logit * (2 * target - 1)
    # (1 - p)^gamma through log(1 - p) = log sigmoid(-margin): no cancellation, finite gradients at any gamma.
    return -((gamma * F.logsigmoid(-margin)).exp() * F.logsigmoid(margin)).mean()


def huber_loss(prediction: Tensor, target: Tensor, *, delta: float = 1.0, known: Tensor | None = None) -> Tensor:
    """Huber loss of log-expression: squared up to ``delta``, linear beyond.

    Parameters
    ----------
    prediction
        Predicted log-expression, shape ``(batch,)``.
    target
        Measured log-expression, shape ``(batch,)``.
    delta
        Error at which the loss becomes linear, in units of log-expression.
    known
        ``True`` where the target is known, shape ``(batch,)``; ``None``: everywhere.

    Returns
    -------
    Mean over the known part of the batch, a scalar tensor; 0 if nothing is known.
    """
    if known is None:
        return F.huber_loss(prediction, target, delta=delta)
    losses = F.huber_loss(prediction, torch.where(known, target, 0), reduction="none", delta=delta)
    return torch.where(known, losses, 0).sum() / known.sum().clamp(min=1)


def pairwise_loss(score: Tensor, target: Tensor) -> Tensor:
    """Logistic ranking loss over all pairs of a batch whose targets differ; 0 where no pair differs.

    Parameters
    ----------
    score
        Scores, shape ``(batch,)``; only their differences count.
    target
        Labels or other values to rank by, shape ``(batch,)``.

    Returns
    -------
    Mean over these pairs, a scalar tensor.

    References
    ----------
    Burges et al., ICML (2005) (RankNet).
    """
    higher = target[:, None] > target[None, :]
    if not higher.any():
        return score.sum() * 0.0
    return F.softplus(-(score[:, None] - score[None, :])[higher]).mean()

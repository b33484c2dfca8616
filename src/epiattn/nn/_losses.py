"""Losses, all means over the batch: the step does not depend on the batch size."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def bce_loss(logit: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of labels in {0, 1}, shape ``(batch,)``, from logits."""
    return F.binary_cross_entropy_with_logits(logit, target.to(logit.dtype))


def focal_loss(logit: Tensor, target: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Focal loss of labels in {0, 1}, shape ``(batch,)``, from logits (finite at any logit).

    References
    ----------
    Lin et al., ICCV (2017), arXiv 1708.02002.
    """
    margin = logit * (2 * target - 1)
    # (1 - p)^gamma through log(1 - p) = log sigmoid(-margin): no cancellation, finite gradients at any gamma.
    return -((gamma * F.logsigmoid(-margin)).exp() * F.logsigmoid(margin)).mean()


def huber_loss(prediction: Tensor, target: Tensor, *, delta: float = 1.0) -> Tensor:
    """Huber loss of log-expression, shape ``(batch,)``: squared up to ``delta``, linear beyond."""
    return F.huber_loss(prediction, target, delta=delta)


def pairwise_loss(score: Tensor, target: Tensor) -> Tensor:
    """Logistic ranking loss over all pairs of a batch whose targets differ; 0 where no pair differs.

    References
    ----------
    Burges et al., ICML (2005) (RankNet).
    """
    higher = target[:, None] > target[None, :]
    if not higher.any():
        return score.sum() * 0.0
    return F.softplus(-(score[:, None] - score[None, :])[higher]).mean()

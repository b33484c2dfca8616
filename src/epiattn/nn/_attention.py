"""Additive attention: which positions of a sequence carry the signal."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def masked_softmax(logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax over the last axis in which masked positions get a weight of exactly zero.

    Parameters
    ----------
    logits
        Scores, shape ``(..., positions)``.
    mask
        ``True`` where a position is valid, broadcastable to ``logits``. ``None``: all are valid.

    Returns
    -------
    Weights of the shape of ``logits``. A row sums to 1, or to 0 where no position is valid.
    """
    if mask is None:
        return logits.softmax(-1)
    # A row without any valid position would be a softmax over nothing but -inf, which is NaN in the output and
    # in the gradient: it is computed as an ordinary row and zeroed afterwards.
    empty = ~mask.any(-1, keepdim=True)
    return logits.masked_fill(~(mask | empty), -torch.inf).softmax(-1).masked_fill(~mask, 0.0)


class AdditiveAttention(nn.Module):
    r"""Additive attention over the positions of a sequence.

    :math:`\alpha = \mathrm{softmax}(w_2^\top \tanh(W_1 H + b_1) + b_2)`, context :math:`\sum_p \alpha_p H_p`.

    Parameters
    ----------
    n_features
        Features of each position.
    n_hidden
        Units of the scoring layer.

    References
    ----------
    Kang et al., Front. Genet. 11:869 (2020).
    """

    def __init__(self, n_features: int, n_hidden: int = 16) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_features, n_hidden)
        self.score = nn.Linear(n_hidden, 1)

    def forward(self, states: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Summarise a sequence by its weighted mean.

        Parameters
        ----------
        states
            Shape ``(batch, positions, features)``.
        mask
            ``True`` where a position is valid, shape ``(batch, positions)``.

        Returns
        -------
        The context, shape ``(batch, features)``, and the weights, shape ``(batch, positions)``. Both are zero where
        a row has no valid position.
        """
        weights = masked_softmax(self.score(torch.tanh(self.hidden(states))).squeeze(-1), mask)
        return torch.einsum("bp,bpf->bf", weights, states), weights

"""Histone marks around the TSS, each read by itself: attention over bins, then over marks (AttentiveChrome)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ContextAttention(nn.Module):
    r"""Attention by one learned vector: :math:`\alpha = \mathrm{softmax}(Hw)`, context :math:`\sum_p \alpha_p H_p`.

    Parameters
    ----------
    n_features
        Features of each position.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.score = nn.Linear(n_features, 1, bias=False)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Summarise a sequence by its weighted mean.

        Parameters
        ----------
        states
            Shape ``(batch, positions, features)``.

        Returns
        -------
        The context, shape ``(batch, features)``, and the weights, shape ``(batch, positions)``.
        """
        weights = self.score(states).squeeze(-1).softmax(-1)
        return torch.einsum("bp,bpf->bf", weights, states), weights


class AttentiveChromeRNN(nn.Module):
    r"""AttentiveChrome up to its classifier: a BiLSTM and attention for each mark, then one of each over the marks.

    Every mark has a BiLSTM over its bins and an attention of its own, with weights :math:`\alpha_{mb}`; a second BiLSTM
    runs over the marks' contexts, in their order, and a second attention weighs the marks by :math:`\beta_m`. The
    attention of the whole is :math:`\beta_m \alpha_{mb}`.

    Parameters
    ----------
    n_marks
        Marks (channels).
    n_bins
        Bins of the window around the TSS.
    n_hidden
        LSTM units over the bins of a mark, in each direction.
    n_hidden_marks
        LSTM units over the marks, in each direction.
    dropout
        Share of the states of both BiLSTMs that is dropped in training.

    References
    ----------
    Singh et al., NeurIPS (2017), arXiv 1708.00339.
    """

    def __init__(
        self, n_marks: int, n_bins: int, *, n_hidden: int = 32, n_hidden_marks: int = 16, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.n_marks, self.n_bins = n_marks, n_bins
        self.n_context = 2 * n_hidden_marks
        self.bin_rnns = nn.ModuleList(
            nn.LSTM(1, n_hidden, batch_first=True, bidirectional=True) for _ in range(n_marks)
        )
        self.bin_attentions = nn.ModuleList(ContextAttention(2 * n_hidden) for _ in range(n_marks))
        self.mark_rnn = nn.LSTM(2 * n_hidden, n_hidden_marks, batch_first=True, bidirectional=True)
        self.mark_attention = ContextAttention(2 * n_hidden_marks)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed the marks of a batch of genes.

        Parameters
        ----------
        x
            Normalised signal, shape ``(batch, n_marks, n_bins)``, bins in 5' to 3' order.
        mask
            Not used: every bin holds a value. Part of the contract that all encoders share.

        Returns
        -------
        Context, shape ``(batch, n_context)``, and attention over marks and bins, shape ``(batch, n_marks, n_bins)``,
        which sums to 1 for each gene.
        """
        contexts, bin_weights = [], []
        for rnn, attention, mark in zip(self.bin_rnns, self.bin_attentions, x.unbind(1), strict=True):
            context, weights = attention(self.dropout(rnn(mark[..., None])[0]))
            contexts.append(context)
            bin_weights.append(weights)
        states = self.dropout(self.mark_rnn(torch.stack(contexts, dim=1))[0])
        context, mark_weights = self.mark_attention(states)
        return context, mark_weights[..., None] * torch.stack(bin_weights, dim=1)

    def uniform_attention(self) -> Tensor:
        """Attention over bins, summed over the marks, where all marks and bins weigh the same.

        Returns
        -------
        Shape ``(n_bins,)``, sums to 1.
        """
        return self.mark_attention.score.weight.new_full((self.n_bins,), 1 / self.n_bins)

"""DNA methylation around the TSS: a dynamic recurrent network over lists of CpGs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ._attention import AdditiveAttention
from ._rnn import DynamicBiLSTM

#: CpG slots that a CPU runs through at a time.
_N_SLOTS_ON_CPU = 4_096


class MethylationRNN(nn.Module):
    """Methylation branch of Kang et al. 2020: dynamic BiLSTM and additive attention over valid CpGs only.

    The published code multiplies the logits of padded CpGs by zero, which leaves most of the attention on padding;
    here the weight of padding is exactly zero.

    Parameters
    ----------
    n_channels
        Values of each CpG (level, position, ...).
    n_hidden
        LSTM units in each direction.
    n_attention
        Units of the attention's scoring layer.

    References
    ----------
    Kang et al., Front. Genet. 11:869 (2020).
    """

    def __init__(self, n_channels: int = 2, *, n_hidden: int = 10, n_attention: int = 16) -> None:
        super().__init__()
        self.n_context = 2 * n_hidden
        self.rnn = DynamicBiLSTM(n_channels, n_hidden)
        self.attention = AdditiveAttention(2 * n_hidden, n_attention)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed the CpGs of a batch of genes.

        Parameters
        ----------
        x
            CpGs, shape ``(batch, slots, n_channels)``, valid ones first, in 5' to 3' order.
        mask
            ``True`` where a slot holds a CpG, shape ``(batch, slots)``; ``None``: everywhere.

        Returns
        -------
        Context, shape ``(batch, n_context)``, and attention over CpGs, shape ``(batch, slots)``. Both are zero where
        a gene has no CpG (the network then uses its learned vector for a missing modality).
        """
        if x.shape[1] == 0:
            return x.new_zeros(len(x), self.n_context), x.new_zeros(len(x), 0)
        if mask is None:
            mask = x.new_ones(x.shape[:2], dtype=torch.bool)
        lengths = mask.sum(1)
        x = x.masked_fill(~mask[..., None], 0.0)
        if x.device.type != "cpu":
            return self._embed(x, mask, lengths)
        longest_first, order = lengths.sort(descending=True)
        groups = order.split(_group_sizes(longest_first.tolist()))
        parts = [self._embed(x[rows], mask[rows], lengths[rows]) for rows in groups]
        context, attention = (torch.cat(each)[order.argsort()] for each in zip(*parts, strict=True))
        return context, attention

    def _embed(self, x: Tensor, mask: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """One group of lists, cut at the longest of them."""
        n_slots, longest = x.shape[1], max(int(lengths.max()), 1)
        context, attention = self.attention(self.rnn(x[:, :longest], lengths), mask[:, :longest])
        return context, nn.functional.pad(attention, (0, n_slots - longest))


def _group_sizes(lengths: Sequence[int]) -> list[int]:
    """Sizes of groups of lists of similar length that a CPU's cache takes, for lengths in descending order."""
    sizes, start = [], 0
    while start < len(lengths):
        sizes.append(max(_N_SLOTS_ON_CPU // max(lengths[start], 1), 1))
        start += sizes[-1]
    sizes[-1] -= start - len(lengths)
    return sizes

"""Histone marks around the TSS: convolution, recurrence, attention (CRNN)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._attention import AdditiveAttention


class HistoneCRNN(nn.Module):
    """Histone branch of Kang et al. 2020: CNN, BiLSTM and additive attention.

    One convolution over all marks (kernel ``n_marks`` x ``kernel_size``, no padding), batch normalisation, ReLU,
    max-pooling, a BiLSTM over the pooled positions and additive attention. The first convolution mixes the marks:
    the attention says *where*, never *which mark*.

    Parameters
    ----------
    n_marks
        Marks (channels).
    n_bins
        Bins of the window around the TSS.
    n_kernels
        Convolution kernels.
    kernel_size
        Bins under a kernel.
    pool_size
        Width and stride of the max-pooling.
    n_hidden
        LSTM units in each direction.
    n_attention
        Units of the attention's scoring layer.

    Raises
    ------
    ValueError
        If the window has fewer bins than the kernel.

    References
    ----------
    Kang et al., Front. Genet. 11:869 (2020).
    """

    def __init__(
        self,
        n_marks: int,
        n_bins: int,
        *,
        n_kernels: int = 20,
        kernel_size: int = 7,
        pool_size: int = 3,
        n_hidden: int = 40,
        n_attention: int = 16,
    ) -> None:
        super().__init__()
        if n_bins < kernel_size:
            msg = (
                f"The window has {n_bins} bins, fewer than the {kernel_size} bins of the convolution kernel: use a "
                f"larger window, smaller bins, or kernel_size <= {n_bins}."
            )
            raise ValueError(msg)
        self.n_context = 2 * n_hidden
        # Over all marks at once, a 2-D kernel of n_marks x kernel_size is a 1-D convolution with marks as channels.
        self.convolution = nn.Conv1d(n_marks, n_kernels, kernel_size)
        self.norm = nn.BatchNorm1d(n_kernels)
        self.pool = nn.MaxPool1d(pool_size, stride=pool_size, padding=pool_size // 2)
        self.rnn = nn.LSTM(n_kernels, n_hidden, batch_first=True, bidirectional=True)
        self.attention = AdditiveAttention(2 * n_hidden, n_attention)
        #: Share of each bin in the attention of each pooled position, shape ``(positions, n_bins)``.
        self.bins: Tensor
        self.register_buffer("bins", _receptive_field(n_bins, kernel_size, pool_size), persistent=False)

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
        Context, shape ``(batch, n_context)``, and attention over bins, shape ``(batch, n_bins)``: each pooled
        position's weight is spread equally over the bins of its receptive field, a row sums to 1.

        Raises
        ------
        ValueError
            If there are other marks or bins than the encoder was made for.
        """
        if x.shape[1:] != (self.convolution.in_channels, self.bins.shape[1]):
            expected = (self.convolution.in_channels, self.bins.shape[1])
            msg = f"Expected (n_marks, n_bins) = {expected} for each observation, got {tuple(x.shape[1:])}."
            raise ValueError(msg)
        features = self.pool(torch.relu(self.norm(self.convolution(x))))
        states, _ = self.rnn(features.transpose(1, 2))
        context, weights = self.attention(states)
        return context, weights @ self.bins

    def uniform_attention(self) -> Tensor:
        """Attention over bins where all pooled positions weigh the same: it falls off at the window's borders.

        Returns
        -------
        Shape ``(n_bins,)``, sums to 1.
        """
        return self.bins.mean(0)


def _receptive_field(n_bins: int, kernel_size: int, pool_size: int) -> Tensor:
    """Bins that each pooled position sees, as weights: shape ``(positions, n_bins)``, rows sum to 1."""
    n_windows = n_bins - kernel_size + 1
    padding = pool_size // 2
    n_positions = (n_windows + 2 * padding - pool_size) // pool_size + 1
    position = torch.arange(n_positions)[:, None]
    first_window = (position * pool_size - padding).clamp(min=0)
    last_window = (position * pool_size - padding + pool_size - 1).clamp(max=n_windows - 1)
    bins = torch.arange(n_bins)
    seen = ((bins >= first_window) & (bins <= last_window + kernel_size - 1)).float()
    return seen / seen.sum(1, keepdim=True)

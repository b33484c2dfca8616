"""Histone marks around the TSS: one convolution and a multi-layer perceptron (DeepChrome)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DeepChromeCNN(nn.Module):
    """DeepChrome up to its last hidden layer: convolution, ReLU, max-pooling, dropout, multi-layer perceptron.

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
        Width and stride of the max-pooling; windows that do not fill a last pool are left out.
    n_hidden
        Units of the hidden layers, each followed by ReLU; the last ones are the context.
    dropout
        Share of the pooled features that is dropped in training.

    Raises
    ------
    ValueError
        If the window has too few bins for the kernel and one pool.

    References
    ----------
    Singh et al., Bioinformatics 32:i639 (2016), doi 10.1093/bioinformatics/btw427.
    """

    #: The network has no attention; what it returns as such is the same for all bins and genes.
    attends = False

    def __init__(
        self,
        n_marks: int,
        n_bins: int,
        *,
        n_kernels: int = 50,
        kernel_size: int = 10,
        pool_size: int = 5,
        n_hidden: Sequence[int] = (625, 125),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if n_bins < (smallest := kernel_size + pool_size - 1):
            msg = (
                f"The window has {n_bins} bins, fewer than the {smallest} that a convolution kernel of {kernel_size} "
                f"bins and a pool of {pool_size} need: use a larger window or smaller bins, or a smaller kernel_size "
                "or pool_size."
            )
            raise ValueError(msg)
        self.n_bins = n_bins
        self.convolution = nn.Conv1d(n_marks, n_kernels, kernel_size)
        self.pool = nn.MaxPool1d(pool_size)
        self.dropout = nn.Dropout(dropout)
        sizes = [n_kernels * ((n_bins - kernel_size + 1) // pool_size), *n_hidden]
        pairs = zip(sizes[:-1], sizes[1:], strict=True)
        self.perceptron = nn.Sequential(*(layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())))
        self.n_context = sizes[-1]

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
        Context, shape ``(batch, n_context)``, and, in place of the attention that the network does not have, equal
        weights for all bins, shape ``(batch, n_bins)``.
        """
        features = self.pool(torch.relu(self.convolution(x)))
        return self.perceptron(self.dropout(features.flatten(1))), self.uniform_attention().expand(len(x), -1)

    def uniform_attention(self) -> Tensor:
        """Equal weights for all bins.

        Returns
        -------
        Shape ``(n_bins,)``, sums to 1.
        """
        return self.convolution.weight.new_full((self.n_bins,), 1 / self.n_bins)

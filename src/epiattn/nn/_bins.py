"""Layers over bins whose features come last: the layout in which a CPU multiplies and normalises without copies."""

from __future__ import annotations

from torch import Tensor, nn


class BinConvolution(nn.Conv1d):
    """Convolution over the bins that keeps their number, shape ``(batch, bins, features)`` in and out.

    The same function, weights and initialisation as :class:`torch.nn.Conv1d`, which has the bins last.

    Parameters
    ----------
    n_in, n_out
        Features.
    kernel_size
        Bins under a kernel; odd.
    dilation
        Bins from one to the next of them.
    """

    def __init__(self, n_in: int, n_out: int, kernel_size: int, *, dilation: int = 1) -> None:
        super().__init__(n_in, n_out, kernel_size, padding=dilation * (kernel_size // 2), dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a batch."""
        # An image of one row is the convolution for which PyTorch knows a layout with features last.
        image, weight = x[:, None].permute(0, 3, 1, 2), self.weight[:, :, None]
        padding, dilation = (0, *self.padding), (1, *self.dilation)  # type: ignore[misc]  # of numbers, as given above
        out = nn.functional.conv2d(image, weight, self.bias, padding=padding, dilation=dilation)
        return out.squeeze(2).transpose(1, 2)


class BinNorm(nn.BatchNorm1d):
    """Batch normalisation of features over all bins, shape ``(batch, bins, features)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise a batch."""
        return super().forward(x.flatten(0, 1)).view(x.shape)

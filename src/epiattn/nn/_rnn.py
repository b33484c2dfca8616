"""Recurrent networks over sequences of different lengths."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def flip_valid(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse every sequence inside its own length; what lies beyond stays where it is.

    Parameters
    ----------
    x
        Shape ``(batch, positions, features)``.
    lengths
        Valid positions of each sequence, shape ``(batch,)``.

    Returns
    -------
    A tensor of the shape of ``x``.
    """
    position = torch.arange(x.shape[1], device=x.device)
    source = torch.where(position < lengths[:, None], lengths[:, None] - 1 - position, position)
    return x.gather(1, source[..., None].expand_as(x))


class DynamicBiLSTM(nn.Module):
    """Bidirectional LSTM over left-aligned sequences of different lengths.

    The backward direction starts at the last *valid* position. Equal to a packed bidirectional LSTM, and several
    times faster on a CPU: a forward LSTM runs over the sequences and a second one over the sequences flipped inside
    their lengths, so that padding comes last in both and cannot influence what is valid.

    Parameters
    ----------
    n_inputs
        Features of each position.
    n_hidden
        Units in each direction.
    """

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(n_inputs, n_hidden, batch_first=True)
        self.back = nn.LSTM(n_inputs, n_hidden, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Run both directions.

        Parameters
        ----------
        x
            Shape ``(batch, positions, n_inputs)``.
        lengths
            Valid positions of each sequence, shape ``(batch,)``; 0 is allowed.

        Returns
        -------
        States, shape ``(batch, positions, 2 * n_hidden)``, zero beyond each sequence's length.
        """
        ahead, _ = self.ahead(x)
        back, _ = self.back(flip_valid(x, lengths))
        states = torch.cat([ahead, flip_valid(back, lengths)], dim=-1)
        valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        return states.masked_fill(~valid[..., None], 0.0)

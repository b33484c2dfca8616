"""Signal cut into levels, so that a network sees thresholds as easily as a decision tree does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn


class SignalLevels(nn.Module):
    r"""Piecewise linear encoding of a signal: how far it fills each of several levels, mark by mark.

    With knots :math:`0 = t_0 < t_1 < \dots < t_Q` of a mark, level q of a signal x is
    :math:`(x - t_{q-1}) / (t_q - t_{q-1})`, cut off at 0 and, but for the last level, at 1. A last channel tells a
    signal of exactly 0 (no peak, no read) from a low one. The knots are quantiles of the mark's positive values in the
    training data (:meth:`learn`).

    Parameters
    ----------
    n_marks
        Marks.
    n_levels
        Levels of each mark.

    References
    ----------
    Gorishniy, Rubachev & Babenko, NeurIPS (2022), arXiv 2203.05556.
    """

    #: Positive values of a mark that its knots are learned from, at most.
    N_VALUES = 100_000

    def __init__(self, n_marks: int, n_levels: int = 4) -> None:
        super().__init__()
        if n_levels < 1:
            msg = f"n_levels must be 1 or more, not {n_levels}."
            raise ValueError(msg)
        self.n_marks, self.n_levels = n_marks, n_levels
        self.n_channels = n_marks * (n_levels + 1)
        self.knots: Tensor
        self.register_buffer("knots", torch.linspace(0, 2, n_levels + 1).repeat(n_marks, 1))
        self._end: Tensor | None = None

    def learn(self, values: Tensor) -> None:
        """Learn the knots; a mark without a positive value keeps what it has.

        Parameters
        ----------
        values
            Scaled signal of training observations, shape ``(n_obs, n_marks, n_bins)``.
        """
        quantiles = np.linspace(0, 1, self.n_levels + 1)[1:]
        for mark in range(self.n_marks):
            positive = values[:, mark][values[:, mark] > 0]
            if len(positive):
                some = positive[:: -(-len(positive) // self.N_VALUES)].numpy()
                knots = np.concatenate([[0.0], np.quantile(some, quantiles)])
                knots += 1e-3 * knots[-1] * np.arange(len(knots))  # where values are few, quantiles are equal
                self.knots[mark] = torch.from_numpy(knots)

    def forward(self, x: Tensor) -> Tensor:
        """Encode a batch.

        Parameters
        ----------
        x
            Scaled signal, shape ``(batch, n_marks, n_bins)``; not negative.

        Returns
        -------
        Shape ``(batch, n_marks, n_levels + 1, n_bins)``: the levels, and 1 where there is any signal.
        """
        if self._end is None:
            return self._encode(x)
        end = self._end.repeat(len(x) // len(self._end), 1, 1)
        share = x / torch.where(end > 0, end, 1)
        return torch.where(end[:, :, None] > 0, share[:, :, None] * self._encode(end), self._encode(x))

    def _encode(self, x: Tensor) -> Tensor:
        low, high = self.knots[:, :-1, None], self.knots[:, 1:, None]
        filled = ((x[:, :, None] - low) / (high - low)).clamp(min=0)
        cut = filled[:, :, :-1].clamp(max=1)
        return torch.cat([cut, filled[:, :, -1:], (x > 0).to(x.dtype)[:, :, None]], dim=2)

    @contextmanager
    def path_to(self, end: Tensor) -> Iterator[None]:
        """Let all levels grow in proportion to the signal, on a way from 0 to an end.

        Levels have kinks, and what tells 0 from a low signal jumps: a sum of gradients along the way would need many
        steps, and miss the jump. At 0 and at the end nothing changes.

        Parameters
        ----------
        end
            Where the way ends, shape ``(batch, n_marks, n_bins)``; batches may hold several copies of these
            observations, one behind the other.

        Yields
        ------
        Nothing; it holds within the ``with`` block.
        """
        self._end = end
        try:
            yield
        finally:
            self._end = None

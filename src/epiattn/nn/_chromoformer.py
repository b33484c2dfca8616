"""The three transformers of Chromoformer: of a promoter, of its interactions, and of their sum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._transformer import TransformerLayer, sinusoids


class EmbeddingTransformer(nn.Module):
    """Self-attention over the bins of a promoter, read off at the bin of the TSS.

    Parameters
    ----------
    n_marks
        Marks (channels).
    n_bins
        Bins of the window around the TSS.
    centre
        The bin of the TSS.
    n_features, n_inner, n_heads, n_hidden, n_layers, dropout
        Sizes of the layers; see :class:`~epiattn.nn.TransformerLayer`.
    """

    def __init__(
        self,
        n_marks: int,
        n_bins: int,
        centre: int,
        *,
        n_features: int = 128,
        n_inner: int = 128,
        n_heads: int = 2,
        n_hidden: int = 128,
        n_layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.centre = centre
        self.project = nn.Linear(n_marks, n_features, bias=False)
        self.layers = nn.ModuleList(
            TransformerLayer(n_features, n_heads, n_hidden, n_inner=n_inner, dropout=dropout) for _ in range(n_layers)
        )
        self.positions: Tensor
        self.register_buffer("positions", sinusoids(n_bins, n_features), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Embed promoters.

        Parameters
        ----------
        x
            Normalised signal, shape ``(batch, n_marks, n_bins)``.

        Returns
        -------
        State of the TSS's bin, shape ``(batch, n_features)``, and the attention that this bin pays to all bins in the
        last layer, as a mean over the heads, shape ``(batch, n_bins)``.
        """
        states = self.project(x.transpose(1, 2)) + self.positions
        *first, last = self.layers
        for layer in first:
            states, _ = layer(states, states)
        state, weights = last(states[:, self.centre : self.centre + 1], states)  # no other bin is read
        return state[:, 0], weights[:, :, 0].mean(1)


class PairwiseInteractionTransformer(nn.Module):
    """Attention of a promoter's embedding to the bins of one region that it touches.

    Parameters
    ----------
    n_marks
        Marks (channels).
    n_bins
        Bins of a region.
    n_features, n_inner, n_heads, n_hidden, n_layers, dropout
        Sizes of the layers; see :class:`~epiattn.nn.TransformerLayer`.
    """

    def __init__(
        self,
        n_marks: int,
        n_bins: int,
        *,
        n_features: int = 128,
        n_inner: int = 128,
        n_heads: int = 2,
        n_hidden: int = 256,
        n_layers: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(n_marks, n_features, bias=False)
        self.layers = nn.ModuleList(
            TransformerLayer(n_features, n_heads, n_hidden, n_inner=n_inner, dropout=dropout) for _ in range(n_layers)
        )
        self.positions: Tensor
        self.register_buffer("positions", sinusoids(n_bins, n_features), persistent=False)

    def forward(self, promoter: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
        """Embed pairs of a promoter and a region.

        Parameters
        ----------
        promoter
            Embedding of the promoter, shape ``(pairs, n_features)``.
        region
            Normalised signal of the region, shape ``(pairs, n_marks, n_bins)``.

        Returns
        -------
        The promoter's embedding in the light of the region, shape ``(pairs, n_features)``, and the attention to the
        region's bins, as a mean over layers and heads, shape ``(pairs, n_bins)``.
        """
        keys = self.project(region.transpose(1, 2)) + self.positions
        states, seen = promoter[:, None], []
        for layer in self.layers:
            states, weights = layer(states, keys)
            seen.append(weights[:, :, 0].mean(1))
        return states[:, 0], torch.stack(seen).mean(0)


class RegulationTransformer(nn.Module):
    r"""Gated self-attention among a promoter and its interactions, read off at the promoter.

    The promoter's score of an interaction has :math:`\gamma f` added, with its frequency :math:`f` and a :math:`\gamma`
    that each head of each layer learns. What the promoter came in with is added to what comes out.

    Parameters
    ----------
    n_features, n_inner, n_heads, n_hidden, n_layers, dropout
        Sizes of the layers; see :class:`~epiattn.nn.TransformerLayer`.
    """

    def __init__(
        self,
        n_features: int = 128,
        *,
        n_inner: int = 256,
        n_heads: int = 8,
        n_hidden: int = 256,
        n_layers: int = 6,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_features = n_features
        self.layers = nn.ModuleList(
            TransformerLayer(n_features, n_heads, n_hidden, n_inner=n_inner, gated=True, dropout=dropout)
            for _ in range(n_layers)
        )
        self.gamma = nn.Parameter(torch.ones(n_layers, n_heads))

    def forward(
        self, tokens: Tensor, frequency: Tensor | None = None, empty: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Sum up the regulation of promoters.

        Parameters
        ----------
        tokens
            The promoter, then its interactions, shape ``(batch, 1 + n_regions, n_features)``.
        frequency
            Of the promoter's interaction with each token (with itself: 0), shape ``(batch, 1 + n_regions)``; ``None``:
            0 for all.
        empty
            Tokens that are not there, shape ``(batch, 1 + n_regions)``; ``None``: all are.

        Returns
        -------
        State of the promoter, shape ``(batch, n_features)``, and the attention that it pays to all tokens, as a mean
        over layers and heads, shape ``(batch, 1 + n_regions)``.
        """
        states, seen = tokens, []
        mask = None if empty is None else torch.zeros_like(tokens[..., 0]).masked_fill(empty, -torch.inf)[:, None, None]
        for i, layer in enumerate(self.layers):
            last = i == len(self.layers) - 1
            queries = states[:, :1] if last else states  # no other token is read
            states, weights = layer(queries, states, self._bias(i, queries.shape[1], frequency, mask))
            seen.append(weights[:, :, 0].mean(1))
        return states[:, 0] + tokens[:, 0], torch.stack(seen).mean(0)

    def _bias(self, layer: int, n_queries: int, frequency: Tensor | None, mask: Tensor | None) -> Tensor | None:
        """What a layer adds to its scores: the frequency to those of the promoter, the first query, and the mask."""
        if frequency is None:
            return mask
        promoter = self.gamma[layer][:, None, None] * frequency[:, None, None]
        bias = nn.functional.pad(promoter, (0, 0, 0, n_queries - 1))
        return bias if mask is None else bias + mask

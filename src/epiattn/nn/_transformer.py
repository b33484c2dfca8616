"""Transformer layers that return their attention, small enough for a CPU."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def sinusoids(n_positions: int, n_features: int) -> Tensor:
    """Sinusoidal encoding of positions: sines of the even features, cosines of the odd ones.

    Parameters
    ----------
    n_positions
        Positions of the sequence.
    n_features
        Features of each position.

    Returns
    -------
    Shape ``(n_positions, n_features)``.

    References
    ----------
    Vaswani et al., NeurIPS (2017), arXiv 1706.03762.
    """
    even = torch.arange(0, n_features, 2)
    angle = torch.arange(n_positions)[:, None] * torch.exp(even * (-math.log(10_000.0) / n_features))
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)[:, :n_features]


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with several heads.

    Exact shortcuts where there is one query: it is brought into the space of the keys, instead of all keys into its
    own, and values are projected after they have been averaged. With one key there is nothing to compare.

    Parameters
    ----------
    n_features
        Features of queries, keys and outputs.
    n_heads
        Heads.
    n_inner
        Features of all heads together; ``None``: ``n_features``.
    gated
        Multiply what is read, feature by feature, by a sigmoid of a projection of the query.

    Raises
    ------
    ValueError
        If the heads do not divide the features.

    References
    ----------
    Vaswani et al., NeurIPS (2017), arXiv 1706.03762.
    """

    def __init__(self, n_features: int, n_heads: int, *, n_inner: int | None = None, gated: bool = False) -> None:
        super().__init__()
        n_inner = n_features if n_inner is None else n_inner
        if n_inner % n_heads:
            msg = f"{n_inner} features cannot be divided among {n_heads} heads."
            raise ValueError(msg)
        self.n_heads = n_heads
        self.query, self.key, self.value = (nn.Linear(n_features, n_inner, bias=False) for _ in range(3))
        self.gate = nn.Linear(n_features, n_inner, bias=False) if gated else None
        self.output = nn.Linear(n_inner, n_features)

    def forward(self, queries: Tensor, keys: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Let queries attend to keys.

        Parameters
        ----------
        queries
            Shape ``(batch, n_queries, n_features)``.
        keys
            What is attended to and read from, shape ``(batch, n_keys, n_features)``.
        bias
            Added to the scores before the softmax (``-inf``: not attended to), shape ``(batch, n_heads, n_queries,
            n_keys)`` or one that broadcasts to it.

        Returns
        -------
        Shape ``(batch, n_queries, n_features)``, and the weights, shape ``(batch, n_heads, n_queries, n_keys)``.
        """
        attended, weights = self._attend(queries, keys, bias)
        if self.gate is not None:
            attended = attended * self.gate(queries).sigmoid()
        return self.output(attended), weights

    def _attend(self, queries: Tensor, keys: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        if keys.shape[1] == 1:
            weights = keys.new_ones(len(keys), self.n_heads, queries.shape[1], 1)
            return self.value(keys).expand(-1, queries.shape[1], -1), weights
        query = self._split(self.query(queries)) / math.sqrt(self.key.out_features // self.n_heads)
        if queries.shape[1] == 1:
            query = (query.transpose(0, 1)[:, :, 0] @ self.key.weight.unflatten(0, (self.n_heads, -1))).transpose(0, 1)
            weights = _softmax((query @ keys.transpose(1, 2))[:, :, None], bias)
            mean = (weights[:, :, 0] @ keys).transpose(0, 1)
            value = mean @ self.value.weight.unflatten(0, (self.n_heads, -1)).transpose(1, 2)
            return value.transpose(0, 1).flatten(1)[:, None], weights
        weights = _softmax(query @ self._split(self.key(keys)).transpose(2, 3), bias)
        return (weights @ self._split(self.value(keys))).transpose(1, 2).flatten(2), weights

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.n_heads, -1)).transpose(1, 2)


def _softmax(scores: Tensor, bias: Tensor | None) -> Tensor:
    return (scores if bias is None else scores + bias).softmax(-1)


class TransformerLayer(nn.Module):
    """Attention and a feed-forward network, each with dropout, a residual connection and layer normalisation.

    Parameters
    ----------
    n_features
        Features of each position.
    n_heads
        Heads of the attention.
    n_hidden
        Units of the feed-forward network.
    n_inner, gated
        See :class:`MultiHeadAttention`.
    dropout
        Share of both sub-layers' outputs that is dropped in training.

    References
    ----------
    Vaswani et al., NeurIPS (2017), arXiv 1706.03762.
    """

    def __init__(
        self,
        n_features: int,
        n_heads: int,
        n_hidden: int,
        *,
        n_inner: int | None = None,
        gated: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(n_features, n_heads, n_inner=n_inner, gated=gated)
        self.feed_forward = nn.Sequential(nn.Linear(n_features, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_features))
        self.norms = nn.ModuleList(nn.LayerNorm(n_features) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Update the queries by what they attend to.

        Parameters
        ----------
        queries
            Shape ``(batch, n_queries, n_features)``.
        keys
            Shape ``(batch, n_keys, n_features)``; the queries themselves for self-attention.
        bias
            See :class:`MultiHeadAttention`.

        Returns
        -------
        Shape ``(batch, n_queries, n_features)``, and the weights, shape ``(batch, n_heads, n_queries, n_keys)``.
        """
        attended, weights = self.attention(queries, keys, bias)
        states = self.norms[0](queries + self.dropout(attended))
        return self.norms[1](states + self.dropout(self.feed_forward(states))), weights

"""CpGs and transcription factors as sets: attention that reads, and numbers that sum up."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ._attention import masked_softmax
from ._summary import Standardize


class CpGAttention(nn.Module):
    r"""DNA methylation as a set of CpGs: a small network of each CpG, and several attentions over the valid ones.

    CpG c with channels :math:`x_c` (level, position, …) becomes :math:`h_c`, by two layers; query k has weights
    :math:`\alpha^{(k)}_c = \mathrm{softmax}_c(w_k^\top h_c + g_k(p_c))` and reads the weighted mean of :math:`h_c`. The
    hill :math:`g_k(p) = -(p - \mu_k)^2 / 2\sigma_k^2` over the position has a learned centre and width; hills start at
    the TSS, each half as wide as the one before. Beside what is read stand numbers that a small training set can use
    as they are: how many CpGs there are and the mean of each channel, in all and under each query. Order and padding do
    not matter, and there is no recurrence.

    Parameters
    ----------
    n_channels
        Values of each CpG.
    place
        Which channel is the position, from -1 to 1 with the TSS at 0; ``None``: none is, and there are no hills.
    n_features
        Features of each CpG and of what is read.
    n_queries
        Attentions over the CpGs.
    dropout
        Share of what is read that is dropped in training.

    References
    ----------
    Zaheer et al., NeurIPS (2017), arXiv 1703.06114 (functions of sets); Ilse, Tomczak & Welling, ICML (2018), arXiv
    1802.04712 (attention over sets).
    """

    #: Several networks may be trained at once, by ``torch.func.vmap``.
    vectorizes = True

    def __init__(
        self,
        n_channels: int = 2,
        *,
        place: int | None = None,
        n_features: int = 16,
        n_queries: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.place = place
        n_summary = (1 + n_queries) * (1 + n_channels)
        self.n_context = n_features + n_summary
        self.embed = nn.Sequential(
            nn.Linear(n_channels, 2 * n_features), nn.GELU(), nn.Linear(2 * n_features, n_features), nn.GELU()
        )
        self.scores = nn.Linear(n_features, n_queries)
        self.centre = nn.Parameter(torch.zeros(n_queries))
        self.log_width = nn.Parameter(-math.log(2) * torch.arange(float(n_queries)))
        self.dropout = nn.Dropout(dropout)
        self.reduce = nn.Linear(n_queries * n_features, n_features)
        self.standardize = Standardize(n_summary)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed the CpGs of a batch of genes.

        Parameters
        ----------
        x
            Channels of each CpG, shape ``(batch, positions, n_channels)``.
        mask
            ``True`` at valid CpGs, shape ``(batch, positions)``; ``None``: all are.

        Returns
        -------
        Context, shape ``(batch, n_context)``, and attention over CpGs as a mean over the queries, shape ``(batch,
        positions)``: 0 on padding; a row sums to 1, or to 0 without any CpG.
        """
        mask = torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask
        valid = mask[:, None].to(x.dtype)
        weights, states, hills = self._attend(x, mask)
        read = (weights @ states).flatten(1)
        count = torch.cat([valid.sum(2), (hills.exp() * valid).sum(2)], dim=1)
        average = torch.cat([valid / valid.sum(2, keepdim=True).clamp(min=1), weights], dim=1)
        means = (average @ (x * mask[..., None])).flatten(1)
        summary = self.standardize(torch.cat([torch.log1p(count), means], dim=1))
        context = nn.functional.gelu(self.reduce(self.dropout(read)))
        return torch.cat([context, summary], dim=1), weights.mean(1)

    def head_attention(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention of each query; their mean is what :meth:`forward` returns.

        Parameters
        ----------
        x, mask
            As for :meth:`forward`.

        Returns
        -------
        Shape ``(batch, n_queries, positions)``.
        """
        return self._attend(x, torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask)[0]

    def _attend(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of the CpGs for each query, features of the CpGs, and the queries' hills."""
        states, hills = self.embed(x), self._hills(x)
        return masked_softmax(self.scores(states).transpose(1, 2) + hills, mask[:, None]), states, hills

    def _hills(self, x: Tensor) -> Tensor:
        """Scores of the positions, shape ``(batch, n_queries, positions)``; 0 at the top of a hill."""
        if self.place is None:
            return x.new_zeros(len(x), len(self.centre), x.shape[1])
        position = x[:, None, :, self.place]
        return -(((position - self.centre[:, None]) / self.log_width.exp()[:, None]) ** 2) / 2


class TFAttention(nn.Module):
    r"""Transcription factors at a gene as a set: attention over the bound ones, each with an embedding of its own.

    TF t with channels :math:`x_t` (binding, mode, expression) becomes :math:`h_t = e_t + Wx_t`, with a learned
    embedding :math:`e_t`; query k has weights :math:`\mathrm{softmax}_t(w_k^\top \tanh h_t)` over the bound TFs and
    reads the weighted mean of :math:`h_t`. Beside what is read stand the number of bound TFs, the sum of each channel,
    and the sum of the product of all channels: the net drive of activators and repressors that are expressed. They
    stand there as they are, and once more through a small layer, for a gene may need a certain drive.

    Parameters
    ----------
    n_tfs
        Transcription factors.
    n_channels
        Values of each TF.
    n_features
        Features of each TF and of what is read.
    n_queries
        Attentions over the TFs.
    dropout
        Share of what is read that is dropped in training. Embeddings are many and genes few: this and weight decay
        keep them small.

    References
    ----------
    Ilse, Tomczak & Welling, ICML (2018), arXiv 1802.04712 (attention over sets).
    """

    #: Several networks may be trained at once, by ``torch.func.vmap``.
    vectorizes = True

    def __init__(
        self, n_tfs: int, n_channels: int = 3, *, n_features: int = 8, n_queries: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.n_tfs = n_tfs
        n_summary, n_hidden = n_channels + 2, 2 * n_features
        self.n_context = n_features + n_summary + n_hidden
        self.embedding = nn.Parameter(torch.randn(n_tfs, n_features) * 0.02)
        self.project = nn.Linear(n_channels, n_features)
        self.scores = nn.Linear(n_features, n_queries)
        self.dropout = nn.Dropout(dropout)
        self.reduce = nn.Linear(n_queries * n_features, n_features)
        self.standardize = Standardize(n_summary)
        self.hidden = nn.Linear(n_summary, n_hidden)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed the TFs of a batch of genes.

        Parameters
        ----------
        x
            Channels of all TFs, shape ``(batch, n_tfs, n_channels)``; all zero where a TF has no evidence.
        mask
            ``True`` where a TF has evidence, shape ``(batch, n_tfs)``; found from ``x`` when ``None``.

        Returns
        -------
        Context, shape ``(batch, n_context)``, and attention as a mean over the queries, shape ``(batch, n_tfs)``: all
        of it on bound TFs, and equal weights where none is bound; a row sums to 1.

        Raises
        ------
        ValueError
            If TFs are not as many as the encoder was made for.
        """
        mask = (x != 0).any(-1) if mask is None else mask
        row, tf, weights, states = self._attend(x, mask)
        n_obs, values = len(x), x[row, tf]
        read = states.new_zeros(n_obs, weights.shape[1], states.shape[1])
        read = read.index_add(0, row, weights[..., None] * states[:, None])
        attention = self._spread(weights.mean(1, keepdim=True), row, tf, mask)[:, 0]
        sums = torch.cat([torch.ones_like(values[:, :1]), values, values.prod(1, keepdim=True)], dim=1)
        sums = x.new_zeros(n_obs, sums.shape[1]).index_add(0, row, sums)
        summary = self.standardize(sums.sign() * sums.abs().log1p())
        context = nn.functional.gelu(self.reduce(self.dropout(read.flatten(1))))
        drive = nn.functional.gelu(self.hidden(summary))
        return torch.cat([context, summary, drive], dim=1), attention.to(x.dtype)

    def head_attention(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention of each query; their mean is what :meth:`forward` returns.

        Parameters
        ----------
        x, mask
            As for :meth:`forward`.

        Returns
        -------
        Shape ``(batch, n_queries, n_tfs)``.
        """
        mask = (x != 0).any(-1) if mask is None else mask
        row, tf, weights, _ = self._attend(x, mask)
        return self._spread(weights, row, tf, mask)

    def _spread(self, weights: Tensor, row: Tensor, tf: Tensor, mask: Tensor) -> Tensor:
        """Weights of the bound TFs among all TFs, shape ``(batch, n_queries, n_tfs)``; equal where none is bound."""
        free = ~mask.any(1)
        attention = weights.new_full((len(mask), self.n_tfs, weights.shape[1]), 1 / self.n_tfs) * free[:, None, None]
        return attention.index_put((row, tf), weights).transpose(1, 2)

    def _attend(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Which observation and TF each bound one is, its weight for each query, and its features."""
        if x.shape[1] != self.n_tfs:
            msg = f"Expected {self.n_tfs} TFs for each observation, got {x.shape[1]}."
            raise ValueError(msg)
        row, tf = mask.nonzero(as_tuple=True)
        values = x[row, tf]
        states = self.embedding[tf] + self.project(values)
        scores = self.scores(states.tanh())
        n_obs, n_queries = len(x), scores.shape[1]
        lowest = scores.new_full((n_obs, n_queries), -torch.inf)
        peak = lowest.scatter_reduce(0, row[:, None].expand_as(scores), scores.detach(), "amax")
        power = (scores - peak[row]).exp()
        return row, tf, power / power.new_zeros(n_obs, n_queries).index_add(0, row, power)[row], states

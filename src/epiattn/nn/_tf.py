"""Transcription factors at a gene: exact self-attention at the cost of the bound ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TFSelfAttention(nn.Module):
    r"""TF branch of Kang et al. 2020: self-attention over all TFs, flattened and reduced.

    :math:`Q = XW_q + b_q`, :math:`K = XW_k + b_k`, :math:`V = X`, :math:`A = \mathrm{softmax}(QK^\top)` without
    scaling, :math:`O = AV`, then flatten, batch normalisation, linear, tanh.

    Two exact shortcuts replace the T x T attention. TFs without evidence at a gene are identical all-zero tokens:
    they are one token whose logit carries :math:`\log(T - k)`. And :math:`QK^\top` has rank F: it is
    :math:`(XW_qW_k^\top + b_qW_k^\top)X^\top` plus a constant in each row, which cancels in the softmax.

    Parameters
    ----------
    n_tfs
        Transcription factors (tokens).
    n_channels
        Values of each TF.
    n_hidden
        Size of queries and keys.
    n_context
        Size of the context vector.

    References
    ----------
    Kang et al., Front. Genet. 11:869 (2020).
    """

    def __init__(self, n_tfs: int, n_channels: int = 3, *, n_hidden: int = 30, n_context: int = 5) -> None:
        super().__init__()
        self.n_tfs, self.n_context = n_tfs, n_context
        self.query = nn.Linear(n_channels, n_hidden)
        self.key = nn.Linear(n_channels, n_hidden)
        self.norm = nn.BatchNorm1d(n_tfs * n_channels)
        self.reduce = nn.Linear(n_tfs * n_channels, n_context)

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
        Context, shape ``(batch, n_context)``, and the attention that each TF receives, as a mean over all queries,
        shape ``(batch, n_tfs)``; a row sums to 1.
        """
        if x.shape[1] != self.n_tfs:
            msg = f"Expected {self.n_tfs} TFs for each observation, got {x.shape[1]}."
            raise ValueError(msg)
        if self.training and len(x) == 1:
            msg = "A training batch holds one observation only; batch normalisation over TFs needs at least two."
            raise ValueError(msg)
        output, received = self.attend(x, (x != 0).any(-1) if mask is None else mask)
        return torch.tanh(self.reduce(self.norm(output.flatten(1)))), received

    def attend(self, x: Tensor, bound: Tensor) -> tuple[Tensor, Tensor]:
        """Self-attention over all TFs, before they are flattened and reduced.

        Parameters
        ----------
        x
            Channels of all TFs, shape ``(batch, n_tfs, n_channels)``; values of unbound TFs count as zero.
        bound
            ``True`` where a TF has evidence, shape ``(batch, n_tfs)``.

        Returns
        -------
        Output, shape ``(batch, n_tfs, n_channels)``, and the attention that each TF receives, as a mean over all
        queries, shape ``(batch, n_tfs)``; a row sums to 1. At a gene, all unbound TFs have the same values in both.
        """
        n_bound = bound.sum(1)
        gene, tf = bound.nonzero(as_tuple=True)
        slot = torch.arange(len(gene), device=x.device) - (n_bound.cumsum(0) - n_bound)[gene]

        # Tokens: the bound TFs from the left, then padding, and last the one that stands for all unbound TFs.
        n_slots = int(n_bound.max())
        tokens = x.new_zeros(len(x), n_slots + 1, x.shape[2])
        tokens[gene, slot] = x[gene, tf]
        count = x.new_zeros(len(x), n_slots + 1)
        count[gene, slot] = 1.0
        count[:, -1] = self.n_tfs - n_bound

        queries = tokens @ (self.query.weight.T @ self.key.weight) + self.query.bias @ self.key.weight
        logits = queries @ tokens.transpose(1, 2) + count.log()[:, None, :]
        weights = logits.softmax(-1)
        token_output = weights @ tokens
        token_received = torch.einsum("bq,bqk->bk", count / self.n_tfs, weights)

        output = token_output[:, -1:].repeat(1, self.n_tfs, 1)
        output[gene, tf] = token_output[gene, slot].to(output.dtype)  # under mixed precision they may differ
        received = (token_received[:, -1:] / count[:, -1:].clamp(min=1)).repeat(1, self.n_tfs)
        received[gene, tf] = token_received[gene, slot].to(received.dtype)
        return output, received

"""Transcription factors at a gene: exact self-attention at the cost of the bound ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

#: Attention weights that are held at a time: on a CPU as many as its cache takes, elsewhere half a gigabyte.
_N_WEIGHTS_ON_CPU, _N_WEIGHTS = 2**18, 2**27


class TFSelfAttention(nn.Module):
    r"""TF branch of Kang et al. 2020: self-attention over all TFs, flattened and reduced.

    :math:`Q = XW_q + b_q`, :math:`K = XW_k + b_k`, :math:`V = X`, :math:`A = \mathrm{softmax}(QK^\top)` without
    scaling, :math:`O = AV`, then flatten, batch normalisation, linear, tanh.

    Exact shortcuts replace the T x T attention. TFs without evidence at a gene are identical all-zero tokens: they
    are one token whose logit carries :math:`\log(T - k)`. :math:`QK^\top` has rank F: it is
    :math:`(XW_qW_k^\top + b_qW_k^\top)X^\top` plus a constant in each row, which cancels in the softmax. And the
    gradient needs no weights: see ``_TokenAttention``. So sparse and dense evidence take the same way, and what
    it costs follows from the number of TFs that are bound.

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

    #: Each TF attends to each TF.
    attends_in_pairs = True

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

        Raises
        ------
        ValueError
            If there are other TFs than the encoder was made for, or a training batch holds one observation only.
        """
        if x.shape[1] != self.n_tfs:
            msg = f"Expected {self.n_tfs} TFs for each observation, got {x.shape[1]}."
            raise ValueError(msg)
        if self.training and len(x) == 1:
            msg = "A training batch holds one observation only; batch normalisation over TFs needs at least two."
            raise ValueError(msg)
        output, received = self.attend(x, (x != 0).any(-1) if mask is None else mask)
        return torch.tanh(self.reduce(self.norm(output.flatten(1)))), received

    def head_attention(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention of each TF to each; the mean over the first is what :meth:`forward` returns.

        Parameters
        ----------
        x, mask
            As for :meth:`forward`.

        Returns
        -------
        Shape ``(batch, n_tfs, n_tfs)``: query, then key. It grows with the square of the TFs: use small batches.
        """
        x = x if mask is None else x * mask[..., None]
        queries = x @ (self.query.weight.T @ self.key.weight) + self.query.bias @ self.key.weight
        return (queries @ x.transpose(1, 2)).softmax(-1)

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
        n_bound, order = bound.sum(1).sort(descending=True)
        rank = order.argsort()
        gene, tf = bound.nonzero(as_tuple=True)
        # Tokens: first the one that stands for all unbound TFs, then the bound ones, then padding.
        slot = bound.cumsum(1)[gene, tf]
        lengths = [n + 1 for n in n_bound.tolist()]
        n_slots, row = lengths[0], rank[gene]
        tokens = x.new_zeros(len(x), n_slots, x.shape[2]).index_put((row, slot), x[gene, tf])
        count = (torch.arange(n_slots, device=x.device) <= n_bound[:, None]).to(x.dtype)
        count[:, 0] = self.n_tfs - n_bound

        queries = tokens @ (self.query.weight.T @ self.key.weight) + self.query.bias @ self.key.weight
        with torch.autocast(x.device.type, enabled=False):  # half precision is too coarse for moments
            token_output, token_received = _TokenAttention.apply(queries.to(x.dtype), tokens, count, lengths)

        output = token_output[rank, :1].repeat(1, self.n_tfs, 1)
        output[gene, tf] = token_output[row, slot]
        received = (token_received[:, :1] / count[:, :1].clamp(min=1))[rank].repeat(1, self.n_tfs)
        received[gene, tf] = token_received[row, slot]
        return output, received


class _TokenAttention(torch.autograd.Function):
    r"""Attention among tokens that each stand for a number of identical ones, in memory that does not grow with T².

    Of the weights only what the gradient needs is kept. With :math:`o_i = \sum_j A_{ij} x_j`, the derivative of an
    output by its query is the covariance of the tokens under the weights of that query,
    :math:`\partial o_i / \partial q_i = \sum_j A_{ij} x_j x_j^\top - o_i o_i^\top`: F x F numbers for a token, taken
    while its weights are at hand. Where a gradient of the tokens or of the received attention is asked for, the
    weights are computed again.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, queries: Tensor, tokens: Tensor, count: Tensor, lengths: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Outputs, shape ``(batch, slots, channels)``, and attention received, shape ``(batch, slots)``.

        ``lengths`` are the slots that each gene uses, longest first.
        """
        n_channels = tokens.shape[2]
        centre = tokens.mean(1, keepdim=True)  # a shift of all tokens cancels in weights and covariance
        centred = tokens - centre
        keys = torch.cat([centred, count.log()[..., None]], dim=2).transpose(1, 2)
        queries_1 = torch.cat([queries, torch.ones_like(queries[..., :1])], dim=2)
        products = (centred[..., None] * centred[..., None, :]).flatten(2)
        values = torch.cat([centred, products], dim=2).transpose(1, 2).contiguous()
        shares = (count / count.sum(1, keepdim=True))[:, None]
        moments, received = torch.zeros_like(values), torch.zeros_like(shares)
        groups = list(_groups(lengths, _N_WEIGHTS_ON_CPU if tokens.device.type == "cpu" else _N_WEIGHTS))
        room = tokens.new_empty(max((genes.stop - genes.start) * n * n for genes, n in groups))
        for genes, n in groups:
            weights = room[: (genes.stop - genes.start) * n * n].view(-1, n, n)
            torch.bmm(queries_1[genes, :n], keys[genes, :, :n], out=weights)
            torch.softmax(weights, -1, out=weights)
            moments[genes, :, :n] = values[genes, :, :n] @ weights.transpose(1, 2)
            received[genes, :, :n] = shares[genes, :, :n] @ weights
        output, products = moments.transpose(1, 2).split([n_channels, n_channels**2], dim=2)
        covariance = products.unflatten(2, (n_channels, n_channels)) - output[..., None] * output[..., None, :]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(queries, tokens, count, covariance)
        return output + centre, received[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_output: Tensor | None, to_received: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Gradients of queries and tokens."""
        queries, tokens, count, covariance = ctx.saved_tensors
        if to_received is None and not ctx.needs_input_grad[1]:
            return None if to_output is None else torch.einsum("bnfg,bng->bnf", covariance, to_output), None, None, None
        with torch.enable_grad():
            queries, tokens = queries.detach().requires_grad_(), tokens.detach().requires_grad_()
            outputs = zip(_attend(queries, tokens, count), (to_output, to_received), strict=True)
            asked = [(output, gradient) for output, gradient in outputs if gradient is not None]
        to_queries, to_tokens = torch.autograd.grad([o for o, _ in asked], [queries, tokens], [g for _, g in asked])
        return to_queries, to_tokens, None, None


def _attend(queries: Tensor, tokens: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """What :class:`_TokenAttention` computes, written plainly, with all weights at once."""
    weights = (queries @ tokens.transpose(1, 2) + count.log()[:, None]).softmax(-1)
    shares = count / count.sum(1, keepdim=True)
    return weights @ tokens, torch.einsum("bq,bqk->bk", shares, weights)


def _groups(lengths: Sequence[int], n_weights: int) -> Iterator[tuple[slice, int]]:
    """Neighbours of similar length with at most so many weights in all, and the slots of the longest of them."""
    start = 0
    while start < len(lengths):
        n = lengths[start]
        end = start + 1
        while end < len(lengths) and 2 * lengths[end] >= n and (end + 1 - start) * n * n <= n_weights:
            end += 1
        yield slice(start, end), n
        start = end

"""Fusions: context vectors of the modalities become one point in the regulatory latent space."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MultiAttentionFusion(nn.Module):
    r"""Multi-attention block: several softmax attentions over all features of all modalities.

    With :math:`h = [h_1; …; h_M]` of size D, head k has weights :math:`a^{(k)} = \mathrm{softmax}((Ah)^{(k)})` over
    the D features and gives :math:`\tilde h^{(k)} = a^{(k)} \odot h`: feature d of head k is multiplied by weight d
    of head k (the published code pairs only one feature in ten with its own weight). For each modality its features
    of all heads are concatenated and reduced linearly to the modality's own size; the results, concatenated, are z.

    Parameters
    ----------
    sizes
        Size of each modality's context vector, by name. Fixes the order of the features.
    n_heads
        Attentions.

    References
    ----------
    Kang et al., Front. Genet. 11:869 (2020); Zadeh et al., arXiv 1802.00923 (2018).
    """

    def __init__(self, sizes: Mapping[str, int], *, n_heads: int = 10) -> None:
        super().__init__()
        self.sizes, self.n_heads = dict(sizes), n_heads
        self.n_latent = sum(self.sizes.values())
        self.attention = nn.Linear(self.n_latent, n_heads * self.n_latent)
        self.reduce = nn.ModuleDict({name: nn.Linear(n_heads * size, size) for name, size in self.sizes.items()})

    def forward(self, contexts: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Fuse a batch.

        Parameters
        ----------
        contexts
            Context vector of each modality, shape ``(batch, size)``; a missing one is already replaced.
        present
            Whether each modality was measured, shape ``(batch,)``. Not used here; part of the fusions' contract.

        Returns
        -------
        Fused embedding, shape ``(batch, n_latent)``, and per modality the mean over heads of its summed weights,
        divided by its share under uniform attention, shape ``(batch, n_modalities)``: 1 is uniform.
        """
        h = torch.cat([contexts[name] for name in self.sizes], dim=1)
        weights = self._weigh(h)
        attended = (weights * h[:, None]).split(list(self.sizes.values()), dim=2)
        z = [self.reduce[name](part.flatten(1)) for name, part in zip(self.sizes, attended, strict=True)]
        return torch.cat(z, dim=1), self._relative(weights).mean(1)

    def head_weights(self, contexts: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Weight of each modality in each head; their mean is what :meth:`forward` returns.

        Parameters
        ----------
        contexts, present
            As for :meth:`forward`.

        Returns
        -------
        Shape ``(batch, n_heads, n_modalities)``; 1 is uniform.
        """
        return self._relative(self._weigh(torch.cat([contexts[name] for name in self.sizes], dim=1)))

    def _weigh(self, h: Tensor) -> Tensor:
        """Weights of all features, shape ``(batch, n_heads, n_latent)``."""
        return self.attention(h).unflatten(1, (self.n_heads, self.n_latent)).softmax(-1)

    def _relative(self, weights: Tensor) -> Tensor:
        """Summed weights of each modality's features, over their uniform share."""
        shares = torch.stack([part.sum(2) for part in weights.split(list(self.sizes.values()), dim=2)], dim=2)
        return shares / shares.new_tensor([size / self.n_latent for size in self.sizes.values()])


class GatedFusion(nn.Module):
    r"""Attention over the modalities around a residual: each adds to the latent point by its weight for this gene.

    Modality m with context :math:`c_m` has features :math:`u_m = W_m c_m`. Its weight is
    :math:`a_m = \mathrm{softmax}_m(q_m^\top \tanh u_m + s_m)`, and
    :math:`z = \mathrm{GELU}(b + \sum_m \frac{1 + M a_m}{2} u_m)`: a modality that the attention passes over still has
    half its say, and uniform attention leaves plain concatenation. There are ``n_latent`` weights for each feature of
    a context, and no more.

    Parameters
    ----------
    sizes
        Size of each modality's context vector, by name. Fixes the order of the weights.
    n_latent
        Size of the latent space.
    """

    #: Several networks may be trained at once, by ``torch.func.vmap``.
    vectorizes = True

    def __init__(self, sizes: Mapping[str, int], *, n_latent: int = 64) -> None:
        super().__init__()
        self.sizes, self.n_latent = dict(sizes), n_latent
        self.project = nn.ModuleDict({name: nn.Linear(size, n_latent, bias=False) for name, size in self.sizes.items()})
        self.query = nn.Parameter(torch.zeros(len(self.sizes), n_latent))
        self.score = nn.Parameter(torch.zeros(len(self.sizes)))
        self.bias = nn.Parameter(torch.zeros(n_latent))

    def forward(self, contexts: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Fuse a batch.

        Parameters
        ----------
        contexts
            Context vector of each modality, shape ``(batch, size)``; a missing one is already replaced.
        present
            Whether each modality was measured, shape ``(batch,)``. Not used here; part of the fusions' contract.

        Returns
        -------
        Fused embedding, shape ``(batch, n_latent)``, and the weight of each modality times their number, shape
        ``(batch, n_modalities)``: 1 is uniform.
        """
        features = torch.stack([self.project[name](contexts[name]) for name in self.sizes], dim=1)
        weights = ((features.tanh() * self.query).sum(2) + self.score).softmax(1) * len(self.sizes)
        z = (features * (1 + weights[..., None]) / 2).sum(1) + self.bias
        return nn.functional.gelu(z), weights

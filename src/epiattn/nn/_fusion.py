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
        weights = self.attention(h).unflatten(1, (self.n_heads, self.n_latent)).softmax(-1)
        attended = (weights * h[:, None]).split(list(self.sizes.values()), dim=2)
        z = [self.reduce[name](part.flatten(1)) for name, part in zip(self.sizes, attended, strict=True)]
        shares = torch.stack([part.sum(2).mean(1) for part in weights.split(list(self.sizes.values()), dim=2)], dim=1)
        uniform = shares.new_tensor([size / self.n_latent for size in self.sizes.values()])
        return torch.cat(z, dim=1), shares / uniform

"""The plainest fusion and the plainest head, for networks that were published without one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Concatenation(nn.Module):
    """Put the context vectors of the modalities one behind the other; nothing is learned.

    Parameters
    ----------
    sizes
        Size of each modality's context vector, by name. Fixes the order of the features.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.sizes = dict(sizes)
        self.n_latent = sum(self.sizes.values())

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
        The contexts, shape ``(batch, n_latent)``, and a weight of 1 (uniform) for every modality, shape
        ``(batch, n_modalities)``.
        """
        z = torch.cat([contexts[name] for name in self.sizes], dim=1)
        return z, z.new_ones(len(z), len(self.sizes))


class LinearHead(nn.Module):
    """One linear layer: a network whose own layers already end in features that can be told apart by a plane.

    Published classifiers have two outputs and a softmax; the difference of the two is this one logit.

    Parameters
    ----------
    n_latent
        Size of the latent space.
    """

    def __init__(self, n_latent: int) -> None:
        super().__init__()
        self.layer = nn.Linear(n_latent, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Score a batch of points.

        Parameters
        ----------
        z
            Points of the latent space, shape ``(batch, n_latent)``.

        Returns
        -------
        Scores, shape ``(batch,)``: logits of high expression, or log-expression.
        """
        return self.layer(z).squeeze(-1)

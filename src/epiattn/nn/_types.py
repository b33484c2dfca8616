"""What travels from the loader to the encoders."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

import torch
from torch import Tensor


class ModalityBatch(NamedTuple):
    """One modality of a batch of observations.

    ``values`` has shape ``(batch, channels, bins)`` for signal around the TSS and ``(batch, positions, channels)``
    for CpGs and TFs; ``mask`` is ``True`` at valid positions, shape ``(batch, positions)`` (``None``: all);
    ``present`` says for which observations the modality was measured, shape ``(batch,)``.
    """

    values: Tensor
    mask: Tensor | None
    present: Tensor


class Mixture(NamedTuple):
    """How observations of a batch are mixed in training: ``share`` of each, and the rest of its ``partner``.

    References
    ----------
    Zhang, Cisse, Dauphin & Lopez-Paz, ICLR (2018), arXiv 1710.09412 (mixup); Verma et al., ICML (2019), arXiv
    1806.05236 (of hidden states).
    """

    #: Between 0 and 1, shape ``(batch,)``.
    share: Tensor
    #: Another observation of the batch for each, shape ``(batch,)``.
    partner: Tensor

    def of(self, x: Tensor) -> Tensor:
        """Mix rows.

        Parameters
        ----------
        x
            One row for each observation, shape ``(batch, ...)``.

        Returns
        -------
        ``share`` of each row and the rest of its partner's, of the shape of ``x``.
        """
        share = self.share.view(-1, *[1] * (x.ndim - 1))
        return share * x + (1 - share) * x[self.partner]

    def of_signal(self, modality: ModalityBatch) -> ModalityBatch:
        """Mix the values of a modality.

        Parameters
        ----------
        modality
            Signal, or lists (of CpGs, TFs), which have a mask.

        Returns
        -------
        The modality with mixed values where both observations were measured; lists as they are.
        """
        if modality.mask is not None:
            return modality
        both = (modality.present & modality.present[self.partner]).view(-1, *[1] * (modality.values.ndim - 1))
        return modality._replace(values=torch.where(both, self.of(modality.values), modality.values))


class Embedding(TypedDict):
    """What the encoders and the fusion make of a batch."""

    #: Fused embedding, shape ``(batch, n_latent)``.
    z: Tensor
    #: Context vector of each modality, shape ``(batch, size)``.
    contexts: dict[str, Tensor]
    #: Attention over the positions of each modality, shape ``(batch, positions)``; ``(batch, marks, positions)`` of an
    #: encoder that keeps the marks apart, and a gene's sum over both is 1.
    attention: dict[str, Tensor]
    #: Weight of each modality, shape ``(batch, n_modalities)``.
    modality_weights: Tensor

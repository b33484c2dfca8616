"""What travels from the loader to the encoders."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

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

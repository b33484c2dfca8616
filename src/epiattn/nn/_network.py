"""Encoders, fusion and head put together: a batch of genes goes in, scores and their reasons come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ._types import Embedding, Mixture, ModalityBatch


class RegulatoryNetwork(nn.Module):
    """One encoder per modality, a fusion into the regulatory latent space, and a head.

    The parts are interchangeable: ``encoder(values, mask)`` returns ``(context, attention)`` and has ``n_context``;
    ``fusion(contexts, present)`` returns ``(z, weights)`` and has ``n_latent``; ``head(z)`` returns a score. Attention
    has shape ``(batch, positions)``, or ``(batch, marks, positions)`` where an encoder keeps the marks apart; an
    encoder without attention says so by ``attends = False``.

    Parameters
    ----------
    encoders
        Encoder of each modality, by name.
    fusion
        Joins the context vectors.
    head
        Scores a point of the latent space.
    modality_dropout
        Probability with which a modality of an observation is hidden in training, so that any subset of modalities
        can be used for prediction. At least one modality of an observation stays.
    """

    def __init__(
        self,
        encoders: Mapping[str, Any],
        fusion: Any,
        head: nn.Module,
        *,
        modality_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = fusion
        self.n_latent: int = fusion.n_latent
        self.head = head
        self.modality_dropout = modality_dropout
        #: The learned vector that stands for a modality that was not measured.
        self.missing = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(encoder.n_context)) for name, encoder in encoders.items()}
        )

    def forward(self, batch: Mapping[str, ModalityBatch]) -> Tensor:
        """Score a batch.

        Parameters
        ----------
        batch
            Normalised inputs of each modality, by name; one that is absent counts as not measured in all observations.

        Returns
        -------
        What the head gives, shape ``(batch,)``: logits of high expression, or log-expression.

        Raises
        ------
        ValueError
            If the batch holds none of the network's modalities.
        """
        return self.head(self.embed(batch)["z"])

    def embed(self, batch: Mapping[str, ModalityBatch], mixture: Mixture | None = None) -> Embedding:
        """Embed a batch.

        Parameters
        ----------
        batch
            Normalised inputs of each modality, by name; one that is absent counts as not measured in all observations.
        mixture
            How the observations are mixed, in training. Signal has been mixed already (:meth:`Mixture.of_signal`); the
            contexts of lists (CpGs, TFs) are mixed here.

        Returns
        -------
        Fused embedding ``z``, shape ``(batch, n_latent)``; ``contexts`` by modality, each of shape
        ``(batch, n_context)``; ``attention`` of the modalities in ``batch``, each of shape ``(batch, positions)`` or
        ``(batch, marks, positions)``, 0 where the modality was not measured; and ``modality_weights``, shape
        ``(batch, n_modalities)``, in the order of the encoders.

        Raises
        ------
        ValueError
            If the batch holds none of the network's modalities.
        """
        present, contexts, attention = self._encode(batch, list(self.encoders))
        if mixture is not None:
            lists = [name for name in contexts if name not in batch or batch[name].mask is not None]
            contexts |= {name: mixture.of(contexts[name]) for name in lists}
        z, modality_weights = self.fusion(contexts, present)
        return {"z": z, "contexts": contexts, "attention": attention, "modality_weights": modality_weights}

    def head_attention(self, batch: Mapping[str, ModalityBatch]) -> dict[str, Tensor]:
        """Attention head by head, as far as encoders and fusion have several; the mean is that of :meth:`embed`.

        Parameters
        ----------
        batch
            As for :meth:`embed`.

        Returns
        -------
        By modality in the batch, shape ``(batch, n_heads, positions)`` or ``(batch, n_heads, marks, positions)``, where
        the heads of self-attention over TFs are the TFs that ask; and under ``""`` the weights of the modalities,
        ``(batch, n_heads, n_modalities)``.
        """
        present, contexts, _ = self._encode(batch, list(self.encoders))
        found = {}
        for name, modality in batch.items():
            encoder: Any = self.encoders[name]
            if hasattr(encoder, "head_attention"):
                heads = encoder.head_attention(modality.values, modality.mask)
            else:
                heads = encoder(modality.values, modality.mask)[1][:, None]
            found[name] = heads * modality.present.view(-1, *[1] * (heads.ndim - 1))
        if hasattr(self.fusion, "head_weights"):
            found[""] = self.fusion.head_weights(contexts, present)
        else:
            found[""] = self.fusion(contexts, present)[1][:, None]
        return found

    @property
    def attends(self) -> dict[str, bool]:
        """Whether what is returned as attention of a modality is one, by modality."""
        return {name: getattr(encoder, "attends", True) for name, encoder in self.encoders.items()}

    def _encode(
        self, batch: Mapping[str, ModalityBatch], names: Sequence[str]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Which observations of the named modalities are present, their context vectors and their attention."""
        first = next((batch[name] for name in names if name in batch), None)
        if first is None:
            msg = f"The batch holds none of the modalities {list(names)}; it holds {list(batch)}."
            raise ValueError(msg)
        n_obs, device = len(first.present), first.present.device
        nowhere = torch.zeros(n_obs, dtype=torch.bool, device=device)
        present = {name: batch[name].present if name in batch else nowhere for name in names}
        if self.training and self.modality_dropout > 0:
            present = self._hide(present)
        contexts: dict[str, Tensor] = {}
        attention: dict[str, Tensor] = {}
        for name in names:
            if name in batch:
                context, weights = self.encoders[name](batch[name].values, batch[name].mask)
                attention[name] = weights * batch[name].present.view(-1, *[1] * (weights.ndim - 1))
                contexts[name] = torch.where(present[name][:, None], context, self.missing[name])
            else:
                contexts[name] = self.missing[name].expand(n_obs, -1)
        return present, contexts, attention

    def _hide(self, present: dict[str, Tensor]) -> dict[str, Tensor]:
        """Hide modalities at random, but never the last one of an observation."""
        measured = torch.stack(list(present.values()), dim=1)
        kept = measured & (torch.rand(measured.shape, device=measured.device) >= self.modality_dropout)
        kept = torch.where(kept.any(1, keepdim=True), kept, measured)
        return dict(zip(present, kept.unbind(1), strict=True))

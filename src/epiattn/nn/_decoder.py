"""A decoder that keeps the regulatory latent space from holding nothing but the prediction."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ._types import Mixture, ModalityBatch


class AttendedDecoder(nn.Module):
    """Read back from the latent space what the attention saw: the attended mean of every mark and channel.

    A network that only predicts high or low has no reason to keep apart two programs with the same outcome, and its
    latent space collapses to a line. Here a linear map of each latent point must tell, for each modality, the mean of
    every channel over the positions, weighted by the attention. What the attention passes over need not be kept.

    Parameters
    ----------
    n_latent
        Size of the latent space.
    n_channels
        Channels of each modality, by name.
    """

    def __init__(self, n_latent: int, n_channels: Mapping[str, int]) -> None:
        super().__init__()
        self.decoders = nn.ModuleDict({name: nn.Linear(n_latent, n) for name, n in n_channels.items()})

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        """Decode latent points.

        Parameters
        ----------
        z
            Fused embedding, shape ``(batch, n_latent)``.

        Returns
        -------
        The attended mean of the channels of each modality, shape ``(batch, channels)``.
        """
        return {name: decoder(z) for name, decoder in self.decoders.items()}

    def loss(
        self,
        z: Tensor,
        batch: Mapping[str, ModalityBatch],
        attention: Mapping[str, Tensor],
        *,
        mixture: Mixture | None = None,
    ) -> Tensor:
        """Mean squared error of the decoded channels where a modality was measured, averaged over the modalities.

        Parameters
        ----------
        z
            Fused embedding, shape ``(batch, n_latent)``.
        batch
            The modalities, scaled as the encoders saw them.
        attention
            Attention over the positions of each modality, shape ``(batch, positions)``, or
            ``(batch, marks, positions)`` where marks are kept apart. No gradient flows into it.
        mixture
            How ``z`` was mixed; signal in ``batch`` has been mixed too.

        Returns
        -------
        The error, a scalar; 0 if nothing was measured.
        """
        errors, known = [z.new_zeros(())], [z.new_zeros(())]
        for name, decoded in self(z).items():
            if name in batch:
                present = batch[name].present
                target = attended_mean(batch[name], attention[name].detach())
                if mixture is not None:
                    present = present & present[mixture.partner]
                    target = target if batch[name].mask is None else mixture.of(target)
                error = torch.where(present[:, None], decoded - target, 0).square().sum()
                errors.append(error / (present.sum() * decoded.shape[1]).clamp(min=1))
                known.append(present.any().to(z.dtype))
        return torch.stack(errors).sum() / torch.stack(known).sum().clamp(min=1)


def attended_mean(modality: ModalityBatch, attention: Tensor) -> Tensor:
    """Mean of every channel over the positions, weighted by the attention.

    Parameters
    ----------
    modality
        One modality: signal has its positions last, CpGs and TFs have them in the middle, and a mask.
    attention
        Shape ``(batch, positions)``, or ``(batch, marks, positions)`` with a sum of 1 over both: then each mark has its
        own weights, times the number of marks, so that a mark that is passed over need not be kept.

    Returns
    -------
    Shape ``(batch, channels)``.
    """
    if attention.ndim == 3:
        return (modality.values * attention).sum(2) * attention.shape[1]
    if modality.mask is None:
        return (modality.values @ attention[..., None])[..., 0]
    return (attention[:, None] @ modality.values)[:, 0]

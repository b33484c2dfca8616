"""The scvi-tools module: input scaling, the network and the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from scvi.module.base import BaseModuleClass, LossOutput
from torch import Tensor, nn

from epiattn import _keys as k
from epiattn._modalities import kind
from epiattn.nn import (
    AttendedDecoder,
    ModalityBatch,
    RegulatoryNetwork,
    bce_loss,
    focal_loss,
    huber_loss,
    pairwise_loss,
)

from ._loader import TARGET, Batch, to_numpy
from ._stores import Store

#: Losses by the target that they can learn; the first one is the default.
LOSSES: dict[str, dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "label": {"bce": bce_loss, "focal": focal_loss, "pairwise": pairwise_loss},
    "expression": {"huber": huber_loss},
}

#: How signal is transformed before it is divided by the mark's scale.
NORMALIZATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "log1p": torch.log1p,
    "arcsinh": torch.arcsinh,
    "none": lambda x: x,
}


class InputScaling(nn.Module):
    """Normalisation as a part of the model: new data gets exactly the treatment that the training data got.

    Signal is transformed (``log1p`` by default); then every channel is divided by its root mean square on the
    training split (methylation levels and positions, which have a fixed range, stay as they are). Zero stays zero.

    Parameters
    ----------
    n_channels
        Channels of each modality.
    normalization
        ``"log1p"``, ``"arcsinh"`` or ``"none"``.
    """

    def __init__(self, n_channels: Mapping[str, int], normalization: str) -> None:
        super().__init__()
        self.modalities = list(n_channels)
        self.transform = NORMALIZATIONS[normalization]
        for name, n in n_channels.items():
            self.register_buffer(f"scale_{name}", torch.ones(n))

    def fit(self, stores: Mapping[str, Store], rows: np.ndarray) -> None:
        """Learn the scales on the given observations."""
        for name in self.modalities:
            scale = stores[name].scale(rows, lambda x: to_numpy(self.transform(torch.from_numpy(x))))
            getattr(self, f"scale_{name}").copy_(torch.from_numpy(np.array(scale)))

    def forward(self, name: str, modality: ModalityBatch) -> ModalityBatch:
        """Scale one modality of a batch."""
        scale = getattr(self, f"scale_{name}")
        if kind(name) == k.HISTONE:
            return modality._replace(values=self.transform(modality.values) / scale[:, None])
        return modality._replace(values=modality.values / scale)


class RegulatoryModule(BaseModuleClass):
    """Input scaling, a :class:`~epiattn.nn.RegulatoryNetwork` and a loss.

    Parameters
    ----------
    network
        Encoders, fusion and head.
    n_channels
        Channels of each modality.
    target
        ``"label"`` or ``"expression"``.
    loss
        Name of a loss for this target; ``None``: binary cross-entropy or Huber.
    normalization
        Transformation of the signal.
    reconstruction
        Weight of the error with which the attended signal is read back from the latent space; 0: none.
    """

    def __init__(
        self,
        network: RegulatoryNetwork,
        n_channels: Mapping[str, int],
        *,
        target: str,
        loss: str | None,
        normalization: str,
        reconstruction: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.scaling = InputScaling(n_channels, normalization)
        self.reconstruction = reconstruction
        self.decoder = AttendedDecoder(network.n_latent, n_channels) if reconstruction > 0 else None
        self.target = target
        self.loss_function = LOSSES[target][loss or next(iter(LOSSES[target]))]

    def _get_inference_input(self, tensors: Batch, **_: Any) -> dict[str, Batch]:
        return {"batch": {name: tensors[name] for name in self.scaling.modalities if name in tensors}}

    def inference(self, batch: Mapping[str, ModalityBatch], **_: Any) -> dict[str, Any]:  # type: ignore[override]
        """Embed a batch: ``z``, ``contexts``, ``attention``, ``modality_weights``, and the ``scaled`` batch."""
        scaled = {name: self.scaling(name, modality) for name, modality in batch.items()}
        return {**self.network.embed(scaled), "scaled": scaled}

    def _get_generative_input(self, tensors: Batch, inference_outputs: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        return {"z": inference_outputs["z"]}

    def generative(self, z: Tensor, **_: Any) -> dict[str, Tensor]:
        """Score points of the latent space."""
        return {"score": self.network.head(z)}

    def loss(
        self, tensors: Batch, inference_outputs: dict[str, Any], generative_outputs: dict[str, Tensor], **_: Any
    ) -> LossOutput:
        """Mean loss of a batch; its parts are in ``extra_metrics``."""
        target = tensors[TARGET]
        prediction = self.loss_function(generative_outputs["score"], target)
        if self.decoder is None:
            return LossOutput(loss=prediction, n_obs_minibatch=len(target), extra_metrics={"loss": prediction})
        embedded = inference_outputs
        reconstruction = self.decoder.loss(embedded["z"], embedded["scaled"], embedded["attention"])
        return LossOutput(
            loss=prediction + self.reconstruction * reconstruction,
            n_obs_minibatch=len(target),
            extra_metrics={"loss": prediction, "reconstruction": reconstruction},
        )

    def predict(self, score: Tensor) -> Tensor:
        """Probability of high expression, or the expression itself."""
        return torch.sigmoid(score) if self.target == "label" else score

    def sample(self, *args: Any, **kwargs: Any) -> Tensor:
        """Not generative: there is nothing to sample."""
        msg = "This model predicts expression from epigenetic marks; it does not generate data."
        raise TypeError(msg)

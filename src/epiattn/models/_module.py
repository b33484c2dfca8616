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
    Mixture,
    ModalityBatch,
    RegulatoryNetwork,
    bce_loss,
    focal_loss,
    huber_loss,
    pairwise_loss,
)

from ._loader import EXPRESSION, MIXTURE, TARGET, Batch, to_numpy
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


#: Observations that encoders are shown before training, at most.
_N_LOOKED_AT = 4_096


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


class Augmentation(nn.Module):
    """What is done to scaled inputs in training only.

    Parameters
    ----------
    mixup
        Both parameters of the beta distribution of the shares in which observations are mixed; 0: they are not.
    gain_noise
        Standard deviation of the logarithm of a random factor of each mark of each observation, as another depth of
        sequencing or another antibody would bring; 0: none.

    References
    ----------
    Zhang, Cisse, Dauphin & Lopez-Paz, ICLR (2018), arXiv 1710.09412 (mixup).
    """

    def __init__(self, *, mixup: float = 0.0, gain_noise: float = 0.0) -> None:
        super().__init__()
        for name, value in {"mixup": mixup, "gain_noise": gain_noise}.items():
            if not value >= 0:
                msg = f"{name} must be 0 or more, not {value}."
                raise ValueError(msg)
        self.mixup, self.gain_noise = mixup, gain_noise

    def draw(self, n_obs: int, device: torch.device) -> Mixture | None:
        """How the observations of a batch are mixed; ``None``: they are not."""
        if not self.training or not self.mixup:
            return None
        share = torch.distributions.Beta(self.mixup, self.mixup).sample((n_obs,)).to(device)
        return Mixture(share, torch.randperm(n_obs, device=device))

    def forward(
        self, batch: Mapping[str, ModalityBatch], mixture: Mixture | None = None
    ) -> tuple[dict[str, ModalityBatch], Mixture | None]:
        """Change a batch, and say how its observations were mixed: as given, or drawn here."""
        batch = dict(batch)
        first = next(iter(batch.values()), None)
        if not self.training or first is None:
            return batch, None
        signal = [name for name in batch if kind(name) == k.HISTONE]
        if self.gain_noise:
            for name in signal:
                values = batch[name].values
                gain = torch.exp(self.gain_noise * torch.randn(*values.shape[:2], 1, device=values.device))
                batch[name] = batch[name]._replace(values=values * gain)
        if mixture is None:
            mixture = self.draw(len(first.present), first.present.device)
        if mixture is None:
            return batch, None
        return {name: mixture.of_signal(modality) for name, modality in batch.items()}, mixture


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
    expression_weight
        Weight of the loss of the expression, as a second target beside labels, where it is known; 0: none.
    label_noise
        Scale of the error of the expression that labels come from; see :func:`soften_labels`. 0: none. Labels are
        softened, and observations mixed, where the loss takes targets between 0 and 1.
    mixup, gain_noise
        See :class:`Augmentation`.
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
        expression_weight: float = 0.0,
        label_noise: float = 0.0,
        mixup: float = 0.0,
        gain_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.scaling = InputScaling(n_channels, normalization)
        self.reconstruction = reconstruction
        self.decoder = AttendedDecoder(network.n_latent, n_channels) if reconstruction > 0 else None
        self.target = target
        self.loss_function = LOSSES[target][loss or next(iter(LOSSES[target]))]
        if not label_noise >= 0:
            msg = f"label_noise must be 0 or more, not {label_noise}."
            raise ValueError(msg)
        self.label_noise = label_noise if self.loss_function is bce_loss else 0.0
        mixable = self.loss_function in (bce_loss, huber_loss)
        self.augmentation = Augmentation(mixup=mixup if mixable else 0.0, gain_noise=gain_noise)
        #: Scores are divided by it before they become probabilities.
        self.temperature: Tensor
        self.register_buffer("temperature", torch.ones(()))
        self.expression_weight = expression_weight if target == "label" else 0.0
        self.expression_head = nn.Linear(network.n_latent, 1) if self.expression_weight > 0 else None
        #: What the predicted expression adds to a score, after training: its weight, and an offset.
        self.second_reading: Tensor
        self.register_buffer("second_reading", torch.zeros(2))

    def learn_inputs(self, stores: Mapping[str, Store], rows: np.ndarray) -> None:
        """Learn the scales of all channels, and what encoders need to know of the signal, before training.

        Parameters
        ----------
        stores
            The modalities.
        rows
            Training observations.
        """
        self.scaling.fit(stores, rows)
        some = torch.from_numpy(rows[:: -(-len(rows) // _N_LOOKED_AT)])
        for name, encoder in self.network.encoders.items():
            learn: Callable[[Tensor], None] | None = getattr(encoder, "learn", None)
            if learn is not None:
                learn(self.scaling(name, stores[name].cut(some)).values)

    def _get_inference_input(self, tensors: Batch, **_: Any) -> dict[str, Any]:
        batch = {name: tensors[name] for name in self.scaling.modalities if name in tensors}
        return {"batch": batch, "mixture": tensors.get(MIXTURE)}

    def inference(  # type: ignore[override]
        self, batch: Mapping[str, ModalityBatch], mixture: Mixture | None = None, **_: Any
    ) -> dict[str, Any]:
        """Embed a batch: ``z``, ``contexts``, ``attention``, ``modality_weights``, and the ``scaled`` batch.

        In training, observations may be mixed: ``mixture`` says how.
        """
        scaled, mixture = self.augmentation({name: self.scaling(name, value) for name, value in batch.items()}, mixture)
        return {**self.network.embed(scaled, mixture), "scaled": scaled, "mixture": mixture}

    def _get_generative_input(self, tensors: Batch, inference_outputs: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        return {"z": inference_outputs["z"]}

    def generative(self, z: Tensor, **_: Any) -> dict[str, Tensor]:
        """Score points of the latent space; ``expression`` is the second target, where there is one."""
        score = self.network.head(z)
        if self.expression_head is None:
            return {"score": score}
        weight, offset = self.second_reading
        expression = self.expression_head(z).squeeze(1)
        return {"score": score + weight * expression + offset, "expression": expression}

    def loss(
        self, tensors: Batch, inference_outputs: dict[str, Any], generative_outputs: dict[str, Tensor], **_: Any
    ) -> LossOutput:
        """Mean loss of a batch; its parts are in ``extra_metrics``."""
        embedded, mixture = inference_outputs, inference_outputs["mixture"]
        target = tensors[TARGET] if mixture is None else mixture.of(tensors[TARGET])
        prediction = self.loss_function(generative_outputs["score"], target)
        parts = {"loss": prediction}
        total = prediction
        if self.decoder is not None:
            parts["reconstruction"] = self.decoder.loss(
                embedded["z"], embedded["scaled"], embedded["attention"], mixture=mixture
            )
            total = total + self.reconstruction * parts["reconstruction"]
        if self.expression_head is not None and EXPRESSION in tensors:
            expression = tensors[EXPRESSION] if mixture is None else mixture.of(tensors[EXPRESSION])
            known = expression.isfinite()
            error = huber_loss(generative_outputs["expression"], expression, known=known)
            total = total + self.expression_weight * error
            parts["expression"] = torch.where(known.any(), error, torch.nan)
        return LossOutput(loss=total, n_obs_minibatch=len(target), extra_metrics=parts)

    def predict(self, score: Tensor) -> Tensor:
        """Probability of high expression, or the expression itself."""
        return torch.sigmoid(score / self.temperature) if self.target == "label" else score

    def sample(self, *args: Any, **kwargs: Any) -> Tensor:
        """Not generative: there is nothing to sample."""
        msg = "This model predicts expression from epigenetic marks; it does not generate data."
        raise TypeError(msg)

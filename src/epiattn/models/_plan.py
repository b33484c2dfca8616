"""The training plan: optimiser, learning-rate schedule, and what the history shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from scvi.train._progress import ProgressBar as EpochBar
from torch import Tensor, nn
from tqdm import tqdm

from epiattn import metrics
from epiattn.nn import Mixture

from ._loader import EXPRESSION, TARGET, Batch, to_numpy
from ._module import RegulatoryModule

#: The quantity shown next to the loss, by target.
METRICS = {"label": ("auc", metrics.roc_auc), "expression": ("r2", metrics.r2)}


class RegulatoryPlan(pl.LightningModule):
    """Train a module and log, for training and validation, ``loss`` and ``auc`` (labels) or ``r2`` (expression).

    ``loss`` is that of the prediction; ``reconstruction`` and ``expression``, where the module has them, are logged
    beside it.

    Parameters
    ----------
    module
        What to train.
    lr
        Highest learning rate of the one-cycle schedule.
    weight_decay
        Decoupled weight decay of AdamW.

    References
    ----------
    Smith & Topin, arXiv 1708.07120 (2018) (one cycle); Loshchilov & Hutter, arXiv 1711.05101 (2019) (AdamW).
    """

    def __init__(self, module: RegulatoryModule, *, lr: float, weight_decay: float) -> None:
        super().__init__()
        self.module = module
        self.lr, self.weight_decay = lr, weight_decay
        self.metric_name, self.metric = METRICS[module.target]
        self._seen: dict[str, list[tuple[dict[str, Tensor], Tensor, Tensor]]] = {"train": [], "validation": []}

    def configure_optimizers(self) -> Any:
        """AdamW with a one-cycle schedule over all steps.

        The head of a module with a decoder is not decayed: small weights there need large differences in the latent
        space, and the prediction would drown what the decoder keeps.
        """
        rest, head = self._groups()
        groups: list[dict[str, Any]] = [{"params": rest}, {"params": head}]
        if self.module.decoder is not None:
            groups[1]["weight_decay"] = 0.0
        optimizer = torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.weight_decay, fused=True)
        n_steps = max(int(self.trainer.estimated_stepping_batches), 1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=n_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The weights, and those of the head."""
        head = list(self.module.network.head.parameters())
        rest = [parameter for parameter in self.module.parameters() if all(parameter is not each for each in head)]
        return rest, head

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """One step."""
        return self._step(batch, "train")

    def validation_step(self, batch: Batch, _index: int) -> None:
        """One validation batch."""
        self._step(batch, "validation")

    def on_train_epoch_end(self) -> None:
        """Log the epoch."""
        self._log_epoch("train")

    def on_validation_epoch_end(self) -> None:
        """Log the epoch."""
        self._log_epoch("validation")

    def _step(self, batch: Batch, part: str) -> Tensor:
        embedded, outputs, loss_output = self.module(batch)
        losses = {name: value.detach() for name, value in loss_output.extra_metrics.items()}
        self._seen[part].append((losses, outputs["score"].detach(), self._target(batch, embedded["mixture"])))
        return loss_output.loss

    def _target(self, batch: Batch, mixture: Mixture | None) -> Tensor:
        """What the metric compares with; a mixed gene counts as what most of it is."""
        target = batch[TARGET].round() if self.module.target == "label" else batch[TARGET]
        return target if mixture is None else torch.where(mixture.share < 0.5, target[mixture.partner], target)

    def _log_epoch(self, part: str) -> None:
        logged = self._summarize(self._seen[part])
        self._seen[part].clear()
        self.log_dict({f"{name}_{part}": value for name, value in logged.items()}, prog_bar=True)

    def _summarize(self, seen: Sequence[tuple[dict[str, Tensor], Tensor, Tensor]]) -> dict[str, float]:
        """Losses and metric of an epoch, from those of its batches."""
        losses, scores, targets = zip(*seen, strict=True)
        n_obs = np.array([len(target) for target in targets])
        found = {}
        for name in losses[0]:
            values = torch.stack([batch[name] for batch in losses]).cpu().double().numpy()
            there = ~np.isnan(values) | (name != EXPRESSION)  # a batch may know no expression
            if there.any():
                found[name] = float(np.average(values[there], weights=n_obs[there]))
        found[self.metric_name] = self.metric(to_numpy(torch.cat(targets)), to_numpy(torch.cat(scores)))
        return found


class ProgressBar(EpochBar):
    """scvi-tools' bar of epochs, on standard error, with the validation's losses and metric behind it."""

    def init_train_tqdm(self, trainer: pl.Trainer) -> tqdm:
        """The bar."""
        return tqdm(total=trainer.max_epochs, desc="Training", disable=self.is_disabled, dynamic_ncols=True)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Quantities of the last epoch."""
        shown = super().get_metrics(trainer, pl_module)
        return {name: f"{value:.3f}" for name, value in shown.items() if name.endswith("_validation")}


class BestWeights(pl.Callback):
    """Keep a module's weights of the epoch with the lowest validation loss, and restore them at the end."""

    def __init__(self, module: RegulatoryModule, monitor: str = "loss_validation") -> None:
        self.module, self.monitor = module, monitor
        self.epochs, self.values = [-1], [float("inf")]  # one of each module, which is one here
        self._weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights if they are the best so far."""
        value = float(trainer.callback_metrics[self.monitor])
        if value < self.values[0]:
            self.epochs, self.values = [trainer.current_epoch], [value]
            self._weights = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore them."""
        if self._weights:
            self.module.load_state_dict(self._weights)

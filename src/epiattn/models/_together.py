"""Several models of the same kind trained in one pass over the data, their networks side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from epiattn.nn import Mixture

from ._loader import MIXTURE, TARGET, Batch
from ._module import RegulatoryModule
from ._plan import RegulatoryPlan

#: With others, weights change their type, or all of them lose a step where one of them overflows.
_PRECISIONS = (32, "32", "32-true", "bf16-mixed")


class StackedPlan(RegulatoryPlan):
    """Train modules of the same kind on the same batches: one operation on the weights of all in the place of many.

    The modules differ in their first weights, and in what is random in each step: how observations are mixed, what is
    dropped, the noise. Each has the loss, the schedule and the optimiser's state that it would have alone. Logged is
    the mean over the modules; ``histories`` has each.

    Parameters
    ----------
    modules
        The modules.
    lr, weight_decay
        As for :class:`RegulatoryPlan`.
    """

    def __init__(self, modules: Sequence[RegulatoryModule], *, lr: float, weight_decay: float) -> None:
        super().__init__(modules[0], lr=lr, weight_decay=weight_decay)
        self.modules_ = list(modules)  # a plain list: only the stacked weights are trained
        weights, buffers = stack_module_state(self.modules_)  # type: ignore[arg-type]
        self._names, self._buffer_names = list(weights), list(buffers)
        self._weights = nn.ParameterList(nn.Parameter(w.detach(), w.requires_grad) for w in weights.values())
        for i, values in enumerate(buffers.values()):
            self.register_buffer(f"_buffer_{i}", values)
        #: Quantities by name and epoch; shape of each ``(n_modules,)``.
        self.histories: dict[str, dict[int, np.ndarray]] = {}
        self._vectorized = vmap(self._run_one, in_dims=(0, 0, 0, None), randomness="different")

    @property
    def state(self) -> dict[str, Tensor]:
        """Weights and buffers of all modules, by name, the modules first."""
        buffers = [getattr(self, f"_buffer_{i}") for i in range(len(self._buffer_names))]
        return dict(zip([*self._names, *self._buffer_names], [*self._weights, *buffers], strict=True))

    def _groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        heads = {f"network.head.{name}" for name, _ in self.module.network.head.named_parameters()}
        pairs = list(zip(self._names, self._weights, strict=True))
        return [values for name, values in pairs if name not in heads], [v for name, v in pairs if name in heads]

    def _run_one(
        self, weights: dict[str, Tensor], buffers: dict[str, Tensor], drawn: dict[str, Mixture], batch: Batch
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Loss, scores and parts of the loss of one module."""
        _, outputs, found = functional_call(self.module, (weights, buffers), ({**batch, **drawn},))
        return found.loss, outputs["score"], found.extra_metrics

    def _step(self, batch: Batch, part: str) -> Tensor:
        state, n_obs = self.state, len(batch[TARGET])
        mixtures = [self.module.augmentation.draw(n_obs, batch[TARGET].device) for _ in self.modules_]
        some = [mixture for mixture in mixtures if mixture is not None]
        mixture = Mixture(*map(torch.stack, zip(*some, strict=True))) if some else None
        loss, scores, losses = self._vectorized(
            {name: state[name] for name in self._names},
            {name: state[name] for name in self._buffer_names},
            {} if mixture is None else {MIXTURE: mixture},
            batch,
        )
        losses = {name: values.detach() for name, values in losses.items()}
        target = self._target(batch, mixture).expand(scores.shape)
        self._seen[part].append((losses, scores.detach(), target))
        return loss.sum()

    def _log_epoch(self, part: str) -> None:
        seen = self._seen[part].copy()
        self._seen[part].clear()
        each = []
        for i in range(len(self.modules_)):
            mine = [({n: v[i] for n, v in losses.items()}, score[i], target[i]) for losses, score, target in seen]
            each.append(self._summarize(mine))
        names = dict.fromkeys(name for found in each for name in found)
        together = {f"{name}_{part}": np.array([found.get(name, np.nan) for found in each]) for name in names}
        for name, values in together.items():
            self.histories.setdefault(name, {})[self.current_epoch] = values
        self.log_dict({name: float(values.mean()) for name, values in together.items()}, prog_bar=True)

    def history(self, i: int, last: int) -> dict[str, pd.DataFrame]:
        """What one module's training would have logged up to its last epoch, as scvi-tools keeps it."""
        found = {}
        for name, values in self.histories.items():
            mine = {epoch: each[i] for epoch, each in values.items() if epoch <= last}
            found[name] = pd.DataFrame({name: list(mine.values())}, index=pd.Index(list(mine), name="epoch"))
        return found


class BestOfEach(pl.Callback):
    """Keep the weights of each module's epoch with its lowest validation loss, and give them to the modules.

    A module whose loss has not improved for a number of epochs, or is not finite, has stopped: it computes on with the
    others, but keeps what it has. When all have stopped, the training ends.

    Parameters
    ----------
    plan
        The modules.
    patience
        That number of epochs; ``None``: no module stops.
    """

    def __init__(self, plan: StackedPlan, patience: int | None = None) -> None:
        self.plan, self.patience = plan, patience
        n = len(plan.modules_)
        self.epochs, self.values = np.full(n, -1), np.full(n, np.inf)
        self._waited, self._stopped = np.zeros(n, int), np.zeros(n, bool)
        #: The last epoch of each module.
        self.last = np.full(n, -1)
        self._best: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
        """Copy the weights of the modules that are better than before."""
        if trainer.sanity_checking:
            return
        values = self.plan.histories["loss_validation"][trainer.current_epoch]
        better = (values < self.values) & ~self._stopped
        self.values[better], self.epochs[better] = values[better], trainer.current_epoch
        self.last[~self._stopped] = trainer.current_epoch
        self._waited = np.where(better, 0, self._waited + 1)
        if self.patience is not None:
            self._stopped |= (self._waited >= self.patience) | ~np.isfinite(values)
            trainer.should_stop |= bool(self._stopped.all())
        state = self.plan.state
        if not self._best:
            self._best = {name: tensor.detach().clone() for name, tensor in state.items()}
        rows = torch.from_numpy(np.flatnonzero(better))
        for name, tensor in state.items():
            at = rows.to(tensor.device)
            self._best[name][at] = tensor.detach()[at]

    def on_train_end(self, trainer: pl.Trainer, plan: pl.LightningModule) -> None:
        """Give each module its weights."""
        for i, module in enumerate(self.plan.modules_):
            module.load_state_dict({name: tensor[i] for name, tensor in (self._best or self.plan.state).items()})


def obstacle(module: RegulatoryModule, options: Mapping[str, Any]) -> str | None:
    """Why modules of this kind cannot be trained together with these options of the trainer; ``None``: they can."""
    network: Any = module.network
    for part in (*network.encoders.values(), network.fusion, network.head):
        if not vars(type(part)).get("vectorizes", False):  # what a derived class adds may not
            return f"{type(part).__name__} does not vectorise"
    if options.get("gradient_clip_val"):
        return "gradient_clip_val would clip the gradients of all of them together"
    callbacks = np.atleast_1d(options.get("callbacks") or [])
    if options.get("enable_checkpointing") or any(isinstance(each, pl.callbacks.Checkpoint) for each in callbacks):
        return "checkpoints would hold the first of them only"
    if (precision := options.get("precision")) not in (None, *_PRECISIONS):
        return f"precision={precision!r} is not one of {list(_PRECISIONS)}"
    return None


def take_over(model: Any, first: Any, history: dict[str, pd.DataFrame]) -> None:
    """Leave a model as its training would have left it, which took place with another one's."""
    for name in ("depth_", "trainer", "train_indices", "validation_indices", "test_indices"):
        setattr(model, name, getattr(first, name))
    model.history_, model.is_trained_ = history, True
    model.module.eval()
    model.to_device(first.device)

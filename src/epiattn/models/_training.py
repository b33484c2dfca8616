"""Training of models."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from scvi.model._utils import parse_device_args
from scvi.train import TrainRunner

from epiattn import _keys as k
from epiattn._depth import DepthScaling
from epiattn._logging import logger
from epiattn._messages import did_you_mean
from epiattn._modalities import expression_of
from epiattn._settings import settings
from epiattn.metrics import temperature

from ._loader import EXPRESSION, RegulatoryDataModule, RegulatoryDataset, make_loader, to_numpy
from ._plan import BestWeights, ProgressBar, RegulatoryPlan
from ._targets import check_classes, combine, soften_labels, split_rows
from ._threads import one_thread
from ._together import BestOfEach, StackedPlan, obstacle, take_over

if TYPE_CHECKING:
    from mudata import MuData

    from ._base import RegulatoryModel


class TrainingMixin:
    """``train``, for models on :class:`RegulatoryModel`."""

    def train(
        self: RegulatoryModel,
        max_epochs: int | None = None,
        *,
        batch_size: int = 64,
        lr: float | None = None,
        weight_decay: float | None = None,
        early_stopping: bool = True,
        early_stopping_patience: int | None = None,
        calibrate: bool | None = None,
        split_key: str = k.SPLIT,
        stack: bool = True,
        load_on_device: bool | Literal["auto"] = "auto",
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        together_with: Sequence[RegulatoryModel] = (),
        **trainer_kwargs: Any,
    ) -> None:
        """Train on the observations of the training split; the epoch with the lowest validation loss is kept.

        Parameters
        ----------
        max_epochs
            Passes over the training data; ``None``: few, and up to 100 (:class:`MultiAttention`: 30) where the training
            set is small.
        batch_size
            Observations in a step.
        lr
            Highest learning rate of the one-cycle schedule; ``None``: the model's own.
        weight_decay
            Weight decay of AdamW; ``None``: the model's own.
        early_stopping
            Stop when the validation loss has not improved for ``early_stopping_patience`` epochs.
        early_stopping_patience
            That number of epochs; ``None``: half of ``max_epochs`` (a one-cycle schedule gains most at its end).
        calibrate
            Divide the scores by the temperature that makes the labels of the validation part most likely; where the
            model also learned the expression, after adding what it says of the label (labels only). ``None``:
            :class:`MultiAttention` does.
        split_key
            Column of ``obs`` with ``train``, ``validation`` and ``test``; see :func:`epiattn.pp.split`. Observations
            without a value there, or without a target, are left out.
        stack
            Stack all channels in memory once, which makes batches cheap. ``False``: scvi-tools' data set reads each
            batch from the object (layers may then be anything that it reads, such as dask arrays).
        load_on_device
            Keep the stacked data on the GPU; ``"auto"``: where it takes less than half of the free memory.
        accelerator, devices
            Where to train; passed to Lightning.
        together_with
            Further models with the same options on the same object, whose networks are trained side by side with this
            one, in one vectorised pass (:func:`torch.func.vmap`). They learn from the same batches; what is random in a
            step, and which epoch is kept, is each one's own. On a GPU, where starting work takes longer than the work,
            this is much faster than one after the other; on a CPU it is not. For :class:`MultiAttention` with its
            default parts.
        **trainer_kwargs
            Further arguments of :class:`scvi.train.Trainer`.

        Raises
        ------
        ValueError
            If there is no target or no split, a part is empty, or the training or validation part has one class only;
            if a model of ``together_with`` is another one, or they cannot be trained together.
        """
        others = list(together_with)
        self._check_alike(others, trainer_kwargs)
        mdata = self._validate_anndata(None)
        target = self.get_target(mdata)
        if target is None:
            label_key = self.registry_["setup_args"]["label_key"]
            needed = {"label": f"labels in obs[{label_key!r}]", "expression": "expression in mdata['rna'].X"}
            hint = did_you_mean(label_key, mdata.obs.columns) if self.target == "label" else ""
            msg = f"Training needs {needed[self.target]}; epiattn.pp.label(mdata) makes labels from expression.{hint}"
            raise ValueError(msg)
        rows = split_rows(mdata, target, split_key)
        if self.target == "label":
            check_classes(target, rows)
        models = [self, *others]
        for model in models:
            model._adapt(len(rows[k.TRAIN]))
        if self.scale_by is not None and not self.is_trained_:
            self.depth_ = DepthScaling(mdata, self.channels, by=self.scale_by, train=rows[k.TRAIN])
        expression = self._second_target(mdata, rows[k.TRAIN])
        softened = self._soften(mdata, target, np.concatenate([rows[k.TRAIN], rows[k.VALIDATION]]))
        dataset = self._dataset(mdata, target=softened, expression=expression, stack=stack)
        if not self.is_trained_:
            stores = dataset.stores or dataset.stack()
            for model in models:
                model.module.learn_inputs(stores, rows[k.TRAIN])
        _, _, device = parse_device_args(accelerator, devices, return_device="torch")
        dataset.load_on(device, load=load_on_device)
        if max_epochs is None:
            max_epochs = int(np.clip(round(self._n_seen / len(rows[k.TRAIN])), *self._epochs))
        rates = {
            "lr": self._lr if lr is None else lr,
            "weight_decay": self._weight_decay if weight_decay is None else weight_decay,
        }
        for model in models:
            model.module.second_reading.zero_()
            model.module.train()  # a trained one was left as it is for predictions, and Lightning leaves it so
        patience = max(1, max_epochs // 2) if early_stopping_patience is None else early_stopping_patience
        plan: RegulatoryPlan
        best: BestWeights | BestOfEach
        if others:
            plan = StackedPlan([model.module for model in models], **rates)
            best = BestOfEach(plan, patience if early_stopping else None)
        else:
            plan = RegulatoryPlan(self.module, **rates)
            best = BestWeights(self.module)
        callbacks = [best, ProgressBar(), *trainer_kwargs.pop("callbacks", [])]
        if early_stopping and not others:
            callbacks.append(EarlyStopping("loss_validation", patience=patience))
        if not trainer_kwargs.setdefault("enable_progress_bar", settings.progress):
            callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
        with quiet(), one_thread(), _precision(trainer_kwargs.get("precision")):
            TrainRunner(
                self,
                training_plan=plan,
                data_splitter=RegulatoryDataModule(dataset, rows, batch_size),
                max_epochs=max_epochs,
                accelerator=accelerator,
                devices=devices,
                check_val_every_n_epoch=1,
                callbacks=callbacks,
                simple_progress_bar=False,
                **trainer_kwargs,
            )()
        if isinstance(plan, StackedPlan) and isinstance(best, BestOfEach):
            for i, model in enumerate(models):
                take_over(model, self, plan.history(i, best.last[i]))
        for model, epoch, loss in zip(models, best.epochs, best.values, strict=True):
            model.best_epoch_ = int(epoch) + 1
            if model.calibrates(calibrate):
                model._calibrate(dataset, rows[k.VALIDATION], target)
            logger.info(
                "Epochs trained: %d. Kept: epoch %d, with a validation loss of %.4f.",
                len(model.history_["loss_train"]),
                epoch + 1,
                loss,
            )

    def _check_alike(self: RegulatoryModel, others: Sequence[RegulatoryModel], options: Mapping[str, Any]) -> None:
        """Refuse to train models together that are not made in the same way for the same object."""
        if not others:
            return
        if reason := obstacle(self.module, options):
            msg = f"These models cannot be trained together: {reason}. Train them one after the other."
            raise ValueError(msg)
        for i, model in enumerate(others):
            alike = type(model) is type(self) and model.init_params_ == self.init_params_
            alike = alike and model.registry_["setup_args"] == self.registry_["setup_args"]
            if not alike or model.adata is not self.adata:
                msg = f"together_with[{i}] is not a model of the same kind with the same options on the same object."
                raise ValueError(msg)
        models = [self, *others]
        if any(model.is_trained_ for model in models) or len(set(map(id, models))) < len(models):
            msg = "Models are trained together from the beginning: one of them is trained already, or is there twice."
            raise ValueError(msg)

    def _adapt(self, n_train: int) -> None:
        """Choose what depends on the number of training observations, in models where something does."""

    def calibrates(self: RegulatoryModel, calibrate: bool | None = None) -> bool:
        """Whether probabilities are calibrated after the training.

        Parameters
        ----------
        calibrate
            As for :meth:`train`.

        Returns
        -------
        What :meth:`train` does.
        """
        return self.target == "label" and (self._calibrates if calibrate is None else calibrate)

    @torch.inference_mode()
    def _calibrate(self: RegulatoryModel, dataset: RegulatoryDataset, rows: np.ndarray, target: np.ndarray) -> None:
        """Learn on the validation part how scores, and expression where it was learned, become probabilities."""
        self.module.eval()
        with one_thread():
            read = [self.module(batch, compute_loss=False)[1] for batch in make_loader(dataset, rows, 512)]
        score, *second = (
            np.concatenate([to_numpy(batch[name]) for batch in read])
            for name in ("score", *([EXPRESSION] if EXPRESSION in dataset.targets else []))
        )
        if second:
            found, *reading = combine(target[rows], score, second[0])
            self.module.second_reading.copy_(torch.tensor(reading))
        else:
            found = temperature(target[rows], score)
        self.module.temperature.fill_(found)

    def _soften(self: RegulatoryModel, mdata: MuData, target: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Labels as probabilities, where the model allows for errors of the expression that they come from."""
        if not self.module.label_noise or k.RNA not in mdata.mod:
            return target
        cell_type = mdata.obs[k.CELL_TYPE].astype(str).to_numpy() if k.CELL_TYPE in mdata.obs else np.zeros(len(target))
        soft = target.copy()
        expression = expression_of(mdata)[rows]
        soft[rows] = soften_labels(target[rows], expression, cell_type[rows], noise=self.module.label_noise)
        return soft

    def _second_target(self: RegulatoryModel, mdata: MuData, train: np.ndarray) -> np.ndarray | None:
        """Expression with mean 0 and standard deviation 1 on the training part, where the model learns from it."""
        if self.module.expression_head is None or k.RNA not in mdata.mod:
            return None
        expression = expression_of(mdata)
        known = expression[train][np.isfinite(expression[train])]
        return (expression - known.mean()) / (known.std() or 1.0) if len(known) else None


@contextmanager
def _precision(precision: Any) -> Iterator[None]:
    """Bfloat16 also on a CPU that does not compute in it: oneDNN has no recurrent layers there, PyTorch itself has."""
    if not str(precision).startswith("bf16") or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TF32 acceleration on top of oneDNN")  # whatever flags are set
        with torch.backends.mkldnn.flags(enabled=False):
            yield


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's and scvi-tools' remarks on devices, loaders and files; ours say what a user needs."""
    names = ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "scvi")
    loggers = [logging.getLogger(name) for name in names]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", "The method mod_names", FutureWarning)  # scvi-tools with mudata
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)

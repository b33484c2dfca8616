"""The base of all models: set-up, training, prediction, embedding, attention, saving."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from scipy import sparse
from scvi.data import AnnDataManager
from scvi.data._constants import _SCVI_UUID_KEY
from scvi.model.base import BaseModelClass
from scvi.train import TrainRunner

from .. import _keys as k
from .._logging import logger
from .._modalities import Channels, find_channels, kind
from .._settings import settings
from .._validation import as_mudata, check_choice, check_values
from ._fields import EXPRESSION_KEY, LABEL_KEY, ChannelField, channel_key, make_fields
from ._loader import RegulatoryDataModule, RegulatoryDataset, make_loader
from ._module import LOSSES, NORMALIZATIONS, RegulatoryModule
from ._outputs import Outputs
from ._plan import BestWeights, ProgressBar, RegulatoryPlan
from ._targets import check_classes, encode_labels, split_rows

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

    from ..nn import RegulatoryNetwork


class RegulatoryModel(BaseModelClass):
    """A scvi-tools model of gene regulation: epigenetic marks in, high or low expression out.

    A subclass builds its network in ``__init__`` and hands it to :meth:`_build`; everything else is here.
    """

    def _build(
        self, network: RegulatoryNetwork, *, target: str, loss: str | None, normalization: str
    ) -> None:
        """Put the module together from a subclass's network."""
        check_choice("target", target, LOSSES)
        check_choice("normalization", normalization, NORMALIZATIONS)
        if loss is not None:
            check_choice(f"loss (for target={target!r})", loss, LOSSES[target])
        self.target = target
        self.module = RegulatoryModule(
            network,
            {modality: len(names) for modality, names in self.channels.items()},
            target=target,
            loss=loss,
            normalization=normalization,
        )

    def _get_init_params(self, locals: dict[str, Any]) -> dict[str, Any]:
        """Arguments to rebuild the model with; the data is not one of them."""
        return super()._get_init_params({name: value for name, value in locals.items() if name != "mdata"})

    # --- set-up ------------------------------------------------------------------------------------------------

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        channels: Mapping[str, Sequence[str]] | None = None,
        label_key: str = k.LABEL,
        **kwargs: Any,
    ) -> None:
        """Register a MuData: which modalities and layers the model reads. Everything is found by default.

        Parameters
        ----------
        mdata
            The object; see the data model.
        channels
            Modalities to use, each with its layers in order, such as ``{"histone": ["H3K4me3", "H3K27ac"]}``.
        label_key
            Column of ``obs`` with the labels ``low`` and ``high``; only training needs it.

        Raises
        ------
        TypeError, ValueError
            If the object or its values are not as the data model says; the message names the place.
        """
        setup_method_args = cls._get_setup_method_args(**locals())
        if as_mudata(mdata) is not mdata:
            msg = "setup_mudata needs a MuData; wrap a histone-only AnnData: MuData({'histone': adata})."
            raise TypeError(msg)
        if "source_registry" not in kwargs:
            setup_method_args["setup_args"]["channels"] = find_channels(mdata, channels)
        cls.register_manager(_make_manager(mdata, setup_method_args, **kwargs))

    @classmethod
    def setup_anndata(cls, adata: AnnData, *args: Any, **kwargs: Any) -> None:
        """Models read a MuData; a histone-only AnnData is wrapped: ``MuData({"histone": adata})``."""
        msg = "Use setup_mudata(MuData({'histone': adata})), or epiattn.tl.fit(adata), which wraps it for you."
        raise NotImplementedError(msg)

    @property
    def channels(self) -> Channels:
        """Channels (marks) of each modality, in the order in which the model reads them."""
        return self.registry_["setup_args"]["channels"]

    def _state(self, modality: str) -> dict:
        """What the registry knows of a modality: ``n_vars``, ``column_names`` and, for signal, ``start``, ``end``."""
        key = channel_key(modality, self.channels[modality][0])
        return self.registry_["field_registries"][key]["state_registry"]

    def n_positions(self, modality: str) -> int:
        """Bins, CpG slots or TFs of a modality in the training data."""
        return int(self._state(modality)[ChannelField.N_VARS_KEY])

    def get_var_names(self, legacy_mudata_format: bool = False) -> dict[str, np.ndarray]:
        """Nothing for scvi-tools to compare by position: bins are checked by coordinate, TFs matched by name."""
        return {}

    # --- training ----------------------------------------------------------------------------------------------

    def train(
        self,
        max_epochs: int | None = None,
        *,
        batch_size: int = 64,
        lr: float = 2e-3,
        weight_decay: float = 0.01,
        early_stopping: bool = True,
        early_stopping_patience: int = 5,
        split_key: str = k.SPLIT,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        **trainer_kwargs: Any,
    ) -> None:
        """Train on the observations of the training split; the epoch with the lowest validation loss is kept.

        Parameters
        ----------
        max_epochs
            Passes over the training data; ``None``: 15.
        batch_size
            Observations in a step.
        lr
            Highest learning rate of the one-cycle schedule.
        weight_decay
            Weight decay of AdamW.
        early_stopping
            Stop when the validation loss has not improved for ``early_stopping_patience`` epochs.
        early_stopping_patience
            That number of epochs.
        split_key
            Column of ``obs`` with ``train``, ``validation`` and ``test``; see :func:`epiattn.pp.split`. Observations
            without a value there, or without a target, are left out.
        accelerator, devices
            Where to train; passed to Lightning.
        **trainer_kwargs
            Further arguments of :class:`scvi.train.Trainer`.

        Raises
        ------
        ValueError
            If there is no target or no split, a part is empty, or the training part has one class only.
        """
        mdata = self._validate_anndata(None)
        target = self._target(mdata)
        rows = split_rows(mdata, target, split_key)
        if self.target == "label":
            check_classes(target, rows)
        dataset = self._dataset(mdata, target=target)
        if not self.is_trained_:
            self.module.scaling.fit(dataset, rows[k.TRAIN])
        best = BestWeights()
        callbacks = [best, ProgressBar(), *trainer_kwargs.pop("callbacks", [])]
        if early_stopping:
            callbacks.append(EarlyStopping("loss_validation", patience=early_stopping_patience))
        if not trainer_kwargs.setdefault("enable_progress_bar", settings.progress):
            callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
        with _quiet_lightning():
            TrainRunner(
                self,
                training_plan=RegulatoryPlan(self.module, lr=lr, weight_decay=weight_decay),
                data_splitter=RegulatoryDataModule(dataset, rows, batch_size),
                max_epochs=15 if max_epochs is None else max_epochs,
                accelerator=accelerator,
                devices=devices,
                check_val_every_n_epoch=1,
                callbacks=callbacks,
                simple_progress_bar=False,
                **trainer_kwargs,
            )()
        self.best_epoch_ = best.epoch
        logger.info(
            "Trained for %d epochs; kept epoch %d (validation loss %.4f).",
            len(self.history_["loss_train"]),
            best.epoch + 1,
            best.value,
        )

    def _target(self, mdata: MuData) -> np.ndarray:
        """What to learn, shape ``(n_obs,)``; NaN where it is missing."""
        manager = self.get_anndata_manager(mdata, required=True)
        needed = {"label": LABEL_KEY, "expression": EXPRESSION_KEY}[self.target]
        if needed not in manager.data_registry:
            label_key = self.registry_["setup_args"]["label_key"]
            how = {
                "label": f"Training needs labels in obs[{label_key!r}]: epiattn.pp.label(mdata) makes them from "
                "mdata['rna'].",
                "expression": "Training needs expression in mdata['rna'].X.",
            }
            raise ValueError(how[self.target])
        values = manager.get_from_registry(needed)
        if self.target == "expression":
            return np.asarray(values.toarray() if sparse.issparse(values) else values, dtype=float)[:, 0]
        return encode_labels(np.asarray(values).ravel())

    # --- inference ---------------------------------------------------------------------------------------------

    def _validate_anndata(self, adata: MuData | AnnData | None = None, copy_if_view: bool = True) -> MuData:
        """Check data against what the model knows, by name, and register it with this model."""
        if adata is None and self.adata is None:
            msg = "The model was loaded without data: pass the object to work on."
            raise ValueError(msg)
        mdata = as_mudata(self.adata if adata is None else adata)
        self._check_modalities(mdata)
        manager = self._per_instance_manager_store.get(self.id, {}).get(mdata.uns.get(_SCVI_UUID_KEY))
        if manager is not None and manager.adata is mdata:
            check_values(mdata, _present(mdata, self.channels))
            manager.validate()
            return mdata
        mdata.uns.pop(_SCVI_UUID_KEY, None)  # a copy of a registered object carries the original's
        self._register_manager_for_instance(_make_manager(mdata, self.registry_, source_registry=self.registry_))
        return mdata

    def _check_modalities(self, mdata: MuData) -> None:
        """A whole modality may be absent only if the model learned to do without."""
        absent = [modality for modality in self.channels if modality not in mdata.mod]
        if not absent:
            return
        if len(absent) == len(self.channels) or not self.module.network.modality_dropout:
            msg = (
                f"The data lacks the modalities {absent} that the model was trained on ({list(self.channels)}); a "
                "model trained with modality_dropout > 0 can do without some of them."
            )
            raise ValueError(msg)
        logger.warning("The data lacks the modalities %s: the model uses what it learned for missing ones.", absent)

    def _dataset(self, mdata: MuData, target: np.ndarray | None = None) -> RegulatoryDataset:
        channels = _present(mdata, self.channels)
        columns = {modality: self._columns(mdata, modality) for modality in channels if kind(modality) == k.TF}
        return RegulatoryDataset(self.get_anndata_manager(mdata, required=True), channels, columns, target=target)

    def _columns(self, mdata: MuData, modality: str) -> np.ndarray:
        """Where the model's TFs are among the columns of an object, by name."""
        return mdata[modality].var_names.get_indexer(self._state(modality)[ChannelField.COLUMN_NAMES_KEY])

    @torch.inference_mode()
    def run(self, mdata: MuData | None = None, *, batch_size: int = 512) -> Outputs:
        """Run the model once over all observations, without gradients, and gather everything that it says.

        Parameters
        ----------
        mdata
            Object to run; ``None``: the one the model was trained on. Needs no label, expression or split.
        batch_size
            Observations in a batch.

        Returns
        -------
        Predictions, embeddings and attention; the other methods each return a part of it.
        """
        mdata = self._validate_anndata(mdata)
        self._check_if_trained(warn=False, message="The model is not trained yet: call train() first.")
        self.module.eval()
        modalities = _present(mdata, self.channels)
        columns = {modality: self._columns(mdata, modality) for modality in modalities if kind(modality) == k.TF}
        outputs = Outputs(mdata, modalities, columns)
        for batch in make_loader(self._dataset(mdata), np.arange(mdata.n_obs), batch_size):
            embedding, generated = self.module(batch, compute_loss=False)
            masks = {modality: batch[modality].mask for modality in modalities}
            outputs.add(self.module.predict(generated["score"]), embedding, masks)
        return outputs

    def predict(self, mdata: MuData | None = None, *, batch_size: int = 512) -> np.ndarray:
        """Probability of high expression (or predicted expression), shape ``(n_obs,)``."""
        return self.run(mdata, batch_size=batch_size).prediction

    def get_latent_representation(
        self, mdata: MuData | None = None, *, modality: str | None = None, batch_size: int = 512
    ) -> np.ndarray:
        """Embedding in the regulatory latent space.

        Parameters
        ----------
        mdata
            Object to embed; ``None``: the one the model was trained on. Needs no label, expression or split.
        modality
            Return this modality's context vectors instead of the fused embedding.
        batch_size
            Observations in a batch.

        Returns
        -------
        Shape ``(n_obs, n_latent)``, float32.
        """
        if modality is not None:
            check_choice("modality", modality, self.channels)
        outputs = self.run(mdata, batch_size=batch_size)
        return outputs.latent if modality is None else outputs.contexts[modality]

    def get_attention(
        self, mdata: MuData | None = None, *, modality: str, batch_size: int = 512
    ) -> np.ndarray | sparse.csr_matrix:
        """Attention over the positions of a modality.

        Parameters
        ----------
        mdata
            Object to run; ``None``: the one the model was trained on.
        modality
            Which one.
        batch_size
            Observations in a batch.

        Returns
        -------
        Shape ``(n_obs, n_var)`` of the modality. Bins: each pooled position's weight spread equally over its
        receptive field; rows sum to 1. CpGs: 0 on empty slots; rows sum to 1, or 0 where there is no CpG. TFs: CSR
        on bound TFs only (mean over queries); the rest of a row's sum is on unbound TFs.
        """
        check_choice("modality", modality, self.channels)
        return self.run(mdata, batch_size=batch_size).attention[modality]

    def get_modality_weights(self, mdata: MuData | None = None, *, batch_size: int = 512) -> pd.DataFrame:
        """Weight of each modality in the fusion: mean over heads, divided by its uniform share (1 is uniform).

        Returns
        -------
        A DataFrame, observations x modalities.
        """
        import pandas as pd

        outputs = self.run(mdata, batch_size=batch_size)
        return pd.DataFrame(outputs.modality_weights, index=outputs.obs_names, columns=list(self.channels))

    # --- saying what it is -------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        names = {k.HISTONE: "bins", k.METHYLATION: "CpG slots", k.TF: "TFs"}
        inputs = [
            f"{modality} ({', '.join(channels)}; {self.n_positions(modality)} {names[kind(modality)]})"  # type: ignore[index]
            for modality, channels in self.channels.items()
        ]
        n_parameters = sum(parameter.numel() for parameter in self.module.parameters())
        trained = f"{len(self.history_['loss_train'])} epochs" if self.is_trained_ and self.history_ else "no"
        lines = [
            f"{type(self).__name__} predicting {self.target}",
            *(f"  input    {line}" for line in inputs),
            f"  latent   {self.module.network.fusion.n_latent} dimensions",
            f"  weights  {n_parameters:,} parameters",
            f"  trained  {trained}",
        ]
        return "\n".join(lines)


def _make_manager(mdata: MuData, setup: Mapping[str, Any], source_registry: dict | None = None) -> AnnDataManager:
    """Register a MuData; with a source registry it must hold what a trained model reads, by name."""
    keys = ("model_name", "setup_method_name", "setup_args")
    args = setup["setup_args"]
    channels = _present(mdata, args["channels"])
    lacking = {
        modality: missing
        for modality, names in channels.items()
        if (missing := [name for name in names if name not in mdata[modality].layers])
    }
    if lacking:
        what = "; ".join(f"mdata[{modality!r}].layers lacks {names}" for modality, names in lacking.items())
        msg = f"The data lacks channels that the model was trained on: {what}. Channels are matched by name."
        raise ValueError(msg)
    check_values(mdata, channels)
    manager = AnnDataManager(
        fields=make_fields(mdata, channels, args["label_key"]), setup_method_args={key: setup[key] for key in keys}
    )
    manager.register_fields(mdata, source_registry)
    return manager


def _present(mdata: MuData, channels: Channels) -> Channels:
    return {modality: names for modality, names in channels.items() if modality in mdata.mod}


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's remarks on devices and loaders; ours say what a user needs to know."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)

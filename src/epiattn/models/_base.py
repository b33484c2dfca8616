"""The base of all models: set-up, training, prediction, embedding, attention, saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scvi.data import AnnDataManager
from scvi.data._constants import _SCVI_UUID_KEY
from scvi.model.base import BaseModelClass

from epiattn import _keys as k
from epiattn._depth import DepthScaling
from epiattn._logging import logger
from epiattn._modalities import Channels, expression_of, find_channels, kind, present
from epiattn._registry import models
from epiattn._validation import as_mudata, check_choice, check_values

from ._fields import ChannelField, channel_key, make_fields
from ._inference import InferenceMixin
from ._loader import RegulatoryDataset
from ._module import LOSSES, NORMALIZATIONS, RegulatoryModule
from ._targets import encode_labels
from ._training import TrainingMixin, quiet

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from epiattn.nn import RegulatoryNetwork


class RegulatoryModel(TrainingMixin, InferenceMixin, BaseModelClass):
    """A scvi-tools model of gene regulation: epigenetic marks in, high or low expression out.

    A subclass builds its network in ``__init__`` and hands it to ``_build``; everything else is here.
    """

    #: What :meth:`train` takes where it is not told otherwise: learning rate, weight decay, and how many observations
    #: pass by, within bounds of the number of epochs; and whether probabilities are calibrated afterwards.
    _lr, _weight_decay, _n_seen, _epochs, _calibrates = 1e-2, 0.3, 180_000, (15, 100), False

    def _build(
        self,
        network: RegulatoryNetwork,
        *,
        target: str,
        loss: str | None,
        normalization: str,
        scale_by: str | None = None,
        reconstruction: float = 0.0,
        **training: float,
    ) -> None:
        """Put the module together from a subclass's network."""
        check_choice("target", target, LOSSES)
        check_choice("normalization", normalization, NORMALIZATIONS)
        if not reconstruction >= 0:
            msg = f"reconstruction must be 0 or more, not {reconstruction}."
            raise ValueError(msg)
        if loss is not None:
            check_choice(f"loss (for target={target!r})", loss, LOSSES[target])
        self.target, self.scale_by = target, scale_by
        #: Mean signal of each mark in each cell type that training saw; ``None`` where nothing is scaled by it.
        self.depth_: DepthScaling | None = None
        self.module = RegulatoryModule(
            network,
            {modality: len(names) for modality, names in self.channels.items()},
            target=target,
            loss=loss,
            normalization=normalization,
            reconstruction=reconstruction,
            **training,
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
        **kwargs
            ``source_registry`` of a saved model: scvi-tools passes it when it loads the model with data.

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
        """Bins, CpG slots or TFs of a modality in the training data.

        Parameters
        ----------
        modality
            Which one.

        Returns
        -------
        Their number.

        Raises
        ------
        KeyError
            If the model does not read this modality.
        """
        return int(self._state(modality)[ChannelField.N_VARS_KEY])

    def get_var_names(self, legacy_mudata_format: bool = False) -> dict[str, np.ndarray]:
        """Nothing for scvi-tools to compare by position: bins are checked by coordinate, TFs matched by name."""
        return {}

    # --- data ---

    def _validate_anndata(self, adata: MuData | AnnData | None = None, copy_if_view: bool = True) -> MuData:
        """Check data against what the model knows, by name, and register it with this model."""
        if adata is None and self.adata is None:
            msg = "The model was loaded without data: pass the object to work on."
            raise ValueError(msg)
        mdata = as_mudata(self.adata if adata is None else adata)
        self._check_modalities(mdata)
        manager = self._per_instance_manager_store.get(self.id, {}).get(mdata.uns.get(_SCVI_UUID_KEY))
        if manager is not None and manager.adata is mdata:
            check_values(mdata, present(mdata, self.channels))
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

    def _dataset(
        self,
        mdata: MuData,
        *,
        target: np.ndarray | None = None,
        expression: np.ndarray | None = None,
        stack: bool = True,
    ) -> RegulatoryDataset:
        channels = present(mdata, self.channels)
        columns = {modality: self._columns(mdata, modality) for modality in channels if kind(modality) == k.TF}
        manager = self.get_anndata_manager(mdata, required=True)
        factors = self.depth_.factors(mdata) if self.depth_ is not None else None
        return RegulatoryDataset(
            manager, channels, columns, target=target, expression=expression, factors=factors, stack=stack
        )

    def _columns(self, mdata: MuData, modality: str) -> np.ndarray:
        """Where the model's TFs are among the columns of an object, by name."""
        return mdata[modality].var_names.get_indexer(self._state(modality)[ChannelField.COLUMN_NAMES_KEY])

    def get_target(self, mdata: MuData | None = None) -> np.ndarray | None:
        """What the model learns to predict: labels or expression.

        Parameters
        ----------
        mdata
            Object with the labels or the expression; ``None``: the one the model was trained on.

        Returns
        -------
        Shape ``(n_obs,)``: 1 for ``high`` and 0 for ``low``, or the expression in the units of ``mdata["rna"].X``; NaN
        where it is missing. ``None`` where the object has no labels (or no ``rna``) at all.

        Raises
        ------
        TypeError, ValueError
            If the object, its labels or its expression are not as the data model says, it lacks what the model reads,
            or there is no object at all.
        """
        mdata = self._validate_anndata(mdata)
        if self.target == "expression":
            return expression_of(mdata) if k.RNA in mdata.mod else None
        label_key = self.registry_["setup_args"]["label_key"]
        return encode_labels(mdata.obs[label_key].to_numpy(dtype=object)) if label_key in mdata.obs else None

    # --- saving and saying what it is ------------------------------------------------------------------------------

    @classmethod
    def load(  # type: ignore[override]
        cls, dir_path: str | Path, mdata: MuData | AnnData | Literal[False] | None = None, **kwargs: Any
    ) -> RegulatoryModel:
        """Load a saved model; on the base class, whatever model it is.

        Parameters
        ----------
        dir_path
            Folder that ``save`` wrote.
        mdata
            Object to attach: the training data, or other data with the same channels. ``None`` (or ``False``): the
            object that was saved with the model, if one was, or no data; pass it to the other methods then.
        **kwargs
            ``accelerator``, ``device`` and ``prefix`` of :meth:`scvi.model.base.BaseModelClass.load`.

        Returns
        -------
        The model.

        Raises
        ------
        FileNotFoundError
            If there is no model in the folder.
        """
        folder, prefix = Path(dir_path), kwargs.get("prefix") or ""
        if not (folder / f"{prefix}model.pt").is_file():
            msg = f"No model in {str(folder)!r}: no file '{prefix}model.pt'; save() and tl.fit(model_dir=) write one."
            raise FileNotFoundError(msg)
        mdata = kwargs.pop("adata", mdata)  # scvi-tools' name
        if mdata is None and not (folder / f"{prefix}mdata.h5mu").exists():
            mdata = False
        with quiet():
            if cls is RegulatoryModel:
                return _class_of(folder, prefix).load(folder, mdata, **kwargs)
            return super().load(str(folder), as_mudata(mdata) if mdata else mdata, **kwargs)

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
            f"  latent   {self.module.network.n_latent} dimensions",
            f"  weights  {n_parameters:,} parameters",
            f"  trained  {trained}",
        ]
        return "\n".join(lines)


def _class_of(folder: Path, prefix: str) -> type[RegulatoryModel]:
    name = RegulatoryModel.load_registry(str(folder), prefix)["model_name"]
    for entry in models.values():
        if (model_class := entry.load()).__name__ == name:
            return model_class
    msg = f"The model in {str(folder)!r} is a {name!r}, which this epiattn does not know; known are {list(models)}."
    raise ValueError(msg)


def _make_manager(mdata: MuData, setup: Mapping[str, Any], source_registry: dict | None = None) -> AnnDataManager:
    """Register a MuData; with a source registry it must hold what a trained model reads, by name."""
    keys = ("model_name", "setup_method_name", "setup_args")
    channels = present(mdata, setup["setup_args"]["channels"])
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
    manager = AnnDataManager(fields=make_fields(channels), setup_method_args={key: setup[key] for key in keys})
    manager.register_fields(mdata, source_registry)
    return manager

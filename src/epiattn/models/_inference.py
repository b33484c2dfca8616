"""Predictions, embeddings and attention of trained models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from epiattn import _keys as k
from epiattn._modalities import kind, present
from epiattn._validation import check_choice

from ._loader import make_loader, to_numpy
from ._outputs import Outputs
from ._threads import one_thread

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData
    from scipy import sparse

    from ._base import RegulatoryModel


class InferenceMixin:
    """What a trained model says, for models on :class:`RegulatoryModel`."""

    @torch.inference_mode()
    def run(
        self: RegulatoryModel, mdata: MuData | None = None, *, batch_size: int = 512, attention_dtype: str = "float32"
    ) -> Outputs:
        """Run the model once over all observations, without gradients, and gather everything that it says.

        Parameters
        ----------
        mdata
            Object to run; ``None``: the one the model was trained on. Needs no label, expression or split.
        batch_size
            Observations in a batch.
        attention_dtype
            ``"float32"``, or ``"float16"`` for attention over bins and CpGs in half the memory (to three digits).

        Returns
        -------
        Predictions, embeddings and attention; the other methods each return a part of it.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        TypeError, ValueError
            If the object is not as the data model says, it lacks what the model reads, there is no object at all, or
            attention cannot be had in this type.
        """
        check_choice("attention_dtype", attention_dtype, k.ATTENTION_DTYPES)
        mdata = self._validate_anndata(mdata)
        self._check_if_trained(warn=False, message="The model is not trained yet: call train() first.")
        self.module.eval()
        modalities = present(mdata, self.channels)
        columns = {modality: self._columns(mdata, modality) for modality in modalities if kind(modality) == k.TF}
        outputs = Outputs(mdata, modalities, columns, attention_dtype=attention_dtype)
        dataset = self._dataset(mdata)
        dataset.load_on(self.module.device)
        with one_thread():
            for batch in make_loader(dataset, np.arange(mdata.n_obs), batch_size):
                embedding, generated = self.module(batch, compute_loss=False)
                masks = {modality: batch[modality].mask for modality in columns}
                outputs.add(self.module.predict(generated["score"]), embedding, masks)
        return outputs

    @property
    def uniform_attention(self: RegulatoryModel) -> dict[str, np.ndarray]:
        """Attention over the bins of each signal modality that weighs all pooled positions the same, ``(n_bins,)``."""
        encoders: Any = self.module.network.encoders
        signal = [name for name in self.channels if kind(name) == k.HISTONE]
        return {name: to_numpy(encoders[name].uniform_attention()) for name in signal}

    def predict(self: RegulatoryModel, mdata: MuData | None = None, *, batch_size: int = 512) -> np.ndarray:
        """Probability of high expression, or predicted expression.

        Parameters
        ----------
        mdata
            Object to predict; ``None``: the one the model was trained on. Needs no label, expression or split.
        batch_size
            Observations in a batch.

        Returns
        -------
        Shape ``(n_obs,)``, float32: probabilities from 0 to 1, or expression in the units of the training data.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        TypeError, ValueError
            If the object is not as the data model says, it lacks what the model reads, or there is no object at all.
        """
        return self.run(mdata, batch_size=batch_size).prediction

    def get_latent_representation(
        self: RegulatoryModel, mdata: MuData | None = None, *, modality: str | None = None, batch_size: int = 512
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

        Raises
        ------
        ValueError
            If the model does not read this modality, or the object is not as the data model says.
        """
        if modality is not None:
            check_choice("modality", modality, self.channels)
        outputs = self.run(mdata, batch_size=batch_size)
        return outputs.latent if modality is None else outputs.contexts[modality]

    def get_attention(
        self: RegulatoryModel,
        mdata: MuData | None = None,
        *,
        modality: str,
        per_mark: bool = False,
        batch_size: int = 512,
    ) -> np.ndarray | sparse.csr_matrix:
        """Attention over the positions of a modality.

        Parameters
        ----------
        mdata
            Object to run; ``None``: the one the model was trained on.
        modality
            Which one.
        per_mark
            Tell the marks apart, for models that read each mark by itself (``attentive_chrome``).
        batch_size
            Observations in a batch.

        Returns
        -------
        Shape ``(n_obs, n_var)`` of the modality. Bins: each pooled position's weight spread equally over its
        receptive field; rows sum to 1. CpGs: 0 on empty slots; rows sum to 1, or 0 where there is no CpG. TFs: CSR
        on bound TFs only (mean over queries); the rest of a row's sum is on unbound TFs. With ``per_mark``: shape
        ``(n_obs, n_marks, n_var)``, marks in the order of ``channels[modality]``; summed, they are what is returned
        without.

        Raises
        ------
        ValueError
            If the model does not read the modality, or mixes its marks before the attention (with ``per_mark``).
        """
        check_choice("modality", modality, self.channels)
        outputs = self.run(mdata, batch_size=batch_size)
        if not per_mark:
            return outputs.attention[modality]
        if modality not in outputs.mark_attention:
            msg = (
                f"per_mark=True: the attention of {type(self).__name__} over {modality!r} does not tell the channels "
                "apart; that of the model 'attentive_chrome' over histone marks does."
            )
            raise ValueError(msg)
        return outputs.mark_attention[modality]

    def get_modality_weights(
        self: RegulatoryModel, mdata: MuData | None = None, *, batch_size: int = 512
    ) -> pd.DataFrame:
        """Weight of each modality in the fusion: mean over heads, divided by its uniform share (1 is uniform).

        Parameters
        ----------
        mdata
            Object to run; ``None``: the one the model was trained on. Needs no label, expression or split.
        batch_size
            Observations in a batch.

        Returns
        -------
        A DataFrame, observations x modalities, in the order of ``channels``; a modality that the object lacks has a
        column too.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        TypeError, ValueError
            If the object is not as the data model says, it lacks what the model reads, or there is no object at all.
        """
        import pandas as pd

        outputs = self.run(mdata, batch_size=batch_size)
        return pd.DataFrame(outputs.modality_weights, index=outputs.obs_names, columns=list(self.channels))

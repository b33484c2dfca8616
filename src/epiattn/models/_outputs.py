"""What a model says about all observations, gathered batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._modalities import Channels, kind

from ._loader import to_numpy

if TYPE_CHECKING:
    import pandas as pd
    from mudata import MuData
    from torch import Tensor

    from epiattn.nn import Embedding


class Outputs:
    """Predictions, embeddings and attention of all observations of an object.

    Attributes
    ----------
    obs_names
        The observations.
    prediction
        Probability of high expression, or predicted expression, shape ``(n_obs,)``.
    latent
        Fused embedding, shape ``(n_obs, n_latent)``.
    contexts
        Context vector of each modality, shape ``(n_obs, size)``.
    modality_weights
        Weight of each modality in the fusion, shape ``(n_obs, n_modalities)``; 1 is uniform.
    attention
        Attention in the shape of each modality, ``(n_obs, n_var)``; TFs: CSR on bound TFs only.
    unbound
        By TF modality, the attention on all unbound TFs together, shape ``(n_obs,)``.
    """

    def __init__(self, mdata: MuData, channels: Channels, columns: Mapping[str, np.ndarray]) -> None:
        self.obs_names = mdata.obs_names
        self._columns = columns
        self._shapes = {modality: mdata[modality].shape for modality in channels}
        self._parts: dict[str, list[np.ndarray]] = {}
        self._attention: dict[str, list[np.ndarray | sparse.csr_matrix]] = {modality: [] for modality in channels}
        self._order: np.ndarray | slice = slice(None)

    @classmethod
    def join(cls, parts: Sequence[tuple[np.ndarray, Outputs]], obs_names: pd.Index) -> Outputs:
        """Put together what several models say of different observations, each part with the rows that it is about."""
        joined = cls.__new__(cls)
        joined.obs_names = obs_names
        joined._columns, joined._shapes = parts[0][1]._columns, parts[0][1]._shapes
        joined._parts, joined._attention = (
            {name: [values for _, part in parts for values in getattr(part, slot)[name]] for name in first}
            for slot, first in (("_parts", parts[0][1]._parts), ("_attention", parts[0][1]._attention))
        )
        joined._order = np.argsort(np.concatenate([rows for rows, _ in parts]))
        return joined

    def add(self, prediction: Tensor, embedding: Embedding, masks: Mapping[str, Tensor]) -> None:
        """Take the next batch."""
        self._add("prediction", to_numpy(prediction))
        self._add("latent", to_numpy(embedding["z"]))
        self._add("modality_weights", to_numpy(embedding["modality_weights"]))
        for modality, parts in self._attention.items():
            self._add(f"context {modality}", to_numpy(embedding["contexts"][modality]))
            attention = to_numpy(embedding["attention"][modality])
            n_var = self._shapes[modality][1]
            if kind(modality) == k.TF:
                bound = to_numpy(masks[modality])
                row, column = bound.nonzero()
                entries = (attention[row, column], (row, self._columns[modality][column]))
                parts.append(sparse.csr_matrix(entries, shape=(len(attention), n_var)))
                self._add(f"unbound {modality}", np.where(bound, 0, attention).sum(1))
            else:  # a batch is trimmed to its longest list of CpGs
                parts.append(np.pad(attention, ((0, 0), (0, n_var - attention.shape[1]))))

    def _add(self, name: str, values: np.ndarray) -> None:
        self._parts.setdefault(name, []).append(values)

    def _get(self, name: str) -> np.ndarray:
        return np.concatenate(self._parts[name])[self._order]

    @property
    def prediction(self) -> np.ndarray:
        return self._get("prediction")

    @property
    def latent(self) -> np.ndarray:
        return self._get("latent")

    @property
    def modality_weights(self) -> np.ndarray:
        return self._get("modality_weights")

    @property
    def contexts(self) -> dict[str, np.ndarray]:
        return {modality: self._get(f"context {modality}") for modality in self._attention}

    @property
    def attention(self) -> dict[str, np.ndarray | sparse.csr_matrix]:
        return {
            modality: (sparse.vstack(parts, format="csr") if kind(modality) == k.TF else np.concatenate(parts))[
                self._order
            ]
            for modality, parts in self._attention.items()
        }

    @property
    def unbound(self) -> dict[str, np.ndarray]:
        return {modality: self._get(f"unbound {modality}") for modality in self._columns}

"""What a model says about all observations, gathered batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    prediction_sd
        Standard deviation of the prediction between several models; ``None`` of one model.
    interval
        Lower and upper ends of prediction intervals, shape ``(n_obs,)`` each; ``None``: there are none.
    latent
        Fused embedding, shape ``(n_obs, n_latent)``.
    contexts
        Context vector of each modality, shape ``(n_obs, size)``.
    modality_weights
        Weight of each modality in the fusion, shape ``(n_obs, n_modalities)``; 1 is uniform.
    attention
        Attention in the shape of each modality, ``(n_obs, n_var)``; TFs: CSR on bound TFs only; marks that are kept
        apart: their sum.
    mark_attention
        By modality whose marks are kept apart, the part of each mark, shape ``(n_obs, n_marks, n_var)``.
    unbound
        By TF modality, the attention on all unbound TFs together, shape ``(n_obs,)``.
    """

    def __init__(
        self, mdata: MuData, channels: Channels, columns: Mapping[str, np.ndarray], *, attention_dtype: str = "float32"
    ) -> None:
        self.obs_names = mdata.obs_names
        self._columns = columns
        self._attention_dtype = np.dtype(attention_dtype)
        self._n_var = {modality: mdata[modality].n_vars for modality in channels}
        self._dense: dict[str, np.ndarray] = {}  # each is allocated once, and filled batch by batch
        self._sparse: dict[str, list[sparse.csr_matrix]] = {modality: [] for modality in columns}
        self._order: np.ndarray | slice = slice(None)
        self._n_seen = 0

    @classmethod
    def join(cls, parts: Sequence[tuple[np.ndarray, Outputs]], obs_names: pd.Index) -> Outputs:
        """Put together what several models say of different observations, each part with the rows that it is about."""
        first = parts[0][1]
        joined = cls.__new__(cls)
        joined.obs_names, joined._columns, joined._n_var = obs_names, first._columns, first._n_var
        joined._dense = {
            name: np.empty((len(obs_names), *values.shape[1:]), values.dtype) for name, values in first._dense.items()
        }
        for rows, part in parts:
            for name, values in part._dense.items():
                joined._dense[name][rows] = values
        joined._sparse = {name: [block for _, part in parts for block in part._sparse[name]] for name in first._sparse}
        joined._order = np.argsort(np.concatenate([rows for rows, _ in parts]))
        return joined

    def average(self, others: Iterable[Outputs]) -> None:
        """Put together what several models say of the same observations, one after the other.

        Predictions, attention and modality weights become means; embeddings, whose coordinates mean something else in
        each model, come side by side.
        """
        beside = {name: [values] for name, values in self._dense.items() if name.startswith(("latent", "context "))}
        squares = np.zeros(len(self.prediction))
        n = 1
        for other in others:
            n += 1
            before = self.prediction.copy()
            for name, values in self._dense.items():
                if name in beside:
                    beside[name].append(other._dense[name])
                else:
                    _move_mean(values, other._dense[name], n)
            squares += (other.prediction - before).astype(float) * (other.prediction - self.prediction)
            for name, blocks in self._sparse.items():  # the same batches, and the same TFs are bound
                for block, of_other in zip(blocks, other._sparse[name], strict=True):
                    _move_mean(block.data, of_other.data, n)
            del other  # before the next one is made
        self._dense |= {name: np.concatenate(values, axis=1) for name, values in beside.items()}
        self._dense["prediction_sd"] = np.sqrt(squares / (n - 1)).astype(np.float32)

    def add_interval(self, half_width: float) -> None:
        """Give each prediction an interval of this half width."""
        self._dense |= {"low": self.prediction - half_width, "high": self.prediction + half_width}

    def add(self, prediction: Tensor, embedding: Embedding, masks: Mapping[str, Tensor]) -> None:
        """Take the next batch."""
        rows = slice(self._n_seen, self._n_seen + len(prediction))
        self._n_seen = rows.stop
        self._fill("prediction", rows, to_numpy(prediction))
        self._fill("latent", rows, to_numpy(embedding["z"]))
        self._fill("modality_weights", rows, to_numpy(embedding["modality_weights"]))
        for modality, n_var in self._n_var.items():
            self._fill(f"context {modality}", rows, to_numpy(embedding["contexts"][modality]))
            attention = to_numpy(embedding["attention"][modality])
            if kind(modality) == k.TF:
                bound = to_numpy(masks[modality])
                row, column = bound.nonzero()
                entries = (attention[row, column], (row, self._columns[modality][column]))
                self._sparse[modality].append(sparse.csr_matrix(entries, shape=(len(attention), n_var)))
                self._fill(f"unbound {modality}", rows, np.where(bound, 0, attention).sum(1))
            elif attention.ndim == 3:
                self._fill(f"attention {modality}", rows, attention, dtype=self._attention_dtype)
            else:  # a batch is trimmed to its longest list of CpGs
                self._fill(f"attention {modality}", rows, attention, width=n_var, dtype=self._attention_dtype)

    def _fill(
        self, name: str, rows: slice, values: np.ndarray, width: int | None = None, dtype: np.dtype | None = None
    ) -> None:
        """Write a batch into its rows; with a width, into the first columns of that many, the others stay 0."""
        if name not in self._dense:
            shape = values.shape[1:] if width is None else (width,)
            self._dense[name] = np.zeros((len(self.obs_names), *shape), dtype or values.dtype)
        where = rows if width is None else (rows, slice(values.shape[1]))
        self._dense[name][where] = values

    @property
    def prediction(self) -> np.ndarray:
        return self._dense["prediction"]

    @property
    def prediction_sd(self) -> np.ndarray | None:
        return self._dense.get("prediction_sd")

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray] | None:
        return (self._dense["low"], self._dense["high"]) if "low" in self._dense else None

    @property
    def latent(self) -> np.ndarray:
        return self._dense["latent"]

    @property
    def modality_weights(self) -> np.ndarray:
        return self._dense["modality_weights"]

    @property
    def contexts(self) -> dict[str, np.ndarray]:
        return {modality: self._dense[f"context {modality}"] for modality in self._n_var}

    @property
    def attention(self) -> dict[str, np.ndarray | sparse.csr_matrix]:
        return {
            modality: self._stacked(modality)
            if modality in self._sparse
            else _summed_over_marks(self._dense[f"attention {modality}"])
            for modality in self._n_var
        }

    def _stacked(self, modality: str) -> sparse.csr_matrix:
        """All batches of a TF modality, which they are replaced by: nothing is held twice."""
        blocks = self._sparse[modality]
        if len(blocks) > 1:
            blocks[:] = [sparse.vstack(blocks, format="csr")]
        return blocks[0] if isinstance(self._order, slice) else blocks[0][self._order]

    @property
    def mark_attention(self) -> dict[str, np.ndarray]:
        dense = {
            modality: self._dense[f"attention {modality}"] for modality in self._n_var if modality not in self._sparse
        }
        return {modality: values for modality, values in dense.items() if values.ndim == 3}

    @property
    def unbound(self) -> dict[str, np.ndarray]:
        return {modality: self._dense[f"unbound {modality}"] for modality in self._columns}


def _move_mean(mean: np.ndarray, value: np.ndarray, n: int) -> None:
    """Make the mean of n - 1 values that of n, in place; half precision is rounded once."""
    mean += np.subtract(value, mean, dtype=np.float32) / n


def _summed_over_marks(attention: np.ndarray) -> np.ndarray:
    return attention.sum(1, dtype=np.float32).astype(attention.dtype, copy=False) if attention.ndim == 3 else attention

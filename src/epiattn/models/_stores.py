"""The registered tensors of a MuData, stacked once by modality; a batch is cut by the numbers of its observations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from epiattn import _keys as k
from epiattn.nn import ModalityBatch


def _dense(values: Any) -> np.ndarray:
    return np.asarray(values.toarray() if sparse.issparse(values) else values, dtype=np.float32)


def _root_mean_square(values: np.ndarray, axis: Any) -> np.ndarray:
    rms = np.sqrt(np.mean(np.square(values, dtype=np.float64), axis=axis)) if values.size else np.ones(1)
    return np.where(rms > 0, rms, 1.0).astype(np.float32)


def _to_mask(present: np.ndarray | None, n_obs: int) -> Tensor:
    """For which observations a modality was measured; ``None``: for all."""
    return torch.ones(n_obs, dtype=torch.bool) if present is None else torch.from_numpy(present)


class Store(ABC):
    """All observations of one modality, as tensors on one device."""

    @abstractmethod
    def cut(self, rows: Tensor) -> ModalityBatch:
        """One batch."""

    @abstractmethod
    def scale(self, rows: np.ndarray, transform: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Root mean square of each channel after a transformation, shape ``(n_channels,)``."""

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, by attribute."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def to(self, device: torch.device) -> None:
        """Move to a device."""
        for name, value in self.tensors().items():
            setattr(self, name, value.to(device))


class SignalStore(Store):
    """Signal around the TSS: float32, shape ``(n_obs, n_marks, n_bins)``; multiplied by ``factors`` by mark, if any."""

    def __init__(
        self, layers: Sequence[Any], present: np.ndarray | None = None, factors: np.ndarray | None = None
    ) -> None:
        self.present = _to_mask(present, layers[0].shape[0])
        self.values = torch.empty(layers[0].shape[0], len(layers), layers[0].shape[1])
        for i, layer in enumerate(layers):
            self.values[:, i] = torch.from_numpy(_dense(layer))
        if factors is not None:
            self.values *= torch.tensor(factors)[:, :, None]

    def cut(self, rows: Tensor) -> ModalityBatch:
        """One batch."""
        return ModalityBatch(self.values[rows], None, self.present[rows])

    def scale(self, rows: np.ndarray, transform: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Root mean square of each transformed mark, shape ``(n_marks,)``."""
        marks = self.values.numpy().swapaxes(0, 1)
        return np.concatenate([_root_mean_square(transform(mark[rows]), (0, 1))[None] for mark in marks])


class CpGStore(Store):
    """CpG lists, left-aligned: float32, shape ``(n_obs, n_slots, n_channels)``, and their lengths."""

    def __init__(self, layers: Sequence[Any], names: Sequence[str], n_cpg: np.ndarray) -> None:
        self.names = list(names)
        self.n_cpg = torch.from_numpy(n_cpg.astype(np.int64))
        values = np.stack([_dense(layer) for layer in layers], axis=-1)
        # What stands in an empty slot (often NaN) must not reach the network.
        values[np.arange(values.shape[1]) >= n_cpg[:, None]] = 0.0
        self.values = torch.from_numpy(values)

    def cut(self, rows: Tensor) -> ModalityBatch:
        """One batch, trimmed to its longest list."""
        n_cpg = self.n_cpg[rows]
        longest = int(n_cpg.max())
        mask = torch.arange(longest, device=n_cpg.device) < n_cpg[:, None]
        return ModalityBatch(self.values[rows, :longest], mask, n_cpg > 0)

    def scale(self, rows: np.ndarray, transform: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """1 for beta and position, which have a fixed range; root mean square of any other channel."""
        valid = np.arange(self.values.shape[1]) < self.n_cpg.numpy()[rows, None]
        fixed = (k.BETA, k.POSITION)
        channels = enumerate(self.names)
        return np.array(
            [
                1.0 if name in fixed else _root_mean_square(self.values.numpy()[rows, :, i][valid], 0).item()
                for i, name in channels
            ],
            np.float32,
        )


class TFStore(Store):
    """TF channels in one CSR pattern (the union of the channels'): values of shape ``(n_stored, n_channels)``."""

    def __init__(self, layers: Sequence[Any], columns: np.ndarray, present: np.ndarray | None = None) -> None:
        self.present = _to_mask(present, layers[0].shape[0])
        n_obs, self.n_tfs = layers[0].shape[0], len(columns)
        identity = np.array_equal(columns, np.arange(layers[0].shape[1]))
        matrices = [sparse.csr_array(layer) for layer in layers]
        entries = [(m if identity else sparse.csr_array(m[:, columns])).tocoo() for m in matrices]
        keys = [entry.row.astype(np.int64) * self.n_tfs + entry.col for entry in entries]
        stored = np.unique(np.concatenate([key[entry.data != 0] for key, entry in zip(keys, entries, strict=True)]))
        values = np.zeros((len(stored), len(layers)), np.float32)
        for i, (key, entry) in enumerate(zip(keys, entries, strict=True)):
            nonzero = entry.data != 0
            values[np.searchsorted(stored, key[nonzero]), i] = entry.data[nonzero]
        self.values = torch.from_numpy(values)
        self.columns = torch.from_numpy((stored % self.n_tfs).astype(np.int32))
        self.starts = torch.from_numpy(np.searchsorted(stored, np.arange(n_obs + 1) * self.n_tfs))
        #: Every TF has evidence at every gene: then the stored values lie as a dense array would.
        self.complete = len(stored) == n_obs * self.n_tfs

    def _stored(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Which of ``rows`` each of their stored entries belongs to, and where it is."""
        first = self.starts[rows]
        n_stored = self.starts[rows + 1] - first
        row = torch.repeat_interleave(n_stored)
        return row, torch.arange(len(row), device=row.device) + (first - n_stored.cumsum(0) + n_stored)[row]

    def cut(self, rows: Tensor) -> ModalityBatch:
        """One batch: dense for these rows only."""
        n_channels = self.values.shape[1]
        if self.complete:
            values = self.values.view(-1, self.n_tfs, n_channels)[rows]
            return ModalityBatch(values, torch.ones_like(values[..., 0], dtype=torch.bool), self.present[rows])
        row, where = self._stored(rows)
        cell = row * self.n_tfs + self.columns[where]
        values = self.values.new_zeros(len(rows) * self.n_tfs, n_channels).index_copy_(0, cell, self.values[where])
        bound = self.present.new_zeros(len(rows) * self.n_tfs).index_fill_(0, cell, True)
        shape = (len(rows), self.n_tfs)
        return ModalityBatch(values.unflatten(0, shape), bound.unflatten(0, shape), self.present[rows])

    def scale(self, rows: np.ndarray, transform: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Root mean square of each channel over the bound TFs, shape ``(n_channels,)``."""
        _, where = self._stored(torch.from_numpy(rows))
        return np.broadcast_to(_root_mean_square(self.values[where].numpy(), 0), self.values.shape[1])

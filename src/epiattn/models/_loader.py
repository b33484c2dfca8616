"""From a MuData to batches: channels are stacked once, and one call cuts one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import torch
from scipy import sparse
from torch.utils.data import DataLoader, Dataset, Sampler

from epiattn import _keys as k
from epiattn._modalities import Channels, kind, measured
from epiattn.nn import ModalityBatch

from ._fields import channel_key

if TYPE_CHECKING:
    from scvi.data import AnnDataManager
    from torch import Tensor

TARGET = "target"
Batch = dict[str, Any]  # a ModalityBatch by modality, and the target by TARGET


def _dense(values: Any) -> np.ndarray:
    return np.asarray(values.toarray() if sparse.issparse(values) else values, dtype=np.float32)


def _root_mean_square(values: np.ndarray, axis: Any) -> np.ndarray:
    rms = np.sqrt(np.mean(np.square(values, dtype=np.float64), axis=axis)) if values.size else np.ones(1)
    return np.where(rms > 0, rms, 1.0).astype(np.float32)


def _to_mask(present: np.ndarray | None, n_obs: int) -> Tensor:
    """For which observations a modality was measured; ``None``: for all."""
    return torch.ones(n_obs, dtype=torch.bool) if present is None else torch.from_numpy(present)


class SignalStore:
    """Signal around the TSS: one float32 array, shape ``(n_obs, n_marks, n_bins)``."""

    def __init__(self, layers: Sequence[Any], present: np.ndarray | None = None) -> None:
        self.present = _to_mask(present, layers[0].shape[0])
        self.values = np.empty((layers[0].shape[0], len(layers), layers[0].shape[1]), np.float32)
        for i, layer in enumerate(layers):
            self.values[:, i] = _dense(layer)

    def cut(self, rows: np.ndarray) -> ModalityBatch:
        """One batch."""
        return ModalityBatch(torch.from_numpy(self.values[rows]), None, self.present[rows])

    def scale(self, rows: np.ndarray, transform: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Root mean square of each transformed mark, shape ``(n_marks,)``."""
        marks = range(self.values.shape[1])
        return np.concatenate([_root_mean_square(transform(self.values[rows, i]), (0, 1))[None] for i in marks])


class CpGStore:
    """CpG lists, left-aligned: float32, shape ``(n_obs, n_slots, n_channels)``, and their lengths."""

    def __init__(self, layers: Sequence[Any], names: Sequence[str], n_cpg: np.ndarray) -> None:
        self.names = list(names)
        self.n_cpg = n_cpg.astype(np.int64)
        self.values = np.stack([_dense(layer) for layer in layers], axis=-1)
        # What stands in an empty slot (often NaN) must not reach the network.
        self.values[np.arange(self.values.shape[1]) >= self.n_cpg[:, None]] = 0.0

    def cut(self, rows: np.ndarray) -> ModalityBatch:
        """One batch, trimmed to its longest list."""
        n_cpg = torch.from_numpy(self.n_cpg[rows])
        longest = int(n_cpg.max())
        return ModalityBatch(
            torch.from_numpy(self.values[rows, :longest]), torch.arange(longest) < n_cpg[:, None], n_cpg > 0
        )

    def scale(self, rows: np.ndarray, transform: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """1 for beta and position, which have a fixed range; root mean square of any other channel."""
        valid = np.arange(self.values.shape[1]) < self.n_cpg[rows, None]
        fixed = (k.BETA, k.POSITION)
        channels = enumerate(self.names)
        return np.array(
            [
                1.0 if name in fixed else _root_mean_square(self.values[rows, :, i][valid], 0).item()
                for i, name in channels
            ],
            np.float32,
        )


class TFStore:
    """TF channels in one CSR pattern (the union of the channels'): values of shape ``(n_stored, n_channels)``."""

    def __init__(self, layers: Sequence[Any], columns: np.ndarray, present: np.ndarray | None = None) -> None:
        self.present = _to_mask(present, layers[0].shape[0])
        n_obs, self.n_tfs = layers[0].shape[0], len(columns)
        identity = np.array_equal(columns, np.arange(layers[0].shape[1]))
        matrices = [sparse.csr_array(layer) for layer in layers]
        entries = [(m if identity else sparse.csr_array(m[:, columns])).tocoo() for m in matrices]
        keys = [entry.row.astype(np.int64) * self.n_tfs + entry.col for entry in entries]
        stored = np.unique(np.concatenate([key[entry.data != 0] for key, entry in zip(keys, entries, strict=True)]))
        self.values = np.zeros((len(stored), len(layers)), np.float32)
        for i, (key, entry) in enumerate(zip(keys, entries, strict=True)):
            nonzero = entry.data != 0
            self.values[np.searchsorted(stored, key[nonzero]), i] = entry.data[nonzero]
        self.columns = stored % self.n_tfs
        self.starts = np.searchsorted(stored, np.arange(n_obs + 1) * self.n_tfs)

    def _stored(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Number of stored entries of each row, and where they are."""
        n_stored = self.starts[rows + 1] - self.starts[rows]
        offset = np.repeat(self.starts[rows] - (np.cumsum(n_stored) - n_stored), n_stored)
        return n_stored, offset + np.arange(n_stored.sum())

    def cut(self, rows: np.ndarray) -> ModalityBatch:
        """One batch: dense for these rows only."""
        n_stored, where = self._stored(rows)
        row = np.repeat(np.arange(len(rows)), n_stored)
        values = np.zeros((len(rows), self.n_tfs, self.values.shape[1]), np.float32)
        bound = np.zeros((len(rows), self.n_tfs), bool)
        values[row, self.columns[where]] = self.values[where]
        bound[row, self.columns[where]] = True
        return ModalityBatch(torch.from_numpy(values), torch.from_numpy(bound), self.present[rows])

    def scale(self, rows: np.ndarray, transform: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Root mean square of each channel over the bound TFs, shape ``(n_channels,)``."""
        _, where = self._stored(rows)
        return np.broadcast_to(_root_mean_square(self.values[where], 0), self.values.shape[1])


Store = SignalStore | CpGStore | TFStore


class RegulatoryDataset(Dataset):
    """The registered tensors of a MuData, stacked once; indexing with a list of observations cuts a batch.

    Parameters
    ----------
    manager
        scvi-tools' manager of the object.
    channels
        Channels of each modality.
    columns
        Where the model's TFs are among the columns of each TF modality.
    target
        What to learn, shape ``(n_obs,)``; only needed for training.
    """

    def __init__(
        self,
        manager: AnnDataManager,
        channels: Channels,
        columns: Mapping[str, np.ndarray],
        *,
        target: np.ndarray | None = None,
    ) -> None:
        self.stores: dict[str, Store] = {}
        self.n_obs = manager.adata.n_obs
        self.target = None if target is None else torch.from_numpy(target.astype(np.float32))
        for modality, names in channels.items():
            layers = [manager.get_from_registry(channel_key(modality, name)) for name in names]
            present = np.any(measured(manager.adata[modality], names), axis=1)
            if kind(modality) == k.HISTONE:
                self.stores[modality] = SignalStore(layers, present)
            elif kind(modality) == k.METHYLATION:
                n_cpg = manager.get_from_registry(channel_key(modality, k.N_CPG))
                self.stores[modality] = CpGStore(layers, names, np.where(present, np.asarray(n_cpg).ravel(), 0))
            else:
                self.stores[modality] = TFStore(layers, columns[modality], present)

    def __len__(self) -> int:
        return self.n_obs

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        index = np.asarray(rows, dtype=np.int64)
        batch: Batch = {modality: store.cut(index) for modality, store in self.stores.items()}
        if self.target is not None:
            batch[TARGET] = self.target[index]
        return batch


class BatchSampler(Sampler):
    """Lists of observations, shuffled anew in each epoch if wanted.

    A last batch of one observation is merged with its neighbour: batch normalisation needs two.

    Parameters
    ----------
    rows
        Observations to draw from.
    batch_size
        Observations in a batch.
    shuffle
        Shuffle with PyTorch's global generator.
    """

    def __init__(self, rows: np.ndarray, batch_size: int, *, shuffle: bool) -> None:
        self.rows, self.batch_size, self.shuffle = rows, batch_size, shuffle

    def __len__(self) -> int:
        return len(self._bounds()) - 1

    def _bounds(self) -> list[int]:
        bounds = [*range(0, len(self.rows), self.batch_size), len(self.rows)]
        if len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
            del bounds[-2]
        return bounds

    def __iter__(self) -> Iterator[np.ndarray]:
        rows = self.rows[torch.randperm(len(self.rows)).numpy()] if self.shuffle else self.rows
        bounds = self._bounds()
        for start, end in zip(bounds[:-1], bounds[1:], strict=True):
            yield rows[start:end]


def make_loader(dataset: RegulatoryDataset, rows: np.ndarray, batch_size: int, *, shuffle: bool = False) -> DataLoader:
    """Loader of whole batches."""
    return DataLoader(dataset, sampler=BatchSampler(rows, batch_size, shuffle=shuffle), batch_size=None)


class RegulatoryDataModule(pl.LightningDataModule):
    """Training and validation loaders, with the attributes that scvi-tools' runner reads."""

    def __init__(self, dataset: RegulatoryDataset, rows: dict[str, np.ndarray], batch_size: int) -> None:
        super().__init__()
        self.dataset, self.batch_size = dataset, batch_size
        self.train_idx, self.val_idx, self.test_idx = (rows[part] for part in k.PARTS)

    def train_dataloader(self) -> DataLoader:
        """Shuffled training batches."""
        return make_loader(self.dataset, self.train_idx, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Validation batches."""
        return make_loader(self.dataset, self.val_idx, max(self.batch_size, 512))


def to_numpy(tensor: Tensor) -> np.ndarray:
    """Copy to the CPU."""
    return tensor.detach().cpu().numpy()

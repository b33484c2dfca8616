"""From a MuData to batches: channels are stacked once, and one call cuts one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from epiattn import _keys as k
from epiattn._modalities import Channels, kind, measured

from ._fields import channel_key
from ._stores import CpGStore, SignalStore, Store, TFStore

if TYPE_CHECKING:
    from scvi.data import AnnDataManager
    from torch import Tensor

TARGET = "target"
EXPRESSION = "expression"
MIXTURE = "mixture"
Batch = dict[str, Any]  # a ModalityBatch by modality, targets by TARGET and EXPRESSION, a Mixture drawn before

#: Batches among which genes of similar CpG count change places, where the lists are long: see BatchSampler.
_WINDOW = 4
#: CpGs in the longest list of an average batch from which on that pays.
_LONG = 64


class RegulatoryDataset(Dataset):
    """The registered tensors of a MuData; indexing with observations cuts a batch.

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
    expression
        A second target, shape ``(n_obs,)``, NaN where unknown; ``None``: none.
    factors
        By modality, what the signal of each observation's marks is multiplied by, shape ``(n_obs, n_marks)``.
    stack
        Stack all channels once. ``False``: scvi-tools' own data set reads each batch from the object, field by field.
    """

    def __init__(
        self,
        manager: AnnDataManager,
        channels: Channels,
        columns: Mapping[str, np.ndarray],
        *,
        target: np.ndarray | None = None,
        expression: np.ndarray | None = None,
        factors: Mapping[str, np.ndarray] | None = None,
        stack: bool = True,
    ) -> None:
        self.manager, self.channels, self.columns = manager, channels, columns
        self.factors = factors or {}
        self.n_obs = manager.adata.n_obs
        self.present = {name: np.any(measured(manager.adata[name], marks), axis=1) for name, marks in channels.items()}
        given = {TARGET: target, EXPRESSION: expression}
        self.targets = {
            name: torch.from_numpy(values.astype(np.float32)) for name, values in given.items() if values is not None
        }
        self.device = torch.device("cpu")
        self._fields = manager.create_torch_dataset()  # reads nothing yet
        self.stores = self.stack() if stack else None

    def __len__(self) -> int:
        return self.n_obs

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> Batch:
        index = torch.as_tensor(rows, dtype=torch.int64, device=self.device)
        if self.stores is not None:
            batch: Batch = {modality: store.cut(index) for modality, store in self.stores.items()}
        else:
            rows = np.asarray(rows)
            stores = self._stack(self._fields[rows].__getitem__, rows)
            batch = {modality: store.cut(torch.arange(len(rows))) for modality, store in stores.items()}
        return batch | {name: values[index] for name, values in self.targets.items()}

    def stack(self) -> dict[str, Store]:
        """All observations, by modality."""
        return self._stack(self.manager.get_from_registry, slice(None))

    def _stack(self, layer: Callable[[str], Any], rows: np.ndarray | slice) -> dict[str, Store]:
        """Observations whose layers are given by registry key."""
        stores: dict[str, Store] = {}
        for modality, names in self.channels.items():
            layers = [layer(channel_key(modality, name)) for name in names]
            present = self.present[modality][rows]
            if kind(modality) == k.HISTONE:
                factors = self.factors[modality][rows] if modality in self.factors else None
                stores[modality] = SignalStore(layers, present, factors)
            elif kind(modality) == k.METHYLATION:
                n_cpg = np.asarray(layer(channel_key(modality, k.N_CPG))).ravel()
                stores[modality] = CpGStore(layers, names, np.where(present, n_cpg, 0))
            else:
                stores[modality] = TFStore(layers, self.columns[modality], present)
        return stores

    def list_lengths(self) -> np.ndarray | None:
        """CpGs of each observation, if there is a modality of lists."""
        keys = [channel_key(modality, k.N_CPG) for modality in self.channels if kind(modality) == k.METHYLATION]
        return np.sum([np.asarray(self.manager.get_from_registry(key)).ravel() for key in keys], 0) if keys else None

    def load_on(self, device: torch.device, *, load: bool | Literal["auto"] = "auto") -> None:
        """Move all observations to a device, so that no batch needs to be copied there.

        Parameters
        ----------
        device
            Where the model is.
        load
            ``"auto"``: if it is a CUDA device with twice as much free memory.
        """
        if self.stores is None or device.type == "cpu":
            return
        if load == "auto":
            n_bytes = sum(tensor.nbytes for store in self.stores.values() for tensor in store.tensors().values())
            load = device.type == "cuda" and 2 * n_bytes < torch.cuda.mem_get_info(device)[0]
        if load:
            for store in self.stores.values():
                store.to(device)
            self.targets = {name: values.to(device) for name, values in self.targets.items()}
            self.device = device


class BatchSampler(Sampler):
    """Lists of observations, shuffled anew in each epoch if wanted.

    A last batch of one observation is merged with its neighbour: batch normalisation needs two. With ``lengths``,
    observations of similar length come together, so that less of a batch is padding: after the shuffling, those of a
    few neighbouring batches are sorted by length and cut into batches again, which then come in random order.

    Parameters
    ----------
    rows
        Observations to draw from.
    batch_size
        Observations in a batch.
    shuffle
        Shuffle with PyTorch's global generator.
    lengths
        Length of each of ``rows``; only used when shuffling.
    """

    def __init__(self, rows: np.ndarray, batch_size: int, *, shuffle: bool, lengths: np.ndarray | None = None) -> None:
        self.rows, self.batch_size, self.shuffle, self.lengths = rows, batch_size, shuffle, lengths

    def __len__(self) -> int:
        return len(self._bounds()) - 1

    def _bounds(self) -> list[int]:
        bounds = [*range(0, len(self.rows), self.batch_size), len(self.rows)]
        if len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
            del bounds[-2]
        return bounds

    def __iter__(self) -> Iterator[np.ndarray]:
        order = torch.randperm(len(self.rows)).numpy() if self.shuffle else np.arange(len(self.rows))
        bounds = self._bounds()
        batches = [slice(*pair) for pair in zip(bounds[:-1], bounds[1:], strict=True)]
        if self.shuffle and self.lengths is not None:
            for start in range(0, len(order), _WINDOW * self.batch_size):
                window = order[start : start + _WINDOW * self.batch_size]
                window[:] = window[np.argsort(self.lengths[window], kind="stable")]
            batches = [batches[i] for i in torch.randperm(len(batches))]
        for batch in batches:
            yield self.rows[order[batch]]


def make_loader(dataset: RegulatoryDataset, rows: np.ndarray, batch_size: int, *, shuffle: bool = False) -> DataLoader:
    """Loader of whole batches; where lists of CpGs are long, shuffled batches hold genes of similar CpG count."""
    lengths = dataset.list_lengths() if shuffle else None
    if lengths is not None:
        lengths = lengths[rows]
        lengths = lengths if _mean_longest(lengths, batch_size) >= _LONG else None
    return DataLoader(
        dataset, sampler=BatchSampler(rows, batch_size, shuffle=shuffle, lengths=lengths), batch_size=None
    )


def _mean_longest(lengths: np.ndarray, batch_size: int) -> float:
    """Longest list of an average batch, from quantiles: the longest of n is about the n / (n + 1) quantile."""
    return float(np.quantile(lengths, batch_size / (batch_size + 1)))


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
    """Copy to the CPU; NumPy has no bfloat16."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()

"""What a model attends to, and what it says when single values are taken from its inputs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from epiattn import _keys as k
from epiattn._modalities import kind
from epiattn.nn import ModalityBatch

if TYPE_CHECKING:
    from ._explainer import Change, Explainer

Values = dict[str, np.ndarray | sparse.csr_matrix]
Batch = dict[str, ModalityBatch]


@torch.inference_mode()
def attention_of(explainer: Explainer, rows: np.ndarray) -> Values:
    """Attention of observations over what each modality holds, for modalities that have one.

    Parameters
    ----------
    explainer
        The model and its data.
    rows
        Observations.

    Returns
    -------
    By modality, in the shapes of :class:`Attributions`; of an encoder that mixes the marks, the same for all marks.
    """
    attends = explainer.module.network.attends

    def read(scaled: Batch, batch: Batch) -> dict[str, Tensor]:
        found = explainer.module.network.embed(scaled)["attention"]
        for name, weights in found.items():
            if kind(name) != k.HISTONE:
                found[name] = weights[:, :, None]
            elif weights.ndim == 2:
                found[name] = weights[:, None].expand_as(batch[name].values)
        return found

    return _by_batch(explainer, rows, [name for name in explainer.channels if attends[name]], read)


@torch.inference_mode()
def differences_of(explainer: Explainer, rows: np.ndarray) -> Values:
    """How far each value is from the baseline, scaled as the network reads it; of CpGs and TFs, over all channels.

    Parameters
    ----------
    explainer
        The model and its data.
    rows
        Observations.

    Returns
    -------
    By modality, in the shapes of :class:`Attributions`; 0 where there is nothing to take away.
    """
    scaling = explainer.module.scaling

    def read(scaled: Batch, batch: Batch) -> dict[str, Tensor]:
        nothing = explainer.baseline(batch)
        return {name: (each.values - scaling(name, nothing[name]).values).abs() for name, each in scaled.items()}

    return _by_batch(explainer, rows, list(explainer.channels), read)


def _by_batch(
    explainer: Explainer, rows: np.ndarray, names: Collection[str], read: Callable[[Batch, Batch], dict[str, Tensor]]
) -> Values:
    found: dict[str, list] = {name: [] for name in names}
    with explainer.evaluating():
        for _, batch in explainer.batches(rows):
            values = read({name: explainer.module.scaling(name, each) for name, each in batch.items()}, batch)
            for name, parts in found.items():
                parts.append(explainer.in_shape(name, values[name], batch[name].mask))
    return {name: explainer.joined(name, parts) for name, parts in found.items()}


def occlusion_of(explainer: Explainer, rows: np.ndarray) -> Values:
    """What the output loses when one value is set to the baseline: a pass of the network for each that differs from it.

    Parameters
    ----------
    explainer
        The model and its data.
    rows
        Observations.

    Returns
    -------
    By modality, in the shapes of :class:`Attributions`.
    """
    full, found = explainer.output(rows), differences_of(explainer, rows)
    for name, values in found.items():
        flat = values if sparse.issparse(values) else values.reshape(len(rows), -1)
        row, value = flat.nonzero()
        without = explainer.output(rows[row], _one_at_a_time(explainer, name, value, flat.shape[1]))
        loss = full[row] - without
        if sparse.issparse(values):
            found[name] = sparse.csr_matrix((loss, (row, value)), shape=values.shape)
        else:
            flat[row, value] = loss
    return found


def _one_at_a_time(explainer: Explainer, modality: str, value: np.ndarray, n_values: int) -> Change:
    """A change that takes the next value from each next observation."""
    start = 0

    def change(batch: Batch, which: np.ndarray) -> Batch:
        nonlocal start
        gone = np.zeros((len(which), n_values), bool)
        gone[np.arange(len(which)), value[start : start + len(which)]] = True
        start += len(which)
        return erased(explainer, batch, modality, gone)

    return change


def erased(explainer: Explainer, batch: Batch, modality: str, gone: np.ndarray) -> Batch:
    """A batch in which some values of a modality are those of the baseline.

    Parameters
    ----------
    explainer
        The model and its data.
    batch
        Inputs before they are scaled.
    modality
        Whose values.
    gone
        Which: boolean, shape ``(batch, n_marks * n_bins)``, ``(batch, n_slots)`` or ``(batch, n_tfs)`` of the object.
    """
    given: Any = batch[modality]
    if kind(modality) == k.HISTONE:
        gone = gone.reshape(given.values.shape)
    elif kind(modality) == k.METHYLATION:
        gone = gone[:, : given.values.shape[1], None]
    else:
        columns = explainer.columns[modality]
        gone = (gone[:, columns] & (columns >= 0))[:, :, None]
    where = torch.from_numpy(gone).to(given.values.device)
    values = torch.where(where, explainer.baseline(batch)[modality].values, given.values)
    return batch | {modality: given._replace(values=values)}

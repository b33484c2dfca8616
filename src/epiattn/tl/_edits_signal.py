"""Edits of signal around the TSS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k

from ._edits import Edit, check_region, where
from ._inputs import Inputs, Place, Region

if TYPE_CHECKING:
    from torch import Tensor

    from epiattn.models._explainer import Change
    from epiattn.nn import ModalityBatch

#: New values of some bins, from those that they have, shape ``(batch, n_bins)``, and the numbers of the observations.
Values = Callable[["Tensor", np.ndarray], "Tensor"]


@dataclass(frozen=True)
class SetSignal(Edit):
    """Set the signal of a mark.

    Parameters
    ----------
    mark
        The mark, at all resolutions; ``"histone_500bp:H3K4me3"``: at this one.
    value
        A number, in the units of the layer (before the model scales it); ``"high"`` or ``"low"``: the mean signal of
        the observations with this label, or ``"95%"``: this quantile of all observations, each bin by bin and within
        the cell type.
    region
        Bins to change, by their middle, in bp from the TSS, such as ``(-500, 500)``; ``None``: all.

    Examples
    --------
    >>> import epiattn as attn
    >>> str(attn.tl.SetSignal("H3K27me3", "high", region=(-500, 500)))
    'H3K27me3 = high, -500 to 500 bp'
    """

    mark: str
    value: float | str
    _: KW_ONLY
    region: Region | None = None

    def __post_init__(self) -> None:
        check_region(self.region)
        if isinstance(self.value, str):
            if self.value not in (k.HIGH, k.LOW) and _quantile(self.value) is None:
                msg = f"value must be a number, 'high', 'low' or a quantile such as '95%', not {self.value!r}."
                raise ValueError(msg)
        else:
            _check_signal("value", self.value)

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, str) else f"{self.value:g}"
        return f"{self.mark} = {value}{where(self.region)}"

    def _prepare(self, inputs: Inputs) -> Change:
        return _signal_change(inputs, self.mark, self.region, self._values)

    def _values(self, inputs: Inputs, place: Place, bins: np.ndarray) -> Values:
        factor = inputs.factor(place)[:, None]
        if isinstance(self.value, str):
            profiles, group = _profiles(inputs, place, self.value)
            return lambda before, rows: before.new_tensor(profiles[group[rows]][:, bins] * factor[rows])
        value = float(self.value)
        return lambda before, rows: before.new_tensor(value * factor[rows]).expand_as(before)


@dataclass(frozen=True)
class ScaleSignal(Edit):
    """Multiply the signal of a mark.

    Parameters
    ----------
    mark
        The mark, as in :class:`SetSignal`.
    factor
        What to multiply by; 0 takes the signal away.
    region
        Bins to change, as in :class:`SetSignal`.

    Examples
    --------
    >>> import epiattn as attn
    >>> str(attn.tl.ScaleSignal("H3K27ac", 0.5))
    'H3K27ac × 0.5'
    """

    mark: str
    factor: float
    _: KW_ONLY
    region: Region | None = None

    def __post_init__(self) -> None:
        check_region(self.region)
        _check_signal("factor", self.factor)

    def __str__(self) -> str:
        return f"{self.mark} × {self.factor:g}{where(self.region)}"

    def _prepare(self, inputs: Inputs) -> Change:
        return _signal_change(inputs, self.mark, self.region, lambda *_: lambda before, rows: before * self.factor)


@dataclass(frozen=True)
class ShiftSignal(Edit):
    """Move the signal of a mark along the window.

    Signal that leaves the window is lost; nothing comes in. Distances that are no multiple of the bin width divide a
    bin's signal between the bins that it then overlaps.

    Parameters
    ----------
    mark
        The mark, as in :class:`SetSignal`.
    by
        How far, in bp; positive is downstream.
    region
        Signal to move, by the middle of its bin; it adds to what is there. ``None``: all.

    Examples
    --------
    >>> import epiattn as attn
    >>> str(attn.tl.ShiftSignal("H3K4me3", -500))
    'H3K4me3 moved -500 bp'
    """

    mark: str
    by: float
    _: KW_ONLY
    region: Region | None = None

    def __post_init__(self) -> None:
        check_region(self.region)

    def __str__(self) -> str:
        return f"{self.mark} moved {self.by:+g} bp{where(self.region)}"

    def _prepare(self, inputs: Inputs) -> Change:
        return _signal_change(inputs, self.mark, None, self._values)

    def _values(self, inputs: Inputs, place: Place, bins: np.ndarray) -> Values:
        start, end = inputs.edges(place)
        moved = inputs.bins(place, self.region)
        weight = np.eye(len(bins), dtype=np.float32)
        overlap = np.minimum.outer(end[moved] + self.by, end) - np.maximum.outer(start[moved] + self.by, start)
        weight[moved] = np.maximum(overlap, 0) / (end - start)  # signal is a mean over the bin
        return lambda before, rows: before @ before.new_tensor(weight)


@dataclass(frozen=True)
class SwapMarks(Edit):
    """Exchange the signal of two marks, as it is in the layers.

    Parameters
    ----------
    mark, other
        Two marks of the same modality, as in :class:`SetSignal`.
    region
        Bins to change, as in :class:`SetSignal`.

    Examples
    --------
    >>> import epiattn as attn
    >>> str(attn.tl.SwapMarks("H3K4me3", "H3K27me3"))
    'H3K4me3 for H3K27me3'
    """

    mark: str
    other: str
    _: KW_ONLY
    region: Region | None = None

    def __post_init__(self) -> None:
        check_region(self.region)

    def __str__(self) -> str:
        return f"{self.mark} for {self.other}{where(self.region)}"

    def _prepare(self, inputs: Inputs) -> Change:
        others = {place.modality: place for place in inputs.find(self.other)}
        pairs = [(place, others[place.modality]) for place in inputs.find(self.mark) if place.modality in others]
        if not pairs:
            msg = f"{self.mark!r} and {self.other!r} are not in the same modality: {list(inputs.signal)} hold one each."
            raise ValueError(msg)
        prepared = [(a, b, inputs.bins(a, self.region), inputs.factor(a), inputs.factor(b)) for a, b in pairs]

        def change(batch: dict[str, ModalityBatch], rows: np.ndarray) -> dict[str, ModalityBatch]:
            for mark, other, bins, factor, of_other in prepared:
                values = batch[mark.modality].values
                ratio = values.new_tensor((factor[rows] / of_other[rows])[:, None])
                first, second = values[:, mark.channel, bins], values[:, other.channel, bins]
                batch = _with_signal(batch, mark, bins, second * ratio)
                batch = _with_signal(batch, other, bins, first / ratio)
            return batch

        return change


@dataclass(frozen=True)
class SwapCellType(Edit):
    """Give a mark the signal that the same gene has in a cell type.

    Where the model brings each mark to the same level in all cell types (``scale_by``), so does this: the signal is
    what the model sees of that cell type. Effects are NaN for genes without an observation in that cell type, or in
    which it was not measured there.

    Parameters
    ----------
    mark
        The mark, as in :class:`SetSignal`.
    cell_type
        One of ``obs["cell_type"]``.
    region
        Bins to change, as in :class:`SetSignal`.

    Examples
    --------
    >>> import epiattn as attn
    >>> str(attn.tl.SwapCellType("H3K27ac", "K562"))
    'H3K27ac of K562'
    """

    mark: str
    cell_type: str
    _: KW_ONLY
    region: Region | None = None

    def __post_init__(self) -> None:
        check_region(self.region)

    def __str__(self) -> str:
        return f"{self.mark} of {self.cell_type}{where(self.region)}"

    def _prepare(self, inputs: Inputs) -> Change:
        return _signal_change(inputs, self.mark, self.region, self._values)

    def _values(self, inputs: Inputs, place: Place, bins: np.ndarray) -> Values:
        seen = inputs.as_seen_from(place, inputs.in_cell_type(self.cell_type))[:, bins]
        return lambda before, rows: before.new_tensor(seen[rows])

    def _possible(self, inputs: Inputs) -> np.ndarray:
        source = inputs.in_cell_type(self.cell_type)
        known = [inputs.is_measured(place)[source] for place in inputs.find(self.mark)]
        return (source >= 0) & np.all(known, axis=0)


def _signal_change(
    inputs: Inputs, mark: str, region: Region | None, values_of: Callable[[Inputs, Place, np.ndarray], Values]
) -> Change:
    """A change of the bins of a region, wherever the mark is."""
    places = inputs.find(mark)
    parts = [(place, bins, values_of(inputs, place, bins)) for place in places for bins in [inputs.bins(place, region)]]

    def change(batch: dict[str, ModalityBatch], rows: np.ndarray) -> dict[str, ModalityBatch]:
        for place, bins, new in parts:
            before = batch[place.modality].values[:, place.channel, bins]
            batch = _with_signal(batch, place, bins, new(before, rows))
        return batch

    return change


def _with_signal(
    batch: dict[str, ModalityBatch], place: Place, bins: np.ndarray, new: Tensor
) -> dict[str, ModalityBatch]:
    """A batch with other values in some bins of a mark."""
    values = batch[place.modality].values.clone()
    values[:, place.channel, bins] = new
    return {**batch, place.modality: batch[place.modality]._replace(values=values)}


def _profiles(inputs: Inputs, place: Place, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean signal of labelled observations, or a quantile of all, in each cell type; and the cell type's number."""
    import pandas as pd

    obs, share = inputs.mdata.obs, _quantile(what)
    cell_type = obs[k.CELL_TYPE].astype(str) if k.CELL_TYPE in obs else pd.Series("", index=obs.index)
    group, names = pd.factorize(cell_type)
    used = inputs.is_measured(place)
    if share is None:
        if k.LABEL not in obs:
            msg = f"value={what!r} needs obs['label'] (attn.pp.label makes it); or pass a number, or a quantile."
            raise ValueError(msg)
        used = used & (obs[k.LABEL].astype(str) == what).to_numpy()
    layer = inputs.layer(place)
    found = np.zeros((len(names), layer.shape[1]), np.float32)
    for i, name in enumerate(names):
        rows = used & (group == i)
        if rows.any():
            found[i] = layer[rows].mean(0) if share is None else np.quantile(layer[rows], share, axis=0)
        elif share is None:
            msg = f"value={what!r}: no observation of the cell type {name!r} has this label and the mark."
            raise ValueError(msg)
    return found, group


def _quantile(text: str) -> float | None:
    """0.95 of ``"95%"``."""
    number = text.rstrip("% ")
    try:
        share = float(number) / 100 if text.endswith("%") else -1.0
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def _check_signal(what: str, value: Any) -> None:
    if not (isinstance(value, Real) and np.isfinite(float(value)) and float(value) >= 0):
        msg = f"{what} must be a number of 0 or more, not {value!r}: signal is never negative."
        raise ValueError(msg)

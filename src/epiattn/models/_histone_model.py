"""The base of models that read histone marks only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from epiattn import _keys as k
from epiattn._modalities import find_channels, kind
from epiattn._validation import as_mudata

from ._base import RegulatoryModel

if TYPE_CHECKING:
    from mudata import MuData


class HistoneModel(RegulatoryModel):
    """A model that reads signal around the TSS and leaves out what else an object holds."""

    #: Further modalities that the model reads where an object has them.
    _optional: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def setup_mudata(
        cls,
        mdata: MuData,
        *,
        channels: Mapping[str, Sequence[str]] | None = None,
        label_key: str = k.LABEL,
        **kwargs: Any,
    ) -> None:
        """Register a MuData; see :meth:`RegulatoryModel.setup_mudata`.

        Parameters
        ----------
        mdata
            The object; modalities that the model does not read are left out.
        channels
            Histone modalities to use, each with its marks in order; ``None``: all (any ``histone*``), one encoder each.
        label_key
            Column of ``obs`` with the labels ``low`` and ``high``; only training needs it.
        **kwargs
            ``source_registry`` of a saved model: scvi-tools passes it when it loads the model with data.

        Raises
        ------
        TypeError, ValueError
            If the object has no histone modality, ``channels`` names others, or it is not as the data model says.
        """
        if "source_registry" not in kwargs:
            channels = cls._find_channels(as_mudata(mdata), channels)
        super().setup_mudata(mdata, channels=channels, label_key=label_key, **kwargs)

    @classmethod
    def _find_channels(cls, mdata: MuData, channels: Mapping[str, Sequence[str]] | None) -> dict[str, Any]:
        """What the model reads of an object; ``None`` in the place of channels stands for all of them."""
        signal = [name for name in mdata.mod if kind(name) == k.HISTONE and name != k.DISTAL]
        if not signal:
            msg = f"{cls.__name__} reads histone marks and needs a modality 'histone'; found {list(mdata.mod)}."
            raise ValueError(msg)
        readable = [*signal, *(name for name in cls._optional if name in mdata.mod)]
        if channels is None:
            return find_channels(mdata, dict.fromkeys(readable))  # type: ignore[arg-type]
        if others := [name for name in channels if name in mdata.mod and name not in readable]:
            msg = f"{cls.__name__} reads {readable} of this object; channels also names {others}: leave them out."
            raise ValueError(msg)
        return dict(channels)

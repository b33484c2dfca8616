"""Edits of CpGs and of TFs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from epiattn import _keys as k

from ._edits import Edit, check_region, where
from ._inputs import Inputs, Region

if TYPE_CHECKING:
    from epiattn.models._explainer import Change
    from epiattn.nn import ModalityBatch


@dataclass(frozen=True)
class Methylate(Edit):
    """Methylate the CpGs of a region; genes whose methylation was not measured stay as they are.

    Parameters
    ----------
    region
        From and to, in bp from the TSS; ``None``: all CpGs in the window.
    level
        The methylated share.

    Examples
    --------
    >>> import epiattn as attn
    >>> str(attn.tl.Methylate((-500, 500)))
    'CpGs methylated, -500 to 500 bp'
    """

    region: Region | None = None
    _: KW_ONLY
    level: float = 1.0

    def __post_init__(self) -> None:
        check_region(self.region)
        if not 0 <= self.level <= 1:
            msg = f"level is the methylated share, between 0 and 1, not {self.level}."
            raise ValueError(msg)

    def __str__(self) -> str:
        names = {1.0: "CpGs methylated", 0.0: "CpGs unmethylated"}
        return f"{names.get(float(self.level), f'CpGs methylated by {self.level:g}')}{where(self.region)}"

    def _prepare(self, inputs: Inputs) -> Change:
        name = inputs.only(k.METHYLATION, "methylation")
        beta, position = (inputs.channels[name].index(channel) for channel in (k.BETA, k.POSITION))
        window = inputs.mdata[name].uns.get("window")
        if self.region is not None and window is None:
            msg = f"A region in bp needs mdata[{name!r}].uns['window'], the distance at which position is 1."
            raise ValueError(msg)
        level, region = self.level, self.region

        def change(batch: dict[str, ModalityBatch], _: np.ndarray) -> dict[str, ModalityBatch]:
            modality: Any = batch[name]
            chosen = modality.mask
            if region is not None:
                place = (modality.values[..., position] * float(window)).round()  # to bp: edges are exact
                chosen = chosen & (place >= region[0]) & (place < region[1])
            values = modality.values.clone()
            values[..., beta] = values[..., beta].masked_fill(chosen, level)
            return {**batch, name: modality._replace(values=values)}

        return change


@dataclass(frozen=True)
class Demethylate(Methylate):
    """Take the methylation of the CpGs of a region away.

    Parameters
    ----------
    region
        From and to, in bp from the TSS; ``None``: all CpGs in the window.
    level
        The methylated share that is left.

    Examples
    --------
    >>> import epiattn as attn
    >>> str(attn.tl.Demethylate())
    'CpGs unmethylated'
    """

    _: KW_ONLY
    level: float = 0.0


@dataclass(frozen=True)
class KnockOut(Edit):
    """Knock out TFs: where they were bound, there is no evidence of them any more.

    Parameters
    ----------
    tfs
        One or several names, of ``mdata["tf"].var_names``.

    Examples
    --------
    >>> import epiattn as attn
    >>> str(attn.tl.KnockOut(["MYC", "MAX"]))
    'MYC, MAX knocked out'
    """

    tfs: str | Sequence[str]

    def __post_init__(self) -> None:
        if not len(self.tfs):
            msg = "tfs names no TF."
            raise ValueError(msg)

    @property
    def _names(self) -> list[str]:
        return [self.tfs] if isinstance(self.tfs, str) else [str(name) for name in self.tfs]

    def __str__(self) -> str:
        return f"{', '.join(self._names)} knocked out"

    def _prepare(self, inputs: Inputs) -> Change:
        name, gone = inputs.only(k.TF, "TFs"), inputs.tfs(self._names)

        def change(batch: dict[str, ModalityBatch], _: np.ndarray) -> dict[str, ModalityBatch]:
            modality: Any = batch[name]
            values, mask = modality.values.clone(), modality.mask.clone()
            values[:, gone], mask[:, gone] = 0.0, False
            return {**batch, name: modality._replace(values=values, mask=mask)}

        return change

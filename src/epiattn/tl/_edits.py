"""What can be changed in silico: the base of all edits. A new one is one class, and one line in the registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from ._inputs import Inputs, Region, text_of

if TYPE_CHECKING:
    from epiattn.models._explainer import Change


class Edit(ABC):
    """A change of the inputs. Its text, ``str(edit)``, is its name in tables."""

    @abstractmethod
    def _prepare(self, inputs: Inputs) -> Change:
        """Make what changes a batch; it is told rows of the object, and leaves the batch that it gets as it is."""

    def _possible(self, inputs: Inputs) -> np.ndarray:
        """For which observations the change can be made, shape ``(n_obs,)``."""
        return np.ones(inputs.mdata.n_obs, bool)


def check_region(region: Region | None) -> None:
    if region is not None and not (len(region) == 2 and region[0] < region[1]):
        msg = f"region must be two numbers, from and to, in bp from the TSS, not {region!r}."
        raise ValueError(msg)


def where(region: Region | None) -> str:
    return "" if region is None else f", {text_of(region)}"

"""Tools: train a model on a MuData and write what it found into it."""

from ._embed import embed
from ._fit import fit

__all__ = ["embed", "fit"]

"""Preprocessing: labels and splits. A MuData goes in, the same MuData comes out."""

from ._label import label
from ._split import split

__all__ = ["label", "split"]

"""Preprocessing: labels, splits, normalised signal, checks. A MuData goes in, the same MuData comes out."""

from ._concat import concat
from ._label import label
from ._leakage import leakage
from ._normalize import normalize
from ._pseudobulk import pseudobulk
from ._qc import qc
from ._split import split

__all__ = ["concat", "label", "leakage", "normalize", "pseudobulk", "qc", "split"]

"""From raw files to a MuData: tracks, peaks, methylation, regulons, expression, annotation, published formats."""

from ._annotation import read_annotation
from ._build import build
from ._deepchrome import read_deepchrome
from ._expression import read_expression
from ._from_anndata import from_anndata
from ._kang import read_kang
from ._methylation import read_methylation
from ._overlaps import Intervals
from ._regulons import read_regulons
from ._sheet import read_sheet
from ._signal import Track, read_signal
from ._tf_peaks import read_tf_peaks

__all__ = [
    "Intervals",
    "Track",
    "build",
    "from_anndata",
    "read_annotation",
    "read_deepchrome",
    "read_expression",
    "read_kang",
    "read_methylation",
    "read_regulons",
    "read_sheet",
    "read_signal",
    "read_tf_peaks",
]

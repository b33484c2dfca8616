"""Where TFs bind: ChIP-seq peaks around each TSS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from epiattn import _keys as k
from epiattn._keys import BINDING, EXPRESSION
from epiattn._logging import logger
from epiattn._registry import signal_formats

from ._chromosomes import match_chromosomes
from ._formats import check_format, guess_format
from ._overlaps import Intervals, regions_of
from ._places import check_genes, expand
from ._tfs import keep_expressed, make_tf

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def read_tf_peaks(
    files: Mapping[str, str | Path],
    genes: pd.DataFrame,
    *,
    window: int = 2_000,
    expression: pd.DataFrame | None = None,
    cell_type: str | None = None,
    annotation: pd.DataFrame | None = None,
    formats: str | Mapping[str, str] | None = None,
) -> AnnData:
    r"""Read which TFs bind around each TSS, in one cell type, from peaks of ChIP-seq.

    Parameters
    ----------
    files
        A file of peaks for each TF: BED, narrowPeak, broadPeak (gzipped or not) or bigBed, in any order.
    genes
        Table of genes, as :func:`epiattn.io.read_annotation` gives it.
    window
        Peaks that touch ``[tss - window, tss + window)`` are taken, in bp.
    expression, cell_type, annotation
        See :func:`epiattn.io.read_regulons`. TFs whose expression is not known are left out.
    formats
        Format of all files, or of some TFs; ``None``: told from their content and names.

    Returns
    -------
    The modality ``tf``, genes x TFs, with CSR layers that store an entry where a TF has a peak and nothing else:
    ``binding`` (the highest signal of a peak in the window: column 7 of narrowPeak and broadPeak, the score of BED, or
    1 where there is none) and ``expression`` (that of the TF).

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If a file is of no known format, has a malformed line or a negative signal, or shares no chromosome with the
        genes.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> import epiattn as attn
    >>> genes = pd.DataFrame({"chrom": "chr1", "tss": [1_000, 9_000], "strand": ["+", "-"]}, index=["A", "B"])
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "CTCF.bed"
    ...     _ = path.write_text("chr1\t1500\t1700\tpeak\t800\t.\nchr1\t2900\t3100\tpeak\t950\t.\n")
    ...     tf = attn.io.read_tf_peaks({"CTCF": path}, genes)
    >>> tf.layers["binding"].toarray()
    array([[950.],
           [  0.]], dtype=float32)
    """
    check_genes(genes)
    if window < 1 or not files:
        msg = "files names no file: give {TF: path}." if window > 0 else f"window must be positive, not {window}."
        raise ValueError(msg)
    named = dict.fromkeys(files, formats) if isinstance(formats, str) else dict(formats or {})
    if unknown := sorted(set(named) - set(files)):
        msg = f"formats names {unknown}, but the TFs are {list(files)}."
        raise ValueError(msg)
    names = list(files)
    if expression is not None:
        annotation = genes if annotation is None else annotation
        names, level = keep_expressed(names, expression, cell_type, annotation, required=False)
    rows, columns, values = [], [], []
    for i, name in enumerate(names):
        path = files[name]
        format = check_format(path, k.TF, named[name]) if name in named else guess_format(path, k.TF)
        best = highest_peaks(path, format, genes, window=window)
        bound = np.flatnonzero(best >= 0)
        rows.append(bound)
        columns.append(np.full(len(bound), i))
        values.append(best[bound])
    column = np.concatenate(columns)
    channels = {BINDING: np.concatenate(values)}
    if expression is not None:
        channels[EXPRESSION] = level[column]
    return make_tf(genes.index, names, (np.concatenate(rows), column), channels)


def highest_peaks(path: str | Path, format: str, genes: pd.DataFrame, *, window: int) -> np.ndarray:
    """The highest signal of a peak around each TSS, shape ``(n_genes,)``; -1 where there is no peak.

    Parameters
    ----------
    path
        The file.
    format
        One of :data:`epiattn.io._formats.PEAKS`.
    genes
        Table of genes.
    window
        Bases on each side of the TSS.
    """
    best = np.full(len(genes), -1.0)
    with signal_formats[format].load()(path) as track:
        matched = match_chromosomes(genes[k.CHROM].unique(), track.chromosomes, where=str(path))
        chrom = genes[k.CHROM].map(matched)
        rows = {name: np.flatnonzero(chrom == name) for name in dict.fromkeys(matched.values())}
        starts = {name: genes[k.TSS].to_numpy(np.int64)[each] - window for name, each in rows.items()}
        for name, start in starts.items():
            order = np.argsort(start, kind="stable")
            rows[name], starts[name] = rows[name][order], start[order]
        regions = {name: regions_of(start, 2 * window) for name, start in starts.items()}
        for name, peaks in track.read(regions):
            which, value = _touching(peaks, starts[name], 2 * window)
            np.maximum.at(best, rows[name][which], value)
    if best.max() == 0:
        logger.warning("%s: the signal of all peaks is 0; each counts as 1.", path)
        best[best == 0] = 1.0
    best[best == 0] = -1.0
    return best


def _touching(peaks: Intervals, starts: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Each pair of a window and a peak that touches it: the window, and the peak's signal."""
    first = np.searchsorted(starts + width, peaks.start, "right")
    behind = np.searchsorted(starts, peaks.end, "left")
    peak, rank = expand(np.maximum(behind - first, 0))
    return first[peak] + rank, peaks.value[peak]

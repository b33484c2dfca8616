"""From a sheet of raw tracks to one MuData: one call."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from epiattn._compat import read
from epiattn._engine import Pieces, run

from ._annotation import read_annotation
from ._output import check_output, write
from ._plan import Plan
from ._sheet import read_sheet

if TYPE_CHECKING:
    from dask.distributed import Client
    from mudata import MuData


def build(
    sheet: str | Path | pd.DataFrame,
    *,
    annotation: str | Path | pd.DataFrame,
    window: int | Sequence[int] = 2_000,
    bin_size: int | Sequence[int] = 100,
    max_cpgs: int = 436,
    min_coverage: int = 1,
    merge_strands: bool = True,
    biotypes: Sequence[str] | None = ("protein_coding",),
    blacklist: str | Path | None = None,
    output: str | Path | None = None,
    load: bool = True,
    n_jobs: int = 1,
    client: Client | None = None,
) -> MuData | None:
    """Read raw tracks around every gene of an annotation, for all cell types of a sample sheet.

    Parameters
    ----------
    sheet
        Table (CSV, TSV, YAML or a DataFrame) with one row for each file: ``cell_type``, ``assay`` (``histone``,
        ``accessibility``, ``methylation``, ``tf``, ``rna``), ``target`` (the mark or TF), ``path``, and optionally
        ``format``, ``scale`` (what signal is multiplied by) and ``weight`` (of replicates, which are averaged).
    annotation
        GTF, BED or table of genes, or the result of :func:`read_annotation`, which has more options.
    window
        Bases on each side of the TSS; with several bin sizes, one number for all or one for each, such as
        ``window=(2_000, 10_000), bin_size=(100, 500)``. CpGs and peaks of TFs are taken in the first one.
    bin_size
        Bases of a bin; several sizes give several modalities: ``histone`` (the first one) and ``histone_500bp``.
    max_cpgs, min_coverage, merge_strands
        See :func:`read_methylation`.
    biotypes, blacklist
        Which genes; see :func:`read_annotation`.
    output
        ``.h5mu`` file or ``.zarr`` folder to write. What was read is kept beside it until all is done: an interrupted
        build goes on where it was. Without an output, the result is in memory only.
    load
        Return the result; ``False``: only write it, in memory that does not grow with the number of tracks.
    n_jobs
        Processes; -1: one for each core.
    client
        A Dask client, whose workers read the tracks; they must see the same files.

    Returns
    -------
    Observations are genes in cell types (``{gene_id}@{cell_type}``) with ``gene_id``, ``gene_name``, ``cell_type``,
    ``chrom``, ``tss`` and ``strand`` in ``obs``. With the modalities that the sheet names: ``histone`` (a layer of
    shape ``(n_obs, n_bins)`` for each mark), ``methylation``, ``tf`` and ``rna``, and with ``rna`` ``obs["label"]``.
    What a cell type lacks is marked in ``obsm["measured"]`` of the modality. ``None`` with ``load=False``.

    Raises
    ------
    FileNotFoundError, PermissionError
        If a file is not there, or the output cannot be written.
    ValueError
        If the sheet, the annotation or a file is not as it should be; the message names the file and the line. Then
        no output is written.

    Examples
    --------
    >>> import epiattn as attn
    >>> mdata = attn.io.build("samples.csv", annotation="gencode.gtf.gz", n_jobs=2)  # doctest: +SKIP
    >>> mdata = attn.tl.fit(mdata)  # doctest: +SKIP
    """
    if output is None and not load:
        msg = "load=False only writes a file: give an output."
        raise ValueError(msg)
    target = None if output is None else check_output(output)
    rows = read_sheet(sheet)
    if not isinstance(annotation, pd.DataFrame):
        annotation = read_annotation(annotation, biotypes=biotypes, blacklist=blacklist)
    bin_sizes = tuple(bin_size) if isinstance(bin_size, Sequence) else (bin_size,)
    lists = {"max_cpgs": max_cpgs, "min_coverage": min_coverage, "merge_strands": merge_strands}
    plan = Plan(rows, annotation, window, bin_sizes, lists)
    plan.read_tables()
    with _kept_beside(target) as folder:
        pieces = Pieces(folder)
        run(plan.tasks, pieces, n_jobs=n_jobs, client=client, title="Reading tracks")
        mdata, layers = plan.put_together(pieces)
        if target is not None:
            write(mdata, layers, target)
        else:
            for layer in layers:
                mdata[layer.modality].layers[layer.name] = layer.values
    if target is None or not load:
        return mdata if load else None
    return read(target)


@contextmanager
def _kept_beside(output: Path | None) -> Iterator[Path]:
    """A folder for what was read: beside the output until that is written, so that a new attempt finds it."""
    if output is None:
        with tempfile.TemporaryDirectory(prefix="epiattn-") as name:
            yield Path(name)
        return
    folder = output.with_name(f".{output.name}.pieces")
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    except BaseException as error:
        if any(folder.iterdir()):
            error.add_note(f"What was read is kept in {folder}: the same call goes on from there.")
        else:
            folder.rmdir()
        raise
    shutil.rmtree(folder)

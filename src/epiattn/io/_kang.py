"""The toy data of Kang et al. 2020: a gene in a row of 4,205 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from epiattn import _keys as k
from epiattn._logging import logger

from ._places import check_genes
from ._text import Column, check_rows, line_of, open_text, read_chunks
from ._to_mdata import categories, make_expression, make_mdata, make_obs, make_signal, match_genes

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from mudata import MuData

N_CHANNELS = 3  # of each TF
_AFTER = 3  # columns after the TFs: label, one that nobody reads, value
_ROWS = 500  # in memory at a time
_EMPTY = ("", "NA", "NaN", "nan", "None", "null", ".")  # may stand in CpG slots that hold no CpG


class _Layout(NamedTuple):
    """Where columns begin. In order: gene; marks; beta; position; count; TF channels; label; an unused one; value."""

    n_marks: int
    n_bins: int
    max_cpgs: int
    n_tfs: int

    @property
    def beta(self) -> int:
        return 1 + self.n_marks * self.n_bins

    @property
    def position(self) -> int:
        return self.beta + self.max_cpgs

    @property
    def n_cpg(self) -> int:
        return self.position + self.max_cpgs

    @property
    def tf(self) -> int:
        return self.n_cpg + 1

    @property
    def label(self) -> int:
        return self.tf + N_CHANNELS * self.n_tfs

    @property
    def value(self) -> int:
        return self.label + _AFTER - 1

    @property
    def n_columns(self) -> int:
        return self.label + _AFTER

    def columns(self) -> dict[str, Column]:
        """What to read: all but the column between label and value."""
        slots = range(self.beta, self.n_cpg)
        numbers = {i: Column(i, "float64", _EMPTY if i in slots else ()) for i in range(1, self.n_columns)}
        del numbers[self.label + 1]
        return {"gene": Column(0, "str"), **{self.name(i): column for i, column in numbers.items()}}

    def name(self, i: int) -> str:
        """What a column is called in messages."""
        if i < self.beta:
            return f"mark {(i - 1) // self.n_bins + 1}, bin {(i - 1) % self.n_bins + 1}"
        if i < self.n_cpg:
            what = "beta" if i < self.position else "position"
            return f"{what} {(i - self.beta) % self.max_cpgs + 1}"
        if self.tf <= i < self.label:
            return f"TF {(i - self.tf) % self.n_tfs + 1}, channel {(i - self.tf) // self.n_tfs + 1}"
        return {self.n_cpg: "number of CpGs", self.label: "label", self.value: "value"}[i]


class _Piece(NamedTuple):
    """Some rows of the file."""

    gene_id: list[str]
    signal: np.ndarray  # (n, n_marks * n_bins)
    beta: np.ndarray  # (n, max_cpgs), 0 where there is no CpG; so is position
    position: np.ndarray
    n_cpg: np.ndarray
    tf: list[sparse.csr_matrix]  # a channel each, (n, n_tfs)
    label: np.ndarray
    value: np.ndarray


def read_kang(
    path: str | Path,
    *,
    cell_type: str | None = None,
    n_marks: int = 7,
    n_bins: int = 40,
    max_cpgs: int = 436,
    n_tfs: int = 1_016,
    marks: Sequence[str] | None = None,
    tfs: Sequence[str] | None = None,
    genes: pd.DataFrame | None = None,
    bin_size: int = 100,
    window: int | None = None,
    log: bool = True,
) -> MuData:
    """Read data in the format of Kang et al. 2020, such as their toy data.

    A row is a gene, its columns are: the gene's id; the bins of the first mark, of the second one, …; the methylation
    of ``max_cpgs`` CpG slots, then their positions, then how many slots hold a CpG; the first channel of all TFs, the
    second one, the third one; label (0 or 1), a column that is not used, and the expression.

    Parameters
    ----------
    path
        The file, plain or gzipped; separated by commas, tabs, semicolons or spaces, with a header or without.
    cell_type
        Cell type; ``None``: the name of the file up to the first ``_`` or ``.`` (``E003_toy.csv`` is E003).
    n_marks, n_bins, max_cpgs, n_tfs
        Sizes; the defaults are those of the toy data, with 1 + 7 x 40 + 2 x 436 + 1 + 3 x 1,016 + 3 = 4,205 columns.
    marks
        Names of the marks in the order of the file, which does not tell them; ``None``: ``mark_1``, ….
    tfs
        Names of the TFs; ``None``: ``tf_0001``, ….
    genes
        Table of genes as :func:`read_annotation` gives it, for ``chrom``, ``tss`` and ``strand``, which the file lacks
        (training holds out whole chromosomes if it can). Genes that are not in the table are left out, with a warning.
    bin_size
        Width of a bin in bp.
    window
        Half of the width of the window in bp; ``None``: half of the bins.
    log
        Whether to take log2(x + 1) of the expression; ``False`` if the file holds logarithms.

    Returns
    -------
    A MuData: ``histone`` with a layer for each mark; ``methylation`` with ``beta``, ``position`` and ``obs["n_cpg"]``;
    ``tf`` with the layers ``channel_1`` to ``channel_3`` (CSR); ``rna``; ``gene_id``, ``cell_type`` and ``label``
    (``low`` or ``high``) in ``obs``. CpG slots beyond the count are 0, whatever the file holds there, and CpGs are
    ordered by position. Positions that exceed 1 are taken for bp and divided by ``window``: distances to the TSS, or,
    if none is negative and some exceed ``window``, to the beginning of the window. Bins and CpGs are taken to run 5'
    to 3'.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If the columns are not as many as the sizes say, a value is no number or out of range, or a gene comes twice.
        The message names file and line.

    References
    ----------
    Kang et al., Front. Genet. 11:869 (2020).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import epiattn as attn
    >>> cpgs, tf = "0.9,0.1,0,-500,250,0,2", "0,1.5,0,2,0,-1"
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "E003_toy.csv"
    ...     _ = path.write_text(f"G1,3,0,1,2,{cpgs},{tf},1,0,7")
    ...     mdata = attn.io.read_kang(path, n_marks=2, n_bins=2, max_cpgs=3, n_tfs=2, window=1_000)
    >>> mdata["methylation"].layers["position"].tolist()
    [[-0.5, 0.25, 0.0]]
    """
    layout = _check_sizes(n_marks, n_bins, max_cpgs, n_tfs)
    marks = _names("marks", marks, n_marks, "mark_{}")
    tfs = _names("tfs", tfs, n_tfs, "tf_{:04d}")
    half = n_bins * bin_size / 2 if window is None else window
    if bin_size < 1 or not half > 0:
        msg = f"bin_size and window must be positive, not {bin_size} and {window}."
        raise ValueError(msg)
    if genes is not None:
        check_genes(genes)
    path = Path(path)
    separator, n_header = _sniff(path, layout)
    pieces = list(_read(path, layout, separator, n_header, log=log))
    gene_id = [name for piece in pieces for name in piece.gene_id]
    _check_unique(path, n_header, gene_id)
    rows, ids, columns = match_genes(gene_id, genes)
    label = np.concatenate([piece.label for piece in pieces])[rows]
    columns[k.LABEL] = categories(label, (k.LOW, k.HIGH))
    obs = make_obs(ids, [cell_type or re.split(r"[_.]", path.name)[0]] * len(rows), columns)
    value = np.concatenate([piece.value for piece in pieces])[rows]
    signal = np.concatenate([piece.signal for piece in pieces])[rows].reshape(len(rows), n_marks, n_bins)
    layers = {mark: np.ascontiguousarray(signal[:, i]) for i, mark in enumerate(marks)}
    modalities = {
        k.HISTONE: make_signal(obs.index, layers, bin_size),
        k.METHYLATION: _methylation(path, obs.index, pieces, rows, half),
        k.TF: _tf(obs.index, pieces, rows, tfs),
        k.RNA: make_expression(obs.index, np.log2(value + 1) if log else value),
    }
    return make_mdata(modalities, obs, expression="log2(x+1)" if log else "as in the file")


def _check_sizes(n_marks: int, n_bins: int, max_cpgs: int, n_tfs: int) -> _Layout:
    layout = _Layout(n_marks, n_bins, max_cpgs, n_tfs)
    if min(layout) < 1:
        msg = f"Sizes must be positive, got {layout._asdict()}."
        raise ValueError(msg)
    return layout


def _names(what: str, names: Sequence[str] | None, n: int, default: str) -> list[str]:
    chosen = [default.format(i + 1) for i in range(n)] if names is None else [str(name) for name in names]
    if len(chosen) != n or len(set(chosen)) < n:
        msg = f"{what} must be {n} names that differ, got {len(chosen)} ({len(set(chosen))} that differ)."
        raise ValueError(msg)
    return chosen


def _sniff(path: Path, layout: _Layout) -> tuple[str, int]:
    """Separator, and number of header lines."""
    with open_text(path) as file:
        numbered = ((i, line.rstrip("\r\n")) for i, line in enumerate(file, start=1))
        number, line = next(((i, line) for i, line in numbered if line.strip() and not line.startswith("#")), (0, ""))
    if not line:
        msg = f"{path}: no line with data."
        raise ValueError(msg)
    separator = max((",", "\t", ";", " "), key=line.count)
    fields = line.split(separator)
    if len(fields) != layout.n_columns:
        msg = (
            f"{path}:{number}: {len(fields)} columns, but there must be {layout.n_columns} = 1 (gene) + "
            f"{layout.n_marks} x {layout.n_bins} (histone) + 2 x {layout.max_cpgs} (CpGs) + 1 (their number) + "
            f"{N_CHANNELS} x {layout.n_tfs} (TFs) + {_AFTER} (label, unused, value): give n_marks=, n_bins=, "
            "max_cpgs= and n_tfs=."
        )
        raise ValueError(msg)
    try:
        float(fields[1])
    except ValueError:
        return separator, 1
    return separator, 0


def _read(path: Path, layout: _Layout, separator: str, n_header: int, *, log: bool) -> Iterator[_Piece]:
    n_rows = 0

    def check(good: np.ndarray, what: str) -> None:
        check_rows(path, np.atleast_1d(~good.reshape(len(good), -1).all(1)), n_rows, what, n_header=n_header)

    reader = read_chunks(path, layout.columns(), separator=separator, n_header=n_header, chunk_rows=_ROWS)
    for table in reader:
        values = table.iloc[:, 1:].to_numpy(np.float64)
        # The gene's name and the unused column are not among them.
        signal, beta, position = np.split(values[:, : layout.n_cpg - 1], [layout.beta - 1, layout.position - 1], axis=1)
        count, label, value = values[:, layout.n_cpg - 1], values[:, layout.label - 1], values[:, -1]
        tf = values[:, layout.tf - 1 : layout.label - 1].astype(np.float32)
        check(np.isfinite(signal) & (signal >= 0), "histone signal must be finite and not negative")
        whole = (count >= 0) & (count <= layout.max_cpgs) & (count == np.floor(count))
        check(whole, f"the number of CpGs must be a whole number from 0 to {layout.max_cpgs}")
        valid = np.arange(layout.max_cpgs) < count[:, None]
        check(~valid | (beta >= 0) & (beta <= 1), "beta must be between 0 and 1 in all slots that hold a CpG")
        check(~valid | np.isfinite(position), "the position must be a number in all slots that hold a CpG")
        check(np.isfinite(tf), "values of TFs must be finite")
        check(np.isin(label, (0, 1)), "the label must be 0 or 1")
        what = "the expression must be finite" + (" and not negative (log=False if it is a logarithm)" if log else "")
        check(np.isfinite(value) & ((value >= 0) | (not log)), what)
        yield _Piece(
            gene_id=[str(name).strip().strip('"') for name in table["gene"]],
            signal=signal.astype(np.float32),
            beta=np.where(valid, beta, 0).astype(np.float32),
            position=np.where(valid, position, 0).astype(np.float32),
            n_cpg=count.astype(np.int32),
            tf=[sparse.csr_matrix(channel) for channel in np.split(tf, N_CHANNELS, axis=1)],
            label=label.astype(np.int8),
            value=value.copy(),  # not a view, which would keep all columns
        )
        n_rows += len(table)
    if not n_rows:
        msg = f"{path}: no line with data after the header."
        raise ValueError(msg)


def _check_unique(path: Path, n_header: int, gene_id: list[str]) -> None:
    seen: dict[str, int] = {}
    for row, name in enumerate(gene_id):
        if (first := seen.setdefault(name, row)) != row:
            lines = [line_of(path, i, n_header=n_header) for i in (row, first)]
            msg = f"{path}:{lines[0]}: gene {name!r} is in line {lines[1]} already."
            raise ValueError(msg)


def _methylation(path: Path, index: pd.Index, pieces: list[_Piece], rows: np.ndarray, window: float) -> AnnData:
    """CpGs in order, with positions relative to the window."""
    import pandas as pd
    from anndata import AnnData

    n_cpg = np.concatenate([piece.n_cpg for piece in pieces])[rows]
    beta = np.concatenate([piece.beta for piece in pieces])[rows]
    position = np.concatenate([piece.position for piece in pieces])[rows]
    valid = np.arange(beta.shape[1]) < n_cpg[:, None]
    position = np.where(valid, _scale(path, index, position, valid, window), 0).astype(np.float32)
    order = np.where(valid, position, np.inf).argsort(axis=1, kind="stable")
    adata = AnnData(
        layers={k.BETA: np.take_along_axis(beta, order, 1), k.POSITION: np.take_along_axis(position, order, 1)},
        obs=pd.DataFrame({k.N_CPG: n_cpg}, index=index),
        var=pd.DataFrame(index=[f"cpg_{i:03d}" for i in range(beta.shape[1])]),
    )
    adata.uns["window"] = window
    return adata


def _scale(path: Path, index: pd.Index, position: np.ndarray, valid: np.ndarray, window: float) -> np.ndarray:
    """Positions in [-1, 1], whatever their unit."""
    low, high = position.min(where=valid, initial=0), position.max(where=valid, initial=0)
    if max(-low, high) <= 1:
        return position
    if max(-low, high) <= window:
        logger.info("%s: positions are taken for distances to the TSS in bp, in a window of ±%g bp.", path, window)
        return position / window
    if low >= 0 and high <= 2 * window:
        logger.info("%s: positions are taken for distances to the beginning of a window of ±%g bp.", path, window)
        return position / window - 1
    where = index[int(np.abs(np.where(valid, position, 0)).max(1).argmax())]
    msg = (
        f"{path}: positions from {low:g} to {high:g} (such as those of {where}) do not fit a window of ±{window:g} bp: "
        "give window=."
    )
    raise ValueError(msg)


def _tf(index: pd.Index, pieces: list[_Piece], rows: np.ndarray, tfs: list[str]) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    layers = {}
    for i in range(N_CHANNELS):
        joined = sparse.vstack([piece.tf[i] for piece in pieces], format="csr")
        layers[f"channel_{i + 1}"] = joined if len(rows) == joined.shape[0] else joined[rows]
    return AnnData(layers=layers, obs=pd.DataFrame(index=index), var=pd.DataFrame(index=tfs))

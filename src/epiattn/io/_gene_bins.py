"""One file with a row for each bin of a gene: which column is what, and is it whole?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ._text import Column, check_rows, is_number, line_of, open_text, read_chunks

#: In the order of the published files.
MARKS = ("H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3")
_BIN, _LABEL = {"bin", "bin_id", "window"}, {"label", "expr", "expression", "y"}  # names in a header


class GeneBins(NamedTuple):
    """One file: genes in their order."""

    gene_id: list[str]
    signal: dict[str, np.ndarray]  # of each mark, (n_genes, n_bins)
    label: np.ndarray | None


class _Layout(NamedTuple):
    """What stands in which column."""

    separator: str
    n_header: int
    in_name: bool  # the bin is the end of the first column
    has_bin: bool  # and a column of its own
    has_label: bool
    marks: list[str]


def read_gene_bins(path: Path, marks: Sequence[str] | None = None) -> GeneBins:
    """Read a file; see :func:`epiattn.io.read_deepchrome`.

    Parameters
    ----------
    path
        The file.
    marks
        Names of the marks; ``None``: those of the header, or of the published files.

    Raises
    ------
    ValueError
        If it is not whole; the message names file and line.
    """
    import pandas as pd

    layout = _sniff(path, marks)
    first = 1 + layout.has_bin
    columns = {"gene": Column(0, "str")}
    if layout.has_bin:
        columns["bin"] = Column(1, "int64")
    columns |= {mark: Column(first + i, "float64") for i, mark in enumerate(layout.marks)}
    if layout.has_label:
        columns["label"] = Column(first + len(layout.marks), "int64")
    names: list[str] = []
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in ("bin", "label", *layout.marks)}
    n_rows = 0
    for table in read_chunks(path, columns, separator=layout.separator, n_header=layout.n_header, chunk_rows=200_000):
        split = [str(name).strip('"').rpartition("_") for name in table["gene"]] if layout.in_name else []
        if split:
            unnumbered = np.array([not (head and end.isdigit()) for head, _, end in split])
            what = "the first column must be gene_bin, such as ENSG00000000003_1"
            check_rows(path, unnumbered, n_rows, what, n_header=layout.n_header)
        names += [head for head, _, _ in split] or [str(name).strip('"') for name in table["gene"]]
        bins = table["bin"].to_numpy() if layout.has_bin else np.array([int(end) for _, _, end in split])
        pieces["bin"].append(bins)
        for mark in layout.marks:
            values = table[mark].to_numpy()
            what = f"{mark} must be finite and not negative"
            check_rows(path, ~(np.isfinite(values) & (values >= 0)), n_rows, what, n_header=layout.n_header)
            pieces[mark].append(values.astype(np.float32))
        if layout.has_label:
            label = table["label"].to_numpy()
            what = "the label must be 0 or 1 (or -1 and 1)"
            check_rows(path, ~np.isin(label, (-1, 0, 1)), n_rows, what, n_header=layout.n_header)
            pieces["label"].append(label.astype(np.int8))
        n_rows += len(table)
    codes, gene_id = pd.factorize(np.array(names, dtype=object))
    arrays = {name: np.concatenate(found) for name, found in pieces.items() if found}
    place, n_bins = _places(path, layout.n_header, codes, arrays["bin"], gene_id)
    label = _labels(path, layout.n_header, codes, arrays["label"], gene_id) if layout.has_label else None
    signal = {}
    for mark in layout.marks:
        values = np.empty(len(place), np.float32)
        values[place] = arrays[mark]
        signal[mark] = values.reshape(len(gene_id), n_bins)
    return GeneBins(list(gene_id), signal, label)


def _sniff(path: Path, marks: Sequence[str] | None) -> _Layout:
    """Tell the variant from the first lines."""
    with open_text(path) as file:
        lines = ((i, line.rstrip("\r\n")) for i, line in enumerate(file, start=1) if line.strip() and line[0] != "#")
        head = dict(itertools.islice(lines, 3))
    if not head:
        msg = f"{path}: no line with data."
        raise ValueError(msg)
    separator = max((",", "\t", ";"), key=next(iter(head.values())).count)
    rows = [[field.strip('"') for field in line.split(separator)] for line in head.values()]
    n_header = int(len(rows[0]) > 2 and not any(map(is_number, rows[0][1:])))
    names, rows = (rows[0], rows[1:]) if n_header else (None, rows)
    if not rows:
        msg = f"{path}: no line with data after the header."
        raise ValueError(msg)
    number = list(head)[n_header]
    heads, _, ends = zip(*(row[0].rpartition("_") for row in rows[:2]), strict=True)
    in_name = all(heads) and all(end.isdigit() for end in ends) and len(set(heads)) == 1 and len(set(ends)) == len(ends)
    n_columns = len(rows[0])
    n_marks = len(MARKS) if marks is None else len(marks)
    if names is not None and marks is None:
        has_bin, has_label = names[1].lower() in _BIN, names[-1].lower() in _LABEL
        marks = names[1 + has_bin : n_columns - has_label]
    else:
        extra = n_columns - 1 - n_marks
        has_bin = extra == 2 or (extra == 1 and not in_name)
        has_label = extra == 2 or (extra == 1 and in_name)
        if extra not in (0, 1, 2):
            msg = (
                f"{path}:{number}: {n_columns} columns, but with {n_marks} marks there must be {1 + n_marks} to "
                f"{3 + n_marks}: gene_bin, marks, label; or gene, bin, marks, label. Name the marks with marks=."
            )
            raise ValueError(msg)
    if not (has_bin or in_name):
        msg = f"{path}:{number}: no bin: the first column must be gene_bin, or the second one the bin."
        raise ValueError(msg)
    chosen = list(MARKS if marks is None else marks)
    if not chosen or len(set(chosen)) < len(chosen) or {"gene", "bin", "label"} & set(chosen):
        msg = f"{path}: names of marks must differ and not be gene, bin or label: {chosen}."
        raise ValueError(msg)
    return _Layout(separator, n_header, in_name, has_bin, has_label, chosen)


def _places(
    path: Path, n_header: int, codes: np.ndarray, bins: np.ndarray, gene_id: np.ndarray
) -> tuple[np.ndarray, int]:
    """Where each row goes in an array of shape ``(n_genes, n_bins)``, flat; and the number of bins."""
    low, n_bins = int(bins.min()), int(bins.max() - bins.min() + 1)
    if low not in (0, 1):
        msg = f"{path}:{line_of(path, int(bins.argmin()), n_header=n_header)}: bins count from 0 or 1, not {low}."
        raise ValueError(msg)
    if n_bins > len(bins):
        line = line_of(path, int(bins.argmax()), n_header=n_header)
        msg = f"{path}:{line}: bin {bins.max()} of gene {gene_id[codes[bins.argmax()]]}, but there are too few rows."
        raise ValueError(msg)
    place = codes * n_bins + (bins - low)
    there = np.bincount(place, minlength=len(gene_id) * n_bins)
    if (there > 1).any():
        _, firsts = np.unique(place, return_index=True)
        row = int(np.setdiff1d(np.arange(len(place)), firsts)[0])
        line = line_of(path, row, n_header=n_header)
        msg = f"{path}:{line}: bin {bins[row]} of gene {gene_id[codes[row]]} comes twice."
        raise ValueError(msg)
    if (there == 0).any():
        gene, absent = divmod(int(np.argmin(there)), n_bins)
        n_absent = n_bins - int(there.reshape(-1, n_bins)[gene].sum())
        line = line_of(path, int(np.argmax(codes == gene)), n_header=n_header)
        msg = (
            f"{path}:{line}: gene {gene_id[gene]}, which begins here, lacks {n_absent} of {n_bins} bins, such as bin "
            f"{absent + low}; {int((there.reshape(-1, n_bins) == 0).any(1).sum())} genes of the file lack some."
        )
        raise ValueError(msg)
    return place, n_bins


def _labels(path: Path, n_header: int, codes: np.ndarray, label: np.ndarray, gene_id: np.ndarray) -> np.ndarray:
    """The label of each gene."""
    _, firsts = np.unique(codes, return_index=True)
    if (changed := label != label[firsts][codes]).any():
        row = int(np.argmax(changed))
        line = line_of(path, row, n_header=n_header)
        msg = f"{path}:{line}: the label of gene {gene_id[codes[row]]} changes to {label[row]}."
        raise ValueError(msg)
    return label[firsts]

"""Genes from tables: BED with a strand, and text tables with a header."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from epiattn import _keys as k

from ._gtf import GENE
from ._sniff import head_of
from ._tables import read_header, split_line
from ._text import Column, check_rows, read_chunks

TRANSCRIPT_ID = "transcript_id"
GENE_NAME, BIOTYPE = k.GENE_NAME, "biotype"
#: Columns of a table, by the names that they may have (in any case, with blanks for underscores).
SYNONYMS = {
    k.GENE_ID: ("gene_id", "geneid", "ensembl_gene_id", "gene_stable_id", "gene"),
    TRANSCRIPT_ID: ("transcript_id", "ensembl_transcript_id", "transcript_stable_id", "transcript"),
    GENE_NAME: ("gene_name", "gene_symbol", "symbol", "name"),
    k.CHROM: ("chrom", "chromosome", "chr", "seqname", "seqnames", "contig"),
    k.TSS: ("tss",),
    k.STRAND: ("strand",),
    BIOTYPE: ("biotype", "gene_biotype", "gene_type"),
}
_STRANDS = {"+": "+", "-": "-", "1": "+", "+1": "+", "-1": "-"}
_EMPTY = ("", ".", "na", "nan", "none")


def unversioned(ids: pd.Series) -> pd.Series:
    """Ensembl ids without their versions, and other ids as they are.

    Copies on chromosome Y of pseudoautosomal genes end in ``_PAR_Y``, also those that were called ``ENSGR…``.
    """
    codes, names = pd.factorize(ids.astype(str))
    plain = names.to_series().str.replace(r"^(ENS[A-Z]*\d{11})\.\d+(?:_\d+)?(_PAR_Y)?$", r"\1\2", regex=True)
    plain = plain.str.replace(r"^ENSGR(\d{10})(?:\.\d+)?$", r"ENSG0\1_PAR_Y", regex=True)
    return pd.Series(plain.to_numpy()[codes], ids.index, name=ids.name)


def read_bed(path: Path) -> pd.DataFrame:
    """Read genes of a BED; the result is as that of :func:`read_tsv`."""
    head = head_of(path, 1)
    n = len(head.lines[0].split("\t"))
    if n < 5:
        msg = (
            f"{path}:{head.numbers[0]}: {n} columns; genes need chrom, start, end, gene and a strand (column 6, or the "
            "last one of five)."
        )
        raise ValueError(msg)
    columns = {
        k.CHROM: Column(0, "str"),
        k.START: Column(1, "int64"),
        k.END: Column(2, "int64"),
        k.GENE_ID: Column(3, "str"),
        k.STRAND: Column(min(n - 1, 5), "str"),
    }
    table = pd.concat(read_chunks(path, columns), ignore_index=True)
    start, end = table[k.START].to_numpy(), table[k.END].to_numpy()
    check_rows(path, (start < 0) | (end <= start), 0, "an interval needs 0 <= start < end")
    table[k.TSS] = np.where(table[k.STRAND].map(_STRANDS) == "-", end - 1, start)
    return _check(path, table)


def read_tsv(path: Path) -> pd.DataFrame:
    """Read genes of a table with a header.

    Returns
    -------
    One row a gene, in the form of :func:`epiattn.io._gtf.read_gtf`.

    Raises
    ------
    ValueError
        If a column is missing, a value is not as it should be, or a gene comes twice; the message names the line.
    """
    table, n_header = read_named(path, (k.GENE_ID, k.CHROM, k.TSS, k.STRAND), {k.TSS: "int64"})
    return _check(path, table, n_header)


def has_header(path: Path) -> bool:
    """Whether a file begins like a table whose header names genes."""
    head = head_of(path, 1)
    lines = [comment[1:] for comment in head.comments[-1:]] + head.lines
    return any(k.GENE_ID in _find_columns(split_line(line, "\t" if "\t" in line else ",")) for line in lines)


def read_named(
    path: Path, required: tuple[str, ...], dtypes: Mapping[str, str] | None = None
) -> tuple[pd.DataFrame, int]:
    """Read the columns of a table whose names are known.

    Returns
    -------
    The table, and the number of lines of its header (0 for one that begins with ``#``).
    """
    header, dtypes = read_header(path), dtypes or {}
    places = _find_columns(header.names)
    if lacking := [name for name in required if name not in places]:
        msg = f"{path}: no column {', '.join(map(repr, lacking))}; its columns are {header.names}."
        raise ValueError(msg)
    columns = {name: Column(place, dtypes.get(name, "str")) for name, place in places.items()}
    pieces = read_chunks(path, columns, separator=header.separator, n_header=header.n_lines)
    table = pd.concat(pieces, ignore_index=True)
    texts = {name: table[name].str.strip().str.strip('"') for name in columns if name not in dtypes}
    return table.assign(**texts), header.n_lines


def _find_columns(names: Sequence[str]) -> dict[str, int]:
    """Where the columns that are known stand."""
    plain = [name.lower().replace(" ", "_") for name in names]
    found = {name: [plain.index(word) for word in words if word in plain] for name, words in SYNONYMS.items()}
    return {name: places[0] for name, places in found.items() if places}


def _check(path: Path, table: pd.DataFrame, n_header: int = 0) -> pd.DataFrame:
    def refuse(bad: pd.Series, what: str) -> None:
        check_rows(path, bad.to_numpy(dtype=bool), 0, what, n_header=n_header)

    for name in (k.GENE_ID, k.CHROM):
        refuse(table[name].str.lower().isin(_EMPTY), f"{name} is empty")
    strand = table[k.STRAND].map(_STRANDS)
    wrong = table[k.STRAND][strand.isna()]
    refuse(strand.isna(), f"strand must be + or -, not {wrong.iloc[0] if len(wrong) else None!r}")
    refuse(table[k.TSS] < 0, "tss must be 0 or more")
    ids = unversioned(table[k.GENE_ID])
    again = ids.duplicated()
    refuse(again, f"gene {ids[again].iloc[0] if again.any() else None!r} comes a second time; keep one row a gene")
    missing = pd.Series(np.nan, index=table.index, dtype=object)
    texts = {name: table.get(name, missing) for name in (GENE_NAME, BIOTYPE)}
    texts = {name: text.where(~text.astype(str).str.lower().isin(_EMPTY)) for name, text in texts.items()}
    return pd.DataFrame(
        {k.GENE_ID: ids, k.CHROM: table[k.CHROM], k.TSS: table[k.TSS], k.STRAND: strand, **texts}
    ).assign(rank=GENE, **{TRANSCRIPT_ID: ""})

"""Gene and transcript records of a GTF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from epiattn import _keys as k

from ._text import open_text

#: What a transcript is, best first: its TSS stands for the gene.
RANKS = ("chosen by the table", "MANE Select", "canonical", "most upstream transcript", "gene record")
CHOSEN, MANE, CANONICAL, TRANSCRIPT, GENE = range(5)

_N_FIELDS = 9
_FEATURES = {"gene", "transcript"}
#: As Ensembl and GENCODE write them, and as RefSeq does.
_TAGS = {MANE: ("MANE_Select", "MANE Select"), CANONICAL: ("Ensembl_canonical", "RefSeq Select")}
#: Attributes, by the names that Ensembl, GENCODE and RefSeq give them.
_ATTRIBUTES = {
    k.GENE_ID: ("gene_id",),
    "transcript_id": ("transcript_id",),
    "gene_name": ("gene_name", "gene"),
    "biotype": ("gene_type", "gene_biotype"),
}


def read_gtf(path: str | Path, *, chunk_rows: int = 100_000) -> pd.DataFrame:
    """Read the gene and transcript records; all others (exons …) are passed over.

    Parameters
    ----------
    path
        File, gzipped or not.
    chunk_rows
        Records that are parsed at once.

    Returns
    -------
    One row a record in the file's order, indexed by line number: ``gene_id``, ``transcript_id``, ``gene_name``,
    ``biotype`` (missing where the file has none), ``chrom``, ``tss`` (0-based), ``strand`` and ``rank``, the place in
    :data:`RANKS`.

    Raises
    ------
    ValueError
        If a record is malformed, or there is none.
    """
    with open_text(path) as file:
        pieces = [_parse(path, lines) for lines in _records(file, chunk_rows)]
    if not pieces:
        msg = f"{path}: no gene or transcript records (column 3); is it a GTF of genes?"
        raise ValueError(msg)
    return pd.concat(pieces)


def _records(file: IO[str], n: int) -> Iterator[dict[int, str]]:
    """Lines of genes and transcripts by number: the search for two words is the fastest way through the exons."""
    wanted = ((i, line) for i, line in enumerate(file, 1) if "\tgene\t" in line or "\ttranscript\t" in line)
    kept = (item for item in wanted if not item[1].startswith("#"))
    while piece := dict(islice(kept, n)):
        yield piece


def _parse(path: str | Path, lines: dict[int, str]) -> pd.DataFrame:
    fields = {number: line.rstrip("\n").split("\t", _N_FIELDS - 1) for number, line in lines.items()}
    fields = {number: each for number, each in fields.items() if len(each) < _N_FIELDS or each[2] in _FEATURES}
    if short := [number for number, each in fields.items() if len(each) < _N_FIELDS]:
        msg = f"{path}:{short[0]}: {len(fields[short[0]])} columns separated by tabs, a GTF has {_N_FIELDS}."
        raise ValueError(msg)
    names = [k.CHROM, "source", "feature", "start", "end", "score", k.STRAND, "frame", "attributes"]
    table = pd.DataFrame.from_dict(fields, orient="index", columns=names)
    for column in ("start", "end"):
        number = table[column].str.fullmatch(r"\d{1,18}").to_numpy(dtype=bool)
        _refuse(path, table, ~number, f"{column} must be a whole number", column)
        table[column] = table[column].astype("int64")
    _refuse(path, table, (table["start"] < 1) | (table["end"] < table["start"]), "needs 1 <= start <= end", "start")
    _refuse(path, table, ~table[k.STRAND].isin(["+", "-"]), "strand must be + or -", k.STRAND)
    _refuse(path, table, table[k.CHROM].str.strip() == "", "no chromosome", k.CHROM)
    gene = (table["feature"] == "gene").to_numpy()
    attributes = table["attributes"]
    records = pd.DataFrame({name: _attribute(attributes, keys) for name, keys in _ATTRIBUTES.items()})
    _refuse(path, table, records[k.GENE_ID].isna(), "the attributes name no gene_id", "attributes")
    records[k.CHROM] = table[k.CHROM]
    records[k.TSS] = np.where(table[k.STRAND] == "+", table["start"], table["end"]) - 1
    records[k.STRAND] = table[k.STRAND]
    tagged = {rank: _has_tag(attributes, tags) for rank, tags in _TAGS.items()}
    records["rank"] = np.select([gene, tagged[MANE], tagged[CANONICAL]], [GENE, MANE, CANONICAL], TRANSCRIPT)
    return records


def _attribute(attributes: pd.Series, keys: Sequence[str]) -> pd.Series:
    """Value of the first of some attributes that is there, quoted or not; missing where there is none."""
    value = np.full(len(attributes), np.nan, dtype=object)
    for key in keys:
        lacking = pd.isna(value)
        if lacking.any():
            # What may not precede the word is said after it: a pattern that begins with a word is found fast.
            pattern = rf'{key} (?<![\w]{key} )(?:"([^"]*)"|([^\s;"]+))'
            found = attributes[lacking].str.extract(pattern)
            value[lacking] = found[0].where(found[0].notna(), found[1]).to_numpy(dtype=object)
    value[value == ""] = np.nan
    return pd.Series(value, attributes.index, dtype=object)


def _has_tag(attributes: pd.Series, tags: Sequence[str]) -> np.ndarray:
    found = [attributes.str.contains(f'tag "{tag}"', regex=False).to_numpy(dtype=bool) for tag in tags]
    return np.logical_or.reduce(found)


def _refuse(path: str | Path, table: pd.DataFrame, bad: pd.Series | np.ndarray, what: str, column: str) -> None:
    bad = np.asarray(bad, dtype=bool)
    if bad.any():
        row = int(np.argmax(bad))
        msg = f"{path}:{table.index[row]}: {what}, not {str(table[column].iloc[row])[:80]!r}."
        raise ValueError(msg)

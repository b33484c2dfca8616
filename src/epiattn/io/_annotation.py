"""Genes: one transcription start site each, from a GTF, a BED or a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from epiattn import _keys as k
from epiattn._logging import logger
from epiattn._messages import did_you_mean
from epiattn._validation import check_choice

from ._chromosomes import match_chromosomes, plain_name
from ._gene_tables import BIOTYPE, GENE_NAME, TRANSCRIPT_ID, has_header, read_bed, read_named, read_tsv, unversioned
from ._gtf import CHOSEN, GENE, RANKS, read_gtf
from ._sniff import head_of
from ._text import Column, check_file, read_chunks

_READERS = {"gtf": read_gtf, "bed": read_bed, "tsv": read_tsv}


def read_annotation(
    path: str | Path,
    *,
    biotypes: str | Iterable[str] | None = ("protein_coding",),
    transcripts: str | Path | pd.DataFrame | pd.Series | Mapping[str, str] | None = None,
    blacklist: str | Path | None = None,
    chromosomes: str | Iterable[str] | None = None,
    format: Literal["gtf", "bed", "tsv"] | None = None,
) -> pd.DataFrame:
    r"""Read genes, each with one transcription start site (TSS).

    Parameters
    ----------
    path
        One of, gzipped or not:

        * GTF of Ensembl, GENCODE, RefSeq or UCSC with gene records, transcript records or both. The TSS is that of the
          transcript which is, best first, named by ``transcripts``, tagged as MANE Select, tagged as canonical (Ensembl
          canonical, RefSeq Select), or the most upstream one; of several equals the most upstream one. Genes without
          transcripts have the TSS of the gene record.
        * BED of genes: column 4 is the gene, column 6 (or the last one of five) the strand. The TSS is the first base
          on the strand.
        * Table with a header, separated by tabs or commas: ``gene_id``, ``chrom``, ``tss`` (counted from 0) and
          ``strand`` (``+`` and ``-``, or ``1`` and ``-1``), optionally ``gene_name`` and ``biotype``; usual synonyms
          such as ``ensembl_gene_id``, ``chromosome``, ``seqnames``, ``symbol``, ``gene_type`` are understood, other
          columns are passed over.
    biotypes
        Kinds of genes to keep; ``None``: all. Where the file tells no biotypes, all genes are kept.
    transcripts
        Transcript of a GTF to take, by gene: a dict or Series ``{gene_id: transcript_id}``, or a table (or its path)
        with these two columns. Genes that it does not name follow the rule above.
    blacklist
        BED of regions; genes whose TSS lies in one are dropped.
    chromosomes
        Chromosomes to keep (``chr1`` and ``1`` are the same); ``None``: all.
    format
        ``"gtf"``, ``"bed"`` or ``"tsv"``; ``None``: told by the content.

    Returns
    -------
    Genes in the order of the file. The index is ``gene_id``, without the versions of Ensembl (``ENSG00000139618.15``
    is ``ENSG00000139618``); the columns are ``gene_name`` (the id where there is no name), ``chrom`` as the file calls
    it, ``tss`` (counted from 0, int64), ``strand``, and ``biotype`` if the file tells it (empty where it does not).
    Copies on chromosome Y of pseudoautosomal genes (``…_PAR_Y``, ``ENSGR…``) are dropped: the gene on X stands for
    both. How many genes are dropped, and why, is told through the logger.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If the format is none of these, a line is not as it should be (strand, TSS, an empty name), a gene comes twice,
        no gene is left, or the arguments make no sense.

    Examples
    --------
    >>> import epiattn as attn
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "genes.bed"
    ...     _ = path.write_text("chr1\t100\t900\tENSG00000000001.4\t0\t+\nchr2\t100\t900\tENSG00000000002.1\t0\t-\n")
    ...     genes = attn.io.read_annotation(path)
    >>> genes["tss"].to_dict()
    {'ENSG00000000001': 100, 'ENSG00000000002': 899}
    """
    path = check_file(path)
    format = _guess(path) if format is None else format
    check_choice("format", format, _READERS)
    if transcripts is not None and format != "gtf":
        msg = f"{path}: transcripts= chooses among the transcripts of a GTF; this file ({format}) has one TSS a gene."
        raise ValueError(msg)
    records = _READERS[format](path)
    records[k.GENE_ID] = unversioned(records[k.GENE_ID])
    report = _Report(path, records)
    on_y = records[k.GENE_ID].str.endswith("_PAR_Y")
    records = report.keep(records, ~on_y, "copies on Y of pseudoautosomal genes")
    if chromosomes is not None:
        records = _keep_chromosomes(records, chromosomes, report)
    if biotypes is not None:
        records = _keep_biotypes(records, biotypes, report)
    genes = _one_each(path, records, None if transcripts is None else _choice(transcripts))
    if blacklist is not None:
        genes = report.keep(genes, ~_inside(blacklist, genes), "with the TSS in the blacklist")
    report.log(genes)
    return _tidy(genes)


def _guess(path: Path) -> Literal["gtf", "bed", "tsv"]:
    head = head_of(path, 1)
    fields = head.lines[0].split("\t")
    if len(fields) == 9 and "gene_id " in fields[8]:
        return "gtf"
    if len(fields) == 9 and "=" in fields[8]:
        msg = f"{path}: a GFF3; take the GTF of the same release."
        raise ValueError(msg)
    if len(fields) > 3 and fields[1].isdigit() and fields[2].isdigit():
        return "bed"
    if has_header(path):
        return "tsv"
    msg = (
        f"{path}:{head.numbers[0]}: neither a GTF, nor a BED of genes with a strand, nor the header of a table "
        f"(gene_id, chrom, tss, strand), separated by tabs: {head.lines[0][:80]!r}."
    )
    raise ValueError(msg)


class _Report:
    """Counts what is dropped. It is an error if nothing is left."""

    def __init__(self, path: Path, records: pd.DataFrame) -> None:
        self.path = path
        self._n = records[k.GENE_ID].nunique()
        self._dropped: dict[str, int] = {}

    def keep(self, records: pd.DataFrame, kept: pd.Series | np.ndarray, why_not: str, hint: str = "") -> pd.DataFrame:
        left = records[np.asarray(kept, dtype=bool)]
        if n := records[k.GENE_ID].nunique() - left[k.GENE_ID].nunique():
            self._dropped[why_not] = n
        if left.empty:
            msg = f"{self.path}: none of its {self._n} genes is left{self._why()}.{hint}"
            raise ValueError(msg)
        return left

    def log(self, genes: pd.DataFrame) -> None:
        logger.info("%s: %d of %d genes kept%s.", self.path, len(genes), self._n, self._why())

    def _why(self) -> str:
        reasons = ", ".join(f"{n} {why_not}" for why_not, n in self._dropped.items())
        return f"; dropped were {reasons}" if reasons else ""


# --- which genes -----------------------------------------------------------------------------------------------------


def _keep_chromosomes(records: pd.DataFrame, chromosomes: str | Iterable[str], report: _Report) -> pd.DataFrame:
    wanted = [chromosomes] if isinstance(chromosomes, str) else [str(name) for name in chromosomes]
    there = records[k.CHROM].map({name: plain_name(name) for name in records[k.CHROM].unique()})
    if absent := [name for name in wanted if plain_name(name) not in set(there)]:
        logger.warning("%s: has no gene on %s.", report.path, ", ".join(absent))
    known = ", ".join(records[k.CHROM].unique()[:30])
    kept = there.isin([plain_name(name) for name in wanted])
    return report.keep(records, kept, "on other chromosomes", f" The file has {known}.")


def _keep_biotypes(records: pd.DataFrame, biotypes: str | Iterable[str], report: _Report) -> pd.DataFrame:
    wanted = [biotypes] if isinstance(biotypes, str) else list(biotypes)
    biotype = records.groupby(k.GENE_ID, sort=False)[BIOTYPE].first()  # of the records of a gene, one may tell it
    counts = biotype.value_counts()
    if counts.empty:
        logger.info("%s: tells no biotypes; genes of all kinds are kept.", report.path)
        return records
    known = ", ".join(f"{name} ({n})" for name, n in counts.items())
    if unknown := [name for name in wanted if name not in counts]:
        hint = did_you_mean(unknown[0], counts.index)
        logger.warning("%s: no gene is %s; biotypes there are %s.%s", report.path, unknown[0], known, hint)
    kept = records[k.GENE_ID].isin(biotype.index[biotype.isin(wanted)])
    return report.keep(records, kept, f"of other biotypes than {', '.join(wanted)}", f" Its biotypes are {known}.")


def _inside(blacklist: str | Path, genes: pd.DataFrame) -> np.ndarray:
    """Which genes have their TSS in a region, shape ``(n_genes,)``."""
    columns = {k.CHROM: Column(0, "str"), k.START: Column(1, "int64"), k.END: Column(2, "int64")}
    regions = pd.concat([pd.DataFrame(columns=list(columns)), *read_chunks(blacklist, columns)])
    names = match_chromosomes(genes[k.CHROM], regions[k.CHROM], where=str(blacklist), lacking=None)
    inside = np.zeros(len(genes), dtype=bool)
    for name, called in names.items():
        here = regions[regions[k.CHROM] == called].sort_values(k.START)
        start = here[k.START].to_numpy(dtype=np.int64)
        end = np.maximum.accumulate(here[k.END].to_numpy(dtype=np.int64))  # the furthest of all that began before
        rows = np.flatnonzero(genes[k.CHROM] == name)
        tss = genes[k.TSS].to_numpy()[rows]
        last = np.searchsorted(start, tss, side="right") - 1
        inside[rows] = (last >= 0) & (tss < end[last])
    return inside


# --- which TSS -------------------------------------------------------------------------------------------------------


def _one_each(path: Path, records: pd.DataFrame, chosen: pd.Series | None) -> pd.DataFrame:
    """The best record of each gene; genes in the order in which they come first."""
    gene_records = records[records["rank"] == GENE]
    if (again := gene_records[k.GENE_ID].duplicated()).any():
        msg = f"{path}:{again.idxmax()}: gene {gene_records[k.GENE_ID][again.idxmax()]!r} comes a second time."
        raise ValueError(msg)
    by_gene = records.groupby(k.GENE_ID, sort=False)
    common = by_gene[[GENE_NAME, BIOTYPE]].first()
    first = by_gene[[k.CHROM, k.STRAND]].transform("first")
    elsewhere = (records[[k.CHROM, k.STRAND]] != first).any(axis=1)
    if elsewhere.any():
        genes = records[k.GENE_ID][elsewhere].unique()
        logger.warning(
            "%s: %d genes are on several chromosomes or strands, such as %s; the first place in the file counts.",
            path,
            len(genes),
            genes[0],
        )
    records = records[~elsewhere]
    if chosen is not None:
        records = _choose(path, records, chosen)
    upstream = np.where(records[k.STRAND] == "+", records[k.TSS], -records[k.TSS])
    best = records.assign(upstream=upstream).sort_values(["rank", "upstream"], kind="stable")
    best = best.drop_duplicates(k.GENE_ID).set_index(k.GENE_ID).loc[common.index]
    counts = best["rank"].value_counts()
    if set(counts.index) != {GENE}:
        told = ", ".join(f"{name} ({counts[rank]})" for rank, name in enumerate(RANKS) if rank in counts)
        logger.info("%s: each TSS is that of the %s.", path, told)
    return best[[k.CHROM, k.TSS, k.STRAND]].assign(**common).reset_index()


def _choice(transcripts: str | Path | pd.DataFrame | pd.Series | Mapping[str, str]) -> pd.Series:
    """Transcripts that the user chose, by gene."""
    if isinstance(transcripts, str | Path):
        transcripts, _ = read_named(check_file(transcripts), (k.GENE_ID, TRANSCRIPT_ID))
    if isinstance(transcripts, pd.DataFrame):
        table = transcripts.reset_index() if transcripts.index.name == k.GENE_ID else transcripts
        if lacking := [name for name in (k.GENE_ID, TRANSCRIPT_ID) if name not in table]:
            msg = (
                f"transcripts= needs the columns gene_id and transcript_id, but lacks {lacking}; it has {list(table)}."
            )
            raise ValueError(msg)
        transcripts = table.set_index(k.GENE_ID)[TRANSCRIPT_ID]
    series = pd.Series(transcripts, dtype=object).dropna()
    chosen = pd.Series(unversioned(series).to_numpy(), unversioned(series.index.to_series()).to_numpy())
    if chosen.index.has_duplicates:
        msg = f"transcripts= names gene {chosen.index[chosen.index.duplicated()][0]!r} more than once."
        raise ValueError(msg)
    return chosen


def _choose(path: Path, records: pd.DataFrame, chosen: pd.Series) -> pd.DataFrame:
    """Rank the chosen transcripts first."""
    hit = unversioned(records[TRANSCRIPT_ID]) == records[k.GENE_ID].map(chosen)
    if not hit.any():
        msg = f"{path}: none of the {len(chosen)} transcripts of transcripts= belongs to one of its genes."
        raise ValueError(msg)
    if lacking := sorted(set(records[k.GENE_ID]) & set(chosen.index) - set(records[k.GENE_ID][hit])):
        logger.warning(
            "%s: %d genes have no such transcript as was chosen (%s: %s …); they follow the rule.",
            path,
            len(lacking),
            lacking[0],
            chosen[lacking[0]],
        )
    return records.assign(rank=records["rank"].where(~hit, CHOSEN))


def _tidy(genes: pd.DataFrame) -> pd.DataFrame:
    genes[GENE_NAME] = genes[GENE_NAME].where(genes[GENE_NAME].notna(), genes[k.GENE_ID])
    columns = [GENE_NAME, k.CHROM, k.TSS, k.STRAND]
    if genes[BIOTYPE].notna().any():
        genes[BIOTYPE] = genes[BIOTYPE].fillna("")
        columns.append(BIOTYPE)
    return genes.astype({k.GENE_ID: str, **dict.fromkeys(columns, str), k.TSS: "int64"}).set_index(k.GENE_ID)[columns]

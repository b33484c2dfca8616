"""Gene and transcript records of a GTF."""

from __future__ import annotations

import gzip

import pandas as pd
import pytest

from epiattn.io._gtf import CANONICAL, GENE, MANE, TRANSCRIPT, read_gtf


def line(columns, *attributes):
    return "\t".join(columns.split()) + "\t" + " ".join(f"{attribute};" for attribute in attributes) + "\n"


ONE = ('gene_id "ENSG00000000001"', 'gene_version "5"', 'gene_name "ABC"', 'gene_biotype "protein_coding"')
TWO = ('gene_id "ENSG00000000002"', 'gene_biotype "lncRNA"')
BASIC, CANONICAL_TAG, MANE_TAG = 'tag "basic"', 'tag "Ensembl_canonical"', 'tag "MANE_Select"'
ENSEMBL = (
    "#!genome-build GRCh38.p14\n"
    + line("1 havana gene 101 900 . + .", *ONE)
    + line("1 havana transcript 101 900 . + .", *ONE, 'transcript_id "ENST00000000001"', BASIC, CANONICAL_TAG)
    + line("1 havana exon 101 300 . + .", *ONE, 'transcript_id "ENST00000000001"', 'exon_number "1"')
    + line("1 havana transcript 151 800 . + .", *ONE, 'transcript_id "ENST00000000002"', CANONICAL_TAG, MANE_TAG)
    + line("1 ensembl gene 2001 2900 . - .", *TWO)
    + line("1 ensembl transcript 2001 2900 . - .", *TWO, 'transcript_id "ENST00000000003"', 'tag "MANE_Plus_Clinical"')
)


def write(tmp_path, text, name="genes.gtf"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
@pytest.mark.parametrize("name", ["genes.gtf", "genes.gtf.gz"])
def test_ensembl(tmp_path, name, chunk_rows):
    records = read_gtf(write(tmp_path, ENSEMBL, name), chunk_rows=chunk_rows)
    assert records.index.tolist() == [2, 3, 5, 6, 7]  # line numbers; the exon is passed over
    assert records["gene_id"].tolist() == ["ENSG00000000001"] * 3 + ["ENSG00000000002"] * 2
    assert records["chrom"].unique().tolist() == ["1"]
    # + strand: start - 1; - strand: end - 1.
    assert records["tss"].tolist() == [100, 100, 150, 2899, 2899]
    assert records["tss"].dtype == "int64"
    assert records["strand"].tolist() == ["+", "+", "+", "-", "-"]
    assert records["rank"].tolist() == [GENE, CANONICAL, MANE, GENE, TRANSCRIPT]
    assert records["transcript_id"].isna().tolist() == [True, False, False, True, False]
    assert records["transcript_id"].iloc[2] == "ENST00000000002"
    assert records["gene_name"].iloc[0] == "ABC"
    assert pd.isna(records["gene_name"].iloc[3])
    assert records["biotype"].tolist() == ["protein_coding"] * 3 + ["lncRNA"] * 2


def test_gencode(tmp_path):
    more = "level 2", 'havana_gene "OTTHUMG00000000009.1"', 'tag "overlapping_locus"'
    one = 'gene_id "ENSG00000000009.7_2"', 'gene_type "miRNA"', 'gene_name "MIR1"'
    text = line("chr2 HAVANA gene 11 20 . - .", *one, *more).replace("\n", "\r\n")
    (record,) = read_gtf(write(tmp_path, text)).to_dict("records")
    assert pd.isna(record.pop("transcript_id"))
    assert record == {
        "gene_id": "ENSG00000000009.7_2",
        "gene_name": "MIR1",
        "biotype": "miRNA",
        "chrom": "chr2",
        "tss": 19,
        "strand": "-",
        "rank": GENE,
    }


def test_refseq(tmp_path):
    one, biotype = ('gene_id "ABC"', 'gene "ABC1"'), 'gene_biotype "protein_coding"'
    text = (
        line("NC_000001.11 RefSeq gene 5 90 . + .", *one, 'transcript_id ""', biotype)
        + line("NC_000001.11 RefSeq transcript 7 90 . + .", *one, 'transcript_id "NM_1.2"', 'tag "MANE Select"')
        + line("NC_000001.11 RefSeq transcript 6 90 . + .", one[0], 'transcript_id "NM_2.1"', 'tag "RefSeq Select"')
        + line("NC_000001.11 RefSeq transcript 5 90 . + .", one[0], 'transcript_id "NM_3.1"', 'ref_gene_name "NO"')
    )
    records = read_gtf(write(tmp_path, text))
    assert records["rank"].tolist() == [GENE, MANE, CANONICAL, TRANSCRIPT]
    assert records["gene_name"].fillna("?").tolist() == ["ABC1", "ABC1", "?", "?"]
    assert records["biotype"].fillna("?").tolist() == ["protein_coding", "?", "?", "?"]
    assert records["transcript_id"].fillna("?").tolist() == ["?", "NM_1.2", "NM_2.1", "NM_3.1"]


def test_values_without_quotes_and_names_that_hold_other_names(tmp_path):
    text = "1\tx\ttranscript\t5\t90\t.\t+\t.\tref_gene_id NO; gene_id A1; transcript_id T1; havana_gene_name NO;\n"
    (record,) = read_gtf(write(tmp_path, text)).to_dict("records")
    assert (record["gene_id"], record["transcript_id"]) == ("A1", "T1")
    assert pd.isna(record["gene_name"])


def test_a_source_called_gene_makes_no_record(tmp_path):
    text = '1\tgene\texon\t5\t90\t.\t+\t.\tgene_id "A"\n1\tx\tgene\t5\t90\t.\t+\t.\tgene_id "A"\n'
    assert read_gtf(write(tmp_path, text)).index.tolist() == [2]


GOOD = '1\tx\tgene\t5\t90\t.\t+\t.\tgene_id "A";'


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (GOOD.replace("\t+\t", "\t.\t"), r"genes.gtf:3: strand must be \+ or -, not '\.'"),
        (GOOD.replace("\t+\t", "\t?\t"), r"genes.gtf:3: strand must be \+ or -, not '\?'"),
        (GOOD.replace("\t5\t", "\tfive\t"), "genes.gtf:3: start must be a whole number, not 'five'"),
        (GOOD.replace("\t5\t", "\tNaN\t"), "genes.gtf:3: start must be a whole number, not 'NaN'"),
        (GOOD.replace("\t90\t", "\t9e1\t"), "genes.gtf:3: end must be a whole number, not '9e1'"),
        (GOOD.replace("\t5\t", "\t-5\t"), "genes.gtf:3: start must be a whole number, not '-5'"),
        (GOOD.replace("\t5\t", "\t0\t"), "genes.gtf:3: needs 1 <= start <= end, not '0'"),
        (GOOD.replace("\t5\t", "\t91\t"), "genes.gtf:3: needs 1 <= start <= end, not '91'"),
        (GOOD.replace("\t5\t", "\t" + "9" * 30 + "\t"), "genes.gtf:3: start must be a whole number"),
        (GOOD.replace("1\tx", "\tx"), "genes.gtf:3: no chromosome"),
        (GOOD.replace('"A"', '""'), "genes.gtf:3: the attributes name no gene_id"),
        (GOOD.replace("gene_id", "id"), "genes.gtf:3: the attributes name no gene_id"),
        ("1\tx\tgene\t5\t90", "genes.gtf:3: 5 columns separated by tabs, a GTF has 9"),
    ],
)
def test_a_malformed_record_is_an_error_with_its_line(tmp_path, bad, message):
    path = write(tmp_path, f"{GOOD}\n# a comment\n{bad}\n{bad}\n")
    with pytest.raises(ValueError, match=message):
        read_gtf(path)


def test_no_record_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no gene or transcript records"):
        read_gtf(write(tmp_path, GOOD.replace("gene\t", "exon\t")))

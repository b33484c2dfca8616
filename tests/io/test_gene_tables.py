"""Genes from BED and from tables with a header."""

from __future__ import annotations

import pandas as pd
import pytest

from epiattn.io._gene_tables import has_header, read_bed, read_named, read_tsv, unversioned


def write(tmp_path, text, name="genes.txt"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("ENSG00000139618.15", "ENSG00000139618"),
        ("ENSG00000139618", "ENSG00000139618"),
        ("ENSMUSG00000041147.8", "ENSMUSG00000041147"),
        ("ENST00000380152.8", "ENST00000380152"),
        ("ENSG00000223972.5_2", "ENSG00000223972"),  # lifted over to another genome
        ("ENSG00000182378.15_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSG00000182378_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("ENSGR0000182378.8", "ENSG00000182378_PAR_Y"),
        ("AC005895.4", "AC005895.4"),  # a clone's name, not a version
        ("NM_000059.4", "NM_000059.4"),
        ("FBgn0000008", "FBgn0000008"),
        ("HLA-A", "HLA-A"),
        ("ENSG1.1", "ENSG1.1"),
    ],
)
def test_versions_of_ensembl_are_cut_off(given, plain):
    ids = pd.Series([given, "X", given], index=[3, 1, 2], name="gene_id")
    pd.testing.assert_series_equal(unversioned(ids), pd.Series([plain, "X", plain], index=[3, 1, 2], name="gene_id"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_bed(tmp_path, end):
    lines = ["track name=genes", "# made by hand", "chr1\t100\t200\tA\t0\t+\tmore", "chr2\t100\t200\tB\t0\t-\tmore", ""]
    genes = read_bed(write(tmp_path, end.join(lines)))
    assert genes[["gene_id", "chrom", "tss", "strand"]].values.tolist() == [
        ["A", "chr1", 100, "+"],
        ["B", "chr2", 199, "-"],
    ]
    assert genes["gene_name"].isna().all()


def test_bed_with_five_columns(tmp_path):
    genes = read_bed(write(tmp_path, "chr1\t0\t1\tA\t-\nchr1\t7\t9\tB\t+\n"))
    assert genes[["tss", "strand"]].values.tolist() == [[0, "-"], [7, "+"]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chr1\t9\t9\tB\t0\t+", ":2: an interval needs 0 <= start < end"),
        ("chr1\t-1\t9\tB\t0\t+", ":2: an interval needs 0 <= start < end"),
        ("chr1\tx\t9\tB\t0\t+", r":2: start \(column 2\) must be a whole number, not 'x'"),
        ("chr1\t1\t9\tB\t0\t.", r":2: strand must be \+ or -, not '\.'"),
        ("chr1\t1\t9\tB", ":2: "),
        ("chr1\t1\t9\t\t0\t+", ":2: gene_id is empty"),
        ("chr1\t1\t9\tA\t0\t-", ":2: gene 'A' comes a second time"),
    ],
)
def test_a_wrong_line_of_a_bed(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        read_bed(write(tmp_path, f"chr1\t1\t9\tA\t0\t+\n{line}\n"))


def test_a_bed_without_strand(tmp_path):
    with pytest.raises(ValueError, match=r"genes.txt:2: 3 columns; genes need chrom, start, end, gene and a strand"):
        read_bed(write(tmp_path, "# nothing\nchr1\t1\t9\n"))


TABLE = "gene_id\tchrom\ttss\tstrand\nA\tchr1\t5\t+\nB.1\tchr2\t0\t-\n"


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace("\n", "\r\n"),
        "\ufeff" + TABLE,
        TABLE.replace("\t", ","),
        TABLE.replace("\t", " , "),
        "#" + TABLE,
        "# a note\n" + TABLE,
        "# a note\n#" + TABLE,
        TABLE.replace("gene_id", "Gene stable ID").replace("chrom", "Chromosome"),
        TABLE.replace("gene_id\tchrom", '"ensembl_gene_id"\t"seqnames"').replace("A\t", '"A"\t'),
        "tss\tx\tstrand\tchr\tgene\n5\t?\t1\tchr1\tA\n0\t?\t-1\tchr2\tB.1\n",
        TABLE.replace("A\t", "1\tA\t").replace("B.1\t", "2\tB.1\t"),  # as R writes it, with numbers of rows
        TABLE.rstrip("\n"),
        TABLE + "\n\n",
    ],
)
def test_tables(tmp_path, text):
    path = write(tmp_path, text)
    assert has_header(path)
    genes = read_tsv(path)
    assert genes[["gene_id", "chrom", "tss", "strand"]].values.tolist() == [
        ["A", "chr1", 5, "+"],
        ["B.1", "chr2", 0, "-"],
    ]
    assert genes["tss"].dtype == "int64"


def test_names_and_biotypes(tmp_path):
    text = "gene_id\tsymbol\tgene_type\tchrom\ttss\tstrand\nA\tABC\tlncRNA\tchr1\t5\t+\nB\tNA\t\tchr2\t0\t-\n"
    genes = read_tsv(write(tmp_path, text))
    assert genes["gene_name"].fillna("?").tolist() == ["ABC", "?"]
    assert genes["biotype"].fillna("?").tolist() == ["lncRNA", "?"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("A\tchr1\t9\t+", ":5: gene 'A' comes a second time; keep one row a gene"),
        ("ENSG00000000001.2\tchr1\t9\t+", ":5: gene 'ENSG00000000001' comes a second time"),
        ("C\tchr1\t-1\t+", ":5: tss must be 0 or more"),
        ("C\tchr1\tNaN\t+", r":5: tss \(column 3\) must be a whole number, not 'NaN'"),
        ("C\tchr1\t\t+", r":5: tss \(column 3\) must be a whole number, not ''"),
        ("C\tchr1\t1.5\t+", r":5: tss \(column 3\) must be a whole number, not '1.5'"),
        ("C\tchr1\t1\tforward", r":5: strand must be \+ or -, not 'forward'"),
        ("C\tchr1\t1\t", r":5: strand must be \+ or -, not ''"),
        ("C\tchr1\t1", ":5: "),
        ("\tchr1\t1\t+", ":5: gene_id is empty"),
        ("NA\tchr1\t1\t+", ":5: gene_id is empty"),
        ("C\t\t1\t+", ":5: chrom is empty"),
    ],
)
def test_a_wrong_line_of_a_table(tmp_path, line, message):
    text = f"# a note\n{TABLE.replace('B.1', 'ENSG00000000001.1')}{line}\nD\tchr1\t1\t+\n"
    with pytest.raises(ValueError, match=message):
        read_tsv(write(tmp_path, text))


def test_a_table_that_lacks_columns(tmp_path):
    path = write(tmp_path, "gene_id\tchrom\tstart\nA\tchr1\t5\n")
    with pytest.raises(ValueError, match=r"genes.txt: no column 'tss', 'strand'; its columns are \['gene_id', 'chrom'"):
        read_tsv(path)


def test_a_table_without_rows(tmp_path):
    with pytest.raises(ValueError, match="needs a header with the names of the columns, and lines below it"):
        read_tsv(write(tmp_path, "gene_id\tchrom\ttss\tstrand\n"))


def test_columns_by_name(tmp_path):
    path = write(tmp_path, "transcript_id,gene_id\nENST1,A\n")
    table, n_header = read_named(path, ("gene_id", "transcript_id"))
    assert table[["gene_id", "transcript_id"]].values.tolist() == [["A", "ENST1"]]
    assert n_header == 1
    assert not has_header(write(tmp_path, "a\tb\n1\t2\n"))

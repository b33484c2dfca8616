"""Genes and their transcription start sites."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epiattn._logging import logger
from epiattn.io._annotation import read_annotation


@pytest.fixture
def log(caplog, monkeypatch):
    monkeypatch.setattr(logger, "propagate", True)
    with caplog.at_level("INFO", logger="epiattn"):
        yield caplog


def messages(log, level="INFO"):
    return [record.getMessage() for record in log.records if record.levelname == level]


def write(folder, text, name="genes.gtf"):
    path = folder / name
    path.write_text(text)
    return path


def record(gene, transcript=None, *, at="chr1:101-900:+", biotype="protein_coding", name=None, tags=()):
    """A line of GTF."""
    chrom, place, strand = at.split(":")
    start, end = place.split("-")
    attributes = [f'gene_id "{gene}"', *([f'transcript_id "{transcript}"'] if transcript else [])]
    attributes += [f'gene_type "{biotype}"'] * bool(biotype) + [f'gene_name "{name}"'] * bool(name)
    attributes += [f'tag "{tag}"' for tag in tags]
    feature = "transcript" if transcript else "gene"
    return "\t".join([chrom, "x", feature, start, end, ".", strand, ".", "; ".join(attributes) + ";\n"])


# --- the table -------------------------------------------------------------------------------------------------------


def test_a_gtf_of_genes(tmp_path, log):
    text = (
        record("ENSG00000000003.2", at="chr2:11-20:-", name="C")
        + record("ENSG00000000001.7", at="chr1:11-20:+")
        + record("ENSG00000000002.7", at="chr1:11-20:+", biotype="lncRNA")
    )
    path = write(tmp_path, text)
    expected = pd.DataFrame(
        {
            "gene_name": ["C", "ENSG00000000001"],
            "chrom": ["chr2", "chr1"],
            "tss": [19, 10],
            "strand": ["-", "+"],
            "biotype": ["protein_coding"] * 2,
        },
        index=pd.Index(["ENSG00000000003", "ENSG00000000001"], name="gene_id"),
    )
    pd.testing.assert_frame_equal(read_annotation(path), expected)
    assert messages(log) == [f"{path}: 2 of 3 genes kept; dropped were 1 of other biotypes than protein_coding."]
    assert messages(log, "WARNING") == []
    assert read_annotation(path, biotypes=None).index.tolist() == [f"ENSG0000000000{i}" for i in (3, 1, 2)]
    assert read_annotation(path, biotypes="lncRNA").index.tolist() == ["ENSG00000000002"]


def test_a_gzipped_file_cut_off_is_an_error(tmp_path):
    path = tmp_path / "genes.gtf.gz"
    whole = gzip.compress("".join(record(f"G{i}", at=f"chr1:{i * 97 % 5000 + 1}-9000:+") for i in range(2000)).encode())
    path.write_bytes(whole)
    assert len(read_annotation(path)) == 2000
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"genes\.gtf\.gz: the gzip stream is broken or cut off"):
        read_annotation(path)


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.gtf"):
        read_annotation(tmp_path / "none.gtf")
    with pytest.raises(ValueError, match="the file is empty"):
        read_annotation(write(tmp_path, ""))
    with pytest.raises(ValueError, match="no line with data"):
        read_annotation(write(tmp_path, "#!genome-build GRCh38\n\n"))


@pytest.mark.parametrize("name", ["genes.bed", "genes.txt"])
def test_a_bed_of_genes(tmp_path, log, name):
    path = write(tmp_path, "chr1\t10\t20\tENSG00000000001.7\t0\t-\nchr1\t30\t40\tB\t0\t+\n", name)
    genes = read_annotation(path)
    assert genes.index.tolist() == ["ENSG00000000001", "B"]
    assert genes.columns.tolist() == ["gene_name", "chrom", "tss", "strand"]
    assert genes["tss"].tolist() == [19, 30]
    assert messages(log) == [
        f"{path}: tells no biotypes; genes of all kinds are kept.",
        f"{path}: 2 of 2 genes kept.",
    ]


def test_a_table_of_genes(tmp_path):
    text = "gene_id,gene_name,chrom,tss,strand,biotype,expression\nA,,chr1,5,+,protein_coding,1.0\nB,b,chr1,6,-,,2\n"
    path = write(tmp_path, text, "genes.csv")
    genes = read_annotation(path, biotypes=None)
    assert genes.values.tolist() == [["A", "chr1", 5, "+", "protein_coding"], ["b", "chr1", 6, "-", ""]]
    assert read_annotation(path).index.tolist() == ["A"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n1\t2\n", r"genes\.gtf:1: neither a GTF, nor a BED of genes with a strand, nor the header of a table"),
        ("1\tx\tgene\t5\t9\t.\t+\t.\tID=gene:A;Name=B\n", "a GFF3; take the GTF of the same release"),
        ('1\tx\texon\t5\t9\t.\t+\t.\tgene_id "A"\n', "no gene or transcript records"),
        ("chr1\t1\t9\tA\n", r"genes\.gtf:1: 4 columns; genes need chrom, start, end, gene and a strand"),
        ("gene_id\tchrom\ttss\nA\tchr1\t5\n", "no column 'strand'"),
    ],
)
def test_other_files_are_errors(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_annotation(write(tmp_path, text))


def test_the_format_can_be_given(tmp_path):
    path = write(tmp_path, "chr1\t10\t20\tA\t0\t-\n")
    assert read_annotation(path, format="bed")["tss"].tolist() == [19]
    with pytest.raises(ValueError, match="no gene or transcript records"):
        read_annotation(path, format="gtf")
    with pytest.raises(ValueError, match="format must be one of"):
        read_annotation(path, format="gff")


# --- one TSS a gene --------------------------------------------------------------------------------------------------


def test_mane_then_canonical_then_most_upstream_then_gene_record(tmp_path, log):
    basic, canonical, mane = ["basic"], ["basic", "Ensembl_canonical"], ["Ensembl_canonical", "MANE_Select"]
    text = (
        record("M", at="chr1:101-900:+", name="m")
        + record("M", "M1", at="chr1:101-900:+", tags=basic)
        + record("M", "M2", at="chr1:201-900:+", tags=canonical)
        + record("M", "M3", at="chr1:301-900:+", tags=mane)
        + record("C", at="chr1:101-900:-")
        + record("C", "C1", at="chr1:101-900:-", tags=["MANE_Plus_Clinical"])
        + record("C", "C2", at="chr1:101-800:-", tags=canonical)
        + record("U", "U1", at="chr1:101-700:-")
        + record("U", "U2", at="chr1:101-800:-", tags=basic)
        + record("G", at="chr1:501-900:+")
    )
    path = write(tmp_path, text)
    genes = read_annotation(path)
    assert genes["tss"].to_dict() == {"M": 300, "C": 799, "U": 799, "G": 500}
    assert genes["gene_name"].to_dict() == {"M": "m", "C": "C", "U": "U", "G": "G"}
    told = "MANE Select (1), canonical (1), most upstream transcript (1), gene record (1)"
    assert messages(log)[0] == f"{path}: each TSS is that of the {told}."


transcript_lists = st.lists(
    st.tuples(
        st.integers(0, 3),  # gene
        st.integers(1, 50),  # start
        st.integers(51, 99),  # end
        st.sampled_from([(), ("MANE_Select",), ("Ensembl_canonical",), ("Ensembl_canonical", "MANE_Select")]),
        st.booleans(),  # chosen by the table
    ),
    min_size=1,
    max_size=12,
)


@given(transcript_lists)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_the_rule_agrees_with_a_plain_loop(tmp_path_factory, transcripts):
    path = tmp_path_factory.mktemp("gtf") / "genes.gtf"
    strands = "+-+-"
    lines, chosen, expected = [], {}, {}
    for i, (gene, start, end, tags, is_chosen) in enumerate(transcripts):
        lines.append(record(f"G{gene}", f"T{i}", at=f"chr1:{start}-{end}:{strands[gene]}", tags=tags))
        if is_chosen:
            chosen[f"G{gene}"] = f"T{i}"
    for gene in range(4):
        mine = [(f"T{i}", *rest) for i, (other, *rest) in enumerate(transcripts) if other == gene]
        for wanted in (
            [each for each in mine if chosen.get(f"G{gene}") == each[0]],
            [each for each in mine if "MANE_Select" in each[3]],
            [each for each in mine if "Ensembl_canonical" in each[3]],
            mine,
        ):
            if wanted:
                plus = strands[gene] == "+"
                expected[f"G{gene}"] = min(e[1] for e in wanted) - 1 if plus else max(e[2] for e in wanted) - 1
                break
    path.write_text("".join(lines))
    assert read_annotation(path, transcripts=chosen or None)["tss"].to_dict() == expected


TWO = (
    record("ENSG00000000001.3", at="chr1:101-900:+")
    + record("ENSG00000000001.3", "ENST00000000001.1", at="chr1:101-900:+", tags=["MANE_Select"])
    + record("ENSG00000000001.3", "ENST00000000002.1", at="chr1:201-900:+")
    + record("ENSG00000000002.3", "ENST00000000003.1", at="chr1:301-900:+")
)
CHOICE = {"ENSG00000000001": "ENST00000000002.9"}


@pytest.mark.parametrize(
    "transcripts",
    [
        CHOICE,
        pd.Series(CHOICE),
        pd.DataFrame({"transcript_id": CHOICE}).rename_axis("gene_id"),
        pd.DataFrame({"gene_id": ["ENSG00000000001.8"], "transcript_id": ["ENST00000000002"], "x": [1]}),
        {**CHOICE, "ENSG00000000009": "ENST00000000009"},  # a gene that is not here
    ],
    ids=["dict", "series", "index", "columns", "more"],
)
def test_a_table_chooses_transcripts(tmp_path, log, transcripts):
    genes = read_annotation(write(tmp_path, TWO), transcripts=transcripts)
    assert genes["tss"].tolist() == [200, 300]
    assert messages(log, "WARNING") == []
    assert "chosen by the table (1), most upstream transcript (1)" in messages(log)[0]


def test_a_file_chooses_transcripts(tmp_path):
    table = write(tmp_path, "gene_id\ttranscript_id\nENSG00000000001\tENST00000000002\n", "choice.tsv")
    assert read_annotation(write(tmp_path, TWO), transcripts=table)["tss"].tolist() == [200, 300]
    with pytest.raises(ValueError, match=r"choice\.tsv: no column 'transcript_id'"):
        read_annotation(
            write(tmp_path, TWO), transcripts=write(tmp_path, "gene_id\tname\nENSG00000000001\tA\n", "choice.tsv")
        )


def test_a_chosen_transcript_that_the_gene_lacks_is_reported(tmp_path, log):
    path = write(tmp_path, TWO)
    # The transcript is there, but of the other gene.
    genes = read_annotation(path, transcripts={**CHOICE, "ENSG00000000002": "ENST00000000001"})
    assert genes["tss"].tolist() == [200, 300]
    (message,) = messages(log, "WARNING")
    assert "1 genes have no such transcript as was chosen (ENSG00000000002: ENST00000000001 …)" in message


@pytest.mark.parametrize(
    ("transcripts", "message"),
    [
        ({"ENSG00000000001": "ENST9"}, "none of the 1 transcripts of transcripts= belongs to one of its genes"),
        (pd.Series(["T1", "T2"], ["A", "A"]), "names gene 'A' more than once"),
        (pd.DataFrame({"gene": ["A"]}), r"lacks \['gene_id', 'transcript_id'\]"),
    ],
)
def test_choices_that_make_no_sense(tmp_path, transcripts, message):
    with pytest.raises(ValueError, match=message):
        read_annotation(write(tmp_path, TWO), transcripts=transcripts)


def test_tables_have_no_transcripts_to_choose(tmp_path):
    path = write(tmp_path, "chr1\t10\t20\tA\t0\t-\n", "genes.bed")
    with pytest.raises(ValueError, match=r"transcripts= chooses among the transcripts of a GTF"):
        read_annotation(path, transcripts={"A": "T"})


def test_a_gene_in_several_places_has_its_first_one(tmp_path, log):
    text = record("A", "A1", at="chrX:501-900:+") + record("A", "A2", at="chrY:101-900:+") + record("B", "B1")
    path = write(tmp_path, text)
    genes = read_annotation(path)
    assert genes.loc["A", ["chrom", "tss"]].tolist() == ["chrX", 500]
    assert messages(log, "WARNING") == [
        f"{path}: 1 genes are on several chromosomes or strands, such as A; the first place in the file counts."
    ]


def test_two_records_of_a_gene_are_an_error(tmp_path):
    text = record("A") + record("B") + record("A", at="chr2:5-9:+")
    with pytest.raises(ValueError, match=r"genes\.gtf:3: gene 'A' comes a second time"):
        read_annotation(write(tmp_path, text))
    with pytest.raises(ValueError, match=r"genes\.gtf:2: gene 'ENSG00000000001' comes a second time"):
        read_annotation(write(tmp_path, record("ENSG00000000001.1") + record("ENSG00000000001.2")))


@pytest.mark.parametrize("copy", ["ENSG00000000001.3_PAR_Y", "ENSGR0000000001.3"])
def test_copies_on_y_are_dropped(tmp_path, log, copy):
    text = record("ENSG00000000001.3", at="chrX:101-900:+") + record(copy, at="chrY:51-900:+") + record(copy, "T1")
    path = write(tmp_path, text)
    genes = read_annotation(path)
    assert genes[["chrom", "tss"]].values.tolist() == [["chrX", 100]]
    assert messages(log)[-1] == f"{path}: 1 of 2 genes kept; dropped were 1 copies on Y of pseudoautosomal genes."


# --- which genes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chromosomes", ["1", "chr1", ["1"], ["chr1", "chr1"], ("chr1",)])
def test_chromosomes(tmp_path, log, chromosomes):
    path = write(tmp_path, record("A") + record("B", at="chr2:1-9:+") + record("C", at="chr11:1-9:+"))
    assert read_annotation(path, chromosomes=chromosomes).index.tolist() == ["A"]
    assert messages(log) == [f"{path}: 1 of 3 genes kept; dropped were 2 on other chromosomes."]
    assert messages(log, "WARNING") == []


def test_chromosomes_that_are_not_there(tmp_path, log):
    path = write(tmp_path, record("A") + record("B", at="chr2:1-9:+"))
    assert read_annotation(path, chromosomes=["chr1", "21"]).index.tolist() == ["A"]
    assert messages(log, "WARNING") == [f"{path}: has no gene on 21."]
    with pytest.raises(
        ValueError, match=r"none of its 2 genes is left.*2 on other chromosomes\. The file has chr1, chr2"
    ):
        read_annotation(path, chromosomes=["chr21"])


def test_other_chromosomes_can_hide_a_gene_that_comes_twice(tmp_path):
    path = write(tmp_path, record("A") + record("A", at="chr1_alt:1-9:+"))
    assert read_annotation(path, chromosomes="chr1")["tss"].tolist() == [100]


def test_no_gene_of_the_biotype_is_an_error_that_lists_those_there(tmp_path, log):
    path = write(tmp_path, record("A", biotype="lncRNA") + record("B") + record("C"))
    with pytest.raises(
        ValueError,
        match=r"none of its 3 genes is left; dropped were 3 of other biotypes than protein-coding\. Its biotypes are "
        r"protein_coding \(2\), lncRNA \(1\)\.",
    ):
        read_annotation(path, biotypes=["protein-coding"])
    assert "Did you mean 'protein_coding'?" in messages(log, "WARNING")[0]


def test_a_biotype_that_is_not_there_is_reported(tmp_path, log):
    path = write(tmp_path, record("A", biotype="lncRNA") + record("B"))
    assert len(read_annotation(path, biotypes=["protein_coding", "lncRNA"])) == 2
    assert messages(log, "WARNING") == []
    assert read_annotation(path, biotypes=["protein_coding", "lincRNA"]).index.tolist() == ["B"]
    assert "no gene is lincRNA" in messages(log, "WARNING")[0]


def test_the_biotype_may_stand_at_the_gene_only(tmp_path):
    text = record("A", biotype="lncRNA") + record("A", "A1", biotype="") + record("B") + record("B", "B1", biotype="")
    genes = read_annotation(write(tmp_path, text))
    assert genes["biotype"].to_dict() == {"B": "protein_coding"}


def naive_inside(regions, tss):
    return any(start <= tss < end for start, end in regions)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), min_size=1, max_size=8),
    st.lists(st.integers(0, 95), min_size=1, max_size=10, unique=True),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_blacklisted_genes_agree_with_a_plain_loop(tmp_path_factory, regions, sites):
    """Regions in any order, overlapping and nested."""
    folder = tmp_path_factory.mktemp("blacklist")
    regions = [(start, start + length) for start, length in regions]
    write(folder, "".join(f"chr1\t{start}\t{end}\n" for start, end in regions) + "chr2\t0\t1000\n", "black.bed")
    table = "gene_id\tchrom\ttss\tstrand\n" + "".join(f"G{tss}\t1\t{tss}\t+\n" for tss in sites)
    path = write(folder, table + "X\t3\t5\t-\n", "genes.tsv")
    genes = read_annotation(path, blacklist=folder / "black.bed")
    assert genes.index.tolist() == [*(f"G{tss}" for tss in sites if not naive_inside(regions, tss)), "X"]


def test_the_blacklist_is_reported(tmp_path, log):
    path = write(tmp_path, record("A") + record("B", at="chr2:51-90:-"))
    black = write(tmp_path, "track name=x\r\nchr1\t100\t101\r\nchr2\t50\t89\r\n", "black.bed")
    assert read_annotation(path, blacklist=black).index.tolist() == ["B"]  # its TSS is base 89, the last one is 88
    assert messages(log)[-1] == f"{path}: 1 of 2 genes kept; dropped were 1 with the TSS in the blacklist."
    assert messages(log, "WARNING") == []


def test_a_blacklist_of_another_genome_is_an_error(tmp_path):
    path = write(tmp_path, record("A"))
    black = write(tmp_path, "I\t100\t101\n", "black.bed")
    with pytest.raises(ValueError, match=r"black\.bed: no chromosome of the genes \(chr1\) is in the file \(I\)"):
        read_annotation(path, blacklist=black)
    with pytest.raises(ValueError, match=r"black\.bed:1: start \(column 2\) must be a whole number"):
        read_annotation(path, blacklist=write(tmp_path, "chr1\tx\t5\n", "black.bed"))
    with pytest.raises(FileNotFoundError, match="none.bed"):
        read_annotation(path, blacklist=tmp_path / "none.bed")
    with pytest.raises(ValueError, match="is in the file \\(which names none\\)"):
        read_annotation(path, blacklist=write(tmp_path, "# nothing\n", "black.bed"))
    with pytest.raises(ValueError, match="none of its 1 genes is left; dropped were 1 with the TSS in the blacklist"):
        read_annotation(path, blacklist=write(tmp_path, "chr1\t0\t1000\n", "black.bed"))


# --- anything --------------------------------------------------------------------------------------------------------

WHOLE = {
    "gtf": record("A", name="a") + record("B", "B1", at="chr2:5-9:-", tags=["MANE_Select"]),
    "bed": "chr1\t10\t20\tA\t0\t-\nchr1\t30\t40\tB\t0\t+\n",
    "tsv": "gene_id\tchrom\ttss\tstrand\nA\tchr1\t5\t+\nB\tchr2\t6\t-\n",
}
pieces = st.sampled_from(["chr1", "gene", "5", "9", "-1", "+", ".", "", "NaN", 'gene_id "A";', "#", "é", "1e3", "a\tb"])
outcomes = set()


@given(st.sampled_from(list(WHOLE)), st.integers(0, 50), pieces, st.booleans())
@settings(deadline=None, derandomize=True, max_examples=300)
def test_a_text_with_a_wrong_field_gives_genes_or_a_clear_error(tmp_path_factory, kind, place, piece, is_given):
    path = tmp_path_factory.mktemp("any") / "genes"
    fields = re.split(r"([\t\n])", WHOLE[kind])
    fields[2 * place % (len(fields) - 1)] = piece
    path.write_text("".join(fields), encoding="utf-8")
    try:
        genes, message = read_annotation(path, format=kind if is_given else None), None
    except ValueError as error:
        genes, message = None, str(error)
    outcomes.add("error" if genes is None else "genes")
    if genes is None:
        assert str(path) in message
        return
    assert genes.index.is_unique
    assert genes["strand"].isin(["+", "-"]).all()
    assert (genes["tss"].to_numpy() >= 0).all()


def test_both_came_up():
    assert outcomes == {"error", "genes"}


@given(st.binary(max_size=60))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_any_bytes_give_a_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "genes"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=str(path)):
        read_annotation(path)


def test_large_positions_and_many_genes(tmp_path):
    n = 3000
    tss = np.random.default_rng(0).integers(0, 2**40, n)
    rows = "".join(f"G{i}\tchr{i % 3}\t{site}\t+\n" for i, site in enumerate(tss))
    genes = read_annotation(write(tmp_path, "gene_id\tchrom\ttss\tstrand\n" + rows, "genes.tsv"))
    np.testing.assert_array_equal(genes["tss"], tss)

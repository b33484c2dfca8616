"""The format of a file, by its name and its content."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epiattn._registry import methylation_formats, signal_formats
from epiattn.io._formats import ASSAYS, check_format, guess_format, suffix_of
from epiattn.io._sniff import head_of, sniff

BIGWIG, BIGBED = 0x888FFC26, 0x8789F2EB
TEXT = {
    "bedgraph": "chr1\t0\t10\t0.5\nchr1\t10\t20\t3\n",
    "narrowpeak": "chr1\t10\t50\tpeak1\t100\t.\t5.5\t3.1\t-1\t20\nchr1\t60\t90\tpeak2\t0\t+\t1\t-1\t-1\t-1\n",
    "broadpeak": "chr1\t10\t50\tpeak1\t100\t.\t5.5\t3.1\t2.2\nchr1\t60\t90\tpeak2\t0\t.\t0\t0\t0\n",
    "bed3": "chr1\t10\t50\nchr1\t60\t90\n",
    "bed4": "chr1\t10\t50\tname\nchr1\t60\t90\t12\n",
    "bed5": "chr1\t10\t50\tname\t1000\n",
    "bed6": "chr1\t10\t50\tname\t1000\t+\n",
    "bed9": "chr1\t10\t50\tname\t1000\t+\t10\t50\t255,0,0\nchr1\t10\t50\tname\t1000\t-\t0\t0\t0\n",
    "bed9 without colours": "chr1\t10\t50\tname\t1000\t+\t20\t40\t0\nchr1\t10\t50\tname\t1000\t-\t0\t0\t0\n",
    "bed12": "chr1\t10\t50\tname\t1000\t+\t10\t50\t0\t2\t10,10,\t0,30,\n",
    "modkit": "chr1\t10\t11\tm\t92\t+\t10\t11\t255,0,0\t92\t1.09\t1\t91\t0\t0\t1\t2\t0\n",
    "modkit with blanks": "chr1\t10\t11\tm\t92\t+\t10\t11\t255,0,0\t92 1.09 1 91 0 0 1 2 0\n",
    "modbam2bed": "chr1\t10\t12\t5mC\t1000\t.\t10\t12\t0,0,0\t11\t36.36\t7\t4\t0\n"
    "chr1\t10\t12\t5mC\t0\t.\t10\t12\t0,0,0\t2\tnan\t0\t0\t2\n",
    "encode": "chr1\t10\t11\t.\t8\t-\t10\t11\t0,255,0\t8\t25\n",
    "bismark": "chr1\t11\t11\t75\t3\t1\nchr1\t21\t22\t0\t0\t4\n",
    "methylkit": "chrBase\tchr\tbase\tstrand\tcoverage\tfreqC\tfreqT\nchr1.11\tchr1\t11\tF\t12\t25.00\t75.00\n",
    "methylkit without header": "1.11\t1\t11\tR\t12\t25.00\t75.00\n",
    "expression": "gene_id\tH1\tK562\nENSG00000000001\t1.5\t0\n",
    "counts": "gene\t1\t2\n" + "".join(f"GENE{i}\t{i}\t{7 - i}\n" for i in range(7)),
    "counts of others": "hgnc\t1\t2\n" + "".join(f"A{i}\t{i + 1}\t{i}\n" for i in range(7)),
    "expression.csv": "gene,H1\nA,1\n",
    "gct": "#1.2\n2\t1\nName\tDescription\tH1\nA\ta\t1\nB\tb\t2\n",
    "regulons": "tf\tconfidence\ttarget\tmor\nADNP\tD\tATF7IP\t1.0\n",
}


def write(folder, content, name="file"):
    path = folder / name
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    return path


@pytest.mark.parametrize(
    ("what", "assay", "expected"),
    [
        ("bedgraph", "histone", "bedgraph"),
        ("narrowpeak", "histone", "narrowpeak"),
        ("narrowpeak", "tf", "narrowpeak"),
        ("broadpeak", "accessibility", "broadpeak"),
        ("broadpeak", "tf", "broadpeak"),
        ("bed3", "histone", "bed"),
        ("bed4", "histone", "bed"),
        ("bed5", "histone", "bed"),
        ("bed6", "tf", "bed"),
        ("bed9", "histone", "bed"),
        ("bed9 without colours", "histone", "bed"),
        ("bed12", "histone", "bed"),
        ("modkit", "methylation", "bedmethyl"),
        ("modkit with blanks", "methylation", "bedmethyl"),
        ("modbam2bed", "methylation", "bedmethyl"),
        ("encode", "methylation", "bedmethyl"),
        ("bismark", "methylation", "bismark"),
        ("methylkit", "methylation", "methylkit"),
        ("methylkit without header", "methylation", "methylkit"),
        ("expression", "rna", "expression"),
        ("counts", "rna", "expression"),
        ("counts of others", "rna", "expression"),
        ("expression.csv", "rna", "expression"),
        ("gct", "rna", "expression"),
        ("regulons", "tf", "regulons"),
    ],
)
@pytest.mark.parametrize(
    ("name", "head", "end"),
    [
        ("file", "", "\n"),
        ("file.txt", "", "\r\n"),
        ("x.y.z.gz", "# a comment\ntrack name=x\n\n", "\n"),
        ("file.bgz", "#\n", "\r\n"),
    ],
)
def test_the_content_tells(tmp_path, what, assay, expected, name, head, end):
    head = "" if what == "gct" else head  # a GCT begins with its version
    assert guess_format(write(tmp_path, (head + TEXT[what]).replace("\n", end), name), assay) == expected


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "expected"), [(BIGWIG, "bigwig"), (BIGBED, "bigbed")])
@pytest.mark.parametrize("name", ["file", "file.dat"])
def test_the_magic_numbers(tmp_path, order, magic, expected, name):
    data = struct.pack(f"{order}I", magic) + bytes(range(256))
    assert guess_format(write(tmp_path, data, name), "histone") == expected
    zipped = write(tmp_path, data, "file.bw.gz")
    with pytest.raises(ValueError, match=f"file.bw.gz: a {expected} file compressed by gzip; unpack it"):
        guess_format(zipped, "histone")


def test_bam_and_hdf5(tmp_path):
    bam = tmp_path / "reads.bam"
    bam.write_bytes(gzip.compress(b"BAM\x01" + bytes(100)))
    assert guess_format(bam, "histone") == "bam"
    assert guess_format(write(tmp_path, b"\x89HDF\r\n\x1a\n" + bytes(100), "x.h5ad"), "rna") == "expression"
    with pytest.raises(ValueError, match="assay 'tf' takes .* but its content is bam"):
        guess_format(bam, "tf")
    with pytest.raises(ValueError, match="assay 'tf' takes .* but its content is expression"):
        guess_format(tmp_path / "x.h5ad", "tf")


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.bw", "bw"),
        ("a.b.bigWig", "bigwig"),
        ("a.narrowPeak.gz", "narrowpeak"),
        ("a.bed.bgz", "bed"),
        ("a.bismark.cov.gz", "cov"),
        ("a", ""),
        ("a.gz", ""),
        ("folder.bw/a", ""),
    ],
)
def test_suffixes(name, suffix):
    assert suffix_of(name) == suffix


@pytest.mark.parametrize(
    ("name", "what", "assay", "expected"),
    [
        ("a.bedGraph", "bedgraph", "histone", "bedgraph"),
        ("a.bdg.gz", "bedgraph", "histone", "bedgraph"),
        ("a.bg", "bedgraph", "histone", "bedgraph"),
        ("a.narrowPeak", "narrowpeak", "histone", "narrowpeak"),
        ("a.broadPeak.gz", "broadpeak", "histone", "broadpeak"),
        ("a.bed.gz", "bed3", "histone", "bed"),
        ("a.bedMethyl", "modkit", "methylation", "bedmethyl"),
        ("a.bedmethyl.gz", "modbam2bed", "methylation", "bedmethyl"),
        ("a.cov.gz", "bismark", "methylation", "bismark"),
        ("a.txt", "methylkit", "methylation", "methylkit"),
        ("a.tsv.gz", "expression", "rna", "expression"),
        ("a.gct", "gct", "rna", "expression"),
        ("a.tsv", "regulons", "tf", "regulons"),
        # .bed is what ENCODE calls them all
        ("a.bed.gz", "narrowpeak", "histone", "narrowpeak"),
        ("a.bed", "broadpeak", "tf", "broadpeak"),
        ("a.bed.gz", "encode", "methylation", "bedmethyl"),
        ("a.bed", "bedgraph", "histone", "bedgraph"),
    ],
)
def test_name_and_content_agree(tmp_path, name, what, assay, expected):
    assert guess_format(write(tmp_path, TEXT[what], name), assay) == expected


@pytest.mark.parametrize(
    ("name", "what", "assay"),
    [
        ("a.bw", "bedgraph", "histone"),
        ("a.bigBed", "bed6", "tf"),
        ("a.bam", "bed6", "histone"),
        ("a.narrowPeak", "bed6", "histone"),
        ("a.narrowPeak.gz", "broadpeak", "histone"),
        ("a.broadPeak", "bed9", "histone"),
        ("a.bedGraph", "bed6", "histone"),
        ("a.cov", "modkit", "methylation"),
        ("a.bedmethyl", "bismark", "methylation"),
        ("a.bed", "expression", "rna"),
    ],
)
def test_name_and_content_disagree(tmp_path, name, what, assay):
    path = write(tmp_path, TEXT[what], name)
    with pytest.raises(ValueError, match=rf"{name}: (it is named like|assay '{assay}' takes).* but its content is"):
        guess_format(path, assay)


@pytest.mark.parametrize("name", ["a.bed", "a.txt"])
def test_a_fourth_column_of_whole_numbers_leaves_a_choice(tmp_path, name):
    path = write(tmp_path, "chr1\t0\t10\t5\nchr1\t10\t20\t3\n", name)
    with pytest.raises(ValueError, match=r"bedgraph \(column 4 is the signal\) or bed \(column 4 is a name\)"):
        guess_format(path, "histone")
    assert guess_format(path, "tf") == "bed"
    assert check_format(path, "histone", "bed") == "bed"
    assert check_format(path, "histone", "bedgraph") == "bedgraph"
    assert guess_format(path.rename(tmp_path / "a.bedgraph"), "histone") == "bedgraph"


@pytest.mark.parametrize(
    ("what", "assay", "message"),
    [
        (
            "modkit",
            "histone",
            r"takes bigwig, bigbed, bedgraph, bed, narrowpeak, broadpeak or bam, but its content is bed",
        ),
        ("bismark", "histone", r"but its content is bismark \('chr1.t11"),
        ("bed6", "methylation", r"takes bedmethyl, bismark, methylkit or bigwig, but its content is bed"),
        ("bedgraph", "tf", r"but its content is bedgraph"),
        ("bed6", "rna", r"assay 'rna' takes expression, but its content is bed"),
        ("regulons", "histone", r"but its content is a table with a header \('tf.tconfidence"),
    ],
)
def test_a_file_of_another_assay(tmp_path, what, assay, message):
    with pytest.raises(ValueError, match=message):
        guess_format(write(tmp_path, TEXT[what]), assay)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("# only a comment\n\n", "no line with data"),
        ("fixedStep chrom=chr1 start=1 step=1\n5\n", ":1: a wiggle file; make a bigWig of it"),
        ("track type=wiggle_0\nvariableStep chrom=chr1\n5 1\n", ":2: a wiggle file"),
        (
            "chrom\tstart\tend\nchr1\t5\t9\nchr1\t15\t19\n",
            r"Line 1 looks like a header: begin it with '#', or delete it",
        ),
        ('1\tx\tgene\t5\t9\t.\t+\t.\tgene_id "A"\n', "looks like a GTF: give it as the annotation"),
        ("chr1\t11\t+\t3\t1\tCG\tCGA\n", "Bismark's cytosine report: take its coverage file"),
        ("hello world\n", r"content fits none: 'hello world' in line 1\.$"),
        (b"CRAM\x03\x00", "a CRAM file; convert it to BAM"),
        (b"BAI\x01\x00", "the index of a BAM, not the BAM"),
        (b"PK\x03\x04\x00", "a zip archive or an Excel table"),
        (b"BZh91AY", "compressed by bzip2"),
        (b"\xfd7zXZ\x00", "compressed by xz"),
        (b"MuData (format-version=0.1.0)", "a MuData file"),
        (b"\x26\xfc\x8f", "not a text file"),
        (b"\x1f\x8b\x08\x00\x00", "the gzip stream is broken or cut off"),
        (b"\x1f\x8bnothing", "the gzip stream is broken or cut off"),
        (gzip.compress(b"chr1\t1\t2\n" * 100, mtime=0)[:20], "the gzip stream is broken or cut off"),
        (b"\xff\xfe\x00\x01", "not a text file"),
    ],
)
@pytest.mark.parametrize("assay", ["histone", "methylation"])
def test_strange_files(tmp_path, content, message, assay):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        guess_format(path, assay)
    assert str(error.value).startswith(str(path))


def test_missing_files_folders_and_assays(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No file .*none\.bw"):
        guess_format(tmp_path / "none.bw", "histone")
    with pytest.raises(ValueError, match="a folder, not a file"):
        guess_format(tmp_path, "histone")
    with pytest.raises(ValueError, match="assay must be one of"):
        guess_format(write(tmp_path, TEXT["bed6"]), "chip")


def test_one_wrong_line_does_not_change_the_format(tmp_path):
    lines = TEXT["narrowpeak"].splitlines() * 5
    lines[3] = "chr1\tfive\t90\tpeak2\t0\t+\t1\t-1\t-1\t-1"
    assert guess_format(write(tmp_path, "\n".join(lines), "a.narrowPeak"), "histone") == "narrowpeak"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("a.bedGraph", "chr1\t0\t10\t1", "chr1\t10\t20\tx1"),
        ("a.narrowPeak", "chr1\t10\t50\tpeak\t100\t.\t5.5\t3.1\t-1\t20", "chr1\t60\t90\tpeak\t0\t+\tlow\t-1\t-1\t9"),
    ],
)
def test_a_wrong_line_that_another_format_allows_is_for_the_reader(tmp_path, name, good, bad):
    """Every line fits BED, but the name says what is meant: the reader names the line."""
    path = write(tmp_path, "\n".join([good, good, bad, good]), name)
    format = name.split(".")[1].lower()
    assert guess_format(path, "histone") == check_format(path, "histone", format) == format
    with signal_formats[format].load()(path) as track, pytest.raises(ValueError, match=rf"{name}:3: "):
        list(track.read({"chr1": np.array([[0, 100]])}))


def test_blanks_between_columns(tmp_path):
    assert sniff(write(tmp_path, "chr1 0 10 0.5\nchr1  10 20 3\n")).formats == ["bedgraph"]


# --- given formats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["narrowpeak", "narrowPeak", ".narrowPeak", "bed", "BED"])
def test_a_given_format_that_fits(tmp_path, given):
    path = write(tmp_path, TEXT["narrowpeak"], "a.bed.gz")
    assert check_format(path, "histone", given) == given.lower().removeprefix(".")


def test_a_given_suffix_stands_for_its_format(tmp_path):
    path = write(tmp_path, struct.pack("<I", BIGWIG), "a")
    assert check_format(path, "histone", "bw") == check_format(path, "histone", "bigWig") == "bigwig"


def test_given_formats_that_do_not_fit(tmp_path):
    path = write(tmp_path, TEXT["bed6"], "a.bed")
    with pytest.raises(ValueError, match=r"a\.bed: the format is said to be narrowpeak, but its content is bed"):
        check_format(path, "histone", "narrowPeak")
    with pytest.raises(ValueError, match=r"format \(assay histone\) must be one of \['bigwig', .*not 'bedmethyl'"):
        check_format(path, "histone", "bedmethyl")
    with pytest.raises(FileNotFoundError):
        check_format(tmp_path / "none", "histone", "bed")


def test_a_format_that_only_the_registry_knows_is_judged_by_its_reader(tmp_path, monkeypatch):
    monkeypatch.setitem(ASSAYS, "histone", ("homer",))
    assert check_format(write(tmp_path, TEXT["bed6"]), "histone", "HOMER") == "homer"


def test_every_format_of_the_registries_has_an_assay():
    assert set(ASSAYS["histone"]) == set(ASSAYS["accessibility"]) == set(signal_formats)
    assert set(ASSAYS["methylation"]) == set(methylation_formats)


def test_the_head_of_a_file(tmp_path):
    path = write(tmp_path, "#a\n\nbrowser x\nb\n\n#c\nd\n", "x.gz")
    assert head_of(path, 2) == (["b", "#c"], [4, 6], ["#a", "browser x"])
    assert head_of(path, 9).numbers == [4, 6, 7]


def outcome(path, assay):
    try:
        return guess_format(path, assay), None
    except ValueError as error:
        return None, str(error)


fields = st.sampled_from(
    ["chr1", "0", "10", "20", "5.5", "-1", "+", ".", "F", "", "nan", "1e400", "255,0,0", "CG", "5 50"]
)
rows = st.lists(st.lists(fields, min_size=1, max_size=13).map("\t".join), min_size=1, max_size=3)


@given(rows, st.sampled_from(list(ASSAYS)), st.sampled_from(["a", "a.bed", "a.cov", "a.narrowPeak"]))
@settings(deadline=None, derandomize=True, max_examples=300)
def test_any_text_has_a_format_or_a_clear_error(tmp_path_factory, rows, assay, name):
    path = write(tmp_path_factory.mktemp("any"), "\n".join(rows), name)
    format, message = outcome(path, assay)
    assert format in ASSAYS[assay] if message is None else message.startswith(str(path))


@given(st.binary(max_size=40), st.booleans())
@settings(deadline=None, derandomize=True, max_examples=200)
def test_any_bytes_have_a_format_or_a_clear_error(tmp_path_factory, data, zipped):
    path = write(tmp_path_factory.mktemp("any"), data, "a.gz" if zipped else "a")
    format, message = outcome(path, "histone")
    assert format in ASSAYS["histone"] if message is None else message.startswith(str(path))

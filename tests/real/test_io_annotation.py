"""Annotations and formats of the real files."""

from __future__ import annotations

import gzip
import re

import pandas as pd
import pytest

from epiattn.io._annotation import read_annotation
from epiattn.io._formats import guess_format
from epiattn.io._sheet import read_sheet

from .conftest import SHARED

TRACKS = SHARED / "tracks"


@pytest.fixture(autouse=True)
def _tracks():
    if not TRACKS.exists():
        pytest.skip(f"the real data {TRACKS.name} is not at {SHARED} (set EPIATTN_SHARED)")


def naive(path):
    """Protein-coding genes of a GTF of gene records, line by line."""
    genes = {}
    with gzip.open(path, "rt") as file:
        for line in file:
            chrom, _, feature, start, end, _, strand, _, rest = line.rstrip("\n").split("\t")
            attributes = dict(re.findall(r'(\w+) "?([^";]*)"?;', rest))
            if feature == "gene" and attributes["gene_type"] == "protein_coding" and "ENSGR" not in rest:
                tss = int(start) - 1 if strand == "+" else int(end) - 1
                genes[attributes["gene_id"].split(".")[0]] = (attributes["gene_name"], chrom, tss, strand)
    return genes


def test_gencode():
    path = TRACKS / "gencode.v10.genes.hg19.gtf.gz"
    genes = read_annotation(path)
    expected = naive(path)
    assert len(genes) == len(expected) == 19988
    assert genes.index.tolist() == list(expected)
    assert list(genes[["gene_name", "chrom", "tss", "strand"]].itertuples(index=False, name=None)) == list(
        expected.values()
    )
    assert set(genes["biotype"]) == {"protein_coding"}
    assert len(read_annotation(path, biotypes=None)) == 43575 - 40  # less the copies on Y
    assert set(read_annotation(path, chromosomes=["21", "22"])["chrom"]) == {"chr21", "chr22"}


def test_tables():
    table = pd.read_csv(TRACKS / "E003-genes.tsv", sep="\t").set_index("gene_id")
    genes = read_annotation(TRACKS / "E003-genes.tsv")
    assert genes.index.tolist() == table.index.tolist() == genes["gene_name"].tolist()
    for column in ("chrom", "tss", "strand"):
        assert genes[column].tolist() == table[column].tolist()
    assert len(read_annotation(TRACKS / "h1_hg38" / "genes.tsv")) == 16284


def test_the_table_lies_near_the_annotation():
    """The table has the TSS of another release of the same genome: elsewhere, but not far."""
    genes = read_annotation(TRACKS / "E003-genes.tsv")
    gencode = read_annotation(TRACKS / "gencode.v10.genes.hg19.gtf.gz", biotypes=None)
    both = genes.join(gencode, rsuffix="_gencode", how="inner")
    assert len(both) == len(genes)
    assert (both["chrom"] == both["chrom_gencode"]).all()
    assert (both["strand"] == both["strand_gencode"]).all()
    assert (both["tss"] - both["tss_gencode"]).abs().median() < 1000


FORMATS = {
    "E003-H3K27ac.bw": ("histone", "bigwig"),
    "E003-H3K27me3.bw": ("histone", "bigwig"),
    "E003-H3K36me3.bw": ("histone", "bigwig"),
    "E003-H3K4me1.bw": ("histone", "bigwig"),
    "E003-H3K4me3.bw": ("histone", "bigwig"),
    "E003-H3K9ac.bw": ("histone", "bigwig"),
    "E003-H3K9me3.bw": ("histone", "bigwig"),
    "E068-H3K4me3-chr19.narrowPeak": ("histone", "narrowpeak"),
    "GM12878_hg38_H3K27me3.chr21.bw": ("histone", "bigwig"),
    "HG002-chr21-chr22.modkit.bedmethyl.gz": ("methylation", "bedmethyl"),
    "IMR90-chr22-hg18.bismark.cov.gz": ("methylation", "bismark"),
    "modbam2bed-chr10-chr11.bedmethyl.gz": ("methylation", "bedmethyl"),
    "h1_hg38/H1-DNase.narrowPeak.gz": ("accessibility", "narrowpeak"),
    "h1_hg38/H1-H3K27ac.narrowPeak.gz": ("histone", "narrowpeak"),
    "h1_hg38/H1-H3K27me3.narrowPeak.gz": ("histone", "narrowpeak"),
    "h1_hg38/H1-H3K36me3.narrowPeak.gz": ("histone", "narrowpeak"),
    "h1_hg38/H1-H3K4me1.narrowPeak.gz": ("histone", "narrowpeak"),
    "h1_hg38/H1-H3K4me3.narrowPeak.gz": ("histone", "narrowpeak"),
    "h1_hg38/H1-H3K9me3.narrowPeak.gz": ("histone", "narrowpeak"),
    "../roadmap_rpkm.tsv.gz": ("rna", "expression"),
    "../dorothea_hs.tsv.gz": ("tf", "regulons"),
}


def test_formats(tmp_path):
    assert {name: (assay, guess_format(TRACKS / name, assay)) for name, (assay, _) in FORMATS.items()} == FORMATS
    for name, (assay, expected) in FORMATS.items():  # by the content alone
        link = tmp_path / "link"
        link.symlink_to(TRACKS / name)
        assert guess_format(link, assay) == expected
        link.unlink()


def test_a_file_of_one_assay_is_none_of_another():
    for name, (assay, expected) in FORMATS.items():
        if assay in ("histone", "methylation") and expected != "bigwig":  # which may hold signal or fractions
            other = "methylation" if assay == "histone" else "histone"
            with pytest.raises(ValueError, match="but its content is"):
                guess_format(TRACKS / name, other)


def test_a_sheet_of_all(tmp_path):
    """What a user would write for these files."""
    rows = ["cell_type,assay,target,path"]
    for name, (assay, _) in FORMATS.items():
        cell_type, _, mark = name.split("/")[-1].split(".")[0].partition("-")
        target = mark if assay in ("histone", "accessibility") else {"rna": "E003"}.get(assay, "")
        rows.append(
            f"{'*' if assay == 'tf' else cell_type},{assay},{target or 'H3K27me3' * (assay == 'histone')},{name}"
        )
    path = tmp_path / "samples.csv"
    path.write_text("\n".join(rows))
    (tmp_path / "h1_hg38").symlink_to(TRACKS / "h1_hg38")
    for name in FORMATS:
        if "/" not in name:
            (tmp_path / name).symlink_to(TRACKS / name)
    path.write_text(path.read_text().replace("../", f"{SHARED}/"))
    sheet = read_sheet(path)
    assert sheet["format"].tolist() == [expected for _, expected in FORMATS.values()]

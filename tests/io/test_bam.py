"""BAM files, against reads laid out base by base."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from epiattn.io import _bam
from epiattn.io._bam import Bam

pysam = pytest.importorskip("pysam")

LENGTHS = {"chr1": 5_000, "2": 800}
UNMAPPED, SECONDARY, FAILED, DUPLICATE, SUPPLEMENTARY = 0x4, 0x100, 0x200, 0x400, 0x800
STARTS = np.array([900, 0, -130, 4_700, 1_010, 9_000])

#: Chromosome, start, CIGAR, flag, and the bases that count.
READS = [
    ("chr1", 0, "50M", 0, [(0, 50)]),
    ("chr1", 950, "10M", 0, [(950, 960)]),
    ("chr1", 955, "5S20M5S", 16, [(955, 975)]),
    ("chr1", 1_000, "10M5D10M", 0, [(1_000, 1_010), (1_015, 1_025)]),
    ("chr1", 1_000, "10M300N10M", 0, [(1_000, 1_010), (1_310, 1_320)]),
    ("chr1", 1_005, "10M5I10M", 0, [(1_005, 1_025)]),
    ("chr1", 1_100, "10=2X10=", 0, [(1_100, 1_122)]),
    ("chr1", 1_100, "20M", SUPPLEMENTARY, [(1_100, 1_120)]),
    ("chr1", 1_100, "20M", SECONDARY, []),
    ("chr1", 1_100, "20M", DUPLICATE, []),
    ("chr1", 1_100, "20M", FAILED, []),
    ("chr1", 1_100, "20M", UNMAPPED, []),
    ("chr1", 1_150, "20M", 0x1 | 0x2 | 0x40, [(1_150, 1_170)]),
    ("chr1", 1_160, "20M", 0x1 | 0x2 | 0x80, [(1_160, 1_180)]),
    ("chr1", 4_980, "20M", 0, [(4_980, 5_000)]),
    ("2", 100, "100M", 0, [(100, 200)]),
]


def write(path, reads, *, index: bool = True):
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": name, "LN": length} for name, length in LENGTHS.items()],
    }
    with pysam.AlignmentFile(str(path), "wb", header=header) as file:
        for i, (chrom, start, cigar, flag, _) in enumerate(reads):
            read = pysam.AlignedSegment(file.header)
            read.query_name, read.flag, read.reference_start, read.cigarstring = f"read{i}", flag, start, cigar
            read.reference_name, read.mapping_quality = chrom, 60
            read.query_sequence = "A" * read.infer_query_length()
            file.write(read)
    if index:
        pysam.index(str(path))
    return path


def naive(chrom, starts, bin_size, n_bins, uncovered):
    depth = np.zeros(30_000)
    for name, *_, blocks in READS:
        for start, end in blocks if name == chrom else ():
            depth[1_000 + start : 1_000 + end] += 1
    bases = depth[1_000 + starts[:, None] + np.arange(bin_size * n_bins)].reshape(len(starts), n_bins, bin_size)
    covered = (bases > 0).sum(2)
    return bases.sum(2) / (bin_size if uncovered == 0 else np.where(covered, covered, np.nan))


@pytest.mark.parametrize("uncovered", [0.0, np.nan])
@pytest.mark.parametrize("piece", [7, 10**6])
@pytest.mark.parametrize("chrom", LENGTHS)
def test_every_read_counts_once_where_it_is_aligned(tmp_path, monkeypatch, chrom, piece, uncovered):
    monkeypatch.setattr(_bam, "_PIECE", piece)
    with Bam(write(tmp_path / "reads.bam", READS)) as track:
        assert track.chromosomes == LENGTHS
        bins = track.bins(chrom, STARTS, bin_size=5, n_bins=80, uncovered=uncovered)
    expected = naive(chrom, STARTS, 5, 80, uncovered)
    np.testing.assert_allclose(bins, expected, rtol=1e-6)
    assert (bins > 0).sum() > 5


def test_a_file_without_reads(tmp_path):
    with Bam(write(tmp_path / "none.bam", [])) as track:
        assert not track.bins("chr1", STARTS, bin_size=5, n_bins=80).any()


def test_without_an_index_the_error_says_what_to_do(tmp_path):
    path = write(tmp_path / "reads.bam", READS, index=False)
    with pytest.raises(ValueError, match=r"reads\.bam: has no index; make one with: samtools index .*reads\.bam"):
        Bam(path)


@pytest.mark.parametrize("content", [b"chr1\t0\t5\n", b"\x1f\x8b" + bytes(99), b"@HD\tVN:1.6\n"])
def test_what_is_no_bam(tmp_path, content, capfd):
    path = tmp_path / "reads.bam"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"reads\.bam: not a BAM file, or cut off"):
        Bam(path)
    assert capfd.readouterr().err == ""


def test_no_file_and_an_empty_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.bam"):
        Bam(tmp_path / "none.bam")
    (tmp_path / "empty.bam").touch()
    with pytest.raises(ValueError, match=r"empty\.bam: the file is empty"):
        Bam(tmp_path / "empty.bam")


@pytest.mark.parametrize("keep", [0.3, 0.9, -28, -1])
def test_a_file_that_is_cut_off(tmp_path, keep):
    rng = np.random.default_rng(0)
    starts = np.sort(rng.integers(0, 4_900, 20_000)).tolist()
    path = write(tmp_path / "reads.bam", [("chr1", start, "50M", 0, []) for start in starts])
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if keep < 0 else int(keep * len(whole))])
    with pytest.raises(ValueError, match=r"reads\.bam: not a BAM file, or cut off"), Bam(path) as track:
        track.bins("chr1", np.array([0]), bin_size=50, n_bins=100)


def test_without_pysam_the_error_says_what_to_install(tmp_path, monkeypatch):
    path = write(tmp_path / "reads.bam", READS)
    monkeypatch.setitem(sys.modules, "pysam", None)
    with pytest.raises(ImportError, match=r'pip install "epiattn\[bam\]"'):
        Bam(path)

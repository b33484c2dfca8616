"""bigWig and bigBed files, against the intervals that were written into them."""

from __future__ import annotations

import struct

import numpy as np
import pybigtools
import pytest

from epiattn.io import _bigwig
from epiattn.io._bigwig import BigBed, BigWig

LENGTHS = {"chr1": 30_000, "chr2": 5_000}
NARROW_PEAK = """table bigNarrowPeak
"peaks"
    (
    string chrom;        "chromosome"
    uint   chromStart;   "start"
    uint   chromEnd;     "end"
    string name;         "name"
    uint   score;        "score"
    char[1] strand;      "strand"
    float  signalValue;  "signal"
    float  pValue;       "p"
    float  qValue;       "q"
    int    peak;         "summit"
    )
"""
BED5 = NARROW_PEAK.split("    char")[0].replace("bigNarrowPeak", "bed5") + "    )\n"
STARTS = np.array([12_000, -700, 29_500, 0, 3_010, 3_050, 40_000])


def write_bigwig(path, rows):
    pybigtools.open(str(path), "w").write(LENGTHS, rows)
    return path


def write_bigbed(path, rows, schema=None):
    pybigtools.open(str(path), "w").write(LENGTHS, rows, schema)
    return path


@pytest.fixture(scope="module")
def rows():
    """Intervals with gaps on two chromosomes, 1 to 90 bp long, some of value 0, up to the very end."""
    rng = np.random.default_rng(0)
    found = []
    for chrom, length in LENGTHS.items():
        ends = np.cumsum(rng.integers(1, 90, 800))
        ends = np.append(ends[ends < length - 1], length)
        values = np.float32(rng.gamma(0.5, 3, len(ends)) * (rng.random(len(ends)) < 0.7))
        for start, end, value in zip(np.append(0, ends[:-1]), ends, values, strict=True):
            if rng.random() < 0.8:
                found.append((chrom, int(start), int(end), float(value)))
    return found


@pytest.fixture(scope="module")
def path(rows, tmp_path_factory):
    return write_bigwig(tmp_path_factory.mktemp("bigwig") / "track.bw", rows)


def naive(rows, chrom, starts, bin_size, n_bins, uncovered):
    pad = 100_000
    total, covered = np.zeros(2 * pad), np.zeros(2 * pad, bool)
    for name, start, end, value in rows:
        if name == chrom and not np.isnan(value):
            total[pad + start : pad + end] += value
            covered[pad + start : pad + end] = True
    where = pad + np.asarray(starts)[:, None] + np.arange(bin_size * n_bins)
    total, covered = (x[where].reshape(len(starts), n_bins, bin_size).sum(2) for x in (total, covered))
    return total / (bin_size if uncovered == 0 else np.where(covered, covered, np.nan))


# --- bigWig ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uncovered", [0.0, np.nan])
@pytest.mark.parametrize("piece", [7, 1_000, 10**6])
@pytest.mark.parametrize("chrom", LENGTHS)
def test_bins_are_exact_means_across_gaps_ends_and_pieces(path, rows, chrom, piece, uncovered, monkeypatch):
    monkeypatch.setattr(_bigwig, "_PIECE", piece)
    with BigWig(path) as track:
        bins = track.bins(chrom, STARTS, bin_size=50, n_bins=30, uncovered=uncovered)
    expected = naive(rows, chrom, STARTS, 50, 30, uncovered)
    np.testing.assert_allclose(bins, expected, rtol=3e-7, atol=0)
    np.testing.assert_array_equal(bins == 0, expected == 0)
    assert (bins > 0).sum() > 30
    assert np.isnan(bins).any() == np.isnan(uncovered)


def test_chromosomes_and_their_lengths(path):
    assert BigWig(path).chromosomes == LENGTHS
    assert BigWig.indexed


def test_nan_is_uncovered(tmp_path):
    rows = [("chr1", 0, 10, 1.0), ("chr1", 10, 20, float("nan")), ("chr1", 20, 25, 4.0)]
    with BigWig(write_bigwig(tmp_path / "nan.bw", rows)) as track:
        bins = track.bins("chr1", np.array([0, 10]), bin_size=10, n_bins=3)
        np.testing.assert_array_equal(bins, [[1, 0, 2], [0, 2, 0]])
        bins = track.bins("chr1", np.array([0, 10]), bin_size=10, n_bins=3, uncovered=np.nan)
        np.testing.assert_array_equal(bins, [[1, np.nan, 4], [np.nan, 4, np.nan]])


@pytest.mark.parametrize("value", [-0.5, float("inf")])
def test_negative_and_infinite_values_are_refused_by_their_place(tmp_path, value):
    rows = [("chr1", 5, 10, 1.0), ("chr1", 15, 20, value)]
    with (
        BigWig(write_bigwig(tmp_path / "ratio.bw", rows)) as track,
        pytest.raises(ValueError, match=rf"ratio.bw: chr1:15-20 has the value {value:g}\. Signal must be finite"),
    ):
        track.bins("chr1", np.array([0]), bin_size=10, n_bins=3)


# --- what is no bigWig -----------------------------------------------------------------------------------------------


def test_no_file_and_an_empty_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.bw"):
        BigWig(tmp_path / "none.bw")
    (tmp_path / "empty.bw").touch()
    with pytest.raises(ValueError, match=r"empty\.bw: the file is empty"):
        BigWig(tmp_path / "empty.bw")


@pytest.mark.parametrize("content", [b"x", b"chr1\t0\t10\t1\n" * 9, b"\x1f\x8b" + bytes(99)])
def test_another_kind_of_file(tmp_path, content):
    path = tmp_path / "other.bw"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.bw: not a bigWig, it begins with b"):
        BigWig(path)


def test_a_bigbed_is_no_bigwig(tmp_path, path):
    other = write_bigbed(tmp_path / "peaks.bb", [("chr1", 5, 10, "name\t7")])
    with pytest.raises(ValueError, match="not a bigWig"):
        BigWig(other)
    with pytest.raises(ValueError, match="not a bigBed"):
        BigBed(path)


@pytest.mark.parametrize("share", [0.002, 0.01, 0.1, 0.5, 0.75])
def test_a_file_that_is_cut_off(tmp_path, path, share):
    whole = path.read_bytes()
    index = struct.unpack_from("<Q", whole, 24)[0]
    cut = tmp_path / "cut.bw"
    cut.write_bytes(whole[: max(5, int(share * index / 0.75))])
    with pytest.raises(ValueError, match=r"cut\.bw: the bigWig is cut off after .* bytes; copy or download"):
        BigWig(cut)


@pytest.mark.parametrize("lost", [1, 4, 5, 40])
def test_a_file_that_lacks_its_end(tmp_path, path, lost):
    """All data may be there, and what follows be lost; UCSC's tools refuse such files too."""
    cut = tmp_path / "cut.bw"
    cut.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(ValueError, match=r"cut\.bw: the bigWig is cut off after .* bytes"):
        BigWig(cut)


def test_a_file_that_is_cut_off_in_its_index(tmp_path, path):
    whole = path.read_bytes()
    cut = tmp_path / "cut.bw"
    cut.write_bytes(whole[: struct.unpack_from("<Q", whole, 24)[0] + 50])

    def read():
        with BigWig(cut) as track:
            track.bins("chr1", STARTS, bin_size=50, n_bins=30)

    with pytest.raises(ValueError, match=r"cut\.bw: the bigWig is cut off"):
        read()


@pytest.mark.parametrize("place", [0, 8, 12, 20])
def test_a_damaged_table_of_chromosomes(tmp_path, path, place):
    """The library would ask for more memory than there is, and end Python."""
    content = bytearray(path.read_bytes())
    table = struct.unpack_from("<Q", content, 8)[0]
    content[table + place : table + place + 4] = b"\xff\xff\xff\x7f"
    damaged = tmp_path / "damaged.bw"
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.bw: the bigWig is damaged \(its table of chromosomes\)"):
        BigWig(damaged)


def test_a_damaged_block(tmp_path, path):
    """The library panics then, which is no Exception."""
    content = bytearray(path.read_bytes())
    chromosomes, data, index = struct.unpack_from("<3Q", content, 8)
    assert data < chromosomes < index
    for i in range(data + 30, chromosomes):
        content[i] ^= 0x5A
    damaged = tmp_path / "damaged.bw"
    damaged.write_bytes(content)
    with (
        BigWig(damaged) as track,
        pytest.raises(ValueError, match=r"damaged\.bw: the bigWig is cut off or damaged"),
    ):
        track.bins("chr1", STARTS, bin_size=50, n_bins=30)


def test_an_interrupt_is_not_taken_for_damage(path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with BigWig(path) as track:
        monkeypatch.setattr(track, "_table", interrupt)
        with pytest.raises(KeyboardInterrupt):
            track.bins("chr1", STARTS, bin_size=50, n_bins=30)


def test_a_closed_file(path):
    with BigWig(path) as track:
        pass
    with pytest.raises(ValueError, match="closed"):
        track.bins("chr1", STARTS, bin_size=50, n_bins=30)


# --- bigBed ----------------------------------------------------------------------------------------------------------

PEAKS = [(100, 400, 3.5, 7), (150, 160, 0.25, 0), (150, 900, 2.0, 9), (2_000, 2_100, 8.0, 1_000)]


@pytest.mark.parametrize("uncovered", [0.0, np.nan])
@pytest.mark.parametrize("piece", [60, 10**6])
@pytest.mark.parametrize(("column", "schema"), [(2, NARROW_PEAK), (3, BED5), (None, None)])
def test_overlapping_peaks_add(tmp_path, column, schema, piece, uncovered, monkeypatch):
    monkeypatch.setattr(_bigwig, "_PIECE", piece)
    rest = {
        NARROW_PEAK: "name\t{3}\t.\t{2}\t-1\t-1\t5",
        BED5: "name\t{3}",
        None: "",
    }[schema]
    peaks = write_bigbed(tmp_path / "p.bb", [("chr1", *row[:2], rest.format(*row)) for row in PEAKS], schema)
    starts = np.array([90, 155, 0, 2_050, -500])
    with BigBed(peaks) as track:
        bins = track.bins("chr1", starts, bin_size=40, n_bins=20, uncovered=uncovered)
        assert track.chromosomes == {"chr1": 30_000}
    pad = 1_000
    total, covered = np.zeros(9_000), np.zeros(9_000, bool)
    for row in PEAKS:
        total[pad + row[0] : pad + row[1]] += 1 if column is None else row[column]
        covered[pad + row[0] : pad + row[1]] = True
    where = pad + starts[:, None] + np.arange(800)
    total, covered = (x[where].reshape(5, 20, 40).sum(2) for x in (total, covered))
    expected = total / (40 if uncovered == 0 else np.where(covered, covered, np.nan))
    np.testing.assert_allclose(bins, expected, rtol=1e-6)


def test_a_bigbed_whose_values_are_no_numbers(tmp_path):
    peaks = write_bigbed(tmp_path / "p.bb", [("chr1", 5, 10, "name\tx")], BED5)
    with BigBed(peaks) as track, pytest.raises(ValueError, match=r"p\.bb: the bigBed is cut off or damaged .*'x'"):
        track.bins("chr1", np.array([0]), bin_size=10, n_bins=3)

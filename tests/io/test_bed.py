"""Text files of intervals, against a dense array of bases."""

from __future__ import annotations

import gzip
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epiattn.io import _bed
from epiattn.io._bed import Bed, BedGraph, BroadPeak, NarrowPeak

#: How a line of each format is written, and another number in it that is not the value.
LINES = {
    BedGraph: "{chrom}\t{start}\t{end}\t{value}",
    Bed: "{chrom}\t{start}\t{end}\tname\t{value}\t+",
    NarrowPeak: "{chrom}\t{start}\t{end}\tname\t77\t.\t{value}\t88\t99\t3",
    BroadPeak: "{chrom}\t{start}\t{end}\tname\t77\t.\t{value}\t88\t99",
}
STARTS = np.array([300, -120, 0, 310, 2_000])


def made(n: int = 120, seed: int = 0) -> list[tuple[str, int, int, float]]:
    """Intervals of three chromosomes, unsorted and overlapping."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 1_000, n)
    end = start + rng.integers(1, 80, n)
    value = np.round(rng.gamma(0.5, 4, n), 3) * (rng.random(n) < 0.8)
    return list(
        zip(rng.choice(["chr1", "chr2", "3"], n).tolist(), start.tolist(), end.tolist(), value.tolist(), strict=True)
    )


def naive(rows, chrom, starts, bin_size, n_bins, uncovered):
    pad = 10_000
    total, covered = np.zeros(2 * pad), np.zeros(2 * pad, bool)
    for name, start, end, value in rows:
        if name == chrom and not np.isnan(value):
            total[pad + start : pad + end] += value
            covered[pad + start : pad + end] = True
    where = pad + np.asarray(starts)[:, None] + np.arange(bin_size * n_bins)
    total, covered = (x[where].reshape(len(starts), n_bins, bin_size).sum(2) for x in (total, covered))
    return total / (bin_size if uncovered == 0 else np.where(covered, covered, np.nan))


def write(path, rows, line):
    path.write_text("".join(line.format(chrom=c, start=s, end=e, value=v) + "\n" for c, s, e, v in rows))
    return path


def read(kind, path, chrom="chr1", **options):
    return kind(path).bins(chrom, STARTS, bin_size=40, n_bins=12, **options)


@pytest.fixture
def graph(tmp_path):
    """A bedGraph of a text."""

    def graph(text: str | bytes, name: str = "track.bedGraph"):
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path / name

    return graph


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uncovered", [0.0, np.nan])
@pytest.mark.parametrize("chunk", [17, 120, 10**6])
@pytest.mark.parametrize("kind", LINES)
def test_unsorted_and_overlapping_intervals_add(kind, chunk, uncovered, tmp_path, monkeypatch):
    monkeypatch.setattr(_bed, "_CHUNK", chunk)
    rows = made()
    path = write(tmp_path / "track", rows, LINES[kind])
    assert sorted(kind(path).chromosomes) == ["3", "chr1", "chr2"]
    assert set(kind(path).chromosomes.values()) == {None}
    for chrom in ("chr1", "3"):
        bins = read(kind, path, chrom, uncovered=uncovered)
        expected = naive(rows, chrom, STARTS, 40, 12, uncovered)
        np.testing.assert_allclose(bins, expected, rtol=3e-7)
        np.testing.assert_array_equal(bins == 0, expected == 0)
    assert (bins > 0).sum() > 10


def test_the_order_of_lines_does_not_matter(tmp_path):
    rows = made()
    path = write(tmp_path / "track", rows, LINES[BedGraph])
    other = write(tmp_path / "sorted", sorted(rows), LINES[BedGraph])
    np.testing.assert_allclose(read(BedGraph, path), read(BedGraph, other), rtol=1e-6)


@pytest.mark.parametrize(
    "line",
    ["{chrom}\t{start}\t{end}", "{chrom}\t{start}\t{end}\tname", "{chrom}\t{start}\t{end}\tname\t.\t+"],
    ids=["BED3", "BED4", "no score"],
)
def test_peaks_without_a_score_count_as_1(tmp_path, line):
    rows = made()
    path = write(tmp_path / "peaks.bed", rows, line)
    expected = naive([(*row[:3], 1.0) for row in rows], "chr1", STARTS, 40, 12, 0.0)
    np.testing.assert_allclose(read(Bed, path), expected, rtol=3e-7)


def test_nan_is_uncovered(graph):
    path = graph("chr1\t0\t40\t2\nchr1\t40\t60\tnan\nchr1\t60\t70\tNA\nchr1\t70\t80\t4\n")
    bins = BedGraph(path).bins("chr1", np.array([0]), bin_size=40, n_bins=3)
    np.testing.assert_array_equal(bins, [[2, 1, 0]])
    bins = BedGraph(path).bins("chr1", np.array([0]), bin_size=40, n_bins=3, uncovered=np.nan)
    np.testing.assert_array_equal(bins, [[2, 4, np.nan]])


# --- how it is written -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["windows", "headers", "gzip", "blanks", "spaces", "byte order mark", "more"])
@pytest.mark.parametrize("kind", LINES)
def test_the_values_are_the_same_however_the_file_is_written(kind, change, tmp_path):
    path = write(tmp_path / "track", made(), LINES[kind])
    expected, text = read(kind, path), path.read_text()
    path.write_bytes(
        {
            "windows": text.replace("\n", "\r\n").encode(),
            "headers": b"#x\nbrowser position chr1:1-2\ntrack type=bedGraph name='a b'\n\n" + text.encode(),
            "gzip": gzip.compress(text.encode()),
            "blanks": text.replace("\n", "\n\n").encode(),
            "spaces": text.replace("\t", " ").encode(),
            "byte order mark": text.encode("utf-8-sig"),
            "more": text.replace("\n", "\tmore\tcolumns\n").encode(),
        }[change]
    )
    np.testing.assert_array_equal(read(kind, path), expected)


def test_a_small_file_is_read_once_and_a_large_one_in_pieces(tmp_path, monkeypatch):
    path = write(tmp_path / "track", made(), LINES[BedGraph])
    calls = []

    def counted(*args, read_chunks=_bed.read_chunks, **options):
        calls.append(args)
        return read_chunks(*args, **options)

    monkeypatch.setattr(_bed, "read_chunks", counted)
    expected = read(BedGraph, path)
    assert len(calls) == 1
    monkeypatch.setattr(_bed, "_CHUNK", 50)
    np.testing.assert_allclose(read(BedGraph, path), expected, rtol=1e-6)
    assert len(calls) == 3


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(_bed, "_CHUNK", 10_000)

    def peak(n: int) -> int:
        path = tmp_path / f"{n}.bedGraph"
        path.write_text("".join(f"chr1\t{5 * i}\t{5 * i + 5}\t1\n" for i in range(n)))
        tracemalloc.start()
        try:
            for uncovered in (0.0, np.nan):
                assert (read(BedGraph, path, uncovered=uncovered)[[0, 2, 3]] == 1).all()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(250_000) < 1.2 * peak(50_000)


# --- bad input -------------------------------------------------------------------------------------------------------

BAD = {
    "chr1\t10\t10\t1": "the end must be greater than the start",
    "chr1\t20\t10\t1": "the end must be greater than the start",
    "chr1\t-5\t10\t1": "the start must be 0 or more",
    "chr1\t5\t10\t-1": "Signal must be finite and not negative",
    "chr1\t5\t10\tinf": "Signal must be finite and not negative",
    "chr1\t5\t10": "3 columns, but value is column 4",
    "chr1\t5\t10\t.": r"value \(column 4\) must be a number, not '\.'",
    "chr1\tx\t10\t1": r"start \(column 2\) must be a whole number, not 'x'",
    "chr1\t5\t10.5\t1": r"end \(column 3\) must be a whole number, not '10\.5'",
    "chr1 5 10 1": "1 columns, but start is column 2",
    "track type=bedGraph": "1 columns, but start is column 2",
    "fixedStep chrom=chr1 start=1 step=5": "1 columns, but start is column 2",
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("chunk", [2, 3, 100])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_error_names_file_and_line(graph, bad, chunk, end, monkeypatch):
    monkeypatch.setattr(_bed, "_CHUNK", chunk)
    lines = ["track type=bedGraph", "chr1\t0\t5\t1", "", *["chr1\t10\t15\t1"] * 5, bad, "chr2\t0\t5\t1"]
    path = graph(end.join(lines) + end)
    with pytest.raises(ValueError, match=rf"track.bedGraph:9: {BAD[bad]}"):
        read(BedGraph, path)


def test_a_bad_line_far_from_the_genes_is_an_error_too(graph):
    with pytest.raises(ValueError, match=r"track.bedGraph:2: Signal must .* \(2 such lines\)"):
        read(BedGraph, graph("chr1\t0\t5\t1\nchr9\t900000\t900005\t-1\nchr9\t900005\t900010\t-2\n"))


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (BedGraph, "chr1\t0\t5\n", "track.bedGraph:1: 3 columns, but value is column 4"),
        (NarrowPeak, "chr1\t0\t5\tname\t5\t.\n", "track.bedGraph:1: 6 columns, but value is column 7"),
        (BroadPeak, "#\nchr1\t0\t5\tname\t5\t.\n", "track.bedGraph:2: 6 columns, but value is column 7"),
        (Bed, "chr1\t0\n", "track.bedGraph:1: 2 columns, but end is column 3"),
        (Bed, "chrom\tstart\tend\nchr1\t0\t5\n", "track.bedGraph:1: start .* whole number, not 'start'"),
        (Bed, "track name=peaks\n#\n", "track.bedGraph: no intervals, only header lines"),
        (Bed, "", "track.bedGraph: the file is empty"),
        (Bed, b"\x26\xfc\x8f\x88" + bytes(99), "track.bedGraph: not a text file"),
        (Bed, gzip.compress(b"chr1\t0\t5\n" * 9, mtime=0)[:-9], "track.bedGraph: the gzip stream is broken or cut off"),
    ],
)
def test_a_file_of_another_format_is_refused(graph, kind, text, message):
    with pytest.raises(ValueError, match=message):
        read(kind, graph(text))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.bed"):
        Bed(tmp_path / "none.bed")


fields = st.sampled_from(
    ["chr1", "0", "7", "40", "-3", "2.5", "1e1", "nan", ".", "", "x", "inf", "99999999999999999999"]
)
some_lines = st.lists(st.lists(fields, min_size=3, max_size=5).map("\t".join), min_size=1, max_size=5)


@settings(deadline=None, derandomize=True, max_examples=120)
@given(some_lines, st.sampled_from([BedGraph, Bed]))
def test_any_text_is_read_or_refused_by_its_line(tmp_path_factory, lines, kind):
    path = tmp_path_factory.getbasetemp() / "any.bed"
    path.write_text("\n".join(lines))
    try:
        track = kind(path)
        bins = read(kind, path, next(iter(track.chromosomes)))
    except ValueError as error:
        assert str(error).startswith(str(path))  # noqa: PT017
        assert "any.bed:" in str(error)  # noqa: PT017
    else:
        assert (bins >= 0).all()

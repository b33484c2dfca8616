"""TF peaks: windows, signal, formats, and files that are not as they should be."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epiattn.io._tf_peaks import read_tf_peaks


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    return caplog


def make_genes(*rows):
    return pd.DataFrame(rows, columns=["chrom", "tss", "strand"], index=[f"g{i}" for i in range(len(rows))])


def narrowpeak(chrom, start, end, signal):
    return f"{chrom}\t{start}\t{end}\tpeak\t0\t.\t{signal}\t-1\t-1\t0"


def write(folder, lines, name="CTCF.narrowPeak"):
    path = folder / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


GENES = make_genes(("chr1", 1_000, "+"), ("chr1", 1_050, "-"), ("chr2", 500, "-"), ("chr3", 500, "+"))


def test_the_highest_peak_that_touches_the_window_counts(tmp_path):
    peaks = [
        narrowpeak("chr1", 1_149, 1_200, 9),  # touches the second gene's last base only
        narrowpeak("chr1", 1_099, 1_120, 5),  # the first gene's last base
        narrowpeak("chr1", 800, 901, 7),  # the first gene's first base
        narrowpeak("chr1", 700, 900, 99),  # none
        narrowpeak("chr2", 100, 9_000, 3),  # the whole window
        narrowpeak("chr2", 480, 490, 2),
    ]
    adata = read_tf_peaks({"CTCF": write(tmp_path, peaks)}, GENES, window=100)
    assert adata.obs_names.tolist() == ["g0", "g1", "g2", "g3"]
    assert adata.var_names.tolist() == ["CTCF"]
    assert set(adata.layers) == {"binding"}
    assert adata.layers["binding"].toarray().ravel().tolist() == [7, 9, 3, 0]
    assert (adata.layers["binding"].format, adata.layers["binding"].nnz) == ("csr", 3)


def test_a_peak_that_ends_where_a_window_starts_does_not_touch_it(tmp_path):
    path = write(tmp_path, [narrowpeak("chr1", 920, 950, 8)])  # the windows start at 900 and 950
    assert read_tf_peaks({"CTCF": path}, GENES, window=100).layers["binding"].toarray().ravel().tolist() == [8, 0, 0, 0]


def test_several_tfs_and_their_expression(tmp_path, log):
    expression = pd.DataFrame({"liver": [0.0, 2.5]}, index=["CTCF", "ENSG2"])
    annotation = make_genes(("chr9", 1, "+")).assign(gene_name="MYC").set_axis(["ENSG2"], axis=0)
    files = {
        "MYC": write(tmp_path, [narrowpeak("chr1", 1_000, 1_020, 4)], "MYC.narrowPeak"),
        "SOX2": tmp_path / "not read",
        "CTCF": write(tmp_path, [narrowpeak("chr2", 500, 520, 6), narrowpeak("chr1", 900, 990, 8)]),
    }
    adata = read_tf_peaks(files, GENES, window=100, expression=expression, annotation=annotation)
    assert adata.var_names.tolist() == ["MYC", "CTCF"]
    assert adata.layers["binding"].toarray().tolist() == [[4, 8], [4, 8], [0, 6], [0, 0]]
    assert adata.layers["expression"].toarray().tolist() == [[2.5, 0], [2.5, 0], [0, 0], [0, 0]]
    assert adata.layers["expression"].nnz == adata.layers["binding"].nnz == 5
    assert "The expression of 1 of 3 TFs is not known, such as 'SOX2'; they are left out" in log.text


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("x.bed", "chr1\t1000\t1020", 1),
        ("x.bed", "chr1\t1000\t1020\tpeak\t.\t+", 1),
        ("x.bed", "chr1\t1000\t1020\tpeak\t700\t+", 700),
        ("x.broadPeak", "chr1\t1000\t1020\tpeak\t700\t.\t5.5\t3\t2", 5.5),
        ("x.narrowPeak", narrowpeak("chr1", 1_000, 1_020, 4), 4),
        ("x.narrowPeak", "track type=narrowPeak\n" + narrowpeak("chr1", 1_000, 1_020, 4), 4),
        ("x.bed", narrowpeak("chr1", 1_000, 1_020, 4), 4),
        ("x.narrowPeak", narrowpeak("1", 1_000, 1_020, 4) + "\r", 4),
    ],
)
def test_formats_are_told_from_the_file(tmp_path, name, line, expected):
    adata = read_tf_peaks({"CTCF": write(tmp_path, [line], name)}, GENES)
    assert adata.layers["binding"][0, 0] == expected


def test_formats_can_be_said(tmp_path):
    path = write(tmp_path, [narrowpeak("chr1", 1_000, 1_020, 4).replace("\t0\t.", "\t300\t.")], "CTCF.txt")
    assert read_tf_peaks({"CTCF": path}, GENES, formats="narrowpeak").layers["binding"][0, 0] == 4
    assert read_tf_peaks({"CTCF": path}, GENES, formats={"CTCF": "narrowpeak"}).layers["binding"][0, 0] == 4


def test_peaks_without_any_signal_count_as_1(tmp_path, log):
    path = write(tmp_path, ["chr1\t1000\t1020\tpeak\t0\t+", "chr2\t500\t520\tpeak\t0\t+"], "CTCF.bed")
    assert read_tf_peaks({"CTCF": path}, GENES).layers["binding"].data.tolist() == [1, 1, 1]
    assert "the signal of all peaks is 0; each counts as 1" in log.text
    path = write(tmp_path, ["chr1\t1000\t1020\tpeak\t0\t+", "chr2\t500\t520\tpeak\t3\t+"], "CTCF.bed")
    binding = read_tf_peaks({"CTCF": path}, GENES).layers["binding"]
    assert (binding.toarray().ravel().tolist(), binding.nnz) == ([0, 0, 3, 0], 1)


def test_tfs_without_a_peak_are_empty(tmp_path):
    adata = read_tf_peaks({"CTCF": write(tmp_path, [narrowpeak("chr1", 90_000, 90_020, 4)])}, GENES)
    assert adata.shape == (4, 1)
    assert adata.layers["binding"].nnz == 0


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 90), st.integers(1, 60), st.integers(1, 9)),
        min_size=1,
        max_size=25,
    ),
    st.lists(st.tuples(st.sampled_from(["chr1", "2", "chr3"]), st.integers(0, 120), st.sampled_from("+-")), max_size=9),
    st.integers(1, 30),
)
def test_unsorted_overlapping_peaks_agree_with_a_naive_implementation(tmp_path_factory, peaks, rows, window):
    genes = make_genes((peaks[0][0], 50, "+"), *rows)
    lines = [narrowpeak(chrom, start, start + length, signal) for chrom, start, length, signal in peaks]
    path = write(tmp_path_factory.getbasetemp(), lines)
    expected = [
        max(
            (
                signal
                for chrom, start, length, signal in peaks
                if chrom.removeprefix("chr") == gene.chrom.removeprefix("chr")
                and start < gene.tss + window
                and start + length > gene.tss - window
            ),
            default=0,
        )
        for gene in genes.itertuples()
    ]
    adata = read_tf_peaks({"CTCF": path}, genes, window=window)
    assert adata.layers["binding"].toarray().ravel().tolist() == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (narrowpeak("chr1", 1_000, 1_020, -4), r"CTCF\.narrowPeak:3: "),
        (narrowpeak("chr1", -3, 20, 4), r"CTCF\.narrowPeak"),
        (narrowpeak("chr1", 30, 20, 4), r"CTCF\.narrowPeak:3: .*end must be greater"),
        (narrowpeak("chr1", 30, 40, "x"), r"CTCF\.narrowPeak"),
        ("chr1\t5\t9", r"CTCF\.narrowPeak"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    good = narrowpeak("chr1", 1_000, 1_020, 4)
    with pytest.raises(ValueError, match=message):
        read_tf_peaks({"CTCF": write(tmp_path, ["track x", good, line, good])}, GENES, formats="narrowpeak")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_tf_peaks({"CTCF": tmp_path / "nowhere.narrowPeak"}, GENES)
    with pytest.raises(ValueError, match=r"CTCF\.narrowPeak: the file is empty"):
        read_tf_peaks({"CTCF": write(tmp_path, [])}, GENES)
    with pytest.raises(ValueError, match="no chromosome of the genes"):
        read_tf_peaks({"CTCF": write(tmp_path, [narrowpeak("chrUn", 1, 5, 4)])}, GENES)
    rng = np.random.default_rng(0)
    lines = "\n".join(narrowpeak("chr1", 30, 40, signal) for signal in rng.random(5_000))
    cut = tmp_path / "cut.narrowPeak.gz"
    cut.write_bytes(gzip.compress(lines.encode())[:30_000])
    with pytest.raises(ValueError, match=r"cut\.narrowPeak\.gz: the gzip stream is broken or cut off"):
        read_tf_peaks({"CTCF": cut}, GENES)


def test_bad_options(tmp_path):
    path = write(tmp_path, [narrowpeak("chr1", 1_000, 1_020, 4)])
    with pytest.raises(ValueError, match="files names no file"):
        read_tf_peaks({}, GENES)
    with pytest.raises(ValueError, match="window must be positive, not 0"):
        read_tf_peaks({"CTCF": path}, GENES, window=0)
    with pytest.raises(ValueError, match=r"formats names \['MYC'\], but the TFs are \['CTCF'\]"):
        read_tf_peaks({"CTCF": path}, GENES, formats={"MYC": "bed"})
    with pytest.raises(ValueError, match="tf.* must be one of .*bigbed.*not 'bigwig'"):
        read_tf_peaks({"CTCF": path}, GENES, formats="bigwig")
    with pytest.raises(ValueError, match="strand must be"):
        read_tf_peaks({"CTCF": path}, make_genes(("chr1", 5, "?")))

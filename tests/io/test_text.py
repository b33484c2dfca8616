"""Delimited text: the same table whatever the line ends, compression and pieces; errors that name the line."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epiattn.io._text import (
    NAN,
    Column,
    check_file,
    check_rows,
    first_line,
    line_of,
    open_text,
    read_chunks,
)

COLUMNS = {"chrom": Column(0, "category"), "start": Column(1, "int64"), "value": Column(3, "float64", NAN)}
LINES = ["chr1\t0\t10\t1.5", "chr2\t5\t15\t0", "chr1\t7\t8\t1e-3"]
TABLE = [("chr1", 0, 1.5), ("chr2", 5, 0.0), ("chr1", 7, 1e-3)]


@pytest.fixture
def write(tmp_path):
    def write(content: str | bytes, name: str = "table.txt"):
        path = tmp_path / name
        content = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


def rows_of(path, **options) -> list[tuple]:
    pieces = list(read_chunks(path, COLUMNS, **options))
    return [tuple(row) for piece in pieces for row in piece.astype({"chrom": object}).itertuples(index=False)]


# --- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["table.txt", "table.txt.gz", "gzipped_but_not_called_so"])
@pytest.mark.parametrize("chunk_rows", [1, 2, 100])
@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES),
        "\n".join(LINES) + "\n",
        "\r\n".join(LINES) + "\r\n",
        "\ufeff" + "\n".join(LINES),
        "# comment\ntrack type=bedGraph\nbrowser position chr1\n\n#\n" + "\n".join(LINES),
        "\n\n".join(LINES) + "\n  \n\n",
        LINES[0] + "\tmore\n" + LINES[1] + "\n" + LINES[2] + "\tand\tmore\n",
    ],
    ids=["no last end", "plain", "windows", "byte order mark", "headers", "blank lines", "more columns"],
)
def test_the_table_is_the_same_however_it_is_written(write, name, chunk_rows, text):
    content = gzip.compress(text.encode()) if "gzipped" in name else text
    assert rows_of(write(content, name), chunk_rows=chunk_rows) == TABLE


def test_columns_come_as_asked_for_in_any_order_and_of_their_types(write):
    columns = {"value": Column(3, "float64"), "name": Column(0, "str"), "start": Column(1, "int64")}
    (table,) = read_chunks(write("\n".join(LINES)), columns)
    assert list(table) == ["value", "name", "start"]
    assert table["value"].dtype == np.float64
    assert table["start"].dtype == np.int64
    assert table["name"].tolist() == ["chr1", "chr2", "chr1"]


def test_pieces_have_so_many_rows_and_count_on(write):
    pieces = list(read_chunks(write("\n".join(LINES)), COLUMNS, chunk_rows=2))
    assert [piece.index.tolist() for piece in pieces] == [[0, 1], [2]]


@pytest.mark.parametrize("names", [["NA", "nan", "", "1", '"chr1', "None"], ["1", "01", "1"], ["1.0", "nan", "1e3"]])
def test_names_that_look_like_missing_values_or_numbers_are_names(write, names):
    columns = {"name": Column(0, "category"), "text": Column(1, "str"), "value": Column(2, "float64", NAN)}
    (table,) = read_chunks(write("".join(f"{name}\t{name}\t1\n" for name in names)), columns)
    assert table["name"].tolist() == names
    assert table["text"].tolist() == names


def test_missing_numbers_are_nan_only_where_they_may_be(write):
    path = write("".join(f"chr1\t0\t1\t{name}\n" for name in NAN))
    assert np.isnan([row[2] for row in rows_of(path)]).all()
    with pytest.raises(ValueError, match=r"table.txt:1: value \(column 4\) must be a number, not 'nan'"):
        list(read_chunks(path, {"value": Column(3, "float64")}))
    with pytest.raises(ValueError, match=r"table.txt:2: start \(column 2\) must be a whole number, not 'nan'"):
        rows_of(write("chr1\t0\t1\tnan\nchr1\tnan\t1\tnan\n"))


def test_other_separators(write):
    assert rows_of(write("\n".join(LINES).replace("\t", ",")), separator=",") == TABLE
    spaced = " chr1 0  10 1.5\nchr2\t5 15  0 \n\n  \nchr1 7 8 1e-3"
    assert rows_of(write(spaced), separator=None) == TABLE
    with pytest.raises(ValueError, match=r"table.txt:2: 3 columns, but value is column 4"):
        rows_of(write("chr1 0 10 1.5\nchr1 0 10\n"), separator=None)


def test_header_lines_are_passed_over_when_there_are_some(write):
    path = write("#meta\nchrom\tstart\tend\tvalue\n" + "\n".join(LINES))
    assert rows_of(path, n_header=1) == TABLE
    with pytest.raises(ValueError, match="table.txt:2: start .* whole number, not 'start'"):
        rows_of(path)


@pytest.mark.parametrize("text", ["#only\ntrack\n", "\n\n", "# no last end"])
def test_a_file_without_data_gives_nothing(write, text):
    assert rows_of(write(text)) == []
    assert first_line(write(text)) == ""


def test_whole_numbers_may_be_written_as_r_does(write):
    assert rows_of(write("chr1\t1e+06\t2e6\t1\n")) == [("chr1", 1_000_000, 1.0)]


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("chr1\t0\t1", "3 columns, but value is column 4: 'chr1\\\\t0\\\\t1'"),
        ("chr1", "1 columns, but start is column 2"),
        ("chr1\tx\t1\t1", r"start \(column 2\) must be a whole number, not 'x'"),
        ("chr1\t\t1\t1", r"start \(column 2\) must be a whole number, not ''"),
        ("chr1\t1.5\t1\t1", r"start \(column 2\) must be a whole number, not '1.5'"),
        ("chr1\t99999999999999999999\t1\t1", r"start \(column 2\) must be a whole number, not '9+'"),
        ("chr1\tNA\t1\t1", r"start \(column 2\) must be a whole number, not 'NA'"),
        ("chr1\t1_0\t1\t1", r"start \(column 2\) must be a whole number, not '1_0'"),
        ("chr1\t0\t1\t.", r"value \(column 4\) must be a number, not '.'"),
        ("chr1\t0\t1\t1,5", r"value \(column 4\) must be a number, not '1,5'"),
        ("chr1\t0\t1\t", r"value \(column 4\) must be a number, not ''"),
        ("chr1\t0\t1\t1_0", r"value \(column 4\) must be a number, not '1_0'"),
        ("track type=bedGraph", "1 columns, but start is column 2"),
        ("\t\t\t", r"start \(column 2\) must be a whole number, not ''"),
        ("chr1\t0\t1\t" + "x" * 1000, r"value \(column 4\) must be a number, not 'x{80}'"),
    ],
)
@pytest.mark.parametrize("chunk_rows", [1, 100])
@pytest.mark.parametrize("good", [["chr1\t1e3\t1\tnan"], LINES], ids=["odd but right", "plain"])
def test_an_error_names_file_line_and_column(write, bad, message, chunk_rows, good):
    path = write("\n".join(["#comment", good[0], "", "", *good[1:], bad, LINES[0]]))
    with pytest.raises(ValueError, match=rf"table.txt:{len(good) + 4}: {message}"):
        rows_of(path, chunk_rows=chunk_rows)


def test_the_first_line_may_be_the_bad_one(write):
    with pytest.raises(ValueError, match="table.txt:1: 2 columns, but value is column 4"):
        rows_of(write("chr1\t0\nchr1\t0\t1\t1\n"))
    with pytest.raises(ValueError, match="table.txt:5: 3 columns, but value is column 4"):
        rows_of(write("#\n\nchrom\n\nchr1\t0\t1\nchr1\t0\t1\t1\n"), n_header=1)


def test_no_file_a_folder_and_an_empty_file(write, tmp_path):
    for function in (check_file, lambda path: list(read_chunks(path, COLUMNS)), first_line):
        with pytest.raises(FileNotFoundError, match="nothing"):
            function(tmp_path / "nothing")
        with pytest.raises(ValueError, match="a folder, not a file"):
            function(tmp_path)
        with pytest.raises(ValueError, match="table.txt: the file is empty"):
            function(write(""))
    assert check_file(write("x")) == tmp_path / "table.txt"


def test_a_broken_gzip_stream(write):
    rng = np.random.default_rng(0)
    whole = gzip.compress("".join(f"chr1\t{i}\t{i + 1}\t{rng.random()}\n" for i in range(5000)).encode())
    for broken in (whole[:-4], whole[: len(whole) // 2], whole[:20], whole[:200] + bytes(50) + whole[250:]):
        with pytest.raises(ValueError, match="table.bed: the gzip stream is broken or cut off"):
            rows_of(write(broken, "table.bed"))
    with pytest.raises(ValueError, match="table.bed: the gzip stream is broken or cut off"):
        rows_of(write(whole + b"\x1f\x8b broken", "table.bed"))


def test_what_is_no_text(write):
    with pytest.raises(ValueError, match="table.txt: not a text file"):
        rows_of(write(b"\x26\xfc\x8f\x88" + bytes(range(256))))
    with pytest.raises(ValueError, match="table.txt: not a text file"), open_text(write(b"a\n\xff\n")) as file:
        file.read()


def test_errors_of_whoever_reads_are_left_alone(write):
    with pytest.raises(ValueError, match="^mine$"):  # noqa: SIM117
        with open_text(write("x")):
            raise ValueError("mine")


def test_rows_are_refused_by_their_line(write):
    path = write("#comment\n\nheader\n" + "\n\n".join(LINES))
    assert [line_of(path, row, n_header=1) for row in range(3)] == [4, 6, 8]
    check_rows(path, np.zeros(2, bool), 1, "wrong", n_header=1)
    with pytest.raises(ValueError, match=r"table.txt:8: wrong\.$"):
        check_rows(path, np.array([False, True]), 1, "wrong", n_header=1)
    with pytest.raises(ValueError, match=r"table.txt:4: wrong \(2 such lines\)\.$"):
        check_rows(path, np.array([True, False, True]), 0, "wrong", n_header=1)


def test_the_first_line(write):
    assert first_line(write("#comment\r\ntrack\r\n\r\nchr1\t0\r\nchr2\r\n")) == "chr1\t0"


# --- anything --------------------------------------------------------------------------------------------------------

fields = st.sampled_from(["chr1", "0", "1", "-3", "2.5", "1e3", "nan", "NA", ".", "", " ", "x", "inf", '"', "#", "é"])
lines = st.lists(fields, max_size=6).map("\t".join)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(lines, max_size=8), st.sampled_from(["\n", "\r\n"]), st.sampled_from([1, 3, 100]))
def test_any_text_is_read_as_python_reads_it_or_refused_by_the_line(tmp_path_factory, lines, end, chunk_rows):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes((end.join(lines) + end).encode())
    expected: list[tuple] | int = []
    head = True
    for number, line in enumerate(lines, 1):
        head = head and (line.startswith("#") or not line.strip())
        if head or not line.strip(" "):
            continue
        try:
            chrom, start, _, value = line.split("\t")[:4]
            row = (chrom, int(start.replace("1e3", "1000")), np.nan if value in NAN else float(value))
        except ValueError:
            expected = number
            break
        expected.append(row)
    if isinstance(expected, int):
        with pytest.raises(ValueError, match=f"any.txt:{expected}: "):
            rows_of(path, chunk_rows=chunk_rows)
    else:
        pd.testing.assert_frame_equal(pd.DataFrame(rows_of(path, chunk_rows=chunk_rows)), pd.DataFrame(expected))

"""The sample sheet."""

from __future__ import annotations

import builtins
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epiattn._logging import logger
from epiattn.io._formats import ASSAYS
from epiattn.io._sheet import COLUMNS, is_reserved, read_sheet

FILES = {
    "peaks.narrowPeak": "chr1\t10\t50\tp\t100\t.\t5.5\t3.1\t-1\t20\n",
    "other.narrowPeak": "chr1\t10\t50\tp\t100\t.\t5.5\t3.1\t-1\t20\n",
    "three.bed": "chr1\t10\t50\n",
    "wgbs.cov": "chr1\t11\t11\t75\t3\t1\n",
    "rpkm.tsv": "gene_id\tH1\tK562\nA\t1\t2\n",
    "regulons.tsv": "tf\ttarget\nA\tB\n",
    "empty.bw": "",
    "sub/atac.bed": "chr1\t10\t50\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "data"


@pytest.fixture
def log(caplog, monkeypatch):
    monkeypatch.setattr(logger, "propagate", True)
    return caplog


WHOLE = """cell_type,assay,target,path,format,scale,weight
H1,histone,H3K4me3,peaks.narrowPeak,,0.5,
H1,histone,H3K4me3,other.narrowPeak,bed,,3

K562,accessibility,ATAC,sub/atac.bed,,,
K562,accessibility,,three.bed,,,
H1,methylation,,wgbs.cov,,,
H1,rna,,rpkm.tsv,,,
K562,rna,K562,rpkm.tsv,,,
*,tf,,regulons.tsv,,,
K562,tf,GATA1,peaks.narrowPeak,,,
"""
EXPECTED = [
    ["H1", "histone", "H3K4me3", "peaks.narrowPeak", "narrowpeak", 0.5, 1.0],
    ["H1", "histone", "H3K4me3", "other.narrowPeak", "bed", 1.0, 3.0],
    ["K562", "accessibility", "ATAC", "sub/atac.bed", "bed", 1.0, 1.0],
    ["K562", "accessibility", "accessibility", "three.bed", "bed", 1.0, 1.0],
    ["H1", "methylation", "methylation", "wgbs.cov", "bismark", 1.0, 1.0],
    ["H1", "rna", "", "rpkm.tsv", "expression", 1.0, 1.0],
    ["K562", "rna", "K562", "rpkm.tsv", "expression", 1.0, 1.0],
    ["*", "tf", "", "regulons.tsv", "regulons", 1.0, 1.0],
    ["K562", "tf", "GATA1", "peaks.narrowPeak", "narrowpeak", 1.0, 1.0],
]


def as_yaml(text):
    names, *rows = [line.split(",") for line in text.splitlines() if line]
    items = ([f"{name}: {cell or 'null'}" for name, cell in zip(names, row, strict=True)] for row in rows)
    return "# samples\n" + "".join("- " + "\n  ".join(item) + "\n" for item in items).replace(": *", ": '*'")


def assert_expected(sheet, folder):
    expected = pd.DataFrame(EXPECTED, columns=list(COLUMNS))
    expected["path"] = [str(folder / path) for path in expected["path"]]
    pd.testing.assert_frame_equal(sheet, expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", WHOLE),
        ("s.csv", WHOLE.replace("\n", "\r\n")),
        ("s.csv", "\ufeff# of the year\n" + WHOLE + ",,,,,,\n\n"),
        ("s.csv", WHOLE.replace(",", ";")),
        ("s.csv", WHOLE.replace(",", " , ").replace("\nH1 ", '\n"H1"')),
        ("s.tsv", WHOLE.replace(",", "\t")),
        ("s.txt", WHOLE.replace(",", "\t").replace("histone", "Histone")),
        ("s.csv", WHOLE.replace(",,,\n", "\n")),  # cells at the end are left out
        ("s.csv", WHOLE.replace(",,", ",NA,").replace(",,", ",none,")),
        ("s.yaml", as_yaml(WHOLE)),
        ("s.yml", as_yaml(WHOLE).replace("null", "~")),
    ],
)
def test_a_whole_sheet(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    assert_expected(read_sheet(path), folder)
    assert_expected(read_sheet(str(path)), folder)


def test_a_table(folder, monkeypatch):
    """Paths are relative to the working directory."""
    (folder / "s.csv").write_text(WHOLE)
    table = pd.read_csv(folder / "s.csv")
    assert table["scale"].isna().any()
    monkeypatch.chdir(folder)
    assert_expected(read_sheet(table), folder)
    assert_expected(read_sheet(table.astype(object).where(table.notna(), None)), folder)
    table["path"] = [Path(path) for path in table["path"]]
    assert_expected(read_sheet(table), folder)


def test_columns_may_come_in_any_order_and_most_are_optional(folder):
    (folder / "s.csv").write_text("path,target,cell_type,assay\npeaks.narrowPeak,H3K4me3,H1,histone\n")
    assert read_sheet(folder / "s.csv").iloc[0, [0, 1, 2, 4, 5, 6]].tolist() == [*EXPECTED[0][:3], "narrowpeak", 1, 1]
    (folder / "s.csv").write_text("path,cell_type,assay\nwgbs.cov,H1,methylation\n")
    assert read_sheet(folder / "s.csv")["target"].tolist() == ["methylation"]


def test_absolute_paths_stay(folder, tmp_path):
    sheet = tmp_path / "elsewhere.csv"
    sheet.write_text(
        f"path,cell_type,assay\n{folder / 'wgbs.cov'},H1,methylation\n{folder}/sub/../wgbs.cov,K562,methylation\n"
    )
    assert read_sheet(sheet)["path"].tolist() == [str(folder / "wgbs.cov")] * 2


def test_links_keep_their_names(folder):
    """A store may give files names without an end; a link has it."""
    (folder / "0a1b2c").write_text("chr1\t0\t10\t5\n")
    (folder / "a.bedGraph").symlink_to(folder / "0a1b2c")
    (folder / "s.csv").write_text("path,cell_type,assay,target\na.bedGraph,H1,histone,H3K4me3\n")
    sheet = read_sheet(folder / "s.csv")
    assert sheet["path"].tolist() == [str(folder / "a.bedGraph")]
    assert sheet["format"].tolist() == ["bedgraph"]


# --- problems --------------------------------------------------------------------------------------------------------

HEADER = "cell_type,assay,target,path,format,scale,weight\n"


def problems_of(path, text):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="problem") as error:
        read_sheet(path)
    first, *problems = str(error.value).split("\n  ")
    assert first == f"{path}: {len(problems)} problem{'s' * (len(problems) > 1)}."
    return [problem.replace(f"{path}", "s") for problem in problems]


def test_all_problems_are_listed_with_their_lines(folder):
    text = HEADER + (
        "H1,histone,H3K4me3,none.bw,,,\n"
        "# a comment\n"
        "H1,histone,H3K4me1,empty.bw,,,\n"
        "\n"
        "H1,histone,H3K9ac,peaks.narrowPeak,,0,-1\n"
        "H1,histone,,peaks.narrowPeak,,,\n"
        "H1,wgbs,,wgbs.cov,,,\n"
        ",methylation,,,,,\n"
    )
    assert problems_of(folder / "s.csv", text) == [
        f"s:2: No file '{folder}/none.bw'.",
        f"s:4: {folder}/empty.bw: the file is empty.",
        "s:6: scale must be a positive number, not '0'.",
        "s:6: weight must be a positive number, not '-1'.",
        "s:7: target is empty; it must be the mark, such as H3K4me3.",
        f"s:8: assay must be one of {list(ASSAYS)}, not 'wgbs'. Did you mean 'methylation'?",
        "s:9: cell_type is empty.",
        "s:9: path is empty.",
    ]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("H1,histone,H3/K4,peaks.narrowPeak,,,", "target 'H3/K4' must not contain '/'"),
        ("H1,histone,attn_attention,peaks.narrowPeak,,,", "target 'attn_attention' is what the package calls results"),
        ("H1,histone,truth_mark,peaks.narrowPeak,,,", "target 'truth_mark' is what the package calls results"),
        ("H1,accessibility,ATAC_normalized,three.bed,,,", "target 'ATAC_normalized' is what the package calls results"),
        ("H1,methylation,5hmC,wgbs.cov,,,", "target '5hmC': what is read is 5-methylcytosine"),
        ("H1,tf,,peaks.narrowPeak,,,", "target is empty; it must be the TF whose peaks these are"),
        ("H1,tf,GATA1,regulons.tsv,,,", "target must be empty, not 'GATA1': a table of regulons names its TFs"),
        ("H1,histone,H3K4me3,sub,,,", "data/sub: a folder, not a file"),
        ("H1,histone,H3K4me3,wgbs.cov,,,", "wgbs.cov: assay 'histone' takes bigwig"),
        (
            "H1,histone,H3K4me3,peaks.narrowPeak,bigWig,,",
            "the format is said to be bigwig, but its content is narrowpeak",
        ),
        ("H1,histone,H3K4me3,peaks.narrowPeak,sam,,", r"format \(assay histone\) must be one of .*not 'sam'"),
        ("H1,methylation,,wgbs.cov,bedmethyl,,", "the format is said to be bedmethyl, but its content is bismark"),
        ("H1,histone,H3K4me3,https://x.org/a.bw,,,", "'https://x.org/a.bw' is an address: download the file"),
        ("H1,histone,H3K4me3,peaks.narrowPeak,,x,", "scale must be a positive number, not 'x'"),
        ("H1,histone,H3K4me3,peaks.narrowPeak,,inf,", "scale must be a positive number, not 'inf'"),
        ("H1,rna,,rpkm.tsv,,2,", "scale is for histone and accessibility, not for rna; leave it empty"),
        ("H1,histone,H3K4me3,peaks.narrowPeak,,,,,7", "9 cells, but the header has 7 columns"),
        ("H1,Atac-Seq,x,three.bed,,,", "not 'Atac-Seq'. Did you mean 'accessibility'"),
        ("*,methylation,,wgbs.cov,,,", "no cell type is named, only '\\*'"),
    ],
)
def test_a_wrong_row(folder, row, problem):
    (found,) = problems_of(folder / "s.csv", HEADER + row + "\n")
    assert re.search(problem, found)
    assert found.startswith("s:" if row.startswith("*") else "s:2: ")


def test_a_scale_of_one_is_no_scale(folder):
    (folder / "s.csv").write_text(HEADER + "H1,rna,,rpkm.tsv,,1.0,\n")
    assert read_sheet(folder / "s.csv")["scale"].tolist() == [1.0]


def test_a_file_that_comes_twice(folder):
    text = HEADER + (
        "H1,histone,H3K4me3,peaks.narrowPeak,,,\n"
        "H1,histone,H3K9ac,peaks.narrowPeak,,,\n"
        "K562,histone,H3K4me3,peaks.narrowPeak,,,\n"
        "H1,histone,H3K4me3,sub/../peaks.narrowPeak,,,\n"
    )
    assert problems_of(folder / "s.csv", text) == [
        f"s:5: the same file as in s:2 for H1 histone H3K4me3: {folder}/peaks.narrowPeak."
    ]


def test_a_track_of_two_marks_is_reported(folder, log):
    rows = [
        "H1,histone,A,peaks.narrowPeak,,,",
        "H1,histone,B,peaks.narrowPeak,,,",
        "H1,rna,,rpkm.tsv,,,",
        "K,rna,,rpkm.tsv,,,",
    ]
    text = HEADER + "\n".join(rows)
    (folder / "s.csv").write_text(text)
    assert len(read_sheet(folder / "s.csv")) == 4
    (record,) = log.records
    where = f"{folder}/s.csv"
    assert record.getMessage() == f"{folder}/peaks.narrowPeak stands in {where}:2, {where}:3: is that meant?"


def test_two_spellings(folder):
    text = HEADER + (
        "H1,histone,H3K4me3,peaks.narrowPeak,,,\n"
        "h1,histone,H3k4me3,other.narrowPeak,,,\n"
        "H1,tf,Gata1,peaks.narrowPeak,,,\n"
        "H1,tf,GATA1,other.narrowPeak,,,\n"
    )
    assert problems_of(folder / "s.csv", text) == [
        "s:3: cell_type 'h1' is 'H1' in s:2: spell them the same.",
        "s:3: target 'H3k4me3' is 'H3K4me3' in s:2: spell them the same.",
    ]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("cell_typ,assay,target,path", "s: unknown column 'cell_typ'; .* Did you mean 'cell_type'"),
        ("Cell Type,assay,target,path", "Did you mean 'cell_type'"),
        ("sample,assay,target,path", "unknown column 'sample'; .* Did you mean 'cell_type'"),
        ("cell_type,assay,mark,path", "unknown column 'mark'; .* Did you mean 'target'"),
        ("cell_type,assay,target,file", "unknown column 'file'; .* Did you mean 'path'"),
        ("cell_type,assay,target,path,qqq", "unknown column 'qqq'; known are .*\\]\\.$"),
        ("cell_type,assay,path,path", "s:1: column 'path' comes twice"),
    ],
)
def test_wrong_columns(folder, header, problem):
    found = problems_of(folder / "s.csv", header + "\nH1,histone,H3K4me3,peaks.narrowPeak\n")
    assert any(re.search(problem, each) for each in found)


def test_missing_columns_are_named_once(folder):
    assert problems_of(folder / "s.csv", "target,path\nH3K4me3,peaks.narrowPeak\nH3K4me3,peaks.narrowPeak\n") == [
        "s: no column 'cell_type'.",
        "s: no column 'assay'.",
    ]
    rows = "histone,H3K4me3,peaks.narrowPeak\nhistone,H3K4me3,peaks.narrowPeak\n"
    assert problems_of(folder / "s.csv", "assay,target,path\n" + rows) == ["s: no column 'cell_type'."]


def test_the_rows_of_a_table_are_named_by_their_labels(folder, monkeypatch):
    monkeypatch.chdir(folder)
    table = pd.DataFrame(
        {"cell_type": ["H1", np.nan], "assay": "histone", "target": "A", "path": ["none.bw", "peaks.narrowPeak"]},
        index=["a", 7],
    )
    with pytest.raises(ValueError, match="the sheet: 2 problems") as error:
        read_sheet(table)
    assert "row 'a': No file" in str(error.value)
    assert "row 7: cell_type is empty." in str(error.value)
    with pytest.raises(ValueError, match="the sheet: no rows"):
        read_sheet(table.iloc[:0])
    with pytest.raises(ValueError, match="the sheet: column 'path' comes twice"):
        read_sheet(pd.DataFrame([["a", "b"]], columns=["path", "path"]))


def test_yaml_problems_have_lines(folder):
    text = (
        "- cell_type: H1\n  assay: histone\n  target: H3K4me3\n  path: none.bw\n"
        "- cell_type: NO\n  assay: methylation\n  path: wgbs.cov\n"
        "- H1\n"
        "- cell_type: H1\n  assay: [rna]\n  path: rpkm.tsv\n"
        "- cell_type: H1\n  assay: rna\n"
        "- {cell_type: H1, assay: rna, path: rpkm.tsv, path: rpkm.tsv}\n"
    )
    row = "a row is '- cell_type: …' with the other columns below, each with one value."
    assert problems_of(folder / "s.yaml", text) == [
        f"s:8: {row}",
        f"s:9: {row}",
        "s:14: column 'path' comes twice.",
        f"s:1: No file '{folder}/none.bw'.",
        "s:12: path is empty.",
    ]
    (folder / "s.yaml").write_text("- cell_type: NO\n  assay: methylation\n  path: wgbs.cov\n")
    assert read_sheet(folder / "s.yaml")["cell_type"].tolist() == ["NO"]  # not False


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.csv", "", "s.csv: the file is empty"),
        ("s.csv", "# nothing\n", "s.csv: no rows"),
        ("s.csv", HEADER, "s.csv: no rows"),
        ("s.yaml", "# nothing\n", "s.yaml: no rows"),
        ("s.yaml", "cell_type: H1\n", "s.yaml: must be a list of rows"),
        ("s.yaml", "- a: [1\n", "s.yaml: no YAML: .*line 2"),
        ("s.csv", "\x00\x01\x02", "s.csv"),
    ],
)
def test_files_that_are_no_sheets(folder, name, text, message):
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_sheet(folder / name)


def test_a_missing_sheet_and_one_that_is_no_text(folder):
    with pytest.raises(FileNotFoundError, match="none.csv"):
        read_sheet(folder / "none.csv")
    (folder / "s.xlsx").write_bytes(b"PK\x03\x04\xff\xff")
    with pytest.raises(ValueError, match="s.xlsx: not a text file"):
        read_sheet(folder / "s.xlsx")


def test_yaml_without_pyyaml(folder, monkeypatch):
    (folder / "s.yaml").write_text(as_yaml(WHOLE))
    imported = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "yaml":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="python -m pip install pyyaml"):
        read_sheet(folder / "s.yaml")


def test_reserved_names():
    reserved = ["truth_x", "attn_attention", "other_attention", "H3K4me3_normalized"]
    assert [name for name in [*reserved, "H3K4me3", "attention", "truth"] if is_reserved(name)] == reserved


cells = st.sampled_from(
    ["", "H1", "*", "histone", "tf", "peaks.narrowPeak", "0", "2", "NA", '"', "a/b", "é", "a,b", "\n"]
)
outcomes = set()


@given(st.integers(0, 40), cells, st.sampled_from(["s.csv", "s.yaml"]))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_a_sheet_with_a_wrong_cell_is_a_sheet_or_a_clear_error(tmp_path_factory, place, cell, name):
    folder = tmp_path_factory.mktemp("sheet")
    for file in ("peaks.narrowPeak", "rpkm.tsv"):
        (folder / file).write_text(FILES[file])
    text = HEADER + "H1,histone,H3K4me3,peaks.narrowPeak,bed,2,2\nH1,rna,,rpkm.tsv,,,\n"
    fields = re.split("([,\n: ])", text if name == "s.csv" else as_yaml(text))
    fields[2 * place % (len(fields) - 1)] = cell
    (folder / name).write_text("".join(fields), encoding="utf-8")
    try:
        sheet, message = read_sheet(folder / name), None
    except ValueError as error:
        sheet, message = None, str(error)
    outcomes.add("error" if sheet is None else "sheet")
    if sheet is None:
        assert message.startswith(str(folder / name))
        return
    assert len(sheet) > 0
    assert set(sheet["assay"]) <= set(ASSAYS)
    assert (sheet[["cell_type", "assay", "path", "format"]] != "").all(axis=None)


def test_both_came_up():
    assert outcomes == {"error", "sheet"}

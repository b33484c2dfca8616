"""Expression tables: layouts, versions, genes with several rows, and tables that are not as they should be."""

from __future__ import annotations

import gzip

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from epiattn.io._expression import read_expression

GENES = ["ENSG00000000003", "ENSG00000000005", "MYC"]
VALUES = [[3.0, 0.0], [0.0, 7.0], [1.5, 1.0]]
TSV = """gene\tliver\tbrain
ENSG00000000003.14\t3\t0
ENSG00000000005.6\t0\t7e0
MYC\t1.5\t1
"""
LAYOUTS = {
    "tsv": TSV,
    "csv": TSV.replace("\t", ","),
    "trailing tabs": TSV.replace("\n", "\t\n"),
    "trailing tabs below the header": TSV.replace("\n", "\t\n").replace("brain\t", "brain"),
    "no name above the genes": TSV.removeprefix("gene"),
    "written by R, which names no row names": TSV.removeprefix("gene\t"),
    "quoted by R": '"","liver","brain"\n"ENSG00000000003.14",3,0\n"ENSG00000000005.6",0,7\n"MYC",1.5,1\n',
    "commented": "# made by hand\n" + TSV,
    "commented header": "# made by hand\n#" + TSV,
    "Windows": TSV.replace("\n", "\r\n"),
    "blank lines, none at the end": "\n" + TSV.replace("\nMYC", "\n\nMYC").rstrip("\n"),
    "GCT 1.2": """#1.2
3\t2
Name\tDescription\tliver\tbrain
ENSG00000000003.14\tTSPAN6\t3\t0
ENSG00000000005.6\tTNMD\t0\t7
MYC\t\t1.5\t1
""",
    "GCT 1.3": """#1.3
3\t2\t1\t2
id\tsymbol\tliver\tbrain
sex\tna\tf\tm
age\tna\t20\t30
ENSG00000000003.14\tTSPAN6\t3\t0
ENSG00000000005.6\tTNMD\t0\t7
MYC\tMYC\t1.5\t1
""",
}


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level("INFO", logger="epiattn")
    return caplog


def write(folder, text, name="table.txt"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_layout_gives_the_same_table(tmp_path, layout, zipped):
    content = LAYOUTS[layout].encode()
    path = tmp_path / "table"
    path.write_bytes(gzip.compress(content) if zipped else content)
    table = read_expression(path)
    assert table.index.tolist() == GENES
    assert table.columns.tolist() == ["liver", "brain"]
    np.testing.assert_allclose(table, np.log2(np.array(VALUES) + 1))
    np.testing.assert_array_equal(read_expression(path, log=False), VALUES)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_h5ad_has_cell_types_as_observations(tmp_path, kind):
    adata = anndata.AnnData(
        kind(np.array(VALUES, np.float32).T),
        obs=pd.DataFrame(index=["liver", "brain"]),
        var=pd.DataFrame(index=["ENSG00000000003.14", "ENSG00000000005.6", "MYC"]),
    )
    adata.write_h5ad(tmp_path / "table.h5ad")
    table = read_expression(tmp_path / "table.h5ad", log=False)
    assert (table.index.tolist(), table.columns.tolist()) == (GENES, ["liver", "brain"])
    np.testing.assert_array_equal(table, VALUES)
    assert set(table.dtypes) == {np.dtype(np.float64)}


def test_h5ad_that_cannot_be_used(tmp_path):
    adata = anndata.AnnData(obs=pd.DataFrame(index=["liver"]), var=pd.DataFrame(index=GENES))
    adata.write_h5ad(tmp_path / "table.h5ad")
    with pytest.raises(ValueError, match=r"table\.h5ad: the expression must be in X"):
        read_expression(tmp_path / "table.h5ad")
    cut = tmp_path / "cut.h5ad"
    cut.write_bytes((tmp_path / "table.h5ad").read_bytes()[:600])
    with pytest.raises(ValueError, match=r"cut\.h5ad: not a whole h5ad file"):
        read_expression(cut)


def test_columns_of_text_are_left_out_and_named(tmp_path, log):
    path = write(tmp_path, "gene\tsymbol\tliver\tkind\nA\ta\t1\tx\nB\tb\t3\ty\n")
    assert read_expression(path).to_dict() == {"liver": {"A": 1.0, "B": 2.0}}
    assert "'symbol', 'kind' hold text and are left out" in log.text


def test_rows_of_a_gene_are_summed_before_the_logarithm(tmp_path, log):
    lines = ["gene\tx\ty", "ENSG00000000003.14\t1\tNA", "B\t1\t1", "ENSG00000000003.14_PAR_Y\t2\tNA", "B\t6\tNA"]
    path = write(tmp_path, "\n".join(lines))
    table = read_expression(path)
    assert table.index.tolist() == ["ENSG00000000003", "B"]
    np.testing.assert_array_equal(table, [[2, np.nan], [3, 1]])
    assert "2 genes have several rows, such as ENSG00000000003" in log.text
    np.testing.assert_array_equal(read_expression(path, log=False), [[2, np.nan], [6, 1]])


def test_only_versions_of_ensembl_are_cut_off(tmp_path):
    path = write(tmp_path, "gene\tx\nAC005895.4\t1\nENSMUSG00000000001.5\t1\nNM_0001.2\t1\n")
    assert read_expression(path).index.tolist() == ["AC005895.4", "ENSMUSG00000000001", "NM_0001.2"]


def test_missing_values_stay_and_are_reported(tmp_path, log):
    table = read_expression(write(tmp_path, "gene\tx\ty\nA\t1\tNA\nB\tnan\t3\n"))
    np.testing.assert_array_equal(table, [[1, np.nan], [np.nan, 2]])
    assert "2 values are missing, such as that of A in y" in log.text


@settings(deadline=None, derandomize=True, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_sums_agree_with_a_naive_implementation(tmp_path_factory, rows):
    path = write(tmp_path_factory.getbasetemp(), "gene,x,y\n" + "".join(f"g{g},{x},{y}\n" for g, x, y in rows))
    expected: dict[str, list[int]] = {}
    for gene, *values in rows:
        total = expected.setdefault(f"g{gene}", [0, 0])
        for i in range(2):
            total[i] += values[i]
    table = read_expression(path)
    assert table.index.tolist() == list(expected)
    np.testing.assert_allclose(2**table - 1, list(expected.values()), atol=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene\tx\nA\t1\nB\t-2\n", "gene B, column 'x': -2.0 is negative.*log=False"),
        ("gene\tx\nA\tinf\n", "gene A, column 'x': inf is infinite"),
        ("gene\tx\nA\t1\nB\tmany\n", r"table\.txt:3: x \(column 2\) must be a number, not 'many'"),
        ("gene\tx\ty\nA\t1\t2\nB\t2\n", r"table\.txt:3: 2 columns, but y is column 3"),
        ("gene\tx\ty\nA\t1\t2\nB\t\t2\n", r"table\.txt:3: x \(column 2\) must be a number, not ''"),
        ("gene\tx\tx\nA\t1\t2\n", "the cell type 'x' comes twice"),
        ("gene\tx\nA\t1\n\t2\n", "gene 2 of the table has no name"),
        ("gene\tx\n", "needs a header with the names of the columns, and lines below it"),
        ("A 1\nB 2\n", "no column of numbers, separated by tabs or commas"),
        ("gene\tx\nA\ttext\n", "no column of numbers"),
        ("#1.2\n3\t1\nName\tDescription\tx\nA\ta\t1\n", "head tells of 3 genes, but 1 follow; is the file cut off"),
        ("#1.2\n1\t2\nName\tDescription\tx\nA\ta\t1\n", "tells of 2 columns of values, but the header names 1"),
        ("#1.2\nName\tDescription\tx\nA\ta\t1\n", "GCT tells its numbers of rows and columns"),
        ("#1.2\n0\t1\nName\tDescription\tx\n", "the table has no genes"),
        ("", "the file is empty"),
        ("\n\n", "no line with data"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"table\.txt.*{message}" if "table" not in message[:6] else message):
        read_expression(write(tmp_path, text))


def test_negative_values_are_logarithms(tmp_path):
    assert read_expression(write(tmp_path, "gene\tx\nA\t-2\n"), log=False).loc["A", "x"] == -2


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.tsv"):
        read_expression(tmp_path / "nowhere.tsv")
    rng = np.random.default_rng(0)
    text = "gene\tx\n" + "".join(f"g{i}\t{value}\n" for i, value in enumerate(rng.random(9_000)))
    cut = tmp_path / "cut.tsv.gz"
    cut.write_bytes(gzip.compress(text.encode())[:60_000])
    with pytest.raises(ValueError, match=r"cut\.tsv\.gz: the gzip stream is broken or cut off"):
        read_expression(cut)

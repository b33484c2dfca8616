"""Rows of 4,205 columns: every number finds its place, and what is wrong its line."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import epiattn as attn
from epiattn.io._kang import _Layout, _read, read_kang

SIZES = {"n_marks": 2, "n_bins": 4, "max_cpgs": 3, "n_tfs": 2}
WINDOW = 200  # half of 4 bins of 100 bp


def make_table(n_genes: int, *, seed: int = 0, n_marks=2, n_bins=4, max_cpgs=3, n_tfs=2, window=200) -> pd.DataFrame:
    """Rows as in the file, positions in bp; what stands in empty slots is nonsense."""
    rng = np.random.default_rng(seed)
    n_cpg = rng.integers(0, max_cpgs + 1, n_genes)
    valid = np.arange(max_cpgs) < n_cpg[:, None]
    columns = {"gene": [f"ENSG{i:011d}" for i in range(n_genes)]}
    blocks = {
        "signal": rng.gamma(1, 2, (n_genes, n_marks * n_bins)).round(3),
        "beta": np.where(valid, rng.random((n_genes, max_cpgs)).round(3), -77.0),
        "position": np.where(valid, rng.integers(-window, window, (n_genes, max_cpgs)), 99_999),
        "n_cpg": n_cpg[:, None],
        "tf": np.where(rng.random((n_genes, 3 * n_tfs)) < 0.5, rng.normal(size=(n_genes, 3 * n_tfs)).round(3), 0),
        "label": np.arange(n_genes)[:, None] % 2,
        "unused": np.full((n_genes, 1), 0.5),
        "value": rng.gamma(1, 5, (n_genes, 1)).round(3),
    }
    for name, block in blocks.items():
        columns |= {f"{name}_{i}": block[:, i] for i in range(block.shape[1])}
    return pd.DataFrame(columns)


def block(table: pd.DataFrame, name: str) -> np.ndarray:
    return table.filter(regex=rf"^{name}_\d+$").to_numpy()


def write(path: Path, table: pd.DataFrame, *, header: bool = False, separator: str = ",", end: str = "\n") -> Path:
    table.to_csv(path, header=header, index=False, sep=separator, lineterminator=end)
    return path


@pytest.fixture
def table():
    return make_table(6)


@pytest.fixture
def path(tmp_path, table):
    return write(tmp_path / "E003_toy.csv", table)


def read(path: Path, **options):
    return read_kang(path, **{**SIZES, **options})


# --- what is read -----------------------------------------------------------------------------------------------------


def assert_expected(mdata: mudata.MuData, table: pd.DataFrame, *, n_marks=2, n_bins=4, n_tfs=2, window=200) -> None:
    """Compare an object with the rows that it was read from, number by number."""
    assert mdata.obs["gene_id"].tolist() == table["gene"].tolist()
    assert list(mdata.mod) == ["histone", "methylation", "tf", "rna"]
    for i in range(n_marks):
        expected = block(table, "signal")[:, n_bins * i : n_bins * (i + 1)]
        np.testing.assert_allclose(mdata["histone"].layers[f"mark_{i + 1}"], expected, rtol=1e-6)
    methylation = mdata["methylation"]
    assert methylation.uns["window"] == window
    assert methylation.obs["n_cpg"].tolist() == table["n_cpg_0"].tolist()
    for row, n_cpg in enumerate(table["n_cpg_0"]):
        found = list(zip(methylation.layers["position"][row], methylation.layers["beta"][row], strict=True))
        pairs = zip(block(table, "position")[row] / window, block(table, "beta")[row], strict=True)
        expected = sorted(list(pairs)[:n_cpg], key=lambda pair: pair[0])
        assert np.allclose(np.reshape(found[:n_cpg], (n_cpg, 2)), np.reshape(expected, (n_cpg, 2)), rtol=1e-6, atol=0)
        assert not np.any(found[n_cpg:])
    for i in range(3):
        layer = mdata["tf"].layers[f"channel_{i + 1}"]
        assert sparse.isspmatrix_csr(layer)
        assert layer.nnz == np.count_nonzero(layer.toarray())
        np.testing.assert_allclose(layer.toarray(), block(table, "tf")[:, n_tfs * i : n_tfs * (i + 1)], rtol=1e-6)
    np.testing.assert_allclose(mdata["rna"].X[:, 0], np.log2(table["value_0"] + 1), rtol=1e-6)
    assert mdata.obs["label"].tolist() == [["low", "high"][label] for label in table["label_0"]]
    assert mdata.obs["label"].cat.categories.tolist() == ["low", "high"]


def test_every_number_finds_its_place(path, table):
    mdata = read(path)
    assert_expected(mdata, table)
    assert mdata.obs_names[0] == "ENSG00000000000@E003"
    assert mdata["histone"].var["start"].tolist() == [-200, -100, 0, 100]
    assert mdata["tf"].var_names.tolist() == ["tf_0001", "tf_0002"]
    assert mdata["methylation"].var_names.tolist() == ["cpg_000", "cpg_001", "cpg_002"]
    assert mdata.uns["epiattn"]["expression"] == "log2(x+1)"


def test_the_defaults_are_the_sizes_of_the_toy_data(tmp_path):
    sizes = {"n_marks": 7, "n_bins": 40, "n_tfs": 1_016, "window": 2_000}
    table = make_table(3, max_cpgs=436, **sizes)
    assert table.shape[1] == 4_205
    assert_expected(read_kang(write(tmp_path / "E003_toy.csv", table)), table, **sizes)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    seed=st.integers(0, 1_000),
    n_genes=st.integers(1, 7),
    header=st.booleans(),
    separator=st.sampled_from([",", "\t", ";", " "]),
    end=st.sampled_from(["\n", "\r\n"]),
    zipped=st.booleans(),
    rows=st.integers(1, 4),
)
def test_every_way_to_write_the_table_gives_the_same(
    tmp_path_factory, seed, n_genes, header, separator, end, zipped, rows
):
    table = make_table(n_genes, seed=seed)
    path = write(tmp_path_factory.mktemp("kang") / "E003.txt", table, header=header, separator=separator, end=end)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("epiattn.io._kang._ROWS", rows)
        assert_expected(read(path, window=WINDOW), table)


@pytest.mark.parametrize("empty", ["", "NaN", "nan", "NA", "None", "-1", "1e30"])
def test_empty_slots_are_zero_whatever_they_hold(path, table, empty):
    lines = path.read_text().replace("-77.0", empty).replace("99999", empty)
    path.write_text(lines)
    assert (table["n_cpg_0"] < 3).any()
    assert_expected(read(path), table)


def test_cell_type_marks_tfs_and_bins_can_be_named(path):
    mdata = read(path, cell_type="H1", marks=["H3K4me3", "H3K9ac"], tfs=["MYC", "SOX2"], bin_size=50, window=WINDOW)
    assert mdata.obs["cell_type"].unique().tolist() == ["H1"]
    assert sorted(mdata["histone"].layers)[-2:] == ["H3K4me3", "H3K9ac"]
    assert mdata["tf"].var_names.tolist() == ["MYC", "SOX2"]
    assert mdata["histone"].var["start"].tolist() == [-100, -50, 0, 50]


def test_logarithms_are_taken_or_not(path, table):
    np.testing.assert_allclose(read(path, log=False)["rna"].X[:, 0], table["value_0"], rtol=1e-6)


def test_genes_give_coordinates(path, table):
    genes = pd.DataFrame(
        {"chrom": "chr1", "tss": [5, 6], "strand": ["-", "+"]}, index=["ENSG00000000004", "ENSG00000000001"]
    )
    mdata = read(path, genes=genes)
    assert mdata.obs["tss"].tolist() == [6, 5]
    assert mdata.obs["strand"].tolist() == ["+", "-"]
    mdata.obs = mdata.obs.drop(columns=["chrom", "tss", "strand"])
    assert_expected(mdata, table.iloc[[1, 4]])


# --- positions --------------------------------------------------------------------------------------------------------


def positions(tmp_path, values: list[float], **options) -> list[float]:
    table = make_table(1)
    table["n_cpg_0"] = 3
    for i, value in enumerate(values):
        table[f"beta_{i}"], table[f"position_{i}"] = 0.5, value
    return read(write(tmp_path / "E003.csv", table), **options)["methylation"].layers["position"][0].tolist()


@pytest.mark.parametrize(
    ("values", "window", "expected"),
    [
        ([-1, 0.5, 0.75], None, [-1, 0.5, 0.75]),  # scaled already
        ([0, 0.5, 0.25], None, [0, 0.25, 0.5]),  # and put into order
        ([-150, 0, 200], None, [-0.75, 0, 1]),  # from the TSS
        ([-150, 0, 200], 400, [-0.375, 0, 0.5]),
        ([50, 0, 300], None, [-1, -0.75, 0.5]),  # from the beginning of the window
        ([50, 0, 300], 400, [0, 0.125, 0.75]),
    ],
)
def test_positions_are_scaled(tmp_path, values, window, expected):
    assert positions(tmp_path, values, window=window) == expected


def test_positions_beyond_the_window_are_refused(tmp_path):
    message = r"E003\.csv: positions from -150 to 300 \(such as those of ENSG00000000000@E003\) do not fit .*±200 bp"
    with pytest.raises(ValueError, match=message):
        positions(tmp_path, [-150, 0, 300])
    with pytest.raises(ValueError, match="positions from 0 to 401"):
        positions(tmp_path, [0, 0, 401])


# --- what goes on with it ---------------------------------------------------------------------------------------------


def test_it_can_be_written_and_read(path, table, tmp_path):
    read(path).write_h5mu(tmp_path / "data.h5mu")
    assert_expected(mudata.read_h5mu(tmp_path / "data.h5mu"), table)


def test_a_model_can_be_fitted(tmp_path):
    sizes = {"n_marks": 3, "n_bins": 20, "max_cpgs": 5, "n_tfs": 6}
    path = write(tmp_path / "E003_toy.csv", make_table(60, **sizes, window=1_000))
    mdata = read_kang(path, **sizes)
    mdata.obs["split"] = np.repeat(["train", "validation", "test"], 20)
    attn.tl.fit(mdata, max_epochs=1)
    assert np.isfinite(mdata.obsm["X_attn"]).all()
    assert {"X_attn_histone", "X_attn_methylation", "X_attn_tf"} <= set(mdata.obsm)


def test_the_file_is_read_in_pieces_of_which_only_the_result_is_kept(path, monkeypatch):
    monkeypatch.setattr("epiattn.io._kang._ROWS", 4)
    pieces = list(_read(path, _Layout(**SIZES), ",", 0, log=True))
    assert [len(piece.gene_id) for piece in pieces] == [4, 2]
    for piece in pieces:
        arrays = [value for value in piece if isinstance(value, np.ndarray)]
        assert len(arrays) == 6
        # A view would keep all columns of the piece, as numbers of 8 bytes.
        assert all(array.base is None or array.base.nbytes == array.nbytes for array in arrays)
        assert all(channel.nnz == np.count_nonzero(channel.data) for channel in piece.tf)


# --- what is refused --------------------------------------------------------------------------------------------------


def set_field(path: Path, line: int, column: str, value: str) -> None:
    names = list(make_table(1))
    lines = path.read_text().splitlines()
    fields = lines[line - 1].split(",")
    fields[names.index(column)] = value
    lines[line - 1] = ",".join(fields)
    path.write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("signal_1", "-0.1", "histone signal must be finite and not negative"),
        ("signal_1", "inf", "histone signal must be finite and not negative"),
        ("signal_5", "nan", r"mark 2, bin 2 \(column 7\) must be a number, not 'nan'"),
        ("signal_5", "", r"mark 2, bin 2 \(column 7\) must be a number, not ''"),
        ("beta_0", "1.5", "beta must be between 0 and 1"),
        ("beta_0", "nan", "beta must be between 0 and 1"),
        ("beta_0", "high", r"beta 1 \(column 10\) must be a number, not 'high'"),
        ("position_0", "", "the position must be a number in all slots that hold a CpG"),
        ("n_cpg_0", "1.5", "the number of CpGs must be a whole number from 0 to 3"),
        ("n_cpg_0", "4", "the number of CpGs must be a whole number from 0 to 3"),
        ("n_cpg_0", "-1", "the number of CpGs must be a whole number from 0 to 3"),
        ("n_cpg_0", "", r"number of CpGs \(column 16\) must be a number"),
        ("tf_4", "inf", "values of TFs must be finite"),
        ("tf_5", "x", r"TF 2, channel 3 \(column 22\) must be a number, not 'x'"),
        ("label_0", "2", "the label must be 0 or 1"),
        ("label_0", "0.5", "the label must be 0 or 1"),
        ("label_0", "high", r"label \(column 23\) must be a number, not 'high'"),
        ("value_0", "-1", r"the expression must be finite and not negative \(log=False"),
        ("value_0", "", r"value \(column 25\) must be a number"),
        ("gene", "ENSG00000000001", "gene 'ENSG00000000001' is in line 2 already"),
    ],
)
@pytest.mark.parametrize("rows", [2, 500])
def test_a_wrong_field_is_refused_with_its_line(path, monkeypatch, column, value, message, rows):
    monkeypatch.setattr("epiattn.io._kang._ROWS", rows)
    set_field(path, 4, "n_cpg_0", "2")
    set_field(path, 4, "beta_0", "0.5")
    set_field(path, 4, "beta_1", "0.5")
    set_field(path, 4, "position_0", "5")
    set_field(path, 4, "position_1", "6")
    read(path)
    set_field(path, 4, column, value)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}:4: {message}"):
        read(path)


def test_the_unused_column_may_hold_anything(path, table):
    set_field(path, 4, "unused_0", "what?")
    assert_expected(read(path), table)


def test_negative_logarithms_are_fine(path):
    set_field(path, 4, "value_0", "-2.5")
    assert read(path, log=False)["rna"].X[3, 0] == -2.5


def test_other_sizes_are_refused_with_a_hint(path):
    message = r"E003_toy\.csv:1: 25 columns, but there must be 4205 = 1 \(gene\) \+ 7 x 40 \(histone\).*give n_marks="
    with pytest.raises(ValueError, match=message):
        read_kang(path)
    with pytest.raises(ValueError, match="Sizes must be positive"):
        read(path, n_tfs=0)


def test_a_line_that_is_cut_off_is_refused(path):
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], lines[4][:60]]))
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}:5: \d+ columns, but "):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n# nothing\n", "no line with data"),
        (",".join(make_table(1)).encode(), "no line with data after the header"),
        (gzip.compress(make_table(400).to_csv(header=False, index=False).encode(), mtime=0)[:-30], "broken or cut off"),
        (b"\x89PNG\r\n\xff\xfe\xfa", "not a text file"),
    ],
)
def test_a_file_without_data_is_refused(tmp_path, content, message):
    path = tmp_path / "E003.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"marks": ["a"]}, "marks must be 2 names that differ, got 1"),
        ({"marks": ["a", "a"]}, r"marks must be 2 names that differ, got 2 \(1 that differ\)"),
        ({"tfs": ["a", "b", "c"]}, "tfs must be 2 names that differ, got 3"),
        ({"bin_size": 0}, "bin_size and window must be positive"),
        ({"window": 0}, "bin_size and window must be positive"),
    ],
)
def test_wrong_arguments_are_named(path, options, message):
    with pytest.raises(ValueError, match=message):
        read(path, **options)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No file .*nowhere\.csv"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match="a folder, not a file"):
        read(tmp_path)

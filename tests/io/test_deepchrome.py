"""The files of DeepChrome, AttentiveChrome and DeepDiff: all variants give the same object, broken ones an error."""

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

import epiattn as attn
from epiattn._logging import logger
from epiattn.io._deepchrome import read_deepchrome
from epiattn.io._gene_bins import MARKS, read_gene_bins

GENES = ["ENSG00000000003", "ENSG00000000005", "ENSG00000000419"]


@pytest.fixture
def messages(monkeypatch):
    """What is logged as a warning."""
    found: list[str] = []
    monkeypatch.setattr(logger, "warning", lambda text, *values: found.append(text % values))
    return found


def make_signal(n_genes: int, n_bins: int, *, seed: int = 0, n_marks: int = 5) -> np.ndarray:
    """Counts, shape (genes, bins, marks)."""
    return np.random.default_rng(seed).poisson(3, (n_genes, n_bins, n_marks))


def make_lines(
    signal: np.ndarray,
    names: list[str],
    labels: list[int] | None,
    *,
    in_name: bool = True,
    has_bin: bool = False,
    base: int = 1,
) -> list[str]:
    lines = []
    for gene, name in enumerate(names):
        for i, values in enumerate(signal[gene]):
            fields = [f"{name}_{i + base}" if in_name else name]
            fields += [str(i + base)] if has_bin else []
            fields += [str(value) for value in values]
            lines.append(",".join(fields + ([] if labels is None else [str(labels[gene])])))
    return lines


def write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def genes():
    """The second gene is on the minus strand."""
    return pd.DataFrame(
        {
            "gene_name": ["TSPAN6", "TNMD", "DPM1"],
            "chrom": ["chrX", "chrX", "chr20"],
            "tss": [99_894_987, 99_839_799, 49_575_091],
            "strand": ["+", "-", "+"],
        },
        index=GENES,
    )


# --- what is read -----------------------------------------------------------------------------------------------------


def test_the_published_layout(tmp_path, messages):
    """As in DeepChrome's repository: numbers for genes, the bin in a column of its own."""
    signal = make_signal(2, 100)
    names, labels = ["172936", "172938"], [0, 1]
    path = write(tmp_path / "toy" / "train.csv", make_lines(signal, names, labels, in_name=False, has_bin=True))
    mdata = read_deepchrome(path)
    assert list(mdata.mod) == ["histone"]
    assert mdata["histone"].var["start"].tolist() == list(range(-5_000, 5_000, 100))
    assert mdata["histone"].var["end"].iloc[-1] == 5_000
    assert mdata["histone"].var_names[0] == "bin_-5000_100bp"
    for i, mark in enumerate(["H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3"]):
        np.testing.assert_array_equal(mdata["histone"].layers[mark], signal[:, :, i])
    assert mdata.obs_names.tolist() == ["172936@toy", "172938@toy"]
    assert mdata.obs["label"].tolist() == ["low", "high"]
    assert mdata.obs["split"].tolist() == ["train", "train"]
    assert mdata.uns["epiattn"]["schema_version"] == "1"
    assert len(messages) == 1
    assert "minus strand are back to front" in messages[0]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(data=st.data())
def test_every_variant_gives_the_same(data, tmp_path_factory):
    """Columns, separators, header, order of the rows, first bin, line ends, gzip."""
    draw = data.draw
    n_genes, n_bins, n_marks = draw(st.integers(1, 3)), draw(st.integers(2, 12)), draw(st.sampled_from([2, 5]))
    signal = make_signal(n_genes, n_bins, seed=draw(st.integers(0, 99)), n_marks=n_marks)
    in_name, has_bin = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    has_label = has_bin and in_name or draw(st.booleans())
    labels = draw(st.lists(st.sampled_from([0, 1]), min_size=n_genes, max_size=n_genes)) if has_label else None
    names = [f"my_gene_{i}" for i in range(n_genes)]
    options = {"in_name": in_name, "has_bin": has_bin, "base": draw(st.sampled_from([0, 1]))}
    lines = make_lines(signal, names, labels, **options)
    order = np.arange(len(lines))
    if draw(st.booleans()):  # genes stay in the order of their first rows
        order = np.concatenate([draw(st.permutations(range(i, i + n_bins))) for i in range(0, len(lines), n_bins)])
    lines = [lines[i] for i in order]
    marks = [f"mark {i}" for i in range(n_marks)]
    header = draw(st.booleans())
    if header:
        columns = ["gene", *(["bin"] if has_bin else []), *marks, *(["label"] if has_label else [])]
        lines = [",".join(columns), *lines]
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))
    text = text.replace(",", draw(st.sampled_from([",", "\t", ";"])))
    zipped = draw(st.booleans())
    path = tmp_path_factory.mktemp("variant") / f"E003.csv{'.gz' if zipped else ''}"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())

    mdata = read_deepchrome(path, marks=None if header and draw(st.booleans()) else marks, stranded=True)
    assert mdata.obs_names.tolist() == [f"{name}@E003" for name in names]
    for i, mark in enumerate(marks):
        np.testing.assert_array_equal(mdata["histone"].layers[mark], signal[:, :, i])
    assert ("label" in mdata.obs) == has_label
    if labels is not None:
        assert mdata.obs["label"].tolist() == [["low", "high"][label] for label in labels]
    assert "split" not in mdata.obs


def test_labels_of_minus_one_are_low(tmp_path):
    path = write(tmp_path / "E003.csv", make_lines(make_signal(2, 4), GENES[:2], [-1, 1]))
    assert read_deepchrome(path, stranded=True).obs["label"].tolist() == ["low", "high"]


def test_ids_with_names_of_deepdiff(tmp_path):
    """`ENSG00000130749_ZC3H4_1` and no label."""
    path = write(tmp_path / "Cell1.train.csv", make_lines(make_signal(1, 200), ["ENSG00000130749_ZC3H4"], None))
    mdata = read_deepchrome(path)
    assert mdata.obs_names.tolist() == ["ENSG00000130749@Cell1"]
    assert mdata.obs["gene_name"].tolist() == ["ZC3H4"]
    assert list(mdata.obs) == ["gene_id", "cell_type", "gene_name", "split"]
    assert mdata["histone"].shape == (1, 200)


def test_bins_of_other_widths(tmp_path):
    path = write(tmp_path / "E003.csv", make_lines(make_signal(1, 5), GENES[:1], [0]))
    var = read_deepchrome(path, bin_size=50)["histone"].var
    assert var["start"].tolist() == [-125, -75, -25, 25, 75]
    assert var["end"].tolist() == [-75, -25, 25, 75, 125]
    with pytest.raises(ValueError, match="bin_size must be positive, not 0"):
        read_deepchrome(path, bin_size=0)


# --- folders, cell types, parts ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Two cell types as published, and files that are none of ours."""
    for number, cell_type in enumerate(["E004", "E003"]):
        for i, part in enumerate(["train", "valid", "test"]):
            lines = make_lines(make_signal(1, 4, seed=3 * number + i), [GENES[i]], [i % 2], in_name=False, has_bin=True)
            write(tmp_path / "data" / cell_type / "classification" / f"{part}.csv", lines)
    write(tmp_path / "data" / "E003" / "expr.csv", ["ENSG00000000003,153"])
    write(tmp_path / "data" / "README.md", ["Hello"])
    return tmp_path / "data"


def test_a_folder_holds_cell_types_and_their_parts(folder):
    mdata = read_deepchrome(folder)
    assert mdata.obs["cell_type"].cat.categories.tolist() == ["E003", "E004"]
    assert mdata.obs["gene_id"].tolist() == GENES * 2
    assert mdata.obs["split"].tolist() == ["train", "validation", "test"] * 2
    assert mdata.obs["split"].cat.categories.tolist() == ["train", "validation", "test"]
    expected = [make_signal(1, 4, seed=3 * number + i)[0, :, 3] for number in (1, 0) for i in range(3)]
    np.testing.assert_array_equal(mdata["histone"].layers["H3K4me3"], expected)


def test_cell_types_are_chosen_and_named(folder):
    mdata = read_deepchrome(folder, cell_types={"E004": "H9"})
    assert mdata.obs_names.tolist() == [f"{gene}@H9" for gene in GENES]
    assert read_deepchrome(folder, cell_types="E003").n_obs == 3
    assert read_deepchrome(folder, cell_types=["E004", "E003"]).obs["cell_type"].iloc[0] == "E004"
    with pytest.raises(ValueError, match=r"cell_types names \['E005'\], but the files are of \['E003', 'E004'\]"):
        read_deepchrome(folder, cell_types=["E003", "E005"])


@pytest.mark.parametrize(
    ("name", "cell_type", "split"),
    [
        ("E003/classification/train.csv", "E003", "train"),
        ("E003/train.csv", "E003", "train"),
        ("E003/Valid.CSV", "E003", "validation"),
        ("x/E003.test.csv.gz", "E003", "test"),
        ("x/train_E003.csv", "E003", "train"),
        ("x/H1-hESC_val.tsv", "H1-hESC", "validation"),
        ("x/H1-hESC.csv", "H1-hESC", None),
    ],
)
def test_names_of_files_tell_cell_type_and_part(tmp_path, name, cell_type, split):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    text = "\n".join(make_lines(make_signal(1, 3), GENES[:1], [1])).encode()
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    obs = read_deepchrome(path).obs
    assert obs["cell_type"].tolist() == [cell_type]
    assert obs["split"].tolist() == [split] if split else "split" not in obs


def test_a_folder_of_whole_cell_types(tmp_path):
    for name in ("B", "T"):
        write(tmp_path / f"{name}.csv", make_lines(make_signal(1, 3), GENES[:1], [1]))
    assert read_deepchrome(tmp_path).obs["cell_type"].tolist() == ["B", "T"]
    write(tmp_path / "train.csv", make_lines(make_signal(1, 3), GENES[:1], [1]))
    with pytest.raises(ValueError, match=r"B\.csv: the name tells no part"):
        read_deepchrome([tmp_path / "B.csv", tmp_path / "train.csv"])


# --- genes ------------------------------------------------------------------------------------------------------------


def test_genes_give_coordinates_and_turn_the_minus_strand(tmp_path, genes, messages):
    signal = make_signal(3, 6)
    path = write(tmp_path / "E003.csv", make_lines(signal, GENES[::-1], [0, 1, 1]))
    mdata = read_deepchrome(path, genes=genes)
    assert mdata.obs["gene_name"].tolist() == ["DPM1", "TNMD", "TSPAN6"]
    assert mdata.obs["chrom"].tolist() == ["chr20", "chrX", "chrX"]
    assert mdata.obs["tss"].tolist() == [49_575_091, 99_839_799, 99_894_987]
    assert mdata.obs["strand"].tolist() == ["+", "-", "+"]
    assert mdata.obs["label"].tolist() == ["low", "high", "high"]
    expected = signal[:, :, 0].copy()
    expected[1] = expected[1, ::-1]
    np.testing.assert_array_equal(mdata["histone"].layers["H3K27me3"], expected)
    assert messages == []
    stranded = read_deepchrome(path, genes=genes, stranded=True)
    np.testing.assert_array_equal(stranded["histone"].layers["H3K27me3"], signal[:, :, 0])


def test_genes_are_found_by_number_and_without_version(tmp_path, genes):
    names = ["3", "ENSG00000000005.6", "ENSG00000000419"]
    path = write(tmp_path / "E003.csv", make_lines(make_signal(3, 3), names, [0, 1, 1], in_name=False, has_bin=True))
    assert read_deepchrome(path, genes=genes).obs["gene_id"].tolist() == GENES
    versioned = genes.set_axis([f"{name}.12" for name in GENES])
    assert read_deepchrome(path, genes=versioned).obs["gene_id"].tolist() == versioned.index.tolist()


def test_genes_that_are_not_in_the_table_are_left_out(tmp_path, genes, messages):
    signal = make_signal(3, 3)
    path = write(tmp_path / "E003.train.csv", make_lines(signal, GENES, [0, 1, 1]))
    mdata = read_deepchrome(path, genes=genes.iloc[[2]])
    assert mdata.obs_names.tolist() == ["ENSG00000000419@E003"]
    np.testing.assert_array_equal(mdata["histone"].layers["H3K9me3"], signal[[2], :, 4])
    assert messages == ["2 genes are left out, as they are not in genes: 'ENSG00000000003', 'ENSG00000000005'."]
    with pytest.raises(ValueError, match="No gene of the file .* do they name genes alike"):
        read_deepchrome(path, genes=genes.set_axis(["A", "B", "C"]))
    with pytest.raises(ValueError, match="strand must be"):
        read_deepchrome(path, genes=genes.assign(strand="."))


# --- what goes on with it ---------------------------------------------------------------------------------------------


@pytest.fixture
def fitting(tmp_path):
    for i, part in enumerate(["train", "valid", "test"]):
        names = [f"G{10 * i + j}" for j in range(10)]
        write(tmp_path / "E003" / f"{part}.csv", make_lines(make_signal(10, 20, seed=i), names, [0, 1] * 5))
    return tmp_path


def test_it_can_be_written_and_read(fitting, genes, tmp_path):
    mdata = read_deepchrome(fitting)
    mdata.write_h5mu(tmp_path / "data.h5mu")
    back = mudata.read_h5mu(tmp_path / "data.h5mu")
    np.testing.assert_array_equal(back["histone"].layers["H3K4me1"], mdata["histone"].layers["H3K4me1"])
    assert back.obs["split"].tolist() == mdata.obs["split"].tolist()


def test_a_model_can_be_fitted(fitting):
    mdata = attn.tl.fit(read_deepchrome(fitting), max_epochs=1)
    assert np.isfinite(mdata.obsm["X_attn"]).all()
    assert mdata.uns["attn"]["metrics"]["test"]["n_obs"] == 10


# --- what is refused --------------------------------------------------------------------------------------------------

GOOD = make_lines(make_signal(3, 4), GENES, [0, 1, 1])


def changed(line: int, old: str, new: str) -> list[str]:
    """The good lines with one (counted from 1) changed."""
    lines = GOOD.copy()
    assert re.search(old, lines[line - 1])
    lines[line - 1] = re.sub(old, new, lines[line - 1])
    return lines


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (GOOD[:5] + GOOD[6:], 5, "gene ENSG00000000005, which begins here, lacks 1 of 4 bins, such as bin 2; 1 genes"),
        (GOOD[:-1], 9, "gene ENSG00000000419, which begins here, lacks 1 of 4 bins, such as bin 4"),
        ([*GOOD, GOOD[2]], 13, "bin 3 of gene ENSG00000000003 comes twice"),
        (changed(7, "_3,", "_x,"), 7, "the first column must be gene_bin"),
        (changed(7, "_3,", ","), 7, "the first column must be gene_bin"),
        (changed(7, "_3,", "_999999,"), 7, "bin 999999 of gene ENSG00000000005, but there are too few rows"),
        (
            [re.sub(r"_(\d),", lambda hit: f"_{int(hit[1]) + 4},", line) for line in GOOD],
            1,
            "bins count from 0 or 1, not 5",
        ),
        (changed(6, r"\d$", "0.5"), 6, r"label \(column 7\) must be a whole number, not '0.5'"),
        (changed(6, r"\d$", ""), 6, r"label \(column 7\) must be a whole number, not ''"),
        (changed(6, r"\d$", "2"), 6, "the label must be 0 or 1"),
        (changed(6, r"\d$", "0"), 6, "the label of gene ENSG00000000005 changes to 0"),
        (changed(6, r",\d+,", ",-1,"), 6, r"H3K27me3 must be finite and not negative"),
        (changed(6, r",\d+,", ",nan,"), 6, r"H3K27me3 \(column 2\) must be a number, not 'nan'"),
        (changed(6, r",\d+,", ",inf,"), 6, r"H3K27me3 must be finite and not negative"),
        (changed(6, r",\d+,", ",three,"), 6, r"H3K27me3 \(column 2\) must be a number, not 'three'"),
        (changed(6, r",\d+,\d+,\d+$", ""), 6, r"4 columns, but H3K4me3 is column 5"),
        ([line + ",0,0" for line in GOOD], 1, "9 columns, but with 5 marks there must be 6 to 8"),
        ([line.replace("_", "-")[:-2] for line in GOOD], 1, "no bin: the first column must be gene_bin, or the second"),
        ([line.replace("_", "-") for line in GOOD], 1, "gene ENSG00000000003-1, which begins here, lacks 3 of 4 bins"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path, lines, line, message):
    path = write(tmp_path / "E003.csv", lines)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}:{line}: .*({message})"):
        read_deepchrome(path)


def test_lines_are_counted_with_a_header_and_empty_lines(tmp_path):
    header = ",".join(["gene_bin", *MARKS, "label"])
    path = write(tmp_path / "E003.csv", ["# of E003", header, *GOOD[:2], "", *changed(3, r"\d$", "1")[2:]])
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}:6: the label of gene ENSG00000000003 changes to 1"):
        read_deepchrome(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "no line with data"),
        (b"gene_bin,a,b,c,d,e,label\n", "no line with data after the header"),
        (gzip.compress("\n".join(GOOD * 100).encode(), mtime=0)[:-20], "gzip stream is broken or cut off"),
        (b"\x89PNG\r\n\xff\xfe\xfa", "not a text file"),
    ],
)
def test_a_file_without_data_is_refused(tmp_path, content, message):
    path = tmp_path / "E003.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_deepchrome(path)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No file .*nowhere\.csv"):
        read_deepchrome(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match=r"no train\.csv, valid\.csv or test\.csv in this folder"):
        read_deepchrome(tmp_path)
    with pytest.raises(ValueError, match="at least one file or folder"):
        read_deepchrome([])


def test_files_that_do_not_fit_together_are_refused(tmp_path):
    first = write(tmp_path / "A.csv", GOOD)
    other = write(tmp_path / "B.csv", make_lines(make_signal(1, 5), GENES[:1], [0]))
    with pytest.raises(ValueError, match=r"B\.csv: bins of the marks are .*'H3K27me3': 5.*, but .*: 4.* in .*A\.csv"):
        read_deepchrome([first, other])
    unlabelled = write(tmp_path / "C.csv", make_lines(make_signal(1, 4), GENES[:1], None))
    with pytest.raises(ValueError, match=r"C\.csv: has no labels, unlike .*A\.csv"):
        read_deepchrome([first, unlabelled])
    again = write(tmp_path / "A.train.csv", GOOD), write(tmp_path / "A.test.csv", GOOD[4:8])
    with pytest.raises(ValueError, match=r"A\.test\.csv: gene ENSG00000000005 of A is in .*A\.train\.csv already"):
        read_deepchrome(again)


@pytest.mark.parametrize("marks", [["a", "a", "b", "c", "d"], ["a", "b", "c", "d", "label"]])
def test_names_of_marks_must_differ(tmp_path, marks):
    with pytest.raises(ValueError, match="names of marks must differ"):
        read_gene_bins(write(tmp_path / "E003.csv", GOOD), marks)


def test_the_number_of_marks_must_fit(tmp_path):
    with pytest.raises(ValueError, match=r"7 columns, but with 2 marks there must be 3 to 5"):
        read_gene_bins(write(tmp_path / "E003.csv", GOOD), ["a", "b"])

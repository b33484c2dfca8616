"""Regulons: tables of edges, names of genes, expression of TFs, and tables that are not as they should be."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epiattn._compat import new_mudata
from epiattn._modalities import find_channels
from epiattn._validation import check_values
from epiattn.io._edges import CONFIDENCE, read_edges
from epiattn.io._regulons import read_regulons

GENES = pd.DataFrame(
    {
        "gene_name": ["MYC", "TP53", "GATA1", "TWIN", "TWIN"],
        "chrom": "chr1",
        "tss": [1_000, 2_000, 3_000, 4_000, 5_000],
        "strand": ["+", "-", "+", "-", "+"],
    },
    index=[f"ENSG0000000000{i}" for i in range(5)],
)
EXPRESSION = pd.DataFrame(
    {"liver": [4.0, 0.0, 2.0, 1.0, 3.0], "brain": [0.0, 5.0, np.nan, 2.0, 1.0]}, index=GENES.index
)
DOROTHEA = """tf\tconfidence\ttarget\tmor
TP53\tA\tMYC\t-1.0
MYC\tC\tTP53\t1.0
MYC\tE\tGATA1\t1.0
GATA1\tB\tTWIN\t1.0
GATA1\tD\tnobody\t1.0
"""
#: Rows are genes, columns GATA1, MYC, TP53.
BINDING = [[0, 0, 1], [0, 0.6, 0], [0, 0.2, 0], [0.8, 0, 0], [0.8, 0, 0]]
MODE = [[0, 0, -1], [0, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]]


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level("INFO", logger="epiattn")
    return caplog


def write(folder, text, name="edges.tsv"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


def dense(adata):
    return {name: layer.toarray() for name, layer in adata.layers.items()}


# --- what is read ----------------------------------------------------------------------------------------------------


def test_edges_become_csr_layers_of_one_pattern(tmp_path, log):
    adata = read_regulons(write(tmp_path, DOROTHEA), GENES, expression=EXPRESSION, cell_type="liver")
    assert adata.obs_names.tolist() == GENES.index.tolist()
    assert adata.var_names.tolist() == ["GATA1", "MYC", "TP53"]
    layers = dense(adata)
    np.testing.assert_allclose(layers["binding"], BINDING)
    np.testing.assert_array_equal(layers["mode"], MODE)
    np.testing.assert_array_equal(layers["expression"], np.where(np.array(BINDING) > 0, [2, 4, 0], 0))
    for layer in adata.layers.values():
        assert (layer.format, layer.dtype, layer.nnz) == ("csr", np.float32, 5)  # also where TP53's expression is 0
        assert layer.has_canonical_format
        np.testing.assert_array_equal(layer.indices, adata.layers["binding"].indices)
        np.testing.assert_array_equal(layer.indptr, adata.layers["binding"].indptr)
    assert "5 of 5 genes are targets of 3 TFs; 1 of 5 targets are not among the genes" in log.text


def test_the_modality_is_valid_and_keeps_its_pattern_on_disk(tmp_path):
    import anndata

    adata = read_regulons(write(tmp_path, DOROTHEA), GENES, expression=EXPRESSION, cell_type="liver")
    mdata = new_mudata({"tf": adata}, adata.obs)
    channels = find_channels(mdata)
    assert channels == {"tf": ["binding", "expression", "mode"]}
    check_values(mdata, channels)
    adata.write_h5ad(tmp_path / "tf.h5ad")
    assert anndata.read_h5ad(tmp_path / "tf.h5ad").layers["expression"].nnz == 5


@pytest.mark.parametrize(
    "text",
    [
        DOROTHEA.replace("\t", ","),
        DOROTHEA.replace("\n", "\r\n"),
        "# from somewhere\n" + DOROTHEA,
        DOROTHEA.replace("tf\t", "source\t").replace("mor", "mode"),
        DOROTHEA.replace("confidence", "Confidence").replace("tf\t", "TF\t"),
        '"' + DOROTHEA.replace("\n", '"\n"').replace("\t", '","').removesuffix('"'),  # R quotes texts
        "".join(f"{i}\t{line}\n" if i else f"{line}\n" for i, line in enumerate(DOROTHEA.splitlines())),  # row names
        DOROTHEA.replace("\tA\t", "\t1\t").replace("\tB\t", "\t8e-1\t"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_layout_gives_the_same_edges(tmp_path, text, zipped):
    path = tmp_path / "edges"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    layers = dense(read_regulons(path, GENES))
    np.testing.assert_allclose(layers["binding"], BINDING)
    np.testing.assert_array_equal(layers["mode"], MODE)
    assert set(layers) == {"binding", "mode"}


def test_a_dataframe_is_as_good_as_a_file(tmp_path):
    path = write(tmp_path, DOROTHEA)
    table = pd.read_csv(path, sep="\t", index_col=0).reset_index()
    for edges in (table, table.astype({"confidence": "category"}), read_edges(path)):
        np.testing.assert_allclose(dense(read_regulons(edges, GENES))["binding"], BINDING)
    assert "binding" not in table


def test_a_signed_weight_is_confidence_and_mode(tmp_path):
    collectri = "source,target,weight\nTP53,MYC,-1\nMYC,TP53,0.5\nGATA1,MYC,0\n"
    adata = read_regulons(write(tmp_path, collectri), GENES)
    assert adata.var_names.tolist() == ["MYC", "TP53"]  # a weight of 0 is no edge
    assert dense(adata)["binding"][:2].tolist() == [[0, 1], [0.5, 0]]
    assert dense(adata)["mode"][:2].tolist() == [[0, -1], [1, 0]]


def test_confidence_goes_before_weight_and_mode_before_its_sign():
    edges = pd.DataFrame({"tf": ["MYC"], "target": ["TP53"], "weight": [-3.0], "confidence": [0.7], "mor": [0]})
    layers = dense(read_regulons(edges, GENES))
    assert (layers["binding"][1, 0], layers["mode"][1, 0]) == (pytest.approx(0.7), 0)


def test_edges_without_confidence_and_mode_are_certain_and_activate():
    layers = dense(read_regulons(pd.DataFrame({"tf": ["MYC"], "target": ["TP53"]}), GENES))
    assert (layers["binding"][1, 0], layers["mode"][1, 0]) == (1, 1)


@pytest.mark.parametrize(("least", "n_edges"), [(None, 5), ("E", 5), ("C", 4), (0.7, 3), ("A", 1)])
def test_edges_of_little_confidence_are_left_out(tmp_path, least, n_edges):
    adata = read_regulons(write(tmp_path, DOROTHEA), GENES, min_confidence=least)
    assert adata.layers["binding"].nnz == n_edges


def test_letters_may_mean_other_numbers(tmp_path):
    adata = read_regulons(write(tmp_path, DOROTHEA), GENES, confidence=dict(zip("ABCDE", range(5, 0, -1), strict=True)))
    np.testing.assert_array_equal(adata.layers["binding"].data, [5, 3, 1, 4, 4])


def test_targets_are_ids_with_any_version_or_names():
    targets = ["ENSG00000000000.17", "ENSG00000000001", "GATA1"]
    adata = read_regulons(pd.DataFrame({"tf": "TP53", "target": targets}), GENES)
    assert dense(adata)["binding"].tolist() == [[1], [1], [1], [0], [0]]
    adata = read_regulons(pd.DataFrame({"tf": "TP53", "target": targets}), GENES.drop(columns="gene_name"))
    assert dense(adata)["binding"].tolist() == [[1], [1], [0], [0], [0]]


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["MYC", "TP53", "X"]),
            st.sampled_from(["MYC", "ENSG00000000000", "TWIN", "no"]),
            st.sampled_from("ABCDE"),
            st.sampled_from([1, -1]),
        ),
        min_size=1,
        max_size=25,
    )
)
def test_of_several_edges_the_most_certain_one_counts(rows):
    rows = [("MYC", "MYC", "E", 1), *rows]
    best: dict[tuple[int, str], tuple[float, int]] = {}
    for tf, target, letter, mode in rows:
        for i, (gene, name) in enumerate(zip(GENES.index, GENES["gene_name"], strict=True)):
            if target in (gene, name) and CONFIDENCE[letter] > best.get((i, tf), (0, 0))[0]:
                best[i, tf] = (CONFIDENCE[letter], mode)
    adata = read_regulons(pd.DataFrame(rows, columns=["tf", "target", "confidence", "mor"]), GENES)
    found = adata.layers["binding"].tocoo()
    values = zip(found.data, adata.layers["mode"].tocoo().data, strict=True)
    places = [(int(i), adata.var_names[j]) for i, j in zip(found.row, found.col, strict=True)]
    assert dict(zip(places, values, strict=True)) == {key: pytest.approx(value) for key, value in best.items()}


# --- TFs and their expression ----------------------------------------------------------------------------------------


def test_tfs_of_unknown_expression_are_left_out_and_named(tmp_path, log):
    adata = read_regulons(write(tmp_path, DOROTHEA), GENES, expression=EXPRESSION, cell_type="brain")
    assert adata.var_names.tolist() == ["MYC", "TP53"]
    np.testing.assert_array_equal(dense(adata)["expression"][:2], [[0, 5], [0, 0]])
    assert "The expression of 1 of 3 TFs is not known, such as 'GATA1'; they are left out" in log.text


def test_a_table_of_few_genes_is_said_to_be_the_reason(log):
    edges = pd.DataFrame({"tf": ["MYC", "SOX2", "KLF4"], "target": "ENSG1", "confidence": "A", "mor": 1})
    genes = pd.DataFrame({"gene_name": "MYC", "chrom": "chr1", "tss": 5, "strand": "+"}, index=["ENSG1"])
    expression = pd.DataFrame({"brain": [1.0, 2.0, 3.0]}, index=["ENSG1", "ENSG2", "ENSG3"])
    assert read_regulons(edges, genes, expression=expression).var_names.tolist() == ["MYC"]
    assert "2 of them are not in the table of genes (1), which leads from names to ids" in log.text
    named = expression.set_axis(["MYC", "SOX2", "TBP"], axis=0)
    log.clear()
    assert read_regulons(edges, genes, expression=named).var_names.tolist() == ["MYC", "SOX2"]
    assert "which leads from names to ids" not in log.text


def test_tfs_can_be_chosen_in_any_order(tmp_path):
    path = write(tmp_path, DOROTHEA)
    adata = read_regulons(path, GENES, tfs=["TP53", "GATA1"], expression=EXPRESSION, cell_type="liver")
    assert adata.var_names.tolist() == ["TP53", "GATA1"]
    np.testing.assert_allclose(dense(adata)["binding"], np.array(BINDING)[:, [2, 0]])
    np.testing.assert_array_equal(dense(adata)["expression"][3], [0, 2])


def test_a_selection_of_genes_needs_an_annotation_for_its_tfs(tmp_path):
    path, some = write(tmp_path, DOROTHEA), GENES.iloc[:2]
    options = {"expression": EXPRESSION, "cell_type": "liver"}
    assert read_regulons(path, some, annotation=GENES, **options).var_names.tolist() == ["GATA1", "MYC", "TP53"]
    assert read_regulons(path, some, **options).var_names.tolist() == ["MYC", "TP53"]


@pytest.mark.parametrize(
    "names", [["MYC", "TP53", "GATA1", "TWIN", "TWIN"], [f"ENSG0000000000{i}.{i + 1}" for i in range(5)]]
)
def test_expression_may_have_names_or_versions(tmp_path, names):
    table = EXPRESSION.set_axis(names, axis=0)
    expected = read_regulons(write(tmp_path, DOROTHEA), GENES, expression=EXPRESSION, cell_type="liver")
    adata = read_regulons(write(tmp_path, DOROTHEA), GENES, expression=table, cell_type="liver")
    np.testing.assert_array_equal(dense(adata)["expression"], dense(expected)["expression"])


def test_of_several_genes_of_a_name_the_most_expressed_one_counts():
    edges = pd.DataFrame({"tf": ["TWIN"], "target": ["MYC"]})
    assert read_regulons(edges, GENES, expression=EXPRESSION[["liver"]]).layers["expression"].data.tolist() == [3]


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DOROTHEA.replace("E\t", "F\t"), r"edges\.tsv:4: the confidence must be one of A, B, C, D, E, or a number"),
        (DOROTHEA.replace("E\t", "-1\t"), r"edges\.tsv:4: the confidence"),
        (DOROTHEA.replace("E\t", "nan\t"), r"edges\.tsv:4: the confidence"),
        (DOROTHEA.replace("-1.0", "activates"), r"edges\.tsv:2: the mode must be a number"),
        (DOROTHEA.replace("\tTP53\t", "\t\t"), r"edges\.tsv:3: the target has no name"),
        (DOROTHEA.replace("MYC\tE", "\tE"), r"edges\.tsv:4: the tf has no name"),
        ("# x\n\n" + DOROTHEA.replace("MYC\tE", "\tE"), r"edges\.tsv:6: the tf has no name"),
        (DOROTHEA.replace("\tGATA1\t1.0", ""), r"edges\.tsv:4: the target has no name"),
        ("tf\ttarget\tweight\nMYC\tTP53\tx\n", r"edges\.tsv:2: the weight must be a number"),
        (DOROTHEA.replace("tf\t", "gene_a\t"), r"needs a header with 'tf' \(or source, regulator\)"),
        ("tf\ttarget\n", "needs a header with the names of the columns, and lines below it"),
        ("tf\ttarget\nMYC\tmyc\n", r"None of the 1 targets \('myc'\) is one of the genes .*by name 'MYC'"),
        ("", "the file is empty"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_regulons(write(tmp_path, text), GENES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tfs": ["MYC", "SOX2"]}, "tfs names 1 TFs that have no edge, such as 'SOX2'"),
        ({"tfs": ["MYC", "MYC"]}, "tfs repeats 'MYC'"),
        ({"min_confidence": "F"}, "min_confidence must be a number or one of .*'A'.* not 'F'"),
        ({"expression": EXPRESSION}, r"cell_type must be one of .*'liver', 'brain'.* not None"),
        ({"expression": EXPRESSION, "cell_type": "livr"}, "not 'livr'. Did you mean 'liver'"),
        (
            {"expression": EXPRESSION, "cell_type": "brain", "tfs": ["GATA1"]},
            r"expression knows none of the 1 TFs \('GATA1'\)",
        ),
        (
            {"expression": EXPRESSION, "cell_type": "brain", "tfs": ["MYC", "GATA1"]},
            "expression of 1 of 2 TFs is not known, such as 'GATA1': leave them out",
        ),
        (
            {"expression": EXPRESSION.set_axis(list("abcde"), axis=0), "cell_type": "brain"},
            r"expression knows none of the 3 TFs \('GATA1', 'MYC', 'TP53'\); its genes are 'a'",
        ),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        read_regulons(write(tmp_path, DOROTHEA), GENES, **options)


def test_a_bad_row_of_a_dataframe_is_named():
    edges = pd.DataFrame({"tf": ["MYC", None], "target": ["TP53", "MYC"]}, index=["first", "second"])
    with pytest.raises(ValueError, match="edges, row 'second': the tf has no name"):
        read_regulons(edges, GENES)
    with pytest.raises(ValueError, match=r"edges: a table of edges needs a header with 'target'"):
        read_regulons(edges[["tf"]], GENES)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.tsv"):
        read_regulons(tmp_path / "nowhere.tsv", GENES)
    cut = tmp_path / "cut.tsv.gz"
    rng = np.random.default_rng(0)
    rows = "".join(f"MYC\tA\tg{number}\t1\n" for number in rng.random(5_000))
    cut.write_bytes(gzip.compress((DOROTHEA + rows).encode())[:30_000])
    with pytest.raises(ValueError, match=r"cut\.tsv\.gz: the gzip stream is broken or cut off"):
        read_regulons(cut, GENES)


def test_duplicate_genes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="each gene once"):
        read_regulons(write(tmp_path, DOROTHEA), pd.concat([GENES, GENES.iloc[:1]]))

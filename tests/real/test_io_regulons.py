"""DoRothEA x Roadmap's expression give the TF layers of the real objects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from epiattn.io._annotation import read_annotation
from epiattn.io._expression import read_expression
from epiattn.io._regulons import read_regulons

from .conftest import SHARED

COLUMNS = {"H1": "E003", "K562": "E123"}


def find(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the real data {path.name} is not at {SHARED} (set EPIATTN_SHARED)")
    return path


@pytest.fixture(scope="module")
def expression():
    return read_expression(find("roadmap_rpkm.tsv.gz"))


@pytest.fixture(scope="module")
def annotation():
    return read_annotation(find("tracks/gencode.v10.genes.hg19.gtf.gz"), biotypes=None)


def test_columns_of_a_table_with_trailing_tabs_stay_in_place(expression):
    assert expression.shape == (19_795, 56)
    genes = pd.read_csv(find("tracks/E003-genes.tsv"), sep="\t", index_col=0)
    np.testing.assert_allclose(expression.loc[genes.index, "E003"], np.log2(genes["expression"] + 1), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "cell_type"), [("h1_k562_counts", "H1"), ("h1_k562_counts", "K562"), ("h1_hg38", "H1")]
)
def test_regulons_are_those_of_the_real_object(read_real, expression, annotation, name, cell_type):
    mdata = read_real(name)
    rows = (mdata.obs["cell_type"] == cell_type).to_numpy()
    genes = mdata.obs[rows].set_index("gene_id")
    adata = read_regulons(
        find("dorothea_hs.tsv.gz"),
        genes,
        expression=expression,
        cell_type=COLUMNS[cell_type],
        tfs=mdata["tf"].var_names,
        annotation=annotation,
    )
    assert adata.var_names.equals(mdata["tf"].var_names)
    for layer in ("binding", "mode", "expression"):
        expected, found = mdata["tf"].layers[layer][rows], adata.layers[layer]
        assert found.nnz == expected.nnz > 10_000
        np.testing.assert_array_equal(found.indptr, expected.indptr)
        np.testing.assert_array_equal(found.indices, expected.indices)
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-6)


def test_without_a_choice_all_tfs_of_known_expression_come(read_real, expression, annotation):
    mdata = read_real("h1_hg38")
    genes = mdata.obs.set_index("gene_id")
    adata = read_regulons(
        find("dorothea_hs.tsv.gz"), genes, expression=expression, cell_type="E003", annotation=annotation
    )
    assert set(mdata["tf"].var_names) < set(adata.var_names)
    assert adata.n_vars == 1_300

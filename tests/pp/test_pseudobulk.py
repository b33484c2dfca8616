"""Cells to groups: against pandas, sparse or not."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from epiattn._logging import logger
from epiattn.pp._pseudobulk import pseudobulk


@pytest.fixture
def cells():
    """12 cells x 3 genes: types B (6), T (5), and one cell without a type; two donors."""
    counts = np.arange(36.0).reshape(12, 3)
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(["T"] * 5 + ["B"] * 6 + [None], categories=["T", "NK", "B"]),
            "donor": ["x", "y"] * 6,
        },
        index=[f"cell_{i}" for i in range(12)],
    )
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame({"chrom": "chr1"}, index=["a", "b", "c"]))


@pytest.fixture
def messages(monkeypatch):
    """What is logged as a warning."""
    found: list[str] = []
    monkeypatch.setattr(logger, "warning", lambda text, *values: found.append(text % values))
    return found


def naive(counts: np.ndarray, groups: list, *, mode: str, normalize: str | None) -> dict[str, np.ndarray]:
    """Group by group, cell by cell."""
    result = {}
    for name in sorted(set(groups)):
        rows = [counts[i].astype(float) for i, group in enumerate(groups) if group == name]
        if mode == "mean":
            if normalize:
                rows = [row / row.sum() * 1e6 if row.sum() else row for row in rows]
            result[name] = sum(rows) / len(rows)
        else:
            total = sum(rows)
            result[name] = total / total.sum() * 1e6 if normalize and total.sum() else total
    return result


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    n_cells=st.integers(1, 12),
    seed=st.integers(0, 1_000),
    form=st.sampled_from([np.asarray, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array]),
    dtype=st.sampled_from([np.int32, np.float32, np.uint8]),
    mode=st.sampled_from(["sum", "mean"]),
    normalize=st.sampled_from(["cpm", None]),
)
def test_it_equals_a_loop_over_cells(n_cells, seed, form, dtype, mode, normalize):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.7, (n_cells, 4)).astype(dtype)
    groups = rng.choice(["a", "b", "c"], n_cells).tolist()
    obs = pd.DataFrame({"group": groups}, index=[f"c{i}" for i in range(n_cells)])
    logger.setLevel("ERROR")
    bulk = pseudobulk(ad.AnnData(form(counts), obs=obs), groupby="group", min_cells=1, mode=mode, normalize=normalize)
    expected = naive(counts, groups, mode=mode, normalize=normalize)
    assert bulk.obs_names.tolist() == list(expected)
    assert sparse.issparse(bulk.X) == sparse.issparse(form(counts))
    values = bulk.X.toarray() if sparse.issparse(bulk.X) else bulk.X
    np.testing.assert_allclose(values, np.stack(list(expected.values())), rtol=1e-6)


def test_the_result_keeps_var_and_says_what_went_in(cells, messages):
    bulk = pseudobulk(cells, groupby="cell_type", min_cells=1, normalize=None)
    assert bulk.obs_names.tolist() == ["T", "B"]  # as the categories; NK has no cell
    assert bulk.obs["n_cells"].tolist() == [5, 6]
    np.testing.assert_array_equal(bulk.X, [cells.X[:5].sum(0), cells.X[5:11].sum(0)])
    np.testing.assert_array_equal(bulk.obs["n_counts"], bulk.X.sum(1))
    pd.testing.assert_frame_equal(bulk.var, cells.var)
    assert messages == ["adata: 1 of 12 cells have no group and are left out."]


def test_several_columns_make_one_group_each(cells):
    bulk = pseudobulk(cells, groupby=["cell_type", "donor"], min_cells=3)
    assert bulk.obs_names.tolist() == ["T_x", "B_x", "B_y"]
    assert bulk.obs["donor"].tolist() == ["x", "x", "y"]
    assert bulk.obs["cell_type"].tolist() == ["T", "B", "B"]
    np.testing.assert_allclose(bulk.X.sum(1), 1e6, rtol=1e-6)
    np.testing.assert_allclose(bulk.X[0], cells.X[[0, 2, 4]].sum(0) / cells.X[[0, 2, 4]].sum() * 1e6, rtol=1e-6)


def test_small_groups_are_left_out_and_named(cells, messages):
    assert pseudobulk(cells, groupby="cell_type", min_cells=6).obs_names.tolist() == ["B"]
    assert messages[0] == "adata: 1 groups of fewer than 6 cells are left out: T (5)."
    with pytest.raises(ValueError, match=r"no group has min_cells=7 cells: T \(5\), B \(6\)"):
        pseudobulk(cells, groupby="cell_type", min_cells=7)
    with pytest.raises(ValueError, match="no cell has a group"):
        pseudobulk(cells[11:].copy(), groupby="cell_type", min_cells=1)


def test_a_layer_holds_the_counts(cells, messages):
    cells.layers["counts"] = cells.X.copy()
    expected = pseudobulk(cells, groupby="donor", min_cells=1)
    cells.X = np.log1p(cells.X)
    found = pseudobulk(cells, groupby="donor", min_cells=1, layer="counts")
    np.testing.assert_array_equal(found.X, expected.X)
    assert messages == []
    pseudobulk(cells, groupby="donor", min_cells=1)
    assert messages[0].startswith("adata.X holds fractions, such as 0.693:")
    with pytest.raises(ValueError, match=r"no layer 'count'; layers are \['counts'\]"):
        pseudobulk(cells, groupby="donor", layer="count")


def test_views_are_welcome_and_the_input_stays(cells):
    before = cells.copy()
    bulk = pseudobulk(cells[:10], groupby="donor", min_cells=5)
    bulk.var["chrom"] = "chr2"
    np.testing.assert_array_equal(bulk.obs["n_counts"], [cells.X[:10:2].sum(), cells.X[1:10:2].sum()])
    pd.testing.assert_frame_equal(cells.var, before.var)
    np.testing.assert_array_equal(cells.X, before.X)


def test_a_group_without_counts_stays_zero(cells, messages):
    cells.X[::2] = 0
    bulk = pseudobulk(cells, groupby="donor", min_cells=1)
    assert not bulk["x"].X.any()
    assert messages == ["adata: no counts at all in ['x']."]


@pytest.mark.parametrize("normalize", ["cpm", None])
def test_the_result_can_be_written(cells, tmp_path, normalize):
    cells.X = sparse.csr_matrix(cells.X)
    bulk = pseudobulk(cells, groupby=["cell_type", "donor"], min_cells=1, normalize=normalize)
    bulk.write_h5ad(tmp_path / "bulk.h5ad")
    back = ad.read_h5ad(tmp_path / "bulk.h5ad")
    np.testing.assert_array_equal(back.X.toarray(), bulk.X.toarray())


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_no_counts_are_refused(cells, value, form):
    counts = cells.X.copy()
    counts[2, 1] = value
    cells.X = form(counts)
    with pytest.raises(ValueError, match=r"adata\.X has (NaN or infinite|negative) values"):
        pseudobulk(cells, groupby="donor")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groupby": "type"}, r"groupby='type' must name one column.*'cell_type', 'donor'"),
        ({"groupby": []}, "must name one column"),
        ({"groupby": "donor", "mode": "median"}, "mode must be one of"),
        ({"groupby": "donor", "normalize": "tpm"}, "normalize must be 'cpm' or None, not 'tpm'"),
    ],
)
def test_wrong_arguments_are_named(cells, arguments, message):
    with pytest.raises(ValueError, match=message):
        pseudobulk(cells, **arguments)


def test_no_matrix_and_backed_objects_are_refused(cells, tmp_path):
    with pytest.raises(ValueError, match=r"adata\.X must be a numeric .* not NoneType"):
        pseudobulk(ad.AnnData(obs=cells.obs, var=cells.var), groupby="donor")
    cells.write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(ValueError, match="backed by a file"):
        pseudobulk(backed, groupby="donor")
    backed.file.close()


def test_names_that_cannot_be_told_apart_are_refused(cells):
    cells.obs["first"] = ["a_b", "a"] * 6
    cells.obs["second"] = ["c", "b_c"] * 6
    with pytest.raises(ValueError, match=r"the same name, \['a_b_c'\]"):
        pseudobulk(cells, groupby=["first", "second"], min_cells=1)

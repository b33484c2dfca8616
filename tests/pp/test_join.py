"""Tables and matrices on top of each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from epiattn.pp._join import first_of_each_name, join_tables, stack


def table(names, **columns):
    return pd.DataFrame(columns, index=list(names))


def join(first, second, name="column"):
    """Two rows with one value each, in a column."""
    return join_tables([table("a", **{name: first}), table("b", **{name: second})])[name]


def category(value, categories, *, ordered=False):
    return pd.Categorical([value], categories=categories, ordered=ordered)


@pytest.mark.parametrize(
    ("first", "second", "categories"),
    [
        (category("high", ["high"]), category("low", ["low"]), ["low", "high"]),
        (category("test", ["test", "validation"]), ["train"], ["train", "validation", "test"]),
        (category("b", ["b"]), category("a", ["c", "a"]), ["b", "c", "a"]),
        (category(2, [2, 1]), category(1, [1, 0]), [2, 1, 0]),
    ],
)
def test_categories_are_united_in_order(first, second, categories):
    joined = join(first, second)
    assert joined.cat.categories.tolist() == categories
    assert not joined.cat.ordered
    assert joined.tolist() == [first[0], second[0]]


def test_cell_types_come_in_order_of_appearance():
    joined = join(category("brain", ["liver", "brain"]), ["liver"], name="cell_type")
    assert joined.cat.categories.tolist() == ["brain", "liver"]


def test_ordered_categories_stay_ordered_if_they_agree():
    levels = ["low", "middle", "high"]
    assert join(category("low", levels, ordered=True), category("high", levels, ordered=True)).cat.ordered
    assert not join(category("low", levels, ordered=True), category("high", levels)).cat.ordered


def test_missing_values_are_those_of_pandas():
    first = table("ab", number=[1, 2], text=["x", "y"], flag=[True, False], level=category("l", ["l"]).repeat(2))
    joined = join_tables([first, table("c", other=[np.nan], text=[np.nan])])
    assert joined.index.tolist() == ["a", "b", "c"]
    assert joined["number"].tolist()[:2] == [1.0, 2.0]
    assert joined.loc["c"].isna().all()
    assert joined["flag"].dtype == "boolean"
    assert joined["level"].tolist()[:2] == ["l", "l"]
    assert joined["other"].dtype == float


def test_a_column_without_values_does_not_change_the_type():
    assert join(["text"], [np.nan]).tolist()[0] == "text"
    assert join([np.nan], [3.0]).dtype == float
    assert join(np.array([1], np.int8), np.array([2], np.int32)).dtype == np.int32


def test_tables_may_have_no_columns():
    assert join_tables([table("ab"), table("c")]).shape == (3, 0)


def test_the_first_row_of_each_name_counts():
    joined = first_of_each_name([table("ab", x=[1, 2]), table("bc", x=[7, 3]), table("ac", x=[9, 9])])
    assert joined["x"].to_dict() == {"a": 1, "b": 2, "c": 3}


def test_dense_parts_are_placed_and_gaps_filled():
    a, b = np.ones((1, 2), np.float32), np.full((2, 3), 2, np.float32)
    stacked = stack([a, None, b], [1, 1, 2], [np.array([2, 0]), np.arange(3), np.arange(3)], 3, 0.0)
    assert stacked.dtype == np.float32
    np.testing.assert_array_equal(stacked, [[1, 0, 1], [0, 0, 0], [2, 2, 2], [2, 2, 2]])


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix])
def test_sparse_parts_stay_sparse(make):
    a = np.array([[1, 0, 2], [0, 0, 3]], np.float32)
    b = np.array([[0, 4]], np.float32)
    where = [np.array([3, 0, 1]), np.arange(4), np.array([1, 2])]
    stacked = stack([make(a), None, b], [2, 1, 1], where, 4, 0.0)
    assert stacked.format == "csr"
    assert stacked.has_sorted_indices
    assert stacked.dtype == np.float32
    assert stacked.nnz == 4
    np.testing.assert_array_equal(stacked.toarray(), [[0, 2, 0, 1], [0, 3, 0, 0], [0, 0, 0, 0], [0, 0, 4, 0]])


def test_sparse_memory_is_new():
    values = sparse.csr_matrix(np.eye(3))
    stacked = stack([values], [3], [np.arange(3)], 3, 0.0)
    for name in ("data", "indices", "indptr"):
        assert not np.shares_memory(getattr(values, name), getattr(stacked, name))


@pytest.mark.parametrize(("dtype", "expected"), [(np.float32, np.float32), (np.float64, np.float64), (int, float)])
@pytest.mark.parametrize("make", [np.array, sparse.csr_matrix])
def test_nan_needs_a_dense_floating_type(dtype, expected, make):
    stacked = stack([make(np.ones((1, 1), dtype)), None], [1, 1], [np.arange(1)] * 2, 1, np.nan)
    assert stacked.dtype == expected
    np.testing.assert_array_equal(stacked, [[1], [np.nan]])
    assert stack([np.ones((1, 1), dtype)], [1], [np.arange(1)], 1, np.nan).dtype == dtype


def test_types_follow_numpy():
    parts = [np.ones((1, 1), np.float32), np.ones((1, 1), np.float64)]
    assert stack(parts, [1, 1], [np.arange(1)] * 2, 1, 0.0).dtype == np.float64

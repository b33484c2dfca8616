"""Labels."""

from __future__ import annotations

import numpy as np
import pytest

import epiattn as attn


def test_label_is_above_the_median_of_its_cell_type(mdata):
    del mdata.obs["label"]
    assert attn.pp.label(mdata) is mdata
    expression = mdata["rna"].X[:, 0]
    for cell_type in ("cell_type_0", "cell_type_1"):
        rows = (mdata.obs["cell_type"] == cell_type).to_numpy()
        expected = np.where(expression[rows] > np.median(expression[rows]), "high", "low")
        np.testing.assert_array_equal(mdata.obs["label"].to_numpy()[rows].astype(str), expected)


def test_without_cell_types_there_is_one_median(mdata):
    del mdata.obs["cell_type"]
    attn.pp.label(mdata, key_added="above")
    expected = mdata["rna"].X[:, 0] > np.median(mdata["rna"].X)
    np.testing.assert_array_equal((mdata.obs["above"] == "high").to_numpy(), expected)


def test_copy_leaves_the_object_alone(mdata):
    del mdata.obs["label"]
    assert "label" in attn.pp.label(mdata, copy=True).obs
    assert "label" not in mdata.obs


def test_missing_expression_gives_a_missing_label(mdata):
    mdata["rna"].X[3, 0] = np.nan
    attn.pp.label(mdata)
    assert mdata.obs["label"].isna().to_numpy().nonzero()[0].tolist() == [3]


def test_no_expression_is_an_error(mdata):
    del mdata.mod["rna"]
    with pytest.raises(ValueError, match="needs expression in mdata"):
        attn.pp.label(mdata)


def test_constant_expression_is_an_error(mdata):
    mdata["rna"].X[:] = 1.0
    with pytest.raises(ValueError, match="does it vary"):
        attn.pp.label(mdata)

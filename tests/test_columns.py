"""Columns of ``obs``, whatever they hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from epiattn._columns import parts_of_split

PARTS = ["train", None, "test", "validation"]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_a_missing_part_is_empty_whatever_stands_for_it(dtype, missing):
    adata = AnnData(np.zeros((4, 1), np.float32))
    mdata = MuData({"histone": adata})
    values = [missing if part is None else part for part in PARTS]
    mdata.obs["split"] = pd.Series(values, index=mdata.obs_names, dtype=dtype)
    assert parts_of_split(mdata, "split").tolist() == ["train", "", "test", "validation"]


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"obs\['split'\] is missing"):
        parts_of_split(MuData({"histone": AnnData(np.zeros((2, 1), np.float32))}), "split")

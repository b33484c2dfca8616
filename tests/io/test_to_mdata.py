"""Observations, bins and genes on their way into a MuData."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from epiattn.io._to_mdata import bin_table, make_expression, make_mdata, make_obs, make_signal, match_genes


def test_observations_are_named_and_cell_types_keep_their_order():
    obs = make_obs(["a", "b", "a"], ["T", "T", "B"], {"tss": [1, 2, 1]})
    assert obs.index.tolist() == ["a@T", "b@T", "a@B"]
    assert obs["cell_type"].cat.categories.tolist() == ["T", "B"]
    assert list(obs) == ["gene_id", "cell_type", "tss"]
    with pytest.raises(ValueError, match="once in a cell type, but 'a@T' come twice"):
        make_obs(["a", "b", "a"], ["T", "T", "T"], {})


@pytest.mark.parametrize(("n_bins", "start"), [(4, [-200, -100, 0, 100]), (3, [-150, -50, 50])])
def test_bins_lie_around_the_tss(n_bins, start):
    table = bin_table(n_bins, 100)
    assert table["start"].tolist() == start
    assert (table["end"] - table["start"] == 100).all()
    assert table.index[-1] == f"bin_{start[-1]:+d}_100bp"


def test_genes_are_matched():
    genes = pd.DataFrame(
        {"gene_name": ["ZC3H4", "B"], "chrom": ["chr19", "chr1"], "tss": [5, 6], "strand": ["-", "+"]},
        index=["ENSG00000130749", "B"],
    )
    rows, gene_id, columns = match_genes(["x", "ENSG00000130749.4_ZC3H4", "130749", "B"], genes)
    assert rows.tolist() == [1, 2, 3]
    assert gene_id.tolist() == ["ENSG00000130749", "ENSG00000130749", "B"]
    assert {name: list(values) for name, values in columns.items()} == {
        "gene_name": ["ZC3H4", "ZC3H4", "B"],
        "chrom": ["chr19", "chr19", "chr1"],
        "tss": [5, 5, 6],
        "strand": ["-", "-", "+"],
    }
    rows, gene_id, columns = match_genes(["ENSG00000130749_ZC3H4", "B"], None)
    assert (rows.tolist(), gene_id.tolist(), columns) == ([0, 1], ["ENSG00000130749", "B"], {})


def test_values_are_checked_and_what_was_measured_is_noted():
    obs = make_obs(["a", "b"], ["T", "T"], {})
    layers = {"x": np.ones((2, 4), np.float32), "y": np.zeros((2, 4), np.float32)}
    measured = np.array([[True, False], [True, True]])
    mdata = make_mdata(
        {"histone": make_signal(obs.index, layers, 50, measured), "rna": make_expression(obs.index, [1, np.nan])},
        obs,
        signal="counts",
    )
    assert mdata["histone"].obsm["measured"].to_dict("list") == {"x": [True, True], "y": [False, True]}
    assert mdata["rna"].X.dtype == np.float32
    assert mdata.uns["epiattn"] == {"schema_version": "1", "signal": "counts"}
    assert "measured" not in make_signal(obs.index, layers, 50, np.ones((2, 2), bool)).obsm
    with pytest.raises(ValueError, match=r"layers\['x'\] has negative values"):
        make_mdata({"histone": make_signal(obs.index, {"x": -layers["x"]}, 50)}, obs)

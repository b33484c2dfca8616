"""Quality of the measurements."""

from __future__ import annotations

import mudata as md
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import epiattn as attn
from epiattn._compat import new_mudata
from epiattn.pp import _qc


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    return caplog


@pytest.fixture
def small():
    """Six observations in two cell types, with numbers that can be counted."""
    index = [f"g{i}@{name}" for name in ("a", "b") for i in range(3)]
    rows = pd.DataFrame(index=index)
    k4 = [[0, 1, 2, 3], [5, 5, 1, 0], [0, 0, 0, 0], [2, 2, 0, 0], [0, 4, 0, 0], [1, 0, 0, 1]]
    k9 = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    layers = {"K4": np.array(k4, np.float32), "K9": sparse.csr_matrix(np.array(k9, np.float32))}
    histone = AnnData(layers=layers, obs=rows.copy())
    histone.var_names = [f"bin_{i}" for i in range(4)]
    cpgs = {
        "beta": np.zeros((6, 2)),
        "position": np.zeros((6, 2)),
        "coverage": np.array([[3.0, 99], [4, 5], [99, 99], [99, 99], [99, 99], [99, 99]]),
    }
    methylation = AnnData(layers=cpgs, obs=rows.assign(n_cpg=[1, 2, 0, 0, 0, 0]))
    methylation.var_names = ["cpg_0", "cpg_1"]
    one = sparse.csr_matrix(np.array([[1, 0, 2], [0, 0, 1], *[[0, 0, 0]] * 4], np.float32))
    other = np.array([[1, 1, 0], [0, 0, 0], *[[0, 0, 0]] * 4], np.float32)
    tf = AnnData(layers={"one": one, "other": other}, obs=rows.copy())
    tf.var_names = ["x", "y", "z"]
    modalities = {"histone": histone, "methylation": methylation, "tf": tf}
    return new_mudata(modalities, rows.assign(cell_type=["a"] * 3 + ["b"] * 3))


def row(mdata, cell_type, channel):
    table = mdata.uns["qc"].set_index(["cell_type", "channel"])
    return table.loc[(cell_type, channel)].dropna().drop("modality").to_dict()


def test_numbers_can_be_counted_by_hand(small):
    assert attn.pp.qc(small) is small
    # K4 in a: 6, 11 and 0 in total; two of twelve bins hold the maximum of 5. In b: 4, 4, 2, and one bin holds it.
    assert row(small, "a", "K4") == pytest.approx(
        {"n_obs": 3, "depth": 17 / 3, "empty": 1 / 3, "saturated": 2 / 12, "fold_depth": (17 / 3) / 4.5}
    )
    assert row(small, "b", "K4") == pytest.approx(
        {"n_obs": 3, "depth": 10 / 3, "empty": 0, "saturated": 0, "fold_depth": (10 / 3) / 4.5}
    )
    assert row(small, "a", "K9") == pytest.approx(
        {"n_obs": 3, "depth": 1 / 3, "empty": 2 / 3, "saturated": 0, "fold_depth": 2}
    )
    assert row(small, "b", "K9") == pytest.approx({"n_obs": 3, "depth": 0, "empty": 1, "saturated": 0, "fold_depth": 0})
    assert row(small, "a", "beta") == pytest.approx({"n_obs": 3, "coverage": 2 / 3, "n_cpg": 1, "reads": 4})
    assert row(small, "b", "beta") == pytest.approx({"n_obs": 3, "coverage": 0, "n_cpg": 0})
    assert row(small, "a", "any") == pytest.approx({"n_obs": 3, "n_tfs": 4 / 3})
    assert row(small, "b", "any") == pytest.approx({"n_obs": 3, "n_tfs": 0})
    assert small.obs["qc_signal"].tolist() == [6, 11, 1, 4, 4, 2]
    assert small.obs["qc_n_cpg"].tolist() == [1, 2, 0, 0, 0, 0]
    assert small.obs["qc_n_tfs"].tolist() == [3, 1, 0, 0, 0, 0]


def test_table_is_tidy_and_complete(small):
    table = attn.pp.qc(small).uns["qc"]
    assert list(table) == ["cell_type", "modality", "channel", *_qc.COLUMNS]
    assert len(table) == 2 * (2 + 1 + 1)
    assert not table.duplicated(["cell_type", "modality", "channel"]).any()


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_blocks_change_nothing_and_agree_with_pandas(mdata, block, monkeypatch):
    monkeypatch.setattr(_qc, "BLOCK", block)
    mdata["histone"].layers["DNase"] = sparse.csc_matrix(mdata["histone"].layers["DNase"])
    attn.pp.qc(mdata)
    for mark in ("H3K4me3", "DNase"):
        values = mdata["histone"].layers[mark]
        values = values.toarray() if sparse.issparse(values) else values
        depth = pd.Series(values.sum(1)).groupby(mdata.obs["cell_type"].to_numpy(), observed=True).mean()
        for name in depth.index:
            here = values[(mdata.obs["cell_type"] == name).to_numpy()]
            n_top = (here == here.max()).sum()
            found = row(mdata, name, mark)
            assert found["depth"] == pytest.approx(depth[name])
            assert found["fold_depth"] == pytest.approx(depth[name] / depth.median())
            assert found["saturated"] == pytest.approx(n_top / here.size if n_top > 1 else 0)
    bound = sum((mdata["tf"].layers[name] != 0).toarray() for name in ("binding", "expression", "mode")) > 0
    np.testing.assert_array_equal(mdata.obs["qc_n_tfs"], bound.sum(1))


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_table_survives_a_file(small, suffix, tmp_path):
    attn.pp.qc(small)
    path = tmp_path / f"data.{suffix}"
    small.write_h5mu(path) if suffix == "h5mu" else small.write_zarr(path)
    read = md.read_h5mu(path) if suffix == "h5mu" else md.read_zarr(path)
    table, expected = read.uns["qc"], small.uns["qc"]
    numbers = ["n_obs", *_qc.COLUMNS[1:]]
    np.testing.assert_array_equal(table[numbers].to_numpy(), expected[numbers].to_numpy())
    assert table["cell_type"].astype(str).tolist() == expected["cell_type"].tolist()
    attn.pp.qc(read)


def test_what_was_not_measured_does_not_count(small, log):
    measured = pd.DataFrame({"K4": [True] * 5 + [False], "K9": [True] * 3 + [False] * 3}, index=small.obs_names)
    small["histone"].obsm["measured"] = measured
    small["tf"].obsm["measured"] = pd.DataFrame(
        dict.fromkeys(["one", "other"], [True] * 3 + [False] * 3), index=small.obs_names
    )
    attn.pp.qc(small)
    assert row(small, "b", "K4") == pytest.approx(
        {"n_obs": 2, "depth": 4, "empty": 0, "saturated": 0, "fold_depth": 4 / ((17 / 3 + 4) / 2)}
    )
    assert small.obs["qc_signal"].tolist() == [6, 11, 1, 4, 4, 0]
    assert row(small, "b", "K9") == {"n_obs": 0}
    assert row(small, "b", "any") == {"n_obs": 0}
    assert row(small, "a", "K9")["fold_depth"] == 1
    assert "K9 (histone) in b" not in log.text
    assert "tf in b" not in log.text


def test_without_cell_types_all_count_as_one(small):
    del small.obs["cell_type"]
    attn.pp.qc(small)
    assert row(small, "all", "K4")["depth"] == pytest.approx(27 / 6)


def test_signal_is_of_the_first_resolution(small):
    wide = AnnData(layers={"K4": np.ones((6, 1), np.float32)}, obs=pd.DataFrame(index=small.obs_names))
    wide.var_names = ["wide"]
    mdata = attn.pp.qc(new_mudata({"histone_500bp": wide, **small.mod}, small.obs))
    assert mdata.obs["qc_signal"].tolist() == [6, 11, 1, 4, 4, 2]
    assert (mdata.uns["qc"]["modality"] == "histone_500bp").sum() == 2


@pytest.mark.parametrize("copy", [False, True])
def test_an_anndata_comes_back(small, copy):
    adata = small["histone"].copy()
    adata.obs = small.obs.copy()
    result = attn.pp.qc(adata, copy=copy)
    assert (result is adata) != copy
    assert set(result.uns["qc"]["channel"]) == {"K4", "K9"}
    assert "qc_signal" in result.obs
    assert ("qc" in adata.uns) != copy


def test_clean_data_gives_no_warning(small, log):
    small["histone"].layers["K9"] = small["histone"].layers["K4"] = 1 + np.arange(24, dtype=np.float32).reshape(6, 4)
    small["methylation"].obs["n_cpg"] = 1
    small["tf"].layers["other"][:] = 1
    attn.pp.qc(small)
    assert not log.records


@pytest.mark.parametrize(
    "message",
    [
        "K9 (histone) in a: 67% of the observations have no signal at all. Check that the track",
        "K9 (histone) in b: 0 times the median depth of the cell types. Bring the tracks",
        "K4 (histone) in a: 17% of the bins hold the largest value, so the signal is clipped. Build",
        "methylation in b: only 0% of the observations have a CpG. Check the genome build",
        "tf in b: 0 bound TFs. Check that genes are named",
    ],
)
def test_warnings_say_what_is_wrong_where_and_what_to_do(small, log, message):
    attn.pp.qc(small)
    assert message in log.text
    assert len(log.records) == 6  # K9 in b is also empty


def test_depth_is_compared_both_ways(small, log):
    small.obs["cell_type"] = ["a", "a", "b", "b", "c", "c"]
    depth = np.array([1, 1, 0.3, 0.3, 3.1, 3.1], np.float32)
    small["histone"].layers["K4"] = np.arange(4, dtype=np.float32) * depth[:, None]
    attn.pp.qc(small)
    assert "K4 (histone) in b: 0.3 times the median" in log.text
    assert "K4 (histone) in c: 3.1 times the median" in log.text
    assert "K4 (histone) in a" not in log.text.replace("K4 (histone) in a: 25% of the bins", "")


def test_mistakes_are_named(small):
    small["histone"].layers["K4"][1, 1] = np.nan
    with pytest.raises(ValueError, match=r"layers\['K4'\] has NaN"):
        attn.pp.qc(small)
    with pytest.raises(TypeError, match="Expected a MuData"):
        attn.pp.qc({})

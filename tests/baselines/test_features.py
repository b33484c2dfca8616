"""What the baselines read."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mudata import MuData
from scipy import sparse

from epiattn.baselines import _features as features

NAN = np.nan


def test_bins_are_those_of_all_marks_and_modalities(simulated):
    mdata = simulated.copy()
    marks = ["DNase", "H3K4me3"]
    wide = np.arange(mdata.n_obs * 3, dtype=float).reshape(-1, 3)
    mdata.mod["histone_500bp"] = ad.AnnData(obs=mdata.obs[[]], layers={"H3K4me3": sparse.csc_matrix(wide)})
    chosen = {"histone": marks, "histone_500bp": ["H3K4me3"]}
    expected = [*(mdata["histone"].layers[mark] for mark in marks), wide]
    found = features.bins(mdata, chosen, who="x")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.log1p(np.hstack(expected)), rtol=1e-6)
    totals = np.log1p(np.stack([values.sum(1) for values in expected], axis=1))
    np.testing.assert_allclose(features.totals(mdata, chosen, who="x"), totals, rtol=1e-6)


def test_blocks_do_not_matter(simulated, monkeypatch):
    whole = features.bins(simulated, None, who="x"), features.cpg_summary(simulated, None)
    monkeypatch.setattr(features, "BLOCK", 7)
    np.testing.assert_array_equal(features.bins(simulated, None, who="x"), whole[0])
    np.testing.assert_array_equal(features.cpg_summary(simulated, None), whole[1])


def test_marks_that_were_not_measured_are_marked(simulated):
    mdata = simulated.copy()
    known = pd.DataFrame({"DNase": np.arange(mdata.n_obs) > 2}, index=mdata.obs_names)
    mdata["histone"].obsm["measured"] = known
    found = features.bins(mdata, {"histone": ["DNase", "H3K4me3"]}, who="x", missing=NAN)
    assert np.isnan(found[:3, :40]).all()
    assert np.isfinite(found[:3, 40:]).all()
    assert np.isfinite(found[3:]).all()
    assert (features.bins(mdata, {"histone": ["DNase"]}, who="x")[:3] == 0).all()


@pytest.fixture
def small():
    """Three observations: three CpGs, one, none; two TFs of three, one, none."""
    obs = pd.DataFrame({"n_cpg": [3, 1, 0]}, index=list("abc"))
    beta = np.array([[0.2, 0.8, 0.5], [0.4, NAN, NAN], [NAN, NAN, NAN]])
    position = np.array([[-0.5, -0.1, 0.15], [0.3, 0, 0], [0, 0, 0]])
    binding = sparse.csr_matrix([[1.0, 0, 0.5], [0, 0, 1], [0, 0, 0]])
    mode = sparse.csr_matrix([[1.0, 0, -1], [0, 0, 1], [0, 0, 0]])
    level = sparse.csr_matrix([[3.0, 0, 4], [0, 0, 0], [0, 0, 0]])
    cpgs, tfs = (pd.DataFrame(index=[f"{what}_{i}" for i in range(3)]) for what in ("cpg", "tf"))
    return MuData(
        {
            "methylation": ad.AnnData(obs=obs, var=cpgs, layers={"beta": beta, "position": position}),
            "tf": ad.AnnData(obs=obs[[]], var=tfs, layers={"binding": binding, "expression": level, "mode": mode}),
        }
    )


def test_cpgs_in_six_numbers_on_paper(small):
    expected = [[3, 0.5, 0.2, 0.1, 2, 0.65], [1, 0.4, 0.4, 0.3, 0, NAN], [0, NAN, NAN, NAN, 0, NAN]]
    np.testing.assert_allclose(features.cpg_summary(small, None), expected)
    np.testing.assert_array_equal(features.n_cpg(small, None), [3, 1, 0])


def test_tfs_in_a_few_numbers_on_paper(small):
    # number, sum of binding, of expression, of mode, and of their product: 1*3*1 + 0.5*4*-1
    expected = [[2, 1.5, 7, 0, 1], [1, 1, 0, 1, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_allclose(features.tf_summary(small, None), expected)
    np.testing.assert_array_equal(features.n_tfs(small, None), [2, 1, 0])
    np.testing.assert_allclose(features.tf_summary(small, {"tf": ["mode"]}), [[2, 0, 0], [1, 1, 1], [0, 0, 0]])


def test_stored_zeros_are_no_tfs(small):
    small["tf"].layers["mode"].data[:] = 0
    small["tf"].layers["binding"].data[:] = 0
    np.testing.assert_array_equal(features.n_tfs(small, None), [2, 0, 0])
    small["tf"].layers["expression"].data[:] = 0
    with pytest.raises(ValueError, match="are 0 everywhere"):
        features.n_tfs(small, None)


def test_no_cpg_anywhere_is_said(small):
    small["methylation"].obs["n_cpg"] = 0
    with pytest.raises(ValueError, match=r"\['n_cpg'\] is 0 everywhere"):
        features.n_cpg(small, None)
    assert np.isnan(features.cpg_summary(small, None)[:, [1, 2, 3, 5]]).all()


def test_bad_values_are_named(simulated):
    mdata = simulated.copy()
    mdata["histone"].layers["H3K4me3"] = mdata["histone"].layers["H3K4me3"] - 1.0
    with pytest.raises(ValueError, match=r"layers\['H3K4me3'\] has negative values"):
        features.bins(mdata, None, who="x")

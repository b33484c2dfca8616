"""The logistic baseline."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import epiattn as attn


@pytest.fixture
def split(mdata):
    return attn.pp.split(mdata)


def test_it_is_a_regression_on_standardised_totals_of_the_training_split(split):
    layers = split["histone"].layers
    marks = sorted(name for name in layers if name is not None and not name.startswith("truth"))
    totals = np.log1p(np.stack([layers[mark].sum(1) for mark in marks], axis=1).astype(float))
    train = (split.obs["split"] == "train").to_numpy()
    totals = (totals - totals[train].mean(0)) / totals[train].std(0)
    high = (split.obs["label"] == "high").to_numpy()
    expected = LogisticRegression().fit(totals[train], high[train]).predict_proba(totals)[:, 1]
    np.testing.assert_allclose(attn.baselines.logistic(split, scale_by=None), expected, atol=1e-6)


def test_other_parts_and_missing_labels_are_not_learned_from(split):
    before = attn.baselines.logistic(split)
    test = split.obs["split"] == "test"
    split.obs["label"] = split.obs["label"].astype(object)
    split.obs.loc[test, "label"] = "low"
    split.obs.loc[split.obs["split"] == "validation", "label"] = None
    np.testing.assert_array_equal(attn.baselines.logistic(split), before)


def test_storage_and_container_do_not_matter(split):
    before = attn.baselines.logistic(split)
    adata = ad.AnnData(
        obs=split.obs,
        var=split["histone"].var,
        layers={name: sparse.csr_matrix(x) for name, x in split["histone"].layers.items() if name is not None},
    )
    np.testing.assert_allclose(attn.baselines.logistic(adata), before, atol=1e-6)


def test_it_finds_what_marks_say():
    mdata = attn.pp.split(attn.datasets.simulate(800, 1, seed=2))
    rows = (mdata.obs["split"] == "test").to_numpy()
    high = (mdata.obs["label"] == "high").to_numpy(dtype=float)
    assert attn.metrics.roc_auc(high[rows], attn.baselines.logistic(mdata)[rows]) > 0.75


def test_what_is_missing_is_named(split, mdata):
    with pytest.raises(ValueError, match=r"obs\['other'\] is missing"):
        attn.baselines.logistic(split, label_key="other")
    split.obs["label"] = "low"
    with pytest.raises(ValueError, match=r"'low' and 'high', but it holds \['low'\]"):
        attn.baselines.logistic(split)
    split.obs["label"] = ["low", "high"] * (split.n_obs // 2)
    del split.mod["histone"]
    with pytest.raises(ValueError, match="reads signal around the TSS"):
        attn.baselines.logistic(split)


def test_it_is_registered():
    from epiattn._registry import baselines

    assert baselines["logistic"].load() is attn.baselines.logistic

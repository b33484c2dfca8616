"""Input scaling by cell type: depth does not matter, and a saved model says the same of a part as of the whole."""

from __future__ import annotations

import logging

import mudata
import numpy as np
import pytest
from anndata import AnnData

import epiattn as attn
from epiattn._depth import DepthScaling
from epiattn.models import RegulatoryModel

CHANNELS = {"histone": ["A", "B"]}


def make(values, cell_types, *, measured=None):
    """Two marks in two bins; ``values`` of shape (n_obs, 2 marks)."""
    import pandas as pd

    values = np.asarray(values, np.float32)
    names = [f"obs{i}" for i in range(len(values))]
    obs = pd.DataFrame({"cell_type": cell_types}, index=names)
    adata = AnnData(
        layers={mark: np.stack([values[:, i], values[:, i]], 1) for i, mark in enumerate("AB")},
        obs=pd.DataFrame(index=names),
        var=pd.DataFrame(index=["b0", "b1"]),
    )
    if measured is not None:
        adata.obsm["measured"] = pd.DataFrame(measured, index=names, columns=["A", "B"])
    mdata = mudata.MuData({"histone": adata})
    mdata.obs = obs
    return mdata


def test_factors_bring_each_mark_to_the_geometric_mean_of_the_training_groups():
    mdata = make([[1, 5], [3, 5], [6, 0], [10, 0], [7, 1], [9, 3]], ["x", "x", "y", "y", "z", "z"])
    levels = DepthScaling(mdata, CHANNELS, by="cell_type", train=np.arange(4))
    np.testing.assert_allclose(levels.means["histone"].to_numpy(), [[2, 5], [8, 0], [8, 2]])
    # Means of A are 2 and 8: reference 4. B has no signal in y, so the reference is that of x.
    expected = [[2, 1], [2, 1], [0.5, 1], [0.5, 1], [0.5, 2.5], [0.5, 2.5]]
    np.testing.assert_allclose(levels.factors(mdata)["histone"], expected)


def test_the_training_observations_decide_where_there_are_some():
    mdata = make([[1, 5], [300, 0], [6, 1], [10, 3]], ["x", "x", "y", "y"])
    levels = DepthScaling(mdata, CHANNELS, by="cell_type", train=np.array([0]))
    np.testing.assert_allclose(levels.means["histone"].to_numpy(), [[1, 5], [8, 2]])
    np.testing.assert_allclose(levels.reference["histone"], [1, 5])


def test_what_was_not_measured_counts_nowhere():
    measured = [[True, True], [False, True], [True, True], [True, False]]
    mdata = make([[2, 1], [0, 3], [4, 8], [4, 0]], ["x", "x", "y", "y"], measured=measured)
    levels = DepthScaling(mdata, CHANNELS, by="cell_type", train=np.arange(4))
    np.testing.assert_allclose(levels.means["histone"].to_numpy(), [[2, 2], [4, 8]])


def test_observations_without_a_cell_type_are_a_group():
    mdata = make([[1, 1], [3, 3], [8, 8]], ["x", None, None])
    levels = DepthScaling(mdata, CHANNELS, by="cell_type", train=np.arange(3))
    assert list(levels.means["histone"].index) == ["", "x"]
    del mdata.obs["cell_type"]
    assert list(DepthScaling(mdata, CHANNELS, by="cell_type", train=np.arange(3)).means["histone"].index) == [""]


def test_one_cell_type_stays_as_it_is():
    mdata = make([[1, 5], [3, 4], [0.3, 9]], ["x"] * 3)
    factors = DepthScaling(mdata, CHANNELS, by="cell_type", train=np.arange(3)).factors(mdata)
    np.testing.assert_array_equal(factors["histone"], 1)


def test_new_groups_are_learned_from_the_object_and_few_observations_are_told(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("epiattn"), "propagate", True)
    mdata = make([[1, 5], [3, 5], [6, 1], [10, 3]], ["x", "x", "y", "y"])
    levels = DepthScaling(mdata[:2], CHANNELS, by="cell_type", train=np.arange(2))
    np.testing.assert_allclose(levels.factors(mdata)["histone"], [[1, 1], [1, 1], [0.25, 2.5], [0.25, 2.5]])
    assert "'y', which it has not seen, and there are only 2 observations" in caplog.text
    assert list(levels.means["histone"].index) == ["x"]  # predictions do not depend on what was predicted before


def test_no_column_at_all_is_one_new_group(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("epiattn"), "propagate", True)
    mdata = make([[1, 5], [3, 5], [6, 1], [10, 4]], ["x", "x", "y", "y"])
    levels = DepthScaling(mdata, CHANNELS, by="cell_type", train=np.arange(2))
    del mdata.obs["cell_type"]
    np.testing.assert_allclose(levels.factors(mdata)["histone"], [[2 / 5, 5 / 3.75]] * 4)
    assert "takes all 4 observations for one new group" in caplog.text


def test_another_column_must_be_there():
    with pytest.raises(ValueError, match="scale_by='lab': there is no such column"):
        DepthScaling(make([[1, 1]], ["x"]), CHANNELS, by="lab", train=np.arange(1))


# --- through the models ---------------------------------------------------------------------------------------------


def deeper(mdata, cell_type, factors):
    """Another depth of each mark in one cell type."""
    mdata = mdata.copy()
    rows = (mdata.obs["cell_type"] == cell_type).to_numpy()
    for mark, factor in factors.items():
        values = np.array(mdata["histone"].layers[mark], np.float32)
        values[rows] *= factor
        mdata["histone"].layers[mark] = values
    return mdata


@pytest.fixture(scope="module", params=["multi_attention", "kang2020"])
def fitted(request, simulated, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    known = simulated[simulated.obs["cell_type"] == "cell_type_0"].copy()
    attn.tl.fit(known, model=request.param, max_epochs=2, batch_size=64, model_dir=folder)
    return folder


def test_depth_of_a_new_cell_type_does_not_matter(simulated, fitted):
    changed = deeper(simulated, "cell_type_1", {"H3K4me3": 3.0, "H3K27ac": 0.3})
    scores = [attn.tl.embed(mdata, fitted, copy=True).obs["attn_score"] for mdata in (simulated, changed)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)


def test_depth_matters_without_scaling(simulated, tmp_path):
    options = {"model": "hm_crnn", "max_epochs": 1, "model_dir": tmp_path}
    known = simulated[simulated.obs["cell_type"] == "cell_type_0"].copy()
    attn.tl.fit(known, scale_by=None, **options)
    changed = deeper(simulated, "cell_type_1", {"H3K4me3": 3.0})
    scores = [attn.tl.embed(mdata, tmp_path, copy=True).obs["attn_score"] for mdata in (simulated, changed)]
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


def test_a_saved_model_says_the_same_of_a_part(simulated, tmp_path):
    mdata = attn.tl.fit(simulated, model="multi_attention", max_epochs=1, model_dir=tmp_path, copy=True)
    rows = np.flatnonzero(mdata.obs["cell_type"] == "cell_type_1")[::7]
    part = attn.tl.embed(simulated[rows].copy(), tmp_path)
    np.testing.assert_allclose(part.obs["attn_score"], mdata.obs["attn_score"].iloc[rows], atol=1e-5)
    levels = RegulatoryModel.load(tmp_path).depth_
    assert list(levels.means["histone"].index) == ["cell_type_0", "cell_type_1"]


@pytest.mark.parametrize("stack", [True, False])
def test_batches_are_scaled_however_they_are_read(simulated, stack):
    mdata = attn.pp.split(simulated, copy=True)
    attn.models.HMCRNN.setup_mudata(mdata)
    model = attn.models.HMCRNN(mdata)
    model.train(max_epochs=1, enable_progress_bar=False, stack=stack)
    dataset = model._dataset(mdata, stack=stack)
    values = np.concatenate([dataset[np.arange(first, first + 100)]["histone"].values for first in range(0, 400, 100)])
    first = (mdata.obs["cell_type"] == "cell_type_0").to_numpy()
    train = (mdata.obs["split"] == "train").to_numpy()
    means = [values[rows & train].mean((0, 2)) for rows in (first, ~first)]
    np.testing.assert_allclose(*means, rtol=1e-4)

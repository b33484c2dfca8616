"""Normalised signal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import epiattn as attn
from epiattn._modalities import find_channels

MARKS = ["H3K4me3", "H3K27ac"]


@pytest.fixture
def mdata(mdata):
    attn.pp.split(mdata)
    return mdata


def scaling_of_a_model(mdata, method):
    """What a model's own normalisation makes of all marks."""
    import torch

    from epiattn.models._module import InputScaling
    from epiattn.models._stores import SignalStore

    names = find_channels(mdata)["histone"]
    stores = {"histone": SignalStore([mdata["histone"].layers[name] for name in names])}
    scaling = InputScaling({"histone": len(names)}, method)
    scaling.fit(stores, np.flatnonzero(mdata.obs["split"] == "train"))
    with torch.no_grad():
        values = scaling("histone", stores["histone"].cut(np.arange(mdata.n_obs))).values.numpy()
    return {name: values[:, i] for i, name in enumerate(names)}


@pytest.mark.parametrize("method", ["log1p", "arcsinh", "none"])
@pytest.mark.parametrize("layout", ["dense", "csr", "duplicates", "integer"])
def test_is_what_a_model_sees(mdata, method, layout):
    histone = mdata["histone"]
    if layout == "csr":
        histone.layers["H3K4me3"] = sparse.csr_matrix(histone.layers["H3K4me3"])
    elif layout == "duplicates":  # a matrix may store a value in parts
        half = sparse.coo_matrix(histone.layers["H3K4me3"] / 2)
        twice = [np.concatenate([part, part]) for part in (half.data, half.row, half.col)]
        order = np.argsort(twice[1], kind="stable")
        indptr = np.concatenate([[0], np.cumsum(np.bincount(twice[1], minlength=mdata.n_obs))])
        histone.layers["H3K4me3"] = sparse.csr_matrix((twice[0][order], twice[2][order], indptr), shape=half.shape)
    elif layout == "integer":
        histone.layers["H3K4me3"] = histone.layers["H3K4me3"].astype(np.int32)
    expected = scaling_of_a_model(mdata, method)
    assert attn.pp.normalize(mdata, method=method) is mdata
    for mark, values in expected.items():
        found = histone.layers[f"{mark}_normalized"]
        assert found.dtype == np.float32
        if mark == "H3K4me3" and layout in ("csr", "duplicates"):
            assert found.format == "csr"
            assert found.nnz == (values != 0).sum()
            found = found.toarray()
        np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-6)


def test_test_observations_do_not_influence_the_scale(mdata):
    first = attn.pp.normalize(mdata, copy=True)
    rows = (mdata.obs["split"] != "train").to_numpy()
    mdata["histone"].layers["H3K4me3"][rows] *= 50
    second = attn.pp.normalize(mdata)
    scales = [m["histone"].uns["epiattn"]["normalization"]["scale"] for m in (first, second)]
    assert scales[0] == scales[1]
    mdata["histone"].layers["H3K4me3"][~rows] *= 50
    attn.pp.normalize(mdata)
    assert mdata["histone"].uns["epiattn"]["normalization"]["scale"]["H3K4me3"] != scales[0]["H3K4me3"]


def test_twice_is_once_and_marks_stay_marks(mdata):
    channels = find_channels(mdata)
    raw = mdata["histone"].layers["H3K27me3"].copy()
    once = attn.pp.normalize(mdata, copy=True)
    twice = attn.pp.normalize(once, copy=True)
    assert find_channels(twice) == channels
    assert set(twice["histone"].layers) == set(once["histone"].layers)
    np.testing.assert_array_equal(twice["histone"].layers["H3K27me3"], raw)
    np.testing.assert_array_equal(
        twice["histone"].layers["H3K27me3_normalized"], once["histone"].layers["H3K27me3_normalized"]
    )
    assert "H3K27me3_normalized" not in mdata["histone"].layers


def test_what_was_done_is_recorded_and_another_run_replaces_it(mdata, tmp_path):
    import mudata

    mdata.obs["fold"] = mdata.obs["split"]
    attn.pp.normalize(mdata, split_key="fold")
    record = mdata["histone"].uns["epiattn"]["normalization"]
    assert (record["method"], record["split_key"]) == ("log1p", "fold")
    assert set(record["scale"]) == set(find_channels(mdata)["histone"])

    mdata.write_h5mu(tmp_path / "data.h5mu")
    mdata = mudata.read_h5mu(tmp_path / "data.h5mu")
    attn.pp.normalize(mdata, method="arcsinh", scale=False, channels={"histone": MARKS})
    record = mdata["histone"].uns["epiattn"]["normalization"]
    assert record == {"method": "arcsinh", "scale": dict.fromkeys(MARKS, 1.0)}
    layers = [name for name in mdata["histone"].layers if name and name.endswith("_normalized")]
    assert sorted(layers) == sorted(f"{mark}_normalized" for mark in MARKS)
    np.testing.assert_allclose(
        mdata["histone"].layers["H3K4me3_normalized"], np.arcsinh(mdata["histone"].layers["H3K4me3"]), rtol=1e-6
    )


def test_without_scale_no_split_is_needed(mdata):
    del mdata.obs["split"]
    with pytest.raises(ValueError, match=r"obs\['split'\] is missing.*pp.split.*scale=False"):
        attn.pp.normalize(mdata)
    attn.pp.normalize(mdata, scale=False)
    np.testing.assert_allclose(
        mdata["histone"].layers["DNase_normalized"], np.log1p(mdata["histone"].layers["DNase"]), rtol=1e-6
    )


def test_a_mark_without_signal_stays_zero(mdata):
    mdata["histone"].layers["DNase"][:] = 0
    attn.pp.normalize(mdata)
    assert not mdata["histone"].layers["DNase_normalized"].any()
    assert mdata["histone"].uns["epiattn"]["normalization"]["scale"]["DNase"] == 1


def test_every_resolution_is_normalised_and_nothing_else(mdata):
    from epiattn._compat import layer_names, new_mudata

    before = {name: layer_names(mdata[name]) for name in ("methylation", "tf")}
    wide = mdata["histone"].copy()
    wide.var_names = [f"wide_{name}" for name in wide.var_names]
    mdata = new_mudata({**mdata.mod, "histone_500bp": wide}, mdata.obs)
    attn.pp.normalize(mdata)
    for modality in ("histone", "histone_500bp"):
        assert "H3K4me3_normalized" in mdata[modality].layers
    assert {name: layer_names(mdata[name]) for name in before} == before


@pytest.mark.parametrize("copy", [False, True])
def test_an_anndata_comes_back(mdata, copy):
    expected = attn.pp.normalize(mdata, copy=True)["histone"].layers["H3K4me3_normalized"]
    adata = mdata["histone"].copy()
    adata.obs = mdata.obs.copy()
    attn.pp.normalize(adata, method="none", copy=copy)
    result = attn.pp.normalize(adata, copy=copy)
    assert (result is adata) != copy
    assert result.uns["epiattn"]["normalization"]["method"] == "log1p"
    np.testing.assert_array_equal(result.layers["H3K4me3_normalized"], expected)
    assert ("H3K4me3_normalized" in adata.layers) != copy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "log2"}, "method must be one of"),
        ({"channels": {"tf": ["binding"]}}, "needs a modality 'histone'"),
        ({"channels": {"histone": ["H9"]}}, r"channels names \['H9'\]"),
        ({"split_key": "fold"}, r"obs\['fold'\] is missing"),
    ],
)
def test_mistakes_are_named(mdata, arguments, message):
    with pytest.raises(ValueError, match=message):
        attn.pp.normalize(mdata, **arguments)


def test_a_layer_of_that_name_is_not_overwritten(mdata):
    mdata["histone"].layers["DNase_normalized"] = mdata["histone"].layers["DNase"].copy()
    with pytest.raises(ValueError, match=r"\['DNase_normalized'\] in mdata\['histone'\].layers are not from"):
        attn.pp.normalize(mdata)


def test_a_split_without_training_part_is_refused(mdata):
    mdata.obs["split"] = "test"
    with pytest.raises(ValueError, match="no observation of the part 'train'"):
        attn.pp.normalize(mdata)


def test_nan_is_refused_with_its_place(mdata):
    mdata["histone"].layers["DNase"][2, 3] = np.nan
    with pytest.raises(ValueError, match=r"layers\['DNase'\] has NaN"):
        attn.pp.normalize(mdata)

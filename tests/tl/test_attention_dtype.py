"""Attention in half precision, and in one copy."""

from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import epiattn as attn
from epiattn.tl import _fit

QUICK = {"max_epochs": 1, "batch_size": 128}
HALF = {"attention_dtype": "float16", **QUICK}
ROUNDED = {"rtol": 2**-10, "atol": 1e-7}  # of float16, and where it is subnormal


@pytest.fixture(scope="module")
def single(simulated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return attn.tl.fit(simulated.copy(), model_dir=folder, **QUICK), folder


@pytest.fixture(scope="module")
def half(simulated):
    return attn.tl.fit(simulated.copy(), **HALF)


def dense_layers(mdata):
    """Attention over bins (of all marks, and of each) and CpGs."""
    return {
        (modality, name): np.asarray(mdata[modality].layers[name])
        for modality in ("histone", "methylation")
        for name in mdata[modality].layers
        if name is not None and name.startswith("attn_attention")
    }


def assert_rounded(mdata, expected):
    layers = dense_layers(expected)
    assert len(layers) == 2 + len(expected.uns["attn"]["channels"]["histone"])
    for place, values in dense_layers(mdata).items():
        assert values.dtype == np.float16, place
        np.testing.assert_allclose(values.astype(np.float32), layers[place], **ROUNDED, err_msg=str(place))


def test_it_is_the_attention_in_single_precision_rounded(half, single):
    assert {values.dtype for values in dense_layers(single[0]).values()} == {np.dtype("float32")}
    assert_rounded(half, single[0])


def test_all_else_is_as_it_was(half, single):
    np.testing.assert_array_equal(half.obs["attn_score"], single[0].obs["attn_score"])
    np.testing.assert_array_equal(half.obsm["X_attn"], single[0].obsm["X_attn"])
    ours, expected = (mdata["tf"].layers["attn_attention"] for mdata in (half, single[0]))
    assert sparse.issparse(ours)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours.toarray(), expected.toarray())


def test_embed_takes_it_too(single, mdata):
    expected, folder = single
    assert_rounded(attn.tl.embed(mdata, folder, attention_dtype="float16"), expected)


def test_an_ensemble_rounds_little_more_than_once(simulated):
    ensembles = [
        attn.tl.fit(simulated.copy(), model="kang2020", n_models=3, **QUICK, attention_dtype=dtype)
        for dtype in ("float16", "float32")
    ]
    ours, expected = (mdata["histone"].layers["attn_attention"] for mdata in ensembles)
    assert ours.dtype == np.float16
    np.testing.assert_allclose(ours.astype(np.float32), expected, rtol=3 * 2**-11)


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
@pytest.mark.filterwarnings("ignore::UserWarning:zarr", "ignore:.*zarr v2.*")
def test_the_disk_keeps_it(half, tmp_path, suffix):
    path = tmp_path / f"out.{suffix}"
    getattr(half, f"write_{suffix}")(path)
    back = getattr(mudata, f"read_{suffix}")(path)
    layers = dense_layers(back)
    assert layers
    for place, values in dense_layers(half).items():
        assert layers[place].dtype == np.float16
        np.testing.assert_array_equal(layers[place], values)
    attn.tl.fit(back, **HALF)  # its own layers are still told from marks
    assert_rounded(back, half)


def test_summaries_are_made_in_single_precision(half, single):
    tables = [attn.tl.attention(mdata, copy=True).uns["attn_attention"] for mdata in (half, single[0])]
    frames = [{name: value for name, value in table.items() if isinstance(value, pd.DataFrame)} for table in tables]
    assert frames[0]
    for name, frame in frames[0].items():
        pd.testing.assert_frame_equal(frame, frames[1][name], rtol=1e-2)  # standard errors, of almost equal values
        np.testing.assert_allclose(frame["mean"], frames[1][name]["mean"], rtol=2**-11)


def test_plots_read_it(half):
    for modality in ("histone", "methylation", "tf"):
        assert attn.pl.attention(half, modality=modality)


def test_another_precision_is_refused_before_any_work(mdata, single, monkeypatch):
    monkeypatch.setattr(_fit, "train_ensemble", None)
    with pytest.raises(ValueError, match=r"attention_dtype must be one of \['float32', 'float16'\], not 'bfloat16'"):
        attn.tl.fit(mdata, attention_dtype="bfloat16")
    with pytest.raises(ValueError, match="attention_dtype must be one of"):
        attn.tl.embed(mdata, single[1], attention_dtype="float64")


@pytest.mark.parametrize("model", ["kang2020", "multi_attention"])
def test_what_the_model_filled_is_what_the_object_holds(mdata, monkeypatch, model):
    seen = []
    write = _fit.write_results
    monkeypatch.setattr(_fit, "write_results", lambda *args, **kwargs: seen.extend(args[2]) or write(*args, **kwargs))
    attn.tl.fit(mdata, model=model, **QUICK)
    ((_, outputs),) = seen
    assert np.shares_memory(mdata["methylation"].layers["attn_attention"], outputs.attention["methylation"])
    assert np.shares_memory(mdata["tf"].layers["attn_attention"].data, outputs.attention["tf"].data)
    if model == "kang2020":
        assert np.shares_memory(mdata["histone"].layers["attn_attention"], outputs.attention["histone"])
    else:  # a layer of each mark, out of one array
        apart = outputs.mark_attention["histone"]
        assert np.shares_memory(mdata["histone"].layers["attn_attention_H3K4me3"], apart)

"""A saved model on other data."""

from __future__ import annotations

import numpy as np
import pytest

import epiattn as attn

QUICK = {"max_epochs": 2, "batch_size": 128}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, simulated):
    folder = tmp_path_factory.mktemp("model")
    attn.tl.fit(simulated.copy(), model_dir=folder, **QUICK)
    return folder


@pytest.fixture
def expected(simulated):
    return attn.tl.fit(simulated.copy(), **QUICK).obsm["X_attn"]


def test_the_training_data_gets_the_same_latent(folder, mdata, expected):
    np.testing.assert_array_equal(attn.tl.embed(mdata, folder).obsm["X_attn"], expected)


def test_new_data_needs_no_label_expression_or_split(folder):
    new = attn.datasets.simulate(30, ("unseen",), max_cpgs=30, n_tfs=20, seed=8)
    del new.obs["label"], new.obs["chrom"], new.mod["rna"]
    attn.tl.embed(new, folder, key_added="new")
    assert new.obsm["X_new"].shape == (30, 64)
    assert "metrics" in new.uns["new"]
    assert not new.uns["new"]["metrics"]


def test_channels_and_tfs_are_matched_by_name(folder, mdata, expected):
    layers = mdata["histone"].layers
    reordered = {name: layers[name] for name in sorted((n for n in layers if n is not None), reverse=True)}
    mdata["histone"].layers = {**reordered, "extra_mark": layers["DNase"] * 3}
    shuffled = mdata["tf"][:, ::-1].copy()
    shuffled.layers["noise"] = shuffled.layers["mode"] * 7
    mdata.mod["tf"] = shuffled
    mdata.update()
    attn.tl.embed(mdata, folder)
    np.testing.assert_allclose(mdata.obsm["X_attn"], expected, atol=1e-6)
    original = attn.tl.embed(attn.datasets.simulate(200, 2, max_cpgs=12, n_tfs=20, seed=3), folder)
    ours = mdata["tf"].layers["attn_attention"].toarray()[:, ::-1]
    np.testing.assert_allclose(ours, original["tf"].layers["attn_attention"].toarray(), atol=1e-6)


def test_a_lacking_mark_is_named(folder, mdata):
    del mdata["histone"].layers["H3K4me3"]
    with pytest.raises(ValueError, match=r"mdata\['histone'\].layers lacks \['H3K4me3'\]"):
        attn.tl.embed(mdata, folder)


def test_a_lacking_modality_is_named(folder, mdata):
    del mdata.mod["tf"]
    with pytest.raises(ValueError, match=r"lacks the modalities \['tf'\]"):
        attn.tl.embed(mdata, folder)


def test_with_modality_dropout_a_modality_may_lack(mdata, tmp_path):
    attn.tl.fit(mdata.copy(), model_dir=tmp_path, modality_dropout=0.2, **QUICK)
    del mdata.mod["tf"]
    attn.tl.embed(mdata, tmp_path)
    assert np.isfinite(mdata.obs["attn_score"]).all()
    assert "X_attn_tf" not in mdata.obsm


def test_other_bins_are_refused(folder, mdata):
    mdata["histone"].var["start"] += 50
    with pytest.raises(ValueError, match="bins differ from those the model was trained on"):
        attn.tl.embed(mdata, folder)


def test_lacking_tfs_are_named(folder):
    new = attn.datasets.simulate(30, 1, n_tfs=19, max_cpgs=12)
    with pytest.raises(ValueError, match="lacks 1 TFs that the model knows"):
        attn.tl.embed(new, folder)


def test_no_model_in_the_folder(mdata, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file 'model\.pt'"):
        attn.tl.embed(mdata, tmp_path)


def test_one_observation(folder, mdata, expected):
    one = mdata[:1].copy()
    np.testing.assert_allclose(attn.tl.embed(one, folder).obsm["X_attn"], expected[:1], atol=1e-5)

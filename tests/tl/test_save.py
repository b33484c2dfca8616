"""A model that was not saved by the fit is saved afterwards."""

from __future__ import annotations

import mudata
import numpy as np
import pytest

import epiattn as attn

QUICK = {"model": "kang2020", "max_epochs": 1, "batch_size": 128}


@pytest.mark.parametrize("options", [{}, {"n_models": 2}, {"per": "cell_type", "key_added": "own"}])
def test_a_model_saved_later_is_the_one_that_the_fit_saves(mdata, tmp_path, options):
    key = options.get("key_added", "attn")
    fitted = attn.tl.fit(mdata, model_dir=tmp_path / "at once", copy=True, **QUICK, **options)
    later = attn.tl.fit(mdata, copy=True, **QUICK, **options)
    assert "model_dir" not in later.uns[key]
    assert attn.tl.save(later, tmp_path / "later", key=key) is later
    assert later.uns[key]["model_dir"] == str(tmp_path / "later")
    files = [
        {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*")} for name in ("at once", "later")
    ]
    assert files[0] == files[1]
    for name in ("at once", "later"):
        embedded = attn.tl.embed(mdata, tmp_path / name, key_added=key, copy=True)
        np.testing.assert_array_equal(embedded.obsm[f"X_{key}"], fitted.obsm[f"X_{key}"])


def test_it_is_found_in_a_later_session(mdata, tmp_path, monkeypatch):
    mdata = attn.tl.fit(mdata, **QUICK)
    attn.tl.save(mdata, tmp_path / "model")
    mdata.write_h5mu(tmp_path / "fitted.h5mu")
    monkeypatch.setattr("epiattn.tl._trained._KEPT", {})
    again = mudata.read_h5mu(tmp_path / "fitted.h5mu")
    attn.tl.attribute(again, n_steps=2)
    assert "attn_attribution" in again.obsm
    attn.tl.save(again, tmp_path / "copy")  # from its folder
    assert (tmp_path / "copy" / "model.pt").exists()


def test_what_cannot_be_saved_is_said(mdata, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no run 'attn'|attn"):
        attn.tl.save(mdata, tmp_path / "model")
    mdata = attn.tl.fit(mdata, **QUICK)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        attn.tl.save(mdata, tmp_path / "file")
    monkeypatch.setattr("epiattn.tl._trained._KEPT", {})
    with pytest.raises(ValueError, match="not in this session's memory"):
        attn.tl.save(mdata, tmp_path / "model")
    assert not (tmp_path / "model").exists()

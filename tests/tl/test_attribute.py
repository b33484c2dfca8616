"""Attributions in the object."""

from __future__ import annotations

import mudata
import numpy as np
import pytest

import epiattn as attn
from epiattn.tl import _trained


@pytest.fixture(scope="module")
def fitted(simulated):
    return attn.tl.fit(simulated, max_epochs=3, copy=True)


@pytest.fixture(scope="module")
def attributed(fitted):
    return attn.tl.attribute(fitted, n_steps=20, copy=True)


def marks_of(mdata):
    return list(mdata.uns["attn"]["channels"]["histone"])


def test_everything_is_written_and_sums_to_the_change_of_the_output(attributed):
    mdata, total = attributed, attributed.obsm["attn_attribution"]
    assert list(total) == [*marks_of(mdata), "methylation", "tf"]
    for mark in marks_of(mdata):
        np.testing.assert_allclose(
            mdata["histone"].layers[f"attn_attribution_{mark}"].sum(1), total[mark], rtol=1e-4, atol=1e-6
        )
    for modality in ("methylation", "tf"):
        sums = np.asarray(mdata[modality].layers["attn_attribution"].sum(1)).ravel()
        np.testing.assert_allclose(sums, total[modality], rtol=1e-4, atol=1e-6)
    log_odds = np.log(mdata.obs["attn_score"] / (1 - mdata.obs["attn_score"])).to_numpy(float)
    baseline = _trained.Trained(mdata, "attn").attribute(method="gradient_x_input").baseline
    missed = np.abs(total.sum(axis=1).to_numpy() - (log_odds - baseline))
    assert missed.max() < 0.011 * np.abs(log_odds - baseline).max()
    record = mdata.uns["attn_attribution"]
    assert record["method"] == "integrated_gradients"
    assert record["error"]["max"] < 0.02


def test_attributions_are_never_taken_for_marks(attributed):
    mdata = attributed.copy()
    attn.models.MultiAttention.setup_mudata(mdata)
    assert attn.models.MultiAttention(mdata).channels["histone"] == marks_of(mdata)


def test_they_survive_writing(attributed, tmp_path):
    attributed.write_h5mu(tmp_path / "a.h5mu")
    read = mudata.read_h5mu(tmp_path / "a.h5mu")
    np.testing.assert_array_equal(read.obsm["attn_attribution"], attributed.obsm["attn_attribution"])
    assert read.uns["attn_attribution"]["key"] == "attn"


def test_some_genes_only(fitted, attributed):
    some = attn.tl.attribute(fitted, n_steps=20, genes=["gene_00003", "gene_00007@cell_type_1"], copy=True)
    rows = np.flatnonzero(some.obsm["attn_attribution"].notna().all(axis=1))
    assert list(some.obs_names[rows]) == ["gene_00003@cell_type_0", "gene_00003@cell_type_1", "gene_00007@cell_type_1"]
    layer = some["histone"].layers["attn_attribution_H3K4me3"]
    assert np.isnan(np.delete(layer, rows, axis=0)).all()
    np.testing.assert_allclose(layer[rows], attributed["histone"].layers["attn_attribution_H3K4me3"][rows], atol=2e-3)
    assert not np.delete(some["tf"].layers["attn_attribution"].toarray(), rows, axis=0).any()


def test_smoothing_spreads_attributions_over_bins_nearby_and_keeps_their_sums(fitted):
    genes = list(fitted.obs_names[:3])
    plain, smooth = (attn.tl.attribute(fitted, n_steps=5, genes=genes, smooth=sd, copy=True) for sd in (0, 150))
    n_bins = fitted["histone"].n_vars
    bins = np.arange(-4 * n_bins, 4 * n_bins)  # mirrored at the ends of the window, again and again
    mirrored = np.where(bins // n_bins % 2, n_bins - 1 - bins % n_bins, bins % n_bins)
    for mark in marks_of(fitted):
        values, found = (each["histone"].layers[f"attn_attribution_{mark}"][:3] for each in (plain, smooth))
        for j in (0, 5, 20, n_bins - 1):
            weights = np.exp(-(((bins - j) * 100 / 150) ** 2) / 2) * (np.abs(bins - j) <= round(4 * 1.5))
            expected = (values[:, mirrored] * weights).sum(1) / weights.sum()
            np.testing.assert_allclose(found[:, j], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        smooth.obsm["attn_attribution"][:3], plain.obsm["attn_attribution"][:3], rtol=1e-4, atol=1e-6
    )
    assert smooth.uns["attn_attribution"]["smooth"] == 150


def test_smoothing_needs_the_places_of_the_bins(fitted):
    nowhere = fitted.copy()
    del nowhere["histone"].var["end"]
    with pytest.raises(ValueError, match="smooth=100 bp needs mdata\\['histone'\\].var\\['start'\\]"):
        attn.tl.attribute(nowhere, smooth=100, method="gradient_x_input")


def test_an_ensemble_gives_the_mean_of_its_members(simulated):
    options, some = {"max_epochs": 1, "copy": True}, {"n_steps": 5, "genes": list(simulated.obs_names[:30])}
    single = [attn.tl.attribute(attn.tl.fit(simulated, seed=seed, **options), **some) for seed in (0, 1)]
    both = attn.tl.attribute(attn.tl.fit(simulated, n_models=2, **options), **some)
    sums = [each.obsm["attn_attribution"].to_numpy()[:30] for each in (both, *single)]
    assert np.isfinite(sums[0]).all()
    np.testing.assert_allclose(sums[0], (sums[1] + sums[2]) / 2, atol=1e-5)
    tfs = [each["tf"].layers["attn_attribution"].toarray() for each in (both, *single)]
    np.testing.assert_allclose(tfs[0], (tfs[1] + tfs[2]) / 2, atol=1e-5)


def test_one_model_for_each_cell_type(simulated):
    some = {"n_steps": 5, "genes": ["gene_00001", "gene_00003", "gene_00007"]}
    mdata = attn.tl.attribute(attn.tl.fit(simulated, per="cell_type", max_epochs=1, copy=True), **some)
    rows = np.flatnonzero(mdata.obs["cell_type"] == "cell_type_1")
    alone = mudata.MuData({name: adata[rows].copy() for name, adata in simulated.mod.items()})
    alone.obs = simulated.obs.iloc[rows].copy()
    alone.obs["split"] = mdata.obs["split"].iloc[rows]
    alone = attn.tl.attribute(attn.tl.fit(alone, max_epochs=1), **some)
    assert alone.obsm["attn_attribution"].notna().all(axis=1).sum() == 3
    np.testing.assert_allclose(mdata.obsm["attn_attribution"].iloc[rows], alone.obsm["attn_attribution"], atol=1e-4)
    tfs = [each["tf"].layers["attn_attribution"].toarray() for each in (mdata, alone)]
    np.testing.assert_allclose(tfs[0][rows], tfs[1], atol=1e-4)


def test_histone_only_anndata(simulated):
    adata = simulated["histone"].copy()
    adata.obs = simulated.obs.copy()
    adata = attn.tl.attribute(attn.tl.fit(adata, max_epochs=1), n_steps=3)
    assert adata.layers["attn_attribution_H3K27ac"].shape == adata.shape


# --- which model is asked --------------------------------------------------------------------------------------------


def test_a_saved_model_is_found_again(simulated, tmp_path, monkeypatch):
    mdata = attn.tl.fit(simulated, max_epochs=1, model_dir=tmp_path / "model", copy=True)
    some = {"n_steps": 3, "genes": list(mdata.obs_names[:20])}
    expected = attn.tl.attribute(mdata, **some, copy=True).obsm["attn_attribution"]
    monkeypatch.setattr(_trained, "_KEPT", type(_trained._KEPT)())
    found = attn.tl.attribute(mdata, **some, copy=True).obsm["attn_attribution"]  # by the folder in uns
    np.testing.assert_allclose(found, expected, atol=1e-6)
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"memory, and there is no folder '/.*model'. Pass model_dir="):
        attn.tl.attribute(mdata)
    found = attn.tl.attribute(mdata, **some, model_dir=tmp_path / "elsewhere").obsm["attn_attribution"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_another_model_is_refused(simulated, tmp_path):
    attn.tl.fit(simulated, max_epochs=1, seed=5, model_dir=tmp_path / "other", copy=True)
    mdata = attn.tl.fit(simulated, max_epochs=1, copy=True)
    with pytest.raises(ValueError, match=r"are not those of the run 'attn'"):
        attn.tl.attribute(mdata, model_dir=tmp_path / "other")
    mdata = attn.tl.embed(mdata, tmp_path / "other")
    assert "attn_attribution" in attn.tl.attribute(mdata, n_steps=2, model_dir=tmp_path / "other").obsm


def test_models_that_are_kept_do_not_keep_the_data(simulated):
    mdata = attn.tl.fit(simulated, max_epochs=1, copy=True)
    kept = _trained.find_models(mdata, "attn")[""].first
    assert kept.adata is None
    assert kept.trainer is None


def test_no_more_models_are_kept_than_a_few(simulated, monkeypatch):
    monkeypatch.setattr(_trained, "_N_KEPT", 1)
    monkeypatch.setattr(_trained, "_KEPT", type(_trained._KEPT)())
    first = attn.tl.fit(simulated, max_epochs=1, copy=True)
    attn.tl.fit(simulated, max_epochs=1, seed=1, copy=True)
    with pytest.raises(ValueError, match="fit again"):
        attn.tl.attribute(first)


def test_what_cannot_be_done_is_said(mdata, fitted):
    with pytest.raises(ValueError, match=r"No fit under key 'attn': uns holds no run; run attn\.tl\.fit"):
        attn.tl.attribute(mdata)
    with pytest.raises(ValueError, match=r"method"):
        attn.tl.attribute(fitted, method="magic", copy=True)
    with pytest.raises(ValueError, match=r"n_steps must be 1 or more, not 0"):
        attn.tl.attribute(fitted, n_steps=0, copy=True)
    with pytest.raises(ValueError, match=r"smooth must be a number of bp, 0 or more, not -1"):
        attn.tl.attribute(fitted, smooth=-1, copy=True)
    with pytest.raises(ValueError, match=r"Unknown genes \['nobody'\]"):
        attn.tl.attribute(fitted, genes=["nobody"], copy=True)
    taken = fitted.copy()
    taken.obsm["attn_attribution"] = np.zeros((taken.n_obs, 1))
    with pytest.raises(ValueError, match=r"would overwrite \['obsm/attn_attribution'\]"):
        attn.tl.attribute(taken)


def test_an_incomplete_method_warns(fitted, caplog):
    import logging

    from epiattn._logging import logger

    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING):
        attn.tl.attribute(fitted, method="gradient_x_input", copy=True)
    logger.removeHandler(caplog.handler)
    assert "'gradient_x_input' miss the change of the output by more than 1 %" in caplog.text

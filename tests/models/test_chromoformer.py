"""Chromoformer: resolutions, and the modality of distal regions."""

from __future__ import annotations

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest

import epiattn as attn
from epiattn.models import Chromoformer

SMALL = {"n_features": 8, "n_inner": (8, 8, 12), "n_layers": (1, 1, 2), "n_heads": (2, 2, 2), "n_hidden": (8, 8, 8)}
QUICK = {"max_epochs": 1, "batch_size": 128}
FIT = {"model": "chromoformer", **SMALL, **QUICK}
N_REGIONS, N_BINS = 3, 10  # of 200 bp: 2 kb


def add_regions(mdata: mudata.MuData, *, seed: int = 0, informative: bool = False) -> mudata.MuData:
    """Add up to three regions to each promoter; if informative, active genes touch a region with a peak of H3K27ac."""
    rng = np.random.default_rng(seed)
    n_obs = mdata.n_obs
    n_regions = rng.integers(0, N_REGIONS + 1, n_obs)
    if informative:
        n_regions = np.maximum(n_regions, 1)
    there = np.arange(N_REGIONS) < n_regions[:, None]
    frequency = np.where(there, rng.uniform(0.5, 2.0, there.shape), 0)
    signal = rng.poisson(0.3, (n_obs, N_REGIONS, N_BINS)) * there[..., None]
    if informative:
        signal[(mdata.obs["label"] == "high").to_numpy(), 0, 4:6] += 8
    start = np.tile(np.arange(N_BINS) * 200 - 1_000, N_REGIONS)
    names = [f"region_{region}_bin_{i}" for region in range(N_REGIONS) for i in range(N_BINS)]
    layers = {
        "H3K27ac": signal.reshape(n_obs, -1).astype(np.float32),
        "H3K4me1": rng.poisson(0.3, (n_obs, N_REGIONS * N_BINS)).astype(np.float32),
        "frequency": np.repeat(frequency, N_BINS, axis=1).astype(np.float32),
    }
    var = pd.DataFrame({"start": start, "end": start + 200}, index=names)
    modalities = {name: adata.copy() for name, adata in mdata.mod.items()}
    modalities["distal"] = ad.AnnData(obs=pd.DataFrame(index=mdata.obs_names), var=var, layers=layers)
    result = mudata.MuData(modalities)
    result.obs = mdata.obs.copy()
    return result


@pytest.fixture(scope="module")
def with_regions(simulated):
    return add_regions(mudata.MuData({"histone": simulated["histone"].copy(), "tf": simulated["tf"].copy()}), seed=1)


@pytest.fixture
def regions(with_regions, simulated):
    mdata = with_regions.copy()
    mdata.obs = simulated.obs.copy()
    return mdata


# --- resolutions -----------------------------------------------------------------------------------------------------


def test_the_published_resolutions_are_averages_of_the_objects_bins(mdata):
    Chromoformer.setup_mudata(mdata)
    network = Chromoformer(mdata).module.network
    encoder = network.encoders["histone"]
    assert encoder.factors == [20, 5, 1]  # bins of 100 bp
    assert [len(embed.positions) for embed in encoder.embeddings] == [2, 8, 40]
    assert [embed.centre for embed in encoder.embeddings] == [1, 4, 20]  # the TSS is where bin 20 starts
    assert network.n_latent == 384


def test_a_resolution_that_the_object_has_is_read_from_there():
    mdata = attn.datasets.simulate(n_genes=60, cell_types=1, n_bins=(40, 8), bin_size=(100, 500))
    attn.tl.fit(mdata, **FIT)
    assert mdata.obsm["X_attn_histone"].shape == (60, 16)  # 2,000 and 100 bp
    assert mdata.obsm["X_attn_histone_500bp"].shape == (60, 8)
    np.testing.assert_allclose(mdata["histone_500bp"].layers["attn_attention"].sum(1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match=r"resolutions \[2000, 100\] is made of \['histone_500bp'\]"):
        attn.tl.fit(mdata, resolutions=(2_000, 100), **FIT)


def test_resolutions_must_be_multiples_of_the_bins():
    mdata = attn.datasets.simulate(n_genes=60, cell_types=1, n_bins=20, bin_size=200)
    with pytest.raises(ValueError, match=r"500 bp cannot be made of those of mdata\['histone'\], which are 200 bp"):
        attn.tl.fit(mdata, **FIT)
    attn.tl.fit(mdata, resolutions=[2_000, 400, 200], **FIT)
    assert mdata.obsm["X_attn"].shape == (60, 24)


def test_bins_without_coordinates_or_tss_are_refused(mdata):
    downstream = mudata.MuData({"histone": mdata["histone"][:, 22:].copy()})
    downstream.obs = mdata.obs.copy()
    with pytest.raises(ValueError, match="no bin covers the TSS"):
        attn.tl.fit(downstream, **FIT)
    del mdata["histone"].var["start"]
    with pytest.raises(ValueError, match=r"mdata\['histone'\].var needs columns 'start' and 'end'"):
        attn.tl.fit(mdata, **FIT)


# --- distal regions --------------------------------------------------------------------------------------------------


def test_regions_are_read_where_there_are_any(regions, tmp_path):
    attn.tl.fit(regions, model_dir=tmp_path, resolutions=[2_000, 200], **FIT)
    record = regions.uns["attn"]
    assert list(record["channels"]) == ["histone", "distal"]
    assert list(record["channels"]["distal"]) == ["H3K27ac", "H3K4me1", "frequency"]
    assert regions.obsm["X_attn"].shape == (400, 16)
    assert regions.obsm["X_attn_distal"].shape == (400, 16)
    attention = regions["distal"].layers["attn_attention"].reshape(400, N_REGIONS, N_BINS)
    there = regions["distal"].layers["frequency"].reshape(400, N_REGIONS, N_BINS) > 0
    np.testing.assert_allclose(attention.sum((1, 2)), there.any((1, 2)), rtol=1e-5)
    assert (attention[~there] == 0).all()
    assert (attention[there] > 0).all()
    fresh = attn.tl.embed(regions, tmp_path, copy=True)
    np.testing.assert_array_equal(fresh.obsm["X_attn"], regions.obsm["X_attn"])
    model = attn.models.RegulatoryModel.load(tmp_path)
    np.testing.assert_array_equal(model.get_latent_representation(regions), regions.obsm["X_attn"])
    del regions.mod["distal"]
    with pytest.raises(ValueError, match=r"lacks the modalities \['distal'\]"):
        model.predict(regions)


def test_regions_can_be_left_out_and_other_models_never_read_them(regions):
    without = mudata.MuData({"histone": regions["histone"].copy()})
    without.obs = regions.obs.copy()
    expected = attn.tl.fit(without, **FIT).obsm["X_attn"]
    marks = list(without.uns["attn"]["channels"]["histone"])
    attn.tl.fit(regions, channels={"histone": marks}, **FIT)
    np.testing.assert_array_equal(regions.obsm["X_attn"], expected)
    assert "X_attn_distal" not in regions.obsm
    for model in ("multi_attention", "hm_crnn"):
        attn.tl.fit(regions, model=model, key_added=model, **QUICK)
        assert "distal" not in regions.uns[model]["channels"]


@pytest.mark.parametrize("with_them", [False, True])
def test_what_happens_in_regions_is_learned(simulated, with_them):
    """The promoters say nothing here: their signal is shuffled among the genes."""
    mdata = mudata.MuData({"histone": simulated["histone"].copy()})
    mdata.obs = simulated.obs.copy()
    order = np.random.default_rng(0).permutation(mdata.n_obs)
    marks = ["H3K4me3", "H3K27ac"]
    for mark in marks:
        mdata["histone"].layers[mark] = mdata["histone"].layers[mark][order]
    mdata = add_regions(mdata, informative=True)
    channels = {"histone": marks, **({"distal": ["H3K27ac", "H3K4me1", "frequency"]} if with_them else {})}
    options = {"resolutions": [200], "max_epochs": 12, "batch_size": 16, "lr": 5e-3, **SMALL}
    attn.tl.fit(mdata, channels=channels, model="chromoformer", **options)
    auc = mdata.uns["attn"]["metrics"]["test"]["auc"]
    assert auc > 0.9 if with_them else auc < 0.65
    if with_them:
        attention = mdata["distal"].layers["attn_attention"].reshape(-1, N_REGIONS, N_BINS)
        high = (mdata.obs["label"] == "high").to_numpy()
        assert attention[high][:, 0, 4:6].mean() > 2 * attention[high][:, 0, [0, 1, 8, 9]].mean()


def remove_frequency(distal):
    del distal.layers["frequency"]


def remove_marks(distal):
    del distal.layers["H3K27ac"], distal.layers["H3K4me1"]


def shift_a_bin(distal):
    distal.var.iloc[-1, 0] += 50


def widen(distal):
    distal.var[["start", "end"]] *= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove_frequency, r"mdata\['distal'\] needs the layer 'frequency' and one layer per mark"),
        (remove_marks, r"needs the layer 'frequency' and one layer per mark; it has \['frequency'\]"),
        (shift_a_bin, "'start' does not repeat every 10 bins"),
        (widen, r"200 bp cannot be made of those of mdata\['distal'\], which are 400 bp wide"),
    ],
)
def test_a_wrong_layout_is_named(regions, change, message):
    change(regions["distal"])
    with pytest.raises(ValueError, match=message):
        attn.tl.fit(regions, resolutions=[2_000, 200], **FIT)

"""The published models that read histone marks only: one interface for all of them."""

from __future__ import annotations

import mudata
import numpy as np
import pytest

import epiattn as attn
from epiattn._registry import models
from epiattn.models import HMCRNN, AttentiveChrome, Chromoformer, DeepChrome, RegulatoryModel

#: Small enough to train in a moment, by the name in the registry.
SMALL = {
    "deep_chrome": {"n_kernels": 6, "n_hidden": (12, 9)},
    "attentive_chrome": {"n_hidden": 4, "n_hidden_marks": 3},
    "hm_crnn": {"n_kernels": 5, "n_hidden": 4},
    "chromoformer": {
        "n_features": 8,
        "n_inner": (8, 8, 12),
        "n_layers": (1, 1, 2),
        "n_heads": (2, 2, 2),
        "n_hidden": (8, 8, 8),
    },
}
CLASSES = {
    "deep_chrome": DeepChrome,
    "attentive_chrome": AttentiveChrome,
    "hm_crnn": HMCRNN,
    "chromoformer": Chromoformer,
}
N_LATENT = {"deep_chrome": 9, "attentive_chrome": 6, "hm_crnn": 8, "chromoformer": 24}
#: Options with which a dozen epochs are enough.
LEARNS = {**SMALL, "chromoformer": {**SMALL["chromoformer"], "lr": 5e-3}}
QUICK = {"max_epochs": 1, "batch_size": 128}
ALL = pytest.mark.parametrize("name", list(SMALL))


@pytest.fixture(scope="module")
def fitted(simulated, tmp_path_factory):
    """Each model, fitted: the object, and the folder of the model."""
    attn.settings.verbosity = "warning"
    found = {}
    for name, options in SMALL.items():
        folder = tmp_path_factory.mktemp(name)
        found[name] = attn.tl.fit(simulated, model=name, model_dir=folder, copy=True, **options, **QUICK), folder
    return found


@ALL
def test_what_is_written_is_what_every_model_writes(fitted, name):
    mdata, _ = fitted[name]
    assert mdata.obsm["X_attn"].shape == mdata.obsm["X_attn_histone"].shape[:1] + (N_LATENT[name],)
    attention = mdata["histone"].layers["attn_attention"]
    assert attention.shape == (400, 40)
    np.testing.assert_allclose(attention.sum(1), 1, rtol=1e-5)
    assert mdata.obs["attn_score"].between(0, 1).all()
    assert (mdata.obsm["attn_modality"].to_numpy() == 1).all()
    np.testing.assert_allclose(mdata.uns["attn"]["uniform_attention"]["histone"].sum(), 1, rtol=1e-5)


@ALL
def test_nothing_but_histone_marks_is_read_and_the_record_says_so(fitted, simulated, name):
    mdata, folder = fitted[name]
    marks = [layer for layer in simulated["histone"].layers if layer and not layer.startswith("truth")]
    record = mdata.uns["attn"]
    assert {modality: list(names) for modality, names in record["channels"].items()} == {"histone": sorted(marks)}
    assert record["model"] == name
    assert record["attends"] == {"histone": name != "deep_chrome"}
    assert "attn_attention" not in mdata["tf"].layers
    other = mudata.MuData({"histone": simulated["histone"].copy()})
    other.obs["cell_type"] = simulated.obs["cell_type"]
    np.testing.assert_array_equal(attn.tl.embed(other, folder).obsm["X_attn"], mdata.obsm["X_attn"])


@ALL
def test_loading_gives_equal_latents_and_the_class(fitted, simulated, name):
    mdata, folder = fitted[name]
    model = RegulatoryModel.load(folder)
    assert type(model) is CLASSES[name] is models[name].load()
    np.testing.assert_array_equal(model.get_latent_representation(simulated.copy()), mdata.obsm["X_attn"])
    again = CLASSES[name].load(folder, simulated.copy())
    np.testing.assert_array_equal(again.predict(), mdata.obs["attn_score"].to_numpy())
    assert f"{N_LATENT[name]} dimensions" in repr(again)
    embedded = attn.tl.embed(simulated, folder, copy=True)
    np.testing.assert_array_equal(
        embedded["histone"].layers["attn_attention"], mdata["histone"].layers["attn_attention"]
    )


@ALL
def test_the_explicit_steps_give_the_same_numbers(fitted, simulated, name):
    import torch

    mdata = attn.pp.split(simulated.copy())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLASSES[name].setup_mudata(mdata)
        model = CLASSES[name](mdata, **SMALL[name])
        model.train(**QUICK, **models[name].options)
    np.testing.assert_array_equal(model.get_latent_representation(), fitted[name][0].obsm["X_attn"])


@ALL
def test_it_learns_on_held_out_chromosomes(mdata, name):
    attn.tl.fit(mdata, model=name, max_epochs=12, batch_size=32, **LEARNS[name])
    parts = mdata.obs.groupby("chrom", observed=True)["split"].nunique()
    assert (parts == 1).all()
    assert mdata.uns["attn"]["metrics"]["test"]["auc"] > 0.75


@ALL
def test_expression_can_be_the_target_and_the_signal_read_back(mdata, name):
    options = {**SMALL[name], **QUICK}
    attn.tl.fit(mdata, model=name, target="expression", reconstruction=0.5, **options)
    assert {"loss_train", "r2_validation", "reconstruction_train"} <= set(mdata.uns["attn"]["history"])
    assert np.isfinite(mdata.obs["attn_score"]).all()


@ALL
def test_marks_can_be_chosen_and_other_modalities_are_refused(mdata, name):
    attn.tl.fit(mdata, model=name, channels={"histone": ["H3K27ac", "H3K4me3"]}, **SMALL[name], **QUICK)
    assert list(mdata.uns["attn"]["channels"]["histone"]) == ["H3K27ac", "H3K4me3"]
    with pytest.raises(ValueError, match=rf"{CLASSES[name].__name__} reads \['histone'\].*names \['tf'\]"):
        attn.tl.fit(mdata, model=name, channels={"histone": ["H3K4me3"], "tf": ["binding"]}, **QUICK)
    with pytest.raises(ValueError, match="channels names the modalities"):
        attn.tl.fit(mdata, model=name, channels={"histones": ["H3K4me3"]}, **QUICK)


@ALL
def test_an_object_without_histone_marks_is_refused(mdata, name):
    other = mudata.MuData({"tf": mdata["tf"].copy()})
    other.obs = mdata.obs.copy()
    with pytest.raises(ValueError, match="needs a modality 'histone'"):
        attn.tl.fit(other, model=name, **QUICK)


@ALL
def test_a_histone_only_anndata_is_enough(mdata, name):
    import anndata as ad

    adata = ad.AnnData(obs=mdata.obs, var=mdata["histone"].var, layers=dict(mdata["histone"].layers))
    assert attn.tl.fit(adata, model=name, **SMALL[name], **QUICK).obsm["X_attn"].shape == (400, N_LATENT[name])


@pytest.mark.parametrize("name", ["deep_chrome", "hm_crnn"])
def test_a_window_too_small_for_the_kernel_is_named(mdata, name):
    small = mudata.MuData({"histone": mdata["histone"][:, :6].copy()})
    small.obs = mdata.obs.copy()
    with pytest.raises(ValueError, match="The window has 6 bins, fewer than the"):
        attn.tl.fit(small, model=name, **QUICK)


@pytest.mark.parametrize("name", ["deep_chrome", "attentive_chrome", "hm_crnn"])
def test_several_resolutions_get_an_encoder_each(name):
    mdata = attn.datasets.simulate(n_genes=80, cell_types=1, n_bins=(40, 20), bin_size=(100, 200))
    attn.tl.fit(mdata, model=name, **SMALL[name], **QUICK)
    assert mdata.obsm["X_attn"].shape[1] == 2 * N_LATENT[name]
    assert mdata["histone_200bp"].layers["attn_attention"].shape == (80, 20)


# --- marks that are kept apart ---------------------------------------------------------------------------------------


def test_the_part_of_each_mark_is_written_and_their_sum_is_the_attention(fitted, simulated):
    mdata, folder = fitted["attentive_chrome"]
    marks = list(mdata.uns["attn"]["channels"]["histone"])
    layers = mdata["histone"].layers
    parts = np.stack([layers[f"attn_attention_{mark}"] for mark in marks], axis=1)
    np.testing.assert_allclose(parts.sum(1), layers["attn_attention"], rtol=1e-5)
    model = RegulatoryModel.load(folder, simulated.copy())
    np.testing.assert_array_equal(model.get_attention(modality="histone", per_mark=True), parts)
    np.testing.assert_array_equal(model.get_attention(modality="histone"), layers["attn_attention"])
    assert {f"attn_attention_{mark}" for mark in marks} <= set(mdata["histone"].uns["epiattn"]["written"])


@pytest.mark.parametrize("name", ["deep_chrome", "hm_crnn", "chromoformer"])
def test_models_that_mix_the_marks_say_so(fitted, simulated, name):
    mdata, folder = fitted[name]
    assert not [layer for layer in mdata["histone"].layers if layer and layer.startswith("attn_attention_")]
    with pytest.raises(ValueError, match=f"{CLASSES[name].__name__} over 'histone' does not tell the channels apart"):
        RegulatoryModel.load(folder).get_attention(simulated.copy(), modality="histone", per_mark=True)


def test_another_run_replaces_the_parts_of_the_marks_and_never_takes_them_for_marks(fitted):
    mdata = fitted["attentive_chrome"][0].copy()
    attn.tl.fit(mdata, model="attentive_chrome", **SMALL["attentive_chrome"], **QUICK)
    np.testing.assert_array_equal(mdata.obsm["X_attn"], fitted["attentive_chrome"][0].obsm["X_attn"])
    attn.tl.fit(mdata, model="hm_crnn", **SMALL["hm_crnn"], **QUICK)
    assert "attn_attention_H3K4me3" not in mdata["histone"].layers


def test_a_layer_of_the_user_is_not_overwritten(mdata):
    mdata["histone"].layers["attn_attention_H3K4me3"] = np.zeros((400, 40))
    with pytest.raises(ValueError, match="histone/layers/attn_attention_H3K4me3"):
        attn.tl.fit(mdata, model="attentive_chrome", channels={"histone": ["H3K4me3"]}, **QUICK)


def test_one_model_for_each_cell_type_keeps_the_marks_apart_too(mdata):
    attn.tl.fit(mdata, model="attentive_chrome", per="cell_type", **SMALL["attentive_chrome"], **QUICK)
    parts = [values for layer, values in mdata["histone"].layers.items() if str(layer).startswith("attn_attention_")]
    np.testing.assert_allclose(sum(part.sum(1) for part in parts), 1, rtol=1e-5)


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
@pytest.mark.filterwarnings("ignore::UserWarning:zarr", "ignore:.*zarr v2.*")
def test_what_is_written_survives_the_disk(fitted, tmp_path, suffix):
    read = {"h5mu": mudata.read_h5mu, "zarr": mudata.read_zarr}[suffix]
    mdata = fitted["attentive_chrome"][0]
    getattr(mdata, {"h5mu": "write_h5mu", "zarr": "write_zarr"}[suffix])(tmp_path / f"out.{suffix}")
    back = read(tmp_path / f"out.{suffix}")
    assert bool(back.uns["attn"]["attends"]["histone"]) is True
    for layer in mdata["histone"].layers:
        if layer:
            found, expected = back["histone"].layers[layer], mdata["histone"].layers[layer]
            assert abs(found - expected).max() == 0

"""The scvi-tools side: set-up, training, inference, saving."""

from __future__ import annotations

import numpy as np
import pytest
from lightning.pytorch import Callback

import epiattn as attn
from epiattn import _registry
from epiattn.models import Kang2020, RegulatoryModel

QUICK = {"max_epochs": 2, "batch_size": 128}


@pytest.fixture(scope="module")
def trained(simulated):
    mdata = attn.pp.split(simulated.copy())
    Kang2020.setup_mudata(mdata)
    model = Kang2020(mdata, n_heads=3, n_kernels=5)
    model.train(**QUICK)
    return model


def test_outputs_have_their_shapes(trained):
    assert trained.predict().shape == (400,)
    assert trained.get_latent_representation().shape == (400, 105)
    assert trained.get_latent_representation(modality="methylation").shape == (400, 20)
    assert trained.get_attention(modality="histone").shape == (400, 40)
    assert trained.get_attention(modality="tf").shape == (400, 20)
    assert trained.get_modality_weights().shape == (400, 3)


def test_attention_is_that_of_the_modules_own_tensors(trained):
    import torch

    dataset = trained._dataset(trained.adata)
    with torch.inference_mode():
        embedding, _ = trained.module(dataset[np.arange(400)], compute_loss=False)
    attention = {name: values.cpu() for name, values in embedding["attention"].items()}
    np.testing.assert_allclose(trained.get_attention(modality="histone"), attention["histone"], atol=1e-6)
    bound = dataset.stores["tf"].cut(np.arange(400)).mask.numpy()
    expected = np.where(bound, attention["tf"].numpy(), 0)
    np.testing.assert_allclose(trained.get_attention(modality="tf").toarray(), expected, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 400])
def test_the_batch_size_does_not_matter(trained, batch_size):
    expected = trained.get_latent_representation()
    np.testing.assert_allclose(trained.get_latent_representation(batch_size=batch_size), expected, atol=1e-5)


@pytest.mark.parametrize("loaded_with", ["same", "fresh", "copy", "nothing"])
def test_loading_gives_equal_latents(trained, simulated, tmp_path, loaded_with):
    expected = trained.get_latent_representation()
    trained.save(tmp_path / "m")
    fresh = simulated.copy()
    data = {"same": trained.adata, "fresh": fresh, "copy": trained.adata.copy(), "nothing": None}[loaded_with]
    model = RegulatoryModel.load(tmp_path / "m", data)
    latent = model.get_latent_representation(fresh if data is None else None)
    np.testing.assert_array_equal(latent, expected)
    assert repr(model) == repr(trained)
    model.save(tmp_path / "again")
    again = Kang2020.load(tmp_path / "again", adata=False)
    np.testing.assert_array_equal(again.get_latent_representation(fresh), expected)


def test_without_data_it_asks_for_some(trained, tmp_path):
    trained.save(tmp_path / "m")
    with pytest.raises(ValueError, match="loaded without data"):
        Kang2020.load(tmp_path / "m").predict()


@pytest.mark.parametrize("scale_by", [None, "cell_type"])
def test_scaling_is_learned_on_the_training_split_only(simulated, scale_by):
    mdata = attn.pp.split(simulated.copy())
    test = (mdata.obs["split"] != "train").to_numpy()
    scales = []
    for factor in (1, 1000):
        changed = mdata.copy()
        changed["histone"].layers["H3K4me3"][test] *= factor
        Kang2020.setup_mudata(changed)
        model = Kang2020(changed, scale_by=scale_by)
        model.train(max_epochs=1)
        scales.append(model.module.scaling.scale_histone.cpu().numpy())
    np.testing.assert_array_equal(*scales)
    at = model.channels["histone"].index("H3K4me3")
    factors = model.depth_.factors(mdata)["histone"][:, [at]] if scale_by else 1
    signal = np.log1p(factors * mdata["histone"].layers["H3K4me3"])[~test]
    assert scales[0][at] == pytest.approx(np.sqrt((signal**2).mean()), rel=1e-5)


def test_repr_says_what_it_is(trained):
    text = repr(trained)
    assert "Kang2020 predicting label" in text
    assert "H3K4me3" in text
    assert "20 TFs" in text
    assert "2 epochs" in text


def test_best_weights_are_restored(simulated):
    mdata = attn.pp.split(simulated.copy())
    Kang2020.setup_mudata(mdata)
    model = Kang2020(mdata)
    model.train(max_epochs=30, lr=0.05, early_stopping=False)
    losses = model.history["loss_validation"]["loss_validation"].to_numpy(float)
    assert model.best_epoch_ == losses.argmin() + 1
    rows = (mdata.obs["split"] == "validation").to_numpy()
    truth = (mdata.obs["label"] == "high").to_numpy()[rows]
    score = model.predict()[rows].astype(float)
    loss = -np.log(np.where(truth, score, 1 - score)).mean()
    assert loss == pytest.approx(losses.min(), rel=1e-3)


class Modes(Callback):
    """Notes which modes the layers are in when a batch is learned from."""

    def __init__(self):
        self.found = set()

    def on_train_batch_start(self, trainer, plan, *_):
        self.found |= {layer.training for layer in plan.module.modules()}


@pytest.mark.parametrize("name", ["multi_attention", "kang2020"])
def test_training_goes_on_as_training(simulated, name):
    mdata = attn.pp.split(simulated.copy())
    model_class, modes = _registry.models[name].load(), Modes()
    model_class.setup_mudata(mdata)
    model = model_class(mdata)
    for _ in range(2):
        model.train(max_epochs=1, batch_size=256, callbacks=[modes])
        assert modes.found == {True}
        assert not any(layer.training for layer in model.module.modules())


def test_early_stopping_stops(simulated):
    mdata = attn.pp.split(simulated.copy())
    Kang2020.setup_mudata(mdata)
    model = Kang2020(mdata)
    model.train(max_epochs=200, lr=0.05, early_stopping_patience=2)
    assert len(model.history["loss_train"]) < 200


def test_an_untrained_model_says_so(simulated):
    mdata = simulated.copy()
    Kang2020.setup_mudata(mdata)
    with pytest.raises(RuntimeError, match="not trained yet"):
        Kang2020(mdata).predict()


def test_training_without_a_split_says_what_to_do(simulated):
    mdata = simulated.copy()
    Kang2020.setup_mudata(mdata)
    with pytest.raises(ValueError, match="pp.split"):
        Kang2020(mdata).train()


def test_setup_anndata_points_to_mudata(simulated):
    with pytest.raises(NotImplementedError, match="tl.fit"):
        Kang2020.setup_anndata(simulated["histone"])
    with pytest.raises(TypeError, match="needs a MuData"):
        Kang2020.setup_mudata(simulated["histone"].copy())


def test_all_sizes_are_parameters(simulated):
    mdata = attn.pp.split(simulated.copy())
    Kang2020.setup_mudata(mdata)
    model = Kang2020(mdata, n_hidden_histone=3, n_hidden_methylation=2, n_context_tf=1, n_heads=2, pool_size=1)
    model.train(max_epochs=1)
    assert model.get_latent_representation().shape == (400, 11)

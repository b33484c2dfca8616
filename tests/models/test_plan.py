"""The training plan."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import epiattn as attn
from epiattn.models._plan import RegulatoryPlan


@pytest.fixture
def model(mdata):
    def make(**options):
        attn.models.Kang2020.setup_mudata(mdata)
        return attn.models.Kang2020(mdata, **options)

    return make


@pytest.mark.parametrize("reconstruction", [0.0, 0.5])
def test_every_weight_is_trained_once_and_the_head_is_decayed_without_a_decoder_only(model, reconstruction):
    module = model(reconstruction=reconstruction).module
    plan = RegulatoryPlan(module, lr=1e-2, weight_decay=0.3)
    plan._trainer = SimpleNamespace(estimated_stepping_batches=10)
    groups = plan.configure_optimizers()["optimizer"].param_groups
    decay = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert set(decay) == {id(parameter) for parameter in module.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(decay)
    head = {decay[id(parameter)] for parameter in module.network.head.parameters()}
    encoders = {decay[id(parameter)] for parameter in module.network.encoders.parameters()}
    assert head == ({0.0} if reconstruction else {0.3})
    assert encoders == {0.3}


def test_a_negative_weight_of_the_reconstruction_is_refused(model):
    with pytest.raises(ValueError, match="reconstruction must be 0 or more"):
        model(reconstruction=-1)
    with pytest.raises(ValueError, match="reconstruction must be 0 or more"):
        model(reconstruction=float("nan"))


def test_the_loss_is_that_of_the_prediction_plus_the_weighted_reconstruction(model):
    import numpy as np
    import torch

    fitted = model(reconstruction=0.5)
    dataset = fitted._dataset(fitted.adata, target=fitted.get_target())
    batch = dataset[np.arange(30)]
    fitted.module.eval()
    outputs, generated, losses = fitted.module(batch)
    prediction = torch.nn.functional.binary_cross_entropy_with_logits(generated["score"], batch["target"])
    reconstruction = fitted.module.decoder.loss(outputs["z"], outputs["scaled"], outputs["attention"])
    torch.testing.assert_close(losses.loss, prediction + 0.5 * reconstruction)
    torch.testing.assert_close(losses.extra_metrics["loss"], prediction)


def test_kang2020_is_as_published_and_the_default_is_not(mdata):
    for model, expected in {"kang2020": False, "multi_attention": True}.items():
        attn.tl.fit(mdata, model=model, max_epochs=1, key_added=model)
        assert any("reconstruction" in name for name in mdata.uns[model]["history"]) is expected
    attn.tl.fit(mdata, model="kang2020", max_epochs=1, key_added="own", reconstruction=0.1)
    assert mdata.uns["own"]["model_options"]["reconstruction"] == 0.1

"""The module: what training does to its inputs, and its second target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import epiattn as attn
from epiattn._registry import models
from epiattn.models import MultiAttention
from epiattn.models._loader import EXPRESSION, TARGET
from epiattn.models._module import Augmentation
from epiattn.nn import ModalityBatch

QUICK = {"max_epochs": 1, "batch_size": 128}


@pytest.fixture
def make(mdata):
    def make(**options):
        attn.pp.split(mdata)
        MultiAttention.setup_mudata(mdata)
        return MultiAttention(mdata, **options)

    return make


def signal(n: int = 400) -> dict[str, ModalityBatch]:
    return {"histone": ModalityBatch(torch.rand(n, 2, 5), None, torch.ones(n, dtype=torch.bool))}


def test_nothing_is_changed_outside_of_training():
    augmentation, batch = Augmentation(mixup=1.0, gain_noise=1.0).eval(), signal()
    changed, mixture = augmentation(batch)
    assert mixture is None
    assert changed["histone"].values is batch["histone"].values


def test_gains_are_those_of_each_mark_and_observation():
    torch.manual_seed(0)
    batch = signal()
    changed, mixture = Augmentation(gain_noise=0.3).train()(batch)
    assert mixture is None
    ratio = changed["histone"].values / batch["histone"].values
    assert_close(ratio, ratio[..., :1].expand_as(ratio))
    assert ratio[..., 0].log().std().item() == pytest.approx(0.3, rel=0.1)
    assert ratio[..., 0].log().mean().item() == pytest.approx(0.0, abs=0.05)


def test_observations_are_mixed_in_uniform_shares():
    torch.manual_seed(0)
    batch = signal()
    changed, mixture = Augmentation(mixup=1.0).train()(batch)
    assert sorted(mixture.partner.tolist()) == list(range(400))
    assert mixture.share.mean().item() == pytest.approx(0.5, abs=0.05)
    assert mixture.share.var().item() == pytest.approx(1 / 12, rel=0.15)
    assert_close(changed["histone"].values, mixture.of(batch["histone"].values))


@pytest.mark.parametrize("name", ["mixup", "gain_noise"])
@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_negative_options_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be 0 or more"):
        Augmentation(**{name: value})


def test_the_loss_of_mixed_observations_is_that_of_mixed_targets(make):
    model = make(reconstruction=0.0, gain_noise=0.0, dropout=0.0)
    target = model.get_target()
    expression = np.linspace(-1, 1, 400)
    expression[::7] = np.nan
    batch = model._dataset(model.adata, target=target, expression=expression)[np.arange(60)]
    model.module.train()
    embedded, generated, losses = model.module(batch)
    mixture = embedded["mixture"]
    mixed = mixture.of(batch[TARGET])
    prediction = torch.nn.functional.binary_cross_entropy_with_logits(generated["score"], mixed)
    assert_close(losses.extra_metrics["loss"], prediction)
    wanted = mixture.of(batch[EXPRESSION])
    known = wanted.isfinite()
    assert 0 < known.sum() < 60
    found = model.module.expression_head(embedded["z"]).squeeze(1)
    error = torch.nn.functional.huber_loss(found[known], wanted[known])
    assert_close(losses.extra_metrics["expression"], error)
    assert_close(losses.loss, prediction + 0.3 * error)


@pytest.mark.parametrize("loss", ["focal", "pairwise"])
def test_losses_that_need_labels_are_not_given_mixed_ones(make, loss):
    model = make(loss=loss)
    assert model.module.augmentation.mixup == 0
    model.train(**QUICK)


def test_the_second_target_is_there_for_labels_with_expression_only(make, mdata):
    model = make()
    train = np.arange(200)
    found = model._second_target(mdata, train)
    assert found[train].mean() == pytest.approx(0, abs=1e-5)
    assert found[train].std() == pytest.approx(1, rel=1e-5)
    assert make(expression_weight=0.0)._second_target(mdata, train) is None
    assert make(target="expression").module.expression_head is None
    del mdata.mod["rna"]
    without = make()
    without.train(**QUICK)
    assert "expression_train" not in without.history_


def test_probabilities_are_calibrated_on_the_validation_part(make, mdata):
    torch.manual_seed(0)
    model = make(expression_weight=0.0)  # the second reading would take over on so little data
    model.train(**QUICK, calibrate=False)
    assert model.module.temperature == 1
    model.train(max_epochs=6, batch_size=16)
    temperature = float(model.module.temperature)
    assert temperature != 1
    assert 0.05 < temperature < 20  # within its bounds: the validation part says something of it
    validation = (mdata.obs["split"] == "validation").to_numpy()
    probability, high = model.predict(), (mdata.obs["label"] == "high").to_numpy(float)
    logit = np.log(probability / (1 - probability)) * temperature
    assert attn.metrics.temperature(high[validation], logit[validation]) == pytest.approx(temperature, rel=1e-3)


@pytest.mark.parametrize("name", ["kang2020", "hm_crnn", "attentive_chrome"])
def test_published_models_are_trained_without_any_of_it(mdata, name):
    attn.pp.split(mdata)
    model_class = models[name].load()
    model_class.setup_mudata(mdata)
    model = model_class(mdata)
    model.train(**QUICK)
    assert model.module.temperature == 1
    assert model.module.expression_head is None
    assert model.module.augmentation.mixup == model.module.augmentation.gain_noise == 0

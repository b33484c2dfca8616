"""Models that are trained in one pass: each learns what it would learn alone, from the same batches."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from scvi.train import SaveCheckpoint

import epiattn as attn
from epiattn.models._loader import MIXTURE
from epiattn.models._together import BestOfEach, StackedPlan
from epiattn.tl import _ensemble

#: Nothing random in a step, so that a model alone and one of several can be compared.
PLAIN = {"dropout": 0.0, "mixup": 0.0, "gain_noise": 0.0}
SHORT = {"max_epochs": 2, "enable_progress_bar": False}
SEEDS = range(3)


@pytest.fixture(scope="module")
def data():
    data = attn.datasets.simulate(n_genes=90, cell_types=2, n_bins=20, max_cpgs=8, n_tfs=12, seed=3)
    data["tf"].obsm["measured"] = np.arange(data.n_obs)[:, None] % 5 > 0
    data["rna"].X[::7] = np.nan
    return attn.pp.split(data)


def make(data, seed, **options):
    attn.models.MultiAttention.setup_mudata(data)
    torch.manual_seed(seed)
    return attn.models.MultiAttention(data, **options)


def train_together(data, **options):
    first, *others = [make(data, seed, **options) for seed in SEEDS]
    torch.manual_seed(7)
    first.train(together_with=others, **SHORT)
    return [first, *others]


def train_alone(data, **options):
    models = [make(data, seed, **options) for seed in SEEDS]
    for model in models:
        torch.manual_seed(7)
        model.train(**SHORT)
    return models


@pytest.fixture(scope="module")
def together(data):
    return train_together(data, **PLAIN)


@pytest.mark.parametrize("options", [{}, {"modality_dropout": 0.0, "target": "expression"}])
def test_each_learns_what_it_would_learn_alone(data, together, options):
    several = together if not options else train_together(data, **PLAIN, **options)
    for one, other in zip(several, train_alone(data, **PLAIN, **options), strict=True):
        np.testing.assert_allclose(one.get_latent_representation(), other.get_latent_representation(), atol=2e-3)
        np.testing.assert_allclose(one.predict(), other.predict(), atol=2e-3)
        assert one.best_epoch_ == other.best_epoch_
        assert list(one.history_) == list(other.history_)
        for name, values in one.history_.items():
            assert values.index.name == other.history_[name].index.name == "epoch"
            np.testing.assert_allclose(values.to_numpy(float), other.history_[name].to_numpy(float), atol=2e-3)
        np.testing.assert_array_equal(one.train_indices, other.train_indices)


def test_they_are_three_models_not_one(together):
    latent = [model.get_latent_representation() for model in together]
    assert min(np.abs(latent[i] - latent[j]).mean() for i, j in [(0, 1), (0, 2), (1, 2)]) > 0.01


def test_a_model_trained_with_others_is_saved_and_loaded(data, together, tmp_path):
    together[1].save(tmp_path / "model")
    loaded = attn.models.RegulatoryModel.load(tmp_path / "model", data)
    np.testing.assert_allclose(loaded.predict(), together[1].predict(), atol=1e-6)
    assert "trained  2 epochs" in repr(together[1])


def plan_of(data, **options):
    models = [make(data, seed, **options) for seed in SEEDS]
    dataset = models[0]._dataset(data, target=models[0].get_target(), expression=np.full(data.n_obs, np.nan))
    dataset.targets["expression"][:20] = torch.linspace(-1, 1, 20)
    for model in models:
        model.module.learn_inputs(dataset.stores, np.arange(100))
    return StackedPlan([model.module for model in models], lr=1e-3, weight_decay=0.1), dataset[np.arange(32)]


def test_losses_and_gradients_are_those_of_each_module_with_its_mixture(data, monkeypatch):
    plan, batch = plan_of(data, dropout=0.0, gain_noise=0.0)
    plan.train()
    drawn = [module.augmentation.draw(32, torch.device("cpu")) for module in plan.modules_]
    left = iter(drawn)
    monkeypatch.setattr(plan.module.augmentation, "draw", lambda *_: next(left))
    plan._step(batch, "train").backward()
    losses, scores, targets = plan._seen["train"][0]
    stacked = dict(zip(plan._names, plan._weights, strict=True))
    buffers = plan.state
    for i, (module, mixture) in enumerate(zip(plan.modules_, drawn, strict=True)):
        _, outputs, found = module({**batch, MIXTURE: mixture})
        found.loss.backward()
        torch.testing.assert_close(scores[i], outputs["score"].detach())
        for name, value in found.extra_metrics.items():
            torch.testing.assert_close(losses[name][i], value.detach())
        for name, weights in module.named_parameters():
            torch.testing.assert_close(stacked[name].grad[i], weights.grad, atol=1e-5, rtol=1e-3, msg=name)
        for name, values in module.named_buffers():  # the running means of batch normalisation have moved alike
            torch.testing.assert_close(buffers[name][i], values, msg=name)
        mixed = batch["target"].round()
        expected = torch.where(mixture.share < 0.5, mixed[mixture.partner], mixed)
        torch.testing.assert_close(targets[i], expected)


def test_what_is_random_in_a_step_is_each_ones_own(data):
    plan, batch = plan_of(data, dropout=0.5)
    for values in [*plan._weights, *(getattr(plan, f"_buffer_{i}") for i in range(len(plan._buffer_names)))]:
        values.data[:] = values.data[:1].clone()  # the same weights
    plan.eval()
    plan._step(batch, "validation")
    scores = plan._seen["validation"][0][1]
    torch.testing.assert_close(scores[0], scores[1])
    plan.train()
    torch.manual_seed(0)
    plan._step(batch, "train")
    scores, targets = plan._seen["train"][0][1:]
    assert not torch.allclose(scores[0], scores[1])
    assert not torch.equal(targets[0], targets[1])


def test_every_weight_is_trained_and_the_heads_are_not_decayed(data):
    plan, _ = plan_of(data)
    rest, head = plan._groups()
    n_weights = sum(weights.numel() for weights in plan.module.parameters())
    assert sum(weights.numel() for weights in [*rest, *head]) == 3 * n_weights
    assert sum(weights.numel() for weights in head) == 3 * sum(w.numel() for w in plan.module.network.head.parameters())


def epochs_of(plan, best, losses):
    """Let the callback see epochs in which all weights are the epoch's number; the epochs until the training ends."""
    trainer = SimpleNamespace(sanity_checking=False, should_stop=False)
    for epoch, values in enumerate(losses):
        trainer.current_epoch = epoch
        plan.histories.setdefault("loss_validation", {})[epoch] = np.array(values)
        for weights in plan._weights:
            weights.data.fill_(epoch)
        best.on_validation_end(trainer, plan)
        if trainer.should_stop:
            break
    best.on_train_end(trainer, plan)
    return epoch + 1


def test_each_keeps_its_own_best_epoch(data):
    plan, _ = plan_of(data)
    best = BestOfEach(plan)
    assert epochs_of(plan, best, [[3.0, 1.0, np.nan], [2.0, 2.0, 2.0], [4.0, 0.5, 3.0]]) == 3
    assert best.epochs.tolist() == [1, 2, 1]
    assert best.values.tolist() == [2.0, 0.5, 2.0]
    assert best.last.tolist() == [2, 2, 2]
    for module, epoch in zip(plan.modules_, best.epochs, strict=True):
        assert {float(values) for weights in module.parameters() for values in weights.detach().unique()} == {epoch}


def test_each_stops_by_itself_and_the_training_when_all_have(data):
    plan, _ = plan_of(data)
    best = BestOfEach(plan, patience=2)
    # the first stops after epoch 2, the second with a loss that is no number, the third after epoch 4
    losses = [[1.0, 2.0, 5.0], [1.0, np.inf, 4.0], [2.0, 0.0, 3.0], [0.5, 0.0, 3.0], [0.5, 0.0, 3.0], [0.0, 0.0, 0.0]]
    assert epochs_of(plan, best, losses) == 5
    assert best.epochs.tolist() == [0, 0, 2]
    assert best.values.tolist() == [1.0, 2.0, 3.0]
    assert best.last.tolist() == [2, 1, 4]
    assert plan.history(1, best.last[1])["loss_validation"]["loss_validation"].tolist() == [2.0, np.inf]


def test_what_is_frozen_stays_as_it_is(data):
    models = [make(data, seed) for seed in SEEDS]
    before = [model.module.network.head.layers[0].weight.detach().clone() for model in models]
    for model in models:
        model.module.network.head.requires_grad_(False)
    models[0].train(together_with=models[1:], **SHORT)
    for model, weight in zip(models, before, strict=True):
        torch.testing.assert_close(model.module.network.head.layers[0].weight.cpu(), weight.cpu())


def test_epochs_may_know_no_expression_and_validation_may_come_more_often(data):
    few = data.copy()
    few["rna"].X[:] = np.nan
    train = np.flatnonzero(few.obs["split"] == "train")
    few["rna"].X[train[:3]] = [[0.5], [1.0], [3.0]]
    first, *others = [make(few, seed) for seed in SEEDS]
    first.train(together_with=others, val_check_interval=0.5, num_sanity_val_steps=1, **SHORT)
    assert len(others[0].history_["loss_validation"]) == 2
    assert "expression_validation" not in others[0].history_


def test_models_that_are_not_alike_are_refused(data, together):
    model = make(data, 0)
    with pytest.raises(ValueError, match=r"together_with\[1\] is not a model of the same kind"):
        model.train(together_with=[make(data, 1), make(data, 2, n_queries=2)])
    with pytest.raises(ValueError, match=r"together_with\[0\] is not a model of the same kind"):
        model.train(together_with=[make(data.copy(), 1)])
    with pytest.raises(ValueError, match="trained already"):
        make(data, 0, **PLAIN).train(together_with=together[:1])
    with pytest.raises(ValueError, match="is there twice"):
        model.train(together_with=[model])
    published = [make(data, seed, tf_encoder="self_attention") for seed in SEEDS]
    with pytest.raises(ValueError, match="cannot be trained together: TFSelfAttention does not vectorise"):
        published[0].train(together_with=published[1:])
    for options, message in [
        ({"gradient_clip_val": 1.0}, "gradient_clip_val would clip"),
        ({"enable_checkpointing": True}, "checkpoints would hold the first"),
        ({"callbacks": [SaveCheckpoint(monitor="loss_validation")]}, "checkpoints would hold the first"),
        ({"precision": "64-true"}, "precision='64-true' is not one of"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.train(together_with=[make(data, 1)], **options)
    assert not model.is_trained_


def test_a_derived_part_says_anew_whether_it_vectorises(data):
    class Branching(attn.nn.HistoneAttention):
        pass

    models = [make(data, seed) for seed in SEEDS]
    models[0].module.network.encoders["histone"].__class__ = Branching
    with pytest.raises(ValueError, match="Branching does not vectorise"):
        models[0].train(together_with=models[1:])


# --- tl.fit, where it does so by itself -------------------------------------------------------------------------


@pytest.fixture
def on_gpu(monkeypatch):
    """As if there were one; how often models were trained together, and alone."""
    calls = {"together": 0, "alone": 0}
    train = attn.models.MultiAttention.train

    def counted(self, *args, together_with=(), **kwargs):
        calls["together" if together_with else "alone"] += 1
        return train(self, *args, together_with=together_with, **kwargs)

    monkeypatch.setattr(_ensemble.Recipe, "device", torch.device("cuda"))
    monkeypatch.setattr(attn.models.MultiAttention, "train", counted)
    return calls


def test_an_ensemble_is_trained_in_one_pass_on_a_gpu(data, on_gpu):
    state = torch.get_rng_state()
    fitted = attn.tl.fit(data, n_models=3, seed=5, copy=True, max_epochs=2)
    assert on_gpu == {"together": 1, "alone": 0}
    torch.testing.assert_close(torch.get_rng_state(), state)
    history = fitted.uns["attn"]["history"]
    assert history["seed"].tolist() == [5, 5, 6, 6, 7, 7]
    assert history["epoch"].tolist() == [1, 2] * 3
    assert history["kept"].sum() == 3
    assert len(np.unique(history["loss_train"])) == 6
    assert (fitted.obs["attn_score_sd"] > 0).all()
    again = attn.tl.fit(data, n_models=3, seed=5, copy=True, max_epochs=2)
    np.testing.assert_array_equal(fitted.obs["attn_score"], again.obs["attn_score"])


def test_models_of_cell_types_have_a_pass_each(data, on_gpu):
    attn.tl.fit(data, n_models=2, per="cell_type", copy=True, max_epochs=1)
    assert on_gpu == {"together": 2, "alone": 0}


@pytest.mark.parametrize(
    "options", [{"tf_encoder": "self_attention"}, {"callbacks": [Callback()]}, {"gradient_clip_val": 1.0}]
)
def test_others_are_trained_one_after_the_other(data, on_gpu, options):
    attn.tl.fit(data, n_models=2, copy=True, max_epochs=1, **options)
    assert on_gpu == {"together": 0, "alone": 2}

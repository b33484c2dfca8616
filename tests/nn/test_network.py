from __future__ import annotations

from itertools import chain, combinations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from epiattn.nn import (
    AttentiveChromeRNN,
    Concatenation,
    DeepChromeCNN,
    HistoneCRNN,
    LinearHead,
    MethylationRNN,
    ModalityBatch,
    MultiAttentionFusion,
    RegulatoryNetwork,
    ScoreHead,
    TFSelfAttention,
)

MODALITIES = ("histone", "methylation", "tf")
SUBSETS = list(chain.from_iterable(combinations(MODALITIES, n) for n in (1, 2, 3)))


def network(names: tuple[str, ...] = MODALITIES, *, modality_dropout: float = 0.0) -> RegulatoryNetwork:
    """Build a small network whose missing vectors differ from zero."""
    encoders = {
        "histone": HistoneCRNN(2, 10, n_kernels=3, n_hidden=3),
        "methylation": MethylationRNN(2, n_hidden=2),
        "tf": TFSelfAttention(4, n_context=3),
    }
    encoders = {name: encoders[name] for name in names}
    fusion = MultiAttentionFusion({name: encoder.n_context for name, encoder in encoders.items()}, n_heads=2)
    net = RegulatoryNetwork(encoders, fusion, ScoreHead(fusion.n_latent), modality_dropout=modality_dropout)
    for vector in net.missing.values():
        torch.nn.init.normal_(vector)
    return net


def observations(n: int) -> dict[str, ModalityBatch]:
    n_cpg = torch.arange(n) % 4 + 1
    present = torch.ones(n, dtype=torch.bool)
    return {
        "histone": ModalityBatch(torch.randn(n, 2, 10), None, present),
        "methylation": ModalityBatch(torch.rand(n, 4, 2), torch.arange(4) < n_cpg[:, None], present),
        "tf": ModalityBatch(torch.randn(n, 4, 3) * (torch.rand(n, 4, 1) < 0.5), None, present),
    }


def watch_present(net: RegulatoryNetwork) -> list[Tensor]:
    """Record what the fusion is told to be present, shape (observations, modalities)."""
    seen: list[Tensor] = []
    net.fusion.register_forward_pre_hook(lambda _module, args: seen.append(torch.stack(list(args[1].values()), dim=1)))
    return seen


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_any_subset_of_modalities_trains_and_predicts(names: tuple[str, ...]) -> None:
    net, batch = network(names), observations(5)
    assert net.train()(batch).shape == (5,)
    net(batch).sum().backward()
    for name in names:
        assert any(weight.grad is not None and weight.grad.any() for weight in net.encoders[name].parameters())
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in net.parameters())
    embedding = net.eval().embed(batch)
    assert embedding["z"].shape == (5, net.fusion.n_latent)
    assert embedding["modality_weights"].shape == (5, len(names))
    assert list(embedding["contexts"]) == list(embedding["attention"]) == list(names)
    assert_close(net(batch), net.head(embedding["z"]))


def test_embedding_is_the_encoders_then_the_fusion() -> None:
    net, batch = network().eval(), observations(3)
    embedding = net.embed(batch)
    contexts = {}
    for name in MODALITIES:
        contexts[name], attention = net.encoders[name](batch[name].values, batch[name].mask)
        assert_close(embedding["contexts"][name], contexts[name])
        assert_close(embedding["attention"][name], attention)
    assert_close((embedding["z"], embedding["modality_weights"]), net.fusion(contexts, {}))


def test_attention_that_keeps_marks_apart_is_passed_on() -> None:
    encoders = {"histone": AttentiveChromeRNN(2, 10, n_hidden=3, n_hidden_marks=2)}
    fusion = Concatenation({"histone": 4})
    net = RegulatoryNetwork(encoders, fusion, LinearHead(4)).eval()
    batch = {"histone": observations(3)["histone"]._replace(present=torch.tensor([True, False, True]))}
    attention = net.embed(batch)["attention"]["histone"]
    assert attention.shape == (3, 2, 10)
    assert_close(attention.sum((1, 2)), torch.tensor([1.0, 0.0, 1.0]))
    assert_close(attention[[0, 2]], encoders["histone"](batch["histone"].values)[1][[0, 2]])


def test_an_encoder_without_attention_says_so() -> None:
    encoders = {"histone": HistoneCRNN(2, 20), "histone_500bp": DeepChromeCNN(2, 20)}
    fusion = Concatenation({name: encoder.n_context for name, encoder in encoders.items()})
    net = RegulatoryNetwork(encoders, fusion, LinearHead(fusion.n_latent))
    assert net.attends == {"histone": True, "histone_500bp": False}


@pytest.mark.parametrize("name", MODALITIES)
def test_unmeasured_modality_is_its_learned_vector(name: str) -> None:
    net, batch = network().eval(), observations(4)
    complete = net.embed(batch)["contexts"]
    present = torch.tensor([True, False, True, False])
    batch[name] = batch[name]._replace(present=present)
    contexts = net.embed(batch)["contexts"]
    assert_close(contexts[name][~present], net.missing[name].expand(2, -1))
    assert_close(contexts[name][present], complete[name][present])
    for other in set(MODALITIES) - {name}:
        assert_close(contexts[other], complete[other])


def test_only_the_vector_of_an_unmeasured_modality_is_learned() -> None:
    net, batch = network(), observations(4)
    batch["tf"] = batch["tf"]._replace(present=torch.tensor([True, True, True, False]))
    net(batch).sum().backward()
    assert net.missing["tf"].grad.any()
    assert not net.missing["histone"].grad.any()
    assert not net.missing["methylation"].grad.any()


def test_gene_without_cpg_gets_the_learned_vector_and_finite_gradients() -> None:
    net, batch = network(), observations(3)
    mask = torch.tensor([[True, True, False, False], [False] * 4, [True] * 4])
    batch["methylation"] = ModalityBatch(
        torch.full((3, 4, 2), torch.nan).where(~mask[..., None], 0.5), mask, mask.any(1)
    )
    embedding = net.embed(batch)
    net.head(embedding["z"]).sum().backward()
    assert_close(embedding["contexts"]["methylation"][1], net.missing["methylation"])
    assert embedding["attention"]["methylation"][1].equal(torch.zeros(4))
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in net.parameters())
    assert net.missing["methylation"].grad.any()


@pytest.mark.parametrize("name", MODALITIES)
def test_values_of_an_unmeasured_modality_do_not_matter_at_prediction(name: str) -> None:
    net, batch = network().eval(), observations(3)
    present = torch.tensor([True, False, True])
    batch[name] = batch[name]._replace(present=present)
    score = net(batch)
    values = torch.where(present[:, None, None], batch[name].values, 77.0)
    assert_close(net(batch | {name: batch[name]._replace(values=values)}), score)


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_modality_absent_from_the_batch_counts_as_unmeasured(names: tuple[str, ...]) -> None:
    net, batch = network().eval(), observations(3)
    nowhere = torch.zeros(3, dtype=torch.bool)
    unmeasured = {name: b if name in names else b._replace(present=nowhere) for name, b in batch.items()}
    found, expected = net.embed({name: batch[name] for name in names}), net.embed(unmeasured)
    assert_close(found["z"], expected["z"])
    assert list(found["attention"]) == list(names)


def test_modality_dropout_hides_at_its_rate_and_never_everything() -> None:
    net, batch = network(modality_dropout=0.5), observations(2000)
    seen = watch_present(net)
    contexts = net.train().embed(batch)["contexts"]
    assert seen[0].any(1).all()
    # Kept by chance (1/2), or restored with the others when all three are hidden (1/8).
    assert_close(seen[0].float().mean(0), torch.full((3,), 0.625), atol=0.05, rtol=0)
    for name, kept in zip(MODALITIES, seen[0].T, strict=True):
        is_missing = (contexts[name] == net.missing[name]).all(1)
        assert is_missing.equal(~kept)


def test_modality_dropout_never_reveals_what_was_not_measured() -> None:
    net, batch = network(modality_dropout=0.9), observations(300)
    measured = torch.rand(300, 3) < 0.5
    batch = {name: b._replace(present=measured[:, i]) for i, (name, b) in enumerate(batch.items())}
    seen = watch_present(net)
    net.train()(batch)
    assert not (seen[0] & ~measured).any()
    assert seen[0].any(1).equal(measured.any(1))
    assert seen[0].sum() < measured.sum()


@pytest.mark.parametrize(("training", "modality_dropout"), [(False, 0.9), (True, 0.0)])
def test_modality_dropout_is_off_at_prediction_and_by_default(training: bool, modality_dropout: float) -> None:
    net, batch = network(modality_dropout=modality_dropout).train(training), observations(50)
    seen = watch_present(net)
    net(batch)
    assert seen[0].all()


def test_batch_of_one_equals_its_row_in_a_larger_batch_at_prediction() -> None:
    net, batch = network().eval(), observations(3)
    scores = net(batch)
    for i in range(3):
        row = {
            name: ModalityBatch(
                b.values[i : i + 1], b.mask if b.mask is None else b.mask[i : i + 1], b.present[i : i + 1]
            )
            for name, b in batch.items()
        }
        assert_close(net(row), scores[i : i + 1])


def test_training_on_one_observation_fails_clearly_only_where_tfs_are_normalised() -> None:
    with pytest.raises(ValueError, match="one observation only"):
        network().train()(observations(1))
    assert network(("histone", "methylation")).train()(observations(1)).isfinite().all()


def test_a_saved_network_predicts_the_same() -> None:
    net, batch = network(), observations(4)
    batch["histone"] = batch["histone"]._replace(present=torch.tensor([True, False, True, False]))
    net.train()(batch)
    twin = network()
    twin.load_state_dict(net.state_dict())
    assert_close(twin.eval()(batch), net.eval()(batch))


def test_there_is_no_attention_where_nothing_was_measured() -> None:
    batch = observations(4)
    present = torch.tensor([True, False, True, False])
    batch["histone"] = batch["histone"]._replace(present=present)
    attention = network().eval().embed(batch)["attention"]
    assert_close(attention["histone"].sum(1), present.float())
    assert_close(attention["tf"].sum(1), torch.ones(4))

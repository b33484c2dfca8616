"""Attention head by head: its mean is the attention that the encoders and fusions return."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from epiattn.nn import (
    CpGAttention,
    GatedFusion,
    HistoneAttention,
    HistoneCRNN,
    ModalityBatch,
    MultiAttentionFusion,
    RegulatoryNetwork,
    ScoreHead,
    TFAttention,
    TFSelfAttention,
)


def signal() -> tuple[torch.Tensor, None]:
    return torch.rand(4, 3, 12), None


def lists(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.rand(4, n) < 0.6
    mask[0], mask[1] = True, False
    return torch.rand(4, n, 2) * mask[..., None] + 0.1 * mask[..., None], mask


@pytest.mark.parametrize(
    ("encoder", "inputs", "n_heads"),
    [
        (HistoneAttention(3, 12, n_queries=5), signal(), 5),
        (CpGAttention(2, place=1, n_queries=3), lists(7), 3),
        (TFAttention(6, 2, n_queries=2), lists(6), 2),
        (TFSelfAttention(6, 2), lists(6), 6),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_mean_over_the_heads_is_the_attention(encoder, inputs, n_heads):
    torch.manual_seed(0)
    for weights in encoder.parameters():
        torch.nn.init.normal_(weights)
    encoder.eval()
    heads = encoder.head_attention(*inputs)
    assert heads.shape[:2] == (4, n_heads)
    assert_close(heads.mean(1), encoder(*inputs)[1])
    assert (heads - heads.mean(1, keepdim=True)).abs().max() > 0.01  # heads differ


def test_the_mean_over_the_heads_of_a_fusion_is_its_weights():
    torch.manual_seed(0)
    contexts, present = {"a": torch.randn(4, 3), "b": torch.randn(4, 5)}, {}
    fusion = MultiAttentionFusion({"a": 3, "b": 5}, n_heads=2)
    heads = fusion.head_weights(contexts, present)
    assert heads.shape == (4, 2, 2)
    assert_close(heads.mean(1), fusion(contexts, present)[1])


@pytest.mark.parametrize("fusion", [MultiAttentionFusion, GatedFusion])
def test_a_network_gives_all_heads_and_nothing_where_nothing_was_measured(fusion):
    torch.manual_seed(0)
    encoders = {"histone": HistoneCRNN(3, 12), "tf": TFAttention(6, 2)}
    joined = fusion({name: each.n_context for name, each in encoders.items()})
    network = RegulatoryNetwork(encoders, joined, ScoreHead(joined.n_latent)).eval()
    values, mask = lists(6)
    present = torch.tensor([True, True, True, False])
    batch = {
        "histone": ModalityBatch(signal()[0], None, torch.ones(4, dtype=torch.bool)),
        "tf": ModalityBatch(values, mask, present),
    }
    heads, embedded = network.head_attention(batch), network.embed(batch)
    assert heads["histone"].shape == (4, 1, 12)
    assert heads["tf"].shape == (4, 2, 6)
    for name in encoders:
        assert_close(heads[name].mean(1), embedded["attention"][name])
    assert_close(heads[""].mean(1), embedded["modality_weights"])
    assert heads["tf"][3].abs().sum() == 0

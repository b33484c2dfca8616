from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from epiattn.nn import EmbeddingTransformer, PairwiseInteractionTransformer, RegulationTransformer, TransformerLayer


def n_parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def naive_layer(layer: TransformerLayer, queries: Tensor, keys: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """One layer for one observation: (queries, features) and (keys, features), head by head, query by query."""
    attention, n_features = layer.attention, queries.shape[1]
    size = n_features // attention.n_heads
    q, k, v = attention.query(queries), attention.key(keys), attention.value(keys)
    attended, all_weights = torch.zeros_like(queries), torch.zeros(attention.n_heads, len(queries), len(keys)).double()
    for head in range(attention.n_heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(queries)):
            scores = torch.stack([(q[i, part] * k[j, part]).sum() / size**0.5 + bias[j] for j in range(len(keys))])
            weights = scores.exp() / scores.exp().sum()
            all_weights[head, i] = weights
            attended[i, part] = sum(weight * each for weight, each in zip(weights, v[:, part], strict=True))
    states = layer.norms[0](queries + attention.output(attended))
    return layer.norms[1](states + layer.feed_forward(states)), all_weights


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)


def test_published_numbers_of_parameters() -> None:
    # A layer with d features and f feed-forward units: four projections 4(d² + d), the feed-forward network
    # d f + f + f d + d, two normalisations 4 d.
    # Embedding, d = f = 128: 66,048 + 33,024 + 512 = 99,584, one layer; input 7 x 128 + 128 = 1,024.
    assert n_parameters(EmbeddingTransformer(7, 400, 200)) == 1_024 + 99_584
    # Pairwise interaction, f = 256: 66,048 + 65,920 + 512 = 132,480, two layers; the same input.
    assert n_parameters(PairwiseInteractionTransformer(7, 400)) == 1_024 + 2 * 132_480
    # Regulation, d = f = 256: 263,168 + 131,584 + 1,024 = 395,776, six layers; input 128 x 256 + 256 = 33,024.
    assert n_parameters(RegulationTransformer()) == 33_024 + 6 * 395_776


def test_published_shapes() -> None:
    # 40 kb in bins of 500 bp are 80 bins, the TSS in bin 40; eight regions.
    embedding, pairwise, regulation = (
        EmbeddingTransformer(7, 80, 40),
        PairwiseInteractionTransformer(7, 80),
        RegulationTransformer(),
    )
    state, weights = embedding(torch.rand(2, 7, 80))
    assert (state.shape, weights.shape) == ((2, 128), (2, 80))
    pair, weights = pairwise(state, torch.rand(2, 7, 80))
    assert (pair.shape, weights.shape) == ((2, 128), (2, 80))
    z, weights = regulation(torch.stack([state, *[pair] * 8], dim=1), torch.rand(2, 9))
    assert (z.shape, weights.shape) == ((2, 256), (2, 9))


@pytest.mark.parametrize("n_layers", [1, 2])
def test_embedding_equals_plain_loops(n_layers: int) -> None:
    module = EmbeddingTransformer(2, 5, 3, n_features=4, n_hidden=6, n_layers=n_layers).double().eval()
    randomise(module)
    x = torch.randn(2, 2, 5).double()
    with torch.no_grad():
        state, weights = module(x)
        for gene in range(2):
            states = x[gene].T @ module.project.weight.T + module.project.bias + module.positions
            for layer in module.layers:
                states, seen = naive_layer(layer, states, states, torch.zeros(5))
            assert_close(state[gene], states[3], atol=1e-10, rtol=0)
            assert_close(weights[gene], seen[:, 3].mean(0), atol=1e-10, rtol=0)


def test_pairwise_interaction_equals_plain_loops() -> None:
    module = PairwiseInteractionTransformer(3, 4, n_features=4, n_hidden=6).double().eval()
    randomise(module)
    promoter, region = torch.randn(2, 4).double(), torch.randn(2, 3, 4).double()
    with torch.no_grad():
        state, weights = module(promoter, region)
        for pair in range(2):
            keys = region[pair].T @ module.project.weight.T + module.project.bias + module.positions
            expected, seen = promoter[pair : pair + 1], []
            for layer in module.layers:
                expected, each = naive_layer(layer, expected, keys, torch.zeros(4))
                seen.append(each)
            assert_close(state[pair], expected[0], atol=1e-10, rtol=0)
            assert_close(weights[pair], torch.stack(seen).mean((0, 1))[0], atol=1e-10, rtol=0)


def test_regulation_equals_plain_loops() -> None:
    module = RegulationTransformer(3, n_features=4, n_heads=2, n_hidden=5, n_layers=3).double().eval()
    randomise(module)
    tokens, bias = torch.randn(2, 4, 3).double(), torch.rand(2, 4).double()
    bias[0, 3] = -torch.inf
    with torch.no_grad():
        state, weights = module(tokens, bias)
        for gene in range(2):
            states, seen = module.project(tokens[gene]), []
            for layer in module.layers:
                states, each = naive_layer(layer, states, states, bias[gene])
                seen.append(each[:, 0])
            assert_close(state[gene], states[0], atol=1e-10, rtol=0)
            assert_close(weights[gene], torch.stack(seen).mean((0, 1)), atol=1e-10, rtol=0)
    assert weights[0, 3] == 0


def test_a_frequent_interaction_draws_the_attention() -> None:
    module, tokens = RegulationTransformer(3, n_features=4, n_heads=2, n_hidden=5).eval(), torch.randn(1, 4, 3)
    bias = torch.tensor([[0.0, 0.0, 30.0, 0.0]])
    assert_close(module(tokens, bias)[1], torch.tensor([[0.0, 0.0, 1.0, 0.0]]), atol=1e-4, rtol=0)


def test_output_of_hand_set_weights() -> None:
    # All weights 0 but the input's (identity): no layer adds anything, and the state is the TSS's bin, normalised:
    # signal 3 at bin 1 in the first feature and position (sin 1, cos 1) make (3 + sin 1, cos 1), normalised (1, -1).
    module = EmbeddingTransformer(2, 3, 1, n_features=2, n_heads=1, n_hidden=2).eval()
    for name, parameter in module.named_parameters():
        nn.init.ones_(parameter) if "norms" in name and name.endswith("weight") else nn.init.zeros_(parameter)
    nn.init.eye_(module.project.weight)
    x = torch.zeros(1, 2, 3)
    x[0, 0, 1] = 3.0
    state, weights = module(x)
    assert_close(state, torch.tensor([[1.0, -1.0]]), atol=1e-4, rtol=0)
    assert_close(weights, torch.full((1, 3), 1 / 3))

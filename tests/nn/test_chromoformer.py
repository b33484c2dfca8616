from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from epiattn.nn import EmbeddingTransformer, PairwiseInteractionTransformer, RegulationTransformer, TransformerLayer


def n_parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def naive_layer(layer: TransformerLayer, queries: Tensor, keys: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """One layer for one observation, head by head, query by query.

    Queries and keys (n, features), bias (heads, queries, keys).
    """
    attention = layer.attention
    q, k, v = attention.query(queries), attention.key(keys), attention.value(keys)
    size = q.shape[1] // attention.n_heads
    attended, all_weights = torch.zeros_like(q), torch.zeros(attention.n_heads, len(queries), len(keys)).double()
    for head in range(attention.n_heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(queries)):
            scores = torch.stack(
                [(q[i, part] * k[j, part]).sum() / size**0.5 + bias[head, i, j] for j in range(len(keys))]
            )
            weights = scores.exp() / scores.exp().sum()
            all_weights[head, i] = weights
            attended[i, part] = sum(weight * each for weight, each in zip(weights, v[:, part], strict=True))
    if attention.gate is not None:
        attended = attended * torch.sigmoid(attention.gate(queries))
    states = layer.norms[0](queries + attention.output(attended))
    return layer.norms[1](states + layer.feed_forward(states)), all_weights


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)


def test_published_numbers_of_parameters() -> None:
    # A layer with d features, a in all heads together and f feed-forward units: queries, keys and values 3 d a without
    # offsets, the output a d + d, the feed-forward network d f + f + f d + d, two normalisations 4 d.
    # Embedding, d = a = f = 128: 49,152 + 16,512 + 33,024 + 512 = 99,200, one layer; input 7 x 128 = 896.
    assert n_parameters(EmbeddingTransformer(7, 400, 200)) == 896 + 99_200
    # Pairwise interaction, f = 256: 49,152 + 16,512 + 65,920 + 512 = 132,096, two layers; the same input.
    assert n_parameters(PairwiseInteractionTransformer(7, 400)) == 896 + 2 * 132_096
    # Regulation, a = f = 256, with a gate, d a more, and a factor of the frequency in each of 8 heads:
    # 131,072 + 32,896 + 65,920 + 512 + 8 = 230,408, six layers.
    assert n_parameters(RegulationTransformer()) == 6 * 230_408


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
    assert (z.shape, weights.shape) == ((2, 128), (2, 9))


@pytest.mark.parametrize("n_layers", [1, 2])
def test_embedding_equals_plain_loops(n_layers: int) -> None:
    module = EmbeddingTransformer(2, 5, 3, n_features=4, n_inner=6, n_hidden=6, n_layers=n_layers).double().eval()
    randomise(module)
    x = torch.randn(2, 2, 5).double()
    with torch.no_grad():
        state, weights = module(x)
        for gene in range(2):
            states = x[gene].T @ module.project.weight.T + module.positions
            for layer in module.layers:
                states, seen = naive_layer(layer, states, states, torch.zeros(2, 5, 5))
            assert_close(state[gene], states[3], atol=1e-10, rtol=0)
            assert_close(weights[gene], seen[:, 3].mean(0), atol=1e-10, rtol=0)


def test_pairwise_interaction_equals_plain_loops() -> None:
    module = PairwiseInteractionTransformer(3, 4, n_features=4, n_inner=6, n_hidden=6).double().eval()
    randomise(module)
    promoter, region = torch.randn(2, 4).double(), torch.randn(2, 3, 4).double()
    with torch.no_grad():
        state, weights = module(promoter, region)
        for pair in range(2):
            keys = region[pair].T @ module.project.weight.T + module.positions
            expected, seen = promoter[pair : pair + 1], []
            for layer in module.layers:
                expected, each = naive_layer(layer, expected, keys, torch.zeros(2, 1, 4))
                seen.append(each)
            assert_close(state[pair], expected[0], atol=1e-10, rtol=0)
            assert_close(weights[pair], torch.stack(seen).mean((0, 1))[0], atol=1e-10, rtol=0)


def test_regulation_equals_plain_loops() -> None:
    module = RegulationTransformer(4, n_inner=6, n_heads=2, n_hidden=5, n_layers=3).double().eval()
    randomise(module)
    tokens, frequency = torch.randn(2, 4, 4).double(), torch.rand(2, 4).double()
    empty = torch.tensor([[False, False, False, True], [False] * 4])
    with torch.no_grad():
        state, weights = module(tokens, frequency, empty)
        for gene in range(2):
            states, seen = tokens[gene], []
            for i, layer in enumerate(module.layers):
                bias = torch.zeros(2, 4, 4).double()
                for head in range(2):
                    bias[head, 0] = module.gamma[i, head] * frequency[gene]
                bias[:, :, empty[gene]] = -torch.inf
                states, each = naive_layer(layer, states, states, bias)
                seen.append(each[:, 0])
            assert_close(state[gene], states[0] + tokens[gene, 0], atol=1e-10, rtol=0)
            assert_close(weights[gene], torch.stack(seen).mean((0, 1)), atol=1e-10, rtol=0)
        assert weights[0, 3] == 0
        assert_close(module(tokens, None, empty)[0], module(tokens, frequency * 0, empty)[0])


def test_a_frequent_interaction_draws_the_attention() -> None:
    module, tokens = RegulationTransformer(4, n_inner=4, n_heads=2, n_hidden=5).eval(), torch.randn(1, 4, 4)
    frequency = torch.tensor([[0.0, 0.0, 30.0, 0.0]])
    assert_close(module(tokens, frequency)[1], torch.tensor([[0.0, 0.0, 1.0, 0.0]]), atol=1e-4, rtol=0)


def test_output_of_hand_set_weights() -> None:
    # All weights 0 but the input's (identity): no layer adds anything, and the state is the TSS's bin, normalised:
    # signal 3 at bin 1 in the first feature and position (sin 1, cos 1) make (3 + sin 1, cos 1), normalised (1, -1).
    module = EmbeddingTransformer(2, 3, 1, n_features=2, n_inner=2, n_heads=1, n_hidden=2).eval()
    for name, parameter in module.named_parameters():
        nn.init.ones_(parameter) if "norms" in name and name.endswith("weight") else nn.init.zeros_(parameter)
    nn.init.eye_(module.project.weight)
    x = torch.zeros(1, 2, 3)
    x[0, 0, 1] = 3.0
    state, weights = module(x)
    assert_close(state, torch.tensor([[1.0, -1.0]]), atol=1e-4, rtol=0)
    assert_close(weights, torch.full((1, 3), 1 / 3))

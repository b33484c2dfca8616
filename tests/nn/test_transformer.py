from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from epiattn.nn import MultiHeadAttention, TransformerLayer
from epiattn.nn._transformer import sinusoids


def attention_of_torch(module: MultiHeadAttention) -> nn.MultiheadAttention:
    """PyTorch's own layer with the same weights."""
    projections = (module.query, module.key, module.value)
    theirs = nn.MultiheadAttention(module.query.in_features, module.n_heads, batch_first=True).double()
    theirs.load_state_dict(
        {
            "in_proj_weight": torch.cat([each.weight for each in projections]),
            "in_proj_bias": torch.zeros(3 * module.query.in_features),
            "out_proj.weight": module.output.weight,
            "out_proj.bias": module.output.bias,
        }
    )
    return theirs


def make_attention(n_features: int = 8, n_heads: int = 2) -> MultiHeadAttention:
    module = MultiHeadAttention(n_features, n_heads).double()
    nn.init.normal_(module.output.bias)
    return module


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("n_queries", "n_keys"), [(4, 5), (1, 5), (3, 1), (1, 1)])
def test_attention_equals_torchs_own_with_and_without_shortcuts(n_queries: int, n_keys: int, biased: bool) -> None:
    module = make_attention()
    theirs = attention_of_torch(module)
    queries, keys = (torch.randn(3, n, 8).double().requires_grad_() for n in (n_queries, n_keys))
    bias = torch.randn(3, 2, n_queries, n_keys).double() if biased else None
    if biased and n_keys > 1:
        bias[0, :, :, -1] = -torch.inf
    output, weights = module(queries, keys, bias)
    mask = None if bias is None else bias.flatten(0, 1)
    expected, expected_weights = theirs(queries, keys, keys, attn_mask=mask, average_attn_weights=False)
    assert_close(output, expected, atol=1e-12, rtol=0)
    assert_close(weights, expected_weights, atol=1e-12, rtol=0)
    gradients = torch.autograd.grad(output.square().sum(), (queries, keys), allow_unused=True)
    for found, wanted in zip(gradients, torch.autograd.grad(expected.square().sum(), (queries, keys)), strict=True):
        assert_close(wanted * 0 if found is None else found, wanted, atol=1e-10, rtol=0)


def test_attention_by_hand() -> None:
    # One head, two features, identity projections: scores q·k / sqrt(2). The query (sqrt 2 ln 3, 0) meets the keys
    # (1, 0) and (0, 0) with scores ln 3 and 0: weights 3/4 and 1/4, output (3/4, 0).
    module = MultiHeadAttention(2, 1, gated=True)
    for layer in (module.query, module.key, module.value, module.output):
        nn.init.eye_(layer.weight)
    nn.init.zeros_(module.output.bias)
    nn.init.zeros_(module.gate.weight)
    query = torch.tensor([[[math.sqrt(2) * math.log(3), 0.0]]])
    keys = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    output, weights = module(query, keys)
    assert_close(weights, torch.tensor([[[[0.75, 0.25]]]]))
    assert_close(output, torch.tensor([[[0.375, 0.0]]]))  # the gate: sigmoid(0) = 1/2
    module.gate.weight.data = torch.tensor([[1 / math.sqrt(2), 0.0], [0.0, 0.0]])  # sigmoid(ln 3) = 3/4
    assert_close(module(query, keys)[0], torch.tensor([[[0.75**2, 0.0]]]))
    _, weights = module(query, keys, torch.tensor([0.0, math.log(3)]))  # a bias that makes up for it
    assert_close(weights, torch.tensor([[[[0.5, 0.5]]]]))


@pytest.mark.parametrize(("n_queries", "n_keys"), [(4, 5), (1, 5), (3, 1), (1, 1)])
def test_wider_gated_attention_equals_plain_loops(n_queries: int, n_keys: int) -> None:
    module = MultiHeadAttention(4, 3, n_inner=6, gated=True).double()
    queries, keys = torch.randn(2, n_queries, 4).double(), torch.randn(2, n_keys, 4).double()
    output, weights = module(queries, keys)
    for row in range(2):
        q, k, v = module.query(queries[row]), module.key(keys[row]), module.value(keys[row])
        read = torch.zeros(n_queries, 6).double()
        for head in range(3):
            part = slice(2 * head, 2 * head + 2)
            for i in range(n_queries):
                seen = torch.stack([q[i, part] @ k[j, part] / math.sqrt(2) for j in range(n_keys)]).softmax(0)
                read[i, part] = sum(weight * each for weight, each in zip(seen, v[:, part], strict=True))
                assert_close(weights[row, head, i], seen)
        gates = 1 / (1 + torch.exp(-queries[row] @ module.gate.weight.T))
        assert_close(output[row], (read * gates) @ module.output.weight.T + module.output.bias)


def test_layer_equals_torchs_own_encoder_layer() -> None:
    layer = TransformerLayer(6, 3, 10).double().eval()
    theirs = nn.TransformerEncoderLayer(6, 3, dim_feedforward=10, batch_first=True).double().eval()
    theirs.self_attn = attention_of_torch(layer.attention)
    theirs.linear1, theirs.linear2 = layer.feed_forward[0], layer.feed_forward[2]
    theirs.norm1, theirs.norm2 = layer.norms
    for norm in layer.norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x = torch.randn(4, 7, 6).double()
    assert_close(layer(x, x)[0], theirs.train(False)(x.requires_grad_()), atol=1e-12, rtol=0)


def test_dropout_is_for_training() -> None:
    layer, x = TransformerLayer(4, 1, 4, dropout=0.5), torch.randn(2, 3, 4)
    assert not torch.equal(layer(x, x)[0], layer(x, x)[0])
    layer.eval()
    assert_close(layer(x, x)[0], layer(x, x)[0])


def test_positions_by_hand() -> None:
    # Frequencies 1 and 1/100: (sin p, cos p, sin p/100, cos p/100).
    expected = [[math.sin(p), math.cos(p), math.sin(p / 100), math.cos(p / 100)] for p in range(3)]
    assert_close(sinusoids(3, 4), torch.tensor(expected))
    assert sinusoids(2, 5).shape == (2, 5)


def test_heads_must_divide_the_features() -> None:
    with pytest.raises(ValueError, match="8 features cannot be divided among 3 heads"):
        MultiHeadAttention(8, 3)

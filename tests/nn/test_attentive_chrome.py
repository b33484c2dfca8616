from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from epiattn.nn import AttentiveChromeRNN, ContextAttention, LinearHead


def n_parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def naive_bilstm(rnn: nn.LSTM, sequence: Tensor) -> Tensor:
    """Both directions of an LSTM over one sequence (positions, features), gate by gate."""

    def run(suffix: str, steps: Tensor) -> list[Tensor]:
        w_in, w_state, b_in, b_state = (
            getattr(rnn, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h, c, states = torch.zeros(rnn.hidden_size).double(), torch.zeros(rnn.hidden_size).double(), []
        for step in steps:
            i, f, g, o = (w_in @ step + b_in + w_state @ h + b_state).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            states.append(h)
        return states

    ahead, back = run("", sequence), run("_reverse", sequence.flip(0))[::-1]
    return torch.stack([torch.cat(pair) for pair in zip(ahead, back, strict=True)])


def naive_attention(attention: ContextAttention, states: Tensor) -> tuple[Tensor, list[float]]:
    exps = [math.exp(float(attention.score.weight[0] @ state)) for state in states]
    weights = [each / sum(exps) for each in exps]
    return sum(weight * state for weight, state in zip(weights, states, strict=True)), weights


def naive(module: AttentiveChromeRNN, gene: Tensor) -> tuple[Tensor, Tensor]:
    """The published equations, mark by mark and bin by bin, for one gene (marks, bins)."""
    contexts, alphas = [], []
    for mark, rnn, attention in zip(gene, module.bin_rnns, module.bin_attentions, strict=True):
        context, alpha = naive_attention(attention, naive_bilstm(rnn, mark[:, None]))
        contexts.append(context)
        alphas.append(alpha)
    context, beta = naive_attention(module.mark_attention, naive_bilstm(module.mark_rnn, torch.stack(contexts)))
    joint = [[b * a for a in alpha] for b, alpha in zip(beta, alphas, strict=True)]
    return context, torch.tensor(joint, dtype=gene.dtype)


def test_equals_the_published_equations_in_plain_loops() -> None:
    module = AttentiveChromeRNN(3, 6, n_hidden=4, n_hidden_marks=2).double().eval()
    x = torch.randn(3, 3, 6).double()
    with torch.no_grad():
        context, attention = module(x)
        expected = [naive(module, gene) for gene in x]
    assert_close(context, torch.stack([each for each, _ in expected]), atol=1e-12, rtol=0)
    assert_close(attention, torch.stack([each for _, each in expected]), atol=1e-12, rtol=0)


def test_published_sizes_and_number_of_parameters() -> None:
    # One LSTM direction with i inputs and h units: 4h(i + h) weights and two offsets of 4h.
    # A mark's bins, i = 1, h = 32: 128 x 33 + 256 = 4,480; two directions 8,960; attention 64: 9,024; five: 45,120.
    # The marks, i = 64, h = 16: 64 x 80 + 128 = 5,248; two directions 10,496; attention 32. Classifier: 33.
    module = AttentiveChromeRNN(5, 100)
    assert n_parameters(module.bin_rnns[0], module.bin_attentions[0]) == 9_024
    assert n_parameters(module.mark_rnn, module.mark_attention) == 10_528
    assert n_parameters(module, LinearHead(module.n_context)) == 45_120 + 10_528 + 33 == 55_681
    shapes = []
    module.bin_attentions[0].register_forward_hook(lambda _module, inputs, _output: shapes.append(inputs[0].shape))
    module.mark_attention.register_forward_hook(lambda _module, inputs, _output: shapes.append(inputs[0].shape))
    context, attention = module(torch.rand(2, 5, 100))
    assert shapes == [(2, 100, 64), (2, 5, 32)]
    assert context.shape == (2, 32)
    assert attention.shape == (2, 5, 100)


def test_attention_by_hand() -> None:
    # Scores 0 and ln 3: weights 1/4 and 3/4.
    attention = ContextAttention(1)
    nn.init.constant_(attention.score.weight, math.log(3))
    context, weights = attention(torch.tensor([[[0.0], [1.0]]]))
    assert_close(weights, torch.tensor([[0.25, 0.75]]))
    assert_close(context, torch.tensor([[0.75]]))


def test_without_scores_all_marks_and_bins_weigh_the_same() -> None:
    module = AttentiveChromeRNN(2, 5, n_hidden=3)
    for attention in (*module.bin_attentions, module.mark_attention):
        nn.init.zeros_(attention.score.weight)
    _, weights = module(torch.rand(3, 2, 5))
    assert_close(weights, torch.full((3, 2, 5), 1 / 10))
    assert_close(module.uniform_attention(), weights[0].sum(0))


def test_each_mark_is_read_by_itself() -> None:
    module, x = AttentiveChromeRNN(3, 8, n_hidden=3).eval(), torch.rand(2, 3, 8)
    changed = x.clone()
    changed[:, 1] += 3.0
    (_, before), (_, after) = module(x), module(changed)
    within = [weights / weights.sum(2, keepdim=True) for weights in (before, after)]
    assert_close(within[0][:, [0, 2]], within[1][:, [0, 2]])  # the weights of bins within the other marks
    assert not torch.allclose(within[0][:, 1], within[1][:, 1])
    assert not torch.allclose(before.sum(2), after.sum(2))  # the marks' weights


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_attention_sums_to_one_and_a_gene_does_not_depend_on_its_batch(
    n_marks: int, n_bins: int, n_genes: int, seed: int
) -> None:
    torch.manual_seed(seed)
    module = AttentiveChromeRNN(n_marks, n_bins, n_hidden=3, n_hidden_marks=2).eval()
    x = torch.randn(n_genes, n_marks, n_bins)
    context, attention = module(x)
    assert_close(attention.sum((1, 2)), torch.ones(n_genes))
    assert (attention > 0).all()
    alone = module(x[:1])
    assert_close((context[:1], attention[:1]), alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("n_genes", [1, 5])
def test_all_weights_are_trained(n_genes: int) -> None:
    module = AttentiveChromeRNN(2, 7, n_hidden=3).train()
    module(torch.rand(n_genes, 2, 7))[0].square().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in module.parameters())
    assert all(rnn.weight_ih_l0.grad.abs().sum() > 0 for rnn in module.bin_rnns)

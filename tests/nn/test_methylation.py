from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

import epiattn.nn._methylation as methylation_module
from epiattn.nn import MethylationRNN
from epiattn.nn._methylation import _group_sizes


def naive_lstm(sequence: list[Tensor], lstm: nn.LSTM) -> list[Tensor]:
    """One direction, one step at a time; torch orders the gates input, forget, cell, output."""
    h = c = torch.zeros(lstm.hidden_size, dtype=torch.float64)
    states = []
    for x in sequence:
        gates = lstm.weight_ih_l0 @ x + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ h + lstm.bias_hh_l0
        i, f, g, o = gates.chunk(4)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states.append(h)
    return states


def naive_methylation(x: Tensor, lengths: list[int], module: MethylationRNN) -> tuple[Tensor, Tensor]:
    """Every gene on its own, cut to its valid CpGs: there is no padding that could leak."""
    contexts, weights = [], []
    for gene, n in zip(x, lengths, strict=True):
        cpgs = list(gene[:n])
        ahead = naive_lstm(cpgs, module.rnn.ahead)
        back = naive_lstm(cpgs[::-1], module.rnn.back)[::-1]
        states = [torch.cat(pair) for pair in zip(ahead, back, strict=True)]
        scoring, score = module.attention.hidden, module.attention.score
        exps = [(score.weight[0] @ torch.tanh(scoring.weight @ h + scoring.bias) + score.bias[0]).exp() for h in states]
        context, alpha = torch.zeros(module.n_context).double(), torch.zeros(x.shape[1]).double()
        for p, h in enumerate(states):
            alpha[p] = exps[p] / sum(exps)
            context = context + exps[p] / sum(exps) * h
        contexts.append(context)
        weights.append(alpha)
    return torch.stack(contexts), torch.stack(weights)


def valid(lengths: list[int], n_slots: int) -> Tensor:
    return torch.arange(n_slots) < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("lengths", [[4, 1, 3], [0, 4, 2], [4, 4, 4], [0, 0, 0], [1, 1, 1]])
def test_equals_genes_run_one_by_one_without_padding(lengths: list[int]) -> None:
    module = MethylationRNN(2, n_hidden=3, n_attention=4).double()
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    found, expected = module(x, valid(lengths, 4)), naive_methylation(x, lengths, module)
    assert_close(found, expected, atol=1e-10, rtol=0)
    to_context, to_weights = torch.randn(3, 6).double(), torch.randn(3, 4).double()
    inputs = [x, *module.parameters()]
    # Where no gene has a CpG, the loops depend on nothing: 0 * x gives them a gradient of zero.
    gradients = [
        torch.autograd.grad(
            (c * to_context).sum() + (w * to_weights).sum() + 0 * x.sum(), inputs, materialize_grads=True
        )
        for c, w in (found, expected)
    ]
    assert_close(*gradients, atol=1e-10, rtol=0)


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=4),
    st.integers(1, 4),
    st.sampled_from([torch.nan, torch.inf, -torch.inf, 1e30]),
    st.integers(0, 99),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_content_of_padding_changes_nothing(lengths: list[int], n_channels: int, junk: float, seed: int) -> None:
    torch.manual_seed(seed)
    module = MethylationRNN(n_channels, n_hidden=3, n_attention=2)
    mask, x = valid(lengths, 6), torch.randn(len(lengths), 6, n_channels)
    outputs, gradients = [], []
    for filler in (0.0, junk):
        values = torch.where(mask[..., None], x, filler).requires_grad_()
        outputs.append(module(values, mask))
        gradients.append(torch.autograd.grad(outputs[-1][0].sum(), [values, *module.parameters()]))
    (context, attention), with_junk = outputs
    assert context.equal(with_junk[0])
    assert attention.equal(with_junk[1])
    assert (attention[~mask] == 0.0).all()
    assert_close(attention.sum(1), (torch.tensor(lengths) > 0).float())
    assert all(a.equal(b) for a, b in zip(*gradients, strict=True))


def test_trimming_the_slots_changes_nothing() -> None:
    module, lengths = MethylationRNN().eval(), [3, 1]
    x = torch.randn(2, 8, 2)
    context, attention = module(x, valid(lengths, 8))
    trimmed, trimmed_attention = module(x[:, :3], valid(lengths, 3))
    assert_close(trimmed, context)
    assert_close(trimmed_attention, attention[:, :3])


def test_gene_without_cpg_has_a_zero_context_and_finite_gradients() -> None:
    module = MethylationRNN()
    context, attention = module(torch.full((2, 3, 2), torch.nan), torch.zeros(2, 3, dtype=torch.bool))
    assert context.equal(torch.zeros(2, 20))
    assert attention.equal(torch.zeros(2, 3))
    context.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in module.parameters())


def test_batch_without_any_slot() -> None:
    context, attention = MethylationRNN()(torch.zeros(2, 0, 2), torch.zeros(2, 0, dtype=torch.bool))
    assert context.equal(torch.zeros(2, 20))
    assert attention.shape == (2, 0)


def test_one_gene_with_one_cpg_gets_all_attention() -> None:
    context, attention = MethylationRNN().eval()(torch.randn(1, 1, 2), torch.ones(1, 1, dtype=torch.bool))
    assert context.shape == (1, 20)
    assert attention.equal(torch.ones(1, 1))


def test_batch_of_one_equals_its_row_in_a_larger_batch() -> None:
    module, x, mask = MethylationRNN(), torch.randn(3, 5, 2), valid([2, 5, 0], 5)
    context, attention = module(x, mask)
    for i in range(3):
        assert_close(module(x[i : i + 1], mask[i : i + 1]), (context[i : i + 1], attention[i : i + 1]))


@pytest.mark.parametrize("n_slots_at_a_time", [1, 8, 1000], ids=["gene by gene", "some at a time", "all at once"])
def test_groups_of_lists_change_nothing(monkeypatch, n_slots_at_a_time: int) -> None:
    monkeypatch.setattr(methylation_module, "_N_SLOTS_ON_CPU", n_slots_at_a_time)
    module = MethylationRNN(2, n_hidden=3, n_attention=4).double()
    lengths = [2, 0, 5, 1, 5, 3, 0]
    x = torch.randn(7, 6, 2, dtype=torch.float64)
    found, expected = module(x, valid(lengths, 6)), naive_methylation(x, lengths, module)
    assert_close(found, expected, atol=1e-10, rtol=0)
    to_context = torch.randn(7, 6).double()
    gradients = [torch.autograd.grad((c * to_context).sum(), module.parameters()) for c, _ in (found, expected)]
    assert_close(*gradients, atol=1e-10, rtol=0)


@given(st.lists(st.integers(0, 500), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_groups_hold_each_list_once_and_fit(lengths: list[int]) -> None:
    lengths.sort(reverse=True)
    sizes = _group_sizes(lengths)
    assert sum(sizes) == len(lengths)
    assert min(sizes) > 0
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    assert all(size * lengths[start] <= 4_096 for size, start in zip(sizes, starts, strict=True))

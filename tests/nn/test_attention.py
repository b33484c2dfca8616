from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from epiattn.nn import AdditiveAttention, masked_softmax


def naive_attention(states: Tensor, valid: Tensor, module: AdditiveAttention) -> tuple[Tensor, Tensor]:
    """softmax(w2 . tanh(W1 h + b1) + b2) over the valid positions of each sequence, one position at a time."""
    contexts, weights = [], []
    for sequence, row in zip(states, valid, strict=True):
        exps = []
        for h, ok in zip(sequence, row, strict=True):
            hidden = torch.tanh(module.hidden.weight @ h + module.hidden.bias)
            exps.append((module.score.weight[0] @ hidden + module.score.bias[0]).exp() if ok else torch.tensor(0.0))
        total = sum(exps) if row.any() else 1.0
        alpha = torch.stack([e / total for e in exps]).to(states)
        contexts.append(sum(a * h for a, h in zip(alpha, sequence, strict=True)))
        weights.append(alpha)
    return torch.stack(contexts), torch.stack(weights)


@st.composite
def logits_and_mask(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    n_rows, n_positions = draw(st.integers(1, 5)), draw(st.integers(0, 7))
    torch.manual_seed(draw(st.integers(0, 1000)))
    scale = draw(st.sampled_from([0.0, 1.0, 1e4]))
    share = draw(st.sampled_from([0.0, 0.5, 1.0]))
    return scale * torch.randn(n_rows, n_positions).double(), torch.rand(n_rows, n_positions) < share


@given(logits_and_mask())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_masked_softmax_is_zero_on_padding_and_sums_to_one_or_to_zero(case: tuple[Tensor, Tensor]) -> None:
    logits, mask = case
    weights = masked_softmax(logits, mask)
    assert weights.shape == logits.shape
    assert (weights[~mask] == 0.0).all()
    assert_close(weights.sum(-1), mask.any(-1).double())
    for row, ok, found in zip(logits, mask, weights, strict=True):
        assert_close(found[ok], row[ok].softmax(-1))


def test_masked_softmax_without_mask_is_a_softmax() -> None:
    weights = masked_softmax(torch.tensor([[0.0, math.log(3)]]))
    assert_close(weights, torch.tensor([[0.25, 0.75]]))


def test_masked_softmax_broadcasts_its_mask() -> None:
    weights = masked_softmax(torch.zeros(2, 3, 4), torch.tensor([True, False, True, False]))
    assert_close(weights, torch.tensor([0.5, 0.0, 0.5, 0.0]).expand(2, 3, 4))


def test_masked_softmax_has_no_gradient_on_padding_and_none_in_an_empty_row() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    (masked_softmax(logits, mask) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert (logits.grad[0, :2] != 0).all()
    assert (logits.grad[~mask] == 0).all()


def test_empty_row_makes_no_nan_on_the_way_either() -> None:
    # A NaN that is masked later would still stop Lightning's detect_anomaly.
    logits = torch.randn(2, 3, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        masked_softmax(logits, torch.tensor([[True, True, False], [False, False, False]])).square().sum().backward()
    assert logits.grad.isfinite().all()


def test_two_positions_worked_out_by_hand() -> None:
    # tanh(1 * 0 + 0) = 0 and tanh(1 * atanh(1/2) + 0) = 1/2; logits 2 ln 3 * (0, 1/2) + 7 = (7, 7 + ln 3);
    # weights (1/4, 3/4); context (0, 4)/4 + 3 (atanh(1/2), 8)/4 = (3/4 atanh(1/2), 7).
    attention = AdditiveAttention(2, 1).double()
    attention.load_state_dict(
        {
            "hidden.weight": torch.tensor([[1.0, 0.0]]),
            "hidden.bias": torch.tensor([0.0]),
            "score.weight": torch.tensor([[2 * math.log(3)]]),
            "score.bias": torch.tensor([7.0]),
        }
    )
    states = torch.tensor([[[0.0, 4.0], [math.atanh(0.5), 8.0]]], dtype=torch.float64)
    context, weights = attention(states)
    assert_close(weights, torch.tensor([[0.25, 0.75]]).double(), atol=1e-6, rtol=0)
    assert_close(context, torch.tensor([[0.75 * math.atanh(0.5), 7.0]]).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("lengths", [[4, 1, 3], [0, 4, 0], [4, 4, 4], [0, 0, 0]])
def test_attention_and_its_gradients_equal_plain_loops(lengths: list[int]) -> None:
    attention = AdditiveAttention(5, 3).double()
    states = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(4) < torch.tensor(lengths)[:, None]
    found, expected = attention(states, mask), naive_attention(states, mask, attention)
    assert_close(found, expected, atol=1e-12, rtol=0)
    to_context, to_weights = torch.randn(3, 5).double(), torch.randn(3, 4).double()
    inputs = [states, *attention.parameters()]
    gradients = [
        torch.autograd.grad((c * to_context).sum() + (w * to_weights).sum(), inputs, materialize_grads=True)
        for c, w in (found, expected)
    ]
    assert_close(*gradients, atol=1e-10, rtol=0)


def test_attention_without_mask_uses_all_positions() -> None:
    attention, states = AdditiveAttention(3), torch.randn(2, 4, 3)
    assert_close(attention(states), attention(states, torch.ones(2, 4, dtype=torch.bool)))


def test_attention_over_one_position_returns_it() -> None:
    states = torch.randn(2, 1, 3)
    context, weights = AdditiveAttention(3)(states)
    assert_close(context, states[:, 0])
    assert_close(weights, torch.ones(2, 1))

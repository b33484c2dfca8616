from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from epiattn.nn import DynamicBiLSTM, flip_valid


def packed_twin(module: DynamicBiLSTM) -> nn.LSTM:
    """Return torch's bidirectional LSTM with the same weights."""
    twin = nn.LSTM(module.ahead.input_size, module.ahead.hidden_size, batch_first=True, bidirectional=True).double()
    back = {f"{name}_reverse": weight for name, weight in module.back.state_dict().items()}
    twin.load_state_dict(module.ahead.state_dict() | back)
    return twin


def run_packed(twin: nn.LSTM, x: Tensor, lengths: Tensor) -> Tensor:
    packed, _ = twin(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
    return pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])[0]


def test_flip_valid_reverses_inside_the_length_only() -> None:
    x = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])[..., None]
    flipped = flip_valid(x, torch.tensor([3, 0, 4]))
    assert flipped[..., 0].tolist() == [[3, 2, 1, 4], [5, 6, 7, 8], [12, 11, 10, 9]]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(1, 3))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_flip_valid_is_its_own_inverse(lengths: list[int], n_features: int) -> None:
    x = torch.arange(len(lengths) * 6 * n_features).reshape(len(lengths), 6, n_features)
    assert flip_valid(flip_valid(x, torch.tensor(lengths)), torch.tensor(lengths)).equal(x)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_states_and_gradients_equal_a_packed_bidirectional_lstm(
    lengths: list[int], n_inputs: int, n_hidden: int, seed: int
) -> None:
    torch.manual_seed(seed)
    module = DynamicBiLSTM(n_inputs, n_hidden).double()
    twin = packed_twin(module)
    n_valid = torch.tensor(lengths)
    x = torch.randn(len(lengths), 6, n_inputs, dtype=torch.float64, requires_grad=True)
    cotangent = torch.randn(len(lengths), 6, 2 * n_hidden).double()

    found, expected = module(x, n_valid), run_packed(twin, x, n_valid)
    assert_close(found, expected, atol=1e-10, rtol=0)
    # Both list the forward direction's weights first.
    assert_close(
        torch.autograd.grad((found * cotangent).sum(), [x, *module.parameters()]),
        torch.autograd.grad((expected * cotangent).sum(), [x, *twin.parameters()]),
        atol=1e-10,
        rtol=0,
    )


def test_float32_equals_packing_to_1e_5() -> None:
    module = DynamicBiLSTM(2, 10)
    x, lengths = torch.randn(8, 100, 2), torch.randint(1, 101, (8,))
    assert_close(module(x, lengths), run_packed(packed_twin(module).float(), x, lengths), atol=1e-5, rtol=0)


def test_two_steps_worked_out_by_hand() -> None:
    # All weights are 0, so that the gates are sigmoid(0) = 1/2, but for g = tanh(100) = 1 at every step:
    # c1 = 1/2, h1 = tanh(1/2) / 2; c2 = c1 / 2 + 1/2 = 3/4, h2 = tanh(3/4) / 2. The third slot is padding.
    module = DynamicBiLSTM(1, 1)
    for weight in module.parameters():
        nn.init.zeros_(weight)
    with torch.no_grad():
        for lstm in (module.ahead, module.back):
            lstm.weight_ih_l0[2] = 100.0
    h1, h2 = math.tanh(0.5) / 2, math.tanh(0.75) / 2
    states = module(torch.ones(1, 3, 1), torch.tensor([2]))
    assert_close(states, torch.tensor([[[h1, h2], [h2, h1], [0.0, 0.0]]]))


@pytest.mark.parametrize("lengths", [[0, 3, 1], [0, 0, 0]])
def test_states_are_zero_beyond_the_length_and_gradients_finite(lengths: list[int]) -> None:
    module = DynamicBiLSTM(2, 3)
    n_valid = torch.tensor(lengths)
    states = module(torch.randn(3, 4, 2), n_valid)
    valid = torch.arange(4) < n_valid[:, None]
    assert (states[~valid] == 0).all()
    assert (states[valid] != 0).all()
    states.sum().backward()
    assert all(weight.grad.isfinite().all() for weight in module.parameters())


def test_padding_has_no_influence() -> None:
    module, lengths = DynamicBiLSTM(2, 3), torch.tensor([2, 4])
    x = torch.randn(2, 4, 2)
    other = x.clone()
    other[0, 2:] = 1e6
    assert module(other, lengths).equal(module(x, lengths))

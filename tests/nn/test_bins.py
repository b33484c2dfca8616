from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, stack_module_state
from torch.testing import assert_close

from epiattn.nn._bins import BinConvolution, BinNorm


def twin(layer: BinConvolution, kernel_size: int, dilation: int) -> nn.Conv1d:
    """PyTorch's own layer with the same weights, bins last."""
    padding = dilation * (kernel_size - 1) // 2
    other = nn.Conv1d(layer.in_channels, layer.out_channels, kernel_size, padding=padding, dilation=dilation).double()
    other.load_state_dict(layer.state_dict())
    return other


@given(st.sampled_from([1, 3, 5]), st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_convolution_of_bins_is_that_of_pytorch(
    kernel_size: int, dilation: int, n_bins: int, n_obs: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = BinConvolution(3, 4, kernel_size, dilation=dilation).double()
    other = twin(layer, kernel_size, dilation)
    x = torch.randn(n_obs, n_bins, 3, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    found, expected = layer(x), other(y.transpose(1, 2)).transpose(1, 2)
    assert_close(found, expected)
    slope = torch.randn_like(found)
    (found * slope).sum().backward()
    (expected * slope).sum().backward()
    assert_close(x.grad, y.grad)
    assert_close(layer.weight.grad, other.weight.grad)
    assert_close(layer.bias.grad, other.bias.grad)


def test_features_stay_last_in_memory() -> None:
    assert BinConvolution(8, 6, 3)(torch.rand(4, 10, 8)).is_contiguous()


def test_batch_normalisation_of_bins_is_that_of_pytorch() -> None:
    torch.manual_seed(0)
    layer, other = BinNorm(3), nn.BatchNorm1d(3)
    x = torch.randn(5, 7, 3) * 3 + 1
    assert_close(layer(x), other(x.transpose(1, 2)).transpose(1, 2))
    assert_close(layer.running_var, other.running_var)
    assert_close(layer.eval()(x), other.eval()(x.transpose(1, 2)).transpose(1, 2))


def test_several_convolutions_in_one_pass() -> None:
    torch.manual_seed(0)
    layers = [BinConvolution(3, 4, 3, dilation=2) for _ in range(3)]
    weights, buffers = stack_module_state(layers)
    x = torch.randn(3, 5, 8, 3)

    def one(state: dict[str, torch.Tensor], rest: dict[str, torch.Tensor], values: torch.Tensor) -> torch.Tensor:
        return functional_call(layers[0], {**state, **rest}, (values,))

    found = torch.vmap(one)(weights, buffers, x)
    assert_close(found, torch.stack([layer(values) for layer, values in zip(layers, x, strict=True)]))

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from epiattn.nn import DeepChromeCNN, LinearHead


def n_parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def naive(x: Tensor, module: DeepChromeCNN, pool_size: int) -> Tensor:
    """Convolution, ReLU, max-pooling and two dense layers, in plain loops, for one gene."""
    kernels, bias = module.convolution.weight, module.convolution.bias
    n_windows = x.shape[1] - kernels.shape[2] + 1
    pooled = []
    for kernel, offset in zip(kernels, bias, strict=True):
        maps = [max(0.0, float((kernel * x[:, w : w + kernel.shape[1]]).sum() + offset)) for w in range(n_windows)]
        pooled += [max(maps[p : p + pool_size]) for p in range(0, n_windows - pool_size + 1, pool_size)]
    features = torch.tensor(pooled, dtype=x.dtype)
    for layer in module.perceptron:
        if isinstance(layer, nn.Linear):
            features = (layer.weight @ features + layer.bias).clamp(min=0)
    return features


def test_published_sizes_and_number_of_parameters() -> None:
    # 5 marks x 100 bins. Convolution: 50 kernels of 5 x 10 and their offsets: 2,500 + 50 = 2,550; it gives 91 windows.
    # Pools of 5: 18, which makes 18 x 50 = 900 features. Dense: 900 x 625 + 625 = 563,125; 625 x 125 + 125 = 78,250.
    # Output, as published for two classes: 125 x 2 + 2 = 252. In all 644,177: "645k parameters" (arXiv 2209.11923).
    module, head = DeepChromeCNN(5, 100), LinearHead(125)
    assert n_parameters(module.convolution) == 2_550
    assert n_parameters(module.perceptron) == 563_125 + 78_250
    assert n_parameters(module, head) == 644_177 - 126  # one logit is the difference of the two
    shapes = []
    module.pool.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    context, attention = module(torch.rand(3, 5, 100))
    assert shapes == [(3, 50, 18)]
    assert context.shape == (3, module.n_context) == (3, 125)
    assert attention.shape == (3, 100)
    assert module.dropout.p == 0.5


def test_equals_plain_loops() -> None:
    module = DeepChromeCNN(2, 17, n_kernels=3, kernel_size=4, pool_size=3, n_hidden=(6, 5)).double().eval()
    x = torch.randn(4, 2, 17).double()
    with torch.no_grad():
        context, _ = module(x)
        assert_close(context, torch.stack([naive(gene, module, pool_size=3) for gene in x]), atol=1e-12, rtol=0)


def test_output_of_hand_set_weights() -> None:
    # One mark, kernel (1, 1): the window sums of 1 2 3 4 5 are 3 5 7 9, pooled in twos 5 and 9. Hidden: 5 + 9 - 4 = 10
    # and 5 - 9 = -4, which ReLU makes 0.
    module = DeepChromeCNN(1, 5, n_kernels=1, kernel_size=2, pool_size=2, n_hidden=(2,)).eval()
    with torch.no_grad():
        module.convolution.weight.fill_(1.0)
        module.convolution.bias.zero_()
        module.perceptron[0].weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
        module.perceptron[0].bias.copy_(torch.tensor([-4.0, 0.0]))
    context, _ = module(torch.tensor([[[1.0, 2.0, 3.0, 4.0, 5.0]]]))
    assert_close(context, torch.tensor([[10.0, 0.0]]))


def test_half_of_the_pooled_features_is_dropped_in_training_only() -> None:
    module = DeepChromeCNN(1, 100, n_kernels=50)
    seen = []
    module.dropout.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    nn.init.ones_(module.convolution.bias)
    x = torch.rand(8, 1, 100) + 1
    nn.init.uniform_(module.convolution.weight)  # all features are positive
    module(x)
    module.eval()(x)
    assert 0.45 < (seen[0] == 0).float().mean() < 0.55
    assert (seen[1] > 0).all()


def test_what_is_returned_as_attention_is_uniform_and_says_so() -> None:
    module = DeepChromeCNN(3, 20)
    _, attention = module(torch.rand(2, 3, 20))
    assert_close(attention, torch.full((2, 20), 1 / 20))
    assert_close(module.uniform_attention(), attention[0])
    assert module.attends is False


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(0, 12))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_smallest_window_is_one_pool_and_a_smaller_one_is_refused(
    n_marks: int, kernel_size: int, pool_size: int, more: int
) -> None:
    smallest = kernel_size + pool_size - 1
    options = {"n_kernels": 2, "kernel_size": kernel_size, "pool_size": pool_size, "n_hidden": (3,)}
    module = DeepChromeCNN(n_marks, smallest + more, **options)
    context, attention = module(torch.rand(1, n_marks, smallest + more))
    assert context.shape == (1, 3)
    assert_close(attention.sum(1), torch.ones(1))
    if smallest > 1:
        with pytest.raises(ValueError, match=rf"has {smallest - 1} bins, fewer than the {smallest}"):
            DeepChromeCNN(n_marks, smallest - 1, **options)

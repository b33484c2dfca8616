from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from epiattn.nn import HistoneCRNN


def naive_pooled(x: Tensor, module: HistoneCRNN, *, kernel_size: int = 7, pool_size: int = 3) -> Tensor:
    """Convolution over all marks, batch normalisation, ReLU and max-pooling of padding 1, in plain loops."""
    weight, bias = module.convolution.weight, module.convolution.bias
    n_windows = x.shape[2] - kernel_size + 1
    pooled = []
    maps = torch.zeros(len(x), len(bias), n_windows).double()
    for b in range(len(x)):
        for k in range(len(bias)):
            for w in range(n_windows):
                total = float(bias[k])
                for mark in range(x.shape[1]):
                    for j in range(kernel_size):
                        total += float(weight[k, mark, j]) * float(x[b, mark, w + j])
                maps[b, k, w] = total
    for k in range(len(bias)):
        if module.training:
            values = maps[:, k].flatten().tolist()
            mean = sum(values) / len(values)
            variance = sum((v - mean) ** 2 for v in values) / len(values)
        else:
            mean, variance = float(module.norm.running_mean[k]), float(module.norm.running_var[k])
        maps[:, k] = (maps[:, k] - mean) / (variance + 1e-5) ** 0.5 * module.norm.weight[k] + module.norm.bias[k]
    for start in range(-1, n_windows + 2 - pool_size, pool_size):
        seen = [w for w in range(start, start + pool_size) if 0 <= w < n_windows]
        pooled.append(maps[:, :, seen].clamp(min=0).amax(2))
    return torch.stack(pooled, dim=1)


def naive_context(pooled: Tensor, module: HistoneCRNN) -> tuple[Tensor, Tensor]:
    """Torch's BiLSTM on each gene by itself, then additive attention position by position."""
    contexts, weights = [], []
    scoring, score = module.attention.hidden, module.attention.score
    for gene in pooled:
        states = module.rnn(gene[None])[0][0]
        exps = [(score.weight[0] @ torch.tanh(scoring.weight @ h + scoring.bias) + score.bias[0]).exp() for h in states]
        weights.append(torch.stack([e / sum(exps) for e in exps]))
        contexts.append(sum(e / sum(exps) * h for e, h in zip(exps, states, strict=True)))
    return torch.stack(contexts), torch.stack(weights)


def randomise_norm(module: HistoneCRNN) -> None:
    for tensor in (module.norm.weight, module.norm.running_var):
        nn.init.uniform_(tensor, 0.5, 2.0)
    for tensor in (module.norm.bias, module.norm.running_mean):
        nn.init.normal_(tensor, std=0.3)


def fields_by_perturbation(module: HistoneCRNN, n_marks: int, n_bins: int) -> Tensor:
    """Light one bin at a time under all-ones kernels: which pooled positions notice? Shape (positions, bins)."""
    with torch.no_grad():
        module.convolution.weight.fill_(1.0)
        module.convolution.bias.zero_()
    module.eval()
    pooled = []
    module.pool.register_forward_hook(lambda _module, _inputs, output: pooled.append(output[:, 0]))
    module(torch.eye(n_bins)[:, None].expand(-1, n_marks, -1).contiguous())
    return (pooled[0] > 0.5).T


@pytest.mark.parametrize("training", [True, False])
def test_equals_plain_loops(training: bool) -> None:
    module = HistoneCRNN(2, 14, n_kernels=3, n_hidden=4, n_attention=3).double()
    randomise_norm(module)
    module.train(training)
    x = torch.randn(3, 2, 14).double()
    seen = []
    module.pool.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    module.attention.register_forward_hook(lambda _module, _inputs, output: seen.append(output[1]))
    with torch.no_grad():
        pooled = naive_pooled(x, module)  # before the module's own pass, which updates the running statistics
        context, weights = naive_context(pooled, module)
        found, _ = module(x)
    assert pooled.shape == (3, 3, 3)  # 14 - 6 = 8 windows, pooled into {0, 1}, {2, 3, 4}, {5, 6, 7}
    assert_close(seen[0].transpose(1, 2), pooled, atol=1e-10, rtol=0)
    assert_close(seen[1], weights, atol=1e-10, rtol=0)
    assert_close(found, context, atol=1e-10, rtol=0)


def test_published_sizes() -> None:
    module = HistoneCRNN(5, 40)
    shapes = []
    module.convolution.register_forward_hook(lambda _module, _inputs, output: shapes.append(output.shape))
    module.pool.register_forward_hook(lambda _module, _inputs, output: shapes.append(output.shape))
    context, attention = module(torch.rand(2, 5, 40))
    assert shapes == [(2, 20, 34), (2, 20, 12)]
    assert context.shape == (2, module.n_context) == (2, 80)
    assert attention.shape == (2, 40)


def test_attention_spreads_each_position_over_its_bins_by_hand() -> None:
    # 5 bins, kernel 2: windows 01, 12, 23, 34. Pooling 3/3/1: position 0 sees windows {0, 1}, that is bins 0-2;
    # position 1 sees windows {2, 3}, that is bins 2-4. Uniform attention: 1/2 over 3 bins each, bin 2 has both.
    module = HistoneCRNN(1, 5, kernel_size=2).eval()
    nn.init.zeros_(module.attention.score.weight)
    _, attention = module(torch.rand(1, 1, 5))
    assert_close(attention, torch.tensor([[1, 1, 2, 1, 1]]) / 6)


@given(st.integers(1, 4), st.integers(1, 24), st.integers(1, 7), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_attention_over_bins_follows_the_receptive_fields(
    n_marks: int, n_bins: int, kernel_size: int, pool_size: int, seed: int
) -> None:
    assume(n_bins >= kernel_size)
    torch.manual_seed(seed)
    module = HistoneCRNN(n_marks, n_bins, n_kernels=2, kernel_size=kernel_size, pool_size=pool_size, n_hidden=3).eval()
    weights = []
    module.attention.register_forward_hook(lambda _module, _inputs, output: weights.append(output[1]))
    with torch.no_grad():
        context, attention = module(torch.randn(2, n_marks, n_bins))
        fields = fields_by_perturbation(module, n_marks, n_bins)
    expected = torch.zeros(2, n_bins)
    for gene in range(2):
        for position, field in enumerate(fields):
            for b in range(n_bins):
                if field[b]:
                    expected[gene, b] += weights[0][gene, position] / field.sum()
    assert context.shape == (2, 6)
    assert_close(attention, expected)
    assert_close(attention.sum(1), torch.ones(2))


@pytest.mark.parametrize("n_genes", [1, 2])
def test_one_mark_and_few_genes_train(n_genes: int) -> None:
    module = HistoneCRNN(1, 20).train()
    context, attention = module(torch.rand(n_genes, 1, 20))
    context.sum().backward()
    assert context.shape == (n_genes, 80)
    assert_close(attention.sum(1), torch.ones(n_genes))
    assert all(weight.grad.isfinite().all() for weight in module.parameters() if weight.grad is not None)
    assert module.convolution.weight.grad.abs().sum() > 0


def test_batch_of_one_equals_its_row_in_a_larger_batch_at_prediction() -> None:
    module, x = HistoneCRNN(3, 15).eval(), torch.randn(4, 3, 15)
    context, attention = module(x)
    for i in range(4):
        assert_close(module(x[i : i + 1]), (context[i : i + 1], attention[i : i + 1]), atol=1e-6, rtol=1e-5)


def test_window_as_long_as_the_kernel_is_one_position() -> None:
    _, attention = HistoneCRNN(2, 7).eval()(torch.rand(3, 2, 7))
    assert_close(attention, torch.full((3, 7), 1 / 7))


def test_window_shorter_than_the_kernel_names_both_sizes() -> None:
    with pytest.raises(ValueError, match=r"5 bins.*7 bins.*kernel_size <= 5"):
        HistoneCRNN(3, 5)

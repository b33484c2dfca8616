from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from epiattn.nn import HistoneAttention
from epiattn.nn._histone_attention import query_hills


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def test_shapes_and_sums() -> None:
    encoder = HistoneAttention(7, 40).eval()
    context, attention = encoder(torch.rand(3, 7, 40))
    assert context.shape == (3, 55) == (3, encoder.n_context)
    assert attention.shape == (3, 7, 40)
    assert (attention > 0).all()
    assert_close(attention.sum((1, 2)), torch.ones(3))
    assert_close(encoder.uniform_attention(), torch.full((40,), 1 / 40))


@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 3), st.integers(0, 3), st.integers(0, 99))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_sizes(n_marks: int, n_bins: int, n_queries: int, n_blocks: int, seed: int) -> None:
    torch.manual_seed(seed)
    encoder = HistoneAttention(n_marks, n_bins, n_features=4, n_queries=n_queries, n_blocks=n_blocks).eval()
    randomise(encoder)
    x = torch.rand(2, n_marks, n_bins)
    context, attention = encoder(x)
    assert context.shape == (2, 4 + n_marks)
    assert_close(attention.sum((1, 2)), torch.ones(2))
    assert_close(encoder(x[1:])[0], context[1:])  # one gene does not see another


def test_equal_to_plain_loops() -> None:
    torch.manual_seed(0)
    encoder = HistoneAttention(2, 6, n_features=3, n_queries=2, kernel_size=3, n_blocks=2).double().eval()
    randomise(encoder)
    encoder.norm.running_mean.normal_()
    encoder.standardize.running_mean.normal_()
    encoder.learn(torch.rand(50, 2, 6).double())
    x = torch.rand(1, 2, 6).double()
    x[0, 0, 2] = 0.0
    context, attention = encoder(x)
    with torch.no_grad():
        expected_context, expected_attention = naive(encoder, x[0])
    assert_close(context[0], expected_context, atol=1e-9, rtol=0)
    assert_close(attention[0], expected_attention, atol=1e-9, rtol=0)


def conv(layer: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """A convolution of one gene, bin by bin."""
    n_bins, size, dilation = x.shape[1], layer.kernel_size[0], layer.dilation[0]
    out = torch.zeros(layer.out_channels, n_bins).double()
    for p in range(n_bins):
        for j in range(size):
            source = p + (j - size // 2) * dilation
            if 0 <= source < n_bins:
                out[:, p] += layer.weight[:, :, j] @ x[:, source]
        out[:, p] += layer.bias
    return out


def linear(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """A linear map of each bin of one gene."""
    return layer.weight @ x + layer.bias[:, None]


def norm(layer: nn.BatchNorm1d, x: torch.Tensor) -> torch.Tensor:
    scaled = (x - layer.running_mean[:, None]) / torch.sqrt(layer.running_var + layer.eps)[:, None]
    return scaled if layer.weight is None else scaled * layer.weight[:, None] + layer.bias[:, None]


def levels(encoder: HistoneAttention, mark: int, x: torch.Tensor) -> list[torch.Tensor]:
    """How far a mark fills each of its levels, level by level."""
    knots = encoder.levels.knots[mark].tolist()
    filled = []
    for low, high in pairwise(knots):
        limit = math.inf if high == knots[-1] else 1.0
        filled.append(torch.tensor([min(max((value - low) / (high - low), 0.0), limit) for value in x.tolist()]))
    return [each.double() for each in filled]


def naive(encoder: HistoneAttention, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The docstring, step by step, for one gene."""
    act = nn.functional.gelu
    n_marks = len(x)
    there = (x > 0).double()
    marks = (
        linear(encoder.mark_scores, act(conv(encoder.mark_features, torch.cat([x, there])))) + encoder.mark_places
    ).T
    marks = torch.stack([scores.exp() / scores.exp().sum() for scores in marks]).T
    gain = (1 + n_marks * marks) / 2
    channels = [channel * gain[m] for m in range(n_marks) for channel in (*levels(encoder, m, x[m]), there[m])]
    states = linear(encoder.stem, torch.stack(channels)) + encoder.places
    for block in encoder.blocks:
        states = states + conv(block.convolution, act(norm(block.norm, states)))
    states = act(norm(encoder.norm, states))
    scores = linear(encoder.query_scores, states) + encoder.query_places
    bins = torch.stack([each.exp() / each.exp().sum() for each in scores])
    read = torch.cat([linear(encoder.value, states) @ weights for weights in bins])
    context = act(encoder.reduce.weight @ read + encoder.reduce.bias)
    total = norm(encoder.standardize, x.mean(1)[:, None])[:, 0]
    return torch.cat([context, total]), marks * bins.mean(0)


def test_attention_by_hand() -> None:
    # All weights 0 but the scores of places: one query prefers bin 1 by ln 3, marks are weighed 2 : 1 in bin 0 only.
    encoder = HistoneAttention(2, 3, n_features=2, n_queries=1, n_blocks=0).eval()
    for parameter in encoder.parameters():
        nn.init.zeros_(parameter)
    encoder.query_places.data[0, 1] = math.log(3)
    encoder.mark_places.data[0, 0] = math.log(2)
    _, attention = encoder(torch.rand(1, 2, 3))
    assert_close(attention[0], torch.tensor([[2 / 15, 3 / 10, 1 / 10], [1 / 15, 3 / 10, 1 / 10]]))


def test_it_knows_where_a_peak_is() -> None:
    # Without scores and features of places, the same peak in another bin is the same context; with either it is not.
    encoder = HistoneAttention(1, 10, n_features=8, n_queries=4, n_blocks=0).eval()
    x = torch.zeros(2, 1, 10)
    x[0, 0, 3], x[1, 0, 6] = 1.0, 1.0

    def difference() -> float:
        with torch.no_grad():
            context, _ = encoder(x)
        return float((context[0] - context[1]).abs().max())

    nn.init.zeros_(encoder.query_places)
    assert difference() < 1e-6
    encoder.query_places.data = query_hills(4, 10)
    assert difference() > 1e-3
    nn.init.zeros_(encoder.query_places)
    nn.init.normal_(encoder.places)
    assert difference() > 1e-3


def test_a_signal_of_zero_is_told_from_a_low_one() -> None:
    torch.manual_seed(0)
    encoder = HistoneAttention(1, 5).eval()
    low, none = torch.full((1, 1, 5), 1e-6), torch.zeros(1, 1, 5)
    assert (encoder(low)[0] - encoder(none)[0]).abs().max() > 1e-3


@given(st.integers(1, 20), st.integers(1, 60))
def test_hills_of_queries(n_queries: int, n_bins: int) -> None:
    hills = query_hills(n_queries, n_bins)
    assert hills.shape == (n_queries, n_bins)
    assert_close(hills, hills.flip(0, 1))  # what is upstream of one query is downstream of another
    assert (hills >= -4).all()
    top = hills.argmax(1).diff()
    assert (top >= 0).all()  # in the order of the bins, one hill each
    slope = hills.diff(dim=1).sign()
    assert (slope.diff(dim=1) <= 0).all() or (hills.min() < -3.9)


def test_hills_are_narrow_at_the_tss() -> None:
    hills = query_hills(8, 40)
    assert hills.argmax(1).tolist() == [3, 13, 17, 19, 20, 22, 26, 35]  # the tops of the outer two lie between bins
    wide = (hills > -1).sum(1).tolist()
    assert wide == sorted(wide[:4], reverse=True) + sorted(wide[4:])
    assert wide[0] > 3 * wide[3]


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(ValueError, match=r"Expected \(n_marks, n_bins\) = \(2, 8\)"):
        HistoneAttention(2, 8)(torch.rand(1, 3, 8))
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        HistoneAttention(2, 8, kernel_size=4)


def test_a_training_batch_of_one_works() -> None:
    encoder = HistoneAttention(2, 8).train()
    assert encoder(torch.rand(1, 2, 8))[0].isfinite().all()

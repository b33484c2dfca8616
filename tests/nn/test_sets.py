from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from epiattn.nn import CpGAttention, TFAttention


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)


# --- CpGs -------------------------------------------------------------------------------------------------------------


def cpgs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Lists of 4, 1 and 0 CpGs."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(5) < torch.tensor([4, 1, 0])[:, None]
    return torch.rand(3, 5, 2, generator=generator).double(), mask


@pytest.mark.parametrize("place", [None, 1])
def test_cpgs_equal_to_plain_loops(place: int | None) -> None:
    torch.manual_seed(0)
    encoder = CpGAttention(2, place=place, n_features=3, n_queries=2).double().eval()
    randomise(encoder)
    encoder.standardize.running_mean.normal_()
    x, mask = cpgs()
    context, attention = encoder(x, mask)
    assert context.shape == (3, encoder.n_context) == (3, 3 + 3 * 3)
    with torch.no_grad():
        for gene in range(3):
            valid = x[gene][mask[gene]]
            states = encoder.embed(valid)
            read, seen = torch.zeros(2, 3).double(), torch.zeros(5).double()
            counts, means = [math.log(1 + len(valid))], [valid.mean(0) if len(valid) else torch.zeros(2).double()]
            for q in range(2):
                hill = torch.zeros(len(valid)).double()
                if place is not None:
                    hill = -(((valid[:, place] - encoder.centre[q]) / encoder.log_width[q].exp()) ** 2) / 2
                counts.append(math.log(1 + float(hill.exp().sum())))
                scores = states @ encoder.scores.weight[q] + encoder.scores.bias[q] + hill
                weights = scores.exp() / scores.exp().sum()
                read[q] = sum((w * s for w, s in zip(weights, states, strict=True)), torch.zeros(3).double())
                means.append(sum((w * v for w, v in zip(weights, valid, strict=True)), torch.zeros(2).double()))
                seen[: len(valid)] += weights / 2
            raw = torch.cat([torch.tensor(counts, dtype=torch.float64), *means])
            scaled = (raw - encoder.standardize.running_mean) / math.sqrt(1 + encoder.standardize.eps)
            reduced = nn.functional.gelu(encoder.reduce.weight @ read.flatten() + encoder.reduce.bias)
            assert_close(context[gene], torch.cat([reduced, scaled]), atol=1e-9, rtol=0)
            assert_close(attention[gene], seen, atol=1e-9, rtol=0)


def test_hills_over_cpgs_start_at_the_tss_each_half_as_wide() -> None:
    encoder = CpGAttention(2, place=1, n_queries=3).eval()
    nn.init.zeros_(encoder.scores.weight)
    nn.init.zeros_(encoder.scores.bias)
    x = torch.tensor([[[0.5, -1.0], [0.5, 0.0], [0.5, 0.5]]])
    weights = torch.exp(-(torch.tensor([-1.0, 0.0, 0.5]) ** 2) / 2 / torch.tensor([1.0, 0.5, 0.25])[:, None] ** 2)
    expected = (weights / weights.sum(1, keepdim=True)).mean(0)
    assert_close(encoder(x)[1][0], expected)


def test_order_and_padding_of_cpgs_do_not_matter() -> None:
    encoder = CpGAttention(2).double().eval()
    x, mask = cpgs()
    changed = x.clone()
    changed[~mask] = 99.0
    changed[0, :4] = x[0, [2, 0, 3, 1]]
    assert_close(encoder(changed, mask)[0], encoder(x, mask)[0])
    assert_close(encoder(changed, mask)[1][0, :4], encoder(x, mask)[1][0, [2, 0, 3, 1]])


def test_lists_without_any_cpg_have_finite_gradients() -> None:
    encoder = CpGAttention(2).double()
    x, mask = cpgs()
    context, attention = encoder(x, mask & False)
    assert (attention == 0).all()
    context.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())
    assert encoder(x[:, :0], mask[:, :0])[0].shape == (3, encoder.n_context)


def test_without_a_mask_all_cpgs_count() -> None:
    encoder = CpGAttention(2).double().eval()
    x, mask = cpgs()
    assert_close(encoder(x)[0], encoder(x, mask | True)[0])


# --- TFs --------------------------------------------------------------------------------------------------------------


def tfs() -> torch.Tensor:
    """Three genes and four TFs: two bound, all bound, none bound."""
    x = torch.zeros(3, 4, 2).double()
    x[0, 1], x[0, 3] = torch.tensor([1.0, -0.5]).double(), torch.tensor([0.0, 2.0]).double()
    x[1] = torch.rand(4, 2, generator=torch.Generator().manual_seed(0)).double() + 0.1
    return x


def test_tfs_equal_to_plain_loops() -> None:
    torch.manual_seed(0)
    encoder = TFAttention(4, 2, n_features=3, n_queries=2).double().eval()
    randomise(encoder)
    x = tfs()
    context, attention = encoder(x)
    assert context.shape == (3, encoder.n_context) == (3, 3 + 4 + 6)
    with torch.no_grad():
        for gene in range(3):
            bound = [t for t in range(4) if (x[gene, t] != 0).any()]
            states = [encoder.embedding[t] + encoder.project(x[gene, t]) for t in bound]
            read, seen = torch.zeros(2, 3).double(), torch.zeros(4).double()
            for q in range(2 if bound else 0):
                scores = torch.stack([encoder.scores.weight[q] @ s.tanh() + encoder.scores.bias[q] for s in states])
                weights = scores.exp() / scores.exp().sum()
                read[q] = sum(w * s for w, s in zip(weights, states, strict=True))
                seen[bound] += weights / 2
            values = x[gene, bound]
            raw = torch.tensor([len(bound), *values.sum(0), values.prod(1).sum()]).double()
            summary = raw.sign() * (1 + raw.abs()).log() / math.sqrt(1 + encoder.standardize.eps)
            reduced = nn.functional.gelu(encoder.reduce.weight @ read.flatten() + encoder.reduce.bias)
            drive = nn.functional.gelu(encoder.hidden.weight @ summary + encoder.hidden.bias)
            assert_close(context[gene], torch.cat([reduced, summary, drive]), atol=1e-9, rtol=0)
            assert_close(attention[gene], seen if bound else torch.full((4,), 0.25).double(), atol=1e-9, rtol=0)


def test_a_mask_says_which_tfs_are_bound() -> None:
    encoder, x = TFAttention(4, 2).double().eval(), tfs()
    assert_close(encoder(x, (x != 0).any(-1)), encoder(x))
    assert_close(encoder(x, torch.ones(3, 4, dtype=torch.bool))[1].sum(1), torch.ones(3).double())


def test_gradients_of_tfs_are_right() -> None:
    torch.manual_seed(0)
    encoder, x = TFAttention(4, 2, n_features=2, dropout=0.0).double().eval(), tfs()
    parameters = list(encoder.parameters())

    def score(*given: torch.Tensor) -> torch.Tensor:
        names = [name for name, _ in encoder.named_parameters()]
        context, attention = torch.func.functional_call(encoder, dict(zip(names, given, strict=True)), (x,))
        return torch.cat([context.flatten(), attention.flatten()])

    assert torch.autograd.gradcheck(score, parameters)


def test_no_tf_bound_anywhere() -> None:
    encoder = TFAttention(4, 2)
    context, attention = encoder(torch.zeros(2, 4, 2))
    assert_close(attention, torch.full((2, 4), 0.25))
    context.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())


def test_another_number_of_tfs_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected 4 TFs for each observation, got 5"):
        TFAttention(4)(torch.zeros(1, 5, 3))

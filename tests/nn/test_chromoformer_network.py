from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from epiattn.nn import (
    ChromoformerNetwork,
    DistalEncoder,
    ModalityBatch,
    PromoterEncoder,
    RegulationFusion,
    ScoreHead,
)
from epiattn.nn._chromoformer_network import _pool

SIZES: dict[str, Any] = {"n_features": 8, "n_inner": 4, "n_heads": 2, "n_hidden": 6}
N_REGIONS, N_BINS = 3, 4


def make_network(*, distal: bool = True) -> ChromoformerNetwork:
    """Two marks in ten bins, the TSS in bin 5, at two resolutions; regions of four bins."""
    encoders: dict[str, nn.Module] = {"histone": PromoterEncoder(2, 10, [2, 1], centre=5, **SIZES)}
    if distal:
        encoders["distal"] = DistalEncoder(2, N_REGIONS, N_BINS, factors=[2, 1], frequency=1, **SIZES)
    fusion = RegulationFusion(len(encoders), 2, **SIZES, n_layers=2)
    net = ChromoformerNetwork(encoders, fusion, ScoreHead(fusion.n_latent, n_hidden=5))
    for vector in net.missing.values():
        nn.init.normal_(vector)
    return net.eval()


def make_batch(frequency: Tensor, *, seed: int = 0) -> dict[str, ModalityBatch]:
    """Promoters and regions with these frequencies, shape (batch, regions)."""
    generator = torch.Generator().manual_seed(seed)
    n = len(frequency)
    regions = torch.rand(n, 3, N_REGIONS, N_BINS, generator=generator)
    regions[:, 1] = frequency[..., None]
    present = torch.ones(n, dtype=torch.bool)
    return {
        "histone": ModalityBatch(torch.rand(n, 2, 10, generator=generator), None, present),
        "distal": ModalityBatch(regions.flatten(2), None, present),
    }


FREQUENCY = torch.tensor([[1.0, 0.5, 2.0], [0.7, 0.0, 0.0], [0.0, 0.0, 0.0]])


# --- promoters -------------------------------------------------------------------------------------------------------


def test_bins_are_averaged_by_hand() -> None:
    x = torch.arange(7.0)[None, None]
    assert_close(_pool(x, 3), torch.tensor([[[1.0, 4.0, 6.0]]]))  # the last is bin 6 alone
    assert_close(_pool(x, 20), torch.tensor([[[3.0]]]))
    assert_close(_pool(x, 1), x)


def test_published_latent_space_and_number_of_parameters() -> None:
    # Per resolution embedding 100,096 and regulation 1,382,448 (see test_chromoformer); three resolutions; head
    # 384 x 128 + 128 + 128 + 1 = 49,409. With regions another 265,088 per resolution.
    promoter = PromoterEncoder(7, 400, [20, 5, 1], centre=200)
    fusion = RegulationFusion(2, 3, promoter.n_features)
    distal = DistalEncoder(7, 8, 400, factors=[20, 5, 1], frequency=7)
    head = ScoreHead(fusion.n_latent, n_hidden=128)
    assert [embed.positions.shape for embed in promoter.embeddings] == [(20, 128), (80, 128), (400, 128)]
    assert [embed.centre for embed in promoter.embeddings] == [10, 40, 200]
    count = [sum(parameter.numel() for parameter in module.parameters()) for module in (promoter, fusion, head, distal)]
    assert sum(count[:3]) == 3 * (100_096 + 1_382_448) + 49_409 == 4_497_041
    assert count[3] == 3 * 265_088
    assert (promoter.n_context, fusion.n_latent) == (384, 384)


def test_each_resolution_is_embedded_by_itself_and_its_attention_spread_over_its_bins() -> None:
    encoder, x = PromoterEncoder(2, 10, [4, 1], centre=5, **SIZES).eval(), torch.rand(3, 2, 10)
    wide = torch.stack([x[..., :4].mean(2), x[..., 4:8].mean(2), x[..., 8:].mean(2)], dim=2)
    (state_1, wide_weights), (state_2, weights) = encoder.embeddings[0](wide), encoder.embeddings[1](x)
    context, attention = encoder(x)
    assert_close(context, torch.cat([state_1, state_2], dim=1))
    spread = torch.repeat_interleave(wide_weights / torch.tensor([4, 4, 2]), torch.tensor([4, 4, 2]), dim=1)
    assert_close(attention, (spread + weights) / 2)
    assert encoder.embeddings[0].centre == 1


@given(st.integers(1, 12), st.lists(st.integers(1, 15), min_size=1, max_size=3), st.integers(0, 99))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_attention_over_bins_sums_to_one_at_any_sizes(n_bins: int, factors: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    encoder = PromoterEncoder(1, n_bins, factors, centre=n_bins // 2, **SIZES).eval()
    _, attention = encoder(torch.rand(2, 1, n_bins))
    assert attention.shape == (2, n_bins)
    assert_close(attention.sum(1), torch.ones(2))
    assert_close(encoder.uniform_attention().sum(), torch.tensor(1.0))
    for embedding in encoder.embeddings:
        for layer in embedding.layers:
            nn.init.zeros_(layer.attention.query.weight)
    assert_close(encoder(torch.rand(1, 1, n_bins))[1][0], encoder.uniform_attention())


def test_promoters_alone() -> None:
    net = make_network(distal=False)
    batch = {"histone": make_batch(FREQUENCY)["histone"]}
    embedding = net.embed(batch)
    context, attention = net.encoders["histone"](batch["histone"].values)
    parts = [net.fusion.regulation[i](part[:, None])[0] for i, part in enumerate(context.split(8, dim=1))]
    assert_close(embedding["z"], torch.cat(parts, dim=1))
    assert_close(embedding["attention"]["histone"], attention)
    assert_close(embedding["modality_weights"], torch.ones(3, 1))
    assert_close(net(batch), net.head(embedding["z"]))


# --- regions ---------------------------------------------------------------------------------------------------------


def test_marks_and_frequency_are_told_apart_by_hand() -> None:
    # Two marks around the frequency, two regions of two bins.
    encoder = DistalEncoder(2, 2, 2, factors=[1], frequency=1, **SIZES)
    x = torch.tensor([[[1.0, 2, 3, 4], [7, 7, 0, 0], [5, 6, 8, 9]]])
    marks, frequency = encoder.split(x)
    assert_close(marks, torch.tensor([[[[1.0, 2], [5, 6]], [[3, 4], [8, 9]]]]))
    assert_close(frequency, torch.tensor([[7.0, 0]]))


def test_latent_points_and_attention_are_those_of_the_parts_gene_by_gene() -> None:
    net, batch = make_network(), make_batch(FREQUENCY)
    embedding = net.embed(batch)
    promoters, _ = net.encoders["histone"](batch["histone"].values)
    marks, _ = net.encoders["distal"].split(batch["distal"].values)
    for gene in range(3):
        there = [region for region in range(N_REGIONS) if FREQUENCY[gene, region] > 0]
        z, attention, contexts = [], torch.zeros(N_REGIONS, N_BINS), []
        for i, factor in enumerate((2, 1)):
            promoter = promoters[gene : gene + 1, 8 * i : 8 * (i + 1)]
            tokens, bins = [promoter], {}
            for region in there:
                state, weights = net.encoders["distal"].pairs[i](promoter, _pool(marks[gene, region][None], factor))
                tokens.append(state)
                bins[region] = weights[0].repeat_interleave(factor) / factor
            frequency = torch.tensor([[0.0, *FREQUENCY[gene, there]]])
            state, weights = net.fusion.regulation[i](torch.stack(tokens, dim=1), frequency)
            z.append(state)
            contexts.append(torch.stack(tokens[1:]).mean(0) if there else None)
            for token, region in enumerate(there, start=1):
                attention[region] += weights[0, token] / weights[0, 1:].sum() * bins[region] / 2
        assert_close(embedding["z"][gene], torch.cat(z, dim=1)[0], atol=1e-5, rtol=1e-4)
        assert_close(embedding["attention"]["distal"][gene], attention.flatten(), atol=1e-6, rtol=1e-4)
        expected = torch.cat(contexts, dim=1)[0] if there else net.missing["distal"]
        assert_close(embedding["contexts"]["distal"][gene], expected, atol=1e-5, rtol=1e-4)
    assert_close(embedding["attention"]["distal"].sum(1), torch.tensor([1.0, 1.0, 0.0]))


def test_what_stands_in_empty_slots_does_not_matter() -> None:
    net, batch = make_network(), make_batch(FREQUENCY)
    changed = batch["distal"].values.clone().unflatten(2, (N_REGIONS, N_BINS))
    empty = (FREQUENCY == 0)[:, None, :, None].expand(-1, 3, -1, N_BINS).clone()
    empty[:, 1] = False  # the frequency stays 0
    changed[empty] = 99.0
    other = net.embed({**batch, "distal": batch["distal"]._replace(values=changed.flatten(2))})
    for name, value in net.embed(batch).items():
        assert_close(other[name], value)


def test_the_order_of_the_regions_does_not_matter() -> None:
    net, batch = make_network(), make_batch(FREQUENCY)
    order = torch.tensor([2, 0, 1])
    values = batch["distal"].values.unflatten(2, (N_REGIONS, N_BINS))[:, :, order].flatten(2)
    before, after = net.embed(batch), net.embed({**batch, "distal": batch["distal"]._replace(values=values)})
    assert_close(after["z"], before["z"], atol=1e-6, rtol=1e-5)
    attention = [each["attention"]["distal"].unflatten(1, (N_REGIONS, N_BINS)) for each in (before, after)]
    assert_close(attention[1], attention[0][:, order])


def test_a_promoter_without_regions_is_what_it_is_alone() -> None:
    net, batch = make_network(), make_batch(FREQUENCY)
    alone = net.embed({"histone": batch["histone"]})
    assert_close(net.embed(batch)["z"][2], alone["z"][2], atol=1e-6, rtol=1e-5)
    assert_close(alone["contexts"]["distal"], net.missing["distal"].expand(3, -1))
    unmeasured = batch["distal"]._replace(present=torch.zeros(3, dtype=torch.bool))
    assert_close(net.embed({**batch, "distal": unmeasured})["z"], alone["z"], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(net.embed(batch)["z"][0], alone["z"][0])


def test_gradients_are_finite_with_and_without_regions() -> None:
    net, batch = make_network().train(), make_batch(FREQUENCY)
    net(batch).sum().backward()
    gradients = {name: weight.grad for name, weight in net.named_parameters() if weight.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert gradients["encoders.distal.pairs.0.project.weight"].abs().sum() > 0
    assert gradients["encoders.histone.embeddings.0.project.weight"].abs().sum() > 0


def test_uniform_attention_over_regions() -> None:
    uniform = make_network().encoders["distal"].uniform_attention()
    assert_close(uniform, torch.full((12,), 1 / 12))


def test_a_batch_without_promoters_is_refused() -> None:
    with pytest.raises(ValueError, match="holds none of the modalities"):
        make_network().embed({"distal": make_batch(FREQUENCY)["distal"]})

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from epiattn.nn import GatedFusion, MultiAttentionFusion


def naive_fusion(contexts: dict[str, Tensor], module: MultiAttentionFusion) -> tuple[Tensor, Tensor]:
    """Multi-attention block of one gene, one head, one feature at a time."""
    zs, shares = [], []
    n_latent, n_heads = module.n_latent, module.n_heads
    for gene in range(len(next(iter(contexts.values())))):
        h = [(name, value) for name in module.sizes for value in contexts[name][gene]]
        pieces: dict[str, list[Tensor]] = {name: [] for name in module.sizes}
        total = dict.fromkeys(module.sizes, 0.0)
        for k in range(n_heads):
            exps = []
            for d in range(n_latent):
                row = k * n_latent + d
                logit = module.attention.bias[row]
                for e in range(n_latent):
                    logit = logit + module.attention.weight[row, e] * h[e][1]
                exps.append(logit.exp())
            for d, (name, value) in enumerate(h):
                weight = exps[d] / sum(exps)
                pieces[name].append(weight * value)
                total[name] = total[name] + weight / n_heads
        zs.append(
            torch.cat([module.reduce[n].weight @ torch.stack(pieces[n]) + module.reduce[n].bias for n in module.sizes])
        )
        shares.append(torch.stack([total[name] * n_latent / size for name, size in module.sizes.items()]))
    return torch.stack(zs), torch.stack(shares)


def random_contexts(sizes: dict[str, int], n_genes: int) -> dict[str, Tensor]:
    return {name: torch.randn(n_genes, size, dtype=torch.float64) for name, size in sizes.items()}


def test_every_feature_meets_its_own_weight_worked_out_by_hand() -> None:
    # Head 1 has weights (1/2, 1/4, 1/4), head 2 (1/10, 6/10, 3/10); h = (2, -4 | 10).
    # h1 = (1, -1 | 2.5), h2 = (0.2, -2.4 | 3). Modality a: (1, -1) + 10 (0.2, -2.4) + (7, 8) = (10, -17).
    # Modality b: 2.5 + 100 * 3 + 9 = 311.5. Modality-major features (2, -4, 2, -4, 10, 10) against the head-major
    # weights would give -0.4 for the second feature of the second head instead of -2.4.
    # Shares: a ((3/4) + (7/10)) / 2 = 0.725 of 2/3, that is 1.0875; b (1/4 + 3/10) / 2 = 0.275 of 1/3: 0.825.
    fusion = MultiAttentionFusion({"a": 2, "b": 1}, n_heads=2).double()
    fusion.load_state_dict(
        {
            "attention.weight": torch.zeros(6, 3),
            "attention.bias": torch.tensor([1 / 2, 1 / 4, 1 / 4, 1 / 10, 6 / 10, 3 / 10]).double().log(),
            "reduce.a.weight": torch.tensor([[1.0, 0.0, 10.0, 0.0], [0.0, 1.0, 0.0, 10.0]]),
            "reduce.a.bias": torch.tensor([7.0, 8.0]),
            "reduce.b.weight": torch.tensor([[1.0, 100.0]]),
            "reduce.b.bias": torch.tensor([9.0]),
        }
    )
    contexts = {"a": torch.tensor([[2.0, -4.0]]).double(), "b": torch.tensor([[10.0]]).double()}
    z, shares = fusion(contexts, {})
    assert_close(z, torch.tensor([[10.0, -17.0, 311.5]]).double(), atol=1e-5, rtol=0)
    assert_close(shares, torch.tensor([[1.0875, 0.825]]).double(), atol=1e-6, rtol=0)


def test_weights_depend_on_all_features_worked_out_by_hand() -> None:
    # One head, A = [[0, 0], [ln 3, 0]]: at h = (1, 8) the logits are (0, ln 3), the weights (1/4, 3/4), h~ = (1/4, 6).
    fusion = MultiAttentionFusion({"a": 1, "b": 1}, n_heads=1)
    fusion.load_state_dict(
        {
            "attention.weight": torch.tensor([[0.0, 0.0], [math.log(3), 0.0]]),
            "attention.bias": torch.zeros(2),
            "reduce.a.weight": torch.ones(1, 1),
            "reduce.a.bias": torch.zeros(1),
            "reduce.b.weight": torch.ones(1, 1),
            "reduce.b.bias": torch.zeros(1),
        }
    )
    z, shares = fusion({"a": torch.tensor([[1.0]]), "b": torch.tensor([[8.0]])}, {})
    assert_close(z, torch.tensor([[0.25, 6.0]]))
    assert_close(shares, torch.tensor([[0.5, 1.5]]))


@pytest.mark.parametrize("sizes", [{"a": 3}, {"a": 2, "b": 1}, {"b": 1, "a": 2, "c": 3}])
def test_equals_plain_loops_with_gradients(sizes: dict[str, int]) -> None:
    fusion = MultiAttentionFusion(sizes, n_heads=3).double()
    contexts = {name: context.requires_grad_() for name, context in random_contexts(sizes, 2).items()}
    found, expected = fusion(contexts, {}), naive_fusion(contexts, fusion)
    assert_close(found, expected, atol=1e-10, rtol=0)
    to_z, to_shares = torch.randn_like(found[0]), torch.randn_like(found[1])
    inputs = [*contexts.values(), *fusion.parameters()]
    gradients = [torch.autograd.grad((z * to_z).sum() + (s * to_shares).sum(), inputs) for z, s in (found, expected)]
    assert_close(*gradients, atol=1e-10, rtol=0)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_sizes_and_heads(sizes: list[int], n_heads: int, n_genes: int, seed: int) -> None:
    torch.manual_seed(seed)
    named = {f"modality_{i}": size for i, size in enumerate(sizes)}
    fusion = MultiAttentionFusion(named, n_heads=n_heads).double()
    z, shares = fusion(random_contexts(named, n_genes), {})
    assert z.shape == (n_genes, fusion.n_latent) == (n_genes, sum(sizes))
    assert shares.shape == (n_genes, len(sizes))
    # Shares of the attention sum to 1 when each is weighted by the modality's number of features.
    assert_close((shares * torch.tensor(sizes) / sum(sizes)).sum(1), torch.ones(n_genes).double(), atol=1e-6, rtol=0)


def test_uniform_attention_gives_every_modality_a_weight_of_one() -> None:
    fusion = MultiAttentionFusion({"histone": 80, "methylation": 20, "tf": 5})
    torch.nn.init.zeros_(fusion.attention.weight)
    torch.nn.init.zeros_(fusion.attention.bias)
    contexts = {name: torch.randn(2, size) for name, size in fusion.sizes.items()}
    z, shares = fusion(contexts, {})
    assert z.shape == (2, 105)
    assert_close(shares, torch.ones(2, 3))


def test_order_of_the_contexts_is_fixed_by_the_sizes() -> None:
    fusion = MultiAttentionFusion({"a": 2, "b": 3}).double()
    contexts = random_contexts({"a": 2, "b": 3}, 2)
    assert_close(fusion(dict(reversed(contexts.items())), {}), fusion(contexts, {}))


def test_batch_of_one_equals_its_row_in_a_larger_batch() -> None:
    fusion, contexts = MultiAttentionFusion({"a": 2, "b": 3}).double(), random_contexts({"a": 2, "b": 3}, 3)
    z, shares = fusion(contexts, {})
    for i in range(3):
        row = {name: context[i : i + 1] for name, context in contexts.items()}
        assert_close(fusion(row, {}), (z[i : i + 1], shares[i : i + 1]))


# --- the gated fusion -------------------------------------------------------------------------------------------------


def test_gated_fusion_by_hand() -> None:
    # Two modalities of sizes 1 and 2, one latent feature: u = (2, 3). Scores ln 3 and 0: weights 3/4 and 1/4, of two
    # modalities 1.5 and 0.5. z = GELU(2 (1 + 1.5) / 2 + 3 (1 + 0.5) / 2 + 1) = GELU(5.75).
    fusion = GatedFusion({"a": 1, "b": 2}, n_latent=1)
    fusion.project["a"].weight.data[:] = 1.0
    fusion.project["b"].weight.data[:] = 1.0
    fusion.score.data[0] = math.log(3)
    fusion.bias.data[:] = 1.0
    z, weights = fusion({"a": torch.tensor([[2.0]]), "b": torch.tensor([[1.0, 2.0]])}, {})
    assert_close(weights, torch.tensor([[1.5, 0.5]]))
    assert_close(z, torch.nn.functional.gelu(torch.tensor([[5.75]])))


def test_gated_fusion_starts_as_plain_concatenation() -> None:
    fusion = GatedFusion({"a": 3, "b": 2}, n_latent=4)
    contexts = {"a": torch.randn(5, 3), "b": torch.randn(5, 2)}
    z, weights = fusion(contexts, {})
    assert_close(weights, torch.ones(5, 2))
    linear = torch.cat([fusion.project[name].weight for name in ("a", "b")], dim=1)
    assert_close(z, torch.nn.functional.gelu(torch.cat(list(contexts.values()), dim=1) @ linear.T))


def test_weights_of_the_gated_fusion_follow_the_gene() -> None:
    fusion = GatedFusion({"a": 2, "b": 2}, n_latent=3)
    torch.nn.init.normal_(fusion.query)
    _, weights = fusion({"a": torch.randn(50, 2), "b": torch.randn(50, 2)}, {})
    assert_close(weights.mean(1), torch.ones(50))
    assert weights[:, 0].std() > 0.01


def test_the_gated_fusion_has_a_tenth_of_the_published_weights() -> None:
    sizes = {"histone": 80, "methylation": 20, "tf": 5}
    published, ours = (
        sum(parameter.numel() for parameter in module.parameters())
        for module in (MultiAttentionFusion(sizes), GatedFusion(sizes))
    )
    assert ours * 10 < published

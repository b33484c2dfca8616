from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

import epiattn.nn._tf as tf_module
from epiattn.nn import TFSelfAttention
from epiattn.nn._tf import _groups


def naive_attend(x: Tensor, module: TFSelfAttention) -> tuple[Tensor, Tensor]:
    """Dense T x T self-attention with full queries and keys: O = softmax(Q K^T) X and its mean over the queries."""
    outputs, received = [], []
    for tokens in x:
        queries = [module.query.weight @ token + module.query.bias for token in tokens]
        keys = [module.key.weight @ token + module.key.bias for token in tokens]
        rows = []
        for query in queries:
            logits = [query @ key for key in keys]
            exps = [(logit - max(logits)).exp() for logit in logits]
            rows.append(torch.stack([e / sum(exps) for e in exps]))
        outputs.append(torch.stack([sum(a * v for a, v in zip(row, tokens, strict=True)) for row in rows]))
        received.append(sum(rows) / len(rows))
    return torch.stack(outputs), torch.stack(received)


def genes(densities: list[float], n_tfs: int, n_channels: int = 3) -> Tensor:
    """One gene per density; an unbound TF is an all-zero token."""
    bound = torch.rand(len(densities), n_tfs) < torch.tensor(densities)[:, None]
    return (torch.randn(len(densities), n_tfs, n_channels).double() * bound[..., None]).requires_grad_()


def hand_set() -> TFSelfAttention:
    """One channel, W_q = 1, b_q = 1, W_k = ln 2, b_k = 5: the logit of query q and key k is (q + 1)(k ln 2 + 5)."""
    module = TFSelfAttention(3, 1, n_hidden=1, n_context=1).eval()
    with torch.no_grad():
        for weight, value in zip(
            (module.query.weight, module.query.bias, module.key.weight, module.key.bias),
            (1.0, 1.0, math.log(2), 5.0),
            strict=True,
        ):
            weight.fill_(value)
    return module


def test_three_tfs_worked_out_by_hand() -> None:
    # Tokens (1, 0, 0). Row of query 1: logits (2 ln 2, 0, 0) + 10, weights (4, 1, 1) / 6, output 2/3.
    # Row of each query 0: logits (ln 2, 0, 0) + 5, weights (2, 1, 1) / 4, output 1/2.
    # Received: (4/6 + 2/4 + 2/4) / 3 = 5/9, and (1/6 + 1/4 + 1/4) / 3 = 2/9 for each other TF.
    module, x = hand_set(), torch.tensor([[[1.0], [0.0], [0.0]]])
    output, received = module.attend(x, torch.tensor([[True, False, False]]))
    assert_close(output, torch.tensor([[[2 / 3], [1 / 2], [1 / 2]]]))
    assert_close(received, torch.tensor([[5 / 9, 2 / 9, 2 / 9]]))


def test_context_worked_out_by_hand() -> None:
    # The output is (2/3, 1/2, 1/2) as above. Normalised: ((2/3 - 1/2) / sqrt(1/4), 1/2, 1/2) = (1/3, 1/2, 1/2).
    # Reduced: tanh(3 * 1/3 + 2 * 1/2 + 4 * 1/2 - 3.5) = tanh(1/2).
    module, x = hand_set(), torch.tensor([[[1.0], [0.0], [0.0]]])
    with torch.no_grad():
        module.norm.running_mean.copy_(torch.tensor([0.5, 0.0, 0.0]))
        module.norm.running_var.copy_(torch.tensor([0.25, 1.0, 1.0]) - module.norm.eps)
        module.reduce.weight.copy_(torch.tensor([[3.0, 2.0, 4.0]]))
        module.reduce.bias.fill_(-3.5)
    assert_close(module(x)[0], torch.tensor([[math.tanh(0.5)]]))


@pytest.mark.parametrize(
    "densities",
    [[0.0] * 3, [0.05] * 3, [1.0] * 3, [0.0, 0.05, 0.5, 1.0]],
    ids=["none bound", "few bound", "all bound", "mixed"],
)
def test_output_attention_and_gradients_equal_the_dense_attention(densities: list[float]) -> None:
    module = TFSelfAttention(20).double()
    x = genes(densities, 20)
    bound = (x != 0).any(-1)
    found, expected = module.attend(x, bound), naive_attend(x, module)
    assert_close(found, expected, atol=1e-10, rtol=0)

    to_output, to_received = torch.randn_like(x), torch.randn(x.shape[:2]).double()
    inputs = [x, *module.query.parameters(), module.key.weight, module.key.bias]
    (x_found, *found_grads), (x_expected, *expected_grads) = (
        torch.autograd.grad((o * to_output).sum() + (r * to_received).sum(), inputs, materialize_grads=True)
        for o, r in (found, expected)
    )
    assert_close(x_found[bound], x_expected[bound], atol=1e-10, rtol=0)  # unbound TFs are constants
    assert_close(found_grads, expected_grads, atol=1e-10, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_context_equals_the_dense_attention_normalised_and_reduced(training: bool) -> None:
    module = TFSelfAttention(8, n_context=4).double().train(training)
    for tensor in (module.norm.weight, module.norm.running_var):
        nn.init.uniform_(tensor, 0.5, 2.0)
    for tensor in (module.norm.bias, module.norm.running_mean):
        nn.init.normal_(tensor)
    x = genes([0.0, 0.2, 0.6, 1.0], 8).detach()
    with torch.no_grad():
        flat = torch.stack([output.flatten() for output in naive_attend(x, module)[0]])
        mean, variance = (
            (flat.mean(0), flat.var(0, correction=0))
            if training
            else (module.norm.running_mean.clone(), module.norm.running_var.clone())
        )
        normal = (flat - mean) / (variance + 1e-5).sqrt() * module.norm.weight + module.norm.bias
        expected = torch.tanh(normal @ module.reduce.weight.T + module.reduce.bias)
        found, _ = module(x)
    assert_close(found, expected, atol=1e-9, rtol=0)


def test_float32_equals_the_dense_attention_to_1e_5() -> None:
    module = TFSelfAttention(40)
    x = genes([0.0, 0.1, 0.5, 1.0], 40).detach().float()
    assert_close(module.attend(x, (x != 0).any(-1)), naive_attend(x, module), atol=1e-5, rtol=0)


def test_large_logits_stay_finite() -> None:
    module = TFSelfAttention(6)
    x = (1e3 * genes([0.0, 0.5, 1.0], 6)).detach().float()
    context, received = module(x)
    context.sum().backward()
    assert received.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in module.parameters() if weight.grad is not None)


@given(st.lists(st.sampled_from([0.0, 0.2, 0.7, 1.0]), min_size=1, max_size=4), st.integers(1, 8), st.integers(1, 4))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_number_of_tfs_and_channels(densities: list[float], n_tfs: int, n_channels: int) -> None:
    torch.manual_seed(n_tfs)
    module = TFSelfAttention(n_tfs, n_channels, n_hidden=4, n_context=2).double().eval()
    x = genes(densities, n_tfs, n_channels).detach()
    context, received = module(x)
    assert context.shape == (len(densities), 2)
    assert (received > 0).all()
    assert_close(received.sum(1), torch.ones(len(densities)).double())
    assert_close(received, naive_attend(x, module)[1])


@given(st.permutations(range(6)))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_permuting_the_tfs_permutes_output_and_attention(order: list[int]) -> None:
    torch.manual_seed(0)
    module, x = TFSelfAttention(6).double(), genes([0.0, 0.5, 1.0], 6).detach()
    bound = (x != 0).any(-1)
    output, received = module.attend(x, bound)
    assert_close(module.attend(x[:, order], bound[:, order]), (output[:, order], received[:, order]))


def test_mask_is_found_from_the_values() -> None:
    module, x = TFSelfAttention(7).eval(), genes([0.3, 0.8], 7).detach().float()
    assert_close(module(x), module(x, (x != 0).any(-1)))


def test_tf_with_evidence_in_one_channel_only_is_bound() -> None:
    module = TFSelfAttention(3).double().eval()
    x = torch.zeros(1, 3, 3).double()
    x[0, 1, 2] = 2.0
    assert_close(module(x)[1], naive_attend(x, module)[1])


def test_mask_overrides_the_values() -> None:
    module, x = TFSelfAttention(7).double().eval(), genes([1.0, 1.0], 7).detach()
    mask = torch.rand(2, 7) < 0.5
    assert_close(module(x, mask), module(x * mask[..., None]))


def test_bound_tf_of_all_zero_channels_is_an_unbound_one() -> None:
    module, x = TFSelfAttention(7).double().eval(), genes([0.3, 0.8], 7).detach()
    assert_close(module(x, torch.ones(2, 7, dtype=torch.bool)), module(x))


def test_no_tf_bound_in_the_whole_batch() -> None:
    context, received = TFSelfAttention(5).train()(torch.zeros(3, 5, 3), torch.zeros(3, 5, dtype=torch.bool))
    assert context.isfinite().all()
    assert_close(received, torch.full((3, 5), 0.2))


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_one_tf_receives_all_attention(value: float) -> None:
    context, received = TFSelfAttention(1).eval()(torch.full((2, 1, 3), value))
    assert context.shape == (2, 5)
    assert_close(received, torch.ones(2, 1))


def test_batch_of_one_equals_its_row_in_a_larger_batch_at_prediction() -> None:
    module, x = TFSelfAttention(9).double().eval(), genes([0.0, 0.3, 1.0], 9).detach()
    context, received = module(x)
    for i in range(3):
        assert_close(module(x[i : i + 1]), (context[i : i + 1], received[i : i + 1]))


def test_training_on_one_observation_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="one observation only.*at least two"):
        TFSelfAttention(4).train()(torch.rand(1, 4, 3))


# --- gradients without weights, and the groups of genes -----------------------------------------------------------


@pytest.mark.parametrize("n_weights", [1, 50, 2**18], ids=["gene by gene", "some at a time", "all at once"])
@pytest.mark.parametrize("of", ["output", "received", "both"])
def test_gradients_of_the_weights_alone_equal_the_dense_attention(monkeypatch, of: str, n_weights: int) -> None:
    monkeypatch.setattr(tf_module, "_N_WEIGHTS_ON_CPU", n_weights)
    module, x = TFSelfAttention(12).double(), genes([0.1, 1.0, 0.0, 0.6, 0.1, 0.2], 12).detach() + 0.0
    x = x + 5 * (x != 0)  # far from zero: the moments must not cancel
    to_output, to_received = torch.randn_like(x), torch.randn(x.shape[:2]).double()

    def gradients(output: Tensor, received: Tensor) -> tuple[Tensor, ...]:
        parts = {"output": [output * to_output], "received": [received * to_received]}
        terms = parts["output"] + parts["received"] if of == "both" else parts[of]
        inputs = [*module.query.parameters(), module.key.weight]
        return torch.autograd.grad(sum(term.sum() for term in terms), inputs, materialize_grads=True)

    found, expected = module.attend(x, (x != 0).any(-1)), naive_attend(x, module)
    assert_close(found, expected, atol=1e-10, rtol=0)
    assert_close(gradients(*found), gradients(*expected), atol=1e-9, rtol=0)


def test_float32_gradients_equal_the_dense_attention_to_1e_5() -> None:
    module, x = TFSelfAttention(60), genes([0.05, 0.3, 1.0], 60).detach().float()
    to_output = torch.randn_like(x) / x.numel()
    inputs = [*module.query.parameters(), module.key.weight]
    found, expected = (
        torch.autograd.grad((output * to_output).sum(), inputs)
        for output, _ in (module.attend(x, (x != 0).any(-1)), naive_attend(x, module))
    )
    assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("density", [0.05, 1.0])
def test_training_keeps_no_weights(density: float) -> None:
    # Kept are queries, tokens, counts and F x F moments of each token: far fewer numbers than the n x n weights.
    module, x = TFSelfAttention(200), genes([density] * 4, 200).detach().float()
    kept: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module.attend(x, (x != 0).any(-1))
    n_slots = int((x != 0).any(-1).sum(1).max()) + 1
    assert max(kept) <= max(4 * n_slots * 9, x.numel())
    if density == 1.0:
        assert sum(kept) < 4 * n_slots**2


def test_mixed_precision_attends_in_full_precision() -> None:
    module, x = TFSelfAttention(30), genes([0.3, 1.0], 30).detach().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, received = module.attend(x, (x != 0).any(-1))
        output.sum().backward()
    assert output.dtype == received.dtype == torch.float32
    assert_close((output, received), naive_attend(x, module), atol=0.05, rtol=0)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 5_000))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_groups_hold_each_gene_once_and_fit(lengths: list[int], n_weights: int) -> None:
    lengths.sort(reverse=True)
    groups = list(_groups(lengths, n_weights))
    assert [i for rows, _ in groups for i in range(rows.start, rows.stop)] == list(range(len(lengths)))
    for rows, n in groups:
        assert n == lengths[rows.start] <= 2 * lengths[rows.stop - 1]
        assert rows.stop - rows.start == 1 or (rows.stop - rows.start) * n * n <= n_weights

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from epiattn.nn import AttendedDecoder, Mixture, ModalityBatch, attended_mean


def signal(values: list, present: list[bool] | None = None) -> ModalityBatch:
    tensor = torch.tensor(values)
    return ModalityBatch(tensor, None, torch.tensor(present or [True] * len(tensor)))


def cpgs(values: list, present: list[bool] | None = None) -> ModalityBatch:
    tensor = torch.tensor(values)
    mask = torch.ones(tensor.shape[:2], dtype=torch.bool)
    return ModalityBatch(tensor, mask, torch.tensor(present or [True] * len(tensor)))


def test_attended_means_worked_out_by_hand() -> None:
    attention = torch.tensor([[0.25, 0.75]])
    # two marks (rows) in two bins; two CpGs (rows) with two channels
    assert_close(attended_mean(signal([[[4.0, 0.0], [1.0, 1.0]]]), attention), torch.tensor([[1.0, 1.0]]))
    assert_close(attended_mean(cpgs([[[4.0, 0.0], [1.0, 1.0]]]), attention), torch.tensor([[1.75, 0.75]]))


def test_marks_that_are_kept_apart_are_weighted_apart() -> None:
    # Mark 1 has 1/8 and 3/8 of the attention, mark 2 all the rest in bin 1: (4 + 0) / 8 and 1/2, times two marks.
    attention = torch.tensor([[[0.125, 0.375], [0.5, 0.0]]])
    x = signal([[[4.0, 0.0], [1.0, 1.0]]])
    assert_close(attended_mean(x, attention), torch.tensor([[1.0, 1.0]]))
    # Where both marks weigh the same in all bins, it is the mean that the sum over the marks gives.
    alike = torch.tensor([[[0.125, 0.375]] * 2])
    assert_close(attended_mean(x, alike), attended_mean(x, alike.sum(1)))


def test_the_loss_takes_marks_that_are_kept_apart() -> None:
    # Bins weigh the same, marks 3/4 and 1/4: 2 x 3/8 x (2 + 4) = 4.5 and 2 x 1/8 x 2 = 0.5. Decoded at z = 3: (3, 0),
    # at z = 1: (1, 0). Histone (2.25 + 0.25 + 12.25 + 0.25) / 4 = 3.75, TF 4.
    attention = {**ATTENTION, "histone": torch.tensor([[[0.375, 0.375], [0.125, 0.125]]] * 2)}
    loss = make_decoder().loss(torch.tensor([[3.0], [1.0]]), BATCH, attention)
    assert_close(loss, torch.tensor((3.75 + 4) / 2))


def make_decoder() -> AttendedDecoder:
    """One latent dimension; decodes to (z, 0) for two marks and to 1 for one TF channel."""
    decoder = AttendedDecoder(1, {"histone": 2, "tf": 1})
    decoder.load_state_dict(
        {
            "decoders.histone.weight": torch.tensor([[1.0], [0.0]]),
            "decoders.histone.bias": torch.zeros(2),
            "decoders.tf.weight": torch.tensor([[0.0]]),
            "decoders.tf.bias": torch.ones(1),
        }
    )
    return decoder


BATCH = {"histone": signal([[[2.0, 4.0], [0.0, 2.0]]] * 2), "tf": cpgs([[[3.0], [1.0]]] * 2)}
ATTENTION = {"histone": torch.tensor([[0.5, 0.5]] * 2), "tf": torch.tensor([[1.0, 0.0]] * 2)}


def test_loss_worked_out_by_hand() -> None:
    # Attended: marks (3, 1), TF 3. Decoded at z = 3: (3, 0) and 1; at z = 1: (1, 0) and 1.
    # Histone: mean of 0, 1, 4, 1 is 1.5; TF: mean of 4, 4 is 4; their mean is 2.75.
    assert_close(make_decoder().loss(torch.tensor([[3.0], [1.0]]), BATCH, ATTENTION), torch.tensor(2.75))


def test_what_was_not_measured_is_left_out() -> None:
    z = torch.tensor([[3.0], [1.0]])
    partly = {**BATCH, "histone": BATCH["histone"]._replace(present=torch.tensor([True, False]))}
    assert_close(make_decoder().loss(z, partly, ATTENTION), torch.tensor((0.5 + 4) / 2))
    absent = {"tf": BATCH["tf"]}
    assert_close(make_decoder().loss(z, absent, {"tf": ATTENTION["tf"]}), torch.tensor(4.0))
    nowhere = {**BATCH, "histone": BATCH["histone"]._replace(present=torch.tensor([False, False]))}
    assert_close(make_decoder().loss(z, nowhere, ATTENTION), torch.tensor(4.0))
    assert_close(make_decoder().loss(z, {}, {}), torch.tensor(0.0))


def test_gradients_reach_the_latent_space_but_not_the_attention() -> None:
    z = torch.tensor([[3.0], [1.0]], requires_grad=True)
    attention = {name: weights.clone().requires_grad_() for name, weights in ATTENTION.items()}
    make_decoder().loss(z, BATCH, attention).backward()
    assert z.grad is not None
    assert z.grad[1] != 0
    assert all(weights.grad is None for weights in attention.values())


@pytest.mark.parametrize("n_obs", [0, 1, 5])
def test_one_value_for_each_channel(n_obs: int) -> None:
    decoded = AttendedDecoder(7, {"histone": 3, "histone_500bp": 2})(torch.randn(n_obs, 7))
    assert {name: tuple(values.shape) for name, values in decoded.items()} == {
        "histone": (n_obs, 3),
        "histone_500bp": (n_obs, 2),
    }


def test_mixed_observations_are_read_back_mixed() -> None:
    # Both observations are half of each other: lists have the mean of both targets, and signal comes mixed already.
    half = Mixture(torch.tensor([0.5, 0.5]), torch.tensor([1, 0]))
    decoder, z = make_decoder(), torch.tensor([[3.0], [1.0]])
    mixed = {name: half.of_signal(modality) for name, modality in BATCH.items()}
    targets = {name: attended_mean(mixed[name], ATTENTION[name]) for name in BATCH}
    targets = {name: value if mixed[name].mask is None else half.of(value) for name, value in targets.items()}
    expected = torch.stack([(decoder(z)[name] - targets[name]).square().mean() for name in BATCH]).mean()
    assert_close(decoder.loss(z, mixed, ATTENTION, mixture=half), expected)

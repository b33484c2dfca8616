from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from epiattn.nn import bce_loss, focal_loss, huber_loss, pairwise_loss

LN2, LN3 = math.log(2), math.log(3)


def naive_focal(logits: list[float], targets: list[float], gamma: float) -> float:
    total = 0.0
    for logit, target in zip(logits, targets, strict=True):
        p = 1 / (1 + math.exp(-logit))
        p = p if target == 1 else 1 - p
        total += -((1 - p) ** gamma) * math.log(p)
    return total / len(logits)


def naive_pairwise(scores: list[float], targets: list[float]) -> float:
    total, n_pairs = 0.0, 0
    for i in range(len(scores)):
        for j in range(len(scores)):
            if targets[i] > targets[j]:
                total += math.log(1 + math.exp(-(scores[i] - scores[j])))
                n_pairs += 1
    return total / max(n_pairs, 1)


def naive_huber(predictions: list[float], targets: list[float], delta: float) -> float:
    total = 0.0
    for prediction, target in zip(predictions, targets, strict=True):
        error = abs(prediction - target)
        total += error**2 / 2 if error <= delta else delta * (error - delta / 2)
    return total / len(predictions)


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


batches = st.lists(st.tuples(st.floats(-8, 8), st.integers(0, 3)), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("logit", "target", "expected"),
    [
        (0.0, 1.0, LN2 / 4),  # p = 1/2: (1/2)^2 ln 2
        (0.0, 0.0, LN2 / 4),
        (LN3, 1.0, math.log(4 / 3) / 16),  # p = 3/4: (1/4)^2 ln (4/3)
        (LN3, 0.0, 9 * math.log(4) / 16),  # p = 1/4: (3/4)^2 ln 4
        (1000.0, 1.0, 0.0),
        (-1000.0, 0.0, 0.0),
        (-1000.0, 1.0, 1000.0),  # -ln p = 1000, and 1 - p = 1
        (1000.0, 0.0, 1000.0),
    ],
)
def test_focal_loss_worked_out_by_hand(logit: float, target: float, expected: float) -> None:
    score = double(logit).requires_grad_()
    loss = focal_loss(score, double(target))
    loss.backward()
    assert loss.item() == pytest.approx(expected, abs=1e-12)
    assert score.grad.isfinite().all()


@pytest.mark.parametrize(
    ("logit", "target", "expected"),
    [(0.0, 1.0, LN2), (LN3, 1.0, math.log(4 / 3)), (LN3, 0.0, math.log(4)), (1000.0, 1.0, 0.0), (1000.0, 0.0, 1000.0)],
)
def test_bce_loss_worked_out_by_hand(logit: float, target: float, expected: float) -> None:
    assert bce_loss(double(logit), double(target)).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("error", "delta", "expected"),
    [(0.5, 1.0, 0.125), (-1.0, 1.0, 0.5), (3.0, 1.0, 2.5), (-3.0, 2.0, 4.0)],  # 1 (3 - 1/2), 2 (3 - 1)
)
def test_huber_loss_worked_out_by_hand(error: float, delta: float, expected: float) -> None:
    assert huber_loss(double(5 + error), double(5.0), delta=delta).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scores", "targets", "expected"),
    [
        ((0.0, LN3), (1.0, 2.0), math.log(4 / 3)),  # ln(1 + e^-ln 3)
        ((LN3, 0.0), (1.0, 2.0), math.log(4)),  # ln(1 + e^ln 3)
        ((0.0, 0.0, LN3), (1.0, 1.0, 2.0), math.log(4 / 3)),  # the tie is no pair; two equal pairs, mean
        ((0.0, LN3, 0.0), (3.0, 2.0, 1.0), (math.log(4) + LN2 + math.log(4 / 3)) / 3),  # 0 > 1, 0 > 2, 1 > 2
        ((-1000.0, 1000.0), (1.0, 0.0), 2000.0),
    ],
)
def test_pairwise_loss_worked_out_by_hand(
    scores: tuple[float, ...], targets: tuple[float, ...], expected: float
) -> None:
    assert pairwise_loss(double(*scores), double(*targets)).item() == pytest.approx(expected)


@pytest.mark.parametrize("targets", [(2.0,), (1.0, 1.0, 1.0)])
def test_pairwise_loss_without_a_differing_pair_is_zero_and_can_be_trained_on(targets: tuple[float, ...]) -> None:
    scores = torch.randn(len(targets), requires_grad=True)
    loss = pairwise_loss(scores, torch.tensor(targets))
    loss.backward()
    assert loss.item() == 0.0
    assert scores.grad.equal(torch.zeros(len(targets)))


@given(batches)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_losses_equal_plain_loops(batch: list[tuple[float, int]]) -> None:
    scores, values = [score for score, _ in batch], [float(value) for _, value in batch]
    labels = [float(value > 1) for value in values]
    for gamma in (0.0, 1.0, 2.0):
        found = focal_loss(double(*scores), double(*labels), gamma=gamma).item()
        assert found == pytest.approx(naive_focal(scores, labels, gamma), abs=1e-12)
    assert bce_loss(double(*scores), double(*labels)).item() == pytest.approx(naive_focal(scores, labels, 0.0))
    assert pairwise_loss(double(*scores), double(*values)).item() == pytest.approx(naive_pairwise(scores, values))
    for delta in (0.5, 2.0):
        found = huber_loss(double(*scores), double(*values), delta=delta).item()
        assert found == pytest.approx(naive_huber(scores, values, delta))


@pytest.mark.parametrize("loss", [bce_loss, focal_loss, huber_loss, pairwise_loss])
def test_step_does_not_depend_on_the_batch_size(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    scores, labels = torch.randn(6).double(), double(0, 1, 1, 0, 1, 0)
    assert_close(loss(scores.repeat(5), labels.repeat(5)), loss(scores, labels))

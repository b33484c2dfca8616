from __future__ import annotations

import torch
from torch.testing import assert_close

from epiattn.nn import Mixture, ModalityBatch

MIXTURE = Mixture(torch.tensor([1.0, 0.25, 0.5]), torch.tensor([1, 2, 0]))


def test_rows_are_mixed_by_hand() -> None:
    assert_close(MIXTURE.of(torch.tensor([1.0, 2.0, 4.0])), torch.tensor([1.0, 0.25 * 2 + 0.75 * 4, 2.5]))
    x = torch.rand(3, 2, 5)
    assert_close(MIXTURE.of(x)[1], 0.25 * x[1] + 0.75 * x[2])


def test_signal_is_mixed_where_both_were_measured() -> None:
    signal = ModalityBatch(torch.rand(3, 2, 5), None, torch.tensor([True, True, False]))
    mixed = MIXTURE.of_signal(signal)
    assert_close(mixed.values[0], signal.values[0])
    assert_close(mixed.values[1:], signal.values[1:])  # one of each pair was not measured
    there = signal._replace(present=torch.ones(3, dtype=torch.bool))
    assert_close(MIXTURE.of_signal(there).values, MIXTURE.of(signal.values))


def test_lists_stay() -> None:
    cpgs = ModalityBatch(torch.rand(3, 4, 2), torch.ones(3, 4, dtype=torch.bool), torch.ones(3, dtype=torch.bool))
    assert MIXTURE.of_signal(cpgs) is cpgs

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from epiattn.nn import SignalLevels


def test_levels_by_hand() -> None:
    levels = SignalLevels(1, 2)
    levels.knots[0] = torch.tensor([0.0, 1.0, 3.0])
    found = levels(torch.tensor([[[0.0, 0.5, 1.0, 2.0, 3.0, 5.0]]]))
    assert_close(found[0, 0, 0], torch.tensor([0, 0.5, 1, 1, 1, 1]))
    assert_close(found[0, 0, 1], torch.tensor([0, 0, 0, 0.5, 1, 2]))  # the last level goes on
    assert_close(found[0, 0, 2], torch.tensor([0.0, 1, 1, 1, 1, 1]))


def test_knots_are_quantiles_of_what_is_positive() -> None:
    levels = SignalLevels(2, 4)
    values = torch.zeros(101, 2, 1)
    values[1:, 0, 0] = torch.arange(1.0, 101)
    default = levels.knots[1].clone()
    levels.learn(values)
    expected = np.quantile(np.arange(1.0, 101), [0.25, 0.5, 0.75, 1]) + 0.1 * np.arange(1, 5)
    assert_close(levels.knots[0], torch.tensor([0, *expected], dtype=torch.float32))
    assert_close(levels.knots[1], default)  # never above 0


@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_the_signal_can_be_read_back(n_marks: int, n_levels: int, seed: int) -> None:
    torch.manual_seed(seed)
    levels = SignalLevels(n_marks, n_levels)
    x = torch.rand(20, n_marks, 5) * torch.randint(0, 2, (20, n_marks, 5)) * 3
    levels.learn(x)
    assert (levels.knots.diff(dim=1) > 0).all()
    found = levels(x)
    assert found.shape == (20, n_marks, n_levels + 1, 5)
    steps = levels.knots.diff(dim=1)[:, :, None]
    assert_close((found[:, :, :-1] * steps).sum(2), x, atol=1e-4, rtol=1e-4)
    assert_close(found[:, :, -1], (x > 0).float())


def test_equal_values_are_no_error() -> None:
    levels = SignalLevels(1, 4)
    levels.learn(torch.full((5, 1, 3), 2.0))
    assert levels(torch.full((1, 1, 3), 2.0)).isfinite().all()
    assert (levels.knots.diff(dim=1) > 0).all()


def test_there_must_be_a_level() -> None:
    with pytest.raises(ValueError, match="n_levels must be 1 or more, not 0"):
        SignalLevels(2, 0)

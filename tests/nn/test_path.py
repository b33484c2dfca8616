"""Levels of a signal on its way from nothing to what was measured."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from epiattn.nn import SignalLevels


def test_both_ends_of_the_way_are_what_they_are_without_it():
    levels, end = SignalLevels(2, 3), torch.tensor([[[0.0, 0.3, 5.0], [1.0, 0.0, 2.0]]])
    with levels.path_to(end):
        assert_close(levels(end), levels._encode(end))
        assert_close(levels(torch.zeros_like(end)), levels._encode(torch.zeros_like(end)))
        half, twice = levels(end / 2), levels(torch.cat([end / 2, end]))
    assert_close(half, levels._encode(end) / 2)
    assert_close(twice, torch.cat([half, levels._encode(end)]))
    assert_close(levels(end / 2), levels._encode(end / 2))  # and afterwards all is as before

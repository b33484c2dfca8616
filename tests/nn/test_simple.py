from __future__ import annotations

import torch
from torch.testing import assert_close

from epiattn.nn import Concatenation, LinearHead


def test_contexts_stand_one_behind_the_other_in_the_order_of_the_sizes() -> None:
    fusion = Concatenation({"histone": 2, "histone_500bp": 1})
    contexts = {"histone_500bp": torch.tensor([[3.0], [6.0]]), "histone": torch.tensor([[1.0, 2.0], [4.0, 5.0]])}
    z, weights = fusion(contexts, {})
    assert_close(z, torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    assert_close(weights, torch.ones(2, 2))
    assert fusion.n_latent == 3
    assert not list(fusion.parameters())


def test_linear_head_by_hand() -> None:
    head = LinearHead(2)
    head.load_state_dict({"layer.weight": torch.tensor([[2.0, -1.0]]), "layer.bias": torch.tensor([0.5])})
    assert_close(head(torch.tensor([[1.0, 1.0], [0.0, 3.0]])), torch.tensor([1.5, -2.5]))

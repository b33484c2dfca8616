from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from epiattn.nn import ScoreHead


def test_scores_worked_out_by_hand() -> None:
    # z = (3, 1): hidden ReLU(3 - 1, 1 - 3) = (2, 0), score 5 * 2 + 7 * 0 + 1 = 11.
    # z = (1, 3): hidden (0, 2), score 5 * 0 + 7 * 2 + 1 = 15.
    head = ScoreHead(2, n_hidden=2)
    head.load_state_dict(
        {
            "layers.0.weight": torch.tensor([[1.0, -1.0], [-1.0, 1.0]]),
            "layers.0.bias": torch.zeros(2),
            "layers.3.weight": torch.tensor([[5.0, 7.0]]),
            "layers.3.bias": torch.ones(1),
        }
    )
    assert_close(head(torch.tensor([[3.0, 1.0], [1.0, 3.0]])), torch.tensor([11.0, 15.0]))


@pytest.mark.parametrize("n_obs", [0, 1, 4])
def test_one_score_for_each_observation(n_obs: int) -> None:
    assert ScoreHead(105)(torch.randn(n_obs, 105)).shape == (n_obs,)


def test_dropout_acts_in_training_only() -> None:
    head, z = ScoreHead(4, dropout=0.5), torch.randn(8, 4)
    assert not head.train()(z).equal(head(z))
    assert head.eval()(z).equal(head(z))

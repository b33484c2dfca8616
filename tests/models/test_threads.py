"""PyTorch's threads."""

from __future__ import annotations

import pytest
import torch

from epiattn.models._threads import one_thread


def test_the_users_number_of_threads_comes_back_even_after_an_error():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(KeyError), one_thread():
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)

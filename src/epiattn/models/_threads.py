"""How many CPU cores PyTorch uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch work on one CPU core.

    The networks' operations are so small that a second thread gains nothing; where the cores are shared with another
    process, waiting for it made an epoch ten times slower.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)

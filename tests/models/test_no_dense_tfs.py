"""TFs stay sparse from the layers to the batch: an array of all observations x TFs x channels is never made."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy import sparse
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import epiattn as attn

N_OBS, N_TFS, BATCH_SIZE = 1_200, 2_000, 100


class LargestTensor(TorchDispatchMode):
    """The largest tensor that was made while it was entered, in numbers."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.numel = max([self.numel, *(each.numel() for each in tree_leaves(result) if isinstance(each, Tensor))])
        return result


@pytest.fixture(scope="module")
def many():
    """Many TFs, of which 1 % are bound."""
    mdata = attn.datasets.simulate(N_OBS, 1, n_bins=10, max_cpgs=4, n_tfs=N_TFS)
    rng = np.random.default_rng(0)
    for name in ("binding", "expression", "mode"):
        mdata["tf"].layers[name] = sparse.random(N_OBS, N_TFS, 0.01, format="csr", dtype=np.float32, rng=rng)
    return attn.pp.split(mdata)


@pytest.mark.parametrize("model", ["Kang2020", "MultiAttention"])
def test_training_and_prediction_make_batches_only(many, model):
    model_class = getattr(attn.models, model)
    with LargestTensor() as largest:
        tracemalloc.start()
        try:
            model_class.setup_mudata(many)
            trained = model_class(many)
            trained.train(1, batch_size=BATCH_SIZE, accelerator="cpu", enable_progress_bar=False)
            outputs = trained.run(batch_size=BATCH_SIZE)
            _, peak = tracemalloc.get_traced_memory()  # of NumPy's arrays: PyTorch's are its own
        finally:
            tracemalloc.stop()
    one_channel = N_OBS * N_TFS
    assert 0 < largest.numel < one_channel
    assert 0 < peak < 4 * one_channel  # bytes; all three are thrice as many
    assert sparse.issparse(outputs.attention["tf"])

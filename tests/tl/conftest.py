"""A network whose answers are known on paper, in place of a trained one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import epiattn as attn
from epiattn.tl import _trained
from epiattn.tl._ensemble import Ensemble


class Toy(nn.Module):
    """Each modality's weighted sum where it was measured, else 0; ``product`` times the first two's product besides."""

    modality_dropout = 0.0

    def __init__(self, n_marks, n_bins, *, product=0.0, mixed=("histone", "methylation")):
        super().__init__()
        marks, bins = np.arange(1, n_marks + 1)[:, None], np.cos(np.arange(n_bins))
        self.register_buffer("weight", torch.tensor(0.01 * marks * bins, dtype=torch.float32))
        self.register_buffer("product", torch.tensor(product))
        self.mixed = mixed

    def sums(self, batch):
        parts = {
            "histone": lambda values: (values * self.weight).sum((1, 2)),
            "methylation": lambda values: -values[..., 0].sum(1),
            "tf": lambda values: values.sum((1, 2)),
        }
        return {name: parts[name](each.values) * each.present for name, each in batch.items()}

    def embed(self, batch, mixture=None):
        return {"z": torch.stack(list(self.sums(batch).values()), dim=1), "names": list(batch)}

    def head(self, z):
        first, second = (["histone", "methylation", "tf"].index(name) for name in self.mixed)
        return z.sum(1) + self.product * z[:, first] * z[:, second]


def _with_toy(mdata, **options):
    """A fitted object whose model is the toy, and the toy."""
    mdata = attn.tl.fit(mdata, max_epochs=1, normalization="none", scale_by=None, expression_weight=0, copy=True)
    model = _trained.find_models(mdata, "attn")[""].first
    module = model.module
    module.network = Toy(len(model.channels["histone"]), mdata["histone"].n_vars, **options)
    module.temperature.fill_(1)
    for name in module.scaling.modalities:
        getattr(module.scaling, f"scale_{name}").fill_(1)
    _trained.remember({"": Ensemble({0: model})}, mdata, "attn")
    return mdata, module.network


@pytest.fixture(scope="session")
def with_toy():
    """Makes a fitted object whose model is a weighted sum of the inputs and one product."""
    return _with_toy

"""Fixtures that all tests share: small simulated objects."""

from __future__ import annotations

import sys

import pytest

import epiattn as attn


@pytest.fixture(autouse=True)
def _quiet():
    attn.settings.verbosity = "warning"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(scope="session")
def simulated():
    """400 observations of all modalities; use `mdata` for a copy that may be changed."""
    return attn.datasets.simulate(n_genes=200, cell_types=2, max_cpgs=12, n_tfs=20, seed=3)


@pytest.fixture
def mdata(simulated):
    return simulated.copy()

"""Fixtures that all tests share: small simulated objects. Tests compute on the CPU, where results are the same bits."""

from __future__ import annotations

import os
import sys

if "EPIATTN_TEST_GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before PyTorch looks

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import epiattn as attn
from epiattn import _registry


@pytest.fixture(autouse=True)
def _quiet():
    attn.settings.verbosity = "warning"


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


def _forget_registered():
    before = {name: (dict(each._entries), dict(each.added)) for name, each in _registry._KINDS.items()}
    yield
    for name, (entries, added) in before.items():
        _registry._KINDS[name]._entries, _registry._KINDS[name].added = entries, added


#: What a test, or a file of tests, registers is unknown afterwards.
forget_registered = pytest.fixture(_forget_registered, name="forget_registered")
forget_registered_by_file = pytest.fixture(_forget_registered, name="forget_registered_by_file", scope="module")


@pytest.fixture(scope="session")
def simulated():
    """400 observations of all modalities; use `mdata` for a copy that may be changed."""
    return attn.datasets.simulate(n_genes=200, cell_types=2, max_cpgs=12, n_tfs=20, seed=3)


@pytest.fixture
def mdata(simulated):
    return simulated.copy()


@pytest.fixture(scope="session")
def explained_by_truth():
    """1,200 observations with the results that a perfect model would write: attributions are the planted causes.

    Use `explained` for a copy that may be changed.
    """
    mdata = attn.datasets.simulate(n_genes=300, cell_types=4, max_cpgs=12, n_tfs=20, seed=4).copy()
    mdata.obs["gene_name"] = mdata.obs["gene_id"].str.replace("gene_", "G")
    histone, methylation, tf = (mdata[name] for name in ("histone", "methylation", "tf"))
    marks = [name for name in histone.layers if name is not None and not name.startswith("truth")]
    causes = {mark: histone.layers[f"truth_{mark}"].multiply(np.log1p(histone.layers[mark])) for mark in marks}
    causes |= {"methylation": methylation.layers["truth_cpg"], "tf": tf.layers["truth_tf"]}
    causes = {name: sparse.csr_matrix(values, dtype=np.float32) for name, values in causes.items()}
    size = sum(np.asarray(abs(values).sum(1)).ravel() for values in causes.values())
    share = np.abs(mdata.obs["truth_expression"].to_numpy() - 3) / np.where(size > 0, size, 1)  # sums to the expression
    causes = {name: sparse.csr_matrix(values.multiply(share[:, None])) for name, values in causes.items()}
    for mark in marks:
        histone.layers[f"attn_attribution_{mark}"] = causes[mark].toarray()
    methylation.layers["attn_attribution"], tf.layers["attn_attribution"] = (
        causes["methylation"].toarray(),
        causes["tf"],
    )
    total = {name: np.asarray(values.sum(1)).ravel() for name, values in causes.items()}
    mdata.obsm["attn_attribution"] = pd.DataFrame(total, index=mdata.obs_names)
    output = mdata.obsm["attn_attribution"].sum(axis=1)
    mdata.obs["attn_score"] = 1 / (1 + np.exp(-output))
    mdata.obs["attn_prediction"] = pd.Categorical(np.where(output > 0, "high", "low"), categories=["low", "high"])
    noise = np.random.default_rng(0).normal(0, 0.3, (mdata.n_obs, len(total)))
    mdata.obsm["X_attn"] = (mdata.obsm["attn_attribution"].to_numpy() + noise).astype(np.float32)
    channels = {"histone": marks, "methylation": ["beta", "position"], "tf": ["binding", "expression", "mode"]}
    mdata.uns["attn"] = {"attends": list(channels), "channels": channels, "fingerprint": "a perfect model"}
    mdata.uns["attn_attribution"] = {"tool": "attribute", "key": "attn", "fingerprint": "a perfect model"}
    for name in ("histone", "methylation", "tf"):
        written = [layer for layer in mdata[name].layers if layer is not None and layer.startswith("attn")]
        mdata[name].uns["epiattn"] = {**mdata[name].uns.get("epiattn", {}), "written": written}
    return mdata


@pytest.fixture
def explained(explained_by_truth):
    return explained_by_truth.copy()

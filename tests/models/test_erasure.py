"""What is left of inputs when values are taken away, against objects that lack them."""

from __future__ import annotations

import mudata
import numpy as np
import pytest
import torch
from scipy import sparse

import epiattn as attn
from epiattn.models._erasure import attention_of, differences_of, erased
from epiattn.models._explainer import Explainer

ROWS = np.arange(0, 400, 9)


@pytest.fixture(scope="module")
def data(simulated):
    return attn.pp.split(simulated.copy())


@pytest.fixture(scope="module", params=["MultiAttention", "Kang2020"])
def model(request, data):
    torch.manual_seed(0)
    kind = getattr(attn.models, request.param)
    kind.setup_mudata(data)
    made = kind(data, scale_by=None)
    made.train(max_epochs=1)
    return made


def without(explainer, modality, gone):
    """Output of the rows without some values."""
    return explainer.output(
        ROWS, lambda batch, rows: erased(explainer, batch, modality, gone[np.searchsorted(ROWS, rows)])
    )


def test_erased_bins_hold_no_signal(model, data):
    rng = np.random.default_rng(0)
    marks = model.channels["histone"]
    gone = rng.random((len(ROWS), len(marks), 40)) < 0.3
    changed = data.copy()
    for i, mark in enumerate(marks):
        values = changed["histone"].layers[mark].copy()
        values[ROWS] = np.where(gone[:, i], 0, values[ROWS])
        changed["histone"].layers[mark] = values
    found = without(Explainer(model, data, batch_size=7), "histone", gone.reshape(len(ROWS), -1))
    np.testing.assert_allclose(found, Explainer(model, changed).output(ROWS), atol=1e-5)


def test_erased_cpgs_have_the_mean_level(model, data):
    adata = data["methylation"]
    valid = np.arange(adata.n_vars) < adata.obs["n_cpg"].to_numpy()[:, None]
    gone = np.random.default_rng(0).random((len(ROWS), adata.n_vars)) < 0.3
    changed = data.copy()
    beta = adata.layers["beta"].copy()
    beta[ROWS] = np.where(gone & valid[ROWS], beta[valid].mean(dtype=float), beta[ROWS])
    changed["methylation"].layers["beta"] = beta
    found = without(Explainer(model, data, batch_size=7), "methylation", gone)
    np.testing.assert_allclose(found, Explainer(model, changed).output(ROWS), atol=1e-5)


def test_erased_tfs_are_those_of_the_object(model, data):
    """The object has another order of TFs than the model: erasing all but one must leave that one."""
    order = np.random.default_rng(0).permutation(data["tf"].n_vars)
    shuffled = mudata.MuData(
        {name: data[name][:, order].copy() if name == "tf" else data[name].copy() for name in data.mod}
    )
    shuffled.obs = data.obs.copy()
    one, other = Explainer(model, data), Explainer(model, shuffled)
    gone = np.ones((len(ROWS), data["tf"].n_vars), bool)
    gone[:, order[3]] = False
    reordered = np.ones_like(gone)
    reordered[:, 3] = False
    expected = without(one, "tf", gone)
    np.testing.assert_allclose(without(other, "tf", reordered), expected, atol=1e-5)
    assert np.abs(expected - without(one, "tf", np.ones_like(gone))).max() > 1e-4


@pytest.mark.parametrize("modality", ["histone", "methylation", "tf"])
def test_without_everything_a_modality_is_at_its_baseline(model, data, modality):
    explainer = Explainer(model, data)
    n = {"histone": 40 * len(model.channels["histone"])}.get(modality, data[modality].n_vars)
    gone = np.ones((len(ROWS), n), bool)
    expected = explainer.output(ROWS, lambda batch, _: batch | {modality: explainer.baseline(batch)[modality]})
    np.testing.assert_allclose(without(explainer, modality, gone), expected, atol=1e-6)
    np.testing.assert_allclose(without(explainer, modality, ~gone), explainer.output(ROWS), atol=1e-6)


def test_attention_is_that_of_the_model(model, data):
    outputs = model.run(data)
    found = attention_of(Explainer(model, data, batch_size=11), ROWS)
    assert list(found) == ["histone", "methylation", "tf"]
    by_mark = outputs.mark_attention.get("histone")
    for i in range(len(model.channels["histone"])):
        expected = outputs.attention["histone"] if by_mark is None else by_mark[:, i]
        np.testing.assert_allclose(found["histone"][:, i], expected[ROWS], atol=1e-6)
    np.testing.assert_allclose(found["methylation"], outputs.attention["methylation"][ROWS], atol=1e-6)
    np.testing.assert_allclose(found["tf"].toarray(), outputs.attention["tf"][ROWS].toarray(), atol=1e-6)


def test_differences_are_where_there_is_something(model, data):
    found = differences_of(Explainer(model, data), ROWS)
    for i, mark in enumerate(model.channels["histone"]):
        signal = data["histone"].layers[mark][ROWS]
        np.testing.assert_array_equal(found["histone"][:, i] > 0, signal > 0)
        assert (found["histone"][:, i].argmax(1) == signal.argmax(1)).all()
    assert sparse.issparse(found["tf"])
    np.testing.assert_array_equal(found["tf"].toarray() > 0, data["tf"].layers["binding"][ROWS].toarray() > 0)
    n_cpg = data["methylation"].obs["n_cpg"].to_numpy()[ROWS]
    assert ((found["methylation"] > 0).sum(1) <= n_cpg).all()
    assert found["methylation"].any()


def test_a_model_without_attention_has_none(data):
    torch.manual_seed(0)
    attn.models.DeepChrome.setup_mudata(data)
    made = attn.models.DeepChrome(data)
    made.train(max_epochs=1)
    assert attention_of(Explainer(made, data), ROWS) == {}

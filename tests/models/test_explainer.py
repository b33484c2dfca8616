"""What changes the output of a trained model, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.special import expit

import epiattn as attn
from epiattn.models._explainer import METHODS, Explainer


def trained(model, mdata, **options):
    torch.manual_seed(0)
    model.setup_mudata(mdata)
    made = model(mdata, **options)
    made.train(max_epochs=4)
    return made


@pytest.fixture(scope="module")
def data(simulated):
    return attn.pp.split(simulated.copy())


@pytest.fixture(scope="module")
def default(data):
    return trained(attn.models.MultiAttention, data, scale_by=None)


@pytest.fixture(scope="module")
def published(data):
    return trained(attn.models.Kang2020, data, scale_by=None)


@pytest.fixture(params=["default", "published"])
def model(request):
    return request.getfixturevalue(request.param)


def test_the_output_is_the_log_odds_of_the_prediction(model, data):
    output = Explainer(model, data).output()
    np.testing.assert_allclose(expit(output.astype(float)), model.predict(data), atol=1e-6)


def test_rows_and_batches_do_not_matter(model, data):
    rows = np.array([7, 3, 250, 4])
    whole, some = Explainer(model, data), Explainer(model, data, batch_size=3)
    np.testing.assert_allclose(some.output(rows), whole.output()[rows], atol=1e-5)
    of_some, of_whole = some.attribute(rows, n_steps=5), whole.attribute(np.arange(251), n_steps=5)
    np.testing.assert_allclose(of_some.output, of_whole.output[rows], atol=1e-5)
    np.testing.assert_allclose(of_some.baseline, of_whole.baseline[rows], atol=1e-5)


def test_a_change_is_seen_by_the_model(model, data):
    def without_signal(batch, rows):
        values = batch["histone"].values
        values = values * torch.as_tensor(rows % 2, dtype=values.dtype, device=values.device).view(-1, 1, 1)
        return batch | {"histone": batch["histone"]._replace(values=values)}

    changed = data.copy()
    for mark in attn.models.MultiAttention.channels.fget(model)["histone"]:
        changed["histone"].layers[mark] = data["histone"].layers[mark] * (np.arange(data.n_obs) % 2)[:, None]
    np.testing.assert_allclose(
        Explainer(model, data).output(change=without_signal), Explainer(model, changed).output(), atol=1e-5
    )


def test_integrated_gradients_are_complete(model, data):
    found = Explainer(model, data).attribute(np.arange(60), n_steps=50)
    change = found.output - found.baseline
    assert np.abs(change).mean() > 0.05
    assert np.all(np.abs(found.sums() - change) <= 0.011 * np.maximum(np.abs(change), np.abs(change).mean()))


def test_the_baseline_is_no_signal_mean_methylation_and_no_evidence(default, data):
    nothing = data.copy()
    for mark in default.channels["histone"]:
        nothing["histone"].layers[mark] = np.zeros_like(data["histone"].layers[mark])
    valid = np.arange(data["methylation"].n_vars) < data["methylation"].obs["n_cpg"].to_numpy()[:, None]
    beta = np.asarray(data["methylation"].layers["beta"])
    nothing["methylation"].layers["beta"] = np.where(valid, beta[valid].mean(), beta)
    rows = np.flatnonzero(np.diff(data["tf"].layers["binding"].indptr) == 0)[:5]
    assert len(rows)
    expected = Explainer(default, nothing).output(rows)
    np.testing.assert_allclose(Explainer(default, data).attribute(rows, n_steps=2).baseline, expected, atol=1e-5)


def test_integrated_gradients_equal_a_plain_loop(published, data, monkeypatch):
    rows, n_steps = np.arange(6), 7
    explainer = Explainer(published, data)
    (_, batch), module = next(explainer.batches(rows)), published.module.eval()
    ends = {name: module.scaling(name, each) for name, each in batch.items()}
    starts = {name: module.scaling(name, each) for name, each in explainer.baseline(batch).items()}
    gradients = {name: torch.zeros_like(each.values) for name, each in ends.items()}
    for step in range(n_steps):
        share = (step + 0.5) / n_steps
        values = {
            name: (starts[name].values + share * (each.values - starts[name].values)).requires_grad_()
            for name, each in ends.items()
        }
        z = module.network.embed({name: ends[name]._replace(values=each) for name, each in values.items()})["z"]
        found = torch.autograd.grad(module.network.head(z).sum(), list(values.values()))
        for name, each in zip(values, found, strict=True):
            gradients[name] += each / n_steps
    expected = {name: (each.values - starts[name].values) * gradients[name] for name, each in ends.items()}
    monkeypatch.setattr("epiattn.models._differences._TOLERANCE", np.inf)  # no second try with more steps
    values = explainer.attribute(rows, n_steps=n_steps).values
    np.testing.assert_allclose(values["histone"], expected["histone"].detach(), atol=1e-5)
    cpgs = expected["methylation"].sum(2).detach().numpy()
    np.testing.assert_allclose(values["methylation"][:, : cpgs.shape[1]], cpgs, atol=1e-5)
    np.testing.assert_allclose(values["tf"].toarray(), expected["tf"].sum(2).detach(), atol=1e-5)


def test_occlusion_is_what_the_output_loses(published, data):
    rows = np.arange(3)
    explainer = Explainer(published, data)
    values = explainer.attribute(rows, method="occlusion").values["histone"]
    whole = explainer.output(rows)
    for mark, place in [(0, 3), (4, 20)]:

        def without(batch, _, mark=mark, place=place):
            changed = batch["histone"].values.clone()
            changed[:, mark, place] = 0
            return batch | {"histone": batch["histone"]._replace(values=changed)}

        np.testing.assert_allclose(values[:, mark, place], whole - explainer.output(rows, without), atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_to_what_is_there_and_leaves_the_module_as_it_was(default, data, method):
    explainer, rows = Explainer(default, data), np.arange(4)
    default.module.train()
    before = {name: weights.clone() for name, weights in default.module.state_dict().items()}
    found = explainer.attribute(rows, method=method, n_steps=4)
    assert default.module.training
    assert all(weights.requires_grad for weights in default.module.parameters())
    assert all(torch.equal(before[name], weights) for name, weights in default.module.state_dict().items())
    assert found.values["histone"].shape == (4, len(default.channels["histone"]), data["histone"].n_vars)
    empty = np.arange(data["methylation"].n_vars) >= data["methylation"].obs["n_cpg"].to_numpy()[rows, None]
    assert not found.values["methylation"][empty].any()
    assert found.values["histone"].any()
    bound = data["tf"].layers["binding"][rows].toarray() != 0
    assert not found.values["tf"].toarray()[~bound].any()
    again = explainer.attribute(rows, method=method, n_steps=4)
    np.testing.assert_array_equal(found.values["histone"], again.values["histone"])


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_threads_do_not_matter(default, data, set_threads):
    explainer = Explainer(default, data, batch_size=16)
    rows = np.arange(70)[::-1]
    for method in ("integrated_gradients", "deeplift"):
        set_threads(1)
        alone = explainer.attribute(rows, method=method, n_steps=3)
        set_threads(3)
        together = explainer.attribute(rows, method=method, n_steps=3)
        np.testing.assert_array_equal(together.output, alone.output)
        np.testing.assert_array_equal(together.baseline, alone.baseline)
        for name, values in alone.values.items():
            other = together.values[name]
            np.testing.assert_array_equal(*(x.toarray() if sparse.issparse(x) else x for x in (other, values)))


def test_a_module_that_cannot_be_copied_works_in_one_thread(default, data, set_threads):
    explainer, rows = Explainer(default, data, batch_size=16), np.arange(40)
    set_threads(1)
    alone = explainer.attribute(rows, n_steps=2).values["histone"]
    encoder = default.module.network.encoders["histone"]
    encoder.last = next(encoder.parameters()) * 2  # as an encoder may keep its latest activation
    set_threads(2)
    try:
        np.testing.assert_array_equal(explainer.attribute(rows, n_steps=2).values["histone"], alone)
    finally:
        del encoder.last


def test_an_error_in_a_thread_is_raised(default, data, monkeypatch, set_threads):
    def broken(*_args, **_options):
        raise FloatingPointError("broken")

    explainer = Explainer(default, data, batch_size=16)
    set_threads(2)
    monkeypatch.setattr(Explainer, "_share_out", broken)
    with pytest.raises(FloatingPointError, match="broken"):
        explainer.attribute(np.arange(100))
    assert all(weights.requires_grad for weights in default.module.parameters())


def test_only_recurrent_layers_do_without_cudnn(model, published, data, monkeypatch):
    seen = []
    monkeypatch.setattr(Explainer, "_output", lambda *_: seen.append(torch.backends.cudnn.enabled))
    explainer = Explainer(model, data)
    for gradients in (False, True):
        with explainer.evaluating(gradients=gradients):
            explainer._output({})
    explainer._output({})
    assert seen == [True, model is not published, True]

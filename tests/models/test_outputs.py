"""What a model says, gathered batch by batch."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import epiattn as attn
from epiattn._compat import take
from epiattn.models._outputs import Outputs

NAMES = ("prediction", "latent", "modality_weights", "contexts", "attention", "unbound")


@pytest.fixture(scope="module")
def model(simulated):
    mdata = attn.pp.split(simulated.copy())
    attn.models.Kang2020.setup_mudata(mdata)
    model = attn.models.Kang2020(mdata)
    model.train(max_epochs=1, enable_progress_bar=False)
    return model


def arrays(outputs):
    """All that is in the outputs, dense, by name."""
    found = {}
    for name in NAMES:
        value = getattr(outputs, name)
        for part, array in value.items() if isinstance(value, dict) else [("", value)]:
            found[name, part] = array.toarray() if hasattr(array, "toarray") else array
    return found


def test_shapes_are_those_of_the_object(model):
    found = arrays(model.run())
    for modality in ("histone", "methylation", "tf"):
        assert found["attention", modality].shape == model.adata[modality].shape
        assert found["attention", modality].dtype == np.float32
    assert {array.shape[0] for array in found.values()} == {400}


@pytest.mark.parametrize("batch_size", [7, 64, 1000])
def test_the_size_of_batches_does_not_matter(model, batch_size):
    expected = arrays(model.run(batch_size=400))
    for name, array in arrays(model.run(batch_size=batch_size)).items():
        np.testing.assert_allclose(array, expected[name], atol=2e-6, err_msg=str(name))


def test_parts_are_joined_by_their_rows(model):
    mdata = model.adata
    order = np.random.default_rng(0).permutation(mdata.n_obs)
    parts = [(rows, model.run(take(mdata, rows))) for rows in np.array_split(order, [90, 300])]
    joined = arrays(Outputs.join(parts, mdata.obs_names))
    for name, expected in arrays(model.run()).items():
        np.testing.assert_allclose(joined[name], expected, atol=2e-6, err_msg=str(name))


def test_averaging_holds_one_other_model_at_a_time(model):
    alive = weakref.WeakSet()

    def others():
        for _ in range(3):
            assert not alive
            other = model.run()
            alive.add(other)
            yield other
            del other

    outputs = model.run()
    outputs.average(others())
    alone = arrays(model.run())
    for name, array in arrays(outputs).items():
        expected = np.hstack([alone[name]] * 4) if name[0] in ("latent", "contexts") else alone[name]
        np.testing.assert_allclose(array, expected, atol=1e-6, err_msg=str(name))
    np.testing.assert_allclose(outputs.prediction_sd, 0, atol=1e-6)

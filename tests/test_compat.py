from __future__ import annotations

import mudata
import numpy as np
import pytest

from epiattn._compat import _without_pulling, new_mudata, read, take


@pytest.fixture
def named(mdata):
    """Modalities with a name on their index, and a column that mudata 0.3 would pull in."""
    modalities = {name: adata.copy() for name, adata in mdata.mod.items()}
    for adata in modalities.values():
        adata.obs.index.name = "gene_name"
        adata.obs["depth"] = 1.0
    made = new_mudata(modalities, mdata.obs)
    made.obsm["X_pca"] = np.ones((made.n_obs, 2))
    made.uns["note"] = "kept"
    return made


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_objects_are_read_as_they_were_written(named, tmp_path, suffix):
    path = tmp_path / f"data.{suffix}"
    with _without_pulling():
        named.write_h5mu(path) if suffix == "h5mu" else named.write_zarr(path)
    found = read(path)
    assert isinstance(found, mudata.MuData)
    assert list(found.obs) == list(named.obs)
    assert not [column for column in found.obs if column.endswith(":depth")]
    assert list(found.var) == list(named.var)
    assert list(found.mod) == list(named.mod)
    assert found.obs_names.equals(named.obs_names)
    assert found.obs["label"].astype(str).equals(named.obs["label"].astype(str))
    np.testing.assert_array_equal(found.obsm["X_pca"], 1)
    assert found.uns["note"] == "kept"
    found.write_h5mu(tmp_path / "again.h5mu")
    assert read(tmp_path / "again.h5mu").shape == named.shape


def test_other_errors_of_reading_are_raised(tmp_path):
    (tmp_path / "data.h5mu").write_text("not HDF5")
    with pytest.raises((OSError, ValueError)):
        read(tmp_path / "data.h5mu")


def test_some_observations_of_named_ones_can_be_taken(named):
    taken = take(named, np.arange(10))
    assert taken.n_obs == 10
    assert list(taken.obs) == list(named.obs)

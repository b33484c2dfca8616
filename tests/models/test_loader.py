"""Batches: exactly the rows asked for, whatever the storage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from epiattn.models._loader import BatchSampler
from epiattn.models._stores import CpGStore, SignalStore, TFStore


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(1, 20), st.booleans())
def test_every_observation_comes_once_and_no_batch_has_one_unless_it_must(n_obs, batch_size, shuffle):
    sampler = BatchSampler(np.arange(100, 100 + n_obs), batch_size, shuffle=shuffle)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(np.concatenate(batches)) == list(range(100, 100 + n_obs))
    if batch_size > 1 and n_obs > 1:
        assert min(map(len, batches)) > 1


def test_shuffling_changes_with_each_epoch():
    sampler = BatchSampler(np.arange(50), 50, shuffle=True)
    assert not np.array_equal(next(iter(sampler)), next(iter(sampler)))


def test_signal_is_stacked_by_mark():
    layers = [np.arange(6).reshape(2, 3), sparse.csr_matrix(10 * np.arange(6).reshape(2, 3))]
    batch = SignalStore(layers).cut(np.array([1]))
    np.testing.assert_array_equal(batch.values, [[[3, 4, 5], [30, 40, 50]]])
    assert batch.present.all()


def test_what_was_not_measured_is_not_present(simulated):
    import pandas as pd

    import epiattn as attn

    mdata = simulated.copy()
    names = ["H3K4me3", "DNase"]
    table = pd.DataFrame(True, index=mdata.obs_names, columns=names)
    table.iloc[:2, 0] = False
    table.iloc[1:3, 1] = False
    mdata["histone"].obsm["measured"] = table
    mdata["tf"].obsm["measured"] = table.set_axis(["binding", "mode"], axis=1)
    channels = {"histone": names, "tf": ["binding", "mode"]}
    attn.models.MultiAttention.setup_mudata(mdata, channels=channels)
    batch = attn.models.MultiAttention(mdata)._dataset(mdata)[np.arange(4)]
    for modality in channels:  # only the second observation has none of the channels
        assert batch[modality].present.tolist() == [True, False, True, True]


def test_cpgs_are_trimmed_to_the_longest_list_and_padding_is_zero():
    beta = np.array([[0.1, np.nan, 9.0], [0.2, 0.3, np.nan], [9.0, 9.0, 9.0]])
    store = CpGStore([beta, beta], ["beta", "position"], np.array([1, 2, 0]))
    batch = store.cut(np.array([2, 0]))
    assert batch.values.shape == (2, 1, 2)
    np.testing.assert_array_equal(batch.mask, [[False], [True]])
    np.testing.assert_array_equal(batch.present, [False, True])
    np.testing.assert_allclose(batch.values[:, 0, 0], [0, 0.1], rtol=1e-6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**31))
def test_tf_rows_equal_the_dense_layers(seed):
    rng = np.random.default_rng(seed)
    dense = [rng.normal(size=(6, 9)) * (rng.random((6, 9)) < 0.3) for _ in range(3)]
    columns = rng.permutation(9)[:5]
    store = TFStore([sparse.csr_matrix(dense[0]), sparse.csc_matrix(dense[1]), dense[2]], columns)
    rows = rng.integers(0, 6, 4)
    batch = store.cut(rows)
    expected = np.stack(dense, -1)[rows][:, columns].astype(np.float32)
    np.testing.assert_array_equal(batch.values, expected)
    np.testing.assert_array_equal(batch.mask, (expected != 0).any(-1))


def test_scales_are_root_mean_squares_of_what_is_there():
    signal = SignalStore([np.array([[3.0, 4.0], [100.0, 0.0]])])
    assert signal.scale(np.array([0]), lambda x: x) == pytest.approx(np.sqrt(12.5))
    assert SignalStore([np.zeros((2, 2))]).scale(np.array([0, 1]), lambda x: x) == 1
    tfs = TFStore([sparse.csr_matrix([[2.0, 0.0], [0.0, 4.0]])], np.arange(2))
    assert tfs.scale(np.array([0, 1]), lambda x: x) == pytest.approx(np.sqrt(10))
    cpgs = CpGStore([np.ones((2, 2)), np.full((2, 2), 30.0)], ["beta", "coverage"], np.array([2, 1]))
    np.testing.assert_allclose(cpgs.scale(np.array([0, 1]), lambda x: x), [1, 30])

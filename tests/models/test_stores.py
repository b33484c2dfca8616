"""Stores: a batch holds exactly the rows asked for, whatever the storage."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from epiattn.models._stores import CpGStore, SignalStore, TFStore


def test_signal_is_stacked_by_mark():
    layers = [np.arange(6).reshape(2, 3), sparse.csr_matrix(10 * np.arange(6).reshape(2, 3))]
    batch = SignalStore(layers).cut(torch.tensor([1]))
    np.testing.assert_array_equal(batch.values, [[[3, 4, 5], [30, 40, 50]]])
    assert batch.present.all()


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix])
def test_cpgs_are_trimmed_to_the_longest_list_and_padding_is_zero(layout):
    beta = layout(np.array([[0.1, np.nan, 9.0], [0.2, 0.3, np.nan], [9.0, 9.0, 9.0]]))
    store = CpGStore([beta, beta], ["beta", "position"], np.array([1, 2, 0]))
    batch = store.cut(torch.tensor([2, 0]))
    assert batch.values.shape == (2, 1, 2)
    np.testing.assert_array_equal(batch.mask, [[False], [True]])
    np.testing.assert_array_equal(batch.present, [False, True])
    np.testing.assert_allclose(batch.values[:, 0, 0], [0, 0.1], rtol=1e-6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.3, 1.0]))
def test_tf_rows_equal_the_dense_layers(seed, density):
    rng = np.random.default_rng(seed)
    dense = [rng.normal(size=(6, 9)) * (rng.random((6, 9)) < density) for _ in range(3)]
    columns = rng.permutation(9)[:5]
    store = TFStore([sparse.csr_matrix(dense[0]), sparse.csc_matrix(dense[1]), dense[2]], columns)
    rows = rng.integers(0, 6, 4)
    batch = store.cut(torch.from_numpy(rows))
    expected = np.stack(dense, -1)[rows][:, columns].astype(np.float32)
    np.testing.assert_array_equal(batch.values, expected)
    np.testing.assert_array_equal(batch.mask, (expected != 0).any(-1))
    assert store.complete == (density == 1.0)


def test_few_bound_tfs_take_the_memory_of_few():
    rng = np.random.default_rng(0)
    layer = sparse.random(500, 1_000, 0.01, format="csr", rng=rng)
    store = TFStore([layer, layer], np.arange(1_000))
    n_bytes = sum(tensor.nbytes for tensor in store.tensors().values())
    assert n_bytes < 4 * layer.nnz * 2 * 2 + 500 * 10  # values and columns of what is stored, and the rows' starts
    assert n_bytes < 500 * 1_000 * 2 * 4 / 20


def test_scales_are_root_mean_squares_of_what_is_there():
    signal = SignalStore([np.array([[3.0, 4.0], [100.0, 0.0]])])
    assert signal.scale(np.array([0]), lambda x: x) == pytest.approx(np.sqrt(12.5))
    assert SignalStore([np.zeros((2, 2))]).scale(np.array([0, 1]), lambda x: x) == 1
    tfs = TFStore([sparse.csr_matrix([[2.0, 0.0], [0.0, 4.0]])], np.arange(2))
    assert tfs.scale(np.array([0, 1]), lambda x: x) == pytest.approx(np.sqrt(10))
    cpgs = CpGStore([np.ones((2, 2)), np.full((2, 2), 30.0)], ["beta", "coverage"], np.array([2, 1]))
    np.testing.assert_allclose(cpgs.scale(np.array([0, 1]), lambda x: x), [1, 30])


def test_moving_moves_every_tensor():
    store = TFStore([sparse.csr_matrix(np.eye(3))], np.arange(3))
    store.to(torch.device("meta"))
    assert {tensor.device.type for tensor in store.tensors().values()} == {"meta"}
    assert set(store.tensors()) == {"present", "values", "columns", "starts"}

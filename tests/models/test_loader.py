"""Batches: which observations come when, and that the ways to read them agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import epiattn as attn
from epiattn.models._loader import TARGET, BatchSampler, make_loader


def model_of(mdata, **setup):
    attn.models.Kang2020.setup_mudata(mdata, **setup)
    return attn.models.Kang2020(mdata)


def assert_same(batch, other):
    assert batch.keys() == other.keys()
    for name, value in batch.items():
        for tensor, expected in zip(value, other[name], strict=True):
            assert (tensor is None and expected is None) or torch.equal(tensor, expected), name


# --- which observations ---------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(1, 60), st.integers(1, 20), st.booleans(), st.booleans())
def test_every_observation_comes_once_and_no_batch_has_one_unless_it_must(n_obs, batch_size, shuffle, by_length):
    lengths = np.arange(n_obs) % 7 if by_length else None
    sampler = BatchSampler(np.arange(100, 100 + n_obs), batch_size, shuffle=shuffle, lengths=lengths)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(np.concatenate(batches)) == list(range(100, 100 + n_obs))
    if batch_size > 1 and n_obs > 1:
        assert min(map(len, batches)) > 1


@pytest.mark.parametrize("lengths", [None, np.arange(50)])
def test_shuffling_changes_with_each_epoch_and_follows_the_seed(lengths):
    sampler = BatchSampler(np.arange(50), 5, shuffle=True, lengths=lengths)

    def epochs():
        torch.manual_seed(0)
        return [np.concatenate(list(sampler)).tolist() for _ in range(3)]

    first, second, third = epochs()
    assert first != second != third
    assert epochs() == [first, second, third]


def test_similar_lengths_come_together_but_not_in_order():
    lengths = np.random.default_rng(0).integers(0, 400, 4_000)
    torch.manual_seed(0)
    longest = {
        name: [lengths[batch].max() for batch in BatchSampler(np.arange(4_000), 16, shuffle=True, lengths=each)]
        for name, each in (("shuffled", None), ("grouped", lengths))
    }
    assert np.mean(longest["grouped"]) < 0.7 * np.mean(longest["shuffled"])
    assert abs(np.corrcoef(np.arange(250), longest["grouped"])[0, 1]) < 0.2  # short and long ones at any time


def test_similar_lengths_mix_anew_in_each_epoch():
    # Who meets whom in a batch must change from epoch to epoch, even with equal lengths everywhere.
    lengths = np.repeat([1, 300], 100)
    sampler = BatchSampler(np.arange(200), 10, shuffle=True, lengths=lengths)
    torch.manual_seed(0)
    together = [
        {frozenset(pair) for batch in sampler for pair in zip(batch, batch[1:], strict=False)} for _ in range(2)
    ]
    assert len(together[0] & together[1]) < 0.2 * len(together[0])


@pytest.mark.parametrize(("max_cpgs", "grouped"), [(12, False), (200, True)])
def test_genes_are_grouped_only_where_lists_are_long(max_cpgs, grouped):
    mdata = attn.datasets.simulate(60, 1, max_cpgs=max_cpgs, n_tfs=5)
    dataset = model_of(mdata)._dataset(mdata)
    assert (make_loader(dataset, np.arange(60), 16, shuffle=True).sampler.lengths is not None) == grouped
    assert make_loader(dataset, np.arange(60), 16).sampler.lengths is None


# --- what is in a batch ---------------------------------------------------------------------------------------------


def test_what_was_not_measured_is_not_present(mdata):
    names = ["H3K4me3", "DNase"]
    table = pd.DataFrame(True, index=mdata.obs_names, columns=names)
    table.iloc[:2, 0] = False
    table.iloc[1:3, 1] = False
    mdata["histone"].obsm["measured"] = table
    mdata["tf"].obsm["measured"] = table.set_axis(["binding", "mode"], axis=1)
    channels = {"histone": names, "tf": ["binding", "mode"]}
    batch = model_of(mdata, channels=channels)._dataset(mdata)[np.arange(4)]
    for modality in channels:  # only the second observation has none of the channels
        assert batch[modality].present.tolist() == [True, False, True, True]


def test_reading_by_scvi_tools_gives_the_same_batches(mdata):
    model = model_of(mdata)
    target = model.get_target()
    stacked, read = (model._dataset(mdata, target=target, stack=stack) for stack in (True, False))
    assert read.stores is None
    rows = np.random.default_rng(0).permutation(mdata.n_obs)[:50]
    batch, other = stacked[rows], read[rows]
    assert torch.equal(batch.pop(TARGET), other.pop(TARGET))
    assert_same(batch, other)


def test_training_on_scvi_tools_batches_gives_the_same_model(mdata):
    import scvi

    attn.pp.split(mdata)
    latents = []
    for stack in (True, False):
        scvi.settings.seed = 0
        model = model_of(mdata)
        model.train(1, stack=stack, accelerator="cpu")
        latents.append(model.get_latent_representation())
    np.testing.assert_array_equal(*latents)


def test_training_works_in_mixed_precision(mdata):
    attn.pp.split(mdata)
    model = model_of(mdata)
    model.train(1, precision="bf16-mixed", accelerator="cpu")
    assert np.isfinite(model.history["loss_train"].to_numpy(float)).all()
    assert model.predict().dtype == np.float32


# --- where it lies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "free", "load", "moved"),
    [
        ("cpu", 0, "auto", False),
        ("cpu", 0, True, False),
        ("cuda", 10**12, "auto", True),
        ("cuda", 10_000, "auto", False),
        ("cuda", 10_000, True, True),
        ("cuda", 10**12, False, False),
        ("mps", 0, "auto", False),
    ],
)
def test_data_is_loaded_on_a_gpu_where_it_fits(mdata, monkeypatch, device, free, load, moved):
    dataset = model_of(mdata)._dataset(mdata)
    asked = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**12))
    for store in dataset.stores.values():
        monkeypatch.setattr(store, "to", asked.append)
    dataset.load_on(torch.device(device), load=load)
    assert asked == ([torch.device(device)] * 3 if moved else [])
    assert dataset.device == torch.device(device if moved else "cpu")

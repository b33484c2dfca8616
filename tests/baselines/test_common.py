"""What holds for every baseline."""

from __future__ import annotations

import inspect

import anndata as ad
import mudata
import numpy as np
import pytest
from scipy import sparse

import epiattn as attn
from epiattn._registry import baselines

TARGETS = pytest.mark.parametrize("target", ["label", "expression"])


def test_all_are_registered_and_say_what_they_are():
    assert sorted(baselines) == attn.baselines.__all__
    for name, entry in baselines.items():
        assert entry.load() is getattr(attn.baselines, name)
        assert "\n" not in entry.description
        assert entry.description in repr(baselines)


def test_they_have_one_interface(baseline):
    parameters = inspect.signature(baseline).parameters
    common = ["mdata", "target", "channels", "label_key", "split_key", "seed"]
    assert list(parameters) in (common, [*common, "scale_by"])
    assert all(each.kind is each.KEYWORD_ONLY for each in list(parameters.values())[1:])


@TARGETS
def test_every_observation_gets_a_score_and_the_object_stays_as_it_was(baseline, four_types, target):
    before = four_types.copy()
    score = baseline(four_types, target=target)
    assert score.shape == (four_types.n_obs,)
    assert score.dtype == float
    assert np.isfinite(score[(four_types.obs["split"] == "test").to_numpy()]).all()
    if target == "label":
        known = score[np.isfinite(score)]
        assert known.min() >= 0
        assert known.max() <= 1
    assert list(four_types.obs) == list(before.obs)
    assert list(four_types.obsm) == list(before.obsm)
    assert dict(four_types["histone"].uns) == dict(before["histone"].uns)


@pytest.mark.parametrize("name", ["best_mark", "logistic", "ridge", "gradient_boosting"])
def test_depth_does_not_count_unless_asked_to(name, four_types):
    baseline = baselines[name].load()
    scaled, as_it_is = baseline(four_types), baseline(four_types, scale_by=None)
    deeper = four_types.copy()
    test = (deeper.obs["split"] == "test").to_numpy()
    for mark in ("H3K4me3", "H3K27me3"):
        deeper["histone"].layers[mark] = np.where(test[:, None], 5.0, 1) * deeper["histone"].layers[mark]
    np.testing.assert_allclose(baseline(deeper), scaled, rtol=1e-4)
    assert np.abs(baseline(deeper, scale_by=None) - as_it_is)[test].max() > 0.01
    one = four_types[(four_types.obs["cell_type"] == "cell_type_0").to_numpy()].copy()
    del one.obs["split"]
    one = attn.pp.split(one, by="random")
    np.testing.assert_array_equal(baseline(one), baseline(one, scale_by=None))
    with pytest.raises(ValueError, match="scale_by='nothing': there is no such column"):
        baseline(four_types, scale_by="nothing")


@TARGETS
def test_nothing_is_learned_from_the_test_part(baseline, four_types, target):
    before = baseline(four_types, target=target)
    test = (four_types.obs["split"] == "test").to_numpy()
    label = four_types.obs["label"].astype(object)
    four_types.obs["label"] = label.where(~test, np.where(label == "high", "low", "high"))
    four_types["rna"].X[test] = 99
    np.testing.assert_array_equal(baseline(four_types, target=target), before)
    four_types.obs.loc[test, "label"] = None
    four_types["rna"].X[test] = np.nan
    np.testing.assert_array_equal(baseline(four_types, target=target), before)


@TARGETS
def test_training_targets_matter(baseline, four_types, target):
    before = baseline(four_types, target=target)
    learned = (four_types.obs["split"] != "test").to_numpy()
    label = four_types.obs["label"].astype(object)
    rng = np.random.default_rng(0)
    four_types.obs["label"] = label.where(~learned, np.where(rng.random(len(label)) < 0.3, "high", "low"))
    four_types["rna"].X[learned] = rng.normal(size=(learned.sum(), 1))
    assert not np.allclose(baseline(four_types, target=target), before, equal_nan=True)


@TARGETS
def test_the_same_seed_gives_the_same_scores(baseline, four_types, target):
    first, second = (baseline(four_types, target=target, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_observations_without_a_part_or_a_label_are_not_learned_from(baseline, four_types):
    out = np.arange(four_types.n_obs) % 5 == 0
    four_types.obs["label"] = four_types.obs["label"].astype(object)
    parts = four_types.obs["split"].astype(object)
    four_types.obs["split"] = parts.where(~out, None)
    before = baseline(four_types)
    four_types.obs.loc[out, "label"] = np.where(four_types.obs.loc[out, "label"] == "high", "low", "high")
    np.testing.assert_array_equal(baseline(four_types), before)
    four_types.obs["split"] = parts
    four_types.obs.loc[out, "label"] = None
    after = baseline(four_types)
    held_out = (parts != "train").to_numpy() | out
    np.testing.assert_array_equal(after[held_out & ~out], before[held_out & ~out])


def test_sparse_layers_and_files_give_the_same_scores(baseline, four_types, tmp_path):
    before = baseline(four_types)
    for modality, to in (("histone", sparse.csc_matrix), ("methylation", sparse.coo_matrix), ("tf", np.asarray)):
        layers = four_types[modality].layers
        for name in [name for name in layers if name is not None and not name.startswith("truth")]:
            values = layers[name].toarray() if sparse.issparse(layers[name]) else layers[name]
            if to is not sparse.coo_matrix:
                layers[name] = to(values)
    np.testing.assert_allclose(baseline(four_types), before, atol=1e-5)
    four_types.write_h5mu(tmp_path / "a.h5mu")
    np.testing.assert_allclose(baseline(mudata.read_h5mu(tmp_path / "a.h5mu")), before, atol=1e-5)


def test_other_names_of_the_columns(baseline, four_types):
    before = baseline(four_types)
    four_types.obs = four_types.obs.rename(columns={"label": "mine", "split": "fold"})
    np.testing.assert_array_equal(baseline(four_types, label_key="mine", split_key="fold"), before)


def test_what_is_missing_is_named(baseline, four_types):
    with pytest.raises(ValueError, match=r"obs\['mine'\] is missing"):
        baseline(four_types, label_key="mine")
    with pytest.raises(ValueError, match=r"obs\['fold'\] is missing"):
        baseline(four_types, split_key="fold")
    with pytest.raises(ValueError, match="target must be one of"):
        baseline(four_types, target="labels")
    with pytest.raises(TypeError, match="Expected a MuData"):
        baseline(four_types.obs)
    del four_types.mod["rna"]
    with pytest.raises(ValueError, match=r"target='expression' needs mdata\['rna'\].X"):
        baseline(four_types, target="expression")
    four_types.obs["label"] = "low"
    with pytest.raises(ValueError, match=r"'low' and 'high', but it holds \['low'\]"):
        baseline(four_types)


def test_training_without_expression_is_refused(baseline, four_types):
    four_types["rna"].X[(four_types.obs["split"] == "train").to_numpy()] = np.nan
    with pytest.raises(ValueError, match="No training observation .* has expression"):
        baseline(four_types, target="expression")


@pytest.mark.parametrize(
    ("name", "modality", "message"),
    [
        ("best_mark", "histone", "The best mark reads signal around the TSS"),
        ("nearest_cell_type", "histone", "The nearest cell type reads signal around the TSS"),
        ("logistic", "histone", "Logistic regression reads signal around the TSS"),
        ("ridge", "histone", "Ridge regression reads signal around the TSS"),
        ("cpg_count", "methylation", "There are no CpGs: the modalities are"),
        ("tf_count", "tf", "There are no TFs: the modalities are"),
    ],
)
def test_a_baseline_says_what_it_lacks(four_types, name, modality, message):
    others = {other: [] for other in ("histone", "methylation", "tf") if other != modality}
    chosen = {
        other: [layer for layer in four_types[other].layers if layer is not None and not layer.startswith("truth")]
        for other in others
    }
    with pytest.raises(ValueError, match=message):
        getattr(attn.baselines, name)(four_types, channels=chosen)
    del four_types.mod[modality]
    with pytest.raises(ValueError, match=message):
        getattr(attn.baselines, name)(four_types)


@pytest.mark.parametrize("name", ["best_mark", "logistic", "ridge", "gradient_boosting"])
def test_a_choice_of_marks_is_as_good_as_an_object_with_these_only(four_types, name):
    function = getattr(attn.baselines, name)
    chosen = function(four_types, channels={"histone": ["H3K27ac", "H3K4me3"]})
    layers = {mark: four_types["histone"].layers[mark] for mark in ("H3K4me3", "H3K27ac")}
    adata = ad.AnnData(obs=four_types.obs, layers=layers)
    np.testing.assert_allclose(function(adata), chosen, atol=1e-6)
    assert not np.allclose(function(four_types), chosen)

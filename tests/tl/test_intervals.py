"""Intervals of predicted expression: what tl.fit learns from the validation part, and tl.embed applies."""

from __future__ import annotations

import logging

import numpy as np
import pytest

import epiattn as attn

QUICK = {"target": "expression", "max_epochs": 1, "batch_size": 128}


@pytest.fixture(scope="module")
def data():
    data = attn.datasets.simulate(n_genes=120, cell_types=2, n_bins=20, max_cpgs=8, n_tfs=12, seed=3)
    return attn.pp.split(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("model")


@pytest.fixture(scope="module")
def fitted(data, folder):
    return attn.tl.fit(data, interval=0.8, model_dir=folder, copy=True, **QUICK)


def columns(mdata):
    return (mdata.obs[f"attn_{name}"].to_numpy(dtype=float) for name in ("score_low", "score", "score_high"))


def truth_of(mdata):
    return np.asarray(mdata["rna"].X).ravel().astype(float)


def part(mdata, name):
    return (mdata.obs["split"] == name).to_numpy()


@pytest.mark.parametrize("n_models", [1, 2])
def test_half_widths_are_those_of_the_validation_part(data, n_models):
    fitted = attn.tl.fit(data, interval=0.8, n_models=n_models, copy=True, **QUICK)
    low, score, high = columns(fitted)
    rows = part(fitted, "validation")
    expected = attn.metrics.conformal_half_width(truth_of(fitted)[rows], score[rows], level=0.8)
    np.testing.assert_allclose(high - score, expected, rtol=1e-4)
    np.testing.assert_allclose(score - low, expected, rtol=1e-4)


def test_the_record_says_how_many_truths_are_inside(fitted):
    low, _, high = columns(fitted)
    truth, found = truth_of(fitted), fitted.uns["attn"]["metrics"]
    for name, values in found.items():
        rows = part(fitted, name)
        assert values["coverage"] == pytest.approx(((low <= truth) & (truth <= high))[rows].mean())
        assert values["width"] == pytest.approx((high - low)[rows].mean())
    n = found["validation"]["n_obs"]
    n_inside = found["validation"]["coverage"] * n  # one of them lies on an end, and may be rounded to the outside
    assert np.ceil((n + 1) * 0.8) - 1 <= round(n_inside) <= np.ceil((n + 1) * 0.8)
    assert fitted.uns["attn"]["interval"] == 0.8
    assert {"coverage", "width"} <= set(fitted.uns["attn"]["metrics_by_cell_type"])


def test_the_model_and_its_predictions_stay_as_they_are(data, fitted):
    without = attn.tl.fit(data, copy=True, **QUICK)
    np.testing.assert_array_equal(without.obs["attn_score"], fitted.obs["attn_score"])
    assert not {"attn_score_low", "attn_score_high"} & set(without.obs)
    assert "coverage" not in without.uns["attn"]["metrics"]["test"]


def test_a_saved_model_gives_intervals_for_other_genes(fitted, folder):
    new = attn.datasets.simulate(n_genes=40, cell_types=1, n_bins=20, max_cpgs=8, n_tfs=12, seed=9)
    attn.tl.embed(new, folder)
    low, score, high = columns(new)
    _, was, end = columns(fitted)
    np.testing.assert_allclose(high - score, (end - was)[0], rtol=1e-4)
    np.testing.assert_allclose(score - low, (end - was)[0], rtol=1e-4)
    truth = truth_of(new)
    expected = ((low <= truth) & (truth <= high)).mean()
    assert new.uns["attn"]["metrics"]["all"]["coverage"] == pytest.approx(expected)
    del new.mod["rna"]
    assert attn.tl.embed(new, folder).uns["attn"]["metrics"] == {}


def test_a_folder_without_intervals_gives_none(data, fitted, folder, tmp_path):
    for interval in (0.8, None):
        attn.tl.fit(data, interval=interval, model_dir=tmp_path, copy=True, **QUICK)
        found = attn.tl.embed(data, tmp_path, copy=True)
        assert ("attn_score_low" in found.obs) == (interval is not None)
    assert attn.models.RegulatoryModel.load(folder).target == "expression"


def test_each_cell_type_has_a_half_width_of_its_own(data, tmp_path):
    fitted = attn.tl.fit(data, per="cell_type", interval=0.8, model_dir=tmp_path, copy=True, **QUICK)
    low, score, high = columns(fitted)
    for name in data.obs["cell_type"].unique():
        own = (data.obs["cell_type"] == name).to_numpy()
        rows = own & part(fitted, "validation")
        expected = attn.metrics.conformal_half_width(truth_of(fitted)[rows], score[rows], level=0.8)
        np.testing.assert_allclose((high - low)[own], 2 * expected, rtol=1e-4)
    embedded = attn.tl.embed(data, tmp_path, copy=True)
    np.testing.assert_array_equal(embedded.obs["attn_score_high"], fitted.obs["attn_score_high"])
    table = fitted.uns["attn"]["metrics_by_cell_type"].set_index("part")
    mean = fitted.uns["attn"]["metrics"]["test"]["coverage"]
    assert mean == pytest.approx(table.loc["test", "coverage"].mean())


def test_too_few_observations_give_infinite_intervals_and_a_warning(data, tmp_path, caplog):
    logging.getLogger("epiattn").addHandler(caplog.handler)
    try:
        fitted = attn.tl.fit(data, interval=0.999, model_dir=tmp_path, copy=True, **QUICK)
    finally:
        logging.getLogger("epiattn").removeHandler(caplog.handler)
    assert "too few for intervals at level 0.999: they are infinite" in caplog.text
    for mdata in (fitted, attn.tl.embed(data, tmp_path, copy=True)):
        low, _, high = columns(mdata)
        assert (low == -np.inf).all()
        assert (high == np.inf).all()
    assert fitted.uns["attn"]["metrics"]["test"]["coverage"] == 1


@pytest.mark.parametrize("interval", [0, 1, 1.5, -0.1, 90, True])
def test_a_level_is_a_share(data, interval):
    with pytest.raises(ValueError, match=rf"interval must be between 0 and 1 \(0.9 for 90 %\), not {interval}"):
        attn.tl.fit(data, interval=interval, copy=True, **QUICK)


def test_labels_have_no_intervals(data):
    with pytest.raises(ValueError, match="interval=0.9 is for target='expression', not 'label'"):
        attn.tl.fit(data, interval=0.9, copy=True)


def test_an_end_of_someone_else_is_not_overwritten(data):
    mdata = data.copy()
    mdata.obs["attn_score_low"] = 1.0
    with pytest.raises(ValueError, match="would overwrite .*obs/attn_score_low"):
        attn.tl.fit(mdata, interval=0.9, **QUICK)

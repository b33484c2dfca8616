"""Labels."""

from __future__ import annotations

import numpy as np
import pytest

import epiattn as attn


def test_label_is_above_the_median_of_its_cell_type(mdata):
    del mdata.obs["label"]
    assert attn.pp.label(mdata) is mdata
    expression = mdata["rna"].X[:, 0]
    for cell_type in ("cell_type_0", "cell_type_1"):
        rows = (mdata.obs["cell_type"] == cell_type).to_numpy()
        expected = np.where(expression[rows] > np.median(expression[rows]), "high", "low")
        np.testing.assert_array_equal(mdata.obs["label"].to_numpy()[rows].astype(str), expected)


def test_without_cell_types_there_is_one_median(mdata):
    del mdata.obs["cell_type"]
    attn.pp.label(mdata, key_added="above")
    expected = mdata["rna"].X[:, 0] > np.median(mdata["rna"].X)
    np.testing.assert_array_equal((mdata.obs["above"] == "high").to_numpy(), expected)


def test_copy_leaves_the_object_alone(mdata):
    del mdata.obs["label"]
    assert "label" in attn.pp.label(mdata, copy=True).obs
    assert "label" not in mdata.obs


def test_missing_expression_gives_a_missing_label(mdata):
    mdata["rna"].X[3, 0] = np.nan
    attn.pp.label(mdata)
    assert mdata.obs["label"].isna().to_numpy().nonzero()[0].tolist() == [3]


def test_no_expression_is_an_error(mdata):
    del mdata.mod["rna"]
    with pytest.raises(ValueError, match="needs expression in mdata"):
        attn.pp.label(mdata)


def test_constant_expression_is_an_error(mdata):
    mdata["rna"].X[:] = 1.0
    with pytest.raises(ValueError, match="does it vary"):
        attn.pp.label(mdata)


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    return caplog


def classes(mdata, key="label"):
    return mdata.obs[key].astype(object).where(mdata.obs[key].notna(), "").tolist()


@pytest.fixture
def ten(mdata):
    """Expression 0 to 9 in one cell type, and 100 to 109 in another one."""
    rows = [f"gene_{i:05d}@cell_type_{j}" for j in range(2) for i in range(10)]
    mdata = mdata[rows].copy()
    mdata["rna"].X[:, 0] = [*range(10), *range(100, 110)]
    return mdata


def test_quantiles_are_of_the_cell_type_and_leave_a_gap(ten):
    attn.pp.label(ten, by="quantile", quantiles=(0.3, 0.8))
    # The quantiles of 0..9 are 2.7 and 7.2.
    assert classes(ten) == 2 * (3 * ["low"] + 5 * [""] + 2 * ["high"])


def test_a_value_at_a_quantile_is_below_it(ten):
    attn.pp.label(ten, by="quantile", quantiles=(1 / 3, 2 / 3))
    # The quantiles are 3 and 6: the gene at 3 is low, the one at 6 not yet high.
    assert classes(ten) == 2 * (4 * ["low"] + 3 * [""] + 3 * ["high"])


@pytest.mark.parametrize("threshold", [4.0, (4, 4)])
def test_one_threshold_leaves_no_gap(ten, threshold, log):
    attn.pp.label(ten, by="threshold", threshold=threshold)
    assert classes(ten) == 5 * ["low"] + 5 * ["high"] + 10 * ["high"]
    assert "No gene of cell_type_1 is 'low'" in log.text


def test_two_thresholds_leave_a_gap_and_missing_expression_stays_missing(ten):
    ten["rna"].X[0, 0] = np.nan
    attn.pp.label(ten, by="threshold", threshold=(2, 104))
    assert classes(ten) == [""] + 2 * ["low"] + 7 * [""] + 5 * [""] + 5 * ["high"]


def test_training_leaves_out_what_has_no_label(mdata):
    from epiattn.models._targets import encode_labels, split_rows

    attn.pp.split(attn.pp.label(mdata, by="quantile"))
    labelled = mdata.obs["label"].notna().to_numpy()
    assert 0.63 < labelled.mean() < 0.70
    rows = split_rows(mdata, encode_labels(mdata.obs["label"].to_numpy()), "split")
    np.testing.assert_array_equal(np.sort(np.concatenate(list(rows.values()))), np.flatnonzero(labelled))


@pytest.mark.parametrize(
    ("arguments", "record"),
    [
        ({}, {"by": "median", "n_low": 10, "n_high": 10, "n_missing": 0}),
        ({"by": "quantile"}, {"by": "quantile", "quantiles": [1 / 3, 2 / 3], "n_low": 8, "n_high": 6, "n_missing": 6}),
        (
            {"by": "threshold", "threshold": 50},
            {"by": "threshold", "threshold": [50.0, 50.0], "n_low": 10, "n_high": 10, "n_missing": 0},
        ),
    ],
)
def test_what_was_done_is_recorded_and_can_be_written(ten, arguments, record, tmp_path):
    import mudata

    attn.pp.label(ten)
    attn.pp.label(ten, key_added="other", **arguments)
    labels = ten.uns["epiattn"]["labels"]
    assert labels["other"] == record
    assert labels["label"]["by"] == "median"
    assert ten.uns["epiattn"]["schema_version"] == "1"
    ten.write_h5mu(tmp_path / "data.h5mu")
    read = mudata.read_h5mu(tmp_path / "data.h5mu")
    assert read.uns["epiattn"]["labels"]["other"]["by"] == record["by"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"by": "mean"}, "by must be one of"),
        ({"by": "threshold"}, "needs threshold="),
        ({"threshold": 1.0}, "belongs to by='threshold', but by='median'"),
        ({"by": "threshold", "threshold": (3, 1)}, "low <= high"),
        ({"by": "threshold", "threshold": np.nan}, "finite"),
        ({"by": "threshold", "threshold": (1, 2, 3)}, "one finite number or"),
        ({"by": "threshold", "threshold": 1e6}, "No observation is 'high'"),
        ({"by": "threshold", "threshold": (-1e6, 1)}, "No observation is 'low'"),
        ({"by": "quantile", "quantiles": (0.8, 0.2)}, "increasing"),
        ({"by": "quantile", "quantiles": (0.0, 0.5)}, "increasing"),
        ({"by": "quantile", "quantiles": (0.5,)}, "two increasing"),
    ],
)
def test_what_makes_no_sense_is_refused(mdata, arguments, message):
    del mdata.obs["label"]
    with pytest.raises(ValueError, match=message):
        attn.pp.label(mdata, **arguments)
    assert "label" not in mdata.obs


def test_ties_at_the_median_are_reported(mdata, log):
    mdata["rna"].X[:130, 0] = 0
    attn.pp.label(mdata)
    assert "of the genes of cell_type_0 are above the median" in log.text


def test_a_cell_type_without_a_class_is_named(ten, log):
    ten["rna"].X[:10] = 1.0
    attn.pp.label(ten, by="quantile")
    assert "No gene of cell_type_0 is 'high'" in log.text
    assert "cell_type_1" not in log.text


def test_a_cell_type_without_expression_gets_no_label_and_no_warning(ten, log):
    ten["rna"].X[:10] = np.nan
    attn.pp.label(ten, by="quantile")
    assert ten.obs["label"].isna().to_numpy()[:10].all()
    assert not log.records


def test_missing_cell_types_are_refused(mdata):
    mdata.obs["cell_type"] = mdata.obs["cell_type"].where(mdata.obs["gene_id"] != "gene_00000")
    with pytest.raises(ValueError, match="missing for 2 observations, such as.*gene_00000@cell_type_0"):
        attn.pp.label(mdata)

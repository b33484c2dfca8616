"""One model for each cell type, as in Kang et al. 2020."""

from __future__ import annotations

import mudata
import numpy as np
import pytest

import epiattn as attn
from epiattn._compat import take

QUICK = {"max_epochs": 2, "batch_size": 128}
NAMES = ["liver/left", "brain"]


@pytest.fixture(scope="module")
def data():
    return attn.datasets.simulate(n_genes=150, cell_types=NAMES, max_cpgs=12, n_tfs=20, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def fitted(data, folder):
    return attn.tl.fit(data.copy(), per="cell_type", model_dir=folder, **QUICK)


@pytest.mark.parametrize("name", NAMES)
def test_each_model_is_that_of_its_cell_type_alone(data, fitted, name):
    rows = np.flatnonzero(fitted.obs["cell_type"] == name)
    alone = take(data, rows)
    alone.obs["split"] = fitted.obs["split"].to_numpy()[rows]
    attn.tl.fit(alone, **QUICK)
    np.testing.assert_array_equal(fitted.obsm["X_attn"][rows], alone.obsm["X_attn"])
    np.testing.assert_array_equal(fitted.obs["attn_score"].to_numpy()[rows], alone.obs["attn_score"])
    for modality in ("histone", "methylation"):
        one, other = (mdata[modality].layers["attn_attention"] for mdata in (fitted, alone))
        np.testing.assert_array_equal(one[rows], other)
    assert (fitted["tf"].layers["attn_attention"][rows] != alone["tf"].layers["attn_attention"]).nnz == 0
    assert list(fitted["tf"].obs["attn_unbound"].iloc[rows]) == list(alone["tf"].obs["attn_unbound"])


def test_observations_may_be_in_any_order(data, fitted):
    order = np.random.default_rng(0).permutation(data.n_obs)
    mixed = take(data, order)
    mixed.obs["split"] = fitted.obs["split"].to_numpy()[order]
    attn.tl.fit(mixed, per="cell_type", **QUICK)
    assert mixed.obs["attn_score"].notna().all()
    within = mixed.obs.groupby("cell_type", observed=True)["attn_score"].nunique()
    assert (within > 1).all()
    table = mixed.uns["attn"]["metrics_by_cell_type"].set_index(["cell_type", "part"])
    for (cell_type, part), values in table.iterrows():
        rows = (mixed.obs["cell_type"] == cell_type) & (mixed.obs["split"] == part)
        high = (mixed.obs["label"][rows] == "high").to_numpy(dtype=float)
        assert values["auc"] == pytest.approx(attn.metrics.roc_auc(high, mixed.obs["attn_score"][rows].to_numpy()))


def test_metrics_are_means_over_the_cell_types_never_of_pooled_scores(fitted):
    table = fitted.uns["attn"]["metrics_by_cell_type"]
    for part, values in fitted.uns["attn"]["metrics"].items():
        rows = table[table["part"] == part]
        assert values["auc"] == pytest.approx(rows["auc"].mean())
        assert values["n_obs"] == rows["n_obs"].sum()


def test_one_model_reports_its_metrics_by_cell_type_too(data):
    mdata = attn.tl.fit(data.copy(), **QUICK)
    table = mdata.uns["attn"]["metrics_by_cell_type"]
    assert list(table["cell_type"].unique()) == NAMES
    rows = (mdata.obs["cell_type"] == "brain") & (mdata.obs["split"] == "test")
    high = (mdata.obs["label"][rows] == "high").to_numpy(dtype=float)
    expected = attn.metrics.roc_auc(high, mdata.obs["attn_score"][rows].to_numpy())
    assert table.set_index(["cell_type", "part"]).loc[("brain", "test"), "auc"] == pytest.approx(expected)


def test_the_history_holds_every_training(fitted):
    history = fitted.uns["attn"]["history"]
    assert list(history["cell_type"]) == [NAMES[0]] * 2 + [NAMES[1]] * 2
    assert list(history["epoch"]) == [1, 2, 1, 2]
    assert history["kept"].reshape(2, 2).sum(1).tolist() == [1, 1]
    assert np.isfinite(history["loss_validation"]).all()
    kept = history["loss_validation"].reshape(2, 2)[history["kept"].reshape(2, 2)]
    np.testing.assert_array_equal(kept, history["loss_validation"].reshape(2, 2).min(1))


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_the_results_survive_a_file(fitted, tmp_path, suffix):
    path = tmp_path / f"data.{suffix}"
    getattr(fitted, f"write_{suffix}")(path)
    read = getattr(mudata, f"read_{suffix}")(path)
    table = read.uns["attn"]["metrics_by_cell_type"]
    np.testing.assert_array_equal(table["auc"], fitted.uns["attn"]["metrics_by_cell_type"]["auc"])
    assert read.uns["attn"]["per"] == "cell_type"


def test_saved_models_are_applied_to_their_cell_types(data, fitted, folder):
    assert sorted(path.name for path in folder.iterdir()) == ["brain", "cell_types.json", "liver%2Fleft"]
    again = attn.tl.embed(data.copy(), folder)
    np.testing.assert_array_equal(again.obsm["X_attn"], fitted.obsm["X_attn"])
    brain = take(data, np.flatnonzero(data.obs["cell_type"] == "brain"))
    rows = (fitted.obs["cell_type"] == "brain").to_numpy()
    np.testing.assert_array_equal(attn.tl.embed(brain, folder).obsm["X_attn"], fitted.obsm["X_attn"][rows])


def test_a_cell_type_without_a_model_is_an_error_that_says_so(folder):
    other = attn.datasets.simulate(n_genes=10, cell_types=["brain", "blood"], max_cpgs=12, n_tfs=20)
    with pytest.raises(ValueError, match=r"none for \['blood'\].*per=None"):
        attn.tl.embed(other, folder)
    assert "X_attn" not in other.obsm


def test_a_later_fit_in_the_same_folder_replaces_the_earlier(data, tmp_path):
    attn.tl.fit(data.copy(), per="cell_type", model_dir=tmp_path, **QUICK)
    joint = attn.tl.fit(data.copy(), model_dir=tmp_path, **QUICK)
    np.testing.assert_array_equal(attn.tl.embed(data.copy(), tmp_path).obsm["X_attn"], joint.obsm["X_attn"])
    attn.tl.fit(data.copy(), per="cell_type", model_dir=tmp_path, **QUICK)
    assert attn.tl.embed(data.copy(), tmp_path).uns["attn"]["per"] == "cell_type"


def test_an_error_names_the_cell_type(data):
    mdata = data.copy()
    mdata.obs.loc[mdata.obs["cell_type"] == "brain", "label"] = "low"
    with pytest.raises(ValueError, match="Cell type 'brain': .*two classes are needed"):
        attn.tl.fit(mdata, per="cell_type", **QUICK)
    assert "X_attn" not in mdata.obsm


def test_the_cell_type_is_needed_for_every_observation(data):
    mdata = data.copy()
    mdata.obs["cell_type"] = mdata.obs["cell_type"].astype(object)
    mdata.obs.iloc[3, mdata.obs.columns.get_loc("cell_type")] = None
    with pytest.raises(ValueError, match=r"missing for 1 observations, such as 'gene_00003@"):
        attn.tl.fit(mdata, per="cell_type", **QUICK)
    del mdata.obs["cell_type"]
    with pytest.raises(ValueError, match="needs obs\\['cell_type'\\]"):
        attn.tl.fit(mdata, per="cell_type", **QUICK)
    with pytest.raises(ValueError, match="per must be one of"):
        attn.tl.fit(mdata, per="tissue", **QUICK)


def test_the_plot_of_the_history_has_a_line_for_each(fitted):
    import matplotlib.pyplot as plt

    figure = attn.pl.history(fitted)
    history = fitted.uns["attn"]["history"]
    lines = figure.axes[0].get_lines()
    thin = [line.get_ydata() for line in lines if line.get_linewidth() < 1]
    assert len(thin) == 4
    assert any(np.array_equal(line, history["loss_validation"][2:]) for line in thin)
    mean = next(line for line in lines if line.get_label() == "validation, mean")
    np.testing.assert_allclose(mean.get_ydata(), history["loss_validation"].reshape(2, 2).mean(0))
    plt.close(figure)

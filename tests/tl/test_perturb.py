"""Effects of perturbations: known answers, ensembles, interactions, tables, and what must stay as it was."""

from __future__ import annotations

import mudata
import numpy as np
import pytest
import torch
from scipy.stats import t as student

import epiattn as attn
from epiattn.tl import _trained

NO_MARK = attn.tl.ScaleSignal("H3K4me3", 0)
KNOCKED = attn.tl.KnockOut("TF003")


@pytest.fixture(scope="module")
def toy(simulated, with_toy):
    return with_toy(simulated, product=0.5)[0]


@pytest.fixture(scope="module")
def ensemble(simulated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return attn.tl.fit(simulated, max_epochs=1, n_models=3, model_dir=folder, copy=True)


@pytest.fixture(scope="module")
def perturbed(ensemble):
    perturbations = {"no mark": NO_MARK, "both": [NO_MARK, KNOCKED]}
    return attn.tl.perturb(ensemble, perturbations, interaction=True, copy=True)


def dense(mdata, modality, channel):
    values = mdata[modality].layers[channel]
    return np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=float)


def test_effects_of_a_weighted_sum_are_known(simulated, with_toy):
    mdata, network = with_toy(simulated)
    marks = mdata.uns["attn"]["channels"]["histone"]
    perturbations = {
        "no mark": NO_MARK,
        "twice": attn.tl.ScaleSignal("H3K4me3", 2),
        "methylated": attn.tl.Methylate(),
        "knocked out": KNOCKED,
    }
    mdata = attn.tl.perturb(mdata, perturbations)
    weight = network.weight[marks.index("H3K4me3")].numpy()
    of_mark = dense(mdata, "histone", "H3K4me3") @ weight
    n_cpg = mdata["methylation"].obs["n_cpg"].to_numpy()
    beta = dense(mdata, "methylation", "beta") * (np.arange(mdata["methylation"].n_vars) < n_cpg[:, None])
    channels = mdata.uns["attn"]["channels"]["tf"]
    column = list(mdata["tf"].var_names).index("TF003")
    of_tf = sum(dense(mdata, "tf", channel)[:, column] for channel in channels)
    expected = {"no mark": -of_mark, "twice": of_mark, "methylated": -(n_cpg - beta.sum(1)), "knocked out": -of_tf}
    for name, effect in expected.items():
        assert np.abs(effect).max() > 0.1
        np.testing.assert_allclose(mdata.obsm["attn_perturbation"][name], effect, rtol=1e-4, atol=1e-4)


def test_the_interaction_of_a_product_is_known(toy):
    both = [NO_MARK, attn.tl.Methylate()]
    mdata = attn.tl.perturb(toy, {"both": both, "apart": [NO_MARK, KNOCKED]}, interaction=True, copy=True)
    effect = mdata.obsm["attn_perturbation"]
    assert list(effect) == [
        "both", "both: H3K4me3 × 0", "both: CpGs methylated", "both: interaction",
        "apart", "apart: H3K4me3 × 0", "apart: TF003 knocked out", "apart: interaction",
    ]  # fmt: skip
    trained = _trained.Trained(mdata, "attn")
    sums = [trained.parts[0][1][0].module.network.sums(batch) for _, batch in trained.parts[0][1][0].batches()]
    place = mdata.uns["attn"]["channels"]["histone"].index("H3K4me3")
    weight = trained.parts[0][1][0].module.network.weight[place].numpy()
    of_histone = -(dense(mdata, "histone", "H3K4me3") @ weight)
    n_cpg = mdata["methylation"].obs["n_cpg"].to_numpy()
    of_methylation = -n_cpg - torch.cat([each["methylation"] for each in sums]).numpy()
    np.testing.assert_allclose(effect["both: interaction"], 0.5 * of_histone * of_methylation, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(effect["apart: interaction"], 0, atol=1e-4)
    np.testing.assert_allclose(
        effect["both"], effect.iloc[:, 1:4].sum(axis=1), rtol=1e-4, atol=1e-4
    )  # the parts sum to the whole
    assert list(mdata.uns["attn_perturbation"]["perturbations"]["kind"][:4]) == [
        "given",
        "single",
        "single",
        "interaction",
    ]


def test_edits_that_undo_each_other_interact(toy):
    back = [attn.tl.SwapMarks("H3K4me3", "H3K27me3"), attn.tl.SwapMarks("H3K27me3", "H3K4me3")]
    mdata = attn.tl.perturb(toy, {"back": back}, interaction=True, copy=True)
    together, *alone, interaction = mdata.obsm["attn_perturbation"].to_numpy().T
    np.testing.assert_allclose(together, 0, atol=1e-4)
    assert np.abs(alone).max() > 0.1
    np.testing.assert_allclose(interaction, together - np.sum(alone, axis=0), atol=1e-4)
    assert mdata.obsm["attn_perturbation_changed"]["back: interaction"].all()


def test_an_ensemble_has_a_mean_and_a_standard_deviation(ensemble, perturbed):
    members = _trained.find_models(ensemble, "attn")[""].members.values()
    changed = mudata.MuData({name: adata.copy() for name, adata in ensemble.mod.items()})
    changed.obs = ensemble.obs.copy()
    changed["histone"].layers["H3K4me3"] = np.zeros_like(changed["histone"].layers["H3K4me3"])
    after = np.array([member.predict(changed.copy()) for member in members], dtype=float)
    before = np.array([member.predict(ensemble.copy()) for member in members], dtype=float)
    log_odds = np.log(after / (1 - after)) - np.log(before / (1 - before))
    obsm = perturbed.obsm
    np.testing.assert_allclose(obsm["attn_perturbation"]["no mark"], log_odds.mean(0), atol=1e-4)
    np.testing.assert_allclose(obsm["attn_perturbation_sd"]["no mark"], log_odds.std(0, ddof=1), atol=1e-4)
    spread = (after - before).std(0, ddof=1)
    np.testing.assert_allclose(obsm["attn_perturbation_probability_sd"]["no mark"], spread, atol=1e-5)


def test_the_probability_is_that_of_the_run(ensemble, perturbed):
    trained = _trained.Trained(ensemble, "attn")
    rows = np.arange(ensemble.n_obs)
    np.testing.assert_allclose(trained.score(trained.output(), rows), ensemble.obs["attn_score"], atol=1e-6)
    changed = ensemble.copy()
    changed["histone"].layers["H3K4me3"] = np.zeros_like(changed["histone"].layers["H3K4me3"])
    of_all = trained.ensembles[0]
    assert of_all.temperature != 1
    effect = of_all.run(changed).prediction.astype(float) - ensemble.obs["attn_score"]
    np.testing.assert_allclose(perturbed.obsm["attn_perturbation_probability"]["no mark"], effect, atol=1e-5)


def test_what_is_not_changed_has_no_effect_and_says_so(perturbed):
    bound = dense(perturbed, "tf", "binding")[:, list(perturbed["tf"].var_names).index("TF003")] != 0
    name = "both: TF003 knocked out"
    np.testing.assert_array_equal(perturbed.obsm["attn_perturbation_changed"][name], bound)
    effect = perturbed.obsm["attn_perturbation"][name].to_numpy()
    assert not effect[~bound].any()
    assert effect[bound].all()


def test_a_few_genes_only(ensemble, perturbed):
    genes = ["gene_00003", "gene_00007@cell_type_1"]
    mdata = attn.tl.perturb(ensemble, {"no mark": NO_MARK}, genes=genes, copy=True)
    effect = mdata.obsm["attn_perturbation"]["no mark"]
    some = effect.dropna().index
    assert list(some) == ["gene_00003@cell_type_0", "gene_00003@cell_type_1", "gene_00007@cell_type_1"]
    np.testing.assert_allclose(effect[some], perturbed.obsm["attn_perturbation"]["no mark"][some], atol=1e-5)
    assert mdata.obsm["attn_perturbation_changed"]["no mark"].sum() == 3


def test_expression_is_perturbed_in_its_units(simulated):
    mdata = attn.tl.fit(simulated, target="expression", max_epochs=1, copy=True)
    mdata = attn.tl.perturb(mdata, NO_MARK)
    assert [name for name in mdata.obsm if "perturbation" in name] == [
        "attn_perturbation", "attn_perturbation_changed"
    ]  # fmt: skip
    changed = mdata.copy()
    changed["histone"].layers["H3K4me3"] = np.zeros_like(changed["histone"].layers["H3K4me3"])
    model = _trained.find_models(mdata, "attn")[""].first
    effect = model.predict(changed) - mdata.obs["attn_score"]
    np.testing.assert_allclose(mdata.obsm["attn_perturbation"]["H3K4me3 × 0"], effect, atol=1e-5)
    assert "probability" not in attn.get.perturbation(mdata)


def test_histone_only_anndata_and_the_published_model(simulated):
    adata = simulated["histone"].copy()
    adata.obs = simulated.obs.copy()
    adata = attn.tl.perturb(attn.tl.fit(adata, model="hm_crnn", max_epochs=1), {"a": NO_MARK})
    assert adata.obsm["attn_perturbation"]["a"].notna().all()
    assert len(attn.get.perturbation(adata, groupby="cell_type")) == 2


def test_model_and_data_stay_as_they_were(ensemble):
    members = _trained.find_models(ensemble, "attn")[""].members.values()
    modules = [member.module for member in members]
    modules[0].train()
    weights = [{name: value.clone() for name, value in module.state_dict().items()} for module in modules]
    layers = {name: dense(ensemble, "histone", name) for name in ensemble.uns["attn"]["channels"]["histone"]}
    mdata = attn.tl.perturb(ensemble, {"a": [NO_MARK, KNOCKED, attn.tl.Methylate()]}, copy=True)
    assert modules[0].training
    for module, before in zip(modules, weights, strict=True):
        assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    for name, before in layers.items():
        np.testing.assert_array_equal(dense(mdata, "histone", name), before)
    modules[0].eval()


def test_results_survive_writing_and_replace_older_ones(perturbed, tmp_path):
    perturbed.write_h5mu(tmp_path / "a.h5mu")
    perturbed.write_zarr(tmp_path / "a.zarr")
    read = mudata.read_h5mu(tmp_path / "a.h5mu")
    table = attn.get.perturbation(perturbed)
    np.testing.assert_allclose(attn.get.perturbation(read)["effect"], table["effect"])
    assert list(attn.get.perturbation(read)["perturbation"]) == list(table["perturbation"])
    again = attn.tl.perturb(perturbed, {"other": NO_MARK}, copy=True)
    assert list(again.obsm["attn_perturbation"]) == ["other"]


def test_the_table_is_a_mean_over_genes_with_a_t_interval(perturbed):
    table = attn.get.perturbation(perturbed).set_index("perturbation")
    effect = perturbed.obsm["attn_perturbation"]["no mark"].to_numpy(dtype=float)
    gene = perturbed.obs["gene_id"].astype(str).to_numpy()
    means = np.array([effect[gene == name].mean() for name in np.unique(gene)])
    half = student.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))
    row = table.loc["no mark"]
    np.testing.assert_allclose(
        row[["effect", "effect_low", "effect_high"]].astype(float),
        [means.mean(), means.mean() - half, means.mean() + half],
    )
    assert (row["n_obs"], row["n_genes"]) == (400, 200)
    np.testing.assert_allclose(row["effect_sd"], perturbed.obsm["attn_perturbation_sd"]["no mark"].mean(), rtol=1e-5)


def test_tables_by_group_and_by_observation(perturbed):
    groups = attn.get.perturbation(perturbed, groupby="cell_type", changed_only=True)
    rows = attn.get.perturbation(perturbed, groupby="cell_type", changed_only=True, level="observations")
    assert rows["changed"].all()
    for (name, group), part in rows.groupby(["perturbation", "group"]):
        row = groups[(groups["perturbation"] == name) & (groups["group"] == group)].iloc[0]
        assert row["n_obs"] == row["n_changed"] == len(part)
        assert row["effect"] == pytest.approx(part["effect"].mean(), rel=1e-5)
    whole = attn.get.perturbation(perturbed, level="observations")
    assert len(whole) == 5 * 400
    assert set(whole["group"]) == {"all"}


def test_nothing_changed_is_no_mean(toy):
    mdata = attn.tl.perturb(toy, {"a": attn.tl.ScaleSignal("H3K4me3", 1)}, copy=True)
    row = attn.get.perturbation(mdata, changed_only=True).iloc[0]
    assert row["n_obs"] == row["n_changed"] == 0
    assert np.isnan(row["effect"])
    assert attn.get.perturbation(mdata)["effect"].iloc[0] == 0


def test_what_cannot_be_done_is_said(mdata, toy):
    with pytest.raises(ValueError, match=r"No fit under key 'attn'"):
        attn.tl.perturb(mdata, NO_MARK)
    with pytest.raises(TypeError, match=r"must be an edit, such as .*, or a dictionary of edits by name, not \[\]"):
        attn.tl.perturb(toy, [], copy=True)
    with pytest.raises(TypeError, match=r"'a' must be one or several edits, not 'H3K4me3'. Edits are:\nset_signal"):
        attn.tl.perturb(toy, {"a": "H3K4me3"}, copy=True)
    with pytest.raises(TypeError, match=r"'a' must be one or several edits, not \[\]"):
        attn.tl.perturb(toy, {"a": []}, copy=True)
    with pytest.raises(ValueError, match=r"Names of perturbations must be non-empty text without '/', not 'a/b'"):
        attn.tl.perturb(toy, {"a/b": NO_MARK}, copy=True)
    with pytest.raises(ValueError, match=r"'a' makes the same edit twice"):
        attn.tl.perturb(toy, {"a": [NO_MARK, NO_MARK]}, interaction=True, copy=True)
    with pytest.raises(ValueError, match=r"Two perturbations would be called 'a: interaction'"):
        attn.tl.perturb(toy, {"a": [NO_MARK, KNOCKED], "a: interaction": NO_MARK}, interaction=True, copy=True)
    with pytest.raises(ValueError, match=r"Unknown genes \['nobody'\]"):
        attn.tl.perturb(toy, NO_MARK, genes=["nobody"], copy=True)
    taken = toy.copy()
    taken.obsm["attn_perturbation_changed"] = np.zeros((taken.n_obs, 1))
    with pytest.raises(ValueError, match=r"would overwrite \['obsm/attn_perturbation_changed'\]"):
        attn.tl.perturb(taken, NO_MARK)
    with pytest.raises(ValueError, match=r"No result of tl\.perturb"):
        attn.get.perturbation(toy)
    done = attn.tl.perturb(toy, NO_MARK, copy=True)
    with pytest.raises(ValueError, match=r"obs\['nothing'\] is missing"):
        attn.get.perturbation(done, groupby="nothing")
    del done.obsm["attn_perturbation"]
    with pytest.raises(ValueError, match=r"obsm lacks \['attn_perturbation'\]"):
        attn.get.perturbation(done)


def test_models_without_methylation_or_tfs_say_so(simulated):
    mdata = attn.tl.fit(simulated, channels={"histone": ["H3K4me3", "H3K27me3"]}, max_epochs=1, copy=True)
    for edit, what in {attn.tl.Methylate(): "methylation", KNOCKED: "TFs"}.items():
        with pytest.raises(ValueError, match=rf"The model reads no {what}: its modalities are \['histone'\]"):
            attn.tl.perturb(mdata, edit, copy=True)

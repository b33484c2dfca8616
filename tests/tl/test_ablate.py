"""Ablation: Shapley's axioms, known answers, accuracy."""

from __future__ import annotations

from itertools import permutations, product

import mudata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import epiattn as attn
from epiattn.tl import _trained
from epiattn.tl._ablate import shapley_values

MODALITIES = ["histone", "methylation", "tf"]


@pytest.fixture(scope="module")
def ensemble(simulated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return attn.tl.fit(simulated, max_epochs=2, n_models=2, model_dir=folder, copy=True)


@pytest.fixture(scope="module")
def ablated(ensemble):
    return attn.tl.ablate(ensemble, copy=True)


def coalitions(n):
    return list(product((False, True), repeat=n))


@given(st.integers(1, 4).flatmap(lambda n: arrays(float, (2**n, 3), elements=st.floats(-5, 5))))
@settings(max_examples=40, deadline=None)
def test_values_are_the_mean_over_all_orders_and_sum_to_the_difference(values):
    n = int(np.log2(len(values)))
    outputs = dict(zip(coalitions(n), values, strict=True))
    found = shapley_values(outputs)
    for player in range(n):
        gains = []
        for order in permutations(range(n)):
            before = order[: order.index(player)]
            inside = tuple(other in before for other in range(n))
            with_it = tuple(other in before or other == player for other in range(n))
            gains.append(outputs[with_it] - outputs[inside])
        np.testing.assert_allclose(found[player], np.mean(gains, axis=0), atol=1e-9)
    np.testing.assert_allclose(np.sum(found, axis=0), values[-1] - values[0], atol=1e-9)


@given(arrays(float, 8, elements=st.floats(-5, 5)))
@settings(max_examples=40, deadline=None)
def test_equal_players_get_the_same_and_an_idle_one_nothing(values):
    of = dict(zip(coalitions(3), values, strict=True))
    alike = {(a, b, c): np.array(of[(a + b) > 0, (a + b) > 1, c]) for a, b, c in coalitions(3)}
    first, second, _ = shapley_values(alike)
    assert first == pytest.approx(second, abs=1e-9)
    idle = {(a, b, c): np.array(of[a, b, False]) for a, b, c in coalitions(3)}
    assert shapley_values(idle)[2] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("product_of", [0.0, 0.5])
def test_shapley_values_of_the_toy_are_known(simulated, with_toy, product_of):
    mdata, network = with_toy(simulated, product=product_of)
    mdata = attn.tl.ablate(mdata)
    (_, members), *_ = _trained.Trained(mdata, "attn").parts
    parts, nothing = {name: [] for name in MODALITIES}, {name: [] for name in MODALITIES}
    for _, batch in members[0].batches():
        for found, sums in ((parts, network.sums(batch)), (nothing, network.sums(members[0].baseline(batch)))):
            for name in MODALITIES:
                found[name].append(sums[name].numpy())
    here, there = ({name: np.concatenate(each) for name, each in found.items()} for found in (parts, nothing))
    assert not there["histone"].any()
    assert not there["tf"].any()
    shapley = mdata.obsm["attn_ablation_shapley"]
    # A product's change is shared equally, once what each factor does to the mean of the other is taken out.
    h, m, m0 = here["histone"], here["methylation"], there["methylation"]
    expected = {
        "histone": h + product_of * h * (m + m0) / 2,
        "methylation": (m - m0) * (1 + product_of * h / 2),
        "tf": here["tf"],
    }
    for name in MODALITIES:
        np.testing.assert_allclose(shapley[name], expected[name], rtol=1e-4, atol=1e-3)
    effect = mdata.obsm["attn_ablation"]
    np.testing.assert_allclose(effect["tf"], -here["tf"], rtol=1e-4, atol=1e-3)
    marks = mdata.uns["attn"]["channels"]["histone"]
    signal = np.asarray(mdata["histone"].layers["H3K4me3"], dtype=float)
    without = -(signal @ network.weight[marks.index("H3K4me3")].numpy())
    np.testing.assert_allclose(effect["H3K4me3"], without * (1 + product_of * m), rtol=1e-3, atol=1e-3)


def test_shapley_values_sum_to_the_change_of_the_output(ablated):
    trained = _trained.Trained(ablated, "attn")
    found = trained.attribute(method="gradient_x_input")
    total = ablated.obsm["attn_ablation_shapley"].sum(axis=1)
    assert list(ablated.obsm["attn_ablation_shapley"]) == MODALITIES
    np.testing.assert_allclose(total, found.output.astype(float) - found.baseline, atol=1e-5)


def test_a_modality_that_was_not_measured_gets_nothing(ablated):
    unmeasured = (ablated["methylation"].obs["n_cpg"] == 0).to_numpy()
    assert unmeasured.any()
    np.testing.assert_allclose(ablated.obsm["attn_ablation_shapley"]["methylation"][unmeasured], 0, atol=1e-6)
    np.testing.assert_allclose(ablated.obsm["attn_ablation"]["methylation"][unmeasured], 0, atol=1e-6)
    assert (ablated.obsm["attn_ablation_shapley"]["methylation"][~unmeasured].abs() > 1e-6).all()


def test_without_a_mark_is_the_output_of_data_without_it(ensemble, ablated):
    members = _trained.find_models(ensemble, "attn")[""].members.values()
    changed = mudata.MuData({name: adata.copy() for name, adata in ensemble.mod.items()})
    changed.obs = ensemble.obs.copy()
    changed["histone"].layers["H3K27ac"] = np.zeros_like(changed["histone"].layers["H3K27ac"])
    after, before = (
        np.array([member.predict(data.copy()) for member in members], dtype=float) for data in (changed, ensemble)
    )
    log_odds = np.log(after / (1 - after)) - np.log(before / (1 - before))
    np.testing.assert_allclose(ablated.obsm["attn_ablation"]["H3K27ac"], log_odds.mean(0), atol=1e-4)
    np.testing.assert_allclose(ablated.obsm["attn_ablation_sd"]["H3K27ac"], log_odds.std(0, ddof=1), atol=1e-4)
    assert (ablated.obsm["attn_ablation_shapley_sd"]["histone"] > 0).all()


def test_accuracy_is_that_of_the_test_part(ablated):
    table = attn.get.ablation(ablated, level="accuracy").set_index("ablated")
    marks = ablated.uns["attn"]["channels"]["histone"]
    assert list(table.index) == [*MODALITIES, *marks]
    assert list(table["kind"]) == ["modality"] * 3 + ["mark"] * len(marks)
    test = (ablated.obs["split"] == "test").to_numpy()
    high = (ablated.obs["label"] == "high").to_numpy()[test]
    score = ablated.obs["attn_score"].to_numpy()[test]
    np.testing.assert_allclose(table["full"], attn.metrics.roc_auc(high, score))
    assert set(table["n_obs"]) == {int(test.sum())}
    trained = _trained.Trained(ablated, "attn")

    def without(batch, _):
        return {**batch, "histone": batch["histone"]._replace(values=batch["histone"].values * 0)}

    rows = np.arange(ablated.n_obs)
    left = trained.score(trained.output(change=without), rows)[test]
    assert table.loc["histone", "without"] == pytest.approx(attn.metrics.roc_auc(high, left))
    assert table.loc["histone", "change"] < 0
    assert ((table["low"] <= table["change"]) & (table["change"] <= table["high"])).all()


def test_accuracy_of_what_has_no_split_or_no_label(ensemble, simulated, tmp_path):
    attn.tl.fit(simulated, max_epochs=1, model_dir=tmp_path, copy=True)
    mdata = attn.tl.ablate(attn.tl.embed(simulated, tmp_path, copy=True))
    table = attn.get.ablation(mdata, level="accuracy")
    assert set(table["part"]) == {"all"}
    assert set(table["n_obs"]) == {400}
    mdata.obs["part"] = np.where(np.arange(400) < 100, "test", "train")
    table = attn.get.ablation(attn.tl.ablate(mdata, split_key="part"), level="accuracy")
    assert set(table["n_obs"]) == {100}
    unlabelled = simulated.copy()
    unlabelled.obs = unlabelled.obs.drop(columns="label")
    mdata = attn.tl.ablate(attn.tl.embed(unlabelled, tmp_path))
    table = attn.get.ablation(mdata, level="accuracy")
    assert table["change"].isna().all()
    assert set(table["n_obs"]) == {0}


def test_models_of_cell_types_are_never_ranked_together(simulated):
    mdata = attn.tl.ablate(attn.tl.fit(simulated, per="cell_type", max_epochs=1, copy=True))
    table = attn.get.ablation(mdata, level="accuracy")
    test, high = (mdata.obs["split"] == "test").to_numpy(), (mdata.obs["label"] == "high").to_numpy()
    aucs = [
        attn.metrics.roc_auc(high[rows], mdata.obs["attn_score"].to_numpy()[rows])
        for name in ("cell_type_0", "cell_type_1")
        for rows in [test & (mdata.obs["cell_type"] == name).to_numpy()]
    ]
    np.testing.assert_allclose(table["full"], np.mean(aucs))


def test_a_model_that_learned_to_do_without_uses_what_it_learned(simulated):
    mdata = attn.tl.fit(simulated, modality_dropout=0.3, max_epochs=2, copy=True)
    learned = attn.tl.ablate(mdata, copy=True)
    assert learned.uns["attn_ablation"]["baseline"] == "missing"
    alone = mudata.MuData({name: adata.copy() for name, adata in mdata.mod.items() if name != "tf"})
    alone.obs = mdata.obs.copy()
    model = _trained.find_models(mdata, "attn")[""].first
    after, before = (model.predict(data).astype(float) for data in (alone, mdata.copy()))
    log_odds = np.log(after / (1 - after)) - np.log(before / (1 - before))
    np.testing.assert_allclose(learned.obsm["attn_ablation"]["tf"], log_odds, atol=1e-4)
    nothing = attn.tl.ablate(mdata, baseline="nothing", copy=True)
    assert np.abs(nothing.obsm["attn_ablation"]["tf"] - learned.obsm["attn_ablation"]["tf"]).max() > 1e-3


def test_one_modality_and_expression(simulated):
    mdata = attn.tl.fit(simulated, model="hm_crnn", target="expression", max_epochs=1, copy=True)
    mdata = attn.tl.ablate(mdata, genes=["gene_00003"])
    shapley, effect = mdata.obsm["attn_ablation_shapley"], mdata.obsm["attn_ablation"]
    assert shapley["histone"].notna().sum() == 2
    np.testing.assert_allclose(shapley["histone"], -effect["histone"], atol=1e-6)


def test_tables_and_writing(ablated, tmp_path):
    ablated.write_h5mu(tmp_path / "a.h5mu")
    ablated.write_zarr(tmp_path / "a.zarr")
    read = mudata.read_h5mu(tmp_path / "a.h5mu")
    table = attn.get.ablation(read, groupby="label")
    for group in ("low", "high"):
        rows = table[(table["group"] == group) & (table["quantity"] == "share")]
        shapley = ablated.obsm["attn_ablation_shapley"][(ablated.obs["label"] == group).to_numpy()].abs().mean()
        np.testing.assert_allclose(rows["mean"], shapley / shapley.sum(), rtol=1e-5)
    effects = table[(table["quantity"] == "effect") & (table["group"] == "high") & (table["ablated"] == "H3K27ac")]
    mean = ablated.obsm["attn_ablation"]["H3K27ac"][(ablated.obs["label"] == "high").to_numpy()]
    genes = mean.groupby(ablated.obs["gene_id"].astype(str)[mean.index].to_numpy()).mean()
    assert effects["mean"].iloc[0] == pytest.approx(genes.mean(), rel=1e-5)
    assert attn.get.ablation(read, level="accuracy").shape == attn.get.ablation(ablated, level="accuracy").shape


def test_what_cannot_be_done_is_said(mdata, ensemble):
    with pytest.raises(ValueError, match=r"No fit under key 'attn'"):
        attn.tl.ablate(mdata)
    with pytest.raises(ValueError, match=r"baseline must be one of \['nothing', 'missing'\], not 'zero'"):
        attn.tl.ablate(ensemble, baseline="zero", copy=True)
    with pytest.raises(ValueError, match=r"needs a model that was trained with modality_dropout > 0"):
        attn.tl.ablate(ensemble, baseline="missing", copy=True)
    with pytest.raises(ValueError, match=r"No result of tl\.ablate"):
        attn.get.ablation(ensemble)
    done = attn.tl.ablate(ensemble, genes=["gene_00003"], copy=True)
    with pytest.raises(ValueError, match=r"level must be one of"):
        attn.get.ablation(done, level="observations")
    with pytest.raises(ValueError, match=r"split_key='nothing': there is no such column in obs"):
        attn.tl.ablate(ensemble, split_key="nothing", copy=True)
    taken = ensemble.copy()
    taken.obsm["attn_ablation_shapley"] = np.zeros((taken.n_obs, 1))
    with pytest.raises(ValueError, match=r"would overwrite \['obsm/attn_ablation_shapley'\]"):
        attn.tl.ablate(taken)

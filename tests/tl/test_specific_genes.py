"""Genes that are specific to a cell type in expression and regulation."""

from __future__ import annotations

import mudata
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

import epiattn as attn


@pytest.fixture(scope="module")
def found(explained_by_truth):
    return attn.tl.specific_genes(explained_by_truth, copy=True)


def truth_of(mdata, table, column):
    by_name = mdata.obs[column].copy()
    by_name.index = pd.MultiIndex.from_arrays([mdata.obs["cell_type"].astype(str), mdata.obs["gene_id"].astype(str)])
    return by_name.loc[pd.MultiIndex.from_frame(table[["group", "gene_id"]].astype(str))].to_numpy()


def test_the_table_holds_what_the_object_does(found):
    table = attn.get.specific_genes(found)
    assert len(table) == 4 * 300
    expression = found["rna"].X[:, 0]
    wide = pd.DataFrame({"gene": found.obs["gene_id"], "group": found.obs["cell_type"], "value": expression})
    wide = wide.pivot(index="gene", columns="group", values="value")
    one = table[table["group"] == "cell_type_1"].set_index("gene_id")
    wide = wide.loc[one.index.astype(str)]
    np.testing.assert_allclose(one["expression"], wide["cell_type_1"], rtol=1e-6)
    others = wide.drop(columns="cell_type_1")
    np.testing.assert_allclose(one["difference"], wide["cell_type_1"] - others.mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one["tau"], (1 - wide.div(wide.max(axis=1), axis=0)).sum(axis=1) / 3, rtol=1e-5)
    z = (wide["cell_type_1"] - wide.mean(axis=1)) / wide.std(axis=1)
    np.testing.assert_allclose(one["z"], z, rtol=1e-5, atol=1e-6)
    total = found.obsm["attn_attribution"].sum(axis=1)
    regulation = total[found.obs["cell_type"] == "cell_type_1"].to_numpy()
    ids = found.obs.loc[found.obs["cell_type"] == "cell_type_1", "gene_id"]
    np.testing.assert_allclose(one.loc[ids, "regulation"], regulation, rtol=1e-4, atol=1e-5)
    assert (one["gene_name"].astype(str) == one.index.astype(str).str.replace("gene_", "G")).all()
    assert one["rank"].is_monotonic_increasing


def test_features_sum_to_the_regulation_and_the_most_responsible_comes_first(found):
    genes = attn.get.specific_genes(found, group="cell_type_2")
    features = attn.get.specific_genes(found, level="features", group="cell_type_2")
    assert len(features) == 300 * 9
    by_gene = features.groupby("gene_id", observed=True, sort=False)
    np.testing.assert_allclose(by_gene["effect"].sum(), genes["difference_regulation"], rtol=1e-3, atol=1e-4)
    assert by_gene["effect"].apply(lambda effect: effect.is_monotonic_decreasing).all()
    first = by_gene.first().loc[genes["gene_id"].iloc[0]]
    assert genes["features"].iloc[0].startswith(f"{first['feature']} {first['effect']:+.2f}")
    assert first["share"] == pytest.approx(first["effect"] / genes["difference_regulation"].iloc[0], rel=1e-4)


def test_genes_that_are_planted_higher_come_first_and_alone(found):
    table = attn.get.specific_genes(found)
    higher = truth_of(found, table, "truth_difference") > 1  # before noise
    by_both = average_precision_score(higher, -table["rank"])
    by_expression = average_precision_score(higher, table["difference"])
    assert by_both > by_expression > 3 * higher.mean()
    chosen = attn.get.specific_genes(found, fdr=0.1)
    assert len(chosen) > 10
    assert (truth_of(found, chosen, "truth_difference") > 0).mean() > 0.9


def test_the_planted_marks_are_responsible(found):
    table = attn.get.specific_genes(found, level="features")
    program = truth_of(found, table, "truth_program").astype(str)
    causes = {"promoter": {"H3K4me3", "H3K27ac"}, "enhancer": {"H3K4me1", "H3K27ac"}, "gene_body": {"H3K36me3"}}
    activates = ~table["feature"].isin(["H3K27me3", "methylation", "tf"]).to_numpy()  # others: repression that is gone
    rows = truth_of(found, table, "truth_specific") & np.isin(program, list(causes)) & activates
    first = table.assign(program=program)[rows].groupby(["group", "gene_id"], observed=True).first()
    right = [mark in causes[name] for mark, name in zip(first["feature"], first["program"], strict=True)]
    assert len(right) > 30
    assert np.mean(right) > 0.95


def test_names_that_mean_nothing_give_five_percent(explained):
    """Cell types exchanged in the regulation, gene by gene."""
    order = np.argsort(explained.obs["gene_id"], kind="stable").to_numpy().reshape(300, 4)
    shares = []
    for seed in range(5):
        source = np.empty(1200, int)
        source[order.ravel()] = np.random.default_rng(seed).permuted(order, axis=1).ravel()
        mdata = explained.copy()
        for name in ("histone", "methylation", "tf"):
            layers = mdata[name].layers
            for layer in (layer for layer in layers if layer is not None and layer.startswith("attn")):
                layers[layer] = layers[layer][source]
        table = attn.get.specific_genes(attn.tl.specific_genes(mdata))
        shares.append((table["pvals"] < 0.05).mean())
    assert 0.04 < np.mean(shares) < 0.06


def test_two_cell_types_have_differences_and_p_values_but_no_tau(explained, caplog, monkeypatch):
    two = explained[explained.obs["cell_type"].isin(["cell_type_0", "cell_type_1"])].copy()
    table = attn.get.specific_genes(attn.tl.specific_genes(two))
    monkeypatch.setattr("epiattn._logging.logger.propagate", True)
    assert attn.get.specific_genes(two, min_tau=0.5).empty
    assert "No row has a value in 'tau', so that none passes 0.5: two cell types have none." in caplog.text
    assert table[["tau", "z", "tau_score", "z_regulation"]].isna().all(axis=None)
    one, other = (
        table[table["group"] == name].set_index("gene_id").sort_index()
        for name in two.obs["cell_type"].cat.categories[:2]
    )
    np.testing.assert_allclose(one["difference"], -other["difference"])
    assert table["pvals_adj"].notna().all()


def test_without_expression_the_score_takes_its_place(explained, caplog):
    mdata = mudata.MuData({name: explained[name] for name in ("histone", "methylation", "tf")})
    mdata.obs, mdata.uns = explained.obs.copy(), dict(explained.uns)
    mdata.obsm["attn_attribution"] = explained.obsm["attn_attribution"]
    mdata = attn.tl.specific_genes(mdata)
    assert mdata.uns["attn_specific"]["params"]["expression"] == "score"
    table = attn.get.specific_genes(mdata)
    assert "expression" not in table
    assert table["pvals_adj"].isna().all()
    one = table[table["group"] == "cell_type_0"]
    expected = [(one["rank"] <= value).mean() for value in one["rank"]]
    np.testing.assert_allclose(one["pvals"], expected)


def test_expression_alone(explained):
    mdata = attn.tl.specific_genes(explained, key=None)
    table = attn.get.specific_genes(mdata, group="cell_type_3", min_tau=0.5)
    assert not {"regulation", "score", "features"} & set(table)
    assert (table["tau"] >= 0.5).all()
    assert table["difference"].is_monotonic_decreasing
    assert len(attn.get.specific_genes(mdata, level="features")) == 0


def test_genes_that_are_not_in_all_groups_are_left_out(explained):
    mdata = explained[1:].copy()  # the first gene of the first cell type
    mdata["rna"].X[5] = np.nan
    mdata = attn.tl.specific_genes(mdata)
    gone = {mdata.obs["gene_id"].iloc[5], explained.obs["gene_id"].iloc[0]}
    assert mdata.uns["attn_specific"]["n_tested"] == 298
    assert not gone & set(attn.get.specific_genes(mdata)["gene_id"].astype(str))


def test_lineages_are_means_of_their_cell_types(explained):
    lineage = explained.obs["cell_type"].map({"cell_type_0": "a", "cell_type_1": "a", "cell_type_2": "b"})
    explained.obs["lineage"] = lineage.astype(object)
    table = attn.get.specific_genes(attn.tl.specific_genes(explained, groupby="lineage"), group="a").set_index(
        "gene_id"
    )
    values = pd.Series(explained["rna"].X[:, 0], explained.obs["gene_id"])[(lineage == "a").to_numpy()]
    np.testing.assert_allclose(
        table["expression"], values.groupby(level=0).mean().loc[table.index.astype(str)], rtol=1e-5
    )


@pytest.mark.parametrize("suffix", ["h5mu", "zarr"])
def test_it_survives_writing(found, suffix, tmp_path):
    path, small = tmp_path / f"a.{suffix}", mudata.MuData({"rna": found["rna"]})
    small.uns = {name: found.uns[name] for name in ("attn", "attn_specific")}
    getattr(small, f"write_{suffix}")(path)
    read = getattr(mudata, f"read_{suffix}")(path)
    for level in ("genes", "features"):
        pd.testing.assert_frame_equal(
            attn.get.specific_genes(read, level=level, fdr=0.05),
            attn.get.specific_genes(found, level=level, fdr=0.05),
            check_dtype=False,
            check_categorical=False,
            check_column_type=False,
        )


def test_what_cannot_be_done_is_said(explained):
    with pytest.raises(ValueError, match="No fit under key 'other'"):
        attn.tl.specific_genes(explained, key="other")
    with pytest.raises(ValueError, match=r"No result of tl\.specific_genes"):
        attn.get.specific_genes(explained)
    with pytest.raises(ValueError, match=r"obs\['nothing'\] is missing"):
        attn.tl.specific_genes(explained, groupby="nothing")
    explained.obs["one"] = "a"
    with pytest.raises(ValueError, match=r"obs\['one'\] holds \['a'\] only"):
        attn.tl.specific_genes(explained, groupby="one")
    mdata = attn.tl.specific_genes(explained, copy=True)
    with pytest.raises(ValueError, match="group must be one of"):
        attn.get.specific_genes(mdata, group="liver")
    mdata.uns["attn"]["fingerprint"] = "another model"
    with pytest.raises(ValueError, match="which has been replaced"):
        attn.get.specific_genes(mdata)
    del explained.uns["attn_attribution"]
    with pytest.raises(ValueError, match=r"No result of tl\.attribute"):
        attn.tl.specific_genes(explained)


def test_with_a_trained_model(mdata):
    mdata = attn.tl.attribute(attn.tl.fit(mdata, max_epochs=1), n_steps=2)
    table = attn.get.specific_genes(attn.tl.specific_genes(mdata))
    assert len(table) == 400
    assert table["pvals"].between(0, 1).all()

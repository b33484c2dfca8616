"""Attention by group and by head."""

from __future__ import annotations

import mudata
import numpy as np
import pytest

import epiattn as attn


@pytest.fixture(scope="module")
def fitted(simulated):
    return attn.tl.fit(simulated, max_epochs=2, copy=True)


@pytest.fixture(scope="module")
def published(simulated):
    return attn.tl.fit(simulated, model="kang2020", max_epochs=1, copy=True)


def row_of(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    return table


def test_means_and_errors_equal_plain_ones(fitted):
    mdata = attn.tl.attention(fitted, groupby="cell_type", copy=True)
    member = (mdata.obs["cell_type"] == "cell_type_1").to_numpy()
    bins = row_of(attn.get.attention(mdata, modality="histone"), group="cell_type_1", channel="H3K27ac")
    layer = mdata["histone"].layers["attn_attention_H3K27ac"][member]
    np.testing.assert_allclose(bins["mean"], layer.mean(0), rtol=1e-5)
    np.testing.assert_allclose(bins["error"], layer.std(0, ddof=1) / np.sqrt(member.sum()), rtol=1e-4)
    np.testing.assert_array_equal(bins["start"], mdata["histone"].var["start"])
    tfs = row_of(attn.get.attention(mdata, modality="tf"), group="cell_type_1")
    weights = mdata["tf"].layers["attn_attention"][member].toarray()
    bound = mdata["tf"].layers["binding"][member].toarray() != 0
    np.testing.assert_array_equal(tfs["n_obs"], bound.sum(0))
    np.testing.assert_allclose(tfs["mean"], weights.sum(0) / bound.sum(0), rtol=1e-5)
    shares = row_of(attn.get.attention(mdata, modality="modalities"), group="cell_type_1")
    np.testing.assert_allclose(shares["mean"], mdata.obsm["attn_modality"][member].mean(), rtol=1e-5)


def test_cpgs_are_by_position_and_relative_to_uniform(fitted):
    mdata = attn.tl.attention(fitted, groupby=None, n_bins=4, copy=True)
    table = attn.get.attention(mdata, modality="methylation")
    adata = mdata["methylation"]
    expected = [[], [], [], []]
    for weights, position, n in zip(
        adata.layers["attn_attention"], adata.layers["position"], adata.obs["n_cpg"], strict=True
    ):
        place = np.minimum(np.floor((position[:n] + 1) * 2), 3)
        for i in range(4):
            if (place == i).any():
                expected[i].append(np.mean(weights[:n][place == i]) * n)
    np.testing.assert_allclose(table["mean"], [np.mean(each) for each in expected], rtol=1e-5)
    np.testing.assert_array_equal(table["n_obs"], [len(each) for each in expected])
    window = adata.uns["window"]
    np.testing.assert_allclose(table["start"], np.array([-1, -0.5, 0, 0.5]) * window)


@pytest.mark.parametrize(("which", "n_heads"), [("fitted", {"histone": 8}), ("published", {"modalities": 10})])
def test_the_mean_over_the_heads_is_the_attention(request, which, n_heads):
    fitted = request.getfixturevalue(which)
    mean = attn.get.attention(attn.tl.attention(fitted, groupby="label", copy=True))
    heads = attn.get.attention(attn.tl.attention(fitted, groupby="label", heads=True, copy=True))
    for modality, n in n_heads.items():
        assert heads.loc[heads["modality"] == modality, "head"].nunique() == n
    columns = ["modality", "group", "channel", "start"]
    over_heads = heads.groupby(columns, dropna=False, sort=False)["mean"].mean()
    expected = mean.groupby(columns, dropna=False, sort=False)["mean"].mean()
    both = over_heads.index.intersection(expected.index)
    assert len(both) == len(expected)
    np.testing.assert_allclose(over_heads[both], expected[both], rtol=1e-4, atol=1e-7)


def test_heads_of_an_ensemble_have_the_name_of_their_member(simulated):
    mdata = attn.tl.fit(simulated, max_epochs=1, n_models=2, n_queries=2, copy=True)
    mdata = attn.tl.attention(mdata, heads=True, groupby=None)
    assert list(attn.get.attention(mdata, modality="histone")["head"].unique()) == ["0.0", "0.1", "1.0", "1.1"]


def test_pairs_of_tfs(published, tmp_path):
    mdata = attn.tl.attention(published, pairs=True, groupby="cell_type", copy=True)
    pairs = mdata["tf"].varp["attn_attention"]
    np.testing.assert_allclose(pairs.sum(1), 1, rtol=1e-4)
    layer = np.asarray(mdata["tf"].layers["attn_attention"].toarray(), float)
    bound = mdata["tf"].layers["binding"].toarray() != 0
    received = layer + np.where(bound, 0, (mdata["tf"].obs["attn_unbound"].to_numpy() / (~bound).sum(1))[:, None])
    np.testing.assert_allclose(pairs.mean(0), received.mean(0), rtol=1e-4)
    member = (mdata.obs["cell_type"] == "cell_type_0").to_numpy()
    np.testing.assert_allclose(
        mdata["tf"].varp["attn_attention_cell_type_0"].mean(0), received[member].mean(0), rtol=1e-4
    )
    mdata.write_h5mu(tmp_path / "a.h5mu")
    read = mudata.read_h5mu(tmp_path / "a.h5mu")
    assert attn.get.attention(read).shape == attn.get.attention(mdata).shape


def test_a_group_s_name_may_hold_a_slash(published, tmp_path):
    mdata = published.copy()
    mdata.obs["tissue"] = np.where(mdata.obs["cell_type"] == "cell_type_0", "breast/mammary 50 %", "CD4+ lung")
    attn.tl.attention(mdata, pairs=True, groupby="tissue")
    assert "attn_attention_CD4+ lung" in mdata["tf"].varp
    mdata.write_h5mu(tmp_path / "a.h5mu")
    read = mudata.read_h5mu(tmp_path / "a.h5mu")
    assert attn.pl.tf_network(read, group="breast/mammary 50 %").get_title() == "breast/mammary 50 %"
    with pytest.raises(ValueError, match=r"the groups are \['CD4\+ lung', 'breast/mammary 50 %'\]"):
        attn.pl.tf_network(read, group="breast")


def test_what_cannot_be_done_is_said(mdata, fitted):
    with pytest.raises(ValueError, match=r"pairs=True needs self-attention over TFs: fit with model='kang2020'"):
        attn.tl.attention(fitted, pairs=True, copy=True)
    with pytest.raises(ValueError, match=r"obs\['nothing'\] is missing"):
        attn.tl.attention(fitted, groupby="nothing", copy=True)
    with pytest.raises(ValueError, match=r"No fit under key"):
        attn.tl.attention(mdata)
    with pytest.raises(ValueError, match=r"No result of tl\.attention in uns\['attn_attention'\]"):
        attn.get.attention(fitted)
    done = attn.tl.attention(fitted, copy=True)
    with pytest.raises(ValueError, match=r"modality must be one of \['histone', 'methylation', 'tf', 'modalities'\]"):
        attn.get.attention(done, modality="rna")
    with pytest.raises(ValueError, match=r"is about an earlier fit under key 'attn'"):
        attn.get.attention(attn.tl.fit(done, max_epochs=1, seed=9))

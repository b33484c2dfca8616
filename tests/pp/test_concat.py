"""Several cell types into one object."""

from __future__ import annotations

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import epiattn as attn
from epiattn._compat import layer_names, new_mudata
from epiattn._modalities import find_channels, record_written


def simulate(name, n_genes=20, marks=("H3K4me3", "DNase"), **sizes):
    sizes = {"max_cpgs": 6, "n_tfs": 8, **sizes}
    return attn.datasets.simulate(n_genes, [name], marks=list(marks), **sizes)


@pytest.fixture
def liver():
    return simulate("liver", marks=["H3K9ac", "H3K4me3"], seed=1)


@pytest.fixture
def brain():
    return simulate("brain", n_genes=15, marks=["H3K4me3", "DNase"], max_cpgs=9, n_tfs=10, seed=2)


@pytest.fixture
def log(caplog, monkeypatch):
    from epiattn._logging import logger

    monkeypatch.setattr(logger, "propagate", True)
    return caplog


def dense(values):
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def rows_of(mdata, name):
    return (mdata.obs["cell_type"] == name).to_numpy()


def assert_same(found, expected):
    """The same values by name: observations, columns and layers in any order."""
    assert set(found.mod) == set(expected.mod)
    assert set(found.obs_names) == set(expected.obs_names)
    columns = [name for name in expected.obs if ":" not in name]  # those that mudata 0.3 copies from modalities
    obs = [m.obs.loc[expected.obs_names, columns] for m in (found, expected)]
    pd.testing.assert_frame_equal(*obs, check_categorical=False, check_dtype=False)  # mudata 0.4 changes types itself
    for name, adata in expected.mod.items():
        other = found[name][expected.obs_names].copy()
        pd.testing.assert_frame_equal(other.var, adata.var)
        pd.testing.assert_frame_equal(other.obs, adata.obs)
        assert set(layer_names(other)) == set(layer_names(adata))
        for layer in layer_names(adata):
            values = adata.layers[layer]
            assert sparse.issparse(other.layers[layer]) == sparse.issparse(values)
            assert other.layers[layer].dtype == values.dtype
            np.testing.assert_array_equal(dense(other.layers[layer]), dense(values))
        assert (other.X is None) == (adata.X is None)
        if adata.X is not None:
            np.testing.assert_array_equal(other.X, adata.X)
    assert {name: sorted(c) for name, c in find_channels(found).items()} == {
        name: sorted(c) for name, c in find_channels(expected).items()
    }


@settings(max_examples=15, deadline=None, derandomize=True)
@given(order=st.permutations(range(4)), groups=st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_cutting_and_joining_gives_the_object_back(order, groups):
    original = attn.datasets.simulate(6, 4, marks=["H3K4me3", "DNase"], max_cpgs=5, n_tfs=4, n_bins=8, seed=5)
    cell_type = original.obs["cell_type"].astype(str)
    pieces = []
    for group in dict.fromkeys(groups[i] for i in order):
        names = [f"cell_type_{i}" for i in range(4) if groups[i] == group]
        pieces.append(original[cell_type.isin(names).to_numpy()].copy())
    joined = attn.pp.concat(pieces)
    assert_same(joined, original)
    assert all("measured" not in adata.obsm for adata in joined.mod.values())
    appearance = joined.obs["cell_type"].astype(str).unique().tolist()
    assert joined.obs["cell_type"].cat.categories.tolist() == appearance
    assert joined["methylation"].uns["window"] == original["methylation"].uns["window"]


def test_views_are_welcome(mdata):
    first = rows_of(mdata, "cell_type_0")
    assert_same(attn.pp.concat([mdata[~first], mdata[first]]), mdata)


def test_the_order_of_the_objects_does_not_matter(liver, brain):
    one, other = attn.pp.concat([liver, brain]), attn.pp.concat([brain, liver])
    assert set(one.obs_names) == set(other.obs_names)
    for modality in one.mod:
        a, b = one[modality], other[modality][one.obs_names].copy()
        b = b[:, a.var_names]
        assert set(layer_names(a)) == set(layer_names(b))
        for layer in layer_names(a):
            np.testing.assert_array_equal(dense(a.layers[layer]), dense(b.layers[layer]))
    marks = ["DNase", "H3K4me3", "H3K9ac"]
    pd.testing.assert_frame_equal(*[m["histone"].obsm["measured"].loc[one.obs_names, marks] for m in (one, other)])


def test_a_missing_mark_is_zero_marked_and_reported(liver, brain, log):
    lung = simulate("lung", marks=["H3K4me3", "DNase"], seed=3)
    mdata = attn.pp.concat([liver, brain, lung])
    histone = mdata["histone"]
    assert set(find_channels(mdata)["histone"]) == {"H3K9ac", "H3K4me3", "DNase"}
    in_liver = rows_of(mdata, "liver")
    assert not histone.layers["H3K9ac"][~in_liver].any()
    assert not histone.layers["DNase"][in_liver].any()
    assert histone.layers["H3K9ac"].dtype == np.float32
    np.testing.assert_array_equal(histone.layers["H3K9ac"][in_liver], liver["histone"].layers["H3K9ac"])
    measured = histone.obsm["measured"]
    assert all(dtype.kind == "b" for dtype in measured.dtypes)
    assert measured["H3K4me3"].all()
    np.testing.assert_array_equal(measured["H3K9ac"], in_liver)
    np.testing.assert_array_equal(measured["DNase"], ~in_liver)
    assert "H3K9ac was not measured in brain, lung: filled with zeros and marked in obsm['measured']." in log.text
    assert "DNase was not measured in liver" in log.text
    assert len(log.records) == 1


def test_what_is_marked_stays_marked(liver, brain):
    lung = simulate("lung", marks=["H3K4me3", "H3K9ac", "DNase"], seed=3)
    at_once = attn.pp.concat([lung, liver, brain])
    in_steps = attn.pp.concat([lung, attn.pp.concat([liver, brain])])
    marks = ["H3K4me3", "H3K9ac", "DNase"]
    pd.testing.assert_frame_equal(*[m["histone"].obsm["measured"][marks] for m in (in_steps, at_once)])
    only = attn.pp.concat([attn.pp.concat([liver, brain])])
    assert not only["histone"].obsm["measured"].all().all()


def test_missing_modalities_are_filled(liver, brain, log):
    wide = liver["histone"].copy()
    wide.var_names = [f"wide_{name}" for name in wide.var_names]
    liver = new_mudata({**liver.mod, "histone_500bp": wide}, liver.obs)
    bare = new_mudata({"histone": brain["histone"]}, brain.obs)
    mdata = attn.pp.concat([liver, bare])
    here = rows_of(mdata, "liver")
    n_cpg = mdata["methylation"].obs["n_cpg"]
    assert n_cpg.dtype == np.int32
    np.testing.assert_array_equal(n_cpg[here], liver["methylation"].obs["n_cpg"])
    assert not n_cpg[~here].any()
    assert "measured" not in mdata["methylation"].obsm
    binding = mdata["tf"].layers["binding"]
    assert binding.format == "csr"
    assert binding[~here].nnz == 0
    for modality in ("tf", "histone_500bp"):
        for measured in mdata[modality].obsm["measured"].to_numpy().T:
            np.testing.assert_array_equal(measured, here)
    expression = mdata["rna"].X[:, 0]
    assert expression.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(expression), ~here)
    np.testing.assert_array_equal(expression[here], liver["rna"].X[:, 0])
    assert "methylation was not measured in brain: n_cpg is 0 there." in log.text
    assert "histone_500bp was not measured in brain: filled with zeros" in log.text
    assert "rna was not measured in brain: filled with NaN." in log.text


def test_cpg_slots_are_padded_and_tfs_united(liver, brain):
    mdata = attn.pp.concat([liver, brain])
    here = rows_of(mdata, "liver")
    beta = mdata["methylation"].layers["beta"]
    assert beta.shape == (35, 9)
    assert beta.dtype == np.float32
    np.testing.assert_array_equal(beta[here, :6], liver["methylation"].layers["beta"])
    assert not beta[here, 6:].any()
    tf = mdata["tf"]
    assert set(tf.var_names) == set(brain["tf"].var_names)
    wanted = liver["tf"].var_names[::-1]
    np.testing.assert_array_equal(
        tf[here, wanted].layers["mode"].toarray(), liver["tf"][:, wanted].layers["mode"].toarray()
    )
    assert tf[here, "TF009"].layers["binding"].nnz == 0


def test_tfs_are_matched_by_name_not_by_place(liver, brain):
    liver.mod["tf"] = liver["tf"][:, ::-1].copy()
    mdata = attn.pp.concat([brain, liver])
    here = rows_of(mdata, "liver")
    for name in ("TF000", "TF005"):
        found, expected = mdata["tf"][here, name], liver["tf"][:, name]
        np.testing.assert_array_equal(found.layers["expression"].toarray(), expected.layers["expression"].toarray())


@pytest.mark.parametrize("fmt", ["h5mu", "zarr"])
def test_can_be_written_and_fitted(liver, brain, tmp_path, fmt):
    bare = new_mudata({"histone": simulate("lung", seed=3)["histone"]}, simulate("lung", seed=3).obs)
    bare.obs["checked"] = True
    liver.obs["remark"] = [f"remark {i}" for i in range(liver.n_obs)]
    mdata = attn.pp.concat([liver, brain, bare])
    assert mdata.obs["checked"].isna().sum() == 35
    path = tmp_path / f"data.{fmt}"
    mdata.write_h5mu(path) if fmt == "h5mu" else mdata.write_zarr(path)
    read = mudata.read_h5mu(path) if fmt == "h5mu" else mudata.read_zarr(path)
    for modality in ("histone", "tf"):
        measured = read[modality].obsm["measured"]
        expected = mdata[modality].obsm["measured"]
        pd.testing.assert_frame_equal(measured[list(expected)], expected, check_index_type=False, check_names=False)
    again = attn.pp.concat([read])
    for name, adata in mdata.mod.items():
        for layer in layer_names(adata):
            np.testing.assert_array_equal(dense(again[name].layers[layer]), dense(adata.layers[layer]))
    if fmt == "h5mu":
        again.write_zarr(tmp_path / "again.zarr")
        attn.tl.fit(again, max_epochs=1, accelerator="cpu", enable_progress_bar=False)
        assert again.obsm["X_attn"].shape[0] == again.n_obs


def test_results_of_fits_stay_behind_and_truth_comes_along(liver, brain):
    for name, mdata in {"liver": liver, "brain": brain}.items():
        mdata.obs["attn_score"] = 0.5
        mdata.obs["tf:attn_unbound"] = 0.5  # as mudata 0.3 copies it
        mdata.obs["mine"] = name
        mdata.obsm["X_attn"] = np.zeros((mdata.n_obs, 2))
        mdata["tf"].obs["attn_unbound"] = 0.5
        mdata["histone"].layers["attn_attention"] = mdata["histone"].layers["H3K4me3"].copy()
        record_written(mdata["histone"], "attn_attention")
        mdata.uns["attn"] = {"written": ["obs/attn_score", "obsm/X_attn", "tf/obs/attn_unbound"]}
        attn.pp.normalize(mdata, scale=False)
    joined = attn.pp.concat([liver, brain])
    assert not {"attn_score", "tf:attn_unbound"} & set(joined.obs)
    assert joined.obs["mine"].tolist() == 20 * ["liver"] + 15 * ["brain"]
    assert "X_attn" not in joined.obsm
    assert "attn_unbound" not in joined["tf"].obs
    assert "attn" not in joined.uns
    layers = layer_names(joined["histone"])
    assert {name for name in layers if "truth" not in name} == {"H3K9ac", "H3K4me3", "DNase"}
    assert joined.uns["epiattn"]["schema_version"] == "1"


def test_truth_is_carried_and_never_a_mark(liver, brain):
    for mdata in (liver, brain):
        mdata["histone"].layers["truth_bins"] = sparse.csr_matrix(np.ones(mdata["histone"].shape, np.int8))
    joined = attn.pp.concat([liver, brain])
    assert joined["histone"].layers["truth_bins"].dtype == np.int8
    assert joined["histone"].layers["truth_bins"].sum() == joined["histone"].shape[0] * joined["histone"].shape[1]
    assert not any("truth" in name for name in find_channels(joined)["histone"])


def test_inputs_are_untouched_and_share_no_memory(liver):
    before = liver.copy()
    joined = attn.pp.concat([liver])
    for adata in joined.mod.values():
        for name in layer_names(adata):
            values = adata.layers[name]
            (values.data if sparse.issparse(values) else values)[:] = 7
        for name in list(adata.obs):
            adata.obs.loc[:, name] = 0
        adata.var["start"] = 0
        adata.uns["window"] = 0
    joined["rna"].X[:] = 7
    joined.obs["tss"] = 0
    assert_same(liver, before)
    assert liver["methylation"].uns["window"] == before["methylation"].uns["window"]


def test_a_mapping_names_the_cell_types(liver, brain):
    del brain.obs["cell_type"]
    brain.obs_names = brain.obs["gene_id"].tolist()
    for adata in brain.mod.values():
        adata.obs_names = brain.obs_names
    brain = new_mudata(brain.mod, brain.obs)
    mdata = attn.pp.concat({"hepatocyte": liver, "neuron": brain})
    assert mdata.obs["cell_type"].cat.categories.tolist() == ["liver", "neuron"]
    assert mdata.obs_names[-1] == "gene_00014@neuron"
    assert mdata["tf"].obs_names[0] == "gene_00000@liver"
    with pytest.raises(ValueError, match=r"mdatas\[1\] has no obs\['cell_type'\]"):
        attn.pp.concat([liver, brain])


def test_names_are_kept_where_they_are_unique_and_tell_the_cell_type(liver, brain):
    names = [f"liver: {name}" for name in liver.obs["gene_id"]]
    for part in (liver, *liver.mod.values()):
        part.obs_names = names
    liver = new_mudata(liver.mod, liver.obs)
    assert attn.pp.concat([liver, brain]).obs_names[0] == "liver: gene_00000"


def test_order_of_channels_is_kept_only_if_it_was_given(liver, brain):
    assert "channels" not in attn.pp.concat([liver, brain])["histone"].uns.get("epiattn", {})
    liver["histone"].uns["epiattn"] = {"channels": ["H3K9ac", "H3K4me3"]}
    joined = attn.pp.concat([liver, brain])
    assert find_channels(joined)["histone"] == ["H3K9ac", "H3K4me3", "DNase"]


def test_other_modalities_come_along(liver, brain):
    own = ad.AnnData(np.ones((liver.n_obs, 2), np.float32), obs=liver.obs[[]].copy())
    own.var_names = ["x", "y"]
    joined = attn.pp.concat([new_mudata({**liver.mod, "mine": own}, liver.obs), brain])
    assert np.nansum(joined["mine"].X) == 40
    assert np.isnan(joined["mine"].X[20:]).all()

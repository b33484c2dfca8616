"""Bad input: every error names what is wrong, and where; good input in any layout is read."""

from __future__ import annotations

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import epiattn as attn
from epiattn._validation import as_mudata

QUICK = {"max_epochs": 1, "batch_size": 256}


def check_fails(mdata, error, message, **options):
    """Fitting fails with this message, and nothing was written."""
    before = set(mdata.obsm.keys()) if hasattr(mdata, "obsm") else set()
    with pytest.raises(error, match=message):
        attn.tl.fit(mdata, **{**QUICK, **options})
    if hasattr(mdata, "obsm"):
        assert set(mdata.obsm.keys()) == before


@pytest.mark.parametrize("thing", [None, "data.h5mu", pd.DataFrame({"a": [1]}), np.zeros((3, 3))])
def test_another_type(thing):
    check_fails(thing, TypeError, "Expected a MuData")


def test_no_input_modality(mdata):
    check_fails(mudata.MuData({"rna": mdata["rna"].copy()}), ValueError, "No input modality")


def test_a_modality_without_layers(mdata):
    for name in [name for name in mdata["histone"].layers if name is not None]:
        del mdata["histone"].layers[name]
    check_fails(mdata, ValueError, r"mdata\['histone'\] has no channel")


def test_unpaired_modalities(mdata):
    modalities = {"histone": mdata["histone"].copy(), "tf": mdata["tf"][5:].copy()}
    check_fails(mudata.MuData(modalities), ValueError, r"Unpaired observations: mdata\['tf'\] has 395 of")


def test_modalities_in_another_order(mdata):
    shuffled = mdata["tf"][::-1].copy()
    check_fails(mudata.MuData({"histone": mdata["histone"].copy(), "tf": shuffled}), ValueError, "another order")


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-1, "negative")]
)
def test_bad_signal_names_layer_and_observation(mdata, value, message):
    mdata["histone"].layers["H3K4me3"][7, 3] = value
    check_fails(mdata, ValueError, rf"layers\['H3K4me3'\] has {message}.*gene_00007@cell_type_0")


@pytest.mark.parametrize(
    ("layer", "value", "message"),
    [("beta", 1.5, r"outside \[0, 1\]"), ("position", -2.0, "outside"), ("beta", np.nan, "NaN")],
)
def test_bad_methylation_in_a_valid_slot(mdata, layer, value, message):
    row = int(np.flatnonzero(mdata["methylation"].obs["n_cpg"] > 0)[0])
    mdata["methylation"].layers[layer][row, 0] = value
    check_fails(mdata, ValueError, rf"layers\['{layer}'\] has .*{message}")


def test_empty_slots_may_hold_anything(mdata):
    adata = mdata["methylation"]
    empty = np.arange(adata.n_vars) >= adata.obs["n_cpg"].to_numpy()[:, None]
    clean = attn.tl.fit(mdata, copy=True, **QUICK)
    adata.layers["beta"][empty] = np.nan
    adata.layers["position"][empty] = 99.0
    np.testing.assert_array_equal(attn.tl.fit(mdata, **QUICK).obsm["X_attn"], clean.obsm["X_attn"])


@pytest.mark.parametrize("n_cpg", [13, -1])
def test_n_cpg_beyond_the_slots(mdata, n_cpg):
    mdata["methylation"].obs.loc[mdata.obs_names[4], "n_cpg"] = n_cpg
    check_fails(mdata, ValueError, "between 0 and the 12 slots.*gene_00004")


def test_n_cpg_missing_or_fractional(mdata):
    mdata["methylation"].obs["n_cpg"] = mdata["methylation"].obs["n_cpg"] + 0.5
    check_fails(mdata, ValueError, "whole numbers")
    del mdata["methylation"].obs["n_cpg"]
    check_fails(mdata, ValueError, "n_cpg'\\] is missing")


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
@pytest.mark.filterwarnings("ignore:.*obs_names are not unique")
def test_duplicate_observations(mdata):
    adata = mdata["histone"].copy()
    adata.obs_names = [*adata.obs_names[:-1], adata.obs_names[0]]
    check_fails(adata, ValueError, "1 duplicate observation names, such as 'gene_00000@cell_type_0'")


def test_one_class_only(mdata):
    mdata.obs["label"] = "high"
    check_fails(mdata, ValueError, "observations of the train split are 'high'")


def test_unknown_label(mdata):
    mdata.obs["label"] = np.where(np.arange(mdata.n_obs) % 2, "up", "down")
    check_fails(mdata, ValueError, r"Labels must be 'low' or 'high' \(or missing\), found \['down', 'up'\]\.$")
    mdata.obs["label"] = [0, 1] * (mdata.n_obs // 2)
    check_fails(mdata, ValueError, r"found \['0', '1'\]\. Rename them: \.map\(\{0: 'low', 1: 'high'\}\)\.")


def test_no_label(mdata):
    del mdata.obs["label"]
    check_fails(mdata, ValueError, "Training needs labels in obs.*pp.label")


@pytest.mark.parametrize("empty", ["validation", "test"])
def test_explicit_split_with_an_empty_part(mdata, empty):
    mdata.obs["split"] = np.where(
        np.arange(mdata.n_obs) % 2, "train", {"test": "validation", "validation": "test"}[empty]
    )
    check_fails(mdata, ValueError, rf"leaves \['{empty}'\] without observations")


def test_split_with_other_names(mdata):
    mdata.obs["split"] = "valid"
    check_fails(mdata, ValueError, "must hold .*found \\['valid'\\]")


def test_a_view_needs_a_copy(mdata):
    check_fails(mdata[:300], ValueError, "view of another one")
    assert "X_attn" in attn.tl.fit(mdata[:300], copy=True, **QUICK).obsm


def test_a_backed_object(mdata, tmp_path):
    mdata.write_h5mu(tmp_path / "data.h5mu")
    backed = mudata.read_h5mu(tmp_path / "data.h5mu", backed="r")
    with pytest.raises(ValueError, match="backed by a file"):
        as_mudata(backed)
    backed.file.close()


LAYOUTS = {
    "int64": lambda x: x.astype(np.int64),
    "float64": lambda x: x.astype(np.float64),
    "fortran": np.asfortranarray,
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
}


@pytest.mark.parametrize("convert", LAYOUTS.values(), ids=LAYOUTS)
def test_any_layout_and_type_gives_the_same_numbers(mdata, convert):
    expected = attn.tl.fit(mdata, copy=True, **QUICK).obsm["X_attn"]
    for name in ("H3K4me3", "DNase"):
        mdata["histone"].layers[name] = convert(mdata["histone"].layers[name])
    kind = type(mdata["histone"].layers["DNase"])
    np.testing.assert_array_equal(attn.tl.fit(mdata, **QUICK).obsm["X_attn"], expected)
    assert type(mdata["histone"].layers["DNase"]) is kind, "the user's data was converted"


def test_dense_tfs_equal_sparse_tfs(mdata):
    expected = attn.tl.fit(mdata, copy=True, **QUICK).obsm["X_attn"]
    for name in ("binding", "expression", "mode"):
        mdata["tf"].layers[name] = mdata["tf"].layers[name].toarray()
    np.testing.assert_array_equal(attn.tl.fit(mdata, **QUICK).obsm["X_attn"], expected)


def test_text_in_a_layer(mdata):
    mdata["histone"].layers["H3K4me3"] = mdata["histone"].layers["H3K4me3"].astype(str)
    check_fails(mdata, TypeError, "must be numeric")


@pytest.mark.parametrize("channels", [{"histone": ["H3K99me3"]}, {"histon": ["H3K4me3"]}])
def test_unknown_marks_and_modalities(mdata, channels):
    check_fails(mdata, ValueError, "channels names", channels=channels)


@pytest.mark.parametrize("key", ["histone", "rna", "epiattn", "", "a/b"])
def test_impossible_keys(mdata, key):
    check_fails(mdata, ValueError, "key_added", key_added=key)


def test_results_of_others_are_not_overwritten(mdata):
    mdata.obsm["X_attn"] = np.ones((mdata.n_obs, 2))
    check_fails(mdata, ValueError, r"would overwrite \['obsm/X_attn'\]")
    assert (mdata.obsm["X_attn"] == 1).all()


def test_a_newer_schema(mdata):
    mdata.uns["epiattn"] = {"schema_version": "2"}
    check_fails(mdata, ValueError, "schema version 2.*update epiattn")


@pytest.mark.parametrize(
    ("options", "message"), [({"n_querys": 3}, "Did you mean 'n_queries'"), ({"max_epoch": 3}, "'max_epochs'")]
)
def test_unknown_options_are_refused_before_any_work(mdata, options, message):
    check_fails(mdata, TypeError, message, **options)
    assert "split" not in mdata.obs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "kang2002"}, "Did you mean 'kang2020'"),
        ({"target": "rank"}, "target must be one of"),
        ({"loss": "huber"}, r"loss \(for target='label'\)"),
        ({"normalization": "sqrt"}, "normalization must be one of"),
        ({"kernel_size": 4}, "kernel_size must be odd"),
        ({"kernel_size": 41, "model": "kang2020"}, "40 bins, fewer than the 41"),
    ],
)
def test_impossible_choices(mdata, options, message):
    check_fails(mdata, ValueError, message, **options)


def test_no_observations(mdata):
    check_fails(mdata[:0].copy(), ValueError, "no observations")


def test_histone_only_anndata_view_and_names(mdata):
    adata = ad.AnnData(obs=mdata.obs, var=mdata["histone"].var, layers={"H2A.Z": mdata["histone"].layers["H3K4me3"]})
    check_fails(adata[:200], ValueError, "view")
    fitted = attn.tl.fit(adata, **QUICK)
    assert fitted is adata
    assert list(fitted.uns["attn"]["channels"]["histone"]) == ["H2A.Z"]

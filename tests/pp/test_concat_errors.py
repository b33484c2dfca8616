"""Objects that do not fit together."""

from __future__ import annotations

import pytest

import epiattn as attn
from epiattn._compat import new_mudata


def simulate(name, seed, **sizes):
    return attn.datasets.simulate(15, [name], marks=["H3K4me3", "DNase"], max_cpgs=6, n_tfs=8, seed=seed, **sizes)


@pytest.fixture
def liver():
    return simulate("liver", 1)


@pytest.fixture
def brain():
    return simulate("brain", 2)


def shifted(mdata):
    mdata["histone"].var[["start", "end"]] += 100


def other_window(mdata):
    mdata["methylation"].uns["window"] = 5_000


def newer(mdata):
    mdata.uns["epiattn"]["schema_version"] = "2"


def without_n_cpg(mdata):
    del mdata["methylation"].obs["n_cpg"]


def without_some_cell_types(mdata):
    mdata.obs["cell_type"] = [None, *mdata.obs["cell_type"][1:]]


def same_cell_type(mdata):
    mdata.obs["cell_type"] = "liver"


def repeated_tfs(mdata):
    mdata["tf"].var_names = ["TF000", *mdata["tf"].var_names[:-1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shifted, r"mdatas\[1\].*'histone'.*-1900 to \+2100 bp.*mdatas\[0\].*-2000 to \+2000 bp"),
        (other_window, r"window.*mdatas\[0\]: 2000 bp, mdatas\[1\]: 5000 bp"),
        (newer, r"mdatas\[1\]: The object has schema version 2"),
        (without_n_cpg, r"mdatas\[1\]: mdata\['methylation'\].obs\['n_cpg'\] is missing"),
        (without_some_cell_types, r"mdatas\[1\]: obs\['cell_type'\] is missing for 1"),
        (same_cell_type, r"15 observations come twice.*gene_00000@liver"),
        (repeated_tfs, r"mdatas\[1\]: mdata\['tf'\].var_names must be unique, but \['TF000'\]"),
    ],
)
def test_what_does_not_fit_together_is_named(liver, brain, change, message):
    change(brain)
    with pytest.raises(ValueError, match=message):
        attn.pp.concat([liver, brain])


def test_other_bins_are_named_by_their_number(liver):
    other = simulate("brain", 2, n_bins=20)
    del other["histone"].var["start"]
    with pytest.raises(ValueError, match=r"20 columns.*40 from -2000"):
        attn.pp.concat({"a": liver, "b": other})


def test_names_that_collide_need_gene_ids(liver, brain):
    for mdata in (liver, brain):
        del mdata.obs["gene_id"]
        names = [f"g{i}" for i in range(mdata.n_obs)]
        for part in (mdata, *mdata.mod.values()):
            part.obs_names = names
    objects = [new_mudata(mdata.mod, mdata.obs) for mdata in (liver, brain)]
    with pytest.raises(ValueError, match=r"no obs\['gene_id'\]"):
        attn.pp.concat(objects)


def test_only_a_collection_of_mudata_is_taken(liver):
    with pytest.raises(ValueError, match="at least one object"):
        attn.pp.concat([])
    with pytest.raises(TypeError, match="takes a list of MuData or a dict"):
        attn.pp.concat(liver)
    with pytest.raises(TypeError, match=r"mdatas\[1\] must be a MuData, not anndata"):
        attn.pp.concat([liver, liver["histone"]])

"""Edits, against the same change made by plain loops to a copy of the object, which the model then reads anew."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import epiattn as attn
from epiattn._registry import edits
from epiattn.tl._edits import Edit
from epiattn.tl._inputs import Inputs
from epiattn.tl._trained import Trained

PROMOTER = (-500, 500)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("model")


@pytest.fixture(scope="module")
def fitted(simulated, folder):
    return attn.tl.fit(simulated, max_epochs=3, model_dir=folder, copy=True)


def inside(mdata, modality="histone", region=PROMOTER):
    var = mdata[modality].var
    return [
        i
        for i, (start, end) in enumerate(zip(var["start"], var["end"], strict=True))
        if region[0] <= (start + end) / 2 < region[1]
    ]


def layer(mdata, mark, modality="histone"):
    return mdata[modality].layers[mark]


def set_number(mdata):
    for i in range(mdata.n_obs):
        for j in inside(mdata):
            layer(mdata, "H3K27me3")[i, j] = 7.5


def set_high(mdata):
    label, cell_type = mdata.obs["label"].astype(str), mdata.obs["cell_type"].astype(str)
    before = layer(mdata, "H3K4me3").copy()
    for i in range(mdata.n_obs):
        rows = [r for r in range(mdata.n_obs) if label.iloc[r] == "high" and cell_type.iloc[r] == cell_type.iloc[i]]
        layer(mdata, "H3K4me3")[i] = before[rows].mean(0)


def set_quantile(mdata):
    cell_type = mdata.obs["cell_type"].astype(str).to_numpy()
    before = layer(mdata, "H3K27me3").copy()
    for name in set(cell_type):
        for j in inside(mdata):
            layer(mdata, "H3K27me3")[cell_type == name, j] = np.quantile(before[cell_type == name, j], 0.9)


def halve(mdata):
    for j in inside(mdata):
        layer(mdata, "H3K27ac")[:, j] *= 0.5


def move(mdata, by):
    """Base by base."""
    var, mark = mdata["histone"].var, layer(mdata, "H3K27ac")
    first, width = int(var["start"].iloc[0]), int(var["end"].iloc[0] - var["start"].iloc[0])
    bases = np.repeat(mark, width, axis=1)
    moved = np.zeros_like(bases)
    for base in range(bases.shape[1]):
        if 0 <= base + by < bases.shape[1]:
            moved[:, base + by] = bases[:, base]
    assert first == -2000
    mark[:] = moved.reshape(len(mark), -1, width).mean(2)


def move_promoter(mdata):
    mark, bins = layer(mdata, "H3K4me3"), inside(mdata)
    before = mark.copy()
    mark[:, bins] = 0
    for j in bins:
        mark[:, j + 7] += before[:, j]


def swap(mdata):
    a, b, bins = layer(mdata, "H3K4me3"), layer(mdata, "H3K27me3"), inside(mdata)
    for i in range(mdata.n_obs):
        for j in bins:
            a[i, j], b[i, j] = b[i, j], a[i, j]


def from_other_cell_type(mdata, mark="H3K27ac", cell_type="cell_type_1"):
    """As the model sees it: at the level of the observation's own cell type, of training observations."""
    names, train = mdata.obs["cell_type"].astype(str), (mdata.obs["split"] == "train").to_numpy()
    level = {name: layer(mdata, mark)[(names == name).to_numpy() & train].mean() for name in set(names)}
    before = layer(mdata, mark).copy()
    row = {(gene, name): i for i, (gene, name) in enumerate(zip(mdata.obs["gene_id"], names, strict=True))}
    for i, gene in enumerate(mdata.obs["gene_id"]):
        own = names.iloc[i]
        layer(mdata, mark)[i] = before[row[gene, cell_type]] * (level[own] / level[cell_type])


def set_methylation(mdata, value, region):
    adata = mdata["methylation"]
    for i, n in enumerate(adata.obs["n_cpg"]):
        for slot in range(n):
            place = round(float(adata.layers["position"][i, slot]) * adata.uns["window"])
            if region is None or region[0] <= place < region[1]:
                adata.layers["beta"][i, slot] = value


def knock_out(mdata, names):
    adata = mdata["tf"]
    for channel in [name for name in adata.layers if not str(name).startswith(("truth", "attn"))]:
        values = adata.layers[channel].toarray()
        for name in names:
            values[:, list(adata.var_names).index(name)] = 0
        adata.layers[channel] = sparse.csr_matrix(values)


CASES = {
    "number": (attn.tl.SetSignal("H3K27me3", 7.5, region=PROMOTER), set_number),
    "high": (attn.tl.SetSignal("H3K4me3", "high"), set_high),
    "quantile": (attn.tl.SetSignal("H3K27me3", "90%", region=PROMOTER), set_quantile),
    "scale": (attn.tl.ScaleSignal("H3K27ac", 0.5, region=PROMOTER), halve),
    "shift": (attn.tl.ShiftSignal("H3K27ac", -300), lambda mdata: move(mdata, -300)),
    "shift by part of a bin": (attn.tl.ShiftSignal("H3K27ac", 130), lambda mdata: move(mdata, 130)),
    "shift a region": (attn.tl.ShiftSignal("H3K4me3", 700, region=PROMOTER), move_promoter),
    "swap": (attn.tl.SwapMarks("H3K4me3", "H3K27me3", region=PROMOTER), swap),
    "swap cell type": (attn.tl.SwapCellType("H3K27ac", "cell_type_1"), from_other_cell_type),
    "methylate": (attn.tl.Methylate((-400, 100)), lambda mdata: set_methylation(mdata, 1.0, (-400, 100))),
    "demethylate": (attn.tl.Demethylate(), lambda mdata: set_methylation(mdata, 0.0, None)),
    "knock out": (attn.tl.KnockOut(["TF003", "TF011"]), lambda mdata: knock_out(mdata, ["TF003", "TF011"])),
}


@pytest.mark.parametrize("name", CASES)
def test_an_edit_is_the_same_change_of_the_data(fitted, folder, name):
    edit, change = CASES[name]
    done = attn.tl.perturb(fitted, {name: edit}, copy=True)
    changed = fitted.copy()
    change(changed)
    changed = attn.tl.embed(changed, folder, key_added="changed")
    before, after = (
        scores.to_numpy(dtype=float) for scores in (fitted.obs["attn_score"], changed.obs["changed_score"])
    )
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(done.obsm["attn_perturbation_probability"][name], after - before, atol=1e-5)
    log_odds = np.log(after / (1 - after)) - np.log(before / (1 - before))
    np.testing.assert_allclose(done.obsm["attn_perturbation"][name], log_odds, atol=1e-4)


def test_several_edits_are_made_in_their_order(fitted, folder):
    together = [
        attn.tl.SwapMarks("H3K4me3", "H3K27me3", region=PROMOTER),
        attn.tl.SetSignal("H3K27me3", 7.5, region=PROMOTER),
    ]
    together.append(attn.tl.KnockOut("TF003"))
    done = attn.tl.perturb(fitted, {"both": together}, copy=True)
    changed = fitted.copy()
    swap(changed)
    set_number(changed)
    knock_out(changed, ["TF003"])
    changed = attn.tl.embed(changed, folder, key_added="changed")
    effect = changed.obs["changed_score"] - fitted.obs["attn_score"]
    np.testing.assert_allclose(done.obsm["attn_perturbation_probability"]["both"], effect, atol=1e-5)


def test_a_mark_is_changed_at_all_resolutions_or_at_one(tmp_path):
    mdata = attn.datasets.simulate(n_genes=60, cell_types=1, bin_size=(100, 500), max_cpgs=4, n_tfs=5)
    mdata = attn.tl.fit(mdata, max_epochs=1, model_dir=tmp_path)
    perturbations = {
        "all": attn.tl.SetSignal("H3K4me3", 9, region=(-1000, 0)),
        "wide": attn.tl.SetSignal("histone_500bp:H3K4me3", 9, region=(-1000, 0)),
    }
    done = attn.tl.perturb(mdata, perturbations, copy=True)
    for name, modalities in {"all": ["histone", "histone_500bp"], "wide": ["histone_500bp"]}.items():
        changed = mdata.copy()
        for modality in modalities:
            layer(changed, "H3K4me3", modality)[:, inside(changed, modality, (-1000, 0))] = 9
        changed = attn.tl.embed(changed, tmp_path, key_added="changed")
        effect = changed.obs["changed_score"] - mdata.obs["attn_score"]
        np.testing.assert_allclose(done.obsm["attn_perturbation_probability"][name], effect, atol=1e-5)


def test_one_model_for_each_cell_type_sees_the_other_cell_type_at_its_own_level(simulated, tmp_path):
    mdata = attn.tl.fit(simulated, per="cell_type", max_epochs=1, model_dir=tmp_path, copy=True)
    done = attn.tl.perturb(mdata, {"swap": attn.tl.SwapCellType("H3K27ac", "cell_type_1")}, copy=True)
    changed, names = mdata.copy(), mdata.obs["cell_type"].astype(str)
    train = (mdata.obs["split"] == "train").to_numpy()
    mark, own = layer(mdata, "H3K27ac"), (names == "cell_type_0").to_numpy()
    ratio = mark[own & train].mean() / mark[~own].mean()  # of a cell type that its model has not seen: all genes
    row = {gene: i for i, gene in enumerate(mdata.obs["gene_id"]) if not own[i]}
    for i in np.flatnonzero(own):
        layer(changed, "H3K27ac")[i] = mark[row[mdata.obs["gene_id"].iloc[i]]] * ratio
    changed = attn.tl.embed(changed, tmp_path, key_added="changed")
    effect = changed.obs["changed_score"] - mdata.obs["attn_score"]
    np.testing.assert_allclose(done.obsm["attn_perturbation_probability"]["swap"], effect, atol=1e-5)
    assert not done.obsm["attn_perturbation_changed"]["swap"][~own].any()


def test_a_gene_without_an_observation_in_the_cell_type_has_no_effect(mdata):
    mdata.obs["gene_id"] = mdata.obs["gene_id"].astype(str)
    mdata.obs.loc["gene_00004@cell_type_1", "gene_id"] = "another"
    mdata = attn.tl.perturb(attn.tl.fit(mdata, max_epochs=1), {"a": attn.tl.SwapCellType("H3K27ac", "cell_type_1")})
    effect = mdata.obsm["attn_perturbation"]["a"]
    assert list(effect.index[effect.isna()]) == ["gene_00004@cell_type_0"]
    assert not mdata.obsm["attn_perturbation_changed"]["a"]["gene_00004@cell_type_0"]


def test_every_edit_is_registered_and_public():
    classes = {entry.load() for entry in edits.values()}
    exported = {thing for name in attn.tl.__all__ if isinstance(thing := getattr(attn.tl, name), type)}
    assert classes == exported
    assert all(issubclass(each, Edit) for each in classes)


WRONG = {
    "value must be a number, 'high', 'low' or a quantile such as '95%', not 'tall'": lambda: attn.tl.SetSignal(
        "a", "tall"
    ),
    "not '120%'": lambda: attn.tl.SetSignal("a", "120%"),
    "value must be a number of 0 or more, not -1: signal is never negative": lambda: attn.tl.SetSignal("a", -1),
    "value must be a number of 0 or more, not None": lambda: attn.tl.SetSignal("a", None),
    "factor must be a number of 0 or more, not nan": lambda: attn.tl.ScaleSignal("a", float("nan")),
    r"region must be two numbers, from and to, in bp from the TSS, not \(500, -500\)": lambda: attn.tl.ShiftSignal(
        "a", 1, region=(500, -500)
    ),
    "level is the methylated share, between 0 and 1, not 2": lambda: attn.tl.Methylate(level=2),
    "tfs names no TF": lambda: attn.tl.KnockOut([]),
}


@pytest.mark.parametrize("message", WRONG)
def test_edits_that_make_no_sense_are_refused(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()


REFUSED = {
    r"reads no mark 'H3K4me4'; it reads \[.*\]. Did you mean 'H3K4me3'\?": attn.tl.ScaleSignal("H3K4me4", 0),
    r"regions \['3000 to 4000 bp'\] hold no bin of mdata\['histone'\]": attn.tl.ScaleSignal(
        "H3K4me3", 0, region=(3000, 4000)
    ),
    r"Unknown TF 'TF3': not in mdata\['tf'\].var_names. Did you mean": attn.tl.KnockOut(["TF001", "TF3"]),
    r"Unknown cell type 'liver': obs\['cell_type'\] holds \['cell_type_0', 'cell_type_1'\]": attn.tl.SwapCellType(
        "H3K4me3", "liver"
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_edits_of_what_is_not_there_are_refused(fitted, message):
    with pytest.raises(ValueError, match=message):
        attn.tl.perturb(fitted, {"a": REFUSED[message]}, copy=True)


def test_what_an_edit_needs_is_named(fitted):
    lacking = fitted.copy()
    del lacking["methylation"].uns["window"]
    lacking["histone"].var = lacking["histone"].var.drop(columns=["start", "end"])
    lacking.obs = lacking.obs.drop(columns=["label"])
    for message, edit in {
        r"mdata\['methylation'\].uns\['window'\]": attn.tl.Methylate((0, 1)),
        r"needs obs\['label'\]": attn.tl.SetSignal("H3K4me3", "high"),
    }.items():
        with pytest.raises(ValueError, match=message):
            attn.tl.perturb(lacking, {"a": edit})
    inputs = Inputs(lacking, Trained(fitted, "attn"))
    with pytest.raises(ValueError, match=r"shift in bp needs mdata\['histone'\].var\['start'\]"):
        attn.tl.ShiftSignal("H3K4me3", 100)._prepare(inputs)

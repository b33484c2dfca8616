"""Gene sets in lists of genes, against scipy's hypergeometric distribution."""

from __future__ import annotations

import gzip
import sys

import mudata
import numpy as np
import pytest
from scipy.stats import false_discovery_control, hypergeom

import epiattn as attn
from epiattn.tl._gene_sets import read_gene_sets

pytest.importorskip("gseapy", reason='gene sets are tested through gseapy: pip install "epiattn[enrich]"')


@pytest.fixture(scope="module")
def sets(explained_by_truth):
    """Genes of each planted program in the first cell type, by name; and two that have nothing to do with them."""
    obs = explained_by_truth.obs[explained_by_truth.obs["cell_type"] == "cell_type_0"]
    by_program = {str(name): list(rows["gene_name"]) for name, rows in obs.groupby("truth_program", observed=True)}
    return {**by_program, "every tenth": list(obs["gene_name"][::10]), "unknown": ["TP53", "MYC"]}


def test_p_values_are_those_of_the_hypergeometric_distribution(explained, sets):
    chosen = sets["promoter"][:12] + sets["polycomb"][:8]
    table = attn.get.enrich(attn.tl.enrich(explained, sets, genes={"mine": chosen}))
    assert set(table["gene_set"]) == set(sets) - {"unknown"}  # no gene of it is in the background
    for row in table.itertuples():
        members = set(sets[row.gene_set])
        assert (row.group, row.background_size, row.list_size) == ("mine", 300, 20)
        assert (row.set_size, row.overlap) == (len(members), len(members & set(chosen)))
        assert row.expected == pytest.approx(20 * len(members) / 300)
        assert row.pvals == pytest.approx(hypergeom.sf(row.overlap - 1, 300, len(members), 20), rel=1e-6)
        assert set(filter(None, row.genes.split(";"))) == members & set(chosen)
    np.testing.assert_allclose(table["pvals_adj"], false_discovery_control(table["pvals"]))
    assert table["pvals"].is_monotonic_increasing
    assert (table.loc[table["overlap"] == 0, "pvals"] == 1).all()


def test_the_background_can_be_chosen(explained, sets):
    background = sets["promoter"] + sets["polycomb"]
    table = attn.get.enrich(
        attn.tl.enrich(explained, sets, genes=sets["promoter"][:9] + sets["enhancer"], background=background)
    )
    row = table.set_index("gene_set").loc["promoter"]
    n, total = len(sets["promoter"]), len(background)
    assert (row["list_size"], row["background_size"], row["overlap"]) == (9, total, 9)
    assert row["pvals"] == pytest.approx(hypergeom.sf(8, total, n, 9), rel=1e-6)


def test_specific_genes_and_their_background(explained, sets):
    mdata = attn.tl.enrich(attn.tl.specific_genes(explained), sets, n_top=20)
    table = attn.get.enrich(mdata, group="cell_type_0")
    best = attn.get.specific_genes(mdata, group="cell_type_0")["gene_name"].iloc[:20]
    row = table.set_index("gene_set").loc["promoter"]
    assert row["overlap"] == len(set(best) & set(sets["promoter"]))
    assert set(attn.get.enrich(mdata)["group"]) == {f"cell_type_{i}" for i in range(4)}
    active = table[table["gene_set"].isin(["promoter", "enhancer", "gene_body", "tf"])]
    assert active["overlap"].sum() > active["expected"].sum()


def test_differential_genes_by_feature_and_direction(explained, sets):
    mdata = attn.tl.differential_regulation(explained, group="cell_type_0", n_permutations=20)
    mdata = attn.tl.enrich(mdata, sets, of="attn_differential", n_top=15)
    table = attn.get.enrich(mdata, group="cell_type_0: H3K27me3 down")
    assert table["gene_set"].iloc[0] in {"polycomb", "bivalent"}


def test_clusters(explained, sets):
    rows = explained.obs["cell_type"] == "cell_type_0"
    explained.obs["cluster"] = explained.obs["truth_program"].astype(object).where(rows, None)
    mdata = attn.tl.enrich(explained, sets, groupby="cluster")
    table = attn.get.enrich(mdata)
    first = table.groupby("group", sort=False).first()["gene_set"]
    assert (first == first.index).all()
    assert (table["background_size"] == 300).all()


def test_sets_may_know_genes_by_id(explained, sets):
    by_id = {name: [gene.replace("G", "gene_") for gene in genes] for name, genes in sets.items()}
    one, other = (
        attn.get.enrich(attn.tl.enrich(explained, each, genes=sets["promoter"], copy=True)) for each in (sets, by_id)
    )
    np.testing.assert_array_equal(one["pvals"], other["pvals"])


def test_random_lists_have_five_percent_at_most(explained):
    rng = np.random.default_rng(0)
    names = explained.obs["gene_name"].unique()
    sets = {f"set {i}": rng.choice(names, 60, replace=False) for i in range(200)}
    lists = {f"list {i}": rng.choice(names, 60, replace=False) for i in range(5)}
    table = attn.get.enrich(attn.tl.enrich(explained, sets, genes=lists))
    assert 0.02 < (table["pvals"] < 0.05).mean() < 0.06  # counts are whole numbers: below 5 %
    assert (table["pvals_adj"] < 0.05).sum() == 0


@pytest.mark.parametrize("name", ["sets.gmt", "sets.gmt.gz"])
def test_gmt_files(explained, sets, name, tmp_path):
    text = "\n".join("\t".join([title, "http://a", *genes]) for title, genes in sets.items()) + "\n\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    assert read_gene_sets(path) == {title: set(genes) for title, genes in sets.items()}
    table = attn.get.enrich(attn.tl.enrich(explained, str(path), genes=sets["promoter"]))
    assert table["gene_set"].iloc[0] == "promoter"


def test_gene_sets_that_are_wrong(tmp_path):
    path = tmp_path / "a.gmt"
    for text, message in (
        ("a\tb\tC\nx y z\n", "line 2: 'x y z' has no genes"),
        ("a\tb\tC\na\tb\tD\n", "line 2: .*twice"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_gene_sets(path)
    with pytest.raises(FileNotFoundError, match="No file"):
        read_gene_sets(tmp_path / "b.gmt")
    with pytest.raises(ValueError, match="is a text"):
        read_gene_sets({"a": "GATA1"})
    with pytest.raises(ValueError, match="gene_sets is empty"):
        read_gene_sets({})


def test_it_survives_writing(explained, sets, tmp_path):
    mdata = attn.tl.enrich(explained, sets, genes=sets["promoter"])
    small = mudata.MuData({"rna": mdata["rna"]})
    small.uns = {"attn_enrich": mdata.uns["attn_enrich"]}
    small.write_h5mu(tmp_path / "a.h5mu")
    read = attn.get.enrich(mudata.read_h5mu(tmp_path / "a.h5mu"), fdr=0.05)
    assert list(read["genes"]) == list(attn.get.enrich(mdata, fdr=0.05)["genes"])


def test_what_cannot_be_done_is_said(explained, sets, monkeypatch):
    with pytest.raises(ValueError, match=r"No result of tl\.specific_genes in uns\['attn_specific'\]"):
        attn.tl.enrich(explained, sets)
    with pytest.raises(ValueError, match=r"Unknown genes \['GATA1'\]"):
        attn.tl.enrich(explained, sets, genes=["GATA1"])
    with pytest.raises(ValueError, match="No gene of the sets is in the object"):
        attn.tl.enrich(explained, {"a": ["TP53"]}, genes=sets["promoter"])
    with pytest.raises(ValueError, match="No set has 400 to 500 genes among the 300"):
        attn.tl.enrich(explained, sets, genes=sets["promoter"], min_size=400)
    with pytest.raises(ValueError, match=r"obs\['nothing'\] is missing"):
        attn.tl.enrich(explained, sets, groupby="nothing")
    with pytest.raises(ValueError, match=r"has no adjusted p-values .* n_top="):
        attn.tl.enrich(attn.tl.specific_genes(explained, key=None, copy=True), sets)
    with pytest.raises(ValueError, match=r"No list of uns/attn_specific has a gene at fdr=1e-09"):
        attn.tl.enrich(attn.tl.specific_genes(explained, copy=True), sets, fdr=1e-9)
    with pytest.raises(ValueError, match="n_top must be 1 or more, not 0"):
        attn.tl.enrich(attn.tl.specific_genes(explained, copy=True), sets, n_top=0)
    monkeypatch.setitem(sys.modules, "gseapy", None)
    with pytest.raises(ImportError, match=r'pip install "epiattn\[enrich\]"'):
        attn.tl.enrich(explained, sets, genes=sets["promoter"])

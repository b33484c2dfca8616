"""Roadmap Epigenomics from a local server: what is built is what was simulated, down to the last number."""

from __future__ import annotations

import hashlib
import shutil

import mudata
import numpy as np
import pandas as pd
import pytest

import epiattn as attn
from epiattn.datasets._mirror import cpgs_of, write_roadmap
from epiattn.datasets._roadmap_files import CORE_MARKS

MARKS = ["H3K4me3", "H3K27me3", "DNase"]
SIGNAL = "byFileType/signal/consolidated/macs2signal/pval"
N_TFS = 6


@pytest.fixture(scope="module")
def truth():
    """50 genes in two cell types, on three chromosomes, as each is read by itself."""
    names = ["E003", "E066"]
    mdata = attn.datasets.simulate(n_genes=50, cell_types=names, marks=MARKS, max_cpgs=15, n_tfs=N_TFS, seed=2)
    mdata.obs["chrom"] = np.tile(np.array(["chr1", "chr2", "chrX"])[np.arange(50) * 3 // 50], 2)
    return mdata


@pytest.fixture(scope="module")
def mirror(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror")
    genes = write_roadmap(folder, truth, signals=("pvalue", "fold_change", "peaks"), read_coverage=True)
    return folder, genes


@pytest.fixture
def served(mirror, server):
    shutil.copytree(mirror[0], server.folder, dirs_exist_ok=True)
    return server


def roadmap(base_url, cell_types=("E003", "E066"), **options):
    return attn.datasets.roadmap(cell_types, base_url=base_url, **{"marks": MARKS, **options})


def test_all_modalities_are_those_that_were_simulated(served, mirror, truth):
    folder, genes = mirror
    mdata = roadmap(served.url, regulons=folder / "regulons.tsv")
    assert list(mdata.mod) == ["histone", "methylation", "tf", "rna"]
    assert mdata.obs["cell_type"].tolist() == truth.obs["cell_type"].tolist()
    for column in ("gene_name", "chrom", "tss", "strand"):
        assert mdata.obs[column].tolist() == genes[column].tolist() * 2
    assert mdata.obs["gene_id"].tolist() == genes.index.tolist() * 2
    assert list(mdata["histone"].layers.keys()) == MARKS
    for mark in MARKS:
        np.testing.assert_allclose(mdata["histone"].layers[mark], truth["histone"].layers[mark], rtol=1e-6)
    genes_only = np.tile(np.arange(50) < 50 - N_TFS, 2)  # the others carry the expression of TFs
    np.testing.assert_allclose(mdata["rna"].X[genes_only], truth["rna"].X[genes_only], atol=1e-3)
    same = mdata.obs["label"].to_numpy() == truth.obs["label"].to_numpy()
    assert same[genes_only].mean() > 0.85  # the medians shift with the TFs
    binding, planted = (each["tf"].layers["binding"].toarray() > 0 for each in (mdata, truth))
    kept = [truth["tf"].var_names.get_loc(tf) for tf in mdata["tf"].var_names]
    np.testing.assert_array_equal(binding, planted[:, kept])
    level = truth["tf"].layers["expression"].toarray()[:, kept]
    np.testing.assert_allclose(mdata["tf"].layers["expression"].toarray(), level, atol=1e-3)


def test_cpgs_lie_where_they_were_written(served, mirror, truth):
    genes = mirror[1]
    methylation = roadmap(served.url, marks=[], expression=False)["methylation"]
    for i in range(2):
        cpgs = cpgs_of(truth, genes, slice(50 * i, 50 * (i + 1)))
        for row, (_, gene) in enumerate(genes.iterrows(), start=50 * i):
            sign = 1 if gene["strand"] == "+" else -1
            expected = [
                ((start - gene["tss"]) * sign / 2_000, level)
                for (chrom, start, _), (level, _) in cpgs.items()
                if chrom == gene["chrom"] and -2_000 <= start - gene["tss"] < 2_000
            ]
            n = int(methylation.obs["n_cpg"].iloc[row])
            found = np.column_stack([methylation.layers[name][row, :n] for name in ("position", "beta")])
            np.testing.assert_allclose(found, np.reshape(sorted(expected), (-1, 2)), rtol=1e-6)


def test_reads_come_from_the_second_file_if_asked_for(served, truth, mirror):
    assert set(np.unique(roadmap(served.url)["methylation"].layers["coverage"])) == {0.0, 1.0}
    assert not any("ReadCoverage" in path for _, path, _ in served.requests)
    with pytest.raises(ValueError, match="min_coverage=5 needs the reads: read_coverage=True"):
        roadmap(served.url, min_coverage=5)
    methylation = roadmap(served.url, read_coverage=True, min_coverage=5)["methylation"]
    coverage = methylation.layers["coverage"]
    assert coverage[coverage > 0].min() == 5
    cpgs = [cpgs_of(truth, mirror[1], slice(50 * i, 50 * (i + 1))) for i in range(2)]
    assert methylation.obs["n_cpg"].sum() == sum(reads >= 5 for each in cpgs for _, reads in each.values())


def test_epigenomes_may_be_given_names(served):
    mdata = roadmap(served.url, {"E066": "liver", "E003": "H1"}, methylation=None)
    assert mdata.obs["cell_type"].cat.categories.tolist() == ["liver", "H1"]
    single = roadmap(served.url, "E003", methylation=None)
    expected = mdata["histone"].layers["DNase"][50:]
    np.testing.assert_array_equal(single["histone"].layers["DNase"], expected)
    np.testing.assert_array_equal(single["rna"].X, mdata["rna"].X[50:])


@pytest.mark.parametrize("signal", ["fold_change", "peaks"])
def test_other_kinds_of_signal(served, truth, signal):
    mdata = roadmap(served.url, signal=signal, methylation=None)
    requested = [path for _, path, _ in served.requests if "DNase" in path]
    assert requested[0].endswith({"peaks": "E003-DNase.macs2.narrowPeak.gz"}.get(signal, "E003-DNase.fc.signal.bigwig"))
    for mark in MARKS:
        found, planted = mdata["histone"].layers[mark], truth["histone"].layers[mark]
        if signal == "peaks":
            np.testing.assert_array_equal(found > 0, planted >= 3)
        else:
            np.testing.assert_allclose(found, planted, rtol=1e-6)


def test_nothing_is_downloaded_twice_and_marks_are_added(served):
    roadmap(served.url, marks=["H3K4me3"])
    n = len(served.of("GET"))
    assert n == 2 + 2 + 2  # signal, methylation, expression and annotation
    roadmap(served.url, marks=["H3K4me3"])
    assert len(served.of("GET")) == n
    roadmap(served.url)
    assert len(served.of("GET")) == n + 4


def test_files_that_break_off_or_are_busy_come_whole(served, truth):
    served.faults[f"{SIGNAL}/E003-H3K4me3.pval.signal.bigwig"] = [503, ("cut", 1_000), ("cut", 700)]
    mdata = roadmap(served.url, methylation=None)
    assert served.of("GET", "E003-H3K4me3.pval.signal.bigwig") == ["", "", "bytes=1000-", "bytes=1700-"]
    np.testing.assert_allclose(mdata["histone"].layers["H3K4me3"], truth["histone"].layers["H3K4me3"], rtol=1e-6)


def test_an_interrupted_build_goes_on_from_files_and_pieces(served, tmp_path, monkeypatch):
    from epiattn.io import _plan

    def fail(*_):
        raise KeyboardInterrupt

    output = tmp_path / "out.h5mu"
    with monkeypatch.context() as patched:
        patched.setattr(_plan, "_read_methylation", fail)
        with pytest.raises(KeyboardInterrupt):
            roadmap(served.url, output=output)
    assert not output.exists()
    n = len(served.of("GET"))
    monkeypatch.setattr(_plan, "bin_signal", fail)  # the signal has been read
    mdata = roadmap(served.url, output=output)
    assert len(served.of("GET")) == n
    assert mudata.read_h5mu(output).shape == mdata.shape


def test_all_missing_files_are_named_before_anything_is_downloaded(served):
    for name in ("E003-H3K27me3", "E066-H3K4me3"):
        (served.folder / SIGNAL / f"{name}.pval.signal.bigwig").unlink()
    with pytest.raises(FileNotFoundError, match=r"(?s)2 files are not there:.*E003-H3K27me3.*E066-H3K4me3.*by hand"):
        roadmap(served.url)
    mdata = roadmap(served.url, missing="skip", methylation=None)
    measured = mdata["histone"].obsm["measured"].groupby(mdata.obs["cell_type"].to_numpy()).all()
    assert measured.to_dict("index") == {
        "E003": {"H3K4me3": True, "DNase": True, "H3K27me3": False},
        "E066": {"H3K4me3": False, "DNase": True, "H3K27me3": True},
    }


def test_expression_and_annotation_cannot_be_skipped(served):
    (served.folder / "byDataType/rna/annotations/gen10.long.gtf.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"annotation: http.*gen10\.long\.gtf\.gz"):
        roadmap(served.url, missing="skip")


def test_own_annotation_and_edges(served, mirror):
    genes = mirror[1].iloc[:10]
    edges = pd.DataFrame({"tf": ["TF000"], "target": [genes["gene_name"].iloc[0]], "weight": [0.5]})
    named = mirror[1].iloc[[*range(10), 50 - N_TFS]]  # the TF's own gene tells its expression
    mdata = roadmap(served.url, annotation=named, regulons=edges, methylation=None)
    assert mdata.n_obs == 22
    assert mdata["tf"].layers["binding"].toarray()[[0, 11]].ravel().tolist() == [0.5, 0.5]
    assert not any("gen10" in path for _, path, _ in served.requests)


def test_checksums_are_compared(served, tmp_path, cache):
    name = "E003-H3K4me3.pval.signal.bigwig"
    right = hashlib.md5((served.folder / SIGNAL / name).read_bytes()).hexdigest()
    sums = tmp_path / "MD5SUMS"
    sums.write_text(f"{right}  {name}\n")
    options = {"marks": ["H3K4me3"], "methylation": None}
    roadmap(served.url, "E003", checksums=sums, **options)
    shutil.rmtree(cache)
    with pytest.raises(ValueError, match=rf"{name} from http.* is not the published file"):
        roadmap(served.url, "E003", checksums={name: "0" * 32}, **options)
    assert not list(cache.rglob(f"{name}*"))


def test_no_network(nowhere):
    with pytest.raises(ConnectionError, match=rf"could not be downloaded from {nowhere}/.*mirror as base_url"):
        roadmap(nowhere)


def test_a_damaged_file_in_the_cache_is_named(served, cache):
    roadmap(served.url, methylation=None)
    path = cache / "roadmap" / SIGNAL / "E003-H3K4me3.pval.signal.bigwig"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"E003-H3K4me3\.pval\.signal\.bigwig: the bigWig is cut off"):
        roadmap(served.url, methylation=None)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"cell_types": ["H1"]}, ValueError, r"such as 'E003', not \['H1'\]"),
        ({"cell_types": []}, ValueError, "names no epigenome"),
        ({"cell_types": ["E003", "E003"]}, ValueError, "twice"),
        ({"signal": "counts"}, ValueError, "signal must be one of"),
        ({"methylation": "array"}, ValueError, "methylation must be one of"),
        ({"missing": "ignore"}, ValueError, "missing must be one of"),
        ({"marks": "H3K4me3"}, TypeError, r"marks must be a list of marks, such as \['H3K4me3'\]"),
        ({"n_bins": 40}, TypeError, r"no option \['n_bins'\]"),
        ({"output": "out.csv"}, ValueError, r"must end in \.h5mu or \.zarr"),
        ({"marks": [], "methylation": None, "expression": False}, ValueError, "Nothing to read"),
    ],
)
def test_wrong_arguments_are_found_before_the_download(nowhere, arguments, error, message):
    with pytest.raises(error, match=message):
        roadmap(nowhere, **arguments)


def test_the_listed_epigenomes_have_names_and_the_default_marks_are_the_core():
    assert len(set(attn.datasets.EPIGENOMES)) == len(set(attn.datasets.EPIGENOMES.values())) == 18
    assert sorted(CORE_MARKS) == ["H3K27me3", "H3K36me3", "H3K4me1", "H3K4me3", "H3K9me3"]


def test_the_cache_folder_is_set_by_settings_or_environment(monkeypatch, tmp_path):
    attn.settings.cache_dir = "here"
    assert attn.settings.cache_dir.is_absolute()
    assert "here" in repr(attn.settings)
    attn.settings.cache_dir = None
    monkeypatch.setenv("EPIATTN_CACHE_DIR", str(tmp_path))
    assert attn.settings.cache_dir == tmp_path
    monkeypatch.delenv("EPIATTN_CACHE_DIR")
    assert attn.settings.cache_dir.name == "epiattn"

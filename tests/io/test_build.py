"""One call from raw files to a MuData: right numbers, wherever it runs, and nothing half done."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import mudata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import epiattn as attn
from epiattn.cli import app
from epiattn.io import _output, _plan
from epiattn.io._output import describe

N_GENES = 6


def write_bigwig(path: Path, seed: int) -> None:
    import pybigtools

    rng = np.random.default_rng(seed)
    starts = np.arange(0, 20_000, 50)
    intervals = [(chrom, int(s), int(s) + 30, float(rng.integers(1, 9))) for chrom in ("chr1", "chr2") for s in starts]
    pybigtools.open(str(path), "w").write({"chr1": 20_000, "chr2": 20_000}, intervals)


@pytest.fixture
def folder(tmp_path):
    """Two cell types: A has H3K4me3 twice, ATAC, methylation, TF peaks and expression; B has H3K4me3 and expression."""
    rng = np.random.default_rng(0)
    genes = pd.DataFrame(
        {
            "gene_id": [f"ENSG0000000000{i}" for i in range(N_GENES)],
            "gene_name": ["TP53", "MYC", "SOX2", "GATA1", "CTCF", "KLF4"],
            "chrom": ["chr1", "chr2"] * 3,
            "tss": 3_000 * np.arange(1, N_GENES + 1),
            "strand": list("+--++-"),
        }
    )
    genes.to_csv(tmp_path / "genes.tsv", sep="\t", index=False)
    for i, name in enumerate(("a1.bw", "a2.bw", "b.bw")):
        write_bigwig(tmp_path / name, i)
    (tmp_path / "atac.bedGraph").write_text("1\t2500\t3500\t2.5\n2\t5000\t9000\t1\n")
    lines = [
        f"chr{i % 2 + 1}\t{p}\t{p}\t{100 * m / 4:g}\t{m}\t{4 - m}"
        for i, p in enumerate(range(500, 19_000, 97))
        for m in [i % 5]
    ]
    (tmp_path / "meth.cov").write_text("\n".join(lines) + "\n")
    (tmp_path / "MYC.narrowPeak").write_text("chr1\t2900\t3100\t.\t0\t.\t7.5\t-1\t-1\t50\n")
    table = pd.DataFrame({"gene": genes["gene_id"], "A": rng.uniform(0, 50, 6), "B": rng.uniform(0, 50, 6)})
    table.to_csv(tmp_path / "rpkm.tsv", sep="\t", index=False)
    (tmp_path / "regulons.tsv").write_text(
        "tf\tconfidence\ttarget\tmor\nMYC\tA\tTP53\t1\nCTCF\tC\tSOX2\t-1\nKLF4\tB\tGATA1\t1\n"
    )
    rows = [
        ("A", "histone", "H3K4me3", "a1.bw", 1, 1),
        ("A", "histone", "H3K4me3", "a2.bw", 2, 3),
        ("A", "accessibility", "ATAC", "atac.bedGraph", 1, 1),
        ("A", "methylation", "", "meth.cov", 1, 1),
        ("A", "tf", "MYC", "MYC.narrowPeak", 1, 1),
        ("A", "rna", "", "rpkm.tsv", 1, 1),
        ("B", "histone", "H3K4me3", "b.bw", 1, 1),
        ("B", "rna", "", "rpkm.tsv", 1, 1),
        ("*", "tf", "", "regulons.tsv", 1, 1),
    ]
    columns = ["cell_type", "assay", "target", "path", "scale", "weight"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "samples.csv", index=False)
    return tmp_path


def build(folder, **options):
    return attn.io.build(folder / "samples.csv", annotation=folder / "genes.tsv", **{"bin_size": (100, 500), **options})


def dense(values) -> np.ndarray:
    return values.toarray() if hasattr(values, "toarray") else np.asarray(values)


def assert_same(mdata, other) -> None:
    pd.testing.assert_frame_equal(mdata.obs[list(other.obs)].astype(str), other.obs.astype(str))
    assert list(mdata.mod) == list(other.mod)
    for name, adata in mdata.mod.items():
        pd.testing.assert_frame_equal(adata.var, other[name].var)
        names = {layer for layer in adata.layers.keys() if layer is not None}  # noqa: SIM118
        assert names == {layer for layer in other[name].layers.keys() if layer is not None}  # noqa: SIM118
        for layer in names:
            np.testing.assert_array_equal(dense(adata.layers[layer]), dense(other[name].layers[layer]), err_msg=layer)


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_every_observation_is_a_gene_in_a_cell_type(folder):
    mdata = build(folder)
    assert list(mdata.mod) == ["histone", "histone_500bp", "methylation", "tf", "rna"]
    assert mdata.obs["cell_type"].tolist() == ["A"] * N_GENES + ["B"] * N_GENES
    assert mdata.obs_names[7] == "ENSG00000000001@B"
    assert mdata.obs.loc["ENSG00000000002@A", ["gene_name", "chrom", "tss", "strand"]].tolist() == [
        "SOX2",
        "chr1",
        9_000,
        "-",
    ]
    assert mdata["histone"].shape == (12, 40)
    assert mdata["histone_500bp"].shape == (12, 8)
    assert mdata["histone"].var["start"].tolist() == list(range(-2_000, 2_000, 100))
    assert mdata.uns["epiattn"]["schema_version"] == "1"


def test_signal_is_the_weighted_mean_of_scaled_replicates(folder):
    mdata, genes = build(folder), attn.io.read_annotation(folder / "genes.tsv", biotypes=None)
    for modality, size in (("histone", 100), ("histone_500bp", 500)):
        files = {name: folder / f"{name}.bw" for name in ("a1", "a2", "b")}
        each = attn.io.read_signal(files, genes, bin_size=size).layers
        signal = mdata[modality].layers["H3K4me3"]
        np.testing.assert_allclose(signal[:N_GENES], 0.25 * each["a1"] + 2 * 0.75 * each["a2"], rtol=1e-6)
        np.testing.assert_array_equal(signal[N_GENES:], each["b"])
    # chr1:2500-3500 of 2.5 around the TSS at 3,000 on the + strand, whatever the file calls the chromosome
    np.testing.assert_array_equal(mdata["histone"].layers["ATAC"][0], np.repeat([0, 2.5, 0], [15, 10, 15]))


def test_what_a_cell_type_lacks_is_marked(folder):
    mdata = build(folder)
    measured = mdata["histone"].obsm["measured"].groupby(mdata.obs["cell_type"], observed=True).all()
    assert measured.to_dict("index") == {"A": {"H3K4me3": True, "ATAC": True}, "B": {"H3K4me3": True, "ATAC": False}}
    assert not mdata["histone"].layers["ATAC"][N_GENES:].any()
    n_cpg = mdata["methylation"].obs["n_cpg"].to_numpy()
    assert n_cpg[:N_GENES].min() > 5
    assert not n_cpg[N_GENES:].any()
    peaks = mdata["tf"].obsm["measured"]["peak"]
    assert peaks.tolist() == [True] * N_GENES + [False] * N_GENES


def test_methylation_tfs_and_expression_are_those_of_the_readers(folder):
    mdata, genes = build(folder), attn.io.read_annotation(folder / "genes.tsv", biotypes=None)
    methylation = attn.io.read_methylation(folder / "meth.cov", genes)
    np.testing.assert_array_equal(
        dense(mdata["methylation"].layers["beta"])[:N_GENES], dense(methylation.layers["beta"])
    )
    expression = attn.io.read_expression(folder / "rpkm.tsv")
    np.testing.assert_allclose(mdata["rna"].X.ravel(), expression.to_numpy().T.ravel(), rtol=1e-6)
    assert set(mdata.obs["label"].dropna()) == {"low", "high"}
    tf = mdata["tf"]
    assert tf.var_names.tolist() == ["CTCF", "KLF4", "MYC"]
    assert dense(tf.layers["binding"])[0].tolist() == pytest.approx([0, 0, 1])  # MYC -> TP53, confidence A
    assert dense(tf.layers["mode"])[2].tolist() == pytest.approx([-1, 0, 0])  # CTCF -| SOX2
    assert dense(tf.layers["peak"])[0].tolist() == pytest.approx([0, 0, 7.5])
    level = expression.loc["ENSG00000000001"]  # of MYC itself
    assert dense(tf.layers["expression"])[[0, N_GENES], 2].tolist() == pytest.approx([level["A"], level["B"]])


def test_a_model_can_be_fitted_at_once(folder):
    mdata = build(folder)
    mdata.obs["split"] = ["train", "train", "validation", "validation", "test", "test"] * 2
    mdata.obs["label"] = ["low", "high"] * N_GENES
    attn.tl.fit(mdata, max_epochs=1)
    assert np.isfinite(mdata.obsm["X_attn"]).all()


def test_only_expression_or_only_one_mark_works(folder):
    table = pd.read_csv(folder / "samples.csv").assign(
        path=lambda table: [str(folder / path) for path in table["path"]]
    )
    mdata = attn.io.build(table.iloc[[6]], annotation=folder / "genes.tsv")
    assert list(mdata.mod) == ["histone"]
    assert "measured" not in mdata["histone"].obsm
    assert "label" not in mdata.obs


def test_genes_of_expression_may_go_by_name(folder):
    genes = pd.read_csv(folder / "genes.tsv", sep="\t")
    table = pd.read_csv(folder / "rpkm.tsv", sep="\t")
    table.assign(gene=genes["gene_name"]).to_csv(folder / "rpkm.tsv", sep="\t", index=False)
    by_name = build(folder)["rna"].X
    table.to_csv(folder / "rpkm.tsv", sep="\t", index=False)
    np.testing.assert_array_equal(by_name, build(folder)["rna"].X)


def test_each_resolution_may_have_a_window_of_its_own(folder):
    mdata = build(folder, window=(1_000, 2_500), bin_size=(100, 500))
    for modality, window, size in (("histone", 1_000, 100), ("histone_500bp", 2_500, 500)):
        alone = build(folder, window=window, bin_size=size)["histone"]
        pd.testing.assert_frame_equal(mdata[modality].var, alone.var)
        for mark in ("H3K4me3", "ATAC"):
            np.testing.assert_array_equal(mdata[modality].layers[mark], alone.layers[mark])
    assert mdata["methylation"].uns["window"] == 1_000
    assert mdata.uns["epiattn"]["built"]["window"].tolist() == [1_000, 2_500]
    mdata.obs["split"] = ["train", "train", "validation", "validation", "test", "test"] * 2
    mdata.obs["label"] = ["low", "high"] * N_GENES
    attn.tl.fit(mdata, max_epochs=1)
    assert np.isfinite(mdata.obsm["X_attn"]).all()


# --- wherever it runs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5mu", ".zarr"])
def test_files_hold_the_same(folder, suffix):
    output = folder / f"data{suffix}"
    expected, mdata = build(folder), build(folder, output=output, n_jobs=2)
    assert_same(mdata, expected)
    read = mudata.read_h5mu(output) if suffix == ".h5mu" else mudata.read_zarr(output)
    assert_same(read, expected)
    mdata.write_h5mu(folder / "again.h5mu")
    hidden = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    assert hidden == []
    first, *lines = describe(output)
    assert first == f"{expected.n_obs} observations of A, B"
    assert [line.split(":")[0] for line in lines] == sorted(expected.mod)
    assert f"histone: {expected['histone'].n_vars} bins; ATAC, H3K4me3" in lines
    assert "rna: expression" in lines


def test_on_a_dask_cluster(folder):
    distributed = pytest.importorskip("dask.distributed")
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        assert_same(build(folder, client=client), build(folder))


def test_command_line(folder):
    arguments = ["build", str(folder / "samples.csv"), "--annotation", str(folder / "genes.tsv"), "--bin-size", "100"]
    output = folder / "cli.h5mu"
    result = CliRunner().invoke(app, [*arguments, "--bin-size", "500", "-o", str(output), "--n-jobs", "2"])
    assert result.exit_code == 0, result.output
    assert_same(mudata.read_h5mu(output), build(folder))
    assert all(f"  {line}\n" in result.output for line in describe(output))
    assert result.output.endswith(f"Next:  epiattn fit {output} -o fitted.h5mu\n")
    marks = [line for line in (folder / "samples.csv").read_text().splitlines() if ",rna," not in line]
    (folder / "marks.csv").write_text("\n".join(marks))
    result = CliRunner().invoke(app, ["build", str(folder / "marks.csv"), *arguments[2:], "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert "Training needs labels" in result.output
    assert "epiattn fit" not in result.output
    windows = ["--bin-size", "500", "--window", "1000", "--window", "2500", "--no-merge-strands"]
    result = CliRunner().invoke(app, [*arguments, *windows, "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert_same(mudata.read_h5mu(output), build(folder, window=(1_000, 2_500), merge_strands=False))
    result = CliRunner().invoke(app, [*arguments, "--window", "777", "-o", str(output)])
    assert result.exit_code == 1
    assert "777" in result.output
    assert "Traceback" not in result.output


# --- when it goes wrong -----------------------------------------------------------------------------------------------


def count_reads(monkeypatch) -> list[str]:
    """Names of the files that are read from now on."""
    read = []
    original = _plan.bin_signal

    def spy(path, *arguments, **options):
        read.append(Path(path).name)
        return original(path, *arguments, **options)

    monkeypatch.setattr(_plan, "bin_signal", spy)
    return read


def test_an_interrupted_build_goes_on_where_it_was(folder, monkeypatch):
    output = folder / "data.h5mu"
    original = _plan.bin_signal

    def interrupted(path, *arguments, **options):
        if Path(path).name == "b.bw":
            raise KeyboardInterrupt
        return original(path, *arguments, **options)

    monkeypatch.setattr(_plan, "bin_signal", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(folder, output=output)
    assert not output.exists()
    monkeypatch.setattr(_plan, "bin_signal", original)
    read = count_reads(monkeypatch)
    mdata = build(folder, output=output)
    assert set(read) == {"b.bw"}
    assert_same(mdata, build(folder))


def test_a_changed_file_is_read_again(folder, monkeypatch):
    output = folder / "data.h5mu"
    whole = (folder / "meth.cov").read_text()
    (folder / "meth.cov").write_text(whole + "chr1\t9\t9\t50\tx\t1\n")
    with pytest.raises(ValueError, match=r"meth\.cov:192"):
        build(folder, output=output, bin_size=100)
    write_bigwig(folder / "a1.bw", 77)
    (folder / "meth.cov").write_text("chr1\t2990\t2990\t50\t2\t2\n")
    read = count_reads(monkeypatch)
    build(folder, output=output, bin_size=100)
    assert set(read) == {"a1.bw"}


def test_a_broken_file_is_named_and_nothing_is_written(folder):
    whole = (folder / "a2.bw").read_bytes()
    (folder / "a2.bw").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a2\.bw") as error:
        build(folder, output=folder / "data.h5mu", n_jobs=2)
    assert not (folder / "data.h5mu").exists()
    assert error.value is not None


def test_a_full_disk_leaves_what_was_there_and_what_was_read(folder, monkeypatch):
    import anndata.io

    output = folder / "data.h5mu"
    output.write_text("precious")
    original = anndata.io.write_elem

    def full(group, name, values, **options):
        if name == "ATAC":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(group, name, values, **options)

    monkeypatch.setattr(anndata.io, "write_elem", full)
    with pytest.raises(OSError, match="could not be written.*No space left") as error:
        build(folder, output=output)
    assert "goes on from there" in error.value.__notes__[0]
    assert output.read_text() == "precious"
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == [".data.h5mu.pieces"]
    monkeypatch.setattr(anndata.io, "write_elem", original)
    read = count_reads(monkeypatch)
    build(folder, output=output)
    assert read == []
    assert mudata.read_h5mu(output).n_obs == 12


@pytest.mark.parametrize("suffix", [".h5mu", ".zarr"])
@pytest.mark.parametrize("free", [1_000, 1_010_000])
def test_a_disk_that_would_be_full_is_noticed_before(folder, monkeypatch, suffix, free):
    """HDF5 crashes the interpreter if it cannot write."""
    monkeypatch.setattr(_output.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(
        OSError, match=r"data\.\w+ could not be written: .*No space left .*: \d MB are free, and up to 2"
    ):
        build(folder, output=folder / f"data{suffix}")
    hidden = sorted(path.name for path in folder.iterdir() if "data" in path.name)
    assert hidden == [f".data{suffix}.pieces"]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"output": "data.csv"}, ValueError, r"\.h5mu or \.zarr"),
        ({"output": "nowhere/data.h5mu"}, FileNotFoundError, "No folder .*nowhere"),
        ({"load": False}, ValueError, "give an output"),
        ({"window": 777}, ValueError, "777"),
        ({"bin_size": (100, 100)}, ValueError, "several different"),
        ({"bin_size": ()}, ValueError, "bin_size"),
        ({"window": (1_000, 2_000, 3_000)}, ValueError, "one for each bin size"),
        ({"window": (1_000, 777)}, ValueError, "777"),
        ({"n_jobs": 0}, ValueError, "n_jobs"),
    ],
)
def test_bad_options(folder, options, error, match):
    if "output" in options:
        options = {"output": folder / options["output"]}
    with pytest.raises(error, match=match):
        build(folder, **options)


def test_a_folder_that_cannot_be_written_to(folder, monkeypatch):
    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(PermissionError, match="Nothing can be written into .*Permission denied"):
        build(folder, output=folder / "data.h5mu")


def test_an_expression_table_without_the_cell_type(folder):
    pd.read_csv(folder / "rpkm.tsv", sep="\t").rename(columns={"B": "C"}).to_csv(
        folder / "rpkm.tsv", sep="\t", index=False
    )
    with pytest.raises(ValueError, match=r"rpkm\.tsv.*'B'"):
        build(folder)


def test_an_expression_table_of_other_genes(folder):
    table = pd.read_csv(folder / "rpkm.tsv", sep="\t")
    table.assign(gene=[f"x{i}" for i in range(6)]).to_csv(folder / "rpkm.tsv", sep="\t", index=False)
    sheet = pd.read_csv(folder / "samples.csv")
    sheet[sheet["assay"] != "tf"].to_csv(folder / "samples.csv", index=False)
    with pytest.raises(ValueError, match="expression of none of the genes"):
        build(folder)


def test_tables_are_checked_before_tracks_are_read(folder, monkeypatch):
    read = count_reads(monkeypatch)
    genes = pd.read_csv(folder / "genes.tsv", sep="\t").drop(columns="gene_name")
    genes.to_csv(folder / "genes.tsv", sep="\t", index=False)
    edges = pd.DataFrame({"tf": ["MYC"], "confidence": ["A"], "target": ["ENSG00000000000"], "mor": [1]})
    edges.to_csv(folder / "regulons.tsv", sep="\t", index=False)
    with pytest.raises(ValueError, match=r"regulons\.tsv, of 'A': expression knows none of the 1 TFs \('MYC'\)"):
        build(folder)
    (folder / "rpkm.tsv").write_text("gene\tA\tC\nENSG00000000000\t1\t2\n")
    with pytest.raises(ValueError, match=r"rpkm\.tsv.*'B'"):
        build(folder)
    assert read == []

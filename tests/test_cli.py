"""The command line."""

from __future__ import annotations

import mudata
import pandas as pd
import pytest
from typer.testing import CliRunner

import epiattn as attn
from epiattn.cli import app

pytestmark = pytest.mark.filterwarnings("ignore")  # scanpy's and matplotlib's, on the way to the picture


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_demo_writes_data_pictures_and_model(tmp_path):
    output = run("demo", "--output", tmp_path / "demo", "--n-genes", 120)
    header, *table = output[output.index("ROC AUC") :].splitlines()[:7]
    assert header.split()[2:] == ["genes", "oracle", "logistic", "epiattn"]
    assert [row.split()[:2] for row in table] == [
        [part, cell_type] for part in ("validation", "test") for cell_type in ("liver", "brain", "blood")
    ]
    assert 0 < sum(int(row.split()[2]) for row in table) < 240
    assert all(0 <= float(value) <= 1 for row in table for value in row.split()[3:])
    assert "Next, in Python" in output
    mdata = mudata.read_h5mu(tmp_path / "demo" / "demo.h5mu")
    assert {"X_attn", "X_umap"} <= set(mdata.obsm.keys())
    for name in ("latent", "history", "profile", "attention"):
        assert (tmp_path / "demo" / f"{name}.png").stat().st_size > 10_000
    assert (tmp_path / "demo" / "model" / "model.pt").exists()


def test_simulate_fit_embed(tmp_path):
    run("simulate", "-o", tmp_path / "data.h5mu", "--n-genes", 100, "--cell-types", 1)
    run("fit", tmp_path / "data.h5mu", "-o", tmp_path / "fit.h5mu", "--model-dir", tmp_path / "m", "--max-epochs", 1)
    output = run("embed", tmp_path / "data.h5mu", tmp_path / "m", "-o", tmp_path / "new.h5mu")
    fitted, embedded = (mudata.read_h5mu(tmp_path / name).obsm["X_attn"] for name in ("fit.h5mu", "new.h5mu"))
    assert (fitted == embedded).all()
    assert output.startswith("all: n_obs 100, auc ")


def test_one_model_per_cell_type_under_another_key(tmp_path):
    run("simulate", "-o", tmp_path / "data.h5mu", "--n-genes", 100, "--cell-types", 2)
    options = ("--per", "cell_type", "--key-added", "own", "--max-epochs", 1)
    output = run("fit", tmp_path / "data.h5mu", "-o", tmp_path / "fit.h5mu", *options)
    assert output.count("cell_type_1") == 3
    assert "X_own" in mudata.read_h5mu(tmp_path / "fit.h5mu").obsm


def test_an_ensemble_with_intervals(tmp_path):
    run("simulate", "-o", tmp_path / "data.h5mu", "--n-genes", 100, "--cell-types", 1)
    options = ("--n-models", 2, "--target", "expression", "--interval", 0.8, "--max-epochs", 1)
    output = run("fit", tmp_path / "data.h5mu", "-o", tmp_path / "fit.h5mu", *options)
    assert "coverage" in output
    assert {"attn_score_sd", "attn_score_low", "attn_score_high"} <= set(mudata.read_h5mu(tmp_path / "fit.h5mu").obs)


def fails(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 1
    return result.output


def test_errors_are_sentences(tmp_path):
    data = tmp_path / "data.h5mu"
    run("simulate", "-o", data, "--n-genes", 60, "--cell-types", 1)
    output = fails("fit", data, "-o", tmp_path / "fit.h5mu", "--model", "multiattention")
    assert output.startswith("Error: Unknown model 'multiattention'; known are")
    assert "Did you mean 'multi_attention'?" in output
    assert "Traceback" not in output
    with pytest.raises(ValueError, match="Unknown model"):
        run_and_raise("--traceback", "fit", data, "-o", tmp_path / "fit.h5mu", "--model", "multiattention")


def run_and_raise(*arguments):
    CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_files_are_refused_before_any_work_is_done(tmp_path, monkeypatch):
    data, text, broken = (tmp_path / name for name in ("data.h5mu", "samples.csv", "broken.h5mu"))
    run("simulate", "-o", data, "--n-genes", 60, "--cell-types", 1)
    text.write_text("cell_type,assay,target,path\n")
    broken.write_text("no HDF5")
    monkeypatch.setattr(attn.tl, "fit", lambda *_, **__: pytest.fail("it was fitted"))
    assert "must end in .h5mu or .zarr, not 'fit.h5ad'" in fails("fit", data, "-o", tmp_path / "fit.h5ad")
    assert "No folder" in fails("fit", data, "-o", tmp_path / "none" / "fit.h5mu")
    assert "samples.csv must be a MuData" in fails("fit", text, "-o", tmp_path / "fit.h5mu")
    assert "broken.h5mu cannot be read as a MuData" in fails("fit", broken, "-o", tmp_path / "fit.h5mu")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.h5mu", "data.h5mu", "samples.csv"]


def test_zarr_is_read_and_written(tmp_path):
    run("simulate", "-o", tmp_path / "data.zarr", "--n-genes", 100, "--cell-types", 1)
    run("fit", tmp_path / "data.zarr", "-o", tmp_path / "fit.zarr", "--max-epochs", 1)
    assert "X_attn" in mudata.read_zarr(tmp_path / "fit.zarr").obsm


def test_benchmark_prints_the_table_and_writes_it(tmp_path):
    data = tmp_path / "data.h5mu"
    attn.datasets.simulate(n_genes=150, cell_types=2, n_tfs=5, max_cpgs=5).write_h5mu(data)
    folder = tmp_path / "results"
    options = ["--models", "prevalence,logistic,gene_mean", "--n-folds", "3", "--n-jobs", "1", "-o", str(folder)]
    result = CliRunner().invoke(app, ["benchmark", str(data), *options])
    assert result.exit_code == 0, result.output
    names = ("logistic", "prevalence", "gene_mean")
    lines = [line.split() for line in result.stdout.splitlines() if line.startswith(names)]
    assert [line[0] for line in lines] == list(names)
    assert lines[2][1] == "NA"
    written = {path.name for path in folder.iterdir()}
    plots = {f"{name}.png" for name in ("benchmark", "roc", "precision_recall", "calibration", "by_cell_type")}
    assert {"report.html", "summary.csv", "folds.csv", "runs"} | plots == written
    command = f"epiattn benchmark {data} --models prevalence,logistic,gene_mean --output {folder}"
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert f"<pre><code>{command} --n-folds 3 --n-jobs 1</code></pre>" in report
    table = pd.read_csv(folder / "folds.csv")
    assert set(table["model"]) == {"logistic", "prevalence", "gene_mean"}

"""The command line: a thin skin over the Python interface."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from mudata import MuData


class _PlainErrors(TyperGroup):
    """Errors as a sentence, and where in the code they came from only if one asks."""

    def invoke(self, context: Any) -> Any:
        try:
            return super().invoke(context)
        except (OSError, ValueError, TypeError, ImportError) as error:
            if context.params["traceback"]:
                raise
            typer.echo("\n".join([f"Error: {error}", *getattr(error, "__notes__", [])]), err=True)
            raise typer.Exit(1) from None


def _check_output(path: Path) -> Path:
    """Refused before any work is done."""
    from epiattn.io._output import check_output

    check_output(path)
    return path


app = typer.Typer(
    cls=_PlainErrors,
    help="Learn how epigenetic marks regulate genes, cell type by cell type.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

Input = Annotated[Path, typer.Argument(help="MuData file (.h5mu or .zarr).", exists=True)]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="MuData to write (.h5mu or .zarr).", callback=_check_output)
]


@app.callback()
def main(
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where in the code an error came from.")] = False,
) -> None:
    """Learn how epigenetic marks regulate genes, cell type by cell type."""
    # mudata 0.3 announces at every copy and file what 0.4 does differently; it changes nothing here.
    warnings.filterwarnings("ignore", "From 0.4", FutureWarning)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("epiattn-demo"),
    n_genes: Annotated[int, typer.Option(help="Genes in each of three cell types.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Seed of the data and of the training.")] = 0,
) -> None:
    """Simulate data, train, cluster and draw: the first minute with the package."""
    import matplotlib as mpl
    import scanpy as sc

    import epiattn as attn

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    mdata = attn.datasets.simulate(n_genes=n_genes, cell_types=("liver", "brain", "blood"), seed=seed)
    typer.echo(f"Simulated {n_genes:,} genes in 3 cell types: {mdata.n_obs:,} observations.")
    mdata = attn.tl.fit(mdata, max_epochs=40, seed=seed, model_dir=folder / "model")
    sc.pp.neighbors(mdata, use_rep="X_attn", random_state=seed)
    sc.tl.leiden(mdata, resolution=0.3, flavor="igraph", n_iterations=2, random_state=seed)
    sc.tl.umap(mdata, random_state=seed)

    figures: dict[str, Any] = {
        "latent": attn.pl.latent(mdata, color=["label", "attn_score", "leiden", "truth_program"]),
        "history": attn.pl.history(mdata),
        "profile": attn.pl.profile(mdata),
        "attention": attn.pl.attention(mdata).figure,
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150, bbox_inches="tight")
    mdata.write_h5mu(folder / "demo.h5mu")
    _print_demo_table(mdata)
    typer.echo(_DEMO_TEXT.format(folder=folder, seconds=mdata.uns["attn"]["seconds"]))


def _print_demo_table(mdata: MuData) -> None:
    """ROC AUC by part of the split and cell type, beside the best score possible and a simple model's."""
    import epiattn as attn

    high = (mdata.obs["label"] == "high").to_numpy(dtype=float)
    scores = {
        "oracle": mdata.obs["truth_probability"].to_numpy(),
        "logistic": attn.baselines.logistic(mdata),
        "epiattn": mdata.obs["attn_score"].to_numpy(),
    }
    typer.echo(f"\nROC AUC{'':<17}{'genes':>7}" + "".join(f"{name:>10}" for name in scores))
    for part in ("validation", "test"):
        for cell_type in mdata.obs["cell_type"].cat.categories:
            rows = ((mdata.obs["split"] == part) & (mdata.obs["cell_type"] == cell_type)).to_numpy()
            values = [attn.metrics.roc_auc(high[rows], score[rows]) for score in scores.values()]
            typer.echo(f"{part:<12}{cell_type:<12}{rows.sum():>7,}" + "".join(f"{value:>10.3f}" for value in values))


_DEMO_TEXT = """
oracle    the noise-free truth behind the simulation, the best score there can be
logistic  logistic regression on the total of each mark
epiattn   marks, methylation and TFs; trained in {seconds:.0f} s on the other chromosomes

Written to {folder}/
  latent.png     genes in the regulatory latent space: genes of one simulated program lie together
  attention.png  where around the TSS the model looks
  profile.png    mean signal of each mark around the TSS
  history.png    the training
  demo.h5mu      the data with the latent space, attention and predictions
  model/         the trained model

Next, in Python:

  import mudata
  import epiattn as attn

  mdata = mudata.read_h5mu("{folder}/demo.h5mu")
  mdata.obsm["X_attn"]                          # the regulatory latent space
  mdata.uns["attn"]["metrics_by_cell_type"]     # how good the model is
  attn.pl.attention(mdata, modality="tf")       # how attention is spread over TFs

With your own data in a MuData:  mdata = attn.tl.fit(mdata)"""


@app.command()
def simulate(
    output: Output,
    n_genes: Annotated[int, typer.Option(help="Genes.")] = 2_000,
    cell_types: Annotated[int, typer.Option(help="Cell types.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Write a simulated data set."""
    import epiattn as attn

    _write(attn.datasets.simulate(n_genes=n_genes, cell_types=cell_types, seed=seed), output)
    typer.echo(f"Wrote {output}.")


@app.command()
def build(
    sheet: Annotated[Path, typer.Argument(help="Sample sheet (CSV, TSV or YAML).", exists=True, dir_okay=False)],
    annotation: Annotated[Path, typer.Option(help="Genes: GTF, BED or table.", exists=True, dir_okay=False)],
    output: Output,
    window: Annotated[list[int], typer.Option(help="Bases on each side of the TSS; one, or one a bin size.")] = [2_000],  # noqa: B006
    bin_size: Annotated[list[int], typer.Option(help="Bases of a bin; repeat it for several resolutions.")] = [100],  # noqa: B006
    max_cpgs: Annotated[int, typer.Option(help="Most CpGs of a gene.")] = 436,
    min_coverage: Annotated[int, typer.Option(help="Least reads of a CpG.")] = 1,
    merge_strands: Annotated[bool, typer.Option(help="Take the two strands of a CpG as one.")] = True,
    biotype: Annotated[list[str], typer.Option(help="Biotypes of genes; 'all' for all.")] = ["protein_coding"],  # noqa: B006
    blacklist: Annotated[Path | None, typer.Option(help="BED of regions to leave out.", exists=True)] = None,
    n_jobs: Annotated[int, typer.Option(help="Processes; -1: one for each core.")] = 1,
) -> None:
    """Read raw tracks around every gene into one data set. An interrupted build goes on where it was."""
    import epiattn as attn
    from epiattn.io._output import describe

    attn.io.build(
        sheet,
        annotation=annotation,
        window=window,
        bin_size=bin_size,
        max_cpgs=max_cpgs,
        min_coverage=min_coverage,
        merge_strands=merge_strands,
        biotypes=None if biotype == ["all"] else biotype,
        blacklist=blacklist,
        output=output,
        load=False,
        n_jobs=n_jobs,
    )
    lines = describe(output)
    typer.echo("\n".join([f"Wrote {output}:", *(f"  {line}" for line in lines)]))
    if any(line.startswith("rna:") for line in lines):
        typer.echo(f"Next:  epiattn fit {output} -o fitted.h5mu")
    else:
        typer.echo('Training needs labels: a line "rna" in the sheet, or a column "label" in obs.')


@app.command()
def fit(
    data: Input,
    output: Output,
    model: Annotated[str, typer.Option(help="Name of the model.")] = "multi_attention",
    target: Annotated[str, typer.Option(help="'label' or 'expression'.")] = "label",
    model_dir: Annotated[Path | None, typer.Option(help="Folder to save the model in.")] = None,
    max_epochs: Annotated[int | None, typer.Option(help="Passes over the training data.")] = None,
    per: Annotated[str | None, typer.Option(help="'cell_type': one model for each; default: one for all.")] = None,
    n_models: Annotated[int, typer.Option(help="Models with seeds of their own, whose mean is taken.")] = 1,
    interval: Annotated[float | None, typer.Option(help="Level of intervals around predicted expression.")] = None,
    key_added: Annotated[str, typer.Option(help="Prefix of what is written.")] = "attn",
    n_jobs: Annotated[
        int | None, typer.Option(help="Processes that train several models; default: where it pays.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Train a model on a data set and write what it found."""
    import epiattn as attn

    mdata = attn.tl.fit(
        _read(data),
        model=model,
        target=target,
        model_dir=model_dir,
        max_epochs=max_epochs,
        per=per,
        n_models=n_models,
        interval=interval,
        key_added=key_added,
        n_jobs=n_jobs,
        seed=seed,
    )
    _write(mdata, output)
    _print_metrics(mdata, key_added)
    typer.echo(f"Wrote {output}.")


@app.command()
def embed(
    data: Input,
    model_dir: Annotated[Path, typer.Argument(help="Folder of a saved model.", exists=True, file_okay=False)],
    output: Output,
    key_added: Annotated[str, typer.Option(help="Prefix of what is written.")] = "attn",
) -> None:
    """Apply a saved model to a data set and write what it found."""
    import epiattn as attn

    mdata = attn.tl.embed(_read(data), model_dir, key_added=key_added)
    _write(mdata, output)
    _print_metrics(mdata, key_added)
    typer.echo(f"Wrote {output}.")


@app.command()
def benchmark(
    context: typer.Context,
    data: Input,
    models: Annotated[
        str, typer.Option(help="Names separated by commas, such as 'multi_attention x5'; 'all'; 'baselines'.")
    ] = "all",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; what is done is kept there.")] = Path(
        "epiattn-benchmark"
    ),
    target: Annotated[str, typer.Option(help="'label' or 'expression'.")] = "label",
    by: Annotated[str, typer.Option(help="'chrom', 'random', 'cell_type', 'hybrid', or a column of obs.")] = "chrom",
    n_folds: Annotated[int | None, typer.Option(help="Folds; default: 4.")] = None,
    preset: Annotated[str | None, typer.Option(help="Published folds, such as 'chromoformer'.")] = None,
    n_seeds: Annotated[int, typer.Option(help="Trainings of each model on each fold.")] = 1,
    max_epochs: Annotated[int | None, typer.Option(help="Passes over the training data.")] = None,
    n_jobs: Annotated[int | None, typer.Option(help="Processes; default: one for each core where it pays.")] = None,
) -> None:
    """Compare models and baselines on the same folds; print the table, write it as CSV and as a report, and draw it."""
    import matplotlib as mpl

    import epiattn as attn
    from epiattn._report import write_report

    mpl.use("Agg")
    mdata = _read(data)
    chosen = [name.strip() for name in models.split(",")]
    options: dict[str, Any] = {} if max_epochs is None else {"max_epochs": max_epochs}
    folds = attn.tl.benchmark(
        mdata,
        models=chosen[0] if chosen[0] in ("all", "baselines") else chosen,
        target=target,
        by=by,
        n_folds=n_folds,
        preset=preset,
        seeds=range(n_seeds),
        n_jobs=n_jobs,
        folder=output / "runs",
        **options,
    )
    folds.to_csv(output / "folds.csv", index=False)
    mdata.uns["benchmark"]["summary"].to_csv(output / "summary.csv", index=False)
    plots: dict[str, Any] = {"benchmark": attn.pl.benchmark}
    if target == "label":
        plots |= {"roc": attn.pl.roc, "precision_recall": attn.pl.precision_recall, "calibration": attn.pl.calibration}
    if "cell_type" in mdata.obs and mdata.obs["cell_type"].nunique() > 1:
        plots["by_cell_type"] = attn.pl.by_cell_type
    figures = {name: plot(mdata).figure for name, plot in plots.items()}
    for name, figure in figures.items():
        figure.savefig(output / f"{name}.png", dpi=150, bbox_inches="tight")
    write_report(mdata, output / "report.html", figures=figures, command=_command_of(context), data=data.name)
    _print_benchmark(mdata)
    written = ["report.html", "summary.csv", "folds.csv", *(f"{name}.png" for name in plots)]
    typer.echo(f"Wrote {output}/: " + ", ".join(written) + ".")


def _read(path: Path) -> MuData:
    from epiattn._compat import read
    from epiattn.io._output import SUFFIXES

    if path.suffix not in SUFFIXES:
        msg = f"{path} must be a MuData, in a file that ends in .h5mu or .zarr; `epiattn build` makes one."
        raise ValueError(msg)
    try:
        return read(path)
    except (OSError, ValueError, TypeError, KeyError) as error:
        msg = f"{path} cannot be read as a MuData: {error}"
        raise ValueError(msg) from error


def _write(mdata: MuData, path: Path) -> None:
    """Under its name when it is whole."""
    from epiattn.io._output import write

    write(mdata, (), path)


def _command_of(context: typer.Context) -> str:
    """The command line of a call, with the options that were given."""
    words = ["epiattn", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            option = [parameter.opts[0]] if parameter.param_type_name == "option" else []
            words += [*option, str(context.params[name])]
    return shlex.join(words)


def _print_benchmark(mdata: MuData) -> None:
    """The first metric, from the best model to the worst."""
    import numpy as np

    import epiattn as attn

    table = attn.get.benchmark(mdata)
    best = table.attrs["best_baseline"]
    typer.echo(f"{table.attrs['metric']}: mean over folds and seeds, 95 % interval ({table['method'].iloc[0]})")
    typer.echo(f"{'':<20}{'value':>7}  {'interval':<14}  {'difference to ' + best:<34}{'seconds':>8}")
    for row in table.itertuples():
        if not np.isfinite(row.value):
            typer.echo(f"{row.model:<20}{'NA':>7}  {row.note}")
            continue
        difference = ""
        if np.isfinite(row.difference):
            interval = f"({row.difference_low:+.3f} to {row.difference_high:+.3f})"
            difference = f"{row.difference:+.3f} {interval}, p = {row.p_value:.2g}"
        interval = f"{row.low:.3f} to {row.high:.3f}"
        typer.echo(f"{row.model:<20}{row.value:>7.3f}  {interval:<14}  {difference:<34}{row.seconds:>8.1f}")


def _print_metrics(mdata: MuData, key: str) -> None:
    """Metrics of each part, and of each cell type if there are several; nothing where there is no truth."""
    record = mdata.uns[key]
    for part, values in record["metrics"].items():
        typer.echo(f"{part}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    table = record.get("metrics_by_cell_type")
    if table is not None and table["cell_type"].nunique() > 1:
        typer.echo(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"))

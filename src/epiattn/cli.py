"""The command line: a thin skin over the Python interface."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Learn how epigenetic marks regulate genes, cell type by cell type.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

Input = Annotated[Path, typer.Argument(help="MuData file (.h5mu).", exists=True, dir_okay=False)]
Output = Annotated[Path, typer.Option("--output", "-o", help="MuData file to write (.h5mu).")]


@app.callback()
def main() -> None:
    """Learn how epigenetic marks regulate genes, cell type by cell type."""


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path("epiattn-demo"),
    n_genes: Annotated[int, typer.Option(help="Genes in each of three cell types.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Seed of the data and of the training.")] = 0,
) -> None:
    """Simulate data, train, cluster and draw: the first minute with the package."""
    import scanpy as sc

    import epiattn as attn

    folder.mkdir(parents=True, exist_ok=True)
    mdata = attn.datasets.simulate(n_genes=n_genes, cell_types=3, seed=seed)
    typer.echo(f"Simulated {mdata.n_obs:,} observations: {n_genes:,} genes in 3 cell types.")
    mdata = attn.tl.fit(mdata, seed=seed, model_dir=folder / "model")
    sc.pp.neighbors(mdata, use_rep="X_attn", random_state=seed)
    sc.tl.leiden(mdata, flavor="igraph", random_state=seed)
    sc.tl.umap(mdata, random_state=seed)
    _draw_umap(mdata, folder / "umap.png")
    mdata.write_h5mu(folder / "demo.h5mu")

    typer.echo(f"\n{'part':<12}{'genes x cell types':>20}{'ROC AUC':>10}")
    for part, values in mdata.uns["attn"]["metrics"].items():
        typer.echo(f"{part:<12}{values['n_obs']:>20,}{values['auc']:>10.3f}")
    typer.echo(f"\nTrained in {mdata.uns['attn']['seconds']:.0f} s. Written to {folder}/:")
    typer.echo("  demo.h5mu   the data with the latent space, attention and predictions")
    typer.echo("  umap.png    the regulatory latent space")
    typer.echo("  model/      the trained model")
    typer.echo("\nNext, in Python:\n")
    typer.echo("  import mudata")
    typer.echo(f"  mdata = mudata.read_h5mu('{folder}/demo.h5mu')")
    typer.echo("  mdata.obsm['X_attn']                              # regulatory latent space")
    typer.echo("  mdata['histone'].layers['attn_attention']         # where in the promoter the model looked")


def _draw_umap(mdata, path: Path) -> None:  # type: ignore[no-untyped-def]
    import matplotlib as mpl
    import scanpy as sc

    with mpl.rc_context({"savefig.dpi": 150}):
        mpl.use("Agg")
        figure = sc.pl.umap(
            mdata,
            color=["cell_type", "label", "attn_score"],
            title=["cell type", "expression", "predicted probability of high expression"],
            cmap="viridis",
            frameon=False,
            show=False,
            return_fig=True,
        )
        figure.savefig(path, bbox_inches="tight")


@app.command()
def simulate(
    output: Output,
    n_genes: Annotated[int, typer.Option(help="Genes.")] = 2_000,
    cell_types: Annotated[int, typer.Option(help="Cell types.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Write a simulated data set."""
    import epiattn as attn

    attn.datasets.simulate(n_genes=n_genes, cell_types=cell_types, seed=seed).write_h5mu(output)
    typer.echo(f"Wrote {output}.")


@app.command()
def fit(
    data: Input,
    output: Output,
    model: Annotated[str, typer.Option(help="Name of the model.")] = "multi_attention",
    target: Annotated[str, typer.Option(help="'label' or 'expression'.")] = "label",
    model_dir: Annotated[Path | None, typer.Option(help="Folder to save the model in.")] = None,
    max_epochs: Annotated[int | None, typer.Option(help="Passes over the training data.")] = None,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Train a model on a data set and write what it found."""
    import mudata

    import epiattn as attn

    mdata = attn.tl.fit(
        mudata.read_h5mu(data), model=model, target=target, model_dir=model_dir, seed=seed, max_epochs=max_epochs
    )
    mdata.write_h5mu(output)
    for part, values in mdata.uns["attn"]["metrics"].items():
        typer.echo(f"{part}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    typer.echo(f"Wrote {output}.")


@app.command()
def embed(
    data: Input,
    model_dir: Annotated[Path, typer.Argument(help="Folder of a saved model.", exists=True, file_okay=False)],
    output: Output,
) -> None:
    """Apply a saved model to a data set and write what it found."""
    import mudata

    import epiattn as attn

    attn.tl.embed(mudata.read_h5mu(data), model_dir).write_h5mu(output)
    typer.echo(f"Wrote {output}.")

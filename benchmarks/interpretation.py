"""What attribution says on real and on simulated data, and how long it takes: docs/user_guide/interpretation.md.

python benchmarks/interpretation.py biology data.h5mu        # signs of the marks near the TSS, seconds
python benchmarks/interpretation.py difference data.h5mu --groups A B --genes GATA1 LIN28A
python benchmarks/interpretation.py planted                  # causes that a simulation planted
"""

from __future__ import annotations

import argparse
import time
import warnings

import mudata
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

import epiattn as attn

PROMOTER = (-500, 500)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["biology", "difference", "planted"])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--groups", nargs=2)
    parser.add_argument("--genes", nargs="*", default=[])
    parser.add_argument("--n-models", type=int, default=1)
    parser.add_argument("--model-dir", help="kept here, and read from here if it is there")
    arguments = parser.parse_args()
    attn.settings.verbosity = "error"
    warnings.filterwarnings("ignore", "From 0.4", FutureWarning)
    if arguments.what == "planted":
        planted(arguments.n_models)
        return
    mdata = fitted(arguments)
    start = time.perf_counter()
    attn.tl.attribute(mdata)
    seconds = time.perf_counter() - start
    error = mdata.uns["attn_attribution"]["error"]
    print(f"{mdata.n_obs:,} observations, 50 steps, {seconds:.0f} s; completeness: median error {error['median']:.2%},")
    print(f"largest {error['max']:.2%}\n")
    if arguments.what == "biology":
        biology(mdata)
    else:
        difference(mdata, *arguments.groups, arguments.genes)


def fitted(arguments: argparse.Namespace) -> mudata.MuData:
    """The data with a model, trained or read."""
    mdata = mudata.read_h5mu(arguments.data)
    try:
        if arguments.model_dir:
            return attn.tl.embed(mdata, arguments.model_dir)
    except FileNotFoundError:
        pass
    start = time.perf_counter()
    attn.tl.fit(mdata, n_models=arguments.n_models, model_dir=arguments.model_dir)
    print(f"fitted in {time.perf_counter() - start:.0f} s\n")
    return mdata


def biology(mdata: mudata.MuData) -> None:
    """Mean attribution of each mark, and how it goes with the mark's signal, near the TSS and further out."""
    adata = mdata["histone"]
    middle = (adata.var["start"] + adata.var["end"]).to_numpy() / 2
    near = (middle >= PROMOTER[0]) & (middle < PROMOTER[1])
    print("| mark | mean, within 500 bp | mean, further out | correlation with the signal within 500 bp |")
    print("|---|---|---|---|")
    for mark in mdata.uns["attn"]["channels"]["histone"]:
        values = np.asarray(adata.layers[f"attn_attribution_{mark}"])
        signal = np.log1p(np.asarray(adata.layers[mark]))[:, near].sum(1)
        correlation = np.corrcoef(values[:, near].sum(1), signal)[0, 1]
        means = [values[:, bins].sum(1).mean() for bins in (near, ~near)]
        print(f"| {mark} | {means[0]:+.2f} | {means[1]:+.2f} | {correlation:+.2f} |")
    total = mdata.obsm["attn_attribution"]
    for name in ("methylation", "tf"):
        if name in total:
            print(f"| {name} | {total[name].mean():+.2f} (whole window) | | |")


def difference(mdata: mudata.MuData, group: str, reference: str, genes: list[str]) -> None:
    """Features that differ between two cell types, and what differs at some genes."""
    start = time.perf_counter()
    attn.tl.differential_regulation(mdata, group=group, reference=reference)
    print(f"differential regulation in {time.perf_counter() - start:.1f} s\n")
    table = attn.get.differential_regulation(mdata, level="features")
    print("| feature | difference | 95 % interval | p |\n|---|---|---|---|")
    for row in table.itertuples():
        print(f"| {row.feature} | {row.effect:+.3f} | {row.low:+.3f} to {row.high:+.3f} | {row.pvals:.3f} |")
    of_genes = attn.get.differential_regulation(mdata)
    total = mdata.obsm["attn_attribution"].sum(axis=1)
    by_gene = pd.DataFrame({"gene": mdata.obs["gene_id"], "cell": mdata.obs["cell_type"].astype(str), "total": total})
    by_gene = by_gene.pivot_table(index="gene", columns="cell", values="total", observed=True)
    names = of_genes.drop_duplicates("gene_id").set_index(of_genes.drop_duplicates("gene_id")["gene_id"].astype(str))
    print(f"\n| gene | output in {group} less {reference} | what differs most |\n|---|---|---|")
    for gene in genes:
        rows = of_genes[of_genes["gene_name"].astype(str) == gene]
        if not len(rows):
            continue
        which = str(names.loc[str(rows["gene_id"].iloc[0]), "gene_id"])
        change = by_gene.loc[which, group] - by_gene.loc[which, reference]
        what = ", ".join(f"{row.feature} {row.effect:+.2f}" for row in rows.head(3).itertuples())
        print(f"| {gene} | {change:+.2f} | {what} |")


def planted(n_models: int) -> None:
    """Average precision of genes whose program differs between two cell types, and of their causes."""
    mdata = attn.datasets.simulate(n_genes=2_000, cell_types=2)
    attn.tl.attribute(attn.tl.fit(mdata, n_models=n_models))
    attn.tl.differential_regulation(mdata, group="cell_type_0", reference="cell_type_1")
    table = attn.get.differential_regulation(mdata)
    table["size"] = table["effect"].abs()
    largest = table.groupby("gene_id", observed=True)["size"].max()
    program = mdata.obs.pivot(index="gene_id", columns="cell_type", values="truth_program").astype(str)
    differs = (program["cell_type_0"] != program["cell_type_1"]).loc[largest.index]
    print(f"genes: average precision {average_precision_score(differs, largest):.3f} (share {differs.mean():.3f})")
    layers = {mark: mdata["histone"].layers[f"truth_{mark}"] for mark in mdata.uns["attn"]["channels"]["histone"]}
    layers |= {"methylation": mdata["methylation"].layers["truth_cpg"], "tf": mdata["tf"].layers["truth_tf"]}
    names = mdata.obs[["gene_id", "cell_type"]].astype(str)
    for feature, layer in layers.items():
        cause = pd.Series(np.sign(np.asarray(layer.sum(1)).ravel()), index=pd.MultiIndex.from_frame(names)).unstack()
        of_feature = table[(table["feature"] == feature).to_numpy()]
        differs = (cause["cell_type_0"] != cause["cell_type_1"]).loc[of_feature["gene_id"].astype(str)]
        if differs.any():
            found = average_precision_score(differs, of_feature["size"])
            print(f"  {feature}: {found:.3f} (share {differs.mean():.3f})")


if __name__ == "__main__":
    main()

"""All models and baselines on the same folds, as tables in Markdown: what docs/benchmarks.md shows.

    python benchmarks/evaluation.py data.h5mu --seeds 3 --folder runs    # four folds of chromosomes
    python benchmarks/evaluation.py simulated --by cell_type             # a simulation of six cell types
    python benchmarks/evaluation.py simulated --by hybrid --genes 2000 --models multi_attention ridge gradient_boosting
    python benchmarks/evaluation.py data.h5mu --leakage                  # of random and of chromosome splits

What is in the folder is not trained again.
"""

from __future__ import annotations

import argparse
import time
import warnings

import mudata
import numpy as np

import epiattn as attn


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a .h5mu file, or 'simulated'")
    parser.add_argument("--genes", type=int, default=400, help="genes of the simulation")
    parser.add_argument("--models", nargs="+", default=["all"])
    parser.add_argument("--target", default="label")
    parser.add_argument("--by", default="chrom")
    parser.add_argument("--folds", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--folder")
    parser.add_argument("--metrics", nargs="+", help="all that are defined, if not given")
    parser.add_argument("--leakage", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "From 0.4", FutureWarning)
    attn.settings.verbosity = "error"
    mdata = simulated(arguments.genes) if arguments.data == "simulated" else mudata.read_h5mu(arguments.data)
    if arguments.leakage:
        print_leakage(mdata)
        return
    start = time.perf_counter()
    attn.tl.benchmark(
        mdata,
        models=arguments.models if len(arguments.models) > 1 else arguments.models[0],
        target=arguments.target,
        by=arguments.by,
        n_folds=arguments.folds,
        seeds=range(arguments.seeds),
        n_jobs=arguments.jobs,
        folder=arguments.folder,
    )
    print(f"{mdata.n_obs:,} observations, by {arguments.by}, {time.perf_counter() - start:,.0f} s in all\n")
    print_benchmark(mdata, arguments.metrics)
    if "truth_probability" in mdata.obs and arguments.target == "label":
        print_expected(mdata)


def simulated(n_genes: int = 400) -> mudata.MuData:
    """Six cell types that share their genes."""
    return attn.datasets.simulate(n_genes=n_genes, cell_types=6, seed=0)


def print_benchmark(mdata: mudata.MuData, metrics: list[str] | None = None) -> None:
    """The first metric with its difference to the best baseline; then each other metric with its interval."""
    first = attn.get.benchmark(mdata)
    metric, best = first.attrs["metric"], first.attrs["best_baseline"]
    print(f"Intervals: {first['method'].iloc[0]}.\n")
    print(f"| | {metric} | less {best} | p | seconds |\n|---|---|---|---|---|")
    for row in first.itertuples():
        value = between(row.value, row.low, row.high, form=".4f") if np.isfinite(row.value) else row.note
        if np.isfinite(row.difference):
            less = between(row.difference, row.difference_low, row.difference_high, form="+.4f")
            print(f"| {row.model} | {value} | {less} | {row.p_value:.2g} | {row.seconds:.1f} |")
        else:
            print(f"| {row.model} | {value} | | | {row.seconds:.1f} |")
    summary = mdata.uns["benchmark"]["summary"].set_index(["metric", "model"])
    names = metrics or [name for name in dict.fromkeys(summary.index.get_level_values(0)) if name != metric]
    names = [name for name in names if summary.loc[name]["value"].notna().any()]
    print("\n| | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for model in first["model"]:
        rows = [summary.loc[(name, model)] for name in names]
        print(f"| {model} | " + " | ".join(between(row["value"], row["low"], row["high"]) for row in rows) + " |")


def print_expected(mdata: mudata.MuData) -> None:
    """What the ROC AUC within folds would be on average over the labels that the simulation could have drawn."""
    truth, folds = mdata.obs["truth_probability"].to_numpy(float), mdata.obs["benchmark_fold"].astype(str).to_numpy()
    scores = mdata.obsm["benchmark_scores"]
    print("\nAUC expected from the probabilities that the simulation knows:\n\n| | expected AUC |\n|---|---|")
    for name, score in {**{name: scores[name].to_numpy(float) for name in scores}, "the truth": truth}.items():
        rows = [(folds == fold) & np.isfinite(score) for fold in np.unique(folds)]
        if found := [expected_auc(truth[inside], score[inside]) for inside in rows if inside.any()]:
            print(f"| {name} | {np.mean(found):.4f} |")


def expected_auc(probability: np.ndarray, score: np.ndarray) -> float:
    """Pairs of which the first is high and the second low, by their probability: the share that the score sorts."""
    pairs = probability[:, None] * (1 - probability)
    np.fill_diagonal(pairs, 0)
    sorted_right = (score[:, None] > score) + 0.5 * (score[:, None] == score)
    return float((pairs * sorted_right).sum() / pairs.sum())


def between(value: float, low: float, high: float, *, form: str = ".3f") -> str:
    """A number with its interval; empty where there is none."""
    if not np.isfinite(value):
        return ""
    inside = f" ({low:{form}} to {high:{form}})" if np.isfinite(low) and low < high else ""
    return f"{value:{form}}{inside}"


def print_leakage(mdata: mudata.MuData) -> None:
    """What test genes share with training genes in a random split and in one by chromosome."""
    for by in ("random", "chrom"):
        print(f"\nby {by}\n")
        print(attn.pp.leakage(attn.pp.split(mdata, by=by, copy=True)).round(4).to_string(index=False))


if __name__ == "__main__":
    main()

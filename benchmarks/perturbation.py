"""What perturbations and ablation say on real data, and how long they take: docs/user_guide/perturbation.md.

python benchmarks/perturbation.py data.h5mu --n-models 3 --model-dir model
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import mudata
import numpy as np

import epiattn as attn

PROMOTER = (-500, 500)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--n-models", type=int, default=1)
    parser.add_argument("--model-dir", help="kept here, and read from here if it is there")
    parser.add_argument("--figures", help="folder for two figures")
    arguments = parser.parse_args()
    attn.settings.verbosity = "error"
    warnings.filterwarnings("ignore", "From 0.4", FutureWarning)
    mdata = mudata.read_h5mu(arguments.data)
    attn.pp.split(mdata)
    if arguments.model_dir and Path(arguments.model_dir).is_dir():
        attn.tl.embed(mdata, arguments.model_dir)
    else:
        attn.tl.fit(mdata, n_models=arguments.n_models, model_dir=arguments.model_dir)
    perturbations = changes(mdata)
    with Clock(f"tl.perturb, {len(perturbations)} perturbations, {mdata.n_obs:,} observations"):
        attn.tl.perturb(mdata, perturbations, interaction=True)
    with Clock("tl.ablate"):
        attn.tl.ablate(mdata, split_key="split")
    print_effects(mdata)
    print_ablation(mdata)
    if arguments.figures:
        folder = Path(arguments.figures)
        attn.pl.perturbation(mdata, groupby="label").figure.savefig(folder / "perturbation.png", dpi=200)
        attn.pl.ablation(mdata, groupby="label").figure.savefig(folder / "ablation.png", dpi=200)


class Clock:
    """Prints how long something took."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(f"{self.what}: {wall:.1f} s, {cpu:.1f} s of CPU time\n")


def changes(mdata: mudata.MuData) -> dict[str, list[attn.tl.ScaleSignal]]:
    """Known biology near the TSS; marks that the data lack are left out."""
    marks, tl = set(mdata["histone"].layers), attn.tl
    found = {
        "H3K27me3 raised to its 95 % quantile": ["H3K27me3", tl.SetSignal("H3K27me3", "95%", region=PROMOTER)],
        **{
            f"{mark} taken away": [mark, tl.ScaleSignal(mark, 0, region=PROMOTER)]
            for mark in ("H3K4me3", "H3K27ac", "DNase", "H3K27me3", "H3K9me3", "H3K36me3", "H3K4me1")
        },
        "H3K4me3 moved 1 kb downstream": ["H3K4me3", tl.ShiftSignal("H3K4me3", 1000)],
    }
    named = {name: edits for name, (mark, *edits) in found.items() if mark in marks}
    active = [tl.ScaleSignal(mark, 0, region=PROMOTER) for mark in ("H3K4me3", "H3K27ac", "DNase") if mark in marks]
    named["active marks taken away"] = active
    if "methylation" in mdata.mod:
        named["CpGs methylated"], named["CpGs unmethylated"] = [tl.Methylate(PROMOTER)], [tl.Demethylate(PROMOTER)]
    return named


def print_effects(mdata: mudata.MuData) -> None:
    """Mean over the genes that are changed, its interval, and how many of them go down."""
    table = attn.get.perturbation(mdata, changed_only=True)
    changed = mdata.obsm["attn_perturbation_changed"]
    print("| perturbation | genes changed | change of the log-odds | 95 % interval | probability | down | sd |")
    print("|---|---|---|---|---|---|---|")
    for row in table.itertuples():
        down = (mdata.obsm["attn_perturbation"][row.perturbation][changed[row.perturbation]] < 0).mean()
        spread = f"{row.effect_sd:.2f}" if "effect_sd" in table else ""
        interval = f"{row.effect_low:+.2f} to {row.effect_high:+.2f}"
        cells = [row.perturbation, f"{row.n_obs:,}", f"{row.effect:+.2f}", interval, f"{row.probability:+.3f}"]
        print(f"| {' | '.join(cells)} | {down:.0%} | {spread} |")
    print()


def print_ablation(mdata: mudata.MuData) -> None:
    """Loss of accuracy, and shares of the Shapley values."""
    print("| without | AUC | change | 95 % interval |\n|---|---|---|---|")
    for row in attn.get.ablation(mdata, level="accuracy").itertuples():
        print(f"| {row.ablated} | {row.without:.3f} | {row.change:+.3f} | {row.low:+.3f} to {row.high:+.3f} |")
    print(
        f"\nwith everything {row.full:.3f}; {row.method}, n = {row.n_obs:,}; {mdata.uns['attn_ablation']['baseline']}"
    )
    for groupby in (None, "label"):
        table = attn.get.ablation(mdata, groupby=groupby)
        print(table[table["quantity"] == "share"].pivot_table(index="group", columns="ablated", values="mean").round(3))
    total = mdata.obsm["attn_ablation_shapley"].sum(axis=1)
    print(f"sum of the Shapley values: {np.mean(total):+.2f} on average")


if __name__ == "__main__":
    main()

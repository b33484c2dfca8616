"""Whether explanations say what a model uses: the tables of docs/user_guide/faithfulness.md.

python benchmarks/faithfulness.py test data.h5mu --figure faithfulness.png    # deletion, sanity checks, agreement
python benchmarks/faithfulness.py planted --n-models 3                        # planted marks and bins, by definition
"""

from __future__ import annotations

import argparse
import time
import warnings

import mudata
import numpy as np
from scipy.ndimage import gaussian_filter1d
from sklearn.metrics import average_precision_score

import epiattn as attn


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["test", "planted"])
    parser.add_argument("data", nargs="?", help="None: simulated, 3,000 genes in three cell types")
    parser.add_argument("--n-models", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the simulation")
    parser.add_argument("--n-obs", type=int, default=300)
    parser.add_argument("--checks", nargs="*", default=["weights", "labels", "seeds"])
    parser.add_argument("--max-epochs", type=int, default=6, help="of models that are trained for the checks")
    parser.add_argument("--figure")
    arguments = parser.parse_args()
    attn.settings.verbosity = "error"
    warnings.filterwarnings("ignore", "From 0.4", FutureWarning)
    given = arguments.data
    mdata = mudata.read_h5mu(given) if given else attn.datasets.simulate(3_000, 3, seed=arguments.seed)
    attn.tl.fit(mdata, n_models=arguments.n_models)
    if arguments.what == "planted":
        planted(mdata, arguments.n_obs)
        return
    start = time.perf_counter()
    options = {"n_obs": arguments.n_obs, "checks": arguments.checks, "max_epochs": arguments.max_epochs}
    attn.tl.faithfulness(mdata, **options)
    print(f"{time.perf_counter() - start:.0f} s\n")
    show(mdata)
    if arguments.figure:
        attn.pl.faithfulness(mdata).savefig(arguments.figure, dpi=200)


def show(mdata: mudata.MuData) -> None:
    """Verdicts, sanity checks and agreement as Markdown."""
    tests = attn.get.faithfulness(mdata, table="tests")
    verdicts = attn.get.faithfulness(mdata).set_index(["modality", "method"])
    passes, sane = verdicts["passes"], verdicts.get("sane", verdicts["passes"] | True)
    print("| modality | order | deletion above random | insertion above random | passes |\n|---|---|---|---|---|")
    against = tests[tests["against"] == "random"]
    for (modality, method), rows in against.groupby(["modality", "method"], sort=False):
        cells = [f"{row.difference:.3f} ({row.low:.3f} to {row.high:.3f})" for row in rows.itertuples()]
        verdict = {True: "yes", False: "no"}.get(passes.get((modality, method)), "")
        verdict += "" if sane.get((modality, method), True) else ", but is not sane"
        print(f"| {modality} | {method} | {' | '.join(cells)} | {verdict} |")
    for table in ("sanity", "stability", "agreement", "planted"):
        if table in mdata.uns["attn_faithfulness"]:
            found = attn.get.faithfulness(mdata, table=table)
            print(f"\n{table}\n")
            for row in found.itertuples():
                value = row.average_precision if table == "planted" else row.correlation
                who = " ".join(str(getattr(row, name)) for name in ("check", "other") if name in found)
                more = f" pooled {row.pooled:.3f}, chance {row.chance:.3f}" if table == "planted" else ""
                more += (
                    f" deletion {row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})" if table == "sanity" else ""
                )
                print(f"| {row.modality} | {row.method} | {who} | {value:.3f} |{more}")


def planted(mdata: mudata.MuData, n_obs: int) -> None:
    """Average precision of planted (mark, bin), by definition of score and of truth."""
    test = np.flatnonzero((mdata.obs["split"] == "test").to_numpy())
    rows = np.sort(np.random.default_rng(0).choice(test, min(n_obs, len(test)), replace=False))
    attn.tl.attribute(mdata, genes=list(mdata.obs_names[rows]))
    layers, marks = mdata["histone"].layers, mdata.uns["attn"]["channels"]["histone"]

    def stack(name: str) -> np.ndarray:
        return np.stack([np.asarray(layers[name.format(mark)][rows], dtype=float) for mark in marks], axis=1)

    causes = np.stack([layers[f"truth_{mark}"][rows].toarray() != 0 for mark in marks], axis=1)
    there = causes.any((1, 2))
    found, signal = stack("attn_attribution_{}"), stack("{}")
    direction = np.sign(found.sum((1, 2), keepdims=True))  # of the marks as a whole
    smooth = {f"smoothed, SD {100 * n} bp": direction * gaussian_filter1d(found, n, axis=2) for n in (1, 2, 3)}
    scores = {
        "signal": signal,
        "attention": stack("attn_attention_{}"),
        "size of integrated gradients": np.abs(found),
        "integrated gradients in the direction of the marks": direction * found,
        **smooth,
        "signal, smoothed, SD 200 bp": gaussian_filter1d(signal, 2, axis=2),
    }
    kept = {"all": np.ones_like(causes), "no borders": ~borders(causes)}
    print("| score | " + " | ".join(f"{name}, by gene | {name}, pooled" for name in kept) + " |")
    print("|---|" + "---|" * 2 * len(kept))
    for name, values in scores.items():
        cells = []
        for among in kept.values():
            each = [
                average_precision_score(c[a], v[a])
                for c, v, a in zip(causes[there], values[there], among[there], strict=True)
            ]
            cells += [np.mean(each), average_precision_score(causes[there][among[there]], values[there][among[there]])]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in cells) + " |")
    print("| chance | " + " | ".join(f"{causes[there][among[there]].mean():.3f} | " for among in kept.values()) + "|")


def borders(causes: np.ndarray) -> np.ndarray:
    """Bins beside causal ones, half as many on either side as there are causal ones: the flanks of the peak."""
    beside = np.zeros_like(causes)
    for i, j in np.argwhere(causes.any(2)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], causes[i, j].astype(int), [0]]))).reshape(-1, 2)
        for start, end in edges:
            width = max(1, round((end - start) / 2))
            beside[i, j, max(0, start - width) : end + width] = True
    return beside & ~causes


if __name__ == "__main__":
    main()

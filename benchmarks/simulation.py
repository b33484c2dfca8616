"""What a model makes of simulated data whose truth is known.

Accuracy on held-out chromosomes beside the best score possible and logistic regression; agreement of clusters with the
planted programs beside clusters of a PCA of the raw marks; whether attention finds the planted causes; time and memory
of one model of all cell types and of one model per cell type::

    python benchmarks/simulation.py                # 4,000 genes x 3 cell types
    python benchmarks/simulation.py --paper        # 2,000 genes x 18 cell types, and one model per cell type
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings

import numpy as np
import scanpy as sc
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, average_precision_score

import epiattn as attn

RESOLUTIONS = (0.2, 0.5, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paper", action="store_true", help="2,000 genes x 18 cell types")
    parser.add_argument("--model", default="multi_attention")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    attn.settings.verbosity = "warning"
    warnings.filterwarnings("ignore", "From 0.4", FutureWarning)
    if arguments.paper:
        run_eighteen(arguments.model)
    else:
        for seed in range(arguments.seeds):
            run_three(arguments.model, seed)


def run_three(model: str, seed: int) -> None:
    mdata, seconds = timed(attn.datasets.simulate, n_genes=4_000, cell_types=3, seed=seed)
    print(f"seed {seed}: simulated {mdata.n_obs:,} observations in {seconds:.1f} s")
    _, seconds = timed(attn.tl.fit, mdata, model=model, seed=seed)
    scores = {
        "oracle": mdata.obs["truth_probability"].to_numpy(),
        "logistic regression on summed marks": attn.baselines.logistic(mdata),
        f"{model} ({seconds:.0f} s)": mdata.obs["attn_score"].to_numpy(),
    }
    rows = (mdata.obs["split"] == "test").to_numpy()
    high = (mdata.obs["label"] == "high").to_numpy(dtype=float)[rows]
    auc = {name: attn.metrics.roc_auc(high, score[rows]) for name, score in scores.items()}
    for name, value in auc.items():
        print(f"  test AUC {value:.4f}  {name}")
    oracle, logistic, found = auc.values()
    print(f"  (AUC - .5) / (oracle - .5) = {(found - 0.5) / (oracle - 0.5):.3f}")
    print(f"  oracle - logistic = {oracle - logistic:.3f}")
    shown = ", ".join(f"{name} {value:.3f}" for name, value in precision_of_causes(mdata, rows).items())
    print(f"  average precision of causal marks and bins: {shown}")
    for name, latent in {"X_attn": mdata.obsm["X_attn"], "PCA of the raw marks": pca_of_marks(mdata)}.items():
        shown = ", ".join(f"{n} clusters {ari:.2f}" for n, ari in cluster(mdata, latent))
        print(f"  ARI with the planted programs at resolutions {RESOLUTIONS}: {shown}  {name}")


def precision_of_causes(mdata, rows: np.ndarray) -> dict[str, float]:
    """Average precision of the causal marks and bins of a gene, mean over genes with a cause.

    By the attention, of each mark where the model tells marks apart, by the signal alone, and by chance.
    """
    histone, marks = mdata["histone"], mdata.uns["attn"]["channels"]["histone"]
    causes = np.stack([histone.layers[f"truth_{mark}"].toarray() != 0 for mark in marks], axis=1)[rows]
    signal = np.stack([histone.layers[mark] for mark in marks], axis=1)[rows]
    bins = np.repeat(histone.layers["attn_attention"][:, None], len(marks), axis=1)
    by_mark = [f"attn_attention_{mark}" for mark in marks]
    attention = np.stack([histone.layers[name] for name in by_mark], 1) if by_mark[0] in histone.layers else bins
    there = causes.any((1, 2))
    found = {"attention": attention[rows], "signal": signal}
    precision = {
        name: np.mean(
            [average_precision_score(c.ravel(), v.ravel()) for c, v in zip(causes[there], values[there], strict=True)]
        )
        for name, values in found.items()
    }
    return {**precision, "chance": causes[there].mean()}


def pca_of_marks(mdata) -> np.ndarray:
    layers = mdata["histone"].layers
    marks = [name for name in layers if name is not None and not name.startswith(("truth_", "attn_"))]
    return PCA(50, random_state=0).fit_transform(np.concatenate([layers[mark] for mark in marks], axis=1))


def cluster(mdata, latent: np.ndarray) -> list[tuple[int, float]]:
    mdata.obsm["X_tested"] = latent
    sc.pp.neighbors(mdata, use_rep="X_tested", random_state=0)
    found = []
    for resolution in RESOLUTIONS:
        sc.tl.leiden(mdata, resolution=resolution, flavor="igraph", n_iterations=2, random_state=0)
        found.append(
            (mdata.obs["leiden"].nunique(), adjusted_rand_score(mdata.obs["truth_program"], mdata.obs["leiden"]))
        )
    return found


def run_eighteen(model: str) -> None:
    before = memory()
    mdata, seconds = timed(attn.datasets.simulate, n_genes=2_000, cell_types=18)
    print(f"simulated {mdata.n_obs:,} observations in {seconds:.1f} s, {memory() - before:.2f} GB above the imports")
    for per in (None, "cell_type"):
        _, seconds = timed(attn.tl.fit, mdata, model=model, per=per)
        auc = mdata.uns["attn"]["metrics"]["test"]["auc"]
        table = mdata.uns["attn"]["metrics_by_cell_type"]
        by_type = table.loc[table["part"] == "test", "auc"]
        print(
            f"per={per}: {seconds:.0f} s, {memory() - before:.2f} GB above the imports, test AUC {auc:.4f}, "
            f"by cell type {by_type.mean():.4f} ({by_type.min():.4f} to {by_type.max():.4f})",
            flush=True,
        )


def timed(function, *arguments, **options):
    start = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - start


def memory() -> float:
    """Highest resident memory so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
